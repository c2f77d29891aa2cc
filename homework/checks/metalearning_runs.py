"""
The checks of whole meta-learning runs, parts (e) to (h).

Handed-out modules test at len(k_idx) - 1 points, among others, so every run has several true features; on labels they
are the same one, again and again. A task is then that feature or its negative, and both losses give the same gradient
for either. With hidden points that are the same for every task, the feature weights take one path, whatever a
student's code draws and in whatever order: it is compared step by step. Where `generate_y` is called, it gives the
values of one task or its negative, so that also who learns from values takes one path. Only
`meta_learning_classification.convergence` runs as the homework does, on several true features and points of the
student's own drawing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from grader.checks.compare import off_by
from grader.checks.exam import Case, CaseAnswer, Check, Errors, Exam, Judge
from grader.contract import Function
from grader.verdicts import Evidence, Picture, failed, passed
from grader.wire import Array
from homework.checks.metalearning_theory import numbers
from homework.checks.pictures import look_at_path, look_at_weights, with_pictures
from homework.checks.reference import A_BAND, CALIBRATION, UPDATE_WAYS
from homework.contract import CONTRACT, COPYPASTE, METALEARNING
from reference.metalearning.experiment import meta_gradient
from reference.metalearning.features import fourier_features, signs
from reference.metalearning.inner_loops import LOGISTIC_LOSS, SQUARED_ERROR, PointLoss
from reference.metalearning.settings import Settings
from reference.metalearning.tasks import TaskBatch, clean_targets, draw_coefficients, draw_task_batch

# The handed-out loop of 2023 leaks gradient of the inner loss into that of the meta loss. At these sizes this moves
# the path by 0.010 to 0.019 of its length (25 draws of points), so the leaking path is computed as well, and whatever
# lies between the two counts as right up to rounding.
# Where a run draws its own points, it is compared with the reference on many tasks of its own drawing. The first step's
# length on the true feature has a standard deviation of 4.5 % of it at most (300 seeds of the weakest settings), and
# that of first order is half as long: a band of a quarter to either side is 5.5 standard deviations, odds of 4e-8.
# At the end chance has averaged out, to 0.6 %; the leak makes 2 %.
_OWN_DRAWS_BAND, _OWN_DRAWS_END = 0.25, 0.06
_OWN_DRAWS_TASKS = 24  # of each iteration of the reference
# What weights that learn from points do and weights that are only raised do not: those of the other features move, too,
# most where combination tones of the labels are. The correlation with the reference's is 0.85 and more (see tests).
_LEAST_CORRELATION = 0.1
# Convergence: by how much true weights grew, as a share of what the reference's did, and how far the mean of the others
# is from the reference's. Right runs stay within 0.95 to 1.1 and 0.1, with the leak too (see tests).
_GROWTH = (0.33, 1.47)
_OTHERS_APART = 0.5
_AWAY = 0.2  # below the others and below the start: then weights have moved away, and have not only stayed
# What looks like a true feature at every hidden point learns the same weight, up to rounding.
_LEAST_GROWTH_OF_ALIASES = 0.8

_COMMON: dict[str, Any] = {
    "phi_type": "fourier",
    "optimizer_type": "SGD",
    "n_test_post": 60,
    "n_train_post": 6,
    "num_tasks_test": 1,
    "num_n_train_post_range": 3,
    "noise_std": 0.0,
    "noise_prob": 0.0,
}
_SAME_TASKS: dict[str, Any] = {
    **_COMMON,
    "x_type": "uniform_random",
}
_LABELS: dict[str, Any] = {**_SAME_TASKS, "stepsize_inner": 0.3}
_LABELS_AS_VALUES: dict[str, Any] = {**_SAME_TASKS, "stepsize_inner": 0.02}
_VALUES: dict[str, Any] = {
    **_COMMON,
    "d": 15,
    "k_idx": [3, 6, 8],
    "n_train_inner": 8,
    "n_train_meta": 24,
    "num_inner_tasks": 2,
    "num_gd_steps": 3,
    "stepsize_inner": 0.02,
    "stepsize_meta": 0.005,
    "num_iterations": 4,
    "num_stats": 2,
}
_LEARNING: dict[str, Any] = {
    **_COMMON,
    "x_type": "uniform_random",
    "num_inner_tasks": 4,
    "num_gd_steps": 4,
}
_REFERENCE_TASKS = 8  # of each iteration where tasks are drawn: the mean over so many
# On labels: all of the function is the last of its features, which are the same. So it is for who adds coefficients of
# the same feature up, and for who writes them into an array one after the other.
_ONE_FEATURE = np.array([0.0, 0.0, 1.0])
_LOSSES: Mapping[str, PointLoss] = {"logistic": LOGISTIC_LOSS, "gradient_descent": SQUARED_ERROR}


def _drawn_labels(params: Mapping[str, Any], draws: np.random.Generator) -> dict[str, Any]:
    """Draw what decides how far weights move, so that it is known to nobody who does not compute it."""
    iterations = int(draws.integers(7, 10))
    return {
        **params,
        "seed": int(draws.integers(2**31)),
        "d": int(draws.choice([19, 21, 23])),
        "k_idx": [int(draws.integers(5, 10))] * 3,
        "n_train_inner": int(draws.integers(44, 53)),
        "n_train_meta": int(draws.integers(90, 103)),
        "num_inner_tasks": int(draws.integers(3, 5)),
        "num_gd_steps": int(draws.integers(3, 5)),
        "stepsize_inner": params["stepsize_inner"] * draws.uniform(0.9, 1.1),
        "stepsize_meta": draws.uniform(0.0045, 0.0055),
        "num_iterations": iterations,
        "num_stats": iterations,
    }


def _drawn_learning(draws: np.random.Generator) -> dict[str, Any]:
    first, iterations = int(draws.integers(3, 8)), int(draws.integers(38, 43))
    return {
        **_LEARNING,
        "seed": int(draws.integers(2**31)),
        "d": int(draws.choice([29, 31, 33])),
        "k_idx": list(range(first, first + 4)),
        "n_train_inner": int(draws.integers(30, 36)),
        "n_train_meta": int(draws.integers(46, 53)),
        "stepsize_inner": draws.uniform(0.28, 0.32),
        "stepsize_meta": draws.uniform(0.019, 0.021),
        "num_iterations": iterations,
        "num_stats": iterations,
    }


def _settings(params: Mapping[str, Any], kind: str, targets: str) -> Settings:
    known = {key: value for key, value in params.items() if key in Settings.__dataclass_fields__}
    fields = {**known, "k_idx": tuple(params["k_idx"]), "inner": kind, "targets": targets, "noise": 0.0}
    return replace(Settings(), **fields)


def _task(settings: Settings, inner: Array, meta: Array, k_val: Array) -> TaskBatch:
    """The one task of all, on hidden points."""
    inner_features, meta_features = (fourier_features(points, settings.d)[None] for points in (inner, meta))
    inner_values, meta_values = (
        features[..., list(settings.k_idx)] @ k_val for features in (inner_features, meta_features)
    )
    if settings.targets == "labels":
        inner_values, meta_values = signs(inner_values), signs(meta_values)
    return TaskBatch(inner_features, inner_values, meta_features, meta_values)


def _reference_path(settings: Settings, task: TaskBatch) -> Array:
    """Feature weights before the first and after each iteration of gradient descent: (num_iterations + 1, d)."""
    path: list[Array] = [np.ones(settings.d)]
    for _ in range(settings.num_iterations):
        slope = settings.num_inner_tasks * meta_gradient(path[-1], task, settings).gradient
        path.append(path[-1] - settings.stepsize_meta * slope)
    return np.stack(path)


def _leaking_path(settings: Settings, task: TaskBatch) -> Array:
    """The same for the loop of 2023, which adds the gradients of the inner losses to that of the meta loss."""
    loss = _LOSSES[settings.inner]
    path: list[Array] = [np.ones(settings.d)]
    inner, meta, inner_targets, meta_targets = (
        torch.from_numpy(array[0])
        for array in (task.inner_features, task.meta_features, task.inner_targets, task.meta_targets)
    )
    for _ in range(settings.num_iterations):
        weights = torch.tensor(path[-1], requires_grad=True)
        w = torch.zeros(settings.d, dtype=torch.float64, requires_grad=True)
        total = torch.zeros((), dtype=torch.float64)
        for _ in range(settings.num_gd_steps):
            inner_loss = loss.value((inner * weights) @ w, inner_targets).mean()
            total = total + inner_loss
            w = w - settings.stepsize_inner * torch.autograd.grad(inner_loss, w, create_graph=True)[0]
        total = total + loss.value((meta * weights) @ w, meta_targets).sum()
        slope = settings.num_inner_tasks * torch.autograd.grad(total, weights)[0].numpy()
        path.append(path[-1] - settings.stepsize_meta * slope)
    return np.stack(path)


def _inner_coefficients(settings: Settings, task: TaskBatch) -> Array:
    """Coefficients after the inner loop with weights of 1: (d,)."""
    features, targets = torch.from_numpy(task.inner_features[0]), torch.from_numpy(task.inner_targets[0])
    slope = _LOSSES[settings.inner].slope
    w = torch.zeros(settings.d, dtype=torch.float64)
    for _ in range(settings.num_gd_steps):
        w = w - settings.stepsize_inner / len(targets) * (features.T @ slope(features @ w, targets))
    return np.asarray(w.numpy())


def _prepare_path(
    function: str, update: str, params: Mapping[str, Any], *, kind: str, targets: str
) -> Callable[[torch.Generator], Exam]:
    """Return a `prepare` for a run whose path can be known."""

    def prepare(generator: torch.Generator) -> Exam:
        draws = numbers(generator)
        seeded = _drawn_labels(params, draws) if targets == "labels" else {**params, "seed": int(draws.integers(2**31))}
        settings = _settings(seeded, kind, targets)
        inner, meta = (np.sort(draws.uniform(-1, 1, seeded[key])) for key in ("n_train_inner", "n_train_meta"))
        if settings.x_type == "grid":
            inner = np.linspace(-1, 1, len(inner), endpoint=False)
        k_val = _ONE_FEATURE if targets == "labels" else draw_coefficients(len(settings.k_idx), draws)
        task = _task(settings, inner, meta, k_val)
        expected = {"path": _reference_path(settings, task)}
        if targets == "labels":
            expected["leaking"] = _leaking_path(settings, task)
        if kind != "closed_form":
            expected["w_t"] = _inner_coefficients(settings, task)
        inputs = {"inner_points": inner, "meta_points": meta, "k_val": k_val}
        case = Case(inputs, expected, seed=int(draws.integers(2**31)))
        asked = _asked(function, update, seeded)
        return Exam({**asked, "loss": kind}, {}, [case])

    return prepare


def _prepare_learning(generator: torch.Generator) -> Exam:
    """
    Draw a run whose hidden points lie on a lattice, where other features look like the true ones.

    On points -1 + 2 (j + h) / m, h being 0 or a half, waves of frequencies r and m - r are the same up to their sign:
    their weights grow alike, whatever tasks are drawn, and nothing but the points says which they are.
    """
    draws = numbers(generator)
    params = _drawn_learning(draws)
    settings = _settings(params, "logistic", "labels")
    true = np.array(params["k_idx"])
    lowest = int((true[0] + 1) // 2)
    places = (settings.d - 1) // 2 + lowest - int(draws.integers(2))
    aliases = 2 * (places - (true + 1) // 2) - true % 2
    shift = float(draws.choice([0.0, 0.5]))
    inner, meta = (_on_lattice(params[key], places, shift, draws) for key in ("n_train_inner", "n_train_meta"))
    path = _mean_path(settings, lambda: _tasks_on(inner, meta, settings, draws))
    case = Case(
        {"inner_points": inner, "meta_points": meta},
        {"path": path},
        seed=int(draws.integers(2**31)),
        held_back={"aliases": aliases},
    )
    asked = _asked("meta_learning_classification", "meta_update_classification", params)
    return Exam({**asked, "loss": "logistic"}, {}, [case])


def _on_lattice(count: int, places: int, shift: float, draws: np.random.Generator) -> Array:
    """Place points on a lattice of the circle, each place about equally often: (count,), sorted."""
    taken = (np.arange(count) + draws.integers(places)) % places
    return np.sort(-1 + 2 * (taken + shift) / places)


def _tasks_on(inner: Array, meta: Array, settings: Settings, draws: np.random.Generator) -> TaskBatch:
    """Draw tasks on points that are given, the same for all of them."""
    columns = np.stack([draw_coefficients(len(settings.k_idx), draws) for _ in range(_REFERENCE_TASKS)])[:, :, None]
    features = [fourier_features(points, settings.d)[None] for points in (inner, meta)]
    labels = [clean_targets(each, columns, settings)[..., 0] for each in features]
    return TaskBatch(features[0], labels[0], features[1], labels[1])


def _mean_path(settings: Settings, draw: Callable[[], TaskBatch]) -> Array:
    """Feature weights that learn from the mean over more tasks than an iteration has: (num_iterations + 1, d)."""
    path: list[Array] = [np.ones(settings.d)]
    for _ in range(settings.num_iterations):
        batch = draw()
        share = settings.num_inner_tasks / len(batch.inner_targets)
        path.append(path[-1] - settings.stepsize_meta * share * meta_gradient(path[-1], batch, settings).gradient)
    return np.stack(path)


def _path_of_own_draws(exam: Exam) -> Array:
    """Return what is learned on average from points that are drawn freely."""
    settings = _settings(exam.settings["params"], exam.settings["loss"], "labels")
    draws, many = np.random.RandomState(0), replace(settings, num_inner_tasks=_OWN_DRAWS_TASKS)
    return _mean_path(settings, lambda: draw_task_batch(many, draws))


def _asked(function: str, update: str, params: Mapping[str, Any]) -> dict[str, Any]:
    return {"function": function, "updates": [update], "params": dict(params)}


def judge_path(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    """The feature weights take the right path, up to the leak of the handed-out loop."""
    expected, answer, params = exam.cases[0].expected, answers[0], exam.settings["params"]
    path = answer.get("path")
    if (finding := _unusable(path, params["d"])) is not None:
        return finding
    assert path is not None
    if (finding := _of_wrong_length(answer, path, params)) is not None:
        return finding
    if not _took_hidden_points(answer):
        return _judge_own_draws(path, exam)
    w_t = answer.get("w_t")
    if w_t is not None and _relative(np.abs(w_t), np.abs(expected["w_t"])) > check.tolerance("w_t").relative:
        return failed(
            f"After the inner loop from feature weights of 1, the coefficients of the first task are not those of "
            f"{params['num_gd_steps']} steps of gradient descent from 0.",
            try_next="Look at the inner loop: which loss (its mean over the points), on labels or on real values, from "
            "which start, with which step size, how many steps.",
        )
    error = _path_error(path, expected["path"], expected["leaking"])
    if error <= check.tolerance("path").relative:
        return passed()
    return failed(
        f"The feature weights take another path than the right one: it is off by {off_by(error, of='its length')}.",
        try_next="Check that the gradient goes through the inner loop, that the meta losses of all tasks are summed, "
        "and that each iteration takes one step against their gradient, which is set to zero before.",
    )


def judge_given(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    """A function that is handed out still learns the same feature weights."""
    path = answers[0].get("path")
    if (finding := _unusable(path, exam.settings["params"]["d"])) is not None:
        return finding
    assert path is not None
    if given_errors(exam, answers)["path"] <= check.tolerance("path").relative:
        return passed()
    return failed(
        "On a small configuration it does not learn the feature weights that the function as handed out learns.",
        try_next=f"Nothing has to be changed in `{check.function}` and in what it calls. Take the handed-out "
        "`utils.py` and `utils_reg.py` again.",
    )


def path_errors(exam: Exam, answers: Sequence[CaseAnswer]) -> dict[str, float]:
    """Return the error of the path, and that of the first task's coefficients, whose sign is the task's."""
    expected, answer = exam.cases[0].expected, answers[0]
    path, w_t = answer.get("path"), answer.get("w_t")
    if path is None or not _took_hidden_points(answer) or _unusable(path, exam.settings["params"]["d"]):
        return {"path": np.inf, "w_t": 0.0}
    return {
        "path": _path_error(path, expected["path"], expected["leaking"]),
        "w_t": 0.0 if w_t is None else _relative(np.abs(w_t), np.abs(expected["w_t"])),
    }


def given_errors(exam: Exam, answers: Sequence[CaseAnswer]) -> dict[str, float]:
    """Return the error of where a function that is handed out ends."""
    path, expected = answers[0].get("path"), exam.cases[0].expected
    if path is None or _unusable(path, exam.settings["params"]["d"]):
        return {"path": np.inf}
    return {"path": _relative(path[-1] - 1, expected["path"][-1] - 1)}


def judge_learning(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    """After a run on tasks of its own drawing, the true features and what looks like them stand out."""
    params, answer = exam.settings["params"], answers[0]
    path = answer.get("path")
    if (finding := _unusable(path, params["d"])) is not None:
        return finding
    assert path is not None
    if (finding := _of_wrong_length(answer, path, params)) is not None:
        return finding
    on_hidden = _took_hidden_points(answer)
    right = exam.cases[0].expected["path"] if on_hidden else _path_of_own_draws(exam)
    aliases = exam.cases[0].held_back["aliases"] if on_hidden else np.array([], dtype=int)
    (true, others), (right_true, right_others) = (
        _means(each, params["k_idx"], aliases) for each in (path[-1], right[-1])
    )
    growth = (true - 1) / (right_true - 1)
    follows = _rises_with_aliases(path, params["k_idx"], aliases) if on_hidden else _follows_points(path, right, params)
    if growth >= _GROWTH[0] and not follows:
        return failed(_NOT_FROM_POINTS, try_next=_FROM_POINTS)
    if not _GROWTH[0] <= growth <= _GROWTH[1] or abs(others - right_others) > _OTHERS_APART:
        return failed(
            f"After {params['num_iterations']} iterations with {len(params['k_idx'])} true features among "
            f"{params['d']}, their weights are {true:.3g} on average and the others {others:.3g}; right runs come to "
            f"about {right_true:.2g} and {right_others:.2g}.",
            try_next=_advice_on_learning(true, others, _GROWTH[1] * (right_true - 1) + 1),
        )
    return passed(notes=() if on_hidden else (OWN_POINTS,))


def _means(weights: Array, true: Sequence[int], aliases: Array) -> tuple[float, float]:
    """Return the mean weight of true features, and of those that do not look like them."""
    return float(weights[list(true)].mean()), float(np.delete(weights, [*true, *aliases]).mean())


def _rises_with_aliases(path: Array, true: Sequence[int], aliases: Array) -> bool:
    """Whether what looks like a true feature at the hidden points has learned about its weight."""
    return bool(np.min(path[-1][aliases] - 1) >= _LEAST_GROWTH_OF_ALIASES * np.min(path[-1][list(true)] - 1))


def _follows_points(path: Array, right: Array, params: Mapping[str, Any]) -> bool:
    """Whether the weights of other features have moved as points and labels of own drawing move them, up to chance."""
    mine, reference = (np.delete(each[-1], params["k_idx"]) for each in (path, right))
    if np.ptp(mine) < 0.1 * np.ptp(reference):
        return False
    return bool(np.corrcoef(mine, reference)[0, 1] >= _LEAST_CORRELATION)


def _look_at_learning(exam: Exam, answers: Sequence[CaseAnswer]) -> tuple[Picture, ...]:
    """Show what was learned beside what right runs learn on average: the student's own tasks have no reference."""
    if not _took_hidden_points(answers[0]):
        return ()
    caption = "The feature weights that your run learned, and what right runs learn on average; they all began at 1."
    return look_at_weights(answers, exam.cases[0].expected["path"][-1], caption)


