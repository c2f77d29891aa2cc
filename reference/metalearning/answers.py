"""
The numbers of the written answers: measured at the handout's parameters, and put into the answers' text.

A text names a number where it belongs: `{{e.learned.32}}` is the test error of part (e) with learned weights at 32
points, with two digits; `{{e.learned.20,32}}` are two cells of a table; `{{e.true.largest:.2f}}` says how to write it.
`python -m reference.metalearning answers --out DIR` measures anew and writes what `NUMBERS` holds.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from reference.metalearning import summary
from reference.metalearning.classification import run_classification
from reference.metalearning.evaluation import Curve
from reference.metalearning.experiment import Experiment
from reference.metalearning.features import Floats, aliases_on_grid, feature_frequencies, fourier_features, signs
from reference.metalearning.regression import run_regression
from reference.metalearning.settings import PART_E, PART_F_FIVE_STEPS, PART_F_ONE_STEP, PART_G, PART_H, Settings
from reference.metalearning.tasks import draw_coefficients

NUMBERS = Path(__file__).parents[1] / "notebooks" / "answer_numbers.json"
Numbers = Mapping[str, Any]
_PLACE = re.compile(r"\{\{(?P<path>[\w.,]+)(?::(?P<form>[\w.%]+))?\}\}")

# A curve below this number of points says nothing that an answer speaks of.
_SMALLEST_SIZE = 16
_OTHER_SEEDS = (8, 9, 10, 11, 12)
_DIGITS = 6
# What a share of wrong labels or a squared error cannot exceed unless least squares is ill-conditioned.
_HUGE = 2.0
_CLEARLY = 0.98  # times the other error: less is a tie of ten tasks
_SPECTRUM_TASKS = 2000
_SPECTRUM_POINTS = 256


def measure_answers() -> dict[str, Any]:
    """
    Run every part once more and return all numbers that the written answers may name.

    Returns:
        Part -> name -> number, text, or a nested dict. Takes half a minute of one core.
    """
    found: dict[str, Any] = {"d": _descent()}
    runs: dict[str, tuple[Callable[[Settings], Experiment], Settings]] = {
        "e": (run_regression, PART_E),
        "e_without_noise": (run_regression, replace(PART_E, noise=0.0)),
        "f5": (run_regression, PART_F_FIVE_STEPS),
        "f1": (run_regression, PART_F_ONE_STEP),
        "g": (run_regression, PART_G),
        "h": (run_classification, PART_H),
    }
    for name, (run, settings) in runs.items():
        experiment = run(_at_the_ends(settings))
        found[name] = _part(experiment)
        if name == "g":
            found[name] |= _as_labels(experiment) | _against_the_oracle(experiment)
        if name == "h":
            found[name] |= _rising(experiment)
    found["f1"]["landing"] = _rounded(1.0 / np.sqrt(2.0 * PART_F_ONE_STEP.stepsize_inner))
    found["h"] |= _other_seeds() | {"spectrum": label_spectrum(PART_H)}
    return found


def load_numbers() -> dict[str, Any]:
    """Return the committed numbers."""
    numbers: dict[str, Any] = json.loads(NUMBERS.read_text(encoding="utf-8"))
    return numbers


def fill(text: str, numbers: Numbers) -> str:
    """
    Put numbers into a text.

    Raises:
        LookupError: the text names a number that was not measured.
    """
    return _PLACE.sub(lambda place: _written(place["path"], place["form"], numbers), text)


def places(text: str) -> list[str]:
    """Return the paths of the numbers that a text names."""
    return [place["path"] for place in _PLACE.finditer(text)]


def without_places(text: str) -> str:
    """Return a text without its measured numbers."""
    return _PLACE.sub("", text)


def _written(path: str, form: str | None, numbers: Numbers) -> str:
    *outer, last = path.split(".")
    found: Any = numbers
    for name in outer:
        found = _member(found, name, path)
    return " | ".join(_one(_member(found, name, path), form) for name in last.split(","))


def _member(found: Any, name: str, path: str) -> Any:
    if not isinstance(found, Mapping) or name not in found:
        raise LookupError(f"The answers name {path!r}, but {name!r} was not measured. See {__name__}.")
    return found[name]


def _one(value: Any, form: str | None) -> str:
    if isinstance(value, str):
        return value
    if form == "percent":
        return f"{100 * value:.0f} %"
    if form is not None:
        return format(value, form)
    short = f"{value:#.2g}"
    return np.format_float_positional(value, precision=2, fractional=False) if "e" in short else short


def _at_the_ends(settings: Settings) -> Settings:
    """The same run without the evaluations in between, which change nothing that follows."""
    return replace(settings, num_stats=1)


def _rounded(value: float | np.floating[Any]) -> float:
    return float(f"{value:.{_DIGITS}g}")


def _descent() -> dict[str, Any]:
    """Part (d): start, end and limits."""
    shown = summary.summarise_descent(summary.descent_trajectory())
    numbers = {name: shown[name] for name in ("start_norm", "end_norm")}
    numbers |= {f"end_{axis}": shown["end"][axis] for axis in (0, 1)}
    numbers |= {f"beta_{axis}": shown["end_beta"][axis] for axis in (0, 1)}
    numbers["limit_of_beta"] = 1.0 / shown["start_norm"]
    return {name: _rounded(value) for name, value in numbers.items()}


def _part(experiment: Experiment) -> dict[str, Any]:
    """Errors and weights of a run."""
    settings, final = experiment.settings, experiment.weights[-1]
    true = final[list(settings.k_idx)]
    aliases = aliases_on_grid(settings.d, settings.k_idx, settings.n_train_inner)
    others = np.delete(final, settings.k_idx)
    rest = np.delete(final, np.union1d(settings.k_idx, aliases))
    return {
        "ones": _errors(experiment.ones),
        "learned": _errors(experiment.learned),
        "oracle": _errors(experiment.oracle),
        "zero": _rounded(experiment.zero.mean),
        "true": {"smallest": _rounded(true.min()), "largest": _rounded(true.max())},
        "aliases": _rounded(np.median(final[aliases])),
        "rest": _rounded(np.median(rest)),
        "others": {"smallest": _rounded(others.min()), "median": _rounded(np.median(others))},
        "others_below_one": _rounded(np.mean(others < 1.0)),
        "alias_share": _rounded(1.0 / np.mean(true**2)),
        "group_norm": _rounded(np.sqrt(1.0 + len(aliases) / len(settings.k_idx))),
    }


def _errors(curve: Curve) -> dict[str, float]:
    pairs = zip(curve.sizes.tolist(), curve.mean.tolist(), strict=True)
    return {str(n): _rounded(error) for n, error in pairs if n >= _SMALLEST_SIZE}


def _as_labels(experiment: Experiment) -> dict[str, Any]:
    """Part (g): the share of wrong labels when the regression's sign is taken for a label."""
    errors = summary.label_errors_of_regression(experiment)
    return {
        f"wrong_{short}": dict(zip(map(str, errors["n_train_post"]), map(_rounded, errors[name]), strict=True))
        for short, name in (("ones", "all_ones"), ("learned", "meta_learned"))
    }


