"""What a meta-learning run is made of, and the handout's own runs."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from reference.metalearning.features import Floats, PointKind, feature_frequencies

Inner = Literal["closed_form", "gradient_descent", "logistic"]
Targets = Literal["values", "labels"]


@dataclass(frozen=True)
class Settings:
    """
    One run; field names are those of the notebooks' `params_dict`.

    Attributes:
        inner: how a task is learned from its inner points.
        targets: real values with Gaussian noise, or labels −1 and +1 that are flipped at random.
        noise: standard deviation (values) or flip probability (labels) of everything that is trained on.
        x_type: inner points and the points learned from after meta-learning. Meta and test points are uniform.
        num_stats: how often the weights are evaluated before the run ends; the end is evaluated besides.
        num_n_train_post_range: how many numbers of points are tried, geometrically from 1 to 3d.
    """

    inner: Inner = "closed_form"
    targets: Targets = "values"
    x_type: PointKind = "grid"
    noise: float = 0.1
    seed: int = 7
    n_train_inner: int = 32
    n_train_meta: int = 64
    n_train_post: int = 32
    n_test_post: int = 1000
    d: int = 501
    k_idx: tuple[int, ...] = (5, 6, 7, 8, 9, 10)
    stepsize_inner: float = 1e-2
    num_gd_steps: int = 5
    stepsize_meta: float = 1e-2
    optimizer_type: Literal["SGD", "Adam"] = "SGD"
    num_inner_tasks: int = 5
    num_tasks_test: int = 10
    num_stats: int = 10
    num_iterations: int = 100
    num_n_train_post_range: int = 40

    @property
    def training_sizes(self) -> tuple[int, ...]:
        """Numbers of points to learn a test task from, ascending, n_train_post among them."""
        spread = np.geomspace(1, 3 * self.d, self.num_n_train_post_range).astype(int)
        return tuple(int(n) for n in np.union1d(spread, [self.n_train_post]))

    @property
    def smallest_oracle_size(self) -> int:
        """Points that make the true features independent on any grid: twice their highest frequency and one."""
        return int(2 * feature_frequencies(self.d)[list(self.k_idx)].max() + 1)

    @property
    def logged_iterations(self) -> tuple[int, ...]:
        """Iterations before which weights are evaluated; num_iterations stands for the end."""
        stride = max(self.num_iterations // self.num_stats, 1)
        return (*range(0, self.num_iterations, stride), self.num_iterations)

    @property
    def oracle_weights(self) -> Floats:
        """Ones for the true features, zeros elsewhere: (d,) float."""
        weights = np.zeros(self.d)
        weights[list(self.k_idx)] = 1.0
        return weights


PART_E = Settings()
PART_F_FIVE_STEPS = replace(PART_E, inner="gradient_descent", num_gd_steps=5)
PART_F_ONE_STEP = replace(PART_E, inner="gradient_descent", num_gd_steps=1)
PART_G = Settings(inner="gradient_descent", targets="labels", x_type="uniform_random", noise=0.0)
PART_H = Settings(inner="logistic", targets="labels", x_type="uniform_random", noise=0.0, stepsize_inner=3e-1)
