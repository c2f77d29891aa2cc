"""`python -m reference.metalearning [all|answers|sinusoid] --out DIR`: figures, a table, and numbers as JSON."""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from reference.metalearning import answers, plots, summary
from reference.metalearning.classification import run_classification
from reference.metalearning.experiment import Experiment
from reference.metalearning.regression import run_regression
from reference.metalearning.settings import (
    PART_E,
    PART_F_FIVE_STEPS,
    PART_F_ONE_STEP,
    PART_G,
    PART_H,
    Settings,
)
from reference.metalearning.sinusoid import SinusoidSettings, run_sinusoid

PARTS: dict[str, tuple[str, Settings]] = {
    "e": ("(e) closed form on a grid", PART_E),
    "f_5_steps": ("(f) five gradient steps", PART_F_FIVE_STEPS),
    "f_1_step": ("(f) one gradient step", PART_F_ONE_STEP),
    "g": ("(g) regression on labels", PART_G),
    "h": ("(h) logistic regression", PART_H),
}


def run_all(out: Path, *, seed: int) -> None:
    """Run (a) to (h) at the handout's parameters."""
    trajectory = summary.descent_trajectory()
    save(plots.plot_descent(trajectory), out / "d_feature_weights.png")
    results: dict[str, Any] = {"d": summary.summarise_descent(trajectory)}
    print(json.dumps({"d": results["d"]}, indent=1))
    for name, (title, settings) in PARTS.items():
        run = run_classification if settings.inner == "logistic" else run_regression
        experiment = run(replace(settings, seed=seed))
        results[name] = summary.summarise_experiment(experiment)
        if name == "g":
            results[name]["label_errors"] = summary.label_errors_of_regression(experiment)
        print("\n" + summary.experiment_table(title, results[name]), flush=True)
        draw(experiment, out, name=name, title=title)
    write(results, out)


def draw(experiment: Experiment, out: Path, *, name: str, title: str) -> None:
    """Save the three figures of a part."""
    wrong_labels = experiment.settings.inner == "logistic"
    ylabel = "share of wrong labels" if wrong_labels else "mean squared error"
    save(plots.plot_test_error(experiment, title=title, ylabel=ylabel), out / f"{name}_test_error.png")
    save(plots.plot_fitted_function(experiment, title=title), out / f"{name}_fitted_function.png")
    save(plots.plot_feature_weights(experiment, title=title), out / f"{name}_feature_weights.png")


def run_sinusoids(out: Path, *, seed: int, iterations: int) -> None:
    """Meta-train on sinusoids and compare with a pretrained network."""
    result = run_sinusoid(SinusoidSettings(seed=seed, n_iterations=iterations))
    results = summary.summarise_sinusoid(result)
    print(summary.sinusoid_table(results))
    save(plots.plot_sinusoid(result), out / "sinusoid.png")
    write(results, out)


def write_answers(out: Path) -> None:
    """Measure the numbers of the written answers."""
    path = out / answers.NUMBERS.name
    path.write_text(json.dumps(answers.measure_answers(), indent=1) + "\n", encoding="utf-8")
    print(f"Written: {path}. Where they changed, {answers.NUMBERS} and the answers are to be read again.")


def save(figure: Figure, path: Path) -> None:
    """Write a figure as PNG."""
    figure.savefig(path, dpi=110)


def write(results: dict[str, Any], out: Path) -> None:
    """Write summary.json."""
    (out / "summary.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


def main(arguments: list[str] | None = None) -> None:
    """Command line."""
    parser = argparse.ArgumentParser(prog="python -m reference.metalearning", description=__doc__)
    parser.add_argument("what", nargs="?", choices=("all", "answers", "sinusoid"), default="all")
    parser.add_argument("--out", type=Path, required=True, help="folder for figures and summary.json")
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument(
        "--iterations",
        type=int,
        default=SinusoidSettings().n_iterations,
        help="meta steps of the sinusoid run (default %(default)s; the paper took 70000)",
    )
    options = parser.parse_args(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    # Every torch operation here is too small to be worth a second thread.
    torch.set_num_threads(1)
    if options.what == "sinusoid":
        run_sinusoids(options.out, seed=options.seed, iterations=options.iterations)
    elif options.what == "answers":
        write_answers(options.out)
    else:
        run_all(options.out, seed=options.seed)


if __name__ == "__main__":
    main()
