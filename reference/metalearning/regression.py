"""
Parts (e), (f) and (g): meta-learning for regression, on real values and on labels.

What the runs at the handout's parameters say (seed 7, mean squared error at n_train_post points):

- (e) Learned weights beat all-ones below about 277 points: 0.95 → 0.33 at 20, 0.93 → 0.25 at 29, 0.92 → 0.0043 at
  32, 0.92 → 0.23 at 35, 0.88 → 0.079 at 74, 0.70 → 0.016 at 158. The oracle is better everywhere (0.002 at 32),
  because noise is fitted by 6 coefficients instead of 501. At 32 points test tasks are learned on the very grid
  that meta-learning used: the aliases that it pushed down are the aliases that matter there. On another grid
  other features are the aliases, and those kept weight 1; only the larger true weights help. From 277 points on
  no frequency up to 250 is an alias of 3, 4 or 5, and there is nothing left to gain.
- (e) True weights end at 3.86 to 3.89, aliases at 0.21, all others at 1.00. A true feature and its 14 aliases are
  part (d) in 15 dimensions: the loss depends on the direction of the group's weights only, so their norm
  √15 = 3.87 stays but for the length of the steps, and all of it goes to the true feature. No other group meets any
  signal.
- (f) Five steps help, away from 32 points even more than the closed form (0.13 at 29): the inner loop stops short of
  the solution, so true weights also grow to make it faster, to 5.1. One step works too: true weights go to 7.0,
  where a single step of 0.01 · 2w² = 0.98 lands on the solution (w = 1 / √(2 · 0.01) = 7.07), and aliases need
  not shrink much for that (0.93). Its spike at 32 is shallower (0.042), the rest of its curve is the best of the
  three (0.061 at 29). These weights are tied to the step size; test tasks are solved in closed form in all parts.
- (g) Squares on labels run and learn something (true weights 5.5 to 5.8), but the error cannot go to 0: a label is
  no sum of six waves. The oracle stays at 0.28 however many points it sees; learned weights keep all 501 waves and
  fall below it (0.12 at 277). At 588 uniform points, barely more than the 501 features, least squares is so badly
  conditioned that its error is of the order of 1e16 with any weights. Taken as labels, the signs of its
  predictions are not bad at all: wrong for 0.464 → 0.094 of the points at 32, 0.41 → 0.039 at 108.

Differences from other runs of the homework: the order of draws is this package's own (see `tasks`), so numbers agree
within the spread over seeds. At 32 points seeds 8 to 10 gave 0.94 → 0.0036, 0.92 → 0.0040 and 0.94 → 0.0039.
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
