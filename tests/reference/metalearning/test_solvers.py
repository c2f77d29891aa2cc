"""Batched solvers against one-task-at-a-time ones."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from reference.metalearning import plain_solvers
from reference.metalearning.features import draw_points, fourier_features, signs
from reference.metalearning.solvers import fit_logistic, full_rank_coefficients, min_norm_coefficients


@pytest.mark.parametrize(("n", "d"), [(1, 5), (6, 20), (20, 20), (50, 20)])
def test_least_squares_of_all_tasks_are_those_of_each(n: int, d: int) -> None:
    """Wide, square and tall designs agree with numpy's SVD solver on every right-hand side."""
    rng = np.random.default_rng(0)
    features, targets = rng.normal(size=(n, d)), rng.normal(size=(n, 3))

    expected = np.linalg.lstsq(features, targets, rcond=None)[0]

    np.testing.assert_allclose(min_norm_coefficients(features, targets), expected, rtol=1e-9, atol=1e-11)


@pytest.mark.parametrize("smallest", [1e-2, 1e-5, 1e-9, 1e-14], ids=["cholesky", "qr", "qr-late", "svd"])
@pytest.mark.parametrize("shape", [(8, 15), (15, 8)], ids=["wide", "tall"])
def test_least_squares_survive_bad_conditioning(smallest: float, shape: tuple[int, int]) -> None:
    """Whatever the smallest singular value, the answer is the SVD's, as far as the condition lets digits through."""
    rng = np.random.default_rng(0)
    left, _, right = np.linalg.svd(rng.normal(size=shape), full_matrices=False)
    features = left * np.geomspace(1, smallest, 8) @ right
    targets = features @ rng.normal(size=(shape[1], 2))

    found = min_norm_coefficients(features, targets)

    expected = np.linalg.lstsq(features, targets, rcond=None)[0]
    np.testing.assert_allclose(found, expected, atol=max(1e-12, 1e-14 / smallest))
    assert (full_rank_coefficients(features, targets) is None) == (smallest == 1e-14)


def test_dependent_rows_get_the_min_norm_solution() -> None:
    """A grid on which sin(3πx) vanishes leaves an oracle's columns dependent; the SVD decides."""
    features = fourier_features(draw_points(6, "grid", np.random.default_rng(0)), 11)[:, 5:11]
    targets = np.random.default_rng(0).normal(size=(6, 2))

    assert full_rank_coefficients(features, targets) is None
    found = min_norm_coefficients(features, targets)
    np.testing.assert_allclose(found, np.linalg.pinv(features, rcond=1e-12) @ targets, atol=1e-10)


@pytest.mark.parametrize(("n", "d"), [(1, 7), (12, 31), (31, 31), (90, 31)])
@pytest.mark.parametrize("inverse_penalty", [0.1, 10.0, 1e4])
def test_logistic_fits_are_at_the_minimum(n: int, d: int, inverse_penalty: float) -> None:
    """The gradient of the objective vanishes for every task, one of them with a single class."""
    rng = np.random.default_rng(0)
    features = fourier_features(draw_points(n, "uniform_random", rng), d)
    labels = np.stack([np.ones(n), *signs(rng.normal(size=(3, n)))], axis=1)

    beta = fit_logistic(features, labels, inverse_penalty=inverse_penalty)

    doubt = 1 / (1 + np.exp(labels * (features @ beta)))
    gradient = beta - inverse_penalty * features.T @ (labels * doubt)
    assert np.abs(gradient).max() <= 1e-8 * (1 + np.linalg.norm(beta))


def test_logistic_fits_are_scikit_learns_from_any_start() -> None:
    """The same coefficients as newton-cg, cold and from a wrong start."""
    rng = np.random.default_rng(0)
    features = fourier_features(draw_points(40, "uniform_random", rng), 61)
    labels = signs(features[:, 5:11] @ rng.normal(size=(6, 3)))

    cold = fit_logistic(features, labels, inverse_penalty=10.0)
    other = fit_logistic(features, labels, inverse_penalty=10.0, start=rng.normal(size=(61, 3)))

    for task in range(3):
        model = LogisticRegression(C=10.0, fit_intercept=False, solver="newton-cg", tol=1e-9)
        expected = model.fit(features, labels[:, task]).coef_[0]
        np.testing.assert_allclose(cold[:, task], expected, atol=1e-6)
    np.testing.assert_allclose(other, cold, atol=1e-8)


def test_a_logistic_fit_without_a_minimum_says_so() -> None:
    """NaN in, a sentence out."""
    with pytest.raises(ArithmeticError, match="NaN"):
        fit_logistic(np.full((3, 2), np.nan), np.ones((3, 1)), inverse_penalty=1.0)


@pytest.mark.parametrize(("n", "d"), [(1, 9), (20, 61), (40, 41), (90, 31)])
def test_fast_solvers_are_the_textbooks(n: int, d: int) -> None:
    """For wide, nearly square and tall designs each task's coefficients are those of the plain version."""
    rng = np.random.default_rng(n)
    features = fourier_features(draw_points(n, "uniform_random", rng), d)
    values = features[:, 3:7] @ rng.normal(size=(4, 3))

    squares = min_norm_coefficients(features, values)
    logistic = fit_logistic(features, signs(values), inverse_penalty=10.0)

    for task in range(3):
        plain = plain_solvers.min_norm_coefficients(features, values[:, task])
        # 40 random points on 41 features are so ill-conditioned that 3e-8 is what rounding leaves.
        np.testing.assert_allclose(squares[:, task], plain, atol=1e-6)
        plain = plain_solvers.fit_logistic(features, signs(values[:, task]), inverse_penalty=10.0)
        np.testing.assert_allclose(logistic[:, task], plain, atol=1e-7)


def test_a_plain_fit_that_does_not_converge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too few steps, and a sentence instead of a half-learned task."""
    monkeypatch.setattr(plain_solvers, "_NEWTON_STEPS", 1)

    with pytest.raises(ArithmeticError, match="did not converge in 1 Newton steps"):
        plain_solvers.fit_logistic(np.eye(2), np.ones(2), inverse_penalty=1.0)
