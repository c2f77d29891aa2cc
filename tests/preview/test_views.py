"""Who sees what when, read from the bytes of the pages: the platform's rules, and bad files said in two sentences."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from grader.__main__ import main
from grader.commands.preview import write_previews
from grader.errors import StaffError
from grader.feedback.pictures import pictures_to_json
from grader.preview.page import render_page
from grader.preview.report import Submission, read_report, read_submission
from grader.preview.views import Moment, Viewer, moment_of
from homework.homework import HOMEWORK
from tests.preview import samples
from tests.preview.samples import SECRETS, STAFF_ONLY, pictures, question

TITLES = {"vision": "Masked <autoencoders>"}


@pytest.fixture(scope="module")
def visible_results() -> dict[str, Any]:
    """Return results in which students see every test."""
    return samples.visible_results()


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """Return results with a test of each visibility."""
    return samples.all_results()


METADATA = {
    "created_at": "2026-11-20T18:30:00.000000-08:00",
    "assignment": {"due_date": "2026-11-24T22:59:00-08:00", "title": "Homework <9>", "total_points": "100.0"},
    "users": [{"name": "Ada <Example>", "email": "ada@example.edu"}],
    "previous_submissions": [{}, {}],
}


def write(path: Path, content: Any) -> Path:
    """Write JSON."""
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def page_of(content: Any, folder: Path, *, viewer: Viewer, moment: Moment = Moment.BEFORE_DUE) -> str:
    """Return a page of results."""
    return render_page(read_report(write(folder / "results.json", content), TITLES), viewer=viewer, moment=moment)


def secrets_in(page: str, names: Sequence[str]) -> list[str]:
    """Return which words are anywhere in a page's source."""
    return [word for name in names for word in SECRETS[name] if word in page]


@pytest.mark.parametrize(
    ("moment", "hidden", "shown"),
    [
        (Moment.BEFORE_DUE, ["hidden", "after_due_date", "after_published"], []),
        (Moment.AFTER_DUE, ["hidden", "after_published"], ["secret-due-name", "secret-due-output"]),
        (Moment.PUBLISHED, ["hidden"], ["secret-due-name", "secret-published-name", "secret-published-output"]),
    ],
    ids=lambda value: value.name if isinstance(value, Moment) else "",
)
def test_a_students_page_holds_no_byte_of_what_is_hidden(
    results: dict[str, Any], tmp_path: Path, moment: Moment, hidden: list[str], shown: list[str]
) -> None:
    """By the rules of each moment, and never a tag, a diagnosis, a lent helper or a fact of the run."""
    page = page_of(results, tmp_path, viewer=Viewer.STUDENT, moment=moment)

    assert secrets_in(page, hidden) == []
    assert all(word in page for word in shown)
    assert "secret-due-tag" not in page
    assert [word for word in STAFF_ONLY if word in page] == []
    assert "patchify: values" in page


def test_with_a_hidden_test_students_see_no_total(results: dict[str, Any], tmp_path: Path) -> None:
    """Neither the score nor the number of points that there are in all; what is shown sums what is seen."""
    page = page_of(results, tmp_path, viewer=Viewer.STUDENT, moment=Moment.PUBLISHED)
    report = read_report(tmp_path / "results.json", TITLES)

    assert "The total is not shown" in page
    assert report.max_score == 104
    assert "84.01" not in page
    assert "104" not in page.partition("</style>")[2].partition('class="parts"')[0]


def test_with_every_test_visible_students_see_the_total(visible_results: dict[str, Any], tmp_path: Path) -> None:
    """As the platform shows it."""
    page = page_of(visible_results, tmp_path, viewer=Viewer.STUDENT)

    assert "<strong>6</strong> of 14" in page