def _advice_on_learning(true: float, others: float, most: float) -> str:
    if max(abs(true), abs(others)) > most:
        return _TOO_LONG
    if true < min(others, 1.0) - _AWAY:
        return "The weights move away from the true features. Check the sign in the logistic loss."
    return (
        "Check the inner loss, and that each iteration adds up the meta losses of its tasks and takes a step against "
        "their gradient."
    )


def _took_hidden_points(answer: CaseAnswer) -> bool:
    hidden = answer.get("hidden")
    return hidden is not None and bool(np.all(hidden == 1))


def _of_wrong_length(answer: CaseAnswer, path: Array, params: Mapping[str, Any]) -> Evidence | None:
    """
    Return evidence where there were more or fewer steps than iterations, as far as a run shows it.

    The weights before the first or after the last step may be shown nowhere. The meta update is asked once for each
    task of each iteration, where it is asked at all; some call it again for what they print.
    """
    iterations, tasks = params["num_iterations"], params["num_inner_tasks"]
    calls = answer.get("updates")
    asked = int(calls.reshape(-1)[0]) if calls is not None and calls.size == 1 and np.isfinite(calls).all() else 0
    too_long = len(path) > iterations + 1 or (len(path) == iterations + 1 and asked == (iterations + 1) * tasks)
    too_short = len(path) < iterations or 0 < asked < iterations * tasks
    if not (too_long or too_short):
        return None
    steps = asked // tasks if asked else len(path) - 1
    return failed(
        f"The feature weights change {steps} times; `num_iterations` is {iterations}.",
        try_next="Each iteration takes one step with the gradients of all its tasks.",
    )


