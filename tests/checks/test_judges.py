"""The shared judges, with answers made by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from grader.checks.compare import Calibration, Tolerance, right_already
from grader.checks.exam import Case, CaseAnswer, Check, Exam
from grader.checks.judges import changed_inputs, judge_gradients, judge_outputs, judge_unchanged
from grader.contract import MASK, Function, Output
from grader.verdicts import Verdict
from grader.wire import Arrays


def unused(_: torch.Generator) -> Exam:
    """Stand in for a check's `prepare`, which these tests do not need."""
    raise AssertionError


class Measured(Calibration):
    """Tolerances that nobody had to measure."""

    def tolerance(self, check: str, name: str) -> Tolerance:
        """Return the tolerance of values or of gradients."""
        return {"y": Tolerance(1e-4), "gradient": Tolerance(1e-3)}[name]


SUBJECT = Function("f", "vision", "notebook.ipynb", takes=("x",), returns=(Output("y"), Output("mask", MASK)))
CHECK = Check(SUBJECT, "output", unused, judge_outputs, Measured(Path("nowhere")))
INPUTS: Arrays = {"x": np.arange(6.0).reshape(2, 3), "cotangent/y": np.ones((2, 3))}
EXPECTED: Arrays = {"y": np.full((2, 3), 2.0), "mask": np.array([0.0, 1.0])}


def exam(expected: Arrays, cases: int = 2) -> Exam:
    """Return an exam of equal cases."""
    return Exam({}, {}, [Case(INPUTS, expected) for _ in range(cases)])


def answers(*changes: dict[str, Any]) -> list[CaseAnswer]:
    """Return right answers to each case, with changes; None takes an array out."""
    found = []
    for change in changes:
        arrays = {**EXPECTED, "after/x": INPUTS["x"], **change}
        found.append(CaseAnswer({name: array for name, array in arrays.items() if array is not None}))
    return found


def test_right_outputs_pass() -> None:
    """All points, nothing to say."""
    evidence = judge_outputs(CHECK, exam(EXPECTED), answers({}, {}))

    assert (evidence.verdict, evidence.fraction, evidence.findings, evidence.notes) == (Verdict.PASSED, 1.0, (), ())


def test_a_wrong_second_case_fails() -> None:
    """Every case counts, and every wrong output of it is named."""
    evidence = judge_outputs(CHECK, exam(EXPECTED), answers({}, {"y": EXPECTED["y"] + 1, "mask": np.array([1.0, 0.0])}))

    assert (evidence.verdict, evidence.fraction) == (Verdict.FAILED, 0.0)
    assert [finding.split()[0] for finding in evidence.findings] == ["`y`", "`mask`"]


def test_a_missing_output_fails() -> None:
    """What did not come back is not right."""
    findings = judge_outputs(CHECK, exam(EXPECTED), answers({"mask": None}, {})).findings

    assert findings == ("`mask` did not come back.", "Right already: `y`.")


def test_of_several_outputs_those_that_are_right_in_every_case_are_named() -> None:
    """What is wrong in one case only is not right, and where nothing is right nothing is said of it."""
    wrong_y, wrong_mask = {"y": EXPECTED["y"] + 1}, {"mask": np.array([1.0, 0.0])}
    one, one_each, both = (
        judge_outputs(CHECK, exam(EXPECTED), answers(*changes)).findings
        for changes in (({}, wrong_y), (wrong_y, wrong_mask), (wrong_y | wrong_mask, {}))
    )

    assert one[-1] == "Right already: `mask`."
    assert len(one_each) == 1
    assert [finding.split()[0] for finding in both] == ["`y`", "`mask`"]


@pytest.mark.parametrize(
    ("outputs", "sentence"),
    [
        ((), ()),
        (("`y`",), ("Right already: `y`.",)),
        (("The mean error", "The loss"), ("Right already: the mean error and the loss.",)),
        (("`a`", "`b`", "`C`"), ("Right already: `a`, `b` and `C`.",)),
    ],
)
def test_the_sentence_on_right_outputs(outputs: tuple[str, ...], sentence: tuple[str, ...]) -> None:
    """A list as people write it; names in code stay as they are."""
    assert right_already(outputs) == sentence


@pytest.mark.parametrize(
    ("shape", "advice"),
    [
        ((2, 1, 3), "`y` has one dimension of size 1 too many, at index 1."),
        ((2, 3, 1), "`y` has one dimension of size 1 too many, at index 2."),
        ((3, 2), "Run the notebook's self-check"),
        ((1, 3), "Run the notebook's self-check"),
    ],
)
def test_a_dimension_of_one_too_many_is_told_apart_from_other_shapes(shape: tuple[int, ...], advice: str) -> None:
    """A forgotten squeeze gets advice of its own; any other wrong shape gets the general one."""
    evidence = judge_outputs(CHECK, exam(EXPECTED), answers({"y": np.ones(shape)}, {}))

    assert evidence.try_next.startswith(advice)


