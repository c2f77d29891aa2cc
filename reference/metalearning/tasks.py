"""Draw tasks: coefficients on the true features, points, and noisy values or labels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from reference.metalearning.features import Draws, Floats, draw_points, flip_labels, fourier_features, signs
from reference.metalearning.settings import Settings


def draw_coefficients(count: int, draws: Draws) -> Floats:
    """α uniform on [−1, 1]^count, then scaled to unit length: (count,) float."""
    alpha = draws.uniform(-1.0, 1.0, count)
    return np.asarray(alpha / np.linalg.norm(alpha))


@dataclass(frozen=True)
class TaskBatch:
    """
    The tasks of one meta step.

    Shapes: T tasks, n inner points, m meta points, d features.

    Attributes:
        inner_features: (T, n, d) float, or (1, n, d) where all tasks share a grid.
        inner_targets: (T, n) float.
        meta_features: (T, m, d) float.
        meta_targets: (T, m) float.
    """

    inner_features: Floats
    inner_targets: Floats
    meta_features: Floats
    meta_targets: Floats


@dataclass(frozen=True)
class EvaluationData:
    """
    Test tasks, each to be learned from several numbers of points; the points are the same for all tasks.

    Shapes: T tasks, m test points, d features.

    Attributes:
        train_features: for each number of points n, (n, d) float.
        train_targets: for each n, (n, T) float, noisy.
        train_points: for each n, (n,) float.
        test_points: (m,) float, uniform and sorted.
        test_features: (m, d) float.
        test_targets: (m, T) float, without noise.
    """

    train_points: dict[int, Floats]
    train_features: dict[int, Floats]
    train_targets: dict[int, Floats]
    test_points: Floats
    test_features: Floats
    test_targets: Floats


def clean_targets(features: Floats, coefficients: Floats, settings: Settings) -> Floats:
    """Values Σ_k α_k φ_k, or their labels."""
    values = features[..., list(settings.k_idx)] @ coefficients
    return signs(values) if settings.targets == "labels" else np.asarray(values)


def draw_task_batch(settings: Settings, draws: Draws) -> TaskBatch:
    """
    Draw num_inner_tasks tasks.

    A task draws, in this order: coefficients, inner points, inner noise, meta points, meta noise. The
    features of all points are then evaluated together.
    """
    shared = settings.x_type == "grid"
    alphas, inner, inner_noise, meta, meta_noise = [], [], [], [], []
    for _ in range(settings.num_inner_tasks):
        alphas.append(draw_coefficients(len(settings.k_idx), draws))
        inner.append(draw_points(settings.n_train_inner, settings.x_type, draws))
        inner_noise.append(_draw_noise(settings.n_train_inner, settings, draws))
        meta.append(draw_points(settings.n_train_meta, "uniform_random", draws))
        meta_noise.append(_draw_noise(settings.n_train_meta, settings, draws))
    inner_features = fourier_features(np.stack(inner[:1] if shared else inner), settings.d)
    meta_features = fourier_features(np.stack(meta), settings.d)
    columns = np.stack(alphas)[:, :, None]
    clean_inner = clean_targets(inner_features, columns, settings)
    clean_meta = clean_targets(meta_features, columns, settings)
    return TaskBatch(
        inner_features=inner_features,
        inner_targets=_with_noise(clean_inner[..., 0], np.stack(inner_noise), settings),
        meta_features=meta_features,
        meta_targets=_with_noise(clean_meta[..., 0], np.stack(meta_noise), settings),
    )


def _draw_noise(n: int, settings: Settings, draws: Draws) -> Floats:
    """Factors ±1 for labels, summands for values."""
    if settings.targets == "labels":
        return flip_labels(np.ones(n), settings.noise, draws)
    return draws.normal(0.0, settings.noise, n)


def _with_noise(clean: Floats, noise: Floats, settings: Settings) -> Floats:
    """Apply noise that `_draw_noise` drew."""
    return clean * noise if settings.targets == "labels" else clean + noise


def draw_evaluation_data(settings: Settings, draws: Draws) -> EvaluationData:
    """
    Draw num_tasks_test test tasks.

    Order of draws: test points; training points by ascending number; then for each task its coefficients
    and, by ascending number of points, the noise.
    """
    test_points = draw_points(settings.n_test_post, "uniform_random", draws)
    test_features = fourier_features(test_points, settings.d)
    sizes = settings.training_sizes
    points = {n: draw_points(n, settings.x_type, draws) for n in sizes}
    features = {n: fourier_features(points[n], settings.d) for n in sizes}
    test_targets = []
    targets: dict[int, list[Floats]] = {n: [] for n in sizes}
    for _ in range(settings.num_tasks_test):
        alpha = draw_coefficients(len(settings.k_idx), draws)
        test_targets.append(clean_targets(test_features, alpha, settings))
        for n in sizes:
            noise = _draw_noise(n, settings, draws)
            targets[n].append(_with_noise(clean_targets(features[n], alpha, settings), noise, settings))
    return EvaluationData(
        train_points=points,
        train_features=features,
        train_targets={n: np.stack(columns, axis=1) for n, columns in targets.items()},
        test_points=test_points,
        test_features=test_features,
        test_targets=np.stack(test_targets, axis=1),
    )
