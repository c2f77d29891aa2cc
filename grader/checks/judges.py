"""The ways to judge that most questions share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from grader.checks.compare import Tolerance, compare, compare_form, error_of, right_already
from grader.checks.exam import Case, CaseAnswer, Check, Exam
from grader.verdicts import Evidence, failed, passed
from grader.wire import Array

_GO_THROUGH = (
    "Run the notebook's self-check for this piece; then go through the steps under *Asked* in order, and print the "
    "shape and a few values after each."
)
_MANY = 4  # names listed in one sentence before it is cut


def judge_outputs(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    """
    Every output equals the reference's, in every case; remarks if inputs were changed.

    What is said of wrong outputs is about the first case in which there are any; an output is right already if it is
    so in all of them.
    """
    findings = [
        {
            name: sentence
            for name, expected in case.expected.items()
            if (sentence := compare(answer.get(name), expected, check.tolerance(name), name=name))
        }
        for case, answer in zip(exam.cases, answers, strict=True)
    ]
    for case, answer, found in zip(exam.cases, answers, findings, strict=True):
        if found:
            advice = (_axis_advice(answer.get(name), right, name=name) for name, right in case.expected.items())
            right = tuple(name for name in case.expected if not any(name in each for each in findings))
            told = right_already(tuple(f"`{name}`" for name in right))
            evidence = failed(*found.values(), *told, try_next=next(filter(None, advice), _GO_THROUGH))
            return replace(evidence, right=right)
    changed = changed_inputs(exam, answers)
    notes = (
        (f"Your function changes its argument `{changed[0]}` in place; callers rarely expect that.",) if changed else ()
    )
    return passed(notes=notes)


def _axis_advice(student: Array | None, reference: Array, *, name: str) -> str:
    """Return what to do about one dimension of size 1 too many or too few, or an empty string for anything else."""
    if student is None:
        return ""
    mine, right = student.shape, reference.shape
    for axis in range(max(len(mine), len(right))):
        if mine[axis : axis + 1] == (1,) and mine[:axis] + mine[axis + 1 :] == right:
            return (
                f"`{name}` has one dimension of size 1 too many, at index {axis}. A slice such as `[:1]` keeps its "
                "dimension, and an index such as `[0]` takes it away; `.squeeze` does so later."
            )
        if right[axis : axis + 1] == (1,) and right[:axis] + right[axis + 1 :] == mine:
            return (
                f"`{name}` lacks the dimension of size 1 at index {axis}. An index such as `[0]` takes its dimension "
                "away, as `.squeeze` does; a slice such as `[:1]` keeps it."
            )
    return ""


def judge_gradients(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    """
    Every gradient equals the reference's.

    Expected arrays are named "gradient/<input or parameter>", and the outputs themselves, whose shapes are looked
    at first: an output of the wrong shape has no gradient that could be compared.
    """
    for case, answer in zip(exam.cases, answers, strict=True):
        outputs = {name: array for name, array in case.expected.items() if not name.startswith("gradient/")}
        for name, expected in outputs.items():
            mine = answer.get(name)
            if mine is None or mine.shape != expected.shape:
                return failed(compare_form(mine, expected, name=name))
        gradients = _gradients_of(case)
        cut = [name for name in gradients if answer.get(f"gradient/{name}") is None]
        if cut:
            return failed(
                f"No gradient reaches {_list_names(cut)}.",
                try_next="Look for `.detach()`, `.data`, `.item()`, `torch.no_grad()`, a detour through numpy, or a "
                "parameter that your forward pass never uses.",
            )
        tolerance = replace(check.tolerance("gradient"), floor=_gradient_floor(gradients))
        wrong = [
            (name, sentence)
            for name, expected in gradients.items()
            if (sentence := _compare_gradient(answer.get(f"gradient/{name}"), expected, tolerance, name=name))
        ]
        if wrong:
            names = _list_names([name for name, _ in wrong])
            return failed(f"The gradient is wrong with respect to {names}.", wrong[0][1])
    return passed()


def _compare_gradient(mine: Array | None, right: Array, tolerance: Tolerance, *, name: str) -> str:
    return compare(mine, right, tolerance, name=f"The gradient of `{name}`", is_code=False)


def judge_unchanged(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    """
    Inputs are after the call what they were before.

    Outputs need the right shapes and no more: a stub must not earn what any function that does nothing would.
    """
    for case, answer in zip(exam.cases, answers, strict=True):
        for name, expected in case.expected.items():
            mine = answer.get(name)
            if mine is None or mine.shape != expected.shape:
                return failed(compare_form(mine, expected, name=name))
    changed = changed_inputs(exam, answers)
    if changed:
        return failed(
            f"After the call, {_list_names(changed)} is no longer what it was before.",
            try_next="Build new tensors instead of writing into the arguments; `x[...] = 0` and methods whose "
            "names end in `_` write in place.",
        )
    return passed()


def changed_inputs(exam: Exam, answers: Sequence[CaseAnswer]) -> list[str]:
    """Return the names of inputs that a call changed."""
    return sorted(
        {
            name
            for case, answer in zip(exam.cases, answers, strict=True)
            for name, before in case.inputs.items()
            if not name.startswith("cotangent/") and not _same(answer.get(f"after/{name}"), before)
        }
    )


def _same(after: Array | None, before: Array) -> bool:
    return after is not None and after.shape == before.shape and np.array_equal(after, before)


def output_errors(exam: Exam, answers: Sequence[CaseAnswer]) -> dict[str, float]:
    """Return the largest error of each output over the cases, as `judge_outputs` holds it against its tolerance."""
    return {
        name: max(
            error_of(answer.get(name), case.expected[name]) for case, answer in zip(exam.cases, answers, strict=True)
        )
        for name in exam.cases[0].expected
    }


def gradient_errors(exam: Exam, answers: Sequence[CaseAnswer]) -> dict[str, float]:
    """Return the largest error of all gradients, as `judge_gradients` holds it against its one tolerance."""
    largest = 0.0
    for case, answer in zip(exam.cases, answers, strict=True):
        gradients = _gradients_of(case)
        floor = _gradient_floor(gradients)
        errors = [error_of(answer.get(f"gradient/{name}"), right, floor=floor) for name, right in gradients.items()]
        largest = max(largest, *errors)
    return {"gradient": largest}


def _gradients_of(case: Case) -> dict[str, Array]:
    prefix = "gradient/"
    return {name.removeprefix(prefix): array for name, array in case.expected.items() if name.startswith(prefix)}


def _gradient_floor(gradients: dict[str, Array]) -> float:
    """
    Return a thousandth of the typical gradient element.

    Some gradients vanish in exact arithmetic (an attention key's bias shifts every score alike); what is left of
    them is rounding, which no relative tolerance could hold.
    """
    squares = sum(float(np.sum(array.astype(np.float64) ** 2)) for array in gradients.values())
    count = sum(array.size for array in gradients.values())
    return 1e-3 * float(np.sqrt(squares / max(count, 1)))


def _list_names(names: Sequence[str]) -> str:
    listed = ", ".join(f"`{name}`" for name in names[:_MANY])
    return listed + (f" and {len(names) - _MANY} more" if len(names) > _MANY else "")
