"""Grades and answers as other programs read them."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pyarrow.parquet
import pytest

from grader.fleet.export import Entry
from grader.fleet.record import GRADED, INFRASTRUCTURE, NOT_HANDED_IN
from grader.fleet.roster import Student
from grader.fleet.schedule import Graded, GradedClass
from grader.fleet.statistics import figures_of
from grader.fleet.tables import csv_bytes, write_tables
from tests.fleet.paper import a_class, a_graded, a_report, a_test


def read(path: Path) -> list[list[str]]:
    """Return the rows of a CSV file."""
    return list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"))))


@pytest.fixture(scope="module")
def written(paper_class: GradedClass, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Write the tables of the class on paper."""
    out = tmp_path_factory.mktemp("tables")
    write_tables(paper_class, figures_of(paper_class), out)
    return out


def test_gradescope_gets_a_line_for_each_student(written: Path, paper_class: GradedClass) -> None:
    """Id, address, name, total, and the points of each question; nothing instead of a score that there is not."""
    header, *rows = read(written / "grades_gradescope.csv")

    assert header[:6] == ["SID", "Email", "Name", "Total Score", "Max Points", "Status"]
    assert header[6] == "1.0: Question 1.0 (1 pts)"
    assert len(rows) == len(paper_class.graded)
    for row, item in zip(rows, paper_class.graded, strict=True):
        student = item.entry.students[0]
        assert row[:3] == [student.sid, student.email, student.name]
        if item.record.status == GRADED:
            assert float(row[3]) == item.record.results["score"] == pytest.approx(sum(map(float, row[6:])))
        else:
            assert row[3] == ""
            assert set(row[6:]) == {""}
    assert [row[5] for row in rows[-3:]] == ["Not graded", "Not graded", "Missing"]


def test_canvas_gets_its_own_columns(written: Path) -> None:
    """The header that Canvas imports, its line of possible points, and one column for the assignment."""
    header, possible, first, *_ = read(written / "grades_canvas.csv")

    assert header == ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Homework 9"]
    assert possible == ["    Points Possible", "", "", "", "", "21.0"]
    assert first[2:4] == ["sid-s0", "s0@example.edu"]


def test_partners_both_have_the_grade_and_the_last_submission_counts(tmp_path: Path) -> None:
    """Each student once: both of a group, and the later of two submissions of one student."""
    report, better = a_report(a_test("1", "FAILED")), a_report(a_test("1", "PASSED"))
    ada, bo = Student(name="Ada", sid="1"), Student(name="Bo", sid="2")
    records = [a_graded(name, content).record for name, content in (("a", better), ("b", report))]
    group = a_class(
        Graded(Entry("submission_2", (ada, bo), Path("/x"), created_at="2022-11-22 12:00"), records[0]),
        Graded(Entry("submission_1", (ada,), Path("/x"), created_at="2022-11-21 12:00"), records[1]),
    )
    write_tables(group, figures_of(group), tmp_path)

    rows = read(tmp_path / "grades_gradescope.csv")[1:]

    assert [(row[2], row[3]) for row in rows] == [("Ada", "2.0"), ("Bo", "2.0")]


def test_a_name_is_never_a_formula() -> None:
    """What a spreadsheet would run is written as text."""
    data = csv_bytes([["=HYPERLINK(1)", "@x", "+1", "-1", -1, "Ada", "a\nb", "＝1"]]).decode()

    assert next(csv.reader(io.StringIO(data))) == ["'=HYPERLINK(1)", "'@x", "'+1", "'-1", "-1", "Ada", "a\nb", "'＝1"]


def test_answers_are_the_same_as_csv_and_as_parquet(written: Path, paper_class: GradedClass) -> None:
    """One row for each question of each submission, with typed columns in Parquet."""
    header, *rows = read(written / "answers.csv")
    table = pyarrow.parquet.read_table(written / "answers.parquet")

    assert table.column_names == header
    assert table.num_rows == len(rows) == sum(len(item.record.results["tests"]) for item in paper_class.graded)
    for row, cells in zip(table.to_pylist()[:20], rows, strict=False):
        assert row["verdict"] == cells[header.index("verdict")]
        assert row["score"] == float(cells[header.index("score")])
        assert " ".join(row["diagnosis"]) == cells[header.index("diagnosis")]
    statuses = {row["status"] for row in table.to_pylist()}
    assert statuses == {GRADED, INFRASTRUCTURE, NOT_HANDED_IN}


def test_the_questions_table_has_the_figures(written: Path, paper_class: GradedClass) -> None:
    """Difficulty and discrimination of each question as in the report."""
    header, *rows = read(written / "questions.csv")

    for row, question in zip(rows, figures_of(paper_class).questions, strict=True):
        assert float(row[header.index("mean_fraction")]) == pytest.approx(question.mean_fraction, abs=1e-4)
        assert int(row[header.index("FAILED")]) == question.verdicts["FAILED"]