def _against_the_oracle(experiment: Experiment) -> dict[str, Any]:
    """Part (g): where learned weights beat the oracle, where least squares breaks down, and how far."""
    oracle = dict(zip(experiment.oracle.sizes.tolist(), experiment.oracle.mean.tolist(), strict=True))
    learned = dict(zip(experiment.learned.sizes.tolist(), experiment.learned.mean.tolist(), strict=True))
    huge = [n for n, error in learned.items() if error > _HUGE]
    better = [n for n in learned if n in oracle and learned[n] < _CLEARLY * oracle[n]]
    unbroken = [n for n in sorted(oracle) if n < min(huge)]
    last_loss = max(n for n in unbroken if n not in better)
    return {
        "better_from": str(min(n for n in better if n > last_loss)),
        "better_to": str(max(unbroken)),
        "huge": ", ".join(str(n) for n in huge),
        "better_after": ", ".join(str(n) for n in better if n > min(huge)),
        "worst_exponent": str(int(np.log10(max(learned.values())))),
    }


def _rising(experiment: Experiment) -> dict[str, Any]:
    """Part (h): mean weight of each low frequency, and which of them rise most beside the true ones."""
    final, frequencies = experiment.weights[-1], feature_frequencies(experiment.settings.d)
    true = {int(r) for r in frequencies[list(experiment.settings.k_idx)]}
    means = {int(r): float(final[frequencies == r].mean()) for r in np.unique(frequencies)}
    rising = sorted((r for r in means if r not in true), key=lambda r: -means[r])
    features = np.delete(final, experiment.settings.k_idx)
    return {
        "weight_of": {str(r): _rounded(mean) for r, mean in means.items() if r <= 4 * max(true)},
        "rising": ", ".join(str(r) for r in rising[:2]) + f" and {rising[2]}",
        "largest_other": _rounded(features.max()),
    }


def _other_seeds() -> dict[str, Any]:
    """Part (h) from other seeds: mean and range of the errors at the inner number of points."""
    found = [run_classification(_at_the_ends(replace(PART_H, seed=seed))) for seed in _OTHER_SEEDS]
    at = str(PART_H.n_train_inner)
    numbers: dict[str, Any] = {}
    for name in ("learned", "oracle"):
        errors = [_errors(getattr(experiment, name))[at] for experiment in found]
        numbers[f"{name}_elsewhere"] = {
            "mean": _rounded(float(np.mean(errors))),
            "smallest": min(errors),
            "largest": max(errors),
        }
    return numbers


def label_spectrum(settings: Settings) -> dict[str, float]:
    """
    Return the share of the labels' power at each low frequency, over many tasks, none of it with chance in the points.

    The sign of a sum of waves is odd in them: of frequencies r, s, t it makes r ± s ± t, of one alone 3r, 5r ….
    """
    draws = np.random.RandomState(settings.seed)
    points: Floats = np.linspace(-1.0, 1.0, _SPECTRUM_POINTS, endpoint=False, dtype=np.float64)
    waves = fourier_features(points, settings.d)[:, list(settings.k_idx)]
    coefficients = np.stack([draw_coefficients(len(settings.k_idx), draws) for _ in range(_SPECTRUM_TASKS)], axis=1)
    power: Floats = np.abs(np.fft.rfft(signs(waves @ coefficients), axis=0)) ** 2
    share = power.mean(axis=1) * np.where(np.arange(len(power)) > 0, 2.0, 1.0) / _SPECTRUM_POINTS**2
    highest = 4 * int(feature_frequencies(settings.d)[list(settings.k_idx)].max())
    return {str(r): _rounded(share[r]) for r in range(highest + 1)}
