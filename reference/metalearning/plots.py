"""Figures of the handout's kind, drawn without a display."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure

from reference.metalearning.evaluation import Curve
from reference.metalearning.experiment import Experiment
from reference.metalearning.features import Floats, aliases_on_grid
from reference.metalearning.theory import aliased_coefficients

if TYPE_CHECKING:
    from reference.metalearning.sinusoid import SinusoidResult

COLOURS = {"all ones": "tab:orange", "meta-learned": "tab:blue", "oracle": "tab:green", "zero": "tab:gray"}


def plot_test_error(experiment: Experiment, *, title: str, ylabel: str) -> Figure:
    """Test error against the number of points, with bands from the 10th to the 90th percentile; whole and zoomed."""
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    whole, zoom = figure.subplots(1, 2)
    for axes in (whole, zoom):
        _draw_curve(axes, experiment.ones, "all ones")
        _draw_curve(axes, experiment.learned, "meta-learned")
        _draw_curve(axes, experiment.oracle, "oracle")
        zero = experiment.zero
        axes.axhline(zero.mean, color=COLOURS["zero"], label="zero")
        axes.axhspan(zero.low, zero.high, color=COLOURS["zero"], alpha=0.1)
        axes.axvline(experiment.settings.n_train_inner, color="black", linestyle=":", linewidth=1)
        axes.set_xlabel("n_train_post")
        axes.set_ylabel(ylabel)
        axes.set_xscale("log")
    # Least squares with about as many random points as features has no useful scale: the axis ends above zero's.
    whole.set_ylim(0.0, 1.3 * experiment.zero.high)
    whole.set_title(title)
    whole.legend()
    inner = experiment.settings.n_train_inner
    zoom.set_xlim(0.5 * inner, 4.0 * inner)
    near = (experiment.learned.sizes >= 0.5 * inner) & (experiment.learned.sizes <= 4.0 * inner)
    zoom.set_ylim(0.0, 1.2 * float(np.max(experiment.learned.high[near], initial=1e-3)))
    zoom.set_title(f"zoom; dotted: {inner} inner points")
    return figure


def _draw_curve(axes: Any, curve: Curve, name: str) -> None:
    axes.plot(curve.sizes, curve.mean, marker=".", color=COLOURS[name], label=name)
    axes.fill_between(curve.sizes, curve.low, curve.high, color=COLOURS[name], alpha=0.2)


def plot_fitted_function(experiment: Experiment, *, title: str, task: int = 0) -> Figure:
    """One test task learned from n_train_post points with all-ones, meta-learned and oracle weights."""
    data, n = experiment.learner.data, experiment.settings.n_train_post
    figure = Figure(figsize=(9, 4.5), layout="constrained")
    axes = figure.subplots()
    axes.plot(data.test_points, data.test_targets[:, task], color="black", linewidth=2, label="truth")
    for name, weights in (
        ("all ones", experiment.weights[0]),
        ("meta-learned", experiment.weights[-1]),
        ("oracle", experiment.settings.oracle_weights),
    ):
        predictions = data.test_features @ experiment.learner.coefficients(weights, n)[:, task]
        axes.plot(data.test_points, predictions, color=COLOURS[name], alpha=0.8, linewidth=1, label=name)
    axes.plot(data.train_points[n], data.train_targets[n][:, task], "k.", label=f"{n} points")
    axes.set_xlabel("x")
    axes.set_title(title)
    axes.legend(loc="upper right")
    return figure


def plot_feature_weights(experiment: Experiment, *, title: str) -> Figure:
    """All weights at the end, and how those of true features, of their aliases and of the others moved."""
    settings, weights = experiment.settings, experiment.weights
    true = np.array(settings.k_idx)
    aliases = aliases_on_grid(settings.d, settings.k_idx, settings.n_train_inner)
    others = np.setdiff1d(np.arange(settings.d), np.union1d(true, aliases))
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    final, history = figure.subplots(1, 2)
    for members, name, colour in (
        (others, "others", "tab:gray"),
        (aliases, f"aliases on the {settings.n_train_inner}-point grid", "tab:red"),
        (true, "true features", "tab:blue"),
    ):
        if len(members) == 0:
            continue
        final.plot(members, weights[-1, members], ".", color=colour, label=name)
        low, middle, high = np.percentile(weights[:, members], [10, 50, 90], axis=1)
        history.plot(settings.logged_iterations, middle, marker=".", color=colour, label=name)
        history.fill_between(settings.logged_iterations, low, high, color=colour, alpha=0.2)
    final.set_xlabel("feature")
    final.set_ylabel("feature weight")
    final.set_title(title)
    final.legend()
    history.set_xlabel("meta iteration")
    history.set_title("median and 10th to 90th percentile")
    return figure


def plot_descent(trajectory: Floats) -> Figure:
    """Part (d): the path of c from its start along the circle of its norm to its limit, and β beside it."""
    start, end = trajectory[0], trajectory[-1]
    norm = float(np.linalg.norm(start))
    coefficients = np.array([aliased_coefficients(c) for c in trajectory])
    figure = Figure(figsize=(12, 4.5), layout="constrained")
    plane, time = figure.subplots(1, 2)
    angles = np.linspace(0.0, np.pi / 2, 100)
    plane.plot(norm * np.cos(angles), norm * np.sin(angles), ":", color="gray", label=f"‖c‖ = {norm:.4f}")
    plane.plot(trajectory[:, 0], trajectory[:, 1], color="tab:blue")
    plane.plot(*start, "o", color="tab:orange", label=f"start ({start[0]:.3f}, {start[1]:.3f})")
    plane.plot(*end, "s", color="tab:green", label=f"end ({end[0]:.4f}, {end[1]:.4f})")
    plane.set_aspect("equal")
    plane.set_xlabel("$c_0$")
    plane.set_ylabel("$c_1$")
    plane.legend()
    steps = np.arange(1, len(trajectory) + 1)
    for values, name, colour in ((trajectory, "c", "tab:blue"), (coefficients, "\\beta", "tab:red")):
        time.plot(steps, values[:, 0], color=colour, label=f"${name}_0$")
        time.plot(steps, values[:, 1], "--", color=colour, label=f"${name}_1$")
    time.axhline(norm, linestyle=":", color="gray", label="norm of the start, and its inverse")
    time.axhline(1.0 / norm, linestyle=":", color="gray")
    time.set_xscale("log")
    time.set_xlabel("iteration + 1")
    time.legend()
    return figure


def plot_sinusoid(result: SinusoidResult) -> Figure:
    """Both networks on one sinusoid, after each number of steps, and the training curves."""
    figure = Figure(figsize=(15, 4.5), layout="constrained")
    *panels, history = figure.subplots(1, 3)
    example = result.example
    for axes, (name, functions) in zip(panels, example.fitted.items(), strict=True):
        axes.plot(example.points, example.truth, color="tab:red", label="truth")
        axes.plot(example.shot_points, example.shot_values, "^", color="tab:purple", label="shots")
        for steps, style in zip(sorted(functions), (":", "--", "-"), strict=True):
            axes.plot(example.points, functions[steps], style, color="tab:green", label=f"{steps} steps")
        axes.set_title(f"{name}, step size {result.adaptation[name].step_size:g}")
        axes.legend(loc="lower right")
    for name, losses in result.history.items():
        history.plot(*_smoothed(losses), label=name)
    history.set_xlabel("iteration")
    history.set_ylabel("training loss (meta-learned: after its inner step)")
    history.legend()
    return figure


def _smoothed(values: Sequence[float], count: int = 100) -> tuple[Floats, Floats]:
    """Means of about `count` equal stretches, and where they lie."""
    width = max(len(values) // count, 1)
    usable = len(values) // width * width
    means: Floats = np.array(values[:usable]).reshape(-1, width).mean(axis=1)
    return np.arange(len(means), dtype=np.float64) * width + width / 2, means
