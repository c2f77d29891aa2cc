"""Parts (a) to (d)."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from reference.metalearning.theory import (
    aliased_coefficients,
    descend_feature_weights,
    expected_test_error,
    expected_test_error_gradient,
    min_norm_solution,
)


@pytest.mark.parametrize(("n", "d", "rank"), [(4, 4, 4), (3, 8, 3), (5, 8, 2)], ids=["square", "wide", "dependent"])
def test_min_norm_solution_is_feasible_and_has_no_part_in_the_null_space(n: int, d: int, rank: int) -> None:
    """Aβ = y, and β is in the row space: together that is the solution of smallest norm."""
    rng = np.random.default_rng(0)
    A = rng.normal(size=(n, rank)) @ rng.normal(size=(rank, d))
    y = A @ rng.normal(size=d)

    beta = min_norm_solution(A, y)

    np.testing.assert_allclose(A @ beta, y, atol=1e-11)
    np.testing.assert_allclose(np.linalg.pinv(A) @ (A @ beta), beta, atol=1e-11)


def test_aliased_coefficients_are_the_min_norm_solution_of_one_point() -> None:
    """Part (b) is part (a) for the system c·β = 1."""
    c = np.array([0.7, -1.9])

    np.testing.assert_allclose(aliased_coefficients(c), min_norm_solution(c[None], np.ones(1)), rtol=1e-14)


def test_expected_error_is_that_of_the_definition_on_orthonormal_features() -> None:
    """Half the mean squared error, integrated over two orthonormal functions."""
    c = np.array([0.8, 0.5])
    x = np.linspace(-1, 1, 64, endpoint=False)
    true, alias = np.sqrt(2) * np.sin(np.pi * x), np.sqrt(2) * np.sin(2 * np.pi * x)
    beta = aliased_coefficients(c)

    error = np.mean((true - beta[0] * c[0] * true - beta[1] * c[1] * alias) ** 2) / 2

    assert expected_test_error(c) == pytest.approx(error, rel=1e-13)


@pytest.mark.parametrize("c", [(1.0, 1.0), (0.3, -2.0), (-1.5, 0.1)])
def test_gradient_is_autograds_and_orthogonal_to_the_weights(c: tuple[float, float]) -> None:
    """Part (c) against torch; the error depends on the direction of c alone."""
    weights = torch.tensor(c, dtype=torch.float64, requires_grad=True)
    beta = weights / weights.square().sum()
    loss = 0.5 * ((1 - beta[0] * weights[0]) ** 2 + (beta[1] * weights[1]) ** 2)
    loss.backward()

    gradient = expected_test_error_gradient(np.array(c))

    assert expected_test_error(np.array(c)) == pytest.approx(float(loss.detach()), rel=1e-13)
    np.testing.assert_allclose(gradient, weights.grad.numpy(), rtol=1e-12, atol=1e-15)
    assert abs(gradient @ np.array(c)) < 1e-15


def test_descent_ends_on_the_true_feature_with_the_norm_of_its_start() -> None:
    """Part (d): c goes to (‖c⁽⁰⁾‖, 0) and β to (1 / ‖c⁽⁰⁾‖, 0)."""
    start = np.array([0.6, 0.9])

    trajectory = descend_feature_weights(start, 0.01, 20_000)

    assert trajectory.shape == (20_001, 2)
    np.testing.assert_array_equal(trajectory[0], start)
    # c₁ falls like 1 / √(8 · 0.01 · 20 000 / ‖c‖⁴): 0.03 here. The norm grew by 0.002.
    np.testing.assert_allclose(trajectory[-1], [np.linalg.norm(start), 0.0], atol=0.04)
    np.testing.assert_allclose(np.linalg.norm(trajectory[-1]), np.linalg.norm(start), rtol=0.005)
    np.testing.assert_allclose(aliased_coefficients(trajectory[-1]), [1 / np.linalg.norm(start), 0], atol=0.04)
    assert np.all(np.diff(np.abs(trajectory[:, 1])) <= 0)