def test_a_dimension_of_one_that_is_lacking_is_named() -> None:
    """An index took away a dimension that a slice would have kept."""
    expected = {**EXPECTED, "y": np.full((2, 1, 3), 2.0)}

    evidence = judge_outputs(CHECK, exam(expected), answers({}, {}))

    assert evidence.try_next.startswith("`y` lacks the dimension of size 1 at index 1.")


def test_the_tolerance_of_an_output_is_its_own() -> None:
    """A mask is judged as a mask, whatever the other outputs allow."""
    near = {"mask": np.array([0.0, 1.0 + 1e-9])}

    assert judge_outputs(CHECK, exam(EXPECTED), answers(near, {})).verdict is Verdict.FAILED


def test_a_changed_argument_costs_nothing_where_values_are_asked() -> None:
    """It is a remark in the report on values, and a failure where it is the question."""
    changed = answers({}, {"after/x": INPUTS["x"] + 1})

    assert judge_outputs(CHECK, exam(EXPECTED), changed).notes == (
        "Your function changes its argument `x` in place; callers rarely expect that.",
    )
    evidence = judge_unchanged(CHECK, exam(EXPECTED), changed)
    assert evidence.findings == ("After the call, `x` is no longer what it was before.",)
    assert judge_unchanged(CHECK, exam(EXPECTED), answers({}, {})).passed


def test_an_argument_that_lost_its_values_counts_as_changed() -> None:
    """Another shape, or none at all, is a change; cotangents are no arguments."""
    assert changed_inputs(exam(EXPECTED), answers({"after/x": INPUTS["x"].T}, {})) == ["x"]
    assert changed_inputs(exam(EXPECTED), answers({"after/x": None}, {})) == ["x"]


def test_a_stub_does_not_earn_the_point_for_leaving_things_alone() -> None:
    """Arguments are as they were after a function that does nothing; its outputs show that it does nothing."""
    evidence = judge_unchanged(CHECK, exam(EXPECTED), answers({"y": np.zeros(())}, {}))

    assert evidence.findings == ("`y` has shape (); it should be (2, 3).",)


GRADIENTS: Arrays = {"y": EXPECTED["y"], "gradient/x": np.ones((2, 3)), "gradient/w": np.full(4, 100.0)}


def judge(**changes: Any) -> Any:
    """Judge right gradients with changes."""
    arrays = {**GRADIENTS, **{name.replace("__", "/"): array for name, array in changes.items()}}
    given = [CaseAnswer({name: array for name, array in arrays.items() if array is not None})]
    return judge_gradients(CHECK, exam(GRADIENTS, 1), given)


def test_right_gradients_pass() -> None:
    """Values of the outputs are another question's matter."""
    assert judge().passed
    assert judge(y=EXPECTED["y"] + 1).passed


def test_both_sides_of_the_tolerance_of_gradients() -> None:
    """Half a thousandth is rounding; two thousandths are wrong, and the parameter is named."""
    assert judge(gradient__x=np.full((2, 3), 1.0005)).passed
    evidence = judge(gradient__w=np.full(4, 100.2))
    assert evidence.findings[0] == "The gradient is wrong with respect to `w`."
    assert evidence.findings[1].startswith("The gradient of `w` has the right shape (4,), but all 4 elements differ.")


def test_a_gradient_that_vanishes_may_hold_rounding() -> None:
    """Rounding is measured by the size of all gradients; what is more than rounding is not."""
    expected = {**GRADIENTS, "gradient/b": np.zeros(4)}

    def with_noise(noise: float) -> Any:
        given = [CaseAnswer({**expected, "gradient/b": np.full(4, noise)})]
        return judge_gradients(CHECK, exam(expected, 1), given)

    assert with_noise(1e-5).passed
    assert with_noise(1.0).findings[0] == "The gradient is wrong with respect to `b`."


def test_a_cut_graph_is_told_with_what_cuts_it() -> None:
    """No gradient is another mistake than a wrong one."""
    evidence = judge(gradient__x=None)

    assert evidence.findings == ("No gradient reaches `x`.",)
    assert "`.detach()`" in evidence.try_next


def test_long_lists_of_parameters_are_cut() -> None:
    """Four names are enough to see where."""
    expected = {"y": EXPECTED["y"], **{f"gradient/p{index}": np.ones(2) for index in range(7)}}
    evidence = judge_gradients(CHECK, exam(expected, 1), [CaseAnswer({"y": EXPECTED["y"]})])

    assert evidence.findings == ("No gradient reaches `p0`, `p1`, `p2`, `p3` and 3 more.",)


def test_nan_is_no_gradient() -> None:
    """A gradient of NaN fails by name."""
    assert "NaN or infinite" in judge(gradient__x=np.full((2, 3), np.nan)).findings[1]


def test_an_output_of_another_shape_is_told_before_its_gradient() -> None:
    """Its gradient could not be compared."""
    evidence = judge(y=np.zeros(3), gradient__x=None)

    assert evidence.findings == ("`y` has shape (3,); it should be (2, 3).",)
    assert judge(y=None).findings == ("`y` did not come back.",)
