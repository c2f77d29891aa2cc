"""The committed tolerances: each was measured, lies between right and wrong, and is the one that its check uses."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import jsonschema
import numpy as np
import pytest
import torch

from grader.checks import compare
from grader.checks.exam import CaseAnswer, Check
from grader.contract import Function
from grader.errors import StaffError
from grader.trust.calibration import (
    LEAST_SEPARATION,
    ROUNDING,
    Entry,
    Measured,
    Sides,
    as_json,
    choose,
    exempt_checks,
    reason_for_none,
    write_table,
)
from grader.trust.plot import plot_calibration
from grader.trust.recompute import Condition, can_be_recomputed, conditions, recompute
from homework.answers import ANSWERS
from homework.homework import HOMEWORK
from tests.known import CHECKS

SCHEMA = Path(compare.__file__).parents[1] / "schemas" / "calibration.schema.json"
TABLE = json.loads(HOMEWORK.calibration.read_text(encoding="utf-8"))
REFERENCE = ANSWERS.reference
ENTRIES = [(key, name) for key, names in TABLE["checks"].items() for name in names]
MEASURED = [(key, name) for key, name in ENTRIES if TABLE["checks"][key][name]["kind"] == "float"]


def prepared_errors(check: Check) -> dict[str, float]:
    """Return the names that a check holds errors against, with those of its own right answers."""
    assert check.errors is not None
    exam = check.prepare(torch.Generator().manual_seed(1))
    flags = {"hidden": np.ones(()), "solver": np.ones(())}
    return check.errors(exam, [CaseAnswer({**case.expected, **flags}) for case in exam.cases])


def test_the_table_follows_its_schema() -> None:
    """What is committed is what the schema describes."""
    jsonschema.validate(TABLE, json.loads(SCHEMA.read_text(encoding="utf-8")))


def test_every_check_is_in_the_table_or_exempt_with_a_reason() -> None:
    """A new check needs a measurement, or a reason for having none."""
    assert TABLE["exempt"] == exempt_checks(HOMEWORK)
    assert set(TABLE["checks"]) == set(CHECKS) - set(TABLE["exempt"])


@pytest.mark.parametrize(("key", "name"), ENTRIES)
def test_the_tolerance_of_a_check_is_that_of_the_table(key: str, name: str) -> None:
    """What a check compares with is what was measured, and nothing typed beside it."""
    tolerance, entry = CHECKS[key].tolerance(name), TABLE["checks"][key][name]

    assert (tolerance.relative, tolerance.kind) == (entry["tolerance"], entry["kind"])


@pytest.mark.parametrize(("key", "name"), MEASURED)
def test_a_tolerance_lies_between_right_and_wrong(key: str, name: str) -> None:
    """It is twenty spreads or more, below the nearest wrong answer, and that is a hundred spreads off."""
    entry = TABLE["checks"][key][name]
    spread = max(entry["spread"], ROUNDING)

    assert 19.9 * spread <= entry["tolerance"] <= entry["nearest"] / 4
    assert entry["separation"] >= LEAST_SEPARATION
    assert entry["separation"] == pytest.approx(entry["nearest"] / spread, rel=0.02)


CHEAP = [key for key in TABLE["checks"] if CHECKS[key].aspect == "generality" or CHECKS[key].part != "vision"]


@pytest.mark.parametrize("key", CHEAP)
def test_every_error_of_a_check_has_its_tolerance(key: str) -> None:
    """The errors that a check reports are those in the table, and the reference's own answers have none."""
    errors = prepared_errors(CHECKS[key])

    assert set(errors) <= set(TABLE["checks"][key])
    assert {name for name, entry in TABLE["checks"][key].items() if entry["kind"] == "float"} <= set(errors)
    assert all(error <= 1e-7 for error in errors.values())


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("meta_update_classification.output", {"hidden": np.zeros(())}),
        ("meta_update_classification.gradient", {"hidden": np.zeros(())}),
        ("test_classification.output", {"solver": np.zeros(())}),
        ("test_zero_classification.output", {"mean": np.array(0.5), "high": np.array(0.51), "low": np.array(0.49)}),
    ],
)
def test_what_a_band_judges_says_nothing_of_a_tolerance(key: str, change: Mapping[str, np.ndarray]) -> None:
    """Points, solvers and guesses of one's own are right by chance's measure: calibration leaves such answers out."""
    check = CHECKS[key]
    assert check.errors is not None
    exam = check.prepare(torch.Generator().manual_seed(1))
    answers = [
        CaseAnswer({**case.expected, "hidden": np.ones(()), "solver": np.ones(()), **change}) for case in exam.cases
    ]

    assert all(np.isinf(error) for error in check.errors(exam, answers).values())