def _unusable(path: Array | None, d: int) -> Evidence | None:
    """Return evidence where there is no path to look at: of the wrong shape, not finite, or never moving."""
    if path is None or path.ndim != 2 or path.shape[1] != d or len(path) == 0:
        return failed("No feature weights came back.", try_next=_SHOW)
    if not np.all(np.isfinite(path)):
        return failed(
            "The feature weights become NaN or infinite.",
            try_next=_TOO_LONG,
        )
    if len(path) == 1:
        return failed(
            "The feature weights never change.",
            try_next="Each iteration needs a step of the optimizer that holds the feature weights, after `backward()` "
            "of the meta loss, and losses that have a slope at coefficients of zero. " + _SHOW,
        )
    return None


_TOO_LONG = (
    "Steps that are far too long do this. Check the inner loss (its mean over the points, not its sum; the logistic "
    "one in part (h)) and that gradients are set to zero in each iteration."
)
_SHOW = (
    "Feature weights are seen where they are given to `meta_update_classification` and to the visualize functions, and "
    "where they are returned."
)


OWN_POINTS = "Points are better drawn with `generate_x`: then every number could be compared."
_NOT_FROM_POINTS = "The weights of the true features are raised, but the weights do not follow the points of the run."
_FROM_POINTS = (
    "Points should come from `generate_x`, fresh for each task, and the weights should move by nothing but the "
    "gradient of the meta losses: features that look like the true ones at those points rise with them."
)


