"""
Parts (a) to (d): one training point, one true feature, one alias, and where gradient descent takes their weights.

With the training point's feature value 1 the learned function is ŷ = β₀c₀ φ_t + β₁c₁ φ_a with β = c / ‖c‖². The
features are orthonormal under the test distribution, so its expected error is
½[(1 − c₀²/‖c‖²)² + (c₁²/‖c‖²)²] = c₁⁴ / ‖c‖⁴, which depends on the direction of c alone. Its gradient is therefore
orthogonal to c: small steps keep ‖c‖, c₁ falls to 0, and c goes to (‖c⁽⁰⁾‖, 0). Each step of finite size adds
its own squared length to ‖c‖², which is why the limit is met only up to the step size.

Formulas stand here and in comments beside the code, not in docstrings: students read the docstrings.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def min_norm_solution(A: Floats, y: Floats) -> Floats:
    """
    Part (a): the β of smallest norm with Aβ = y, also where rows of A depend on each other.

    A system without a solution gets its least-squares solution of smallest norm.

    Shapes: n equations, d unknowns.

    Args:
        A: (n, d) float.
        y: (n,) float.

    Returns:
        (d,) float.
    """
    # With independent rows this is Aᵀ(AAᵀ)⁻¹y; the pseudo-inverse of A says the same, and stays right without.
    return np.asarray(np.linalg.lstsq(A, y, rcond=None)[0], dtype=np.float64)


def aliased_coefficients(c: Floats) -> Floats:
    """Part (b): the min-norm β of two features that agree on the one training point, (2,) float from (2,) float."""
    return np.asarray(c / np.sum(np.square(c)))


def expected_test_error(c: Floats) -> float:
    """Part (c): half the expected squared error of the learned function, for feature weights c: (2,) float."""
    return float(c[1] ** 4 / np.sum(np.square(c)) ** 2)


def expected_test_error_gradient(c: Floats) -> Floats:
    """Part (c): the derivative of `expected_test_error` with respect to c, (2,) float from (2,) float."""
    slope = np.array([-4.0 * c[0] * c[1] ** 4, 4.0 * c[0] ** 2 * c[1] ** 3]) / np.sum(np.square(c)) ** 3
    return np.asarray(slope, dtype=np.float64)


def descend_feature_weights(c_init: Floats, step_size: float, n_iterations: int) -> Floats:
    """
    Part (d): gradient descent on the expected test error.

    Args:
        c_init: (2,) float.
        step_size: length of a step over the gradient.
        n_iterations: number of steps.

    Returns:
        (n_iterations + 1, 2) float, the start first.
    """
    trajectory = np.empty((n_iterations + 1, 2))
    trajectory[0] = c_init
    for i in range(n_iterations):
        trajectory[i + 1] = trajectory[i] - step_size * expected_test_error_gradient(trajectory[i])
    return trajectory
