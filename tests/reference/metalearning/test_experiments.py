"""Parts (e) to (h): gradients, agreement with the literal version, and what comes out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from benchmarks.metalearning import PARTS, fast_numbers, largest_difference, literal_numbers
from reference.metalearning.classification import run_classification
from reference.metalearning.experiment import Experiment, meta_gradient, meta_learn
from reference.metalearning.features import aliases_on_grid
from reference.metalearning.inner_loops import closed_form_meta_gradient
from reference.metalearning.regression import run_regression
from reference.metalearning.settings import (
    PART_E,
    PART_F_FIVE_STEPS,
    PART_F_ONE_STEP,
    PART_G,
    PART_H,
    Settings,
)
from reference.metalearning.tasks import draw_task_batch

SMALL = {
    "d": 31,
    "k_idx": (3, 4, 7),
    "n_train_inner": 12,
    "n_train_post": 12,
    "n_test_post": 60,
    "num_tasks_test": 4,
    "num_iterations": 6,
    "num_stats": 2,
    "num_n_train_post_range": 12,
}


def at_the_ends(settings: Settings) -> Settings:
    """The same run without the evaluations in between, which change nothing that follows."""
    return replace(settings, num_stats=1)


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="module")
def closed_form() -> Experiment:
    """Part (e) at the handout's parameters."""
    return run_regression(at_the_ends(PART_E))


@pytest.fixture(scope="module")
def five_steps() -> Experiment:
    """Part (f), five steps."""
    return run_regression(at_the_ends(PART_F_FIVE_STEPS))


@pytest.fixture(scope="module")
def one_step() -> Experiment:
    """Part (f), one step."""
    return run_regression(at_the_ends(PART_F_ONE_STEP))


@pytest.fixture(scope="module")
def on_labels() -> Experiment:
    """Part (g)."""
    return run_regression(at_the_ends(PART_G))


@pytest.fixture(scope="module")
def logistic() -> Experiment:
    """Part (h)."""
    return run_classification(at_the_ends(PART_H))


@pytest.mark.parametrize("name", PARTS)
@pytest.mark.parametrize("x_type", ["grid", "uniform_random"])
def test_numbers_are_those_of_the_literal_version(name: str, x_type: str) -> None:
    """Same draws, same weights, curves, bands, oracle and zero predictor, to 1e-8."""
    part = PARTS[name]
    # Adam divides by the gradient's size: on a grid it blows rounding errors up where the true gradient is zero.
    optimizer = "SGD" if x_type == "grid" else "Adam"
    small = replace(part, settings=replace(part.settings, x_type=x_type, noise=0.1, optimizer_type=optimizer, **SMALL))
    if name != "h" and x_type == "uniform_random":
        # Twelve to sixty random points and 31 features: least squares lose up to ten digits on the way.
        small = replace(small, settings=replace(small.settings, d=91))

    assert largest_difference(fast_numbers(small, workers=2), literal_numbers(small)) <= 1e-8


@pytest.mark.slow
@pytest.mark.parametrize("name", PARTS)
def test_numbers_are_those_of_the_literal_version_at_full_size(name: str) -> None:
    """The handout's parameters, evaluated before and after meta-learning."""
    part = PARTS[name]
    full = replace(part, settings=replace(part.settings, num_stats=1))

    assert largest_difference(fast_numbers(full, workers=2), literal_numbers(full)) <= 1e-8


@pytest.mark.parametrize("settings", [PART_E, PART_F_FIVE_STEPS, PART_G, PART_H], ids=["e", "f", "g", "h"])
def test_meta_gradient_is_the_derivative_of_the_meta_loss(settings: Settings) -> None:
    """Central differences through the whole inner loop agree in random directions."""
    batch = draw_task_batch(replace(settings, **SMALL), np.random.default_rng(0))
    rng = np.random.default_rng(1)
    weights = rng.uniform(0.5, 2.0, SMALL["d"])
    step = meta_gradient(weights, batch, settings)

    for direction in rng.normal(size=(3, SMALL["d"])):
        ahead, behind = (meta_gradient(weights + h * direction, batch, settings).loss for h in (1e-5, -1e-5))
        assert step.gradient @ direction == pytest.approx((ahead - behind) / 2e-5, rel=1e-5, abs=1e-6)


