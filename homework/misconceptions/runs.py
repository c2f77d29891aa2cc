"""
Mistakes with `meta_learning_classification`, of part (g), which squares errors, and of part (h), which is logistic.

What is predicted is the path of the feature weights on hidden points, as `metalearning_runs` explains it.

Shapes: n inner points, m meta points, d features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import softplus

from grader.checks.exam import CaseAnswer, Check, Exam
from grader.wire import Array, Arrays
from homework.misconceptions.catalogue import choice, recognised
from reference.metalearning.features import fourier_features, signs

_FUNCTION = "meta_learning_classification"
# Part (g) is asked about under "output", part (h) under "gradient"; what both can have is looked for in both.
_G, _H, _BOTH = ("output",), ("gradient",), ("output", "gradient")
# Two entries differ by 0.1 of a path's length or more; the leak that is no mistake moves it by 0.02.
_PATH_TOLERANCE = 0.03
_COEFFICIENT_TOLERANCE = 1e-3

PointLoss = Callable[[Tensor, Tensor], Tensor]


def _logistic(predictions: Tensor, labels: Tensor) -> Tensor:
    return softplus(-labels * predictions)


def _squared(predictions: Tensor, labels: Tensor) -> Tensor:
    return (predictions - labels) ** 2


def _wrong_sign(predictions: Tensor, labels: Tensor) -> Tensor:
    return softplus(labels * predictions)


def _real_values(values: Array) -> Array:
    return values


def learn_with(
    inputs: Arrays,
    settings: Mapping[str, Any],
    *,
    inner_loss: PointLoss | None = None,
    inner_targets: Callable[[Array], Array] = signs,
    outer_loss: PointLoss | None = None,
    outer_targets: Callable[[Array], Array] = signs,
    inner_sum: bool = False,
    more_steps: int = 0,
    steps: int | None = None,
    inner_step: str = "stepsize_inner",
    outer_step: str = "stepsize_meta",
    first_order: bool = False,
    inner_unweighted: bool = False,
    on_inner_points: bool = False,
    weights_in_meta_loss: int = 1,
    uphill: bool = False,
    share: Callable[[Mapping[str, Any]], float] = lambda _: 1.0,
    pile_up: bool = False,
    adam: bool = False,
) -> dict[str, Any]:
    """
    A run on its hidden points, with choices.

    `share` is the factor of the summed gradient that a step takes; in the meta loss weights count
    `weights_in_meta_loss` times.
    """
    params = settings["params"]
    usual = _logistic if settings["loss"] == "logistic" else _squared
    inner_loss, outer_loss = inner_loss or usual, outer_loss or usual
    d, k = int(params["d"]), list(params["k_idx"])
    inner = fourier_features(inputs["inner_points"], d)
    meta = inner if on_inner_points else fourier_features(inputs["meta_points"], d)
    targets = torch.from_numpy(inner_targets(inner[:, k[0]]))
    fresh = torch.from_numpy(outer_targets(meta[:, k[0]]))
    seen, unseen = torch.from_numpy(inner), torch.from_numpy(meta)
    weights = torch.ones(d, dtype=torch.float64, requires_grad=True)
    kind = torch.optim.Adam if adam else torch.optim.SGD
    optimizer = kind([weights], lr=params[outer_step])
    path, first = [weights.detach().numpy().copy()], None
    for _ in range(params["num_iterations"]):
        w_t = torch.zeros(d, dtype=torch.float64, requires_grad=True)
        for _ in range(params["num_gd_steps"] + more_steps if steps is None else steps):
            losses = inner_loss((seen if inner_unweighted else seen * weights) @ w_t, targets)
            (slope,) = torch.autograd.grad(losses.sum() if inner_sum else losses.mean(), w_t, create_graph=True)
            w_t = w_t - params[inner_step] * (slope.detach() if first_order else slope)
        first = w_t.detach().numpy() if first is None else first
        loss = outer_loss((unseen * weights**weights_in_meta_loss) @ w_t, fresh).sum()
        (gradient,) = torch.autograd.grad(loss, weights)
        gradient = (-1 if uphill else 1) * params["num_inner_tasks"] * share(params) * gradient
        weights.grad = gradient if weights.grad is None or not pile_up else weights.grad + gradient
        optimizer.step()
        path.append(weights.detach().numpy().copy())
    seen_apart = {} if weights_in_meta_loss == 1 else {"of-two-functions": True}
    return {"path": np.stack(path), "w_t": first, "hidden": float(not on_inner_points), **seen_apart}


def is_same_run(answer: CaseAnswer, predicted: Mapping[str, Array]) -> bool:
    """Whether a student's run took the predicted path, from the same coefficients of the first task where they show."""
    path, hidden, w_t = (answer.get(name) for name in ("path", "hidden", "w_t"))
    right = predicted["path"]
    if "of-two-functions" in predicted and w_t is None:  # who wrote both in one has nothing that could disagree
        return False
    if path is None or path.ndim != 2 or path.shape[1] != right.shape[1] or not np.all(np.isfinite(path)):
        return False
    if hidden is None or hidden.size != 1 or float(hidden.reshape(-1)[0]) != float(predicted["hidden"]):
        return False
    if w_t is not None and relative_distance(np.abs(w_t), np.abs(predicted["w_t"])) > _COEFFICIENT_TOLERANCE:
        return False
    return len(path) >= len(right) - 1 and path_distance(path, right) <= _PATH_TOLERANCE


