"""Points are for work: outputs that follow the inputs show it, right or wrong; constants, zeros and noise do not."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from grader.checks.exam import CaseAnswer, Exam
from grader.checks.work import moves, nudged
from grader.wire import Array
from homework.checks.vision import pattern_in
from reference.metalearning.theory import descend_feature_weights
from tests.known import CHECKS

Descend = Callable[[Array, float, int], Array]


def exam() -> Exam:
    """Return the nudged exam of (d): it has two inputs of real numbers, the start and the step size."""
    return nudged(CHECKS["descend_feature_weights.output"].prepare(torch.Generator().manual_seed(1)))


def shows_work(function: Descend) -> bool:
    """Return whether a way to descend follows its inputs."""
    asked = exam()
    answers = [
        CaseAnswer({"trajectory": function(inputs["c_init"], float(inputs["step_size"]), int(inputs["n_iterations"]))})
        for inputs in (case.inputs for case in asked.cases)
    ]
    return moves(asked, answers)


def hashed(c_init: Array, step_size: float, n_iterations: int) -> Array:
    """Answer with noise that depends on every bit of the inputs."""
    seed = abs(hash((c_init.tobytes(), step_size)))
    return np.random.default_rng(seed).normal(size=(n_iterations + 1, 2))


def straight(c_init: Array, step_size: float, n_iterations: int) -> Array:
    """Go straight to where everybody knows that the descent ends."""
    return np.linspace(c_init, np.array([np.linalg.norm(c_init), 0.0]), n_iterations + 1)


SLIPS: dict[str, Descend] = {
    "right": descend_feature_weights,
    "half-step": lambda c, step, n: descend_feature_weights(c, step / 2, n),
    "upwards": lambda c, step, n: descend_feature_weights(c, -step, n),
    "scaled": lambda c, step, n: 3 * descend_feature_weights(c, step, n),
    "reversed": lambda c, step, n: descend_feature_weights(c, step, n)[::-1],
    "one-step": lambda c, step, n: np.tile(descend_feature_weights(c, step, 1)[1], (n + 1, 1)),
}
NOTHING: dict[str, Descend] = {
    "zeros": lambda c, step, n: np.zeros((n + 1, 2)),
    "constant": lambda c, step, n: np.full((n + 1, 2), 0.7),
    "noise": lambda c, step, n: np.random.default_rng().normal(size=(n + 1, 2)),
    "hashed": hashed,
    "straight": straight,
    "not-finite": lambda c, step, n: np.full((n + 1, 2), np.nan) * c,
    "start": lambda c, step, n: np.tile(c, (n + 1, 1)),
    "other-shapes": lambda c, step, n: np.zeros((int(1e6 * step) % 7, 2)),
}


@pytest.mark.parametrize("name", SLIPS)
def test_code_with_a_slip_in_it_shows_work(name: str) -> None:
    """It need not be right: one slip costs once."""
    assert shows_work(SLIPS[name])


@pytest.mark.parametrize("name", NOTHING)
def test_what_computes_nothing_does_not(name: str) -> None:
    """Also what takes only some of its inputs into account, or follows none of them continuously."""
    assert not shows_work(NOTHING[name])


def test_what_did_not_come_home_shows_nothing() -> None:
    """Nothing is taken for granted of answers."""
    asked = exam()

    assert not moves(asked, [CaseAnswer({}) for _ in asked.cases])


def test_a_nudge_changes_one_input_of_one_case() -> None:
    """The first case stands first, and again; no gradients are asked for."""
    asked = nudged(CHECKS["ClassificationMAE.forward.behaviour"].prepare(torch.Generator().manual_seed(1)))
    _, still, once, twice = (case.inputs["images"].astype(np.float64) for case in asked.cases)

    assert all(set(case.inputs) == {"images"} and set(case.expected) == {"logits"} for case in asked.cases)
    assert np.allclose(twice - still, 2 * (once - still), atol=1e-6)
    assert 0 < np.abs(once - still).max() < 0.1


def permutations(draws: np.random.Generator) -> Array:
    """Return what a right forward_encoder draws for nine images."""
    return np.argsort(draws.random((9, 64)), axis=1)


def test_uniform_permutations_have_no_pattern() -> None:
    """The stated odds of a false alarm are below 1 in 100,000; here are 2,000 draws."""
    draws = np.random.default_rng(5)

    assert not any(pattern_in(permutations(draws)) for _ in range(2_000))


BASE = np.random.default_rng(3).permutation(64)
PATTERNS = {
    "cyclic-places": np.stack([np.roll(BASE, shift) for shift in range(9)]),
    "cyclic-values": np.stack([(BASE + shift) % 64 for shift in range(9)]),
    "shifted-identity": np.stack([np.roll(np.arange(64), 7 * shift) for shift in range(9)]),
    "strides": np.stack([np.arange(64) * (2 * shift + 3) % 64 for shift in range(9)]),
    "halves-apart": np.stack(
        [np.concatenate([np.random.default_rng(s).permutation(32), 32 + np.arange(32)]) for s in range(9)]
    ),
    "nearly-sorted": np.stack(
        [np.argsort(np.arange(64) + 4 * np.random.default_rng(s).normal(size=64)) for s in range(9)]
    ),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_orders_that_differ_and_are_not_random_are_found(name: str) -> None:
    """That all of them differ is not enough."""
    assert pattern_in(PATTERNS[name])