def test_with_more_points_than_features_the_closed_form_has_no_gradient() -> None:
    """Least squares with full column rank ignores the weights."""
    settings = replace(PART_E, **{**SMALL, "n_train_inner": 40})
    batch = draw_task_batch(settings, np.random.default_rng(0))

    one, other = (closed_form_meta_gradient(np.full(31, c), batch) for c in (1.0, 2.0))

    assert not one.gradient.any()
    assert one.loss == other.loss > 0


def test_repeated_grid_values_do_not_break_the_closed_form() -> None:
    """With weights of zero the Gram matrix is singular; the pseudo-inverse carries on."""
    settings = replace(PART_E, **SMALL)
    batch = draw_task_batch(settings, np.random.default_rng(0))
    weights = np.zeros(31)
    weights[[3, 4]] = 1.0

    assert np.all(np.isfinite(closed_form_meta_gradient(weights, batch).gradient))


def test_a_run_is_reproducible_and_seeds_differ() -> None:
    """The same seed gives the same bits; another seed another run."""
    settings = replace(PART_H, **SMALL)

    first, again, other = (run_classification(s).weights for s in (settings, settings, replace(settings, seed=8)))

    np.testing.assert_array_equal(first, again)
    assert not np.allclose(first, other)


def test_a_modern_generator_serves_too() -> None:
    """Draws come from whatever generator is handed in."""
    weights, losses = meta_learn(replace(PART_E, **SMALL), np.random.default_rng(0))

    assert weights.shape == (3, 31)
    assert losses.shape == (6,)


def test_divergence_is_an_error() -> None:
    """A meta step that is far too long does not end in a NaN answer."""
    settings = replace(PART_F_FIVE_STEPS, **{**SMALL, "num_iterations": 40}, stepsize_meta=10.0)

    with pytest.raises(ArithmeticError, match="stepsize_meta"), np.errstate(all="ignore"):
        meta_learn(settings, np.random.default_rng(0))


def test_runs_refuse_the_other_kind_of_settings() -> None:
    """Regression does not run a logistic inner loop, nor classification a squared one."""
    with pytest.raises(ValueError, match="run_classification"):
        run_regression(PART_H)
    with pytest.raises(ValueError, match="run_regression"):
        run_classification(PART_G)


def test_an_untried_number_of_points_is_named() -> None:
    """Asking a curve for what it has not got lists what it has."""
    with pytest.raises(KeyError, match="588"):
        run_regression(replace(PART_E, num_iterations=1, num_tasks_test=1)).ones.at(600)


def test_learned_weights_beat_ones_and_lose_to_the_oracle(closed_form: Experiment) -> None:
    """(e) 1: the whole curve below the number of points where aliasing ends."""
    ones, learned, oracle = closed_form.ones, closed_form.learned, closed_form.oracle

    for n, largest in ((20, 0.45), (29, 0.35), (35, 0.35), (74, 0.12), (158, 0.03)):
        assert ones.at(n) > 0.6
        assert oracle.at(n) < learned.at(n) < largest
    assert closed_form.zero.mean == pytest.approx(1.0, abs=0.05)


def test_the_spike_is_where_the_grids_coincide(closed_form: Experiment) -> None:
    """(e) 1: at 32 points the learned weights are fifty times better than three points on either side."""
    learned = closed_form.learned

    assert learned.at(32) < 0.01
    assert min(learned.at(29), learned.at(35)) > 20 * learned.at(32)


def test_nothing_is_gained_once_aliasing_ends(closed_form: Experiment) -> None:
    """(e) 1: from 277 points on all-ones and learned weights both see noise only; from 501 on they are equal."""
    assert closed_form.ones.at(277) < 0.02
    assert closed_form.learned.at(277) < 0.02
    assert closed_form.ones.at(588) == closed_form.learned.at(588)


