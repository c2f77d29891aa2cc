"""The trust report: what counts as a finding, and what staff see."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grader.commands.trust import require_trust
from grader.contract import Function
from grader.errors import StaffError
from grader.trust.cases import Changes
from grader.trust.catalogue import WrongSubmission
from grader.trust.mutants import Mutant
from grader.trust.mutation import Fate, Judgements, Placed, Score
from grader.trust.report import TrustReport, render, write_report
from grader.trust.report_measure import Repeats, RightFound, WrongFound, one_of_each_function, repeated_submissions
from homework.homework import HOMEWORK

ENTRY = {
    "kind": "float",
    "tolerance": 1e-4,
    "spread": 1e-6,
    "spread_by": "float64 inside",
    "nearest": 1e-2,
    "nearest_by": "f.wrong",
    "separation": 1e4,
}
TABLE: dict[str, Any] = {
    "measured": {"torch": "2", "machine": "x86_64", "instructions": "AVX2", "cuda": "not measured"},
    "checks": {"f.output": {"y": ENTRY, "mask": {"kind": "mask", "tolerance": 0.0}}},
    "exempt": {"f.behaviour": "It is compared exactly."},
}
CAUGHT = WrongFound("inverted", "The mask <is> inverted.", ("f.output",), ("f.output",), "f.inverted", ("f.inverted",))


def a_fate(before: str, caught_by: str) -> Fate:
    """Return the fate of a mutant."""
    return Fate(Placed(Function("f", "vision", "n.ipynb"), Mutant("f", "constant", before, "b", "")), caught_by)


GOOD = TrustReport(
    quick=False,
    wrong=[CAUGHT],
    right=[RightFound("loops", "Loops in place of slices.", ())],
    repeats=Repeats(("solved",), 20, 1000, ()),
    mutants=Score([a_fate("a", "f.output")] * 20, Judgements({}, {}, {})),
    table=TABLE,
)


def test_a_grader_that_can_be_trusted_has_no_findings() -> None:
    """All caught, isolated and named, nothing wrongly failed, no flips, wide separations: the gate is open."""
    assert GOOD.problems == []
    require_trust(GOOD)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"wrong": [replace(CAUGHT, lost=())]}, "A mistake was missed: inverted"),
        ({"wrong": [replace(CAUGHT, lost=("f.output", "g.output"))]}, "inverted lost g.output as well."),
        ({"wrong": [replace(CAUGHT, expected=("f.output", "h.output"))]}, "inverted kept h.output."),
        ({"wrong": [replace(CAUGHT, named=("f.other",))]}, "A wrong mistake was named: inverted was called f.other."),
        ({"right": [RightFound("loops", "Loops.", ("f.output",))]}, "A right variant lost points: loops at f.output."),
        (
            {"repeats": Repeats(("solved",), 20, 1000, ("f.output of solved",))},
            "between repetitions: f.output of solved",
        ),
        ({"table": {**TABLE, "checks": {"f.output": {"y": {**ENTRY, "separation": 99.0}}}}}, "f.output y separates"),
        ({"mutants": Score([a_fate("a", "x"), a_fate("c", "")], Judgements({}, {}, {}))}, "Only 50.0% of the mutants"),
        (
            {"mutants": Score([a_fate("a", "x"), a_fate("c", "")], Judgements({}, {}, {}))},
            "nobody has judged: f: c → b",
        ),
    ],
)
def test_what_must_not_be_is_told(change: dict[str, Any], problem: str) -> None:
    """Each thing that can be wrong is one sentence, and closes the gate."""
    report = replace(GOOD, **change)

    assert any(problem in each for each in report.problems), report.problems
    with pytest.raises(StaffError, match="cannot be trusted"):
        require_trust(report)


def test_no_name_is_no_finding() -> None:
    """A mistake without a diagnosis is counted; where none is known, nothing is compared."""
    absent, unknown = replace(CAUGHT, named=()), replace(CAUGHT, hint=None)
    report = replace(GOOD, wrong=[CAUGHT, absent, unknown])

    assert report.problems == []
    assert report.as_json()["wrong"]["diagnosis"] == {"right": 1, "absent": 1, "wrong": 0}


def test_the_page_and_the_numbers_say_the_same(tmp_path: Path) -> None:
    """trust.json holds the figures, the page shows them, and what students wrote is text in it."""
    bad = replace(GOOD, right=[RightFound("loops", "Loops.", ("f.output",))])

    written = write_report(bad, tmp_path / "trust")

    numbers = json.loads((tmp_path / "trust" / "trust.json").read_text(encoding="utf-8"))
    page = (tmp_path / "trust" / "trust.html").read_text(encoding="utf-8")
    assert [path.name for path in written] == ["trust.json", "calibration.svg", "trust.html"]
    assert numbers["right"] == {"graded": 1, "wrongly_failed": {"loops": ["f.output"]}}
    assert numbers["tolerances"] == {"measured": 1, "separations": {"f.output y": 1e4}}
    assert numbers["mutants"]["score"] == 1.0
    assert "A right variant lost points: loops at f.output." in page
    assert "The mask &lt;is&gt; inverted." in page
    assert page.count("<svg") == 1
    assert "quick subset" not in page
    assert "quick subset" in render(replace(GOOD, quick=True), "<svg></svg>")


def test_the_quick_subset_has_each_function_once() -> None:
    """One mistake for each function, the one whose name is known before others."""
    named = WrongSubmission("a", "", Changes(), frozenset({"f.output", "f.gradient"}), "f.hint")
    unnamed = WrongSubmission("b", "", Changes(), frozenset({"f.output"}))
    other = WrongSubmission("c", "", Changes(), frozenset({"g.output"}))

    assert one_of_each_function([unnamed, other, named]) == [named, other]


def test_what_is_repeated_is_known() -> None:
    """The solved homework, and right and wrong submissions of both halves, are there under their names."""
    assert len(repeated_submissions(HOMEWORK)) == 5