def _judge_own_draws(path: Array, exam: Exam) -> Evidence:
    """Judge steps by their length on the true feature: the points were not those of `generate_x`."""
    params = exam.settings["params"]
    right, place = _path_of_own_draws(exam), params["k_idx"][0]
    last = min(len(path), len(right)) - 1
    for row, band, what in (
        (1, _OWN_DRAWS_BAND, "The first iteration moves"),
        (last, _OWN_DRAWS_END, f"{last} iterations move"),
    ):
        centre, length = (float(each[row][place] - each[0][place]) for each in (right, path))
        if not abs(length - centre) <= band * centre:
            return failed(
                f"{what} the weight of the true feature by {length:.3g}; about {centre:.2g} is right.",
                try_next="Check the inner loss, that the gradient goes through the inner loop, and the sum over tasks.",
            )
    return passed(notes=(OWN_POINTS,))


def _path_error(path: Array, right: Array, leaking: Array) -> float:
    """
    Return the largest relative error of how far the weights have moved; logging may begin after the first step.

    An error is the distance to the nearest point between the right path and the leaking one: the graph of a student's
    loop decides how much of the inner losses leaks.
    """
    leak = leaking - right

    def error(first: int) -> float:
        rows = min(len(path), len(right) - first)
        start = 0.0 if first else float(np.max(np.abs(path[0] - 1)))
        moved = [row for row in range(rows) if row + first > 0]
        nearest = {row: _nearest_between(path[row], right[row + first], leak[row + first]) for row in moved}
        return max([start, *(_relative(path[row] - 1, nearest[row] - 1) for row in moved)])

    return min(error(0), error(1))