def test_bands_surround_the_middle(closed_form: Experiment) -> None:
    """The 90th percentile is the upper edge, the 10th the lower."""
    for curve in (closed_form.ones, closed_form.learned, closed_form.oracle):
        assert np.all(curve.low <= curve.high)
        assert np.mean((curve.low <= curve.mean) & (curve.mean <= curve.high)) > 0.9
    assert closed_form.zero.low <= closed_form.zero.mean <= closed_form.zero.high


def test_each_group_of_aliases_keeps_its_norm(closed_form: Experiment) -> None:
    """(e) 2: true weights approach √15, aliases fall, others stay: part (d) in fifteen dimensions."""
    weights, settings = closed_form.weights[-1], closed_form.settings
    true = np.array(settings.k_idx)
    aliases = aliases_on_grid(settings.d, settings.k_idx, 32)
    rest = np.setdiff1d(np.arange(settings.d), np.union1d(true, aliases))

    assert np.all((weights[true] > 3.7) & (weights[true] < 4.0))
    assert weights[aliases].max() < 0.35
    np.testing.assert_allclose(weights[rest], 1.0, atol=0.05)
    # Steps of finite size are tangents: each lengthens the norm a little, 2 % in all.
    group = np.sqrt(np.sum(weights[np.union1d(true, aliases)] ** 2))
    assert group == pytest.approx(np.sqrt(len(true) + len(aliases)), rel=0.03)


def test_five_gradient_steps_help(five_steps: Experiment) -> None:
    """(f): with five inner steps the learned weights are several times better than ones."""
    for n, largest in ((20, 0.3), (29, 0.2), (32, 0.02), (74, 0.06)):
        assert five_steps.learned.at(n) < largest < five_steps.ones.at(n) / 2


def test_one_gradient_step_helps_too(one_step: Experiment, five_steps: Experiment) -> None:
    """(f): true weights grow until one step suffices, 1 / √(2 · 0.01); the spike at 32 gets shallower."""
    true = list(one_step.settings.k_idx)

    np.testing.assert_allclose(one_step.weights[-1, true], 1 / np.sqrt(2 * 0.01), rtol=0.03)
    assert one_step.learned.at(29) < 0.15
    assert five_steps.learned.at(32) < one_step.learned.at(32) < 0.1


def test_regression_on_labels_runs_but_cannot_fit_them(on_labels: Experiment) -> None:
    """(g): no error is raised, weights are learned, and even the oracle's squared error stays above a fifth."""
    true = list(on_labels.settings.k_idx)

    assert np.all(on_labels.weights[-1, true] > 4.0)
    assert on_labels.learned.at(32) < 0.6 < on_labels.ones.at(32)
    assert np.all(on_labels.oracle.mean > 0.2)


def test_logistic_regression_learns_to_classify(logistic: Experiment) -> None:
    """(h): ones are no better than guessing at 32 points; learned weights come near the oracle."""
    assert logistic.zero.mean == pytest.approx(0.5, abs=0.05)
    assert logistic.ones.at(32) > 0.4
    assert logistic.learned.at(32) < 0.15
    assert logistic.ones.at(108) > 0.35
    assert logistic.learned.at(108) < 0.06
    for n in (32, 108, 277):
        assert logistic.oracle.at(n) < logistic.learned.at(n) < 2.5 * logistic.oracle.at(n)


def test_random_points_push_all_other_features_down_a_little(logistic: Experiment) -> None:
    """(h) 2: true weights near five, the median of the others near nine tenths."""
    true = list(logistic.settings.k_idx)

    assert np.all((logistic.weights[-1, true] > 4.4) & (logistic.weights[-1, true] < 5.4))
    assert np.median(np.delete(logistic.weights[-1], true)) == pytest.approx(0.9, abs=0.03)
