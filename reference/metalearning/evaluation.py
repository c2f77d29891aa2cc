"""How well test tasks are learned with given feature weights, against the number of points."""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController  # type: ignore[import-untyped]  # ships no type information

from reference.metalearning.features import Floats, signs
from reference.metalearning.solvers import fit_logistic, full_rank_coefficients, min_norm_coefficients
from reference.metalearning.tasks import EvaluationData

# A weak ridge term: separable labels have no unpenalised minimum. With scikit-learn's default of 1 the
# oracle itself is shrunk: over six draws its error at 32 points is 0.070, with 10 or more it is 0.058 ± 0.001.
INVERSE_PENALTY = 10.0

Measure = Callable[[Floats, Floats], Floats]


@dataclass(frozen=True)
class Band:
    """Mean, 90th and 10th percentile over tasks of an error that does not depend on the number of points."""

    mean: float
    high: float
    low: float


@dataclass(frozen=True)
class Curve:
    """
    Errors against the number of points.

    Attributes:
        sizes: (S,) int, numbers of points, ascending.
        mean: (S,) float, over tasks.
        high: (S,) float, 90th percentile over tasks.
        low: (S,) float, 10th percentile over tasks.
    """

    sizes: NDArray[np.int64]
    mean: Floats
    high: Floats
    low: Floats

    def at(self, n: int) -> float:
        """Mean error with n points; KeyError where n was not tried."""
        (places,) = np.nonzero(self.sizes == n)
        if len(places) == 0:
            raise KeyError(f"{n} points were not tried; the tried numbers are {self.sizes.tolist()}.")
        return float(self.mean[places[0]])


def squared_error(predictions: Floats, targets: Floats) -> Floats:
    """Mean over test points of the squared difference: (m, T), (m, T) -> (T,)."""
    return np.asarray(np.mean((predictions - targets) ** 2, axis=0))


def label_error(predictions: Floats, labels: Floats) -> Floats:
    """Share of test points whose predicted sign is wrong: (m, T), (m, T) -> (T,)."""
    return np.asarray(np.mean(signs(predictions) != labels, axis=0))


class Learner(ABC):
    """Learns every test task from n points with weighted features."""

    def __init__(self, data: EvaluationData) -> None:
        self.data = data

    @abstractmethod
    def coefficients(self, weights: Floats, n: int) -> Floats:
        """(d, T) float coefficients of the UNweighted features; features of weight 0 get 0."""


class LeastSquaresLearner(Learner):
    """
    Minimum-norm least squares.

    With at least d points and independent features the fit does not depend on weights that are all nonzero:
    it is found once and kept.
    """

    def __init__(self, data: EvaluationData) -> None:
        super().__init__(data)
        self._weightless: dict[int, Floats | None] = {}

    def coefficients(self, weights: Floats, n: int) -> Floats:
        """See Learner."""
        features, targets = self.data.train_features[n], self.data.train_targets[n]
        used = weights != 0.0
        if used.all() and n >= len(weights):
            if n not in self._weightless:
                self._weightless[n] = full_rank_coefficients(features, targets)
            known = self._weightless[n]
            if known is not None:
                return known
        alpha = np.zeros((len(weights), targets.shape[1]))
        scale = weights[used]
        alpha[used] = scale[:, None] * min_norm_coefficients(features[:, used] * scale, targets)
        return alpha


class LogisticLearner(Learner):
    """Weakly penalised logistic regression; each fit starts where the last one with all features ended."""

    def __init__(self, data: EvaluationData, *, inverse_penalty: float = INVERSE_PENALTY) -> None:
        super().__init__(data)
        self.inverse_penalty = inverse_penalty
        self._last: dict[int, Floats] = {}

    def coefficients(self, weights: Floats, n: int) -> Floats:
        """See Learner."""
        features, labels = self.data.train_features[n], self.data.train_targets[n]
        used = weights != 0.0
        scale = weights[used][:, None]
        last = self._last.get(n) if used.all() else None
        beta = fit_logistic(
            features[:, used] * scale.T,
            labels,
            inverse_penalty=self.inverse_penalty,
            start=None if last is None else last / scale,
        )
        alpha = np.zeros((len(weights), labels.shape[1]))
        alpha[used] = scale * beta
        if used.all():
            self._last[n] = alpha
        return alpha


class Evaluator:
    """Error curves of one learner. Numbers of points are independent of each other and share out the cores."""

    def __init__(self, learner: Learner, measure: Measure, *, workers: int | None = None) -> None:
        self.learner = learner
        self.measure = measure
        self.workers = workers or os.cpu_count() or 1
        self._blas = ThreadpoolController()

    def curve(self, weights: Floats, *, min_n: int = 0) -> Curve:
        """
        Errors with these feature weights for every tried number of points that is at least min_n.

        Args:
            weights: (d,) float.
            min_n: smallest number of points of interest.
        """
        sizes = [n for n in sorted(self.learner.data.train_features) if n >= min_n]
        # The largest come first: otherwise one core works on the largest alone in the end. BLAS threads
        # inside the workers would only wait for each other.
        with self._blas.limit(limits=1, user_api="blas"), ThreadPoolExecutor(self.workers) as pool:
            found = list(pool.map(lambda n: self.learner.coefficients(weights, n), reversed(sizes)))[::-1]
            table = self._errors(found)
        return Curve(
            sizes=np.array(sizes, dtype=np.int64),
            mean=table.mean(axis=1),
            high=np.percentile(table, 90, axis=1),
            low=np.percentile(table, 10, axis=1),
        )

    def _errors(self, coefficients: list[Floats]) -> Floats:
        """(S, T) float errors for S sets of (d, T) coefficients, predicted in one product."""
        data = self.learner.data
        count = len(coefficients)
        predictions = data.test_features @ np.concatenate(coefficients, axis=1)
        return self.measure(predictions, np.tile(data.test_targets, count)).reshape(count, -1)

    def zero(self) -> Band:
        """Error of predicting 0 everywhere; as a label that is +1, whatever x is."""
        targets = self.learner.data.test_targets
        errors = self.measure(np.zeros_like(targets), targets)
        high, low = np.percentile(errors, [90, 10])
        return Band(mean=float(errors.mean()), high=float(high), low=float(low))