def _nearest_between(point: Array, start: Array, way: Array) -> Array:
    """Return the point of the straight line from `start` to `start + way` that is nearest to a point."""
    length = float(way @ way)
    share = float((point - start) @ way) / length if length > 0 else 0.0
    return np.asarray(start + min(max(share, 0.0), 1.0) * way)


@np.errstate(over="ignore")
def _relative(student: Array, reference: Array) -> float:
    if student.shape != reference.shape:
        return np.inf
    return float(np.linalg.norm(student - reference) / max(float(np.linalg.norm(reference)), 1e-12))


def _check(
    subject: Function,
    aspect: str,
    prepare: Callable[[torch.Generator], Exam],
    judge: Judge,
    errors: Errors | None,
    *,
    after: str = "",
    apart_from: str = "",
) -> Check:
    needs = CONTRACT.lent_to(subject.name) if subject.part == METALEARNING else ()
    # A lent meta update has to follow the convention of the loop that calls it, or feature weights count twice or
    # never. A loop that is right by itself is right with one of the two.
    return Check(
        subject,
        aspect,
        prepare,
        judge,
        CALIBRATION,
        errors,
        asked_by="meta_learning",
        needs=needs,
        after=after,
        apart_from=apart_from,
        exempt="" if errors else A_BAND,
        lent_ways=UPDATE_WAYS if needs else ({},),
    )


