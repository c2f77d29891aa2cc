"""What staff decide in the place of the grader."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
import yaml

from grader.errors import StaffError
from grader.feedback.results import validate_results
from grader.fleet.compare import compare_gradings, read_grading
from grader.fleet.overrides import OVERRIDES_FILE, read_overrides
from grader.fleet.record import GRADED, NOT_HANDED_IN
from grader.fleet.schedule import Graded, load_class
from grader.fleet.statistics import figures_of
from grader.fleet.tables import write_tables
from tests.fleet.paper import a_class, a_graded, a_report, a_test, write_class


def decided(folder: Path, *overrides: object) -> dict[str, Graded]:
    """Return submission -> what came of it, in a class of three of whom one handed in nothing."""
    if not (folder / "class.json").exists():
        tests = a_test("1.2", "PASSED"), a_test("1.10", "FAILED", diagnosis=["masking.inverted"])
        missing = a_report(a_test("1.2", "MISSING"), a_test("1.10", "MISSING"))
        write_class(
            a_class(
                a_graded("a", a_report(*tests), key="same"),
                a_graded("b", a_report(*tests), key="same"),
                a_graded("c", missing, status=NOT_HANDED_IN),
            ),
            folder,
        )
    (folder / OVERRIDES_FILE).write_text(yaml.safe_dump(list(overrides)))
    return {item.entry.id.removeprefix("submission_"): item for item in load_class(folder).graded}


def scores(found: dict[str, Graded]) -> list[float]:
    """Return everybody's points."""
    return [item.record.results["score"] for item in found.values()]


def test_points_of_one_question_of_one_submission(tmp_path: Path) -> None:
    """Only theirs change, also where another's files are the same; the reason is read, and the file keeps its form."""
    found = decided(
        tmp_path, {"submission": "submission_a", "question": "1.10", "points": 1.5, "reason": "Half right."}
    )

    assert scores(found) == [3.5, 2.0, 0.0]
    test = found["a"].record.results["tests"][1]
    assert test["output"].endswith("**Points given by the staff:** 1.5 in place of 0. Half right.")
    assert test["extra_data"]["override"] == {"before": 0.0, "reason": "Half right."}
    assert test["status"] == "failed"
    validate_results({**found["a"].record.results, "tests": [test]})
    assert "override" not in found["b"].record.results["tests"][1]["extra_data"]


def test_points_of_a_question_for_everybody(tmp_path: Path) -> None:
    """Who handed in nothing gets none by it; a later entry for one student wins."""
    for_all = {"question": "1.10", "points": 2, "reason": "The statement was wrong."}

    assert scores(decided(tmp_path, for_all)) == [4.0, 4.0, 0.0]
    assert scores(decided(tmp_path, for_all, {**for_all, "student": "b person", "points": 0})) == [4.0, 2.0, 0.0]
    assert decided(tmp_path, for_all)["a"].record.results["tests"][1]["status"] == "passed"


def test_a_whole_submission_that_came_another_way_counts(tmp_path: Path) -> None:
    """Points for who handed in nothing make them graded, in the grades as well."""
    found = decided(tmp_path, {"submission": "c", "points": 3, "reason": "Handed in by mail."})
    graded_class = load_class(tmp_path)
    write_tables(graded_class, figures_of(graded_class), tmp_path)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "people.csv").read_text())))

    assert found["c"].record.status == GRADED
    assert [row["points"] for row in rows] == ["2.0", "2.0", "3.0"]


def test_remarks_change_no_points(tmp_path: Path) -> None:
    """For a question, a misconception or a student: marked as the staff's, at the question or at the top."""
    found = decided(
        tmp_path,
        {"question": "1.2", "remark": "See the forum."},
        {"misconception": "masking.inverted", "remark": "Section 3.1."},
        {"student": "b@example.edu", "remark": "Come to office hours."},
    )

    assert scores(found) == [2.0, 2.0, 0.0]
    first, second = found["a"].record.results["tests"]
    assert first["output"].endswith("**From the staff:** See the forum.")
    assert second["output"].endswith("**From the staff:** Section 3.1.")
    assert "office hours" in found["b"].record.results["output"]
    assert "office hours" not in found["a"].record.results["output"]


def test_a_diff_shows_what_staff_gave(tmp_path: Path) -> None:
    """Points of a question and of a whole submission are told with the reason."""
    decided(tmp_path)
    before = read_grading(tmp_path)
    decided(
        tmp_path,
        {"submission": "a", "question": "1.10", "points": 1, "reason": "Half."},
        {"submission": "b", "points": 4, "reason": "Oral exam."},
    )

    changes = compare_gradings(before, read_grading(tmp_path)).changes

    assert [(change.submission, change.number, change.points, change.why) for change in changes] == [
        ("submission_a", "1.10", 1.0, "given by the staff: Half."),
        ("submission_b", "", 2.0, "given by the staff: Oral exam."),
    ]


WRONG: dict[str, object] = {
    "is no list": {"question": "1.2"},
    "Entry 1 of": ["1.2"],
    "unknown field 'quest'": [{"quest": "1.2", "points": "1", "reason": "x"}],
    "both points and a remark, or neither": [{"question": "1.2"}],
    "points and no reason": [{"question": "1.2", "points": "1"}],
    "no number": [{"question": "1.2", "points": "-1", "reason": "x"}],
    "neither a question nor a submission": [{"points": "1", "reason": "x"}],
    "a submission and a student": [{"submission": "a", "student": "a", "remark": "x"}],
    "together with a question": [{"question": "1.2", "misconception": "x", "remark": "x"}],
    "no set of fields": [{"question": ["1.2"], "remark": "x"}],
}


@pytest.mark.parametrize("said", WRONG)
def test_what_is_no_decision_is_said(tmp_path: Path, said: str) -> None:
    """The entry and what is wrong with it, before anything is applied."""
    (tmp_path / OVERRIDES_FILE).write_text(yaml.safe_dump(WRONG[said]))

    with pytest.raises(StaffError, match=said):
        read_overrides(tmp_path / OVERRIDES_FILE)


def test_who_or_what_is_not_there_is_said(tmp_path: Path) -> None:
    """Nobody of that name, no such question, more points than it has, or no YAML."""
    for override, said in (
        ({"student": "zoe", "remark": "x"}, "nobody"),
        ({"question": "7", "remark": "x"}, "question 7, which nobody was asked"),
        ({"question": "1.2", "points": 3, "reason": "x"}, "which has 2"),
    ):
        with pytest.raises(StaffError, match=said):
            decided(tmp_path, override)
    (tmp_path / OVERRIDES_FILE).write_text("- {")
    with pytest.raises(StaffError, match="no YAML in line"):
        load_class(tmp_path)
    assert read_overrides(tmp_path / "absent.yaml") == ()
