"""The rows of hostile and malformed submissions: a few in every run, all of them with --slow."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.hostile.__main__ import TABLE, judged, run
from tests.hostile.cases import LOST_VERDICTS, all_rows, place_of_case

ROWS = all_rows()
# The ids of the list of threats; they have gaps. A row that goes must leave this list with a reason.
IDS = """
A01 A02 A03 A04 A06 A07 A09 A10 A11 A12 A14 A16 A17 A18 A19 A20 A21
B01 B02 B04 B06 B07 B08 B09 B11 B12 B13 B15 B16
C01 C02 C04 C06 C08 C10 C11 C12 C14 C15 C16 C18 C19
D01 D02 D03 D05 D06 D07 D08 D09 D11 D12 D14 D16 D17 D19 D20 D21 D22 D23 D24
E01 E02 E03 E05 E06 E07 E08 E09 E11 E12 E13 E16 E18 E19 E20 E21 E22 E23 E25 E26
F01 F02 F04 F06 F07 F08 F09 F10 F12 F13 F15 F16
G01 G02 G03 G04 G06 G07 G11 G13 G14 G15
""".split()  # noqa: SIM905 # a list of a hundred literals is no easier to read


def problems(found: list[dict[str, Any]]) -> list[str]:
    """Return what was not as it must be."""
    return [f"{item['name']}: {problem}" for item in found for problem in item["problems"]]


def test_every_row_of_the_list_is_there() -> None:
    """Each threat has a file of its own or points at a case that is one."""
    assert {row.id for row in ROWS} == set(IDS)
    for row in ROWS:
        assert row.about.endswith("."), row.name
        assert bool(row.same_as) + bool(row.attack or row.bodies or row.files or row.made_by or row.cells_after) == 1, (
            row
        )
        assert not [name for name in row.same_as if not place_of_case(name).exists()], row.name


def test_attacks_gain_nothing_and_cost_nothing_else(tmp_path: Path) -> None:
    """One of each kind, alone and inside a perfect submission, and both controls."""
    found = run(tmp_path, rows=["A02", "B11", "E09"], quick=True, servers=2)

    assert problems(found) == []
    assert [item["verdicts"] for item in found[:2]] == [["PASSED"], ["FAILED"]]


@pytest.mark.slow
def test_all_attacks_gain_nothing_and_cost_nothing_else(tmp_path: Path) -> None:
    """Every row."""
    assert problems(run(tmp_path, servers=2)) == []


JOB: dict[str, Any] = {
    "name": "n",
    "row": "A01",
    "alone": False,
    "expected": {"a.output": "LOST", "b.output": "PASSED"},
    "points": {"a.output": 2.0, "b.output": 1.0},
    "says": "",
    "not_shown": ["LEAK"],
}


def outcome(**changes: Any) -> dict[str, Any]:
    """Return what the server says of a job that went as it must, with some changes."""
    tests = [
        {"extra_data": {"function": name, "aspect": "output", "verdict": verdict}, "score": score, "output": ""}
        for name, verdict, score in (("a", "FAILED", 0.0), ("b", "PASSED", 1.0))
    ]
    results = {"tests": tests, "output": "", **changes.pop("results", {})}
    return {
        "results": results,
        "status": 0,
        "left": 0,
        "seconds": 1.0,
        "log": "",
        "planted": ["other_student.py"],
    } | changes


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"status": -9}, "the grader ended with -9"),
        ({"left": 1}, "1 processes outlived"),
        ({"planted": ["x"]}, "files were planted"),
        ({"results": {"output": "LEAK"}}, "the report shows 'LEAK'"),
        ({"results": {"output": "\x1b[2J"}}, "the report shows '\\x1b'"),
        ({"results": {"output": "a secret"}}, "the report shows 'a secret'"),
        ({"results": None}, "no results.json"),
    ],
)
def test_the_judge_of_rows_sees_every_kind_of_harm(changes: dict[str, Any], found: str) -> None:
    """What would make the table lie is found."""
    told = outcome(**{key: value for key, value in changes.items() if value is not None})
    told = told | ({"results": None} if changes.get("results", 0) is None else {})
    said = judged(JOB, told, "a secret")["problems"]

    assert any(found in problem for problem in said), said


@pytest.mark.parametrize("verdict", ["PASSED", "INFRASTRUCTURE", "NOT_RUN"])
def test_a_row_is_lost_only_by_a_verdict_on_the_answer(verdict: str) -> None:
    """A point gained, and a failure of the grader that an attack brings about, are both problems."""
    told = outcome()
    told["results"]["tests"][0]["extra_data"]["verdict"] = verdict

    assert verdict not in LOST_VERDICTS
    assert any(f"a.output is {verdict} in place of LOST" in problem for problem in judged(JOB, told, "s")["problems"])


def test_points_lost_elsewhere_are_counted() -> None:
    """A bystander that lost its point is named, and the sum says how much."""
    told = outcome()
    told["results"]["tests"][1]["extra_data"]["verdict"] = "TIMEOUT"
    told["results"]["tests"][1]["score"] = 0.0
    found = judged(JOB, told, "s")

    assert (found["gained"], found["lost"]) == (0.0, 1.0)
    assert any("b.output is TIMEOUT" in problem for problem in found["problems"])


def test_the_committed_table_is_of_these_rows() -> None:
    """The table that the driver wrote names every row and no problem."""
    text = TABLE.read_text(encoding="utf-8")

    graded = {re.split(r"[=\- ]", line[2:])[0] for line in text.splitlines() if line.startswith("| ")}

    assert {row.name for row in ROWS} <= graded
    assert " 0 not as they must be." in text
