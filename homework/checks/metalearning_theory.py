"""
The checks of parts (a) to (d): hidden systems, weights, starts and steps, answered by the reference in closed form.

Shapes: n equations, d unknowns; c are the two feature weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch

from grader.checks.compare import compare, compare_form
from grader.checks.exam import Case, CaseAnswer, Check, Exam, Judge
from grader.checks.judges import judge_outputs, output_errors
from grader.verdicts import Evidence, failed, passed
from grader.wire import Array
from homework.checks.pictures import look_at_trajectory, with_pictures
from homework.checks.reference import A_BAND, CALIBRATION, REFERENCE
from homework.contract import CONTRACT
from reference.metalearning.theory import (
    descend_feature_weights,
    expected_test_error_gradient,
    min_norm_solution,
)

_CASES = 6
_STEPS = 25
# With steps of 0.05 over the unit circle's gradient c₁ has fallen to a twentieth of ‖c‖ after 2,000 of them, so the
# reference's end is 0.06 ‖c‖ from the limit at most. Twice that is allowed: a trajectory at half the speed still
# converges, which `output` judges step by step.
_LONG = 2_000
_LONG_STEP = 0.05
_NEAR = 0.12
# Of a way that is one of gradient descent: where the slope is clear, steps are a constant share of it up to rounding,
# in single precision too. A straight line or an arc of equal steps is off by more than its own size.
_CLEAR, _MISFIT = 0.05, 0.05


def numbers(generator: torch.Generator) -> np.random.Generator:
    """Return a numpy generator that depends on the torch one."""
    return np.random.default_rng(int(torch.randint(2**62, (), generator=generator)))


def _weights(draws: np.random.Generator) -> Array:
    """Feature weights c of length 0.7 to 1.4, in any quadrant, both clearly different from 0 and from each other."""
    angle = draws.integers(4) * np.pi / 2 + draws.choice([draws.uniform(0.3, 0.65), draws.uniform(0.9, 1.25)])
    return np.asarray(draws.uniform(0.7, 1.4) * np.array([np.cos(angle), np.sin(angle)]))


def _start(draws: np.random.Generator) -> Array:
    """A start for descent, c₀ > 0: (c₀, c₁) with most of the weight on the alias."""
    return np.asarray(np.abs(_weights(draws)) * np.array([1.0, draws.choice([-1.0, 1.0])]))


def _system(A: Array, draws: np.random.Generator) -> Case:
    """A system that has solutions."""
    y = A @ draws.normal(size=A.shape[1])
    return Case({"A": A, "y": y}, {"beta": min_norm_solution(A, y)})


def _prepare_wide(generator: torch.Generator) -> Exam:
    draws = numbers(generator)
    return Exam({}, {}, [_system(draws.normal(size=shape), draws) for shape in ((4, 9), (11, 30))])


def _prepare_other_systems(generator: torch.Generator) -> Exam:
    """Square, a single row, a repeated row, and rows that are sums of others."""
    draws = numbers(generator)
    wide = draws.normal(size=(5, 12))
    systems = [
        draws.normal(size=(6, 6)) + 4 * np.eye(6),
        draws.normal(size=(1, 8)),
        wide[[0, 1, 2, 1, 3]],
        np.concatenate([wide[:3], wide[:1] + wide[1:2], wide[1:2] - 2 * wide[2:3]]),
    ]
    return Exam({}, {}, [_system(A, draws) for A in systems])


def _of_weights(function: str) -> Callable[[torch.Generator], Exam]:
    """Return a `prepare` that draws feature weights, for a function of them alone."""
    (output,), answer = CONTRACT[function].outputs, REFERENCE.functions[function]

    def prepare(generator: torch.Generator) -> Exam:
        draws = numbers(generator)
        drawn = [_weights(draws) for _ in range(_CASES)]
        return Exam({}, {}, [Case({"c": c}, {output: np.asarray(answer(c))}) for c in drawn])

    return prepare


def _descent(c_init: Array, step_size: float, n_iterations: int) -> Case:
    inputs = {"c_init": c_init, "step_size": np.array(step_size), "n_iterations": np.array(n_iterations)}
    return Case(inputs, {"trajectory": descend_feature_weights(c_init, step_size, n_iterations)})


def _prepare_descent(generator: torch.Generator) -> Exam:
    draws = numbers(generator)
    return Exam({}, {}, [_descent(_start(draws), draws.uniform(0.1, 0.3), _STEPS + extra) for extra in (0, 7)])


def _prepare_long_descent(generator: torch.Generator) -> Exam:
    c_init = _start(numbers(generator))
    # The gradient falls with ‖c‖ and so does what a step may be: with its square the relative motion is the same.
    return Exam({}, {}, [_descent(c_init, _LONG_STEP * float(c_init @ c_init), _LONG)])


_NOT_FINITE = (
    "Print the first rows. A row that is read before it is written holds whatever was in memory, and steps that go up "
    "the slope grow without end."
)


def judge_trajectory(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    """Every step of gradient descent is right; where it is not, the first wrong one is named."""
    for case, answer in zip(exam.cases, answers, strict=True):
        mine, right = answer.get("trajectory"), case.expected["trajectory"]
        tolerance = check.tolerance("trajectory")
        sentence = compare(mine, right, tolerance, name="trajectory")
        if not sentence:
            continue
        if mine is None or mine.shape != right.shape:
            return failed(sentence, try_next="The start comes first, then one row of (c₀, c₁) for each iteration.")
        if not np.all(np.isfinite(mine)):
            return failed(sentence, try_next=_NOT_FINITE)
        off = np.linalg.norm(mine - right, axis=1) > tolerance.relative * np.linalg.norm(right, axis=1)
        first = int(np.argmax(off)) if off.any() else 0
        return failed(
            f"The trajectory is wrong from row {first} on (row 0 is the start).",
            sentence,
            try_next="Each row is the row before it minus `step_size` times the gradient there.",
        )
    return passed()


def judge_convergence(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    """With small steps the weights end near (‖c⁽⁰⁾‖, 0)."""
    for case, answer in zip(exam.cases, answers, strict=True):
        mine, right, start = answer.get("trajectory"), case.expected["trajectory"], case.inputs["c_init"]
        if mine is None or mine.shape != right.shape:
            return failed(compare_form(mine, right, name="trajectory"))
        if not np.all(np.isfinite(mine)):
            return failed(compare_form(mine, right, name="trajectory"), try_next=_NOT_FINITE)
        norm = float(np.linalg.norm(start))
        if np.linalg.norm(mine[0] - start) > 1e-4 * norm:
            return failed("The trajectory does not begin with `c_init`.")
        if np.linalg.norm(mine[-1] - [norm, 0.0]) > _NEAR * norm:
            return failed(
                f"After {_LONG:,} small steps from a start of norm {norm:.3g}, the weights are "
                f"({mine[-1][0]:.3g}, {mine[-1][1]:.3g}); they should be close to ({norm:.3g}, 0).",
                try_next="The gradient is orthogonal to c, so small steps keep the norm. Check its signs.",
            )
        if not _goes_downhill(mine):
            return failed(
                "The trajectory ends where it should, but the way there is not one of gradient descent.",
                try_next="Each row is the row before it minus `step_size` times the gradient there.",
            )
    return passed()


def _goes_downhill(trajectory: Array) -> bool:
    """
    Whether each step goes against the gradient where it begins, and all are the same share of it.

    The share may be another one than asked for: how long steps are is judged by `output`.
    """
    slopes = np.stack([expected_test_error_gradient(c) for c in trajectory[:-1]])
    steps = np.diff(trajectory, axis=0)
    far = np.linalg.norm(slopes, axis=1) >= _CLEAR * np.max(np.linalg.norm(slopes, axis=1))
    shares = -np.sum(steps * slopes, axis=1)[far] / np.sum(slopes**2, axis=1)[far]
    if not np.all(shares > 0):
        return False
    misfit = np.linalg.norm(steps[far] + shares[:, None] * slopes[far], axis=1) / np.linalg.norm(steps[far], axis=1)
    return bool(np.max(misfit) <= _MISFIT and np.ptp(shares) <= _MISFIT * np.mean(shares))


def _check(
    function: str, aspect: str, prepare: Callable[[torch.Generator], Exam], judge: Judge = judge_outputs
) -> Check:
    errors = output_errors if aspect != "convergence" else None  # where it ends is judged by a band
    needs = CONTRACT.lent_to(function)
    exempt = "" if errors else A_BAND
    only_with = "output" if aspect == "convergence" else ""  # where it ends is a public number
    return Check(
        CONTRACT[function],
        aspect,
        prepare,
        judge,
        CALIBRATION,
        errors,
        needs=needs,
        only_with=only_with,
        exempt=exempt,
    )


THEORY_CHECKS: tuple[Check, ...] = (
    _check("min_norm_solution", "output", _prepare_wide),
    _check("min_norm_solution", "generality", _prepare_other_systems),
    _check("aliased_coefficients", "output", _of_weights("aliased_coefficients")),
    _check("expected_test_error", "output", _of_weights("expected_test_error")),
    _check("expected_test_error_gradient", "output", _of_weights("expected_test_error_gradient")),
    _check("descend_feature_weights", "output", _prepare_descent, with_pictures(judge_trajectory, look_at_trajectory)),
    _check(
        "descend_feature_weights",
        "convergence",
        _prepare_long_descent,
        with_pictures(judge_convergence, look_at_trajectory),
    ),
)
