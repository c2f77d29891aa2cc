"""Fourier features on [−1, 1), points, and the labels made from real values."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
# Either kind of generator; the legacy one reproduces a run that seeds NumPy's global state.
Draws = np.random.Generator | np.random.RandomState
PointKind = Literal["grid", "uniform_random"]


def fourier_features(points: Floats, d: int, *, normalize: bool = True) -> Floats:
    """
    Evaluate 1, sin(πx), cos(πx), …, sin(πRx), cos(πRx) with R = (d − 1) / 2.

    Shapes: n points, d features; leading axes of points are kept.

    Args:
        points: (..., n) float.
        d: odd number of features.
        normalize: multiply every wave by √2: orthonormal for x uniform on [−1, 1).

    Returns:
        (..., n, d) float.

    Raises:
        ValueError: d is even or not positive.
    """
    if d < 1 or d % 2 == 0:
        raise ValueError(f"d is {d}, but a constant and pairs of sine and cosine are an odd number. Use an odd d.")
    features = np.empty((*points.shape, d))
    features[..., 0] = 1.0
    features[..., 1:] = _waves(points, (d - 1) // 2, amplitude=np.sqrt(2.0) if normalize else 1.0)
    return features


def _waves(points: Floats, count: int, *, amplitude: float) -> Floats:
    """
    Sine and cosine of count frequencies, side by side: (..., n, 2 count) float.

    i e^{−irπx} has parts sin(πrx) and cos(πrx), so these are powers of one complex number. Doubling the
    number of known powers at a time costs one product a wave instead of a sine and a cosine. At 250 waves
    both ways are off by up to 2e-13: the rounding of πx, or of πrx, is all that counts.
    """
    turn = np.exp(-1j * np.pi * points)[..., None]
    powers = np.empty((*points.shape, count), dtype=np.complex128)
    powers[..., :1] = turn
    known = 1
    while known < count:
        new = min(known, count - known)
        np.multiply(powers[..., :new], powers[..., known - 1 : known], out=powers[..., known : known + new])
        known += new
    powers *= 1j * amplitude
    return powers.view(np.float64)


def feature_frequencies(d: int) -> NDArray[np.int64]:
    """Frequency r of each of d features: 0, 1, 1, 2, 2, …."""
    return (np.arange(d) + 1) // 2


def aliases_on_grid(d: int, k_idx: tuple[int, ...], n: int) -> NDArray[np.int64]:
    """
    Features that some feature of k_idx cannot be told from on the n-point grid.

    On x = −1 + 2j/n the waves of frequency r and s span the same values whenever r ≡ ±s (mod n).

    Returns:
        Sorted feature indices, without those of k_idx.
    """
    residues = feature_frequencies(d) % n
    residues = np.minimum(residues, n - residues)
    aliased = np.isin(residues, residues[list(k_idx)])
    aliased[list(k_idx)] = False
    return np.flatnonzero(aliased)


def draw_points(n: int, kind: PointKind, draws: Draws) -> Floats:
    """Place n points on [−1, 1): evenly from −1 on without the endpoint, or uniformly at random and sorted."""
    if kind == "grid":
        return np.linspace(-1.0, 1.0, n, endpoint=False, dtype=np.float64)
    if kind == "uniform_random":
        return np.sort(draws.uniform(-1.0, 1.0, n))
    raise ValueError(f"{kind!r} is no kind of points. Use 'grid' or 'uniform_random'.")


def signs(values: Floats) -> Floats:
    """Labels −1 and +1 of real values; 0 counts as +1."""
    return np.where(values >= 0.0, 1.0, -1.0)


def flip_labels(labels: Floats, probability: float, draws: Draws) -> Floats:
    """Negate each label with the given probability; draws one number for each even if that is 0."""
    return np.where(draws.uniform(size=labels.shape) < probability, -labels, labels)
