"""Days late, and groups."""

from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest

from grader.errors import StaffError
from grader.fleet.lateness import days_late, require_time
from grader.fleet.page import page
from grader.fleet.roster import Student
from grader.fleet.schedule import GradedClass, load_class
from grader.fleet.statistics import figures_of
from grader.fleet.tables import write_tables
from tests.fleet.paper import a_class, a_graded, a_report, a_test, write_class

DUE = "2022-11-21 23:59 -0800"


@pytest.mark.parametrize(
    ("created_at", "days"),
    [
        ("2022-11-22 07:59:00.000000000 Z", 0),  # the same moment
        ("2022-11-22 07:59:01 Z", 1),
        ("2022-11-23T07:59:00.000Z", 1),
        ("2022-11-22T23:59:01.5-08:00", 2),
        ("2022-11-01 00:00:00 UTC", 0),
        ("", None),
        ("2022-11-22 07:59:01", None),  # in which zone?
        ("2022-11-31 07:59:01 Z", None),
        ("2022-11-22 07:59:01 +99:00", None),
        ("soon", None),
    ],
)
def test_begun_days_count(created_at: str, days: int | None) -> None:
    """One second is a day; what cannot be known is not guessed."""
    assert days_late(created_at, DUE) == days
    assert days_late(created_at, "") is None


def test_a_due_time_needs_its_zone() -> None:
    """Staff read how to write it."""
    assert require_time(DUE) == DUE
    with pytest.raises(StaffError, match="zone"):
        require_time("2022-11-21 23:59")


def late_group() -> GradedClass:
    """Return a class of a group that was late, and of one student who was not."""
    report = a_report(a_test("1", "PASSED"))
    group, alone = a_graded("a", report), a_graded("b", report)
    members = Student(name="Ada", sid="1"), Student(name="Bo", sid="2")
    late = replace(group.entry, students=members, created_at="2022-11-23 20:00:00 Z")
    early = replace(alone.entry, created_at="2022-11-20 20:00:00 Z")
    return replace(a_class(replace(group, entry=late), replace(alone, entry=early)), due_at=DUE)


def test_everybody_of_a_late_group_is_late_and_loses_nothing(tmp_path: Path) -> None:
    """A row for each member, with the other one's name, the points as they are, and the days."""
    graded_class = late_group()
    write_tables(graded_class, figures_of(graded_class), tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "people.csv").read_text())))

    assert [(row["name"], row["points"], row["days_late"], row["group"]) for row in rows] == [
        ("Ada", "2.0", "2", "Bo"),
        ("Bo", "2.0", "2", "Ada"),
        ("B Person", "2.0", "0", ""),
    ]
    shown = page(graded_class, figures_of(graded_class), anonymous=False)
    assert "2 days late" in shown
    assert "in time" in shown


def test_without_a_due_time_nothing_is_said_of_it(tmp_path: Path) -> None:
    """The report has no column for it; the time is kept with the class."""
    graded_class = late_group()
    undated = replace(graded_class, due_at="")

    assert "late" not in page(undated, figures_of(undated), anonymous=False).split('id="everybody"')[1]
    assert load_class(write_class(graded_class, tmp_path)).due_at == DUE
