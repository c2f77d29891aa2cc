"""
Time parts (e), (f) and (h) beside the literal version in one run, and compare every number.

`python -m benchmarks.metalearning` does the handout's whole work on both sides, eleven evaluations with 36 numbers of
points among it: about five minutes on two cores, nearly all of them the literal side's. `--evaluations 1` evaluates
before and after meta-learning only, on both sides alike, in a fifth of the time; the reference's fixed costs then
weigh more, and its lead is smaller.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from benchmarks.student_modules import utils_classification, utils_reg
from reference.metalearning.classification import run_classification
from reference.metalearning.experiment import Experiment
from reference.metalearning.regression import run_regression
from reference.metalearning.settings import PART_E, PART_F_FIVE_STEPS, PART_H, Settings

TOLERANCE = 1e-8


@dataclass(frozen=True)
class Part:
    """
    One comparison and what it must reach.

    Attributes:
        settings: what both sides run.
        fast: the reference.
        module: the students' module.
        function: its function that runs everything.
        least_speedup: of the reference over the module.
    """

    settings: Settings
    fast: Callable[..., Experiment]
    module: ModuleType
    function: str
    least_speedup: float


PARTS = {
    "e": Part(PART_E, run_regression, utils_reg, "meta_learning_reg_closed_form", 20.0),
    "f": Part(PART_F_FIVE_STEPS, run_regression, utils_reg, "meta_learning_reg_sgd", 20.0),
    "h": Part(PART_H, run_classification, utils_classification, "meta_learning_classification", 5.0),
}


@dataclass(frozen=True)
class Numbers:
    """
    What a run came to; both sides give the same numbers in the same order.

    Attributes:
        weights: (L, d) float, feature weights at the logged moments.
        errors: flat float: curves at the logged moments, then the oracle's, then the zero predictor's.
    """

    weights: np.ndarray
    errors: np.ndarray


def params_dict_of(settings: Settings) -> dict[str, Any]:
    """Settings as the notebooks' params_dict."""
    noise = "noise_prob" if settings.targets == "labels" else "noise_std"
    return {**asdict(settings), "phi_type": "fourier", noise: settings.noise}


def fast_numbers(part: Part, *, workers: int) -> Numbers:
    """Run the reference."""
    result = part.fast(part.settings, workers=workers)
    curves = [values for curve in (*result.curves, result.oracle) for values in (curve.mean, curve.high, curve.low)]
    zero = [result.zero.mean, result.zero.high, result.zero.low]
    return Numbers(weights=result.weights, errors=np.concatenate([*curves, zero]))


def literal_numbers(part: Part) -> Numbers:
    """Run the students' module; stand-ins for its plots bring the numbers home."""
    weights, errors, comparison = [], [], {}

    def see_weights(_data: Any, feature_weights: np.ndarray, *_: Any, **__: Any) -> None:
        weights.append(feature_weights)

    def see_errors(_iteration: int, _n_train_inner: int, _sizes: Any, *curve: Any, **others: Any) -> None:
        errors.extend(curve)
        comparison.update(others)

    kind = "classification" if part.settings.targets == "labels" else "reg"
    with (
        patch.object(part.module, f"visualize_prediction_{kind}", see_weights),
        patch.object(part.module, f"visualize_test_loss_{kind}", see_errors),
    ):
        getattr(part.module, part.function)(params_dict_of(part.settings))
    errors.extend(comparison["oracle"][1:])
    return Numbers(weights=np.stack(weights), errors=np.concatenate([*errors, comparison["zero"]]))


def largest_difference(left: Numbers, right: Numbers) -> float:
    """Largest difference, relative where numbers exceed 1."""
    if left.weights.shape != right.weights.shape or left.errors.shape != right.errors.shape:
        return float("inf")
    pairs = ((left.weights, right.weights), (left.errors, right.errors))
    return max(float(np.max(np.abs(a - b) / np.maximum(1.0, np.abs(b)))) for a, b in pairs)