def test_the_middle_is_geometric_and_rounding_counts() -> None:
    """Between 1e-6 and 1e-2 lies 1e-4; an exact spread counts as one rounding of float32."""
    sides = Sides(Measured(1e-6, "float64"), [Measured(1e-2, "near"), Measured(0.5, "far"), Measured(2e-6, "hidden")])
    exact = Sides(Measured(0.0, "float64"), [Measured(1.0, "wrong")])

    entry = choose(sides, key="x")
    assert (entry.tolerance, entry.nearest, entry.nearest_by, entry.separation) == (1e-4, 1e-2, "near", 1e4)
    assert choose(exact, key="x").tolerance == pytest.approx(ROUNDING**0.5, rel=0.02)


def test_a_tolerance_never_comes_near_to_rounding() -> None:
    """Where the middle lies below twenty spreads, twenty spreads are allowed."""
    entry = choose(Sides(Measured(1e-6, "a"), [Measured(2e-4, "b")]), key="x")

    assert entry.tolerance == 2e-5


@pytest.mark.parametrize(
    ("wrong", "complaint"),
    [
        ([Measured(9.9e-5, "near")], "asks too weakly.*'near'"),
        ([], "No wrong answer shows"),
        ([Measured(1e-6, "same")], "No wrong answer shows"),
    ],
)
def test_what_cannot_be_told_apart_is_refused(wrong: list[Measured], complaint: str) -> None:
    """Less than a hundred spreads between right and wrong, or nothing wrong at all, chooses no tolerance."""
    with pytest.raises(StaffError, match=complaint):
        choose(Sides(Measured(1e-6, "a"), wrong), key="x")


def test_a_check_without_errors_needs_a_reason() -> None:
    """Leaving the measurement out is a decision that somebody writes down."""
    check = CHECKS["patchify.output"]
    silent = Check(Function("f", "vision", "n.ipynb"), "output", check.prepare, check.judge, check.calibration)

    assert reason_for_none(check) == ""
    with pytest.raises(StaffError, match=r"f\.output holds no errors"):
        reason_for_none(silent)


@pytest.mark.parametrize("key", ["random_masking.generality", "MaskedAutoEncoder.forward_decoder.generality"])
@pytest.mark.parametrize("condition", conditions(), ids=lambda condition: condition.name)
def test_conditions_change_rounding_alone(key: str, condition: Condition) -> None:
    """Under every condition the reference gives its own answer up to rounding."""
    check = CHECKS[key]
    assert check.errors is not None
    exam = check.prepare(torch.Generator().manual_seed(2))

    errors = check.errors(exam, recompute(REFERENCE, check, exam, condition))

    assert max(errors.values()) < 1e-6


def test_gradients_are_recomputed_too() -> None:
    """A recomputed gradient check has the right gradients, and sums in another order are really in another order."""
    check = CHECKS["MaskedAutoEncoder.forward_decoder.gradient"]
    assert check.errors is not None
    exam = check.prepare(torch.Generator().manual_seed(2))
    split = next(each for each in conditions() if each.name == "sums in another order")

    error = check.errors(exam, recompute(REFERENCE, check, exam, split))["gradient"]

    assert 0 < error < 1e-5
    assert can_be_recomputed(check, REFERENCE)


def test_the_table_is_written_and_drawn(tmp_path: Path) -> None:
    """A small table comes back from its file, follows the schema, and every tolerance of it is in the picture."""
    float_entry = choose(Sides(Measured(1e-6, "a"), [Measured(1e-2, "b")]), key="x")
    table = {"f.output": {"y": float_entry, "mask": Entry("mask")}}
    counts = {"right_variants": 1, "mutants": 1, "wrong_submissions": 0}

    path = write_table(as_json(table, exempt={}, counts=counts), tmp_path / "new" / "table.json")
    content = json.loads(path.read_text(encoding="utf-8"))
    jsonschema.validate(content, json.loads(SCHEMA.read_text(encoding="utf-8")))
    svg = plot_calibration(content, tmp_path / "plot.svg").read_text(encoding="utf-8")

    assert content["checks"]["f.output"]["y"]["tolerance"] == 1e-4
    assert "f.output  y" in svg
    assert "f.output  mask" not in svg