def test_tests_that_open_later_show_the_total_then(visible_results: dict[str, Any], tmp_path: Path) -> None:
    """A test after the due date takes the total away before it only."""
    later = {
        **visible_results,
        "tests": [*visible_results["tests"], question("9", "x", 1, 1, visibility="after_due_date")],
    }

    assert "The total is not shown" in page_of(later, tmp_path, viewer=Viewer.STUDENT)
    assert "<strong>6</strong> of 15" in page_of(later, tmp_path, viewer=Viewer.STUDENT, moment=Moment.AFTER_DUE)


def test_the_staff_see_everything(results: dict[str, Any], tmp_path: Path) -> None:
    """All secrets, the total, and when students see each test."""
    page = page_of(results, tmp_path, viewer=Viewer.STAFF)

    assert set(secrets_in(page, list(SECRETS))) == {word for words in SECRETS.values() for word in words}
    assert all(word in page for word in STAFF_ONLY)
    assert "<strong>84.01</strong> of 104" in page
    for words in ("never", "after the due date", "after grades are published"):
        assert f"<dt>Students see it</dt><dd>{words}</dd>" in page


def test_a_hidden_report_shows_students_nothing(results: dict[str, Any], tmp_path: Path) -> None:
    """The visibility of the whole counts before that of each test, for the text at the top as well."""
    page = page_of({**results, "visibility": "after_published"}, tmp_path, viewer=Viewer.STUDENT)

    assert "The results are not shown before the due date." in page
    assert "patchify" not in page
    assert "graded questions are right" not in page
    assert "patchify" in page_of({**results, "visibility": "after_published"}, tmp_path, viewer=Viewer.STAFF)


def test_each_viewer_has_a_file(results: dict[str, Any], tmp_path: Path) -> None:
    """By default two files beside the results; a single view goes where it is told to."""
    source = write(tmp_path / "results.json", results)

    both = write_previews(HOMEWORK, source, out=None, metadata=None, moment="auto", view="both")
    one = write_previews(
        HOMEWORK, source, out=tmp_path / "new" / "x.html", metadata=None, moment="auto", view="student"
    )

    assert [path.name for path in both] == ["preview.student.html", "preview.staff.html"]
    assert one == [tmp_path / "new" / "x.html"]
    assert one[0].read_bytes() == both[0].read_bytes()
    assert secrets_in(both[0].read_text(encoding="utf-8"), list(SECRETS)) == []


def test_metadata_names_the_submission(results: dict[str, Any], tmp_path: Path) -> None:
    """Title, people and times, escaped; the address of a student's mail stays out."""
    source, metadata = write(tmp_path / "results.json", results), write(tmp_path / "metadata.json", METADATA)
    (path,) = write_previews(HOMEWORK, source, out=tmp_path / "x.html", metadata=metadata, moment="auto", view="staff")
    page = path.read_text(encoding="utf-8")

    assert "<h1>Homework &lt;9&gt;</h1>" in page
    assert "Ada &lt;Example&gt;, handed in" in page
    assert "2 earlier submissions" in page
    assert "ada@example.edu" not in page


@pytest.mark.parametrize(
    ("created", "due", "late", "moment"),
    [
        ("2026-11-24T22:58:59-08:00", "2026-11-24T22:59:00-08:00", None, Moment.BEFORE_DUE),
        ("2026-11-25T06:59:01Z", "2026-11-24T22:59:00-08:00", None, Moment.AFTER_DUE),
        ("2026-11-25T06:59:01Z", "2026-11-24T22:59:00-08:00", "2026-11-26T22:59:00-08:00", Moment.BEFORE_DUE),
        ("2026-11-25T06:59:01", "2026-11-24T22:59:00-08:00", None, Moment.BEFORE_DUE),
        ("yesterday", "2026-11-24T22:59:00-08:00", None, Moment.BEFORE_DUE),
    ],
)
def test_the_moment_follows_from_when_it_was_handed_in(
    tmp_path: Path, created: str, due: str, late: str | None, moment: Moment
) -> None:
    """After the last date, if it was handed in after that; whatever cannot be read counts as before."""
    assignment = {"due_date": due, "late_due_date": late}
    metadata = write(tmp_path / "metadata.json", {"created_at": created, "assignment": assignment})

    assert moment_of(read_submission(metadata)) is moment
    assert moment_of(None) is Moment.BEFORE_DUE
    assert moment_of(Submission()) is Moment.BEFORE_DUE


