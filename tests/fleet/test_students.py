"""From a class to one student."""

from __future__ import annotations

import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from grader.__main__ import main
from grader.commands.fleet import write_report
from grader.errors import StaffError
from grader.fleet.export import Entry
from grader.fleet.find import file_stem, find_entry
from grader.fleet.record import GRADED
from grader.fleet.roster import Student
from grader.fleet.schedule import GradedClass
from grader.fleet.statistics import names_in
from homework.homework import HOMEWORK
from tests.fleet.paper import a_class, a_graded, a_report, a_test, write_class

ADA = Student(name="Ada Abara", email="ada@example.edu", sid="3034", login="adal")
BO, BEA = Student(name="Bo Berg", sid="17"), Student(name="Bea Berg", sid="18")
ENTRIES = [
    Entry("submission_1", (ADA,), Path("/x"), created_at="2022-11-21"),
    Entry("submission_2", (BO, BEA), Path("/x")),
    Entry("submission_3", (ADA,), Path("/x"), created_at="2022-11-22"),
    Entry("submission_3034", (Student(name="17"),), Path("/x")),
]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("submission_1", "submission_1"),
        ("1", "submission_1"),
        (" ADA@example.edu ", "submission_3"),
        ("adal", "submission_3"),
        ("ada abara", "submission_3"),
        ("Abar", "submission_3"),
        ("Bo", "submission_2"),
        ("Berg", "submission_2"),  # both handed in the same
        ("17", "submission_2"),  # an id counts before a name
        ("3034", "submission_3034"),  # a submission before an id
    ],
)
def test_a_student_is_found_by_what_staff_have_at_hand(wanted: str, found: str) -> None:
    """Submission, address, login, id, name or a part of it; of several submissions the last."""
    assert find_entry(ENTRIES, wanted).id == found


@pytest.mark.parametrize(("wanted", "said"), [("nobody", "is nobody"), ("a", "more than one"), ("", "No student")])
def test_who_is_not_clear_is_listed(wanted: str, said: str) -> None:
    """Staff choose from a list."""
    with pytest.raises(StaffError, match=said) as caught:
        find_entry(ENTRIES, wanted)
    assert "submission_1 (Ada Abara)" in caught.value.try_next


def test_names_of_files_are_ours() -> None:
    """Whatever a submission is called, its pages have a short name of plain letters, and no two the same."""
    names = ["submission_1", "../../etc", "a/b", "a_b", "A_B", "", "\x1b[2J\u202e", "x" * 5000, "\ud800", "李"]
    stems = [file_stem(name) for name in names]

    assert len({stem.lower() for stem in stems}) == len(names)
    assert all(re.fullmatch(r"[A-Za-z0-9_-]{1,60}", stem) for stem in stems)


def test_the_report_leads_to_a_page_of_everybody(paper_class: GradedClass, tmp_path: Path) -> None:
    """Every link of the report is a page, each student's has their results, and the anonymous copy names nobody."""
    small = replace(paper_class, graded=(*paper_class.graded[:3], *paper_class.graded[-3:]))
    folder = write_class(small, tmp_path)
    write_report(HOMEWORK, folder, anonymous=False)
    write_report(HOMEWORK, folder, anonymous=True)
    links = [
        re.findall(r'href="([^#"][^"]*)"', (folder / name).read_text())
        for name in ("report.html", "report-anonymous.html")
    ]

    assert [len(found) for found in links] == [2 * 6, 6]
    pages = [(folder / link).read_text() for link in links[0]]
    for item in small.graded:
        if item.record.status == GRADED:
            mine = [page for page in pages if item.entry.students[0].name in page]
            assert len(mine) == 2
            assert all(f"<strong>{item.record.results['score']:g}</strong>" in page for page in mine)
    nameless = [(folder / link).read_text() for link in links[1]]
    names = [name for name in names_in(small.graded) if len(name) > 3 and name != "Person"]
    assert not [name for name in names for page in nameless if re.search(rf"\b{re.escape(name)}\b", page)]
    assert not [path for path in (folder / "students-anonymous").iterdir() if path.suffix != ".html"]


def test_pages_of_who_left_are_gone(paper_class: GradedClass, tmp_path: Path) -> None:
    """The folder has pages of this class and no other."""
    folder = write_class(replace(paper_class, graded=paper_class.graded[:2]), tmp_path)
    write_report(HOMEWORK, folder, anonymous=False)
    write_class(replace(paper_class, graded=paper_class.graded[:1]), tmp_path)
    write_report(HOMEWORK, folder, anonymous=False)

    assert len(list((folder / "students").iterdir())) == 1


def test_the_anonymous_page_hides_what_students_do_not_see(tmp_path: Path) -> None:
    """A hidden question is not on it, and a file named after its author is not named."""
    tests = a_test("1", "PASSED", output="Read from `xena_quill.ipynb`."), a_test("2", "FAILED", visibility="hidden")
    item = a_graded("x", {**a_report(*tests), "output": "Xena's file"})
    entry = replace(item.entry, students=(Student(name="Xena Quill"),))
    folder = write_class(a_class(replace(item, entry=entry)), tmp_path)
    write_report(HOMEWORK, folder, anonymous=True)
    (page,) = (folder / "students-anonymous").iterdir()

    shown = page.read_text().lower()
    assert "question 1" in shown
    assert not [word for word in ("question 2", "xena", "quill") if word in shown]


def test_preview_shows_one_student_of_a_class(paper_class: GradedClass, tmp_path: Path) -> None:
    """By name, with both pages and the results beside them; without a name, staff read whom they can choose."""
    folder = write_class(replace(paper_class, graded=paper_class.graded[:3]), tmp_path / "class")
    shutil.rmtree(folder / "students", ignore_errors=True)

    done = CliRunner().invoke(main, ["preview", str(folder), "--student", "s1 person"], catch_exceptions=False)
    unnamed = CliRunner().invoke(main, ["preview", str(folder)])

    assert done.exit_code == 0
    (own,) = (folder / "students").iterdir()
    assert sorted(path.name for path in own.iterdir()) == [
        "preview.staff.html",
        "preview.student.html",
        "results.json",
        "submission_metadata.json",
    ]
    assert "S1 Person" in (own / "preview.staff.html").read_text()
    assert isinstance(unnamed.exception, StaffError)
    assert "submission_s0 (S0 Person)" in unnamed.exception.try_next