def path_distance(path: Array, right: Array) -> float:
    """Return by how much weights have moved elsewhere, at most; logging may begin after the first step."""

    def distance(first: int) -> float:
        rows = range(min(len(path), len(right) - first))
        start = 0.0 if first else float(np.max(np.abs(path[0] - 1)))
        moved = [row for row in rows if row + first > 0]
        return max([start, *(relative_distance(path[row] - 1, right[row + first] - 1) for row in moved)])

    return min(distance(0), distance(1))


@np.errstate(over="ignore")
def relative_distance(one: Array, other: Array) -> float:
    """Return ‖one − other‖ / ‖other‖; infinity where the shapes differ."""
    if one.shape != other.shape:
        return float("inf")
    return float(np.linalg.norm(one - other) / max(float(np.linalg.norm(other)), 1e-12))


def _mean_of_tasks(params: Mapping[str, Any]) -> float:
    return 1 / float(params["num_inner_tasks"])


def _mean_of_points(params: Mapping[str, Any]) -> float:
    return 1 / float(params["n_train_meta"])


def _half(params: Mapping[str, Any]) -> float:
    return 0.5


choice(
    learn_with,
    f"{_FUNCTION}.inner-squared-error",
    about="Part (h) with the inner loop of part (g).",
    happened="Your inner loop learns by the squared error, as in part (g).",
    right="The inner loop of part (h) should take its steps on the logistic loss.",
    aspects=_H,
    clues=("inner_loss", "loss", "** 2"),
    inner_loss=_squared,
)
choice(
    learn_with,
    f"{_FUNCTION}.logistic-copy",
    about="Part (g) with the logistic loss in its inner loop.",
    happened="Your inner loop of part (g) learns by the logistic loss.",
    right="Part (g) is the copied regression code: the squared error should stay.",
    aspects=_G,
    clues=("inner_loss", "loss", "softplus"),
    inner_loss=_logistic,
)
choice(
    learn_with,
    f"{_FUNCTION}.inner-sign",
    about="The inner logistic loss has the wrong sign in its exponent.",
    happened="The sign in the exponent of your inner loss is wrong: the coefficients learn the opposite of the labels.",
    right="The exponent should be the negative of label times prediction.",
    aspects=_H,
    clues=("softplus", "exp", "logsigmoid", "inner_loss"),
    inner_loss=_wrong_sign,
)
choice(
    learn_with,
    f"{_FUNCTION}.inner-real-values",
    about="The inner loop learns from the real values.",
    happened="Your inner loop learns from the real values of the function.",
    right="Only labels are seen in this part: the inner loop should learn from the signs, `my_sign`.",
    aspects=_BOTH,
    clues=("generate_y",),
    inner_targets=_real_values,
)
choice(
    learn_with,
    f"{_FUNCTION}.inner-sum",
    about="The inner loss is the sum over the points.",
    happened="Your inner loss is summed over the points, so each inner step is many times too long.",
    right="The inner loss should be the mean over the points.",
    aspects=_H,  # the squared error of part (g) diverges
    clues=("inner_loss", "sum"),
    inner_sum=True,
)
choice(
    learn_with,
    f"{_FUNCTION}.one-inner-step-too-many",
    about="num_gd_steps + 1 steps.",
    happened="Your inner loop takes one step more than `num_gd_steps`.",
    right="The inner loop should take exactly `num_gd_steps` steps from coefficients of zero.",
    aspects=_BOTH,
    clues=("num_gd_steps", "range"),
    more_steps=1,
)
choice(
    learn_with,
    f"{_FUNCTION}.one-inner-step-too-few",
    about="num_gd_steps - 1 steps.",
    happened="Your inner loop takes one step fewer than `num_gd_steps`.",
    right="The inner loop should take exactly `num_gd_steps` steps from coefficients of zero.",
    aspects=_BOTH,
    clues=("num_gd_steps", "range"),
    more_steps=-1,
)
choice(
    learn_with,
    f"{_FUNCTION}.single-inner-step",
    about="One step, whatever num_gd_steps is.",
    happened="Your inner loop takes a single step, whatever `num_gd_steps` is; perhaps each step begins anew at zero.",
    right="Each of the `num_gd_steps` steps should begin where the last one ended.",
    aspects=_BOTH,
    clues=("num_gd_steps", "w_t"),
    steps=1,
)
choice(
    learn_with,
    f"{_FUNCTION}.inner-step-of-outer-loop",
    about="The inner loop uses stepsize_meta.",
    happened="Your inner loop uses the step size of the outer loop.",
    right="Inner steps should have the length `stepsize_inner`; `stepsize_meta` belongs to the feature weights.",
    aspects=_BOTH,
    clues=("stepsize_meta",),
    inner_step="stepsize_meta",
)
choice(
    learn_with,
    f"{_FUNCTION}.first-order",
    about="Learned coefficients count as constants.",
    happened="The feature weights move as if the learned coefficients did not depend on them: the graph of the inner "
    "loop is cut.",
    right="The meta gradient should go through every inner step: `create_graph` keeps the graph, and nothing in "
    "the loop should be detached.",
    aspects=_BOTH,
    clues=("autograd", "detach", "data", "backward", "stepsize_inner"),
    first_order=True,
)
choice(
    learn_with,
    f"{_FUNCTION}.inner-unweighted",
    about="The inner loop learns on features without weights.",
    happened="Your inner loop does not use the feature weights: the coefficients are learned on plain features.",
    right="The inner loop should learn on features times weights; that is how the weights get their gradient.",
    aspects=_BOTH,
    clues=("inner_loss", "loss", "w_t"),
    inner_unweighted=True,
)
choice(
    learn_with,
    f"{_FUNCTION}.meta-loss-on-inner-points",
    about="The meta loss is measured on the points of the inner loop.",
    happened="Your meta loss is measured on the points that the inner loop learned from.",
    right="The meta loss should be measured on fresh points of the same task, or it rewards learning by heart.",
    aspects=_BOTH,
    clues=("meta_loss", "meta_update_classification"),
    on_inner_points=True,
)
choice(
    learn_with,
    f"{_FUNCTION}.loop-and-update-disagree-never",
    about="The loop passes coefficients to an update that expects them multiplied by the weights.",
    happened="Your loop and your meta update disagree: the loop passes the coefficients as `w_t`, the update "
    "multiplies plain features by them, and so the feature weights are missing from the meta loss.",
    right="Either the loop should pass coefficients times feature weights, or the update should weight its features.",
    aspects=_BOTH,
    clues=("meta_update_classification", "w_t"),
    weights_in_meta_loss=0,
)
choice(
    learn_with,
    f"{_FUNCTION}.loop-and-update-disagree-twice",
    about="The loop passes coefficients times weights to an update that weights its features as well.",
    happened="Your loop and your meta update disagree: the loop passes coefficients times feature weights as `w_t`, "
    "the update weights its features as well, and so the feature weights count twice in the meta loss.",
    right="Either the loop should pass the coefficients alone, or the update should take plain features.",
    aspects=_BOTH,
    clues=("meta_update_classification", "w_t"),
    weights_in_meta_loss=2,
)
choice(
    learn_with,
    f"{_FUNCTION}.one-task-counts",
    about="A step is that of one task, or of the mean of the tasks.",
    happened="A step of yours is that of a single task, or of the mean over the tasks: the others do not add to it.",
    right="The meta losses of all tasks of an iteration should be summed before the step; gradients are set to zero "
    "once for each iteration, not for each task.",
    aspects=_BOTH,
    clues=("zero_grad", "backward", "num_inner_tasks"),
    share=_mean_of_tasks,
)
choice(
    learn_with,
    f"{_FUNCTION}.outer-step-of-inner-loop",
    about="The outer loop uses stepsize_inner.",
    happened="Your feature weights move with the step size of the inner loop.",
    right="The feature weights should move with `stepsize_meta`.",
    aspects=_H,
    clues=("stepsize_inner", "optimizer"),
    outer_step="stepsize_inner",
)
choice(
    learn_with,
    f"{_FUNCTION}.uphill",
    about="The feature weights climb the meta loss.",
    happened="The feature weights go uphill: every step is along the gradient of the meta loss.",
    right="A step should go against the gradient, as an optimizer does by itself.",
    aspects=_BOTH,
    clues=("backward", "step"),
    uphill=True,
)
choice(
    learn_with,
    f"{_FUNCTION}.gradients-pile-up",
    about="The meta gradient is never set to zero.",
    happened="Your first step is right; after that the gradients of all iterations so far are added up.",
    right="The gradient of the feature weights should be set to zero at the beginning of each iteration.",
    aspects=_BOTH,
    clues=("step", "backward"),
    pile_up=True,
)
choice(
    learn_with,
    f"{_FUNCTION}.always-adam",
    about="Adam whatever optimizer_type says.",
    happened="Your outer loop always uses Adam.",
    right="The optimizer should be the one that `optimizer_type` names; `make_meta_optimizer` makes it.",
    aspects=_BOTH,
    clues=("Adam", "optim", "optimizer"),
    adam=True,
)
choice(
    learn_with,
    f"{_FUNCTION}.copied-mean",
    about="The meta update of part (g) returns the mean.",
    happened="The meta loss of your part (g) is the mean over the points.",
    right="The copied meta update should return the sum over the points, as the regression code does.",
    place="meta_update_classification",
    aspects=_G,
    clues=("mean",),
    share=_mean_of_points,
)
choice(
    learn_with,
    f"{_FUNCTION}.copied-logistic-update",
    about="The meta update of part (g) is logistic.",
    happened="The meta loss of your part (g) is the logistic loss.",
    right="Part (g) is the copied regression code: the squared error should stay in the meta update, too.",
    place="meta_update_classification",
    aspects=_G,
    clues=("softplus", "exp", "return"),
    outer_loss=_logistic,
)
choice(
    learn_with,
    f"{_FUNCTION}.copied-real-values",
    about="The meta update of part (g) uses real values.",
    happened="The meta loss of your part (g) compares with the real values of the function.",
    right="Only labels are seen in this part: the meta update should compare with the signs, `my_sign`.",
    place="meta_update_classification",
    aspects=_G,
    clues=("generate_y",),
    outer_targets=_real_values,
)
choice(
    learn_with,
    f"{_FUNCTION}.squared-error-halved",
    about="A factor of one half in the meta update of part (g).",
    happened="The meta loss of your part (g) has a factor of one half.",
    right="The copied meta update should return the plain sum of squared errors.",
    place="meta_update_classification",
    aspects=_G,
    clues=("0.5", "/ 2", "mean", "return"),
    share=_half,
)


@recognised(
    f"{_FUNCTION}.no-meta-step",
    happened="The feature weights never change.",
    right="Each iteration should end with a step of the optimizer that holds the feature weights, after the backward "
    "pass; and the losses should have a slope at coefficients of zero, as not every loss has.",
    aspects=("output", "gradient", "convergence"),
    clues=("backward", "step", "optimizer"),
)
def never_moves(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> bool:
    """No step is taken on the feature weights."""
    path = answers[0].get("path")
    return path is not None and path.ndim == 2 and len(path) == 1 and bool(np.all(path == 1))
