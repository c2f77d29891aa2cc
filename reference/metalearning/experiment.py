"""The meta-learning loop that parts (e) to (h) share."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch

from reference.metalearning.evaluation import Band, Curve, Evaluator, Learner
from reference.metalearning.features import Draws, Floats
from reference.metalearning.inner_loops import (
    LOGISTIC_LOSS,
    SQUARED_ERROR,
    MetaGradient,
    closed_form_meta_gradient,
    unrolled_meta_gradient,
)
from reference.metalearning.settings import Settings
from reference.metalearning.tasks import TaskBatch, draw_task_batch


@dataclass(frozen=True)
class Experiment:
    """
    A finished run.

    Shapes: L logged moments, d features.

    Attributes:
        settings: what was run.
        learner: learned the test tasks; holds their data.
        evaluator: measured them.
        weights: (L, d) float, feature weights at the logged iterations; the last row is the result.
        meta_losses: (num_iterations,) float, each summed over the batch before its step.
        curves: L test curves; the first is that of all-ones weights.
        oracle: test curve of learning with the true features alone.
        zero: test error of predicting nothing.
    """

    settings: Settings
    learner: Learner
    evaluator: Evaluator
    weights: Floats
    meta_losses: Floats
    curves: tuple[Curve, ...]
    oracle: Curve
    zero: Band

    @property
    def ones(self) -> Curve:
        """Test curve before meta-learning."""
        return self.curves[0]

    @property
    def learned(self) -> Curve:
        """Test curve after meta-learning."""
        return self.curves[-1]


def meta_gradient(weights: Floats, batch: TaskBatch, settings: Settings) -> MetaGradient:
    """Meta-gradient through the inner loop that the settings name."""
    if settings.inner == "closed_form":
        return closed_form_meta_gradient(weights, batch)
    return unrolled_meta_gradient(
        weights,
        batch,
        loss=LOGISTIC_LOSS if settings.inner == "logistic" else SQUARED_ERROR,
        step_size=settings.stepsize_inner,
        n_steps=settings.num_gd_steps,
    )


def meta_learn(settings: Settings, draws: Draws) -> tuple[Floats, Floats]:
    """
    Learn feature weights, starting from ones, with one optimizer step for each batch of tasks.

    Returns:
        (L, d) float weights at the logged iterations, and (num_iterations,) float meta losses.

    Raises:
        ArithmeticError: the weights are no longer finite.
    """
    weights = torch.ones(settings.d, dtype=torch.float64)
    kind = torch.optim.SGD if settings.optimizer_type == "SGD" else torch.optim.Adam
    optimizer = kind([weights], lr=settings.stepsize_meta)
    logged, losses = [], []
    for iteration in range(settings.num_iterations):
        if iteration in settings.logged_iterations:
            logged.append(weights.numpy().copy())
        step = meta_gradient(weights.numpy(), draw_task_batch(settings, draws), settings)
        if not np.all(np.isfinite(step.gradient)):
            raise ArithmeticError(f"Meta-learning diverged at iteration {iteration}. Lower stepsize_meta.")
        weights.grad = torch.from_numpy(step.gradient)
        optimizer.step()
        losses.append(step.loss)
    logged.append(weights.numpy().copy())
    return np.stack(logged), np.array(losses)


def run(settings: Settings, *, evaluator: Evaluator, draws: Draws) -> Experiment:
    """Meta-learn, then evaluate all logged weights, the oracle and the zero predictor."""
    weights, losses = meta_learn(settings, draws)
    return Experiment(
        settings=settings,
        learner=evaluator.learner,
        evaluator=evaluator,
        weights=weights,
        meta_losses=losses,
        curves=tuple(evaluator.curve(row) for row in weights),
        oracle=evaluator.curve(settings.oracle_weights, min_n=settings.smallest_oracle_size),
        zero=evaluator.zero(),
    )