@pytest.mark.parametrize(
    ("content", "happened"),
    [
        (b"not json", "is not JSON"),
        (b"\xff\xfe\x00", "is not JSON"),
        (b"[" * 100_000, "is not JSON"),
        (b"[1]", "it is not an object"),
        (b"{}", "it has neither tests nor a score"),
        (b'{"cells": [], "nbformat": 4}', "it has neither tests nor a score"),
        (b'{"tests": 3}', "it has neither tests nor a score"),
        (b'{"tests": [3]}', "one of its tests is not an object"),
        (b'{"tests": [{"score": "many"}]}', "score is not a number"),
        (b'{"tests": [{"score": true}]}', "score is not a number"),
        (b'{"tests": [{"score": NaN}]}', "score is not a number"),
        (b'{"score": 1' + b"0" * 400 + b"}", "score is not a number, or far too large"),
        (b'{"tests": [{"max_score": -1' + b"0" * 400 + b"}]}", "max_score is not a number, or far too large"),
        (b'{"tests": [{"score": "1e400"}]}', "score is not a number, or far too large"),
        (b'{"tests": [{"score": 1e300}]}', "score is not a number, or far too large"),
        (b'{"tests": [{"score": 1' + b"0" * 5000 + b"}]}", "is not JSON"),
        (b'{"tests": [], "execution_time": 1' + b"0" * 400 + b"}", "execution_time is not a number"),
        (b'{"tests": [{"number": 1' + b"0" * 400 + b"}]}", "number is not a number"),
        (b'{"tests": [{"name": []}]}', "name is not a text"),
        (b'{"tests": [{"visibility": "sometimes"}]}', "visibility is 'sometimes'"),
        (b'{"tests": [{"output_format": ["md"]}]}', "output_format is"),
    ],
)
def test_what_is_no_results_file_is_said_in_two_sentences(tmp_path: Path, content: bytes, happened: str) -> None:
    """What is wrong with the file, and what to do."""
    path = tmp_path / "results.json"
    path.write_bytes(content)

    with pytest.raises(StaffError) as error:
        read_report(path, TITLES)

    assert happened in error.value.happened
    assert str(path) in error.value.happened
    assert error.value.try_next


def test_files_that_are_not_there_are_named(tmp_path: Path) -> None:
    """For results and for metadata, with a file that is something else besides."""
    for read in (lambda path: read_report(path, TITLES), read_submission):
        with pytest.raises(StaffError, match="cannot be read"):
            read(tmp_path / "nothing.json")
    with pytest.raises(StaffError, match="it has no assignment"):
        read_submission(write(tmp_path / "results.json", {"tests": []}))
    with pytest.raises(StaffError, match=r"is no submission_metadata.json"):
        read_submission(write(tmp_path / "results.json", []))


def test_results_of_an_older_or_another_grader_are_shown(tmp_path: Path) -> None:
    """Without pictures, extra_data, numbers or a total: what is there is shown, and the score is the sum."""
    other = {
        "test_output_format": "md",
        "tests": [{"name": "a", "score": "1.5", "max_score": 2, "output": "**x**"}, {"name": "b", "output": None}],
    }
    page = page_of(other, tmp_path, viewer=Viewer.STUDENT)

    assert "<strong>1.5</strong> of 2" in page
    assert "<strong>x</strong>" in page
    assert "Partly passed" in page
    assert page_of({"score": 3}, tmp_path, viewer=Viewer.STUDENT).count("There are no questions") == 1


def test_what_is_large_and_still_a_number_is_shown(tmp_path: Path) -> None:
    """Points of any size that a course could give, and facts of any size, do not end the page."""
    tests = [
        question("1", "a", 10**12, 10**12, extra={"diagnosis": [10**400], "lent": [[[[]]]]}),
        {"output": f"\x1b[{'9' * 5000}mred", "output_format": "ansi"},
    ]
    page = page_of({"tests": tests, "extra_data": {"x": 10**400}}, tmp_path, viewer=Viewer.STAFF)

    assert "1e+12 / 1e+12" in page
    assert "red" in page


