"""
The meta-learning checks: the functions of part (h), and the list of all checks of parts (a) to (h).

Shapes: n points, d features, T tasks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch

from grader.checks.compare import INDEX, compare, compare_form, error_of, right_already
from grader.checks.exam import Case, CaseAnswer, Check, Errors, Exam, Judge
from grader.verdicts import Evidence, failed, passed
from grader.wire import Array, Arrays
from homework.checks.metalearning_lending import (
    logistic_meta_loss,
    stand_in_coefficients,
    summarised,
    test_errors,
)
from homework.checks.metalearning_runs import OWN_POINTS, RUN_CHECKS
from homework.checks.metalearning_theory import THEORY_CHECKS, numbers
from homework.checks.reference import CALIBRATION
from homework.contract import CONTRACT
from reference.metalearning.evaluation import LogisticLearner
from reference.metalearning.features import fourier_features, signs
from reference.metalearning.tasks import EvaluationData, draw_coefficients

# The meta update.
_UPDATE_POINTS = (24, 41)
_UPDATE_D = 21
_UPDATE_K = (2, 5, 6, 11)
# Two conventions of `w_t` are right; answers are kept by these prefixes. In our template `w_t` are the coefficients of
# weighted features. In every public edition it is the product of coefficients and weights, and the update multiplies
# plain features by it, as if all weights were 1.
_COEFFICIENTS, _PRODUCTS = _CONVENTIONS = ("", "products/")
# Where a student draws points without generate_x, the mean over so many is compared: 7 standard errors are then about
# 5 % of a gradient whose mistakes differ by 50 %, and 44 numbers leave the band by chance with odds below 1e-9.
_MANY = 20_000
_STANDARD_ERRORS = 7.0
_POPULATION = np.linspace(-1, 1, 8192, endpoint=False) + 1 / 8192
# The tests. Error rates are multiples of 1 / (points · tasks): equal coefficients give equal rates but for a tie.
_SIZES = (9, 14, 22, 35, 60)
_TEST_POINTS = 120
_TASKS = 11
_TEST_D = 15
_TEST_K = (1, 4, 5, 8)
_LEAST = (0, 11)  # no size itself: whether it counts is not said anywhere
# Of so many tasks the training labels are turned around, other ones for each number of points: what is learned from
# them is wrong where it was right. A table of errors that does not look at the data cannot know, and the mean stays
# away from a half, where errors and their opposites look alike.
_TURNED = (0, 1, 2, 3, 8, 9, 10, 11)
# Far points on the right side of a boundary: a share of the positive ones, so many times as far as the others. They
# cost logistic regression nothing, and squared errors a third of the test points.
_FAR_SHARE, _FAR, _FAR_TASKS = 0.3, 20.0, 6
_FAR_LEAST = 22  # with fewer points both are often wrong
# Who solves logistic regression without solve_logistic chooses a penalty. From C = 1 to 10,000 mean errors moved by
# 0.070 at most, the 90th percentile by 0.20 and the 10th by 0.125: none of 3,600 right curves was outside these bounds,
# and 99 % of 600 oracles were that took all features in place of the true ones.
_OWN_SOLVER = {"mean": 0.09, "high": 0.27, "low": 0.27}
# On far points right means are away by 0.21 at most of what those of least squares are (C from 1 to 10,000, or no
# penalty at all), and those of ridge regressions with penalties up to 10 by 0.76 and more (16 draws).
_NEARER = 0.45
# The zero predictor.
# Test points and tasks of its cases. How far the errors of a coin lie apart says how many points there were, and those
# of training are other numbers: of many points and few tasks, or few points and many tasks, one tells them apart.
_ZERO_SIZES = ((4_000, 21), (20, 201))
# A coin is compared with coins. The mean may be off by so many standard deviations of one task, for who tosses once
# for all tasks, and how far both percentiles are from it by so many of their own. Tossed once, tasks differ less.
_COIN_MEAN, _COIN_PERCENTILES, _TOSSED_ONCE = 5.5, 6.0, 0.75
_COINS = 1_000
_CLEARLY_OTHER = 0.01  # than a constant label


def _prepare_update(*, gradients: bool) -> Callable[[torch.Generator], Exam]:
    """Return a `prepare` that draws coefficients, weights, a task and points for the meta update."""

    def prepare(generator: torch.Generator) -> Exam:
        draws = numbers(generator)
        cases = [_update_case(draws, n, gradients=gradients) for n in _UPDATE_POINTS]
        return Exam({"d": _UPDATE_D, "k_idx": list(_UPDATE_K), "many": _MANY}, {}, cases)

    return prepare


def _update_case(draws: np.random.Generator, n: int, *, gradients: bool) -> Case:
    inputs = {
        "w_t": 0.5 * draws.normal(size=_UPDATE_D),
        "feature_weights_t": draws.uniform(0.4, 1.6, _UPDATE_D),
        "points": np.sort(draws.uniform(-1, 1, n)),
        "k_val": draw_coefficients(len(_UPDATE_K), draws),
    }
    expected: Arrays = {}
    for prefix in _CONVENTIONS:
        seen = _as_seen(inputs, prefix)
        answer, at_each = _update_answer(seen, inputs["points"]), _update_at_each(seen, _POPULATION)
        expected |= {f"{prefix}{name}": value for name, value in answer.items()}
        expected |= {f"{prefix}mean/{name}": values.mean(axis=0) for name, values in at_each.items()}
        expected |= {f"{prefix}spread/{name}": values.std(axis=0) for name, values in at_each.items()}
    if gradients:
        inputs["cotangent/loss"] = np.ones(())
    return Case(inputs, expected)


def _as_seen(inputs: Arrays, convention: str) -> Arrays:
    """Return the inputs as an update of one convention sees them."""
    return {**inputs, "feature_weights_t": np.ones(_UPDATE_D)} if convention == _PRODUCTS else inputs


def _update_answer(inputs: Arrays, points: Array) -> Arrays:
    """Return the loss on points and its gradients."""
    w_t, weights = (torch.tensor(inputs[name], requires_grad=True) for name in ("w_t", "feature_weights_t"))
    loss = logistic_meta_loss(w_t, weights, points, list(_UPDATE_K), torch.from_numpy(inputs["k_val"]), _UPDATE_D)
    slopes = torch.autograd.grad(loss, (w_t, weights))
    return {
        "loss": loss.detach().numpy(),
        "gradient/w_t": slopes[0].numpy(),
        "gradient/feature_weights_t": slopes[1].numpy(),
    }


def _update_at_each(inputs: Arrays, points: Array) -> Arrays:
    """Return the loss and its gradients at each point alone, with the points as first axis."""
    features = fourier_features(points, _UPDATE_D)
    labels = signs(features[:, list(_UPDATE_K)] @ inputs["k_val"])
    predicted = (features * inputs["feature_weights_t"]) @ inputs["w_t"]
    slopes = -labels / (1 + np.exp(labels * predicted))
    return {
        "loss": np.logaddexp(0, -labels * predicted),
        "gradient/w_t": slopes[:, None] * features * inputs["feature_weights_t"],
        "gradient/feature_weights_t": slopes[:, None] * features * inputs["w_t"],
    }


def judge_update(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    """
    The loss, or its gradients, are right on the hidden points, or on average on points of the student's own.

    Either convention of `w_t` is right, the same one in every case. Where neither fits, the nearer one is explained.
    """
    wanted = _LOSS if check.aspect == "output" else _SLOPES
    found = {prefix: _update_findings(check, exam, answers, wanted, prefix) for prefix in _CONVENTIONS}
    if not all(found.values()):
        own_points = not all(_is_set(answer.get("hidden")) for answer in answers)
        return passed(notes=(OWN_POINTS,) if own_points else ())
    errors = _update_errors(exam, answers, wanted[:1])
    wrong = found[min(found, key=lambda prefix: (len(found[prefix]), errors[prefix]))]
    cut = [name for name, finding in wrong.items() if finding.startswith("No gradient reaches")]
    if cut:
        return failed(wrong[cut[0]], try_next=_CUT)
    right = tuple(_UPDATE_SHOWN[name] for name in wanted if name not in wrong)
    return failed(*wrong.values(), *right_already(right), try_next=_THE_LOSS if "loss" in wrong else "")


def _update_findings(
    check: Check, exam: Exam, answers: Sequence[CaseAnswer], wanted: Sequence[str], prefix: str
) -> dict[str, str]:
    """Return what is wrong with each output in one convention, in the first case in which it is."""
    wrong: dict[str, str] = {}
    for case, answer in zip(exam.cases, answers, strict=True):
        for name in wanted:
            finding = _update_finding(check, case, answer, name, prefix)
            if finding:
                wrong.setdefault(name, finding)
    return wrong


def _update_finding(check: Check, case: Case, answer: CaseAnswer, name: str, prefix: str) -> str:
    mine, shown = answer.get(name), _UPDATE_SHOWN[name]
    if prefix == _PRODUCTS and name == _OF_WEIGHTS:  # there is none: what the weights do to the loss is in `w_t`
        return f"{shown} should be zero or missing: here the loss depends on `w_t` alone." if _is_any(mine) else ""
    if mine is None and name != "loss":
        return f"No gradient reaches `{name.removeprefix('gradient/')}`."
    if _is_set(answer.get("hidden")):
        return compare(mine, case.expected[prefix + name], check.tolerance(name), name=shown, is_code=False)
    return _off_average(mine, case.expected, name, shown, prefix)


_OF_WEIGHTS = "gradient/feature_weights_t"
_LOSS, _SLOPES = ("loss",), ("gradient/w_t", _OF_WEIGHTS)
_UPDATE_SHOWN = {
    "loss": "The loss",
    "gradient/w_t": "The gradient of `w_t`",
    "gradient/feature_weights_t": "The gradient of `feature_weights_t`",
}
_THE_LOSS = "The loss is the sum over points of log(1 + exp(−z t)), z the label and t the prediction."
_CUT = "Look for `.detach()`, `.data`, `.item()`, `to_numpy`, `torch.no_grad()` or `torch.tensor(…)` of a tensor."


def _is_set(flag: Array | None) -> bool:
    return flag is not None and bool(np.all(flag == 1))


def _is_any(gradient: Array | None) -> bool:
    return gradient is not None and bool(np.any(gradient))


def _off_average(mine: Array | None, expected: Arrays, name: str, shown: str, prefix: str) -> str:
    mean, spread = expected[f"{prefix}mean/{name}"], expected[f"{prefix}spread/{name}"]
    if mine is None or mine.shape != mean.shape or not np.all(np.isfinite(mine)):
        return compare_form(mine, mean, name=shown, is_code=False)
    allowed = _STANDARD_ERRORS * spread / np.sqrt(_MANY) + 1e-6
    if np.all(np.abs(mine - mean) <= allowed):
        return ""
    return f"{shown}, as the mean over {_MANY:,} uniform points, is further from the right one than chance explains."


# The tests of learned weights.


def _prepare_test(*, oracle: bool) -> Callable[[torch.Generator], Exam]:
    """Return a `prepare` that draws test tasks and weights, 0 and 1 for the oracle."""

    def prepare(generator: torch.Generator) -> Exam:
        draws = numbers(generator)
        cases = []
        for least, far in ((0, True), *((least, False) for least in _LEAST)):
            data = _draw_data(draws, far=far, count=_FAR_TASKS if far else _TASKS)
            weights = draws.uniform(0.3, 2.0, _TEST_D)
            if oracle:
                weights = np.isin(np.arange(_TEST_D), _TEST_K).astype(np.float64)
            inputs = {**data, "feature_weights": weights, "min_n_train_post": np.array(least)}
            cases.append(Case(inputs, _test_answer(data, weights, least), held_back={"far": np.array(far)}))
        return Exam({"sizes": list(_SIZES)}, {}, cases)

    return prepare


def _draw_data(draws: np.random.Generator, *, far: bool = False, count: int = _TASKS) -> Arrays:
    """
    Draw tasks with both labels at every size, as the probe takes them: "train/<n>/x", …, "test/y".

    With far points, features are no waves but columns of -1 and +1 of which some lie far out, and a task is one column.
    """
    points = {f"train/{n}": np.sort(draws.uniform(-1, 1, n)) for n in _SIZES}
    points["test"] = np.sort(draws.uniform(-1, 1, _TEST_POINTS))
    features = {
        name: _far_features(len(x), draws) if far else fourier_features(x, _TEST_D) for name, x in points.items()
    }
    tasks: list[Arrays] = []
    while len(tasks) < count:
        alpha = draw_coefficients(len(_TEST_K), draws)
        if far:
            alpha = draws.choice([-1.0, 1.0]) * np.eye(len(_TEST_K))[draws.integers(len(_TEST_K))]
        labels = {name: signs(phi[:, list(_TEST_K)] @ alpha) for name, phi in features.items()}
        if all(len(np.unique(z)) == 2 for z in labels.values()):
            tasks.append(labels)
    data = {f"{name}/x": x for name, x in points.items()}
    data |= {f"{name}/features": phi for name, phi in features.items()}
    data |= {f"{name}/y": np.stack([task[name] for task in tasks]) for name in points}
    for n in () if far else _SIZES:
        data[f"train/{n}/y"][draws.permutation(count) < draws.choice(_TURNED)] *= -1
    return data


def _far_features(count: int, draws: np.random.Generator) -> Array:
    features = 0.3 * draws.normal(size=(count, _TEST_D))
    features[:, 0] = 1
    for place in _TEST_K:
        side = draws.choice([-1.0, 1.0], count)
        features[:, place] = np.where((side > 0) & (draws.uniform(size=count) < _FAR_SHARE), _FAR, side)
    return features


def _test_answer(data: Arrays, weights: Array, least: int) -> Arrays:
    """
    Return the curve with the probe's stand-in for the solver, under "own/…" that of real logistic regression, and under
    "squares/…" that of least squares on the labels.
    """
    sizes = [n for n in _SIZES if n >= least]
    test, labels = data["test/features"], data["test/y"]
    curves = {
        "": [stand_in_coefficients(data[f"train/{n}/features"], data[f"train/{n}/y"], weights) for n in sizes],
        "own/": [_logistic_coefficients(data, weights, n) for n in sizes],
        "squares/": [
            weights[:, None] * np.linalg.lstsq(data[f"train/{n}/features"] * weights, data[f"train/{n}/y"].T)[0]
            for n in sizes
        ],
    }
    answer: Arrays = {"n_train_post_range": np.array(sizes)}
    for prefix, coefficients in curves.items():
        parts = summarised([test_errors(alpha, test, labels) for alpha in coefficients])
        answer |= {f"{prefix}{name}": part for name, part in zip(_CURVE, parts, strict=True)}
    return answer


CURVE_SHOWN = {"mean": "The mean error", "high": "The 90th percentile", "low": "The 10th percentile"}
_CURVE = tuple(CURVE_SHOWN)


def _logistic_coefficients(data: Arrays, weights: Array, n: int) -> Array:
    features, labels = data[f"train/{n}/features"], data[f"train/{n}/y"].T
    points = data[f"train/{n}/x"]
    evaluation = EvaluationData(
        {n: points}, {n: features}, {n: labels}, data["test/x"], data["test/features"], data["test/y"].T
    )
    return np.asarray(LogisticLearner(evaluation).coefficients(weights, n))


def judge_test(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    """Numbers of points, mean and percentiles are right: exactly with the stand-in solver, else within a band."""
    wrong: dict[str, str] = {}
    moved_by_far_points = False
    for case, answer in zip(exam.cases, answers, strict=True):
        solver = answer.get("solver")
        by = 0.0 if solver is None or solver.size != 1 else float(solver.reshape(-1)[0])
        far = bool(case.held_back["far"])
        if by == -1:
            return failed("Tasks are learned by least squares.", try_next=_LOGISTIC)
        if far:  # with the stand-in there is nothing that these points could tell
            moved_by_far_points = by == 0 and not _is_logistic(answer, case.expected)
            continue
        sizes = answer.get("n_train_post_range")
        finding = compare(sizes, case.expected["n_train_post_range"], INDEX, name="n_train_post_range")
        if finding:
            least = int(case.inputs["min_n_train_post"])
            return failed(finding, try_next=f"Numbers of points below `min_n_train_post` (here {least}) are left out.")
        prefix = "" if by == 1 else "own/"
        found = {
            name: _compare_rates(check, answer.get(name), case.expected[prefix + name], name, exact=by == 1)
            for name in _CURVE
        }
        if not any(found.values()) and np.any(answer.arrays["low"] > answer.arrays["high"]):
            found["low"] = "The 10th percentile is larger than the 90th."
        wrong = {**{name: finding for name, finding in found.items() if finding}, **wrong}
    if moved_by_far_points and not wrong:
        return failed(_MOVED_BY_FAR_POINTS, try_next=_LOGISTIC)
    if not wrong:
        return passed()
    right = tuple(CURVE_SHOWN[name] for name in _CURVE if name not in wrong)
    findings = [wrong[name] for name in _CURVE if name in wrong]
    return failed(*findings, *right_already(("`n_train_post_range`", *right)), try_next=_THE_RATES)


_MOVED_BY_FAR_POINTS = (
    "Points far on the right side of a boundary move your predictions; logistic regression hardly heeds them."
)
_LOGISTIC = "Labels want logistic regression: `solve_logistic`. Least squares on labels is part (g)."


def _is_logistic(answer: CaseAnswer, expected: Arrays) -> bool:
    """Whether mean errors on far points are near those of logistic regression, by what squared errors are away."""
    mine, squares, logistic = answer.get("mean"), expected["squares/mean"], expected["own/mean"]
    if mine is None or mine.shape != squares.shape:
        return False
    many = expected["n_train_post_range"] >= _FAR_LEAST
    return float(np.sum(np.abs(mine - logistic)[many])) <= _NEARER * float(np.sum(np.abs(squares - logistic)[many]))


def _compare_rates(check: Check, mine: Array | None, right: Array, name: str, *, exact: bool) -> str:
    if exact or mine is None or mine.shape != right.shape or not np.all(np.isfinite(mine)):
        return compare(mine, right, check.tolerance(name), name=CURVE_SHOWN[name], is_code=False)
    apart = float(np.max(np.abs(mine - right)))
    if apart <= _OWN_SOLVER[name]:
        return ""
    return f"{CURVE_SHOWN[name]} is up to {apart:.2g} away from that of logistic regression."


_THE_RATES = (
    "For each number of points and each task: learn with the weighted features, take the sign of the prediction on the "
    "test points, and count the labels that are wrong. Mean and percentiles are over the tasks."
)


# The zero predictor.


def _prepare_zero(generator: torch.Generator) -> Exam:
    draws = numbers(generator)
    return Exam({"sizes": list(_SIZES)}, {}, [_zero_case(draws, count, tasks) for count, tasks in _ZERO_SIZES])


def _zero_case(draws: np.random.Generator, count: int, tasks: int) -> Case:
    data = _draw_data(draws, count=tasks)
    # Clearly uneven shares of both labels, so that one label, the other and a coin can be told apart.
    # Met exactly, or two tasks alike could hide a slip in a percentile; uneven, or the median would be the mean.
    shares = np.geomspace(0.08, 0.32, tasks)[draws.permutation(tasks)]
    order = draws.permuted(np.tile(np.arange(count), (tasks, 1)), axis=1)
    labels = np.where(order < np.round(shares * count)[:, None], -1.0, 1.0)
    points = np.sort(draws.uniform(-1, 1, count))
    data |= {"test/x": points, "test/features": fourier_features(points, _TEST_D), "test/y": labels}
    high, low = np.percentile((labels < 0).mean(axis=1), [90, 10])
    expected = {"mean": np.asarray((labels < 0).mean()), "high": np.asarray(high), "low": np.asarray(low)}
    return Case(data, expected)


def judge_zero(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    """The errors are those of always one label, or of a coin: each is a guess that ignores x."""
    found = (_judge_zero(check, case, answer) for case, answer in zip(exam.cases, answers, strict=True))
    return next((evidence for evidence in found if not evidence.passed), passed())


def _judge_zero(check: Check, case: Case, answer: CaseAnswer) -> Evidence:
    right = case.expected
    parts = [answer.get(name) for name in _CURVE]
    for name, part in zip(_CURVE, parts, strict=True):
        if part is None or part.shape != () or not np.isfinite(part):
            return failed(compare_form(part, right[name], name=CURVE_SHOWN[name], is_code=False))
    mean, high, low = (float(part) for part in parts if part is not None)
    plus = np.array([float(right[name]) for name in _CURVE])
    minus = np.array([1 - plus[0], 1 - plus[2], 1 - plus[1]])
    mine = np.array([mean, high, low])
    allowed = np.array([check.tolerance(name).relative for name in _CURVE])
    if any(np.all(np.abs(mine - guess) <= allowed * guess) for guess in (plus, minus)):
        return passed()
    if _is_of_coin(mine, case):
        return passed()
    return failed(
        f"Mean, 90th and 10th percentile are {_rate(mean)}, {_rate(high)} and {_rate(low)}; always guessing +1 gives "
        f"{plus[0]:.3f}, {plus[1]:.3f} and {plus[2]:.3f}.",
        try_next="Count the test labels that differ from the label of the value 0, which is +1, for each task.",
    )


def _rate(value: float) -> str:
    return f"{value:.3f}" if abs(value) < 1000 else f"{value:.3g}"  # what is no rate may have hundreds of digits


def _is_of_coin(curve: Array, case: Case) -> bool:
    """Whether mean, 90th and 10th percentile are those of guessing the test labels at random."""
    tasks, count = case.inputs["test/y"].shape
    mean, high, low = curve
    if not abs(mean - 0.5) <= _COIN_MEAN * 0.5 / np.sqrt(count):
        return False
    usual = _of_coins(count, tasks)
    for apart, (centre, deviation) in zip((high - mean, mean - low), usual, strict=True):
        band = _COIN_PERCENTILES * deviation
        if not _TOSSED_ONCE * centre - band <= apart <= centre + band:
            return False
    return True


@cache
def _of_coins(count: int, tasks: int) -> tuple[tuple[float, float], tuple[float, float]]:
    """Return how far the 90th and 10th percentile of coins are from a half: mean and standard deviation of each."""
    tossed = np.random.default_rng(0).binomial(count, 0.5, (_COINS, tasks)) / count
    high, low = np.percentile(tossed, 90, axis=1) - 0.5, 0.5 - np.percentile(tossed, 10, axis=1)
    return (float(high.mean()), float(high.std())), (float(low.mean()), float(low.std()))


# How far answers are from the right ones. Those with points, solvers or guesses of their own are judged by the bands
# above, which chance needs; no tolerance is for them, so their errors are infinite.


def loss_errors(exam: Exam, answers: Sequence[CaseAnswer]) -> dict[str, float]:
    """Return the largest error of the loss of the meta update, in the convention of `w_t` that fits better."""
    return {"loss": min(_update_errors(exam, answers, _LOSS).values())}


def slope_errors(exam: Exam, answers: Sequence[CaseAnswer]) -> dict[str, float]:
    """Return the largest error of the gradients of the meta update, in the convention that fits better."""
    return {"gradient": min(_update_errors(exam, answers, _SLOPES).values())}


def _update_errors(exam: Exam, answers: Sequence[CaseAnswer], wanted: Sequence[str]) -> dict[str, float]:
    """Return the largest error of the wanted outputs by convention; only ours gives `feature_weights_t` a gradient."""
    found: dict[str, float] = {}
    for prefix in _CONVENTIONS:
        names = [name for name in wanted if not (prefix and name == _OF_WEIGHTS)]
        errors = _largest_errors(exam, answers, names, flag="hidden", prefix=prefix)
        found[prefix] = max(errors.values())
    if _OF_WEIGHTS in wanted and any(_is_any(answer.get(_OF_WEIGHTS)) for answer in answers):
        found[_PRODUCTS] = np.inf
    return found


def curve_errors(exam: Exam, answers: Sequence[CaseAnswer]) -> dict[str, float]:
    """Return the largest error of the mean and of each percentile."""
    return _largest_errors(exam, answers, _CURVE, flag="solver")


def _largest_errors(
    exam: Exam, answers: Sequence[CaseAnswer], names: Sequence[str], *, flag: str, prefix: str = ""
) -> dict[str, float]:
    """Return the largest errors, infinite where an answer did not use the stand-in that sets this flag to 1."""
    if any(not _is_set(answer.get(flag)) for answer in answers):
        return dict.fromkeys(names, np.inf)
    pairs = list(zip(exam.cases, answers, strict=True))
    return {
        name: max(error_of(answer.get(name), case.expected[prefix + name]) for case, answer in pairs) for name in names
    }


def zero_errors(exam: Exam, answers: Sequence[CaseAnswer]) -> dict[str, float]:
    """Return the error of the mean and of each percentile of a constant guess, +1 or -1, whichever is nearer."""
    found = [_zero_errors(case, answer) for case, answer in zip(exam.cases, answers, strict=True)]
    return {name: max(errors[name] for errors in found) for name in _CURVE}


def _zero_errors(case: Case, answer: CaseAnswer) -> dict[str, float]:
    right, parts = case.expected, [answer.get(name) for name in _CURVE]
    guesses = ({name: right[name] for name in _CURVE}, {name: 1 - right[_OPPOSITE[name]] for name in _CURVE})
    found = [{name: error_of(answer.get(name), guess[name]) for name in _CURVE} for guess in guesses]
    nearer = min(found, key=lambda errors: max(errors.values()))
    # Of few points a coin may give nearly anything, a constant label too.
    is_other = max(nearer.values()) > _CLEARLY_OTHER and all(part is not None and part.shape == () for part in parts)
    return dict.fromkeys(_CURVE, np.inf) if is_other and _is_of_coin(np.array(parts), case) else nearer


_OPPOSITE = {"mean": "mean", "high": "low", "low": "high"}


def _check(
    function: str, aspect: str, prepare: Callable[[torch.Generator], Exam], judge: Judge, errors: Errors
) -> Check:
    needs = CONTRACT.lent_to(function)
    return Check(CONTRACT[function], aspect, prepare, judge, CALIBRATION, errors, needs=needs)


_UPDATE = "meta_update_classification"
METALEARNING_CHECKS: tuple[Check, ...] = (
    *THEORY_CHECKS,
    _check(_UPDATE, "output", _prepare_update(gradients=False), judge_update, loss_errors),
    _check(_UPDATE, "gradient", _prepare_update(gradients=True), judge_update, slope_errors),
    _check("test_classification", "output", _prepare_test(oracle=False), judge_test, curve_errors),
    _check("test_oracle_classification", "output", _prepare_test(oracle=True), judge_test, curve_errors),
    _check("test_zero_classification", "output", _prepare_zero, judge_zero, zero_errors),
    *RUN_CHECKS,
)
