"""
Solve one design for many right-hand sides: minimum-norm least squares and ridge-penalised logistic regression.

`plain_solvers` says the same in a few lines, one task at a time; read it first.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_solve, lapack, solve_triangular
from scipy.special import expit

Floats = NDArray[np.float64]
Singles = NDArray[np.float32]

# How well conditioned a triangular factor must be for each method, as a reciprocal condition number. Cholesky
# squares the condition: at 1e-3 it still keeps ten digits. QR keeps them down to about 1e-5 and stays usable
# far below, until rounding alone decides which directions count: there the SVD draws the line.
CHOLESKY_CONDITION = 1e-3
QR_CONDITION = 1e-11
# Newton stops where no task's gradient exceeds this, relative to its coefficients. The Hessian is at least
# the identity, so the coefficients are then off by no more than this: labels flip at less than one in 1e8.
LOGISTIC_GRADIENT_TOLERANCE = 1e-9
# Newton's equations need no more digits than this, and in float32 they are solved in two thirds of the time.
SINGLE_PRECISION_GOAL = 1e-4
NEWTON_LIMIT = 100
CONJUGATE_GRADIENT_LIMIT = 200
BACKTRACKING_LIMIT = 30


def reciprocal_condition(triangle: Floats) -> float:
    """Estimate 1 / cond₁ of an upper triangular (k, k) factor from LAPACK, in O(k²)."""
    rcond, _ = lapack.dtrcon(triangle, norm="1", uplo="U", diag="N")
    return float(rcond)


def min_norm_coefficients(features: Floats, targets: Floats) -> Floats:
    """
    Least-squares coefficients of smallest norm, for all columns of targets at once.

    One factorisation serves every right-hand side. Designs with (nearly) dependent rows or columns, as on
    some grids, are left to the SVD, which cuts singular values at max(n, d) ε σ_max.

    Shapes: n points, d features, T tasks.

    Args:
        features: (n, d) float.
        targets: (n, T) float.

    Returns:
        (d, T) float.
    """
    found = full_rank_coefficients(features, targets)
    if found is None:
        return np.asarray(np.linalg.lstsq(features, targets, rcond=None)[0])
    return found


def full_rank_coefficients(features: Floats, targets: Floats) -> Floats | None:
    """As min_norm_coefficients, but None for a design whose shorter side is numerically dependent."""
    n, d = features.shape
    wide = n <= d
    try:
        gram = features @ features.T if wide else features.T @ features
        lower = np.asarray(np.linalg.cholesky(gram), dtype=np.float64)
    except np.linalg.LinAlgError:
        return _by_qr(features, targets)
    if reciprocal_condition(lower.T) < CHOLESKY_CONDITION:
        return _by_qr(features, targets)
    if wide:
        return np.asarray(features.T @ cho_solve((lower, True), targets))
    return np.asarray(cho_solve((lower, True), features.T @ targets))


def _by_qr(features: Floats, targets: Floats) -> Floats | None:
    """Solve through a QR factorisation of the long side; None where its triangle is nearly singular."""
    n, d = features.shape
    wide = n <= d
    basis, triangle = np.linalg.qr(features.T if wide else features)
    if reciprocal_condition(triangle) < QR_CONDITION:
        return None
    if wide:
        return np.asarray(basis @ solve_triangular(triangle, targets, trans="T"))
    return np.asarray(solve_triangular(triangle, basis.T @ targets))


def fit_logistic(features: Floats, labels: Floats, *, inverse_penalty: float, start: Floats | None = None) -> Floats:
    """
    Minimise ½‖β‖² + inverse_penalty · Σ log(1 + exp(−z φᵀβ)) for every task by Newton's method.

    The minimum lies in the span of the rows, so with n < d the problem is first turned into one of n
    unknowns by a QR factorisation. Every pass over the features serves all tasks.

    Shapes: n points, d features, T tasks.

    Args:
        features: (n, d) float.
        labels: (n, T) float, each −1 or +1; one class alone is allowed.
        inverse_penalty: scikit-learn's C.
        start: (d, T) float, coefficients of a similar problem.

    Returns:
        (d, T) float.

    Raises:
        ArithmeticError: Newton's method did not converge.
    """
    n, d = features.shape
    first = np.zeros((d, labels.shape[1])) if start is None else start
    if n >= d:
        return _newton(features, labels, first, inverse_penalty=inverse_penalty)
    basis, triangle = np.linalg.qr(features.T)
    reduced = np.ascontiguousarray(triangle.T)
    return np.asarray(basis @ _newton(reduced, labels, basis.T @ first, inverse_penalty=inverse_penalty))


def _newton(design: Floats, labels: Floats, unknowns: Floats, *, inverse_penalty: float) -> Floats:
    """Newton's method on all tasks at once: float64 gradients, float32 directions, a step for each task."""
    coarse = design.astype(np.float32)
    margins = design @ unknowns
    for _ in range(NEWTON_LIMIT):
        doubt = expit(-labels * margins)
        gradient = unknowns - design.T @ (inverse_penalty * labels * doubt)
        norms = np.linalg.norm(gradient, axis=0)
        size = float((norms / (1.0 + np.linalg.norm(unknowns, axis=0))).max())
        if size <= LOGISTIC_GRADIENT_TOLERANCE:
            return unknowns
        if not np.isfinite(size):
            raise ArithmeticError("fit_logistic met numbers that are not finite. Look for NaN in its inputs.")
        # Directions are found for gradients of unit length: float32 has no room for 1e-9 squared. A task
        # that has arrived exactly keeps its zero gradient.
        scale = np.where(norms > 0.0, norms, 1.0)
        curvature = inverse_penalty * doubt * (1.0 - doubt)
        goal = max(min(0.3, size**0.5), SINGLE_PRECISION_GOAL)
        direction = scale * _newton_direction(coarse, curvature, gradient / scale, goal=goal)
        advance = design @ direction

        def objective(
            length: Floats,
            here: Floats = unknowns,
            seen: Floats = margins,
            go: Floats = direction,
            on: Floats = advance,
        ) -> Floats:
            moved = here + length * go
            loss = np.logaddexp(0.0, -labels * (seen + length * on)).sum(axis=0)
            return np.asarray(0.5 * np.einsum("kt,kt->t", moved, moved) + inverse_penalty * loss)

        length = _step_lengths(objective, slope=np.einsum("kt,kt->t", gradient, direction))
        unknowns = unknowns + length * direction
        margins = margins + length * advance
    raise ArithmeticError(f"fit_logistic did not converge in {NEWTON_LIMIT} Newton steps. Lower inverse_penalty.")


