"""Canvas's gradebook, filled in."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest

from grader.fleet.gradebook import filled, is_gradebook
from grader.fleet.roster import Student, read_roster
from grader.fleet.schedule import GradedClass
from grader.fleet.statistics import figures_of
from grader.fleet.tables import write_tables

HEADER = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "Homework 8 (111)", "Homework 9 (222)", "Final"]
ROWS = [
    HEADER,
    ["    Points Possible", "", "", "", "", "50", "98", "(read only)"],
    ["Abara, Ada", "17", "3034", "ada", "L1", "-1.5", "", "A-"],
    ["Berg, Bo", "18", "3035", "bo", "L1", "40", "12", ""],
    ["Student, Test", "19", "", "", "L1", "", "", ""],
]
ADA, BO = Student(name="Abara, Ada", canvas_id="17", sid="3034"), Student(name="Berg, Bo", canvas_id="18")
STRANGER = Student(name="Cy", sid="9")


def test_only_the_assignments_own_column_is_filled() -> None:
    """Every other cell and row is as Canvas exported it; who has no points keeps what is there."""
    book = filled(ROWS, {ADA: 77.5, BO: "", STRANGER: 3.0}, assignment="Homework 9", possible=100.0)

    assert book.rows[:2] == ROWS[:2]
    assert book.rows[2] == ["Abara, Ada", "17", "3034", "ada", "L1", -1.5, 77.5, "A-"]
    assert book.rows[3:] == ROWS[3:]
    assert not book.is_new
    assert book.left_out == (STRANGER,)


@pytest.mark.parametrize("title", ["hw 9", "HW9", "Homework 09", "EECS 182 Homework 9"])
def test_a_title_is_known_however_it_is_written(title: str) -> None:
    """Staff and Canvas rarely write it alike."""
    assert not filled(ROWS, {ADA: 1.0}, assignment=title, possible=100.0).is_new


@pytest.mark.parametrize("title", ["Homework 7", "Homework 99", "Final", "EECS 182 Homework 19", "9"])
def test_an_assignment_that_canvas_does_not_know_is_a_new_column(title: str) -> None:
    """It comes with its points possible, and changes no other assignment's."""
    book = filled(ROWS, {ADA: 1.0}, assignment=title, possible=100.0)

    assert book.is_new
    assert [row[-1] for row in book.rows] == [title, 100.0, 1.0, "", ""]
    assert [row[:5] for row in book.rows] == [row[:5] for row in ROWS]


def test_the_nearest_title_is_taken() -> None:
    """One that is equal before one that is a part, and one that is a part before a longer one."""
    header = ["Student", "ID", "Homework 9 written (1)", "Homework 9 (2)", "182 (3)"]

    for title in ("Homework 9", "EECS 182 Homework 9"):
        book = filled([header, ["Ada", "17", "", "", ""]], {ADA: 1.0}, assignment=title, possible=1.0)
        assert book.rows[1] == ["Ada", "17", "", 1.0, ""]
    only = [["Student", "ID", "Homework 9: autoencoders (1)"], ["Ada", "17", ""]]
    assert filled(only, {ADA: 1.0}, assignment="Homework 9", possible=1.0).rows[1][2] == 1.0


def test_of_two_columns_with_one_title_none_is_filled() -> None:
    """Nobody's points go into the wrong assignment."""
    doubled = [[*HEADER, "HW 9 (333)"], *([*row, ""] for row in ROWS[1:])]

    assert filled(doubled, {ADA: 1.0}, assignment="Homework 9", possible=1.0).is_new


def test_what_canvas_did_not_export_is_none() -> None:
    """A roster of one's own has other columns."""
    assert is_gradebook(ROWS)
    for rows in ([], [[]], [["name", "sid"]], [["Student", "Email"]]):
        assert not is_gradebook(rows)


def test_short_rows_and_names_that_are_formulas_do_no_harm(paper_class: GradedClass, tmp_path: Path) -> None:
    """The file that is written has a cell for each column, and no formula."""
    (tmp_path / "roster.csv").write_text(
        "Student,ID,SIS User ID,SIS Login ID,Section,Homework 9 (222)\n"
        '    Points Possible,,,,,98\n"=HYPERLINK(1)",7,sid-s0,,L1\n\n'
    )
    assert read_roster(tmp_path / "roster.csv")[0].sid == "sid-s0"
    write_tables(paper_class, figures_of(paper_class), tmp_path)

    rows = list(csv.reader(io.StringIO((tmp_path / "grades_canvas.csv").read_text())))

    score = str(paper_class.graded[0].record.results["score"])
    assert rows[1] == ["    Points Possible", "", "", "", "", "98"]
    assert rows[2] == ["'=HYPERLINK(1)", "7", "sid-s0", "", "L1", score]