PART_1_WAS_RUN = "meta_learning_reg_closed_form.completion"
_RUN = "meta_learning_classification"
_UPDATE = "meta_update_classification"
_CLOSED_FORM, _SGD = "meta_learning_reg_closed_form", "meta_learning_reg_sgd"
RUN_CHECKS: tuple[Check, ...] = (
    _check(
        CONTRACT[_CLOSED_FORM],
        "behaviour",
        _prepare_path(
            _CLOSED_FORM, "meta_update_reg", {**_VALUES, "x_type": "grid"}, kind="closed_form", targets="values"
        ),
        judge_given,
        given_errors,
        after=PART_1_WAS_RUN,
    ),
    _check(
        CONTRACT[_SGD],
        "behaviour",
        _prepare_path(
            _SGD,
            "meta_update_reg",
            {**_VALUES, "n_train_inner": 12, "x_type": "uniform_random"},
            kind="gradient_descent",
            targets="values",
        ),
        judge_given,
        given_errors,
        after=PART_1_WAS_RUN,
    ),
    _check(
        CONTRACT.of(COPYPASTE, _RUN),
        "output",
        _prepare_path(_RUN, _UPDATE, _LABELS_AS_VALUES, kind="gradient_descent", targets="labels"),
        with_pictures(judge_path, look_at_path),
        path_errors,
        apart_from=METALEARNING,
    ),
    _check(CONTRACT[_RUN], "convergence", _prepare_learning, with_pictures(judge_learning, _look_at_learning), None),
    _check(
        CONTRACT[_RUN],
        "gradient",
        _prepare_path(_RUN, _UPDATE, _LABELS, kind="logistic", targets="labels"),
        with_pictures(judge_path, look_at_path),
        path_errors,
    ),
)
