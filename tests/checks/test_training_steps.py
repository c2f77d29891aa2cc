"""Where steps of Adam can lead, and which gradients point the same way: both sides of each bound."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from grader.checks.training_steps import adam_bound, out_of_reach, points_the_same_way

BETAS = (0.9, 0.95)
STEPS = 60


def moved(gradients: torch.Tensor, *, step_size: float = 1.0) -> float:
    """Return how far AdamW moves one parameter that starts at 0 and has these gradients."""
    parameter = torch.nn.Parameter(torch.zeros(1, dtype=torch.float64))
    optimizer = torch.optim.AdamW([parameter], lr=step_size, betas=BETAS, weight_decay=0.0)
    for gradient in gradients:
        parameter.grad = gradient.reshape(1).double()
        optimizer.step()
    return abs(float(parameter.detach()))


@pytest.mark.parametrize("growth", [0.5, 0.9, 1.0, 1.0556, 1.2, 3.0])
def test_no_gradients_lead_past_the_bound(growth: float) -> None:
    """Shrinking, equal and growing ones, of any size, stay within; those that do not shrink come near."""
    for scale in (1e-6, 1.0, 1e6):
        distance = moved(scale * growth ** torch.arange(STEPS, dtype=torch.float64))
        assert distance <= STEPS * adam_bound(STEPS, BETAS)
        assert growth < 1 or distance > 0.5 * STEPS


def test_random_gradients_stay_within_the_bound() -> None:
    """A hundred courses of noise with jumps of many sizes."""
    draws = torch.Generator().manual_seed(0)
    for _ in range(100):
        sizes = 10 ** torch.randint(-3, 4, (STEPS,), generator=draws).double()
        assert moved(sizes * torch.randn(STEPS, generator=draws)) <= STEPS * adam_bound(STEPS, BETAS)


@pytest.mark.parametrize(
    ("steps", "distance", "fits"), [(60, 59.0, True), (60, 75.0, False), (0, 0.0, True), (0, 0.1, False)]
)
def test_reach_follows_the_number_of_steps(steps: int, distance: float, fits: bool) -> None:
    """As far as the steps go is believed, and no further; without a step nothing moves."""
    before = {"w": np.zeros((2, 3), np.float32)}
    after = {"w": np.full((2, 3), distance / 100, np.float32)}

    assert out_of_reach(before, after, {"w": 0.01}, [1.0] * steps, adam_bound(60, BETAS)) == ([] if fits else ["w"])


def test_a_single_element_or_nan_out_of_reach_is_named() -> None:
    """Elements are looked at one by one."""
    before = {"w": np.zeros(4), "b": np.zeros(4)}
    for odd in (9.0, np.nan, np.inf):
        after = {"w": np.zeros(4), "b": np.array([0.0, odd, 0.0, 0.0])}
        assert out_of_reach(before, after, {"w": 0.01, "b": 0.01}, [1.0] * STEPS, adam_bound(60, BETAS)) == ["b"]


def test_more_than_half_of_the_gradients_have_to_agree() -> None:
    """One of four may be rounding; half of them, the last layer's, are not enough."""
    noise = np.random.default_rng(0)
    right = {name: noise.normal(size=50).astype(np.float32) for name in "abcd"}

    assert points_the_same_way(right, right)
    assert points_the_same_way({**right, "a": -right["a"]}, right)
    assert not points_the_same_way({**right, "a": -right["a"], "b": None}, right)
    assert not points_the_same_way({**right, "a": np.full(50, np.nan), "b": np.zeros(3)}, right)
    assert not points_the_same_way(dict.fromkeys(right, np.full(50, 1e300)), right)
    assert not points_the_same_way(dict.fromkeys(right, np.zeros(50)), right)
