"""Answers to the handout's questions as numbers: plain dictionaries for JSON, and tables for people."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from reference.metalearning.evaluation import Evaluator, LeastSquaresLearner, label_error
from reference.metalearning.experiment import Experiment
from reference.metalearning.features import Floats, aliases_on_grid
from reference.metalearning.theory import aliased_coefficients, descend_feature_weights, expected_test_error

if TYPE_CHECKING:
    from reference.metalearning.sinusoid import SinusoidResult

# Part (d): a start with most of its weight on the alias, and a step small enough to keep the norm to two thousandths.
DESCENT_START = (0.6, 0.9)
DESCENT_STEP_SIZE = 0.01
DESCENT_ITERATIONS = 100_000
TABLE_SIZES = (20, 29, 32, 35, 74, 108, 158, 277, 588)


def descent_trajectory() -> Floats:
    """The trajectory that is shown for part (d)."""
    return descend_feature_weights(np.array(DESCENT_START), DESCENT_STEP_SIZE, DESCENT_ITERATIONS)


def summarise_descent(trajectory: Floats) -> dict[str, Any]:
    """Part (d): start, norm, end, and what β goes to."""
    return {
        "start": trajectory[0].tolist(),
        "start_norm": float(np.linalg.norm(trajectory[0])),
        "end": trajectory[-1].tolist(),
        "end_norm": float(np.linalg.norm(trajectory[-1])),
        "end_beta": aliased_coefficients(trajectory[-1]).tolist(),
        "end_error": expected_test_error(trajectory[-1]),
    }


def summarise_weights(experiment: Experiment) -> dict[str, Any]:
    """Final weights of true features, of their aliases on the inner grid, and of the rest."""
    settings, final = experiment.settings, experiment.weights[-1]
    true = list(settings.k_idx)
    aliases = aliases_on_grid(settings.d, settings.k_idx, settings.n_train_inner)
    rest = np.setdiff1d(np.arange(settings.d), np.union1d(true, aliases))
    return {
        "true": final[true].tolist(),
        "aliases_median": float(np.median(final[aliases])) if len(aliases) else None,
        "rest_median": float(np.median(final[rest])) if len(rest) else None,
        "others_median": float(np.median(np.delete(final, true))),
    }


def summarise_experiment(experiment: Experiment) -> dict[str, Any]:
    """All curves, their bands, the weights, and the meta losses of a run."""
    curves = {"all_ones": experiment.ones, "meta_learned": experiment.learned, "oracle": experiment.oracle}
    zero = experiment.zero
    return {
        "curves": {
            name: {
                "n_train_post": curve.sizes.tolist(),
                "mean": curve.mean.tolist(),
                "percentile_90": curve.high.tolist(),
                "percentile_10": curve.low.tolist(),
            }
            for name, curve in curves.items()
        },
        "zero": {"mean": zero.mean, "percentile_90": zero.high, "percentile_10": zero.low},
        "weights": summarise_weights(experiment),
        "meta_loss_first": float(experiment.meta_losses[0]),
        "meta_loss_last": float(experiment.meta_losses[-1]),
    }


def label_errors_of_regression(experiment: Experiment) -> dict[str, Any]:
    """Part (g): the share of wrong labels when the regression's sign is taken for a label."""
    evaluator = Evaluator(LeastSquaresLearner(experiment.learner.data), label_error)
    ones, learned = (evaluator.curve(experiment.weights[row]) for row in (0, -1))
    return {
        "n_train_post": ones.sizes.tolist(),
        "all_ones": ones.mean.tolist(),
        "meta_learned": learned.mean.tolist(),
    }


def experiment_table(name: str, summary: dict[str, Any]) -> str:
    """Errors at some numbers of points, and the weights, as text."""
    curves = summary["curves"]
    lines = [f"{name}", f"{'n_train_post':>14} {'all ones':>10} {'learned':>10} {'oracle':>10} {'zero':>8}"]
    at = {key: dict(zip(curve["n_train_post"], curve["mean"], strict=True)) for key, curve in curves.items()}
    for n in TABLE_SIZES:
        if n in at["all_ones"] and n in at["oracle"]:
            errors = (at["all_ones"][n], at["meta_learned"][n], at["oracle"][n])
            lines.append(f"{n:>14} " + " ".join(f"{e:10.4g}" for e in errors) + f" {summary['zero']['mean']:8.3f}")
    weights = summary["weights"]
    true = ", ".join(f"{value:.2f}" for value in weights["true"])
    lines.append(f"  weights: true {true}; median of the others {weights['others_median']:.3f}")
    if weights["aliases_median"] is not None and weights["rest_median"] is not None:
        aliases, rest = weights["aliases_median"], weights["rest_median"]
        lines.append(f"  median of aliases on the inner grid {aliases:.3f}, of the rest {rest:.3f}")
    return "\n".join(lines)


def summarise_sinusoid(result: SinusoidResult) -> dict[str, Any]:
    """Losses by network, shots and steps, with the half width of their 95 % interval."""
    networks = {
        name: {
            "step_size": adaptation.step_size,
            "losses": [
                {"shots": shots, "steps": steps, "mean": mean, "half_width": adaptation.half_width[shots, steps]}
                for (shots, steps), mean in adaptation.mean.items()
            ],
        }
        for name, adaptation in result.adaptation.items()
    }
    return {"iterations": result.settings.n_iterations, "networks": networks}


def sinusoid_table(summary: dict[str, Any]) -> str:
    """The losses as text."""
    lines = [f"{'network':<14}{'shots':>6}{'steps':>6}{'mean squared error':>22}"]
    for name, network in summary["networks"].items():
        for row in network["losses"]:
            lines.append(f"{name:<14}{row['shots']:>6}{row['steps']:>6}{row['mean']:>14.3f} ± {row['half_width']:.3f}")
    return "\n".join(lines)
