"""
The trusted side of what parts (a) to (h) may borrow: each helper from named inputs, with the reference's mathematics.

As in `lending`, arguments come from student code. What a call can cost is bounded by the sizes that are refused here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from grader.checks.lending import Helper, Tensors, refuse_unless
from grader.wire import Array
from reference.metalearning.evaluation import label_error
from reference.metalearning.features import fourier_features
from reference.metalearning.inner_loops import LOGISTIC_LOSS
from reference.metalearning.theory import expected_test_error_gradient

_MAX_FEATURE_VALUES = 20_000  # of one call: the homework's own meta update has 64 points and 501 features at most
_MAX_SIDE = 64  # of one system: the questions' own have 30 unknowns at most
_MAX_TEST_VALUES = 200_000  # of one call, features and labels together
_MAX_SIZES = 100
_MAX_COEFFICIENT_VALUES = 50_000  # of all tasks together; features of one point and labels of many tasks are few values


def lent_solution(inputs: Tensors, _: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
    """Answer a call of min_norm_solution."""
    A, y = inputs["A"].double(), inputs["y"].double()
    refuse_unless(A.dim() == 2 and y.shape == A.shape[:1] and 0 < max(A.shape) <= _MAX_SIDE and min(A.shape) > 0)
    return (torch.linalg.pinv(A) @ y,)


def lent_coefficients(inputs: Tensors, _: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
    """Answer a call of aliased_coefficients."""
    c = _two_weights(inputs)
    return (c / (c @ c),)


def lent_error(inputs: Tensors, _: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
    """Answer a call of expected_test_error."""
    c = _two_weights(inputs)
    return (c[1] ** 4 / (c @ c) ** 2,)


def lent_gradient(inputs: Tensors, _: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
    """Answer a call of expected_test_error_gradient."""
    return (torch.from_numpy(expected_test_error_gradient(_two_weights(inputs).detach().numpy())),)


def _two_weights(inputs: Tensors) -> torch.Tensor:
    refuse_unless(inputs["c"].numel() == 2)
    return inputs["c"].double().reshape(2)


def lent_meta_update(inputs: Tensors, settings: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
    """Answer a call of meta_update_classification; the caller drew the points."""
    d, points = int(settings["d"]), inputs["points"].detach().double().reshape(-1).numpy()
    refuse_unless(len(settings["k_idx"]) <= d)
    k_idx = [int(k) for k in settings["k_idx"]]
    vectors = (inputs["w_t"].shape, inputs["feature_weights_t"].shape, inputs["k_val"].shape)
    refuse_unless(0 < d * len(points) <= _MAX_FEATURE_VALUES and vectors == ((d,), (d,), (len(k_idx),)))
    weights = None if settings.get("w_t_is_weighted") else inputs["feature_weights_t"]
    return (logistic_meta_loss(inputs["w_t"], weights, points, k_idx, inputs["k_val"], d),)


def lent_test(inputs: Tensors, settings: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
    """Answer a call of test_classification, solved as the probe's stand-in for solve_logistic does."""
    refuse_unless(len(settings["sizes"]) <= _MAX_SIZES and all(tensor.numel() > 0 for tensor in inputs.values()))
    arrays = {name: tensor.detach().double().numpy() for name, tensor in inputs.items()}
    sizes = [int(n) for n in settings["sizes"]]
    tasks, d = len(arrays["test/y"]), arrays["feature_weights"].size
    refuse_unless(sum(array.size for array in arrays.values()) <= _MAX_TEST_VALUES)
    refuse_unless(tasks * d <= _MAX_COEFFICIENT_VALUES and arrays["test/features"].shape[1:] == (d,))
    refuse_unless(all(arrays[f"train/{n}/y"].shape == (tasks, n) for n in sizes))
    refuse_unless(all(arrays[f"train/{n}/features"].shape == (n, d) for n in sizes))
    refuse_unless(arrays["test/y"].shape == (tasks, len(arrays["test/features"])))
    errors = [
        test_errors(
            stand_in_coefficients(
                arrays[f"train/{n}/features"], arrays[f"train/{n}/y"], arrays["feature_weights"].reshape(-1)
            ),
            arrays["test/features"],
            arrays["test/y"],
        )
        for n in sizes
    ]
    return tuple(torch.from_numpy(part) for part in summarised(errors))


def logistic_meta_loss(
    w_t: torch.Tensor, weights: torch.Tensor | None, points: Array, k_idx: list[int], k_val: torch.Tensor, d: int
) -> torch.Tensor:
    """
    Return the sum over points of log(1 + exp(−z t)) with z = sign(f(x)) and t = (φ ∘ weights)ᵀ w_t, a scalar.

    Without weights, t = φᵀ w_t: the caller's `w_t` is the product of coefficients and weights already.
    """
    features = torch.from_numpy(fourier_features(points, d))
    labels = torch.where(features[:, k_idx] @ k_val.detach().double() >= 0, 1.0, -1.0)
    predictions = (features if weights is None else features * weights) @ w_t.double()
    return LOGISTIC_LOSS.value(predictions, labels.double()).sum()


def stand_in_coefficients(features: Array, labels: Array, weights: Array) -> Array:
    """Return w ∘ (φ ∘ w)ᵀz for each task: (n, d), (T, n), (d,) -> (d, T)."""
    return np.asarray(weights[:, None] * ((features * weights).T @ labels.T))


def test_errors(coefficients: Array, features: Array, labels: Array) -> Array:
    """Return the share of wrong labels of each task: (d, T), (m, d), (T, m) -> (T,)."""
    return label_error(features @ coefficients, labels.T)


def summarised(errors: list[Array]) -> tuple[Array, Array, Array]:
    """Return mean, 90th and 10th percentile over tasks for each number of points."""
    table = np.stack(errors)
    return table.mean(axis=1), np.percentile(table, 90, axis=1), np.percentile(table, 10, axis=1)


# Part (d) asks for the gradient in every step, or for what a gradient by differences takes; a run asks for the meta
# update in every task of every iteration.
_EVERY_STEP = 20_000
HELPERS = {
    "min_norm_solution": Helper(lent_solution, calls=_EVERY_STEP),
    "aliased_coefficients": Helper(lent_coefficients, calls=_EVERY_STEP),
    "expected_test_error": Helper(lent_error, calls=_EVERY_STEP),
    "expected_test_error_gradient": Helper(lent_gradient, calls=_EVERY_STEP),
    "meta_update_classification": Helper(lent_meta_update, calls=5_000),
    "test_classification": Helper(lent_test, calls=64),
}
