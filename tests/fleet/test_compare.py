"""Two gradings side by side: who changes, and why."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from grader.__main__ import main
from grader.errors import StaffError
from grader.fleet.compare import Graded, compare_gradings, read_grading
from tests.fleet.paper import a_class, a_graded, a_report, a_test, write_class

BEFORE = a_report(a_test("1", "PASSED"), a_test("2", "FAILED"), a_test("3", "PASSED"), a_test("4", "PASSED"))


def graded(results: dict[str, Any] | None) -> Graded:
    """Return a graded submission of nobody."""
    return Graded("Ada", results)


def other_check(number: str, verdict: str) -> Any:
    """Return a test under the same number that another check judges."""
    test = a_test(number, verdict)
    test["extra_data"] = {**test["extra_data"], "aspect": "gradient"}
    return test


@pytest.mark.parametrize(
    ("after", "why", "points"),
    [
        ([a_test("2", "PASSED")], "FAILED → PASSED", 2),
        ([a_test("1", "TIMEOUT")], "PASSED → TIMEOUT", -2),
        ([a_test("1", "PASSED", points=3)], "the rubric gives 3 points, was 2", 1),
        ([other_check("2", "PASSED")], "the check is f2.gradient, was f2.output; FAILED → PASSED", 2),
        ([a_test("1", "PASSED", score=1.0)], "another part of the points", -1),
        ([a_test("9", "PASSED")], "the question is new", 2),
        ([a_test("2", "ERROR")], "FAILED → ERROR", 0),
    ],
)
def test_a_change_says_why(after: list[Any], why: str, points: float) -> None:
    """Another verdict, another check, other points in the rubric, or a new question: each is named."""
    tests = {test["number"]: test for test in [*BEFORE["tests"], *after]}

    comparison = compare_gradings({"s": graded(BEFORE)}, {"s": graded(a_report(*tests.values()))})

    assert [(change.why, change.points) for change in comparison.changes] == [(why, points)]


def test_a_question_that_is_gone_takes_its_points() -> None:
    """A question of the old rubric alone is named with the points it had."""
    comparison = compare_gradings({"s": graded(BEFORE)}, {"s": graded(a_report(*BEFORE["tests"][:-1]))})

    assert [(change.number, change.points, change.why) for change in comparison.changes] == [
        ("4", -2, "the question is gone")
    ]


def test_the_summary_counts_submissions() -> None:
    """Up, down and the same, the mean change, who is in one grading alone, and who was not graded in one of them."""
    better = a_report(a_test("1", "PASSED"), a_test("2", "PASSED"))
    worse = a_report(a_test("1", "PASSED"), a_test("2", "FAILED"))
    old = {"a": worse, "b": better, "c": better, "d": None, "e": better, "f": better}
    new = {"a": better, "b": worse, "c": better, "d": better, "e": None, "g": better}

    comparison = compare_gradings(*({name: graded(report) for name, report in each.items()} for each in (old, new)))

    assert (comparison.up, comparison.down, comparison.same, comparison.mean_change) == (1, 1, 1, 0)
    assert (comparison.only_old, comparison.only_new) == (("f",), ("g",))
    whole = {change.submission: change for change in comparison.changes if not change.number}
    assert (whole["d"].why, whole["d"].points) == ("was not graded before", 4)
    assert (whole["e"].why, whole["e"].points) == ("is not graded any more", -4)


def test_the_same_change_is_one_row_and_a_question_that_is_new_is_named_once() -> None:
    """Of many students: each question with its count, each kind of change with who it is, the largest first."""
    after = a_report(a_test("1", "FAILED"), a_test("2", "PASSED"), *BEFORE["tests"][2:-1], a_test("9", "PASSED"))
    other = a_report(a_test("1", "PASSED"), a_test("2", "PASSED"), *BEFORE["tests"][2:-1], a_test("9", "PASSED"))
    old = {name: Graded(name.upper(), BEFORE) for name in "abc"}
    new = {name: Graded(name.upper(), report) for name, report in zip("abc", (after, other, other), strict=True)}

    comparison = compare_gradings(old, new)

    moves = {move.number: (move.count, move.mean_change, move.is_new, move.is_gone) for move in comparison.questions}
    assert moves == {
        "1": (1, -2, False, False),
        "2": (3, 2, False, False),
        "4": (3, -2, False, True),
        "9": (3, 2, True, False),
    }
    assert [(group.changes[0].number, [change.who for change in group.changes]) for group in comparison.groups] == [
        ("2", ["A", "B", "C"]),
        ("1", ["A"]),
    ]
    assert (comparison.total_before, comparison.total_after) == (18, 22)


def test_what_became_hidden_is_said() -> None:
    """A question that students saw and do not see any more; not one that was hidden before, or is shown now."""
    seen, unseen = a_test("1", "PASSED"), a_test("2", "PASSED", visibility="hidden")
    before = a_report(seen, unseen, a_test("3", "PASSED"))
    after = a_report(
        {**seen, "visibility": "after_published"}, {**unseen, "visibility": "visible"}, a_test("3", "PASSED")
    )

    assert compare_gradings({"s": graded(before)}, {"s": graded(after)}).now_hidden == ("1",)


def test_a_class_is_not_compared_with_one_submission(tmp_path: Path) -> None:
    """Staff read which is which."""
    folder = write_class(a_class(a_graded("x", BEFORE)), tmp_path / "class")
    (tmp_path / "results.json").write_text(json.dumps(BEFORE))

    for arguments in ([folder, tmp_path / "results.json"], [tmp_path, folder]):
        error = CliRunner().invoke(main, ["diff", *map(str, arguments)]).exception
        assert isinstance(error, StaffError)
        assert error.happened.startswith(f"{folder} is a class, and ")
    assert CliRunner().invoke(main, ["diff", str(folder), str(folder)]).exit_code == 0


def test_the_command_prints_a_table_and_writes_csv(tmp_path: Path) -> None:
    """Two files in, a table with the reason and a summary out, the same in CSV."""
    after = a_report(a_test("1", "PASSED"), a_test("2", "PASSED"), *BEFORE["tests"][2:])
    for name, report in (("old.json", BEFORE), ("new.json", after)):
        (tmp_path / name).write_text(json.dumps(report))
    arguments = ["diff", *(str(tmp_path / name) for name in ("old.json", "new.json")), "--csv", str(tmp_path / "d.csv")]

    shown = CliRunner().invoke(main, arguments).output

    assert "FAILED → PASSED" in shown
    assert "1 up, 0 down, 0 the same; mean change +2.00 points" in shown
    header, row = csv.reader((tmp_path / "d.csv").read_text(encoding="utf-8").splitlines())
    assert dict(zip(header, row, strict=True))["change"] == "2.0"


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"])
def test_what_is_no_grading_says_so(tmp_path: Path, content: str | None) -> None:
    """A file that is not there, or something else, is an error with the next step."""
    if content is not None:
        (tmp_path / "results.json").write_text(content)

    with pytest.raises(StaffError, match=r"or the results\.json in it"):
        read_grading(tmp_path / "results.json")
