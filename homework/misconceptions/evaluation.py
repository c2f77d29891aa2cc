"""
Mistakes with `test_classification`, `test_oracle_classification` and `test_zero_classification`.

What is predicted is what a student's code gives with the probe's stand-in for `solve_logistic`.

Shapes: n points, d features, T tasks.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from grader.wire import Array, Arrays
from homework.checks.metalearning_lending import stand_in_coefficients
from homework.misconceptions.catalogue import choice
from reference.metalearning.features import signs

_TEST, _ORACLE, _ZERO = "test_classification", "test_oracle_classification", "test_zero_classification"
_OUTPUT = ("output",)
_STAND_IN, _LEAST_SQUARES = 1.0, -1.0


def _error_rate(predictions: Array, labels: Array) -> Array:
    """(T, m), (T, m) -> (T,)."""
    return np.asarray(np.mean(signs(predictions) != labels, axis=1))


def _accuracy(predictions: Array, labels: Array) -> Array:
    return 1 - _error_rate(predictions, labels)


def _unsigned(predictions: Array, labels: Array) -> Array:
    return np.asarray(np.mean(predictions != labels, axis=1))


def _squared_error(predictions: Array, labels: Array) -> Array:
    return np.asarray(np.mean((predictions - labels) ** 2, axis=1))


def _squared_error_of_signs(predictions: Array, labels: Array) -> Array:
    return 4 * _error_rate(predictions, labels)


def _zero_and_one(predictions: Array, labels: Array) -> Array:
    return np.asarray(np.mean((predictions >= 0) != labels, axis=1))


def _count(predictions: Array, labels: Array) -> Array:
    return np.asarray(_error_rate(predictions, labels) * labels.shape[1])


def _percent(predictions: Array, labels: Array) -> Array:
    return np.asarray(100 * _error_rate(predictions, labels))


Rates = Callable[[Array, Array], Array]
Band = Callable[[Array], tuple[Any, Any, Any]]


def _percentiles(high: float, low: float) -> Band:
    return lambda rates: (rates.mean(), np.percentile(rates, high), np.percentile(rates, low))


_NINETY_AND_TEN = _percentiles(90, 10)


def _median(rates: Array) -> tuple[Any, Any, Any]:
    return np.median(rates), np.percentile(rates, 90), np.percentile(rates, 10)


def _deviation(rates: Array) -> tuple[Any, Any, Any]:
    return rates.mean(), rates.mean() + rates.std(), rates.mean() - rates.std()


def curve_with(
    inputs: Arrays,
    sizes: list[int],
    *,
    rates: Rates = _error_rate,
    band: Band = _NINETY_AND_TEN,
    least_ignored: bool = False,
    learned_unweighted: bool = False,
    tested_weighted: bool = False,
    on_training_points: bool = False,
) -> dict[str, Any]:
    """The curve of learned weights, with choices."""
    weights = inputs["feature_weights"]
    used = [n for n in sizes if least_ignored or n >= int(inputs["min_n_train_post"])]
    rows = []
    for n in used:
        features, labels = inputs[f"train/{n}/features"], inputs[f"train/{n}/y"]
        alpha = stand_in_coefficients(features, labels, np.ones_like(weights) if learned_unweighted else weights)
        seen, right = (features, labels) if on_training_points else (inputs["test/features"], inputs["test/y"])
        rows.append(band(rates(((seen * weights if tested_weighted else seen) @ alpha).T, right)))
    mean, high, low = (np.array(column) for column in zip(*rows, strict=True))
    return {"n_train_post_range": np.array(used), "mean": mean, "high": high, "low": low, "solver": _STAND_IN}


def oracle_with(
    inputs: Arrays, sizes: list[int], *, selected: Callable[[Array], Array] = lambda weights: weights, **choices: Any
) -> dict[str, Any]:
    """The curve of the true features alone, with choices."""
    return curve_with({**inputs, "feature_weights": selected(inputs["feature_weights"])}, sizes, **choices)


def zero_with(
    inputs: Arrays, sizes: list[int], *, rates: Rates = _error_rate, band: Band = _NINETY_AND_TEN
) -> dict[str, Any]:
    """The band of a guess that is always +1, with choices."""
    labels = inputs["test/y"]
    mean, high, low = band(rates(np.zeros_like(labels), labels))
    return {"mean": mean, "high": high, "low": low}


def _least_squares(inputs: Arrays, sizes: list[int]) -> dict[str, Any]:
    """Whatever least squares gives: that it was called is all there is to say."""
    return {"solver": _LEAST_SQUARES}


_RATES: dict[str, tuple[Rates, str, str, str, tuple[str, ...]]] = {
    "accuracy": (
        _accuracy,
        "The share of right labels in place of the wrong ones.",
        "Your numbers are the accuracy, the share of test points with the right label.",
        "The classification error should come back, the share of test points with the wrong label.",
        ("==", "accuracy"),
    ),
    "sign-forgotten": (
        _unsigned,
        "Real predictions are compared with labels.",
        "You compare the predictions themselves with the labels, and a real number is never exactly a label.",
        "The sign of the prediction should be compared with the label: `my_sign`.",
        ("!=", "==", "mean"),
    ),
    "squared-error": (
        _squared_error,
        "The squared error of part (g).",
        "Your numbers are mean squared errors, as in part (g).",
        "The share of test points with the wrong label should come back.",
        ("**", "square", "mean"),
    ),
    "squared-error-of-signs": (
        _squared_error_of_signs,
        "The mean of (z - sign)².",
        "Your numbers are four times the error rate: a wrong label is off by 2, and you square that.",
        "Each wrong label should count once.",
        ("**", "square", "mean"),
    ),
    "labels-zero-and-one": (
        _zero_and_one,
        "Predicted labels 0 and 1 are compared with -1 and +1.",
        "Your predicted labels are 0 and 1, but those of the data are -1 and +1: every point of the negative class "
        "counts as wrong.",
        "Both should have the same values: `my_sign` gives -1 and +1.",
        (">=", ">", "!="),
    ),
    "count": (
        _count,
        "The number of wrong labels.",
        "Your numbers count the test points with a wrong label.",
        "Their share should come back: the count divided by the number of test points.",
        ("sum",),
    ),
    "percent": (
        _percent,
        "Errors in per cent.",
        "Your errors are in per cent.",
        "The share of wrong labels should be a number from 0 to 1.",
        ("100",),
    ),
}
_BANDS: dict[str, tuple[Band, str, str, str, tuple[str, ...]]] = {
    "percentiles-swapped": (
        _percentiles(10, 90),
        "The 10th percentile comes before the 90th.",
        "The percentiles are swapped.",
        "The 90th percentile should come right after the mean, and the 10th last.",
        ("return", "percentile"),
    ),
    "quartiles": (
        _percentiles(75, 25),
        "Quartiles in place of the 90th and 10th percentile.",
        "Your percentiles are the 75th and the 25th.",
        "The 90th and the 10th percentile over the tasks should come back.",
        ("75", "25", "percentile", "quantile"),
    ),
    "extremes": (
        _percentiles(100, 0),
        "Maximum and minimum in place of percentiles.",
        "In place of the percentiles stand the largest and the smallest error.",
        "The 90th and the 10th percentile over the tasks should come back.",
        ("max", "min", "percentile"),
    ),
    "standard-deviations": (
        _deviation,
        "Mean ± standard deviation in place of percentiles.",
        "In place of the percentiles stand the mean plus and minus one standard deviation.",
        "The 90th and the 10th percentile over the tasks should come back.",
        ("std",),
    ),
    "median-for-mean": (
        _median,
        "The median over tasks in place of the mean.",
        "Your first number is the median over the tasks.",
        "The mean over the tasks should come first, then both percentiles.",
        ("median", "percentile"),
    ),
}

for _name, (_rates, _about, _happened, _right, _clues) in _RATES.items():
    choice(
        curve_with,
        f"{_TEST}.{_name}",
        about=_about,
        happened=_happened,
        right=_right,
        aspects=_OUTPUT,
        clues=_clues,
        rates=_rates,
    )
for _name, (_band, _about, _happened, _right, _clues) in _BANDS.items():
    for _function, _recipe in ((_TEST, curve_with), (_ZERO, zero_with)):
        choice(
            _recipe,
            f"{_function}.{_name}",
            about=_about,
            happened=_happened,
            right=_right,
            aspects=_OUTPUT,
            clues=_clues,
            band=_band,
        )

choice(
    curve_with,
    f"{_TEST}.least-number-ignored",
    about="All numbers of points are tested.",
    happened="Numbers of points below `min_n_train_post` are tested as well.",
    right="Only the numbers of points from `min_n_train_post` on should come back.",
    aspects=_OUTPUT,
    clues=("n_train_post_range", "train"),
    least_ignored=True,
)
choice(
    curve_with,
    f"{_TEST}.learned-unweighted",
    about="The solver does not get the feature weights.",
    happened="Your tasks are learned without the feature weights.",
    right="The solver should get the feature weights: they are what is being tested.",
    aspects=_OUTPUT,
    clues=("solve_logistic",),
    learned_unweighted=True,
)
choice(
    curve_with,
    f"{_TEST}.weighted-twice",
    about="The coefficients are multiplied with weighted features.",
    happened="You weight the test features again, but the coefficients of `solve_logistic` are meant for unweighted "
    "features.",
    right="The test features should be taken as they are; the weights are in the coefficients already.",
    aspects=_OUTPUT,
    clues=("feature_weights", "features"),
    tested_weighted=True,
)
choice(
    curve_with,
    f"{_TEST}.on-training-points",
    about="The error on the training points.",
    happened="Your errors are those on the points that the task was learned from.",
    right="The error should be measured on the test points.",
    aspects=_OUTPUT,
    clues=("features",),
    on_training_points=True,
)
for _function in (_TEST, _ORACLE):
    choice(
        _least_squares,
        f"{_function}.least-squares",
        about="Tasks are learned by least squares.",
        happened="Your tasks are learned by least squares on the labels, as in part (g).",
        right="Part (h) asks for logistic regression: `solve_logistic` should learn the tasks.",
        aspects=_OUTPUT,
        clues=("solve_ls", "solve_ridge"),
    )
choice(
    oracle_with,
    f"{_ORACLE}.all-features",
    about="The oracle learns from all features, each with weight 1.",
    happened="Your oracle learns from all features.",
    right="The oracle should learn from the true features alone; the weights it gets are 0 for all others.",
    aspects=_OUTPUT,
    clues=("ones", "test_classification", "return"),
    selected=np.ones_like,
)
choice(
    oracle_with,
    f"{_ORACLE}.false-features",
    about="The oracle learns from the features of weight 0.",
    happened="Your oracle learns from the features whose weight is 0, and leaves the true ones out.",
    right="The features whose weight is not 0 should be kept.",
    aspects=_OUTPUT,
    clues=("== 0", "where", "flatnonzero", "nonzero"),
    selected=lambda weights: 1 - weights,
)
choice(
    oracle_with,
    f"{_ORACLE}.least-number-ignored",
    about="min_n_train_post is not passed on.",
    happened="Numbers of points below `min_n_train_post` are tested as well.",
    right="`min_n_train_post` should be passed on: the oracle needs so many points to tell its features apart.",
    aspects=_OUTPUT,
    clues=("test_classification", "return"),
    least_ignored=True,
)
choice(
    oracle_with,
    f"{_ORACLE}.accuracy",
    about="The share of right labels in place of the wrong ones.",
    happened="Your numbers are the accuracy, the share of test points with the right label.",
    right="The classification error should come back, the share of test points with the wrong label.",
    aspects=_OUTPUT,
    clues=("==", "1 -"),
    rates=_accuracy,
)
choice(
    oracle_with,
    f"{_ORACLE}.percentiles-swapped",
    about="The 10th percentile comes before the 90th.",
    happened="The percentiles are swapped.",
    right="The 90th percentile should come right after the mean, and the 10th last.",
    aspects=_OUTPUT,
    clues=("return", "percentile"),
    band=_percentiles(10, 90),
)
choice(
    zero_with,
    f"{_ZERO}.zero-is-no-label",
    about="0 is compared with labels, so it is always wrong.",
    happened="Your error is always 1: the guess is 0 itself, which is no label, or the squared error of predicting 0.",
    right="The guess should be a label, that of the value 0, which counts as +1: `my_sign`.",
    aspects=_OUTPUT,
    clues=("sign", "zeros", "zeros_like", "!=", "mean"),
    rates=_unsigned,
)
choice(
    zero_with,
    f"{_ZERO}.squared-error",
    about="The squared error of always predicting +1.",
    happened="Your numbers are squared errors of the guess +1: four times the share of wrong labels.",
    right="Each wrong label should count once.",
    aspects=_OUTPUT,
    clues=("**", "square", "mean"),
    rates=_squared_error_of_signs,
)
choice(
    zero_with,
    f"{_ZERO}.percent",
    about="Errors in per cent.",
    happened="Your errors are in per cent.",
    right="The share of wrong labels should be a number from 0 to 1.",
    aspects=_OUTPUT,
    clues=("100",),
    rates=_percent,
)
choice(
    zero_with,
    f"{_ZERO}.count",
    about="The number of wrong labels.",
    happened="Your numbers count the test points with a wrong label.",
    right="Their share should come back: the count divided by the number of test points.",
    aspects=_OUTPUT,
    clues=("sum",),
    rates=_count,
)
