"""
What the steps of a training can and must have been, whoever says so: how far they reach, and where gradients point.

The optimizer, its step sizes and the batches are chosen on the trusted side. Trained weights that are further from the
start than these steps reach were not trained here. And of a few steps, drawn for each submission, a worker sends the
weights and the gradients: the right model's gradients for the same weights and batch have to point the same way. Code
that computes something else than the model does not know them, wherever its weights come from.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from grader.wire import Array, Arrays

# Measured (19 right variants, 50 known mistakes): gradients of right code agree to three digits for every parameter. Of
# mistakes whose weights do as well as right ones, the median cosine over the parameters is 0.29 to 1.0 at one of two
# steps. Gradients of unrelated code are orthogonal but for chance: a median of 0.0 with a deviation of about 0.05.
COSINE = 0.2
_SLACK = 1.01  # for the rounding of sixty float32 steps
_ROUNDING = 1e-5


def adam_bound(steps: int, betas: Sequence[float]) -> float:
    """
    Return the most that one parameter can move in one of so many steps of Adam, in step sizes.

    With Cauchy and Schwarz, |m| ≤ (1 − β₁) / √(1 − β₂) · √(Σ (β₁² / β₂)ᵏ) · √v, whatever the gradients are; both sides
    are then divided by what corrects their bias.
    """
    first, second = betas
    bounds = []
    for step in range(1, steps + 1):
        geometric = sum((first**2 / second) ** k for k in range(step))
        corrected = math.sqrt(1 - second**step) / (1 - first**step)
        bounds.append((1 - first) / math.sqrt(1 - second) * math.sqrt(geometric) * corrected)
    return max(bounds)


def out_of_reach(
    before: Arrays, after: Arrays, step_sizes: Mapping[str, float], shares: Sequence[float], bound: float
) -> list[str]:
    """
    Return the names of parameters that are further from where they were than the steps between can bring them.

    Args:
        before: by name.
        after: by name, in the same shapes.
        step_sizes: by name, of a full step.
        shares: of the full step that each step took, from the first after `before` to the last before `after`.
        bound: the most that a parameter can move in a step, in step sizes.
    """
    most = _SLACK * bound * sum(shares)
    return [
        name
        for name, start in before.items()
        if not np.all(np.abs(after[name] - start) <= most * step_sizes[name] + _ROUNDING * (1 + np.abs(start)))
    ]


def points_the_same_way(student: Mapping[str, Array | None], reference: Arrays) -> bool:
    """
    Return whether gradients agree in direction, parameter by parameter, for more than half of them.

    Not for all: some vanish in exact arithmetic, and a slip may leave out one path. Not all together: the few
    parameters next to the loss have the largest gradients.
    """
    agreeing = sum(_cosine(student.get(name), right) >= COSINE for name, right in reference.items())
    return 2 * agreeing > len(reference)


def _cosine(mine: Array | None, right: Array) -> float:
    if mine is None or mine.shape != right.shape or not np.all(np.isfinite(mine)):
        return -1.0
    one, other = mine.astype(np.float64).ravel(), right.astype(np.float64).ravel()
    norms = float(np.linalg.norm(one)) * float(np.linalg.norm(other))
    return float(one @ other) / norms if 0 < norms < math.inf else -1.0
