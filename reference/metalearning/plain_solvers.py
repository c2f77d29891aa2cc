"""
The two solvers as a textbook has them, one task at a time: what `solvers` computes faster for many.

Tests hold both against each other.
"""

from __future__ import annotations

import numpy as np
from scipy.special import expit

from reference.metalearning.features import Floats

_NEWTON_STEPS = 100


def min_norm_coefficients(features: Floats, targets: Floats) -> Floats:
    """
    Return the least-squares coefficients of smallest norm: the pseudo-inverse applied to the targets, part (a).

    Args:
        features: (n, d) float.
        targets: (n,) float.

    Returns:
        (d,) float.
    """
    return np.asarray(np.linalg.pinv(features) @ targets)


def fit_logistic(features: Floats, labels: Floats, *, inverse_penalty: float) -> Floats:
    """
    Minimise ½‖β‖² + inverse_penalty · Σ log(1 + exp(−z φᵀβ)) by Newton's method with halved steps.

    Args:
        features: (n, d) float.
        labels: (n,) float, each −1 or +1.
        inverse_penalty: scikit-learn's C.

    Returns:
        (d,) float.

    Raises:
        ArithmeticError: it did not converge.
    """

    def objective(beta: Floats) -> float:
        return float(0.5 * beta @ beta + inverse_penalty * np.logaddexp(0.0, -labels * (features @ beta)).sum())

    beta: Floats = np.zeros(features.shape[1])
    for _ in range(_NEWTON_STEPS):
        doubt = expit(-labels * (features @ beta))  # how far from certain the right label still is
        gradient = beta - inverse_penalty * features.T @ (labels * doubt)
        if np.linalg.norm(gradient) <= 1e-9 * (1.0 + np.linalg.norm(beta)):
            return beta
        curvature = doubt * (1.0 - doubt)
        hessian = np.eye(len(beta)) + inverse_penalty * (features.T * curvature) @ features
        step = np.linalg.solve(hessian, -gradient)
        length = 1.0
        while objective(beta + length * step) > objective(beta) + 1e-4 * length * (gradient @ step) and length > 1e-9:
            length /= 2.0
        beta = beta + length * step
    raise ArithmeticError(f"The fit did not converge in {_NEWTON_STEPS} Newton steps. Lower inverse_penalty.")