def timed(work: Callable[[], Numbers], *, threads: int) -> tuple[float, Numbers]:
    """Seconds and result of work with this many BLAS and torch threads."""
    torch.set_num_threads(threads)
    with threadpool_limits(threads):
        start = time.perf_counter()
        result = work()
        return time.perf_counter() - start, result


def thread_counts() -> list[int]:
    """One thread and one for each core."""
    return sorted({1, os.cpu_count() or 1})


def shortened(settings: Settings) -> Settings:
    """A tenth of the test tasks, before and after one meta step."""
    return replace(settings, num_tasks_test=1, num_iterations=1, num_stats=1, num_n_train_post_range=20)


def best_literal_threads(part: Part) -> int:
    """Try the literal version on little work with each number of threads."""
    trial = replace(part, settings=shortened(part.settings))
    return min(thread_counts(), key=lambda threads: timed(lambda: literal_numbers(trial), threads=threads)[0])


@dataclass(frozen=True)
class Comparison:
    """
    What came of one part.

    Attributes:
        name: the part's letter.
        literal_s, fast_s: seconds on the clock.
        threads, workers: of the literal version and of the reference, each at its best number.
        difference: the largest between their numbers.
        least_speedup: what the reference must reach.
    """

    name: str
    literal_s: float
    fast_s: float
    threads: int
    workers: int
    difference: float
    least_speedup: float

    @property
    def speedup(self) -> float:
        """How many times as long the literal version takes."""
        return self.literal_s / self.fast_s

    @property
    def good(self) -> bool:
        """Whether the reference is fast enough and gives the same numbers."""
        return self.speedup >= self.least_speedup and self.difference <= TOLERANCE


def with_evaluations(name: str, evaluations: int) -> Part:
    """Return a part with so many evaluations of the test tasks before the final one."""
    part = PARTS[name]
    return replace(part, settings=replace(part.settings, num_stats=evaluations))


def compare(name: str, part: Part) -> Comparison:
    """Run one part both ways."""
    # What loads on first use (optimizers, LAPACK, thread pools) is charged to neither side.
    fast_numbers(replace(part, settings=shortened(part.settings)), workers=2)
    # The reference shares evaluations out to workers with one BLAS thread each; its own meta steps use one.
    attempts = [
        (*timed(lambda count=count: fast_numbers(part, workers=count), threads=1), count) for count in thread_counts()
    ]
    fast_s, fast, workers = min(attempts, key=lambda attempt: attempt[0])
    threads = best_literal_threads(part)
    literal_s, slow = timed(lambda: literal_numbers(part), threads=threads)
    return Comparison(name, literal_s, fast_s, threads, workers, largest_difference(fast, slow), part.least_speedup)


def print_row(found: Comparison) -> None:
    """Print what came of one part."""
    print(
        f"({found.name})  {found.literal_s:9.1f} s ({found.threads} thr)  {found.fast_s:8.2f} s ({found.workers} thr)"
        f"  {found.speedup:8.1f}x  (>= {found.least_speedup:.0f}x)  {found.difference:10.1e}"
        f"  {'ok' if found.good else 'MISSED'}",
        flush=True,
    )


def main(arguments: list[str] | None = None) -> int:
    """Command line; 1 if a part misses its speed or its numbers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.metalearning", description=__doc__)
    parser.add_argument("--parts", nargs="+", choices=sorted(PARTS), default=sorted(PARTS))
    parser.add_argument(
        "--evaluations", type=int, default=10, help="evaluations of the test tasks before the final one (default 10)"
    )
    options = parser.parse_args(arguments)
    print("part     literal             reference           speedup            largest difference")
    results = []
    for name in options.parts:
        results.append(compare(name, with_evaluations(name, options.evaluations)))
        print_row(results[-1])
    return 0 if all(found.good for found in results) else 1


if __name__ == "__main__":
    sys.exit(main())
