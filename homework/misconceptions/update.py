"""
Mistakes with `meta_update_classification`.

Shapes: n points, d features.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from grader.wire import Array
from homework.misconceptions.catalogue import choice
from reference.metalearning.features import fourier_features, signs

_FUNCTION = "meta_update_classification"
_OUTPUT, _GRADIENT = ("output",), ("gradient",)


def _logistic(labels: Tensor, predictions: Tensor) -> Tensor:
    return softplus(-labels * predictions)


def _squared(labels: Tensor, predictions: Tensor) -> Tensor:
    return (labels - predictions) ** 2


def _hinge(labels: Tensor, predictions: Tensor) -> Tensor:
    return (1 - labels * predictions).clamp(min=0)


def _exponential(labels: Tensor, predictions: Tensor) -> Tensor:
    return (-labels * predictions).exp()


def _sigmoid(labels: Tensor, predictions: Tensor) -> Tensor:
    return torch.sigmoid(-labels * predictions)


def _values_of_labels(values: Array) -> Array:
    return values


def _zero_and_one(values: Array) -> Array:
    return (signs(values) + 1) / 2


def _weighted(features: Tensor, weights: Tensor) -> Tensor:
    return features * weights


def _weighted_twice(features: Tensor, weights: Tensor) -> Tensor:
    return features * weights**2


def update_with(
    w_t: Tensor,
    weights: Tensor,
    points: Array,
    k_idx: list[int],
    k_val: Array,
    d: int,
    *,
    loss: Callable[[Tensor, Tensor], Tensor] = _logistic,
    targets: Callable[[Array], Array] = signs,
    weigh: Callable[[Tensor, Tensor], Tensor] = _weighted,
    sign: int = 1,
    mean: bool = False,
    on_grid: bool = False,
    unnormalised: bool = False,
    cut: str = "",
) -> Tensor:
    """The sum of logistic losses on fresh points of a task, with choices; `cut` names what gets no gradient."""
    placed = np.linspace(-1, 1, len(points), endpoint=False, dtype=np.float64) if on_grid else points
    array = fourier_features(placed, d)
    if unnormalised:
        array = np.concatenate([array[:, :1], array[:, 1:] / np.sqrt(2)], axis=1)
    labels = torch.from_numpy(sign * targets(array[:, k_idx] @ k_val))
    w_t = w_t.detach() if "w_t" in cut else w_t
    weights = weights.detach() if "feature_weights_t" in cut else weights
    losses = loss(labels, weigh(torch.from_numpy(array), weights) @ w_t)
    return losses.mean() if mean else losses.sum()


choice(
    update_with,
    f"{_FUNCTION}.mean-for-sum",
    about="The mean over the points is returned.",
    happened="You return the mean of the losses over the points.",
    right="The sum over the points should come back; the outer loop adds up those of its tasks.",
    aspects=_OUTPUT,
    clues=("mean", "return"),
    mean=True,
)
choice(
    update_with,
    f"{_FUNCTION}.sign-in-the-exponent",
    about="log(1 + exp(+z t)).",
    happened="The sign in the exponent is wrong: your loss is large where the prediction has the sign of the label.",
    right="The exponent should be the negative of label times prediction, so that right predictions cost little.",
    aspects=_OUTPUT,
    clues=("softplus", "exp", "logsigmoid"),
    sign=-1,
)
choice(
    update_with,
    f"{_FUNCTION}.real-values-for-labels",
    about="The values of the function stand where their signs should.",
    happened="Your targets are the real values of the function.",
    right="The targets should be labels, the signs of those values: `my_sign`.",
    aspects=_OUTPUT,
    clues=("generate_y",),
    targets=_values_of_labels,
)
choice(
    update_with,
    f"{_FUNCTION}.labels-zero-and-one",
    about="Labels 0 and 1 in a loss for -1 and +1.",
    happened="Your labels are 0 and 1, but the loss is written for -1 and +1: the points with label 0 teach nothing.",
    right="The labels should be -1 and +1, as `my_sign` gives them.",
    aspects=_OUTPUT,
    clues=("generate_y",),
    targets=_zero_and_one,
)
choice(
    update_with,
    f"{_FUNCTION}.squared-error",
    about="The squared error of part (g).",
    happened="Your loss is the squared error of part (g).",
    right="Part (h) asks for the logistic loss of label times prediction, and it should replace the squared error.",
    aspects=_OUTPUT,
    clues=("sum", "return"),
    loss=_squared,
)
choice(
    update_with,
    f"{_FUNCTION}.hinge-loss",
    about="max(0, 1 - z t).",
    happened="Your loss is the hinge loss of a support vector machine.",
    right="The logistic loss is asked for, and it should never become exactly zero.",
    aspects=_OUTPUT,
    clues=("clamp", "relu", "maximum", "return"),
    loss=_hinge,
)
choice(
    update_with,
    f"{_FUNCTION}.logarithm-forgotten",
    about="exp(-z t).",
    happened="Your loss is the exponential alone: the logarithm of one plus it is missing.",
    right="The exponential should stand in the logarithm of one plus it, which grows only linearly with a wrong "
    "prediction.",
    aspects=_OUTPUT,
    clues=("exp", "return"),
    loss=_exponential,
)
choice(
    update_with,
    f"{_FUNCTION}.probability-for-loss",
    about="The sigmoid of -z t.",
    happened="You add up the probabilities of being wrong, not their logarithmic losses.",
    right="The loss of a point should be the negative logarithm of the probability of its label.",
    aspects=_OUTPUT,
    clues=("sigmoid", "return"),
    loss=_sigmoid,
)
choice(
    update_with,
    f"{_FUNCTION}.weights-twice",
    about="The features are weighted twice.",
    happened="The feature weights are multiplied in twice.",
    right="The features should be multiplied by `feature_weights_t` once, and then by the coefficients `w_t`; not at "
    "all where the loop passes coefficients times weights.",
    aspects=_OUTPUT,
    clues=("feature_weights_t",),
    weigh=_weighted_twice,
)
choice(
    update_with,
    f"{_FUNCTION}.points-on-a-grid",
    about="The fresh points lie on a grid.",
    happened="Your points lie on a grid.",
    right="Fresh points should be uniform at random: on a grid, aliases look like the true features.",
    aspects=_OUTPUT,
    clues=("generate_x", "linspace"),
    on_grid=True,
)
choice(
    update_with,
    f"{_FUNCTION}.features-not-normalised",
    about="featurize without its normalisation.",
    happened="Your features are not normalised: each wave lacks the factor that makes it of unit length.",
    right="The features should come from `featurize` as it normalises them by default.",
    aspects=_OUTPUT,
    clues=("featurize_fourier", "featurize"),
    unnormalised=True,
)
choice(
    update_with,
    f"{_FUNCTION}.weights-detached",
    about="The feature weights are cut out of the graph.",
    happened="The loss is right, but no gradient reaches `feature_weights_t`, which is what the outer loop learns.",
    right="`feature_weights_t` should stay a tensor with its graph, from the argument to the loss.",
    aspects=_GRADIENT,
    clues=("feature_weights_t",),
    cut="feature_weights_t",
)
choice(
    update_with,
    f"{_FUNCTION}.coefficients-detached",
    about="The coefficients are cut out of the graph.",
    happened="The loss is right, but no gradient reaches `w_t`, so nothing can go back through the inner loop.",
    right="`w_t` should stay a tensor with its graph, from the argument to the loss.",
    aspects=_GRADIENT,
    clues=("w_t",),
    cut="w_t",
)
choice(
    update_with,
    f"{_FUNCTION}.all-detached",
    about="A number, or a tensor without a graph, comes back.",
    happened="The loss is right, but it is a plain number: no gradient reaches `w_t` or `feature_weights_t`.",
    right="The loss should be computed with tensors from beginning to end, and come back as a tensor with its graph.",
    aspects=_GRADIENT,
    clues=("item", "detach", "no_grad", "to_numpy", "return"),
    cut="w_t feature_weights_t",
)