def _newton_direction(coarse: Singles, curvature: Floats, gradient: Floats, *, goal: float) -> Floats:
    """
    Solve (I + Xᵀ D_t X) δ_t = −g_t to a relative residual for all tasks t by conjugate gradients.

    Tasks leave when they are done: the rest pay for their own columns only.
    """
    solution = np.zeros_like(gradient)
    left = np.arange(gradient.shape[1])
    weights = curvature.astype(np.float32)
    residual = (-gradient).astype(np.float32)
    found = np.zeros_like(residual)
    search = residual
    energy = np.einsum("kt,kt->t", residual, residual)
    target = goal**2 * energy
    for _ in range(CONJUGATE_GRADIENT_LIMIT):
        going = energy > target
        if not going.all():
            solution[:, left] = found
            if not going.any():
                break
            left, target, energy = left[going], target[going], energy[going]
            weights, residual, found, search = (a[:, going] for a in (weights, residual, found, search))
        image = search + coarse.T @ (weights * (coarse @ search))
        length = energy / np.einsum("kt,kt->t", search, image)
        found = found + length * search
        residual = residual - length * image
        renewed = np.einsum("kt,kt->t", residual, residual)
        search = residual + renewed / energy * search
        energy = renewed
    solution[:, left] = found
    return solution


def _step_lengths(objective: Callable[[Floats], Floats], *, slope: Floats) -> Floats:
    """Halve each task's Newton step until its objective falls enough (Armijo); most keep length 1."""
    length = np.ones_like(slope)
    before = objective(np.zeros_like(slope))
    # At the minimum a step changes the objective by less than its rounding error.
    rounding = 1e-13 * (1.0 + np.abs(before))
    for _ in range(BACKTRACKING_LIMIT):
        worse = objective(length) > before + 1e-4 * length * slope + rounding
        if not worse.any():
            break
        length = np.where(worse, 0.5 * length, length)
    return length
