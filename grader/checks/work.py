"""
Whether an answer shows work: its outputs follow the inputs that they must depend on.

Some questions ask for an absence, a property of something random, or a number that is public. What returns zeros, noise
or a constant can have all of these, so such a question earns its points only beside values that somebody computed. They
need not be right: code with a slip in it moves with its inputs, and twice as far where these do.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from grader.checks.exam import Case, CaseAnswer, Exam
from grader.wire import Array, Arrays

# Of the typical element of an input: float32 shows it, and what the homework asks for is nearly linear over it.
_NUDGE = 0.01
_STILL = 1e-5  # relative: less is rounding
_BENT = 0.3  # how far twice the nudge may be from moving twice as far; what is unrelated is off by 1 or more


def nudged(exam: Exam) -> Exam:
    """
    Return an exam that asks the first case again and again, with one input after the other a little aside.

    The first case stands there twice as it is: the first time, a module is built, which may draw random numbers. For
    each input of real numbers follow two, the second of them twice as far aside. All have the same seed, so what is
    drawn at random is drawn alike.
    """
    first = exam.cases[0]
    inputs = {name: array for name, array in first.inputs.items() if not name.startswith("cotangent/")}
    expected = {name: array for name, array in first.expected.items() if not name.startswith("gradient/")}
    base = replace(first, inputs=inputs, expected=expected)
    aside = [_aside(base, name, times) for name in _movable(inputs) for times in (1, 2)]
    return replace(exam, cases=[base, base, *aside])


def moves(exam: Exam, answers: Sequence[CaseAnswer]) -> bool:
    """
    Return whether some output follows every input.

    Args:
        exam: of `nudged`.
        answers: what came home.
    """
    names = _movable(exam.cases[0].inputs)
    return bool(names) and any(
        all(
            _follows(*(answers[place].get(output) for place in (1, 2 + 2 * index, 3 + 2 * index)))
            for index in range(len(names))
        )
        for output in exam.cases[0].expected
    )


def _movable(inputs: Arrays) -> list[str]:
    return [name for name, array in inputs.items() if array.dtype.kind == "f" and array.size]


def _aside(case: Case, name: str, times: int) -> Case:
    array = case.inputs[name]
    direction = np.random.default_rng(0).normal(size=array.shape)
    step = times * _NUDGE * float(np.sqrt(np.mean(np.square(array, dtype=np.float64))))
    return replace(case, inputs={**case.inputs, name: (array + step * direction).astype(array.dtype)})


def _follows(still: Array | None, once: Array | None, twice: Array | None) -> bool:
    if still is None or once is None or twice is None or not still.shape == once.shape == twice.shape:
        return False
    start, first, second = (np.asarray(array, dtype=np.float64) for array in (still, once, twice))
    if not all(np.all(np.isfinite(array)) for array in (start, first, second)):
        return False
    moved, further = first - start, second - start
    far = float(np.linalg.norm(moved))
    return far > _STILL * float(np.linalg.norm(start)) and bool(
        np.linalg.norm(further - 2 * moved) < _BENT * np.linalg.norm(further)
    )
