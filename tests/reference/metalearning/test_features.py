"""Fourier features, points and labels."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.student_modules import utils
from reference.metalearning.features import (
    aliases_on_grid,
    draw_points,
    flip_labels,
    fourier_features,
    signs,
)


@pytest.mark.parametrize("d", [1, 3, 9, 501])
@pytest.mark.parametrize("normalize", [False, True])
def test_features_are_sines_and_cosines(d: int, normalize: bool) -> None:
    """Powers of one complex number give the sines and cosines of the definition."""
    points = np.random.default_rng(0).uniform(-1, 1, 50)

    features = fourier_features(points, d, normalize=normalize)

    # Worst measured: 2.3e-13, at frequency 250, where π r x itself is rounded by 1e-13.
    np.testing.assert_allclose(features, utils.featurize_fourier(points, d, normalize), rtol=0, atol=2e-12)


def test_normalized_features_are_orthonormal() -> None:
    """Under the uniform distribution the mean of φφᵀ is the identity; a fine grid integrates it exactly."""
    features = fourier_features(draw_points(64, "grid", np.random.default_rng(0)), 21)

    np.testing.assert_allclose(features.T @ features / 64, np.eye(21), atol=1e-13)


def test_an_even_number_of_features_is_refused() -> None:
    """An even d says what to use instead."""
    with pytest.raises(ValueError, match="odd"):
        fourier_features(np.zeros(3), 4)


def test_the_grid_leaves_out_its_endpoint_and_random_points_are_sorted() -> None:
    """Points are those of the notebooks' generate_x."""
    draws = np.random.default_rng(0)

    np.testing.assert_allclose(draw_points(4, "grid", draws), [-1.0, -0.5, 0.0, 0.5])
    uniform = draw_points(100, "uniform_random", draws)
    assert np.all(np.diff(uniform) >= 0)
    assert uniform.min() >= -1
    assert uniform.max() < 1


def test_unknown_points_are_refused() -> None:
    """A kind of points that does not exist names those that do."""
    with pytest.raises(ValueError, match="uniform_random"):
        draw_points(4, "circle", np.random.default_rng(0))  # type: ignore[arg-type]


def test_the_sign_of_zero_is_plus_one() -> None:
    """Labels have two values."""
    np.testing.assert_array_equal(signs(np.array([-2.0, -0.0, 0.0, 3.0])), [-1, 1, 1, 1])


@pytest.mark.parametrize(("probability", "expected"), [(0.0, 0.0), (0.3, 0.3), (1.0, 1.0)])
def test_labels_flip_with_their_probability(probability: float, expected: float) -> None:
    """The share of flipped labels is the probability, within five standard deviations of 10 000 draws."""
    flipped = flip_labels(np.ones(10_000), probability, np.random.default_rng(0))

    assert abs(np.mean(flipped == -1) - expected) <= 5 * 0.5 / 100 * (0 < expected < 1)


def test_aliases_are_the_features_that_coincide_on_the_grid() -> None:
    """Exactly the aliases have a part in the span of the true features' values on the grid."""
    d, k_idx, n = 101, (5, 6, 9), 16
    features = fourier_features(np.linspace(-1, 1, n, endpoint=False), d)
    basis, _ = np.linalg.qr(features[:, k_idx])
    inside = np.linalg.norm(basis.T @ features, axis=0) > 1e-9

    aliases = aliases_on_grid(d, k_idx, n)

    assert set(np.flatnonzero(inside)) - set(k_idx) <= set(aliases.tolist())
    assert len(aliases) > 0
    # Both waves of a frequency are listed together, although a sine is an alias of sines only.
    assert np.mean(inside[aliases]) >= 0.5
