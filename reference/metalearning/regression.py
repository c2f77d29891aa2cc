"""
Parts (e), (f) and (g): meta-learning for regression, on real values and on labels.

The numbers of runs at the handout's parameters stand in `answers`, and what they say in the written answers:

- (e) Learned weights beat all-ones as long as there are aliases among the features, below about 277 points. The oracle
  is better everywhere: below, because it has no aliases, which take a share of the signal even without noise; above,
  because noise is fitted by 6 coefficients instead of 501. At 32 points test tasks are learned on the very grid that
  meta-learning used: the aliases that it pushed down are the aliases that matter there.
- (e) A true feature and its 14 aliases are part (d) in 15 dimensions: the loss depends on the direction of the group's
  weights only, so their norm √15 stays but for the length of the steps, and all of it goes to the true feature. No
  other group meets any signal.
- (f) The inner loop stops short of the solution, so true weights also grow to make it faster; with one step, until the
  step lands on the solution, at w = 1 / √(2 · step size). Test tasks are solved in closed form in all parts.
- (g) Squares on labels run and learn something, but the error cannot go to 0: a label is no sum of six waves. With
  about as many uniform points as features, least squares is badly conditioned with any weights.

Differences from other runs of the homework: the order of draws is this package's own (see `tasks`), so numbers agree
within the spread over seeds.
"""

from __future__ import annotations

import numpy as np

from reference.metalearning.evaluation import Evaluator, LeastSquaresLearner, squared_error
from reference.metalearning.experiment import Experiment, run
from reference.metalearning.settings import Settings
from reference.metalearning.tasks import draw_evaluation_data


def run_regression(settings: Settings, *, workers: int | None = None) -> Experiment:
    """
    Run (e), (f) or (g) from the settings' seed; the test error is the mean squared error.

    Args:
        settings: inner loop "closed_form" or "gradient_descent".
        workers: threads for the evaluations; None takes all cores.
    """
    if settings.inner == "logistic":
        raise ValueError("The inner loop is logistic, which is no regression. Use run_classification.")
    # The legacy generator draws what the notebooks' np.random.seed(seed) draws.
    draws = np.random.RandomState(settings.seed)
    learner = LeastSquaresLearner(draw_evaluation_data(settings, draws))
    return run(settings, evaluator=Evaluator(learner, squared_error, workers=workers), draws=draws)