def test_pictures_that_cannot_be_read_or_drawn_do_no_harm(tmp_path: Path) -> None:
    """The caption stands for what cannot be drawn; staff read how many could not be read."""
    broken = [{"kind": "mask", "caption": "c"}, {"kind": "mask", "caption": "Only <words>.", "arrays": []}]
    wide = {"kind": "mask", "caption": "c", "arrays": [{"name": "a", "shape": [1e999], "dtype": "uint8", "data": ""}]}
    content = {"tests": [question("1", "a", 0, 1, extra={"pictures": [*broken, 7, wide]})]}

    page = page_of(content, tmp_path, viewer=Viewer.STAFF)

    assert "Only &lt;words&gt;. (There is no picture of it here.)" in page
    assert "3 could not be read" in page


HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(1)>\"'><svg/onload=alert(1)>"


def test_nothing_in_the_file_becomes_markup(tmp_path: Path) -> None:
    """Names, numbers, tags, facts and captions with markup in them are shown as text."""
    picture = {"kind": "weights", "caption": HOSTILE, "arrays": []}
    extra = {"pictures": [picture], "diagnosis": [HOSTILE], "verdict": HOSTILE}
    test = question(HOSTILE, HOSTILE, 0, 1, tags=[HOSTILE], output=HOSTILE, extra=extra)
    content = {"output": HOSTILE, "output_format": "md", "tests": [test], "extra_data": {HOSTILE: HOSTILE}}

    for viewer in Viewer:
        page = page_of(content, tmp_path, viewer=viewer)
        assert "<script" not in page
        assert "<img" not in page
        assert "<svg" not in page


def test_text_that_no_file_can_hold_does_no_harm(tmp_path: Path) -> None:
    """Half of a surrogate pair, control characters and a zero byte, in every text of a test."""
    odd = "a\ud800\x00\x1b\u202eb"
    picture = {"kind": "mask", "caption": odd, "arrays": pictures_to_json(pictures())[0]["arrays"]}
    content = {"tests": [question(odd, odd, 0, 1, output=odd, tags=[odd], extra={"pictures": [picture]})]}

    written = write_previews(
        HOMEWORK, write(tmp_path / "results.json", content), out=None, metadata=None, moment="auto", view="both"
    )

    assert all(path.read_text(encoding="utf-8").count("<figure>") == 1 for path in written)


def test_parts_have_the_titles_of_the_homework(visible_results: dict[str, Any], tmp_path: Path) -> None:
    """In the order of the report and escaped; a part that the homework has no title for is not named."""
    page = page_of(visible_results, tmp_path, viewer=Viewer.STUDENT)

    assert "Masked &lt;autoencoders&gt;" in page
    assert "Meta-learning" not in page
    assert "Questions" in page


def test_the_command_writes_both_pages(results: dict[str, Any], tmp_path: Path) -> None:
    """`python -m grader preview` says where they are; the options choose moment and view."""
    source = write(tmp_path / "results.json", results)
    runner = CliRunner()

    written = runner.invoke(main, ["preview", str(source)])
    later = runner.invoke(
        main, ["preview", str(source), "--published", "--view", "student", "--out", f"{tmp_path}/x.html"]
    )

    assert (written.exit_code, later.exit_code) == (0, 0)
    assert "Masked autoencoders" in (tmp_path / "x.html").read_text(encoding="utf-8")
    assert written.output.count("Written:") == 2
    assert "secret-published-name" not in (tmp_path / "preview.student.html").read_text(encoding="utf-8")
    assert "secret-published-name" in (tmp_path / "x.html").read_text(encoding="utf-8")
    assert isinstance(runner.invoke(main, ["preview", str(tmp_path / "nothing")]).exception, StaffError)
