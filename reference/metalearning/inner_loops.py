"""Meta-gradients: how the loss on a task's meta points depends on the feature weights, through the inner loop."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from reference.metalearning.features import Floats
from reference.metalearning.solvers import min_norm_coefficients
from reference.metalearning.tasks import TaskBatch


@dataclass(frozen=True)
class MetaGradient:
    """
    Loss summed over all meta points of all tasks, and its derivative.

    Attributes:
        loss: the sum.
        gradient: (d,) float, with respect to the feature weights.
    """

    loss: float
    gradient: Floats


@dataclass(frozen=True)
class PointLoss:
    """
    A loss of one prediction and one target.

    Attributes:
        value: its value, elementwise.
        slope: its derivative with respect to the prediction, elementwise and itself differentiable.
    """

    value: Callable[[Tensor, Tensor], Tensor]
    slope: Callable[[Tensor, Tensor], Tensor]


SQUARED_ERROR = PointLoss(value=lambda t, y: (t - y) ** 2, slope=lambda t, y: 2.0 * (t - y))
LOGISTIC_LOSS = PointLoss(value=lambda t, z: softplus(-z * t), slope=lambda t, z: -z * torch.sigmoid(-z * t))


def closed_form_meta_gradient(weights: Floats, batch: TaskBatch) -> MetaGradient:
    """
    Meta-gradient through the min-norm inner solution, written out.

    With v = w² and K = Φ diag(v) Φᵀ, a task predicts Φ_m diag(v) Φᵀ K⁻¹ y at its meta points. Let a = Φᵀ K⁻¹ y and
    g = Φ_mᵀ · ∂loss/∂prediction; then ∂loss/∂v = a ∘ (g − Φᵀ K⁻¹ Φ diag(v) g). No d × d matrix appears, and tasks
    that share a grid share one factorisation. With more inner points than features the inner solution is the
    least-squares one, which the weights do not change, and the gradient is zero.
    """
    inner, meta = batch.inner_features, batch.meta_features
    n, d = inner.shape[-2:]
    if n > d:
        return _unweighted_meta_gradient(batch)
    squares = weights**2
    inverse = _inverse((inner * squares) @ inner.swapaxes(-1, -2))
    pulled = _apply(inner.swapaxes(-1, -2), _apply(inverse, batch.inner_targets))
    residual = _apply(meta, squares * pulled) - batch.meta_targets
    pushed = _apply(meta.swapaxes(-1, -2), 2.0 * residual)
    explained = _apply(inner.swapaxes(-1, -2), _apply(inverse, _apply(inner, squares * pushed)))
    gradient = 2.0 * weights * np.sum(pulled * (pushed - explained), axis=0)
    return MetaGradient(loss=float(np.sum(residual**2)), gradient=gradient)


def _apply(matrices: Floats, vectors: Floats) -> Floats:
    """(T or 1, i, j) matrices times (T, j) vectors, one for each task."""
    return np.asarray((matrices @ vectors[..., None])[..., 0])


def _inverse(gram: Floats) -> Floats:
    """Inverse of symmetric (B, n, n) Gram matrices, or the pseudo-inverse where points repeat each other."""
    try:
        half: Floats = np.linalg.inv(np.linalg.cholesky(gram))
    except np.linalg.LinAlgError:
        return np.asarray(np.linalg.pinv(gram, hermitian=True), dtype=np.float64)
    return np.asarray(half.swapaxes(-1, -2) @ half)


def _unweighted_meta_gradient(batch: TaskBatch) -> MetaGradient:
    """Loss and zero gradient of tasks with more inner points than features."""
    shared = len(batch.inner_features) == 1
    loss = 0.0
    for task, targets in enumerate(batch.inner_targets):
        alpha = min_norm_coefficients(batch.inner_features[0 if shared else task], targets[:, None])
        residual = batch.meta_features[task] @ alpha[:, 0] - batch.meta_targets[task]
        loss += float(residual @ residual)
    return MetaGradient(loss=loss, gradient=np.zeros(batch.inner_features.shape[-1]))


def unrolled_meta_gradient(
    weights: Floats, batch: TaskBatch, *, loss: PointLoss, step_size: float, n_steps: int
) -> MetaGradient:
    """
    Meta-gradient through gradient descent on a task's coefficients, second order included.

    Coefficients start at zero and descend the loss averaged over inner points; all tasks step together. They
    stay in the span of the inner points, β = w ∘ Φᵀu, so only u and the n × n products K = Φ diag(w²) Φᵀ are
    stepped with. The steps are written out: one backward pass gives the exact derivative of the inner loop.
    """
    w = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
    inner, meta = torch.from_numpy(batch.inner_features), torch.from_numpy(batch.meta_features)
    inner_targets = torch.from_numpy(batch.inner_targets)
    scaled = (inner * w**2).mT  # (T or 1, d, n)
    among, across = inner @ scaled, meta @ scaled  # (T or 1, n, n), (T, m, n)
    u = torch.zeros_like(inner_targets)
    for _ in range(n_steps):
        predictions = (among @ u[..., None])[..., 0]  # (T, n)
        u = u - step_size / u.shape[1] * loss.slope(predictions, inner_targets)
    predictions = (across @ u[..., None])[..., 0]
    total = loss.value(predictions, torch.from_numpy(batch.meta_targets)).sum()
    (gradient,) = torch.autograd.grad(total, w)
    return MetaGradient(loss=float(total.detach()), gradient=gradient.numpy())
