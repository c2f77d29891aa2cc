"""The public vectors of the meta-learning half: for `python -m grader check`, the notebooks check by other means."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from homework.checks.metalearning import METALEARNING_CHECKS
from homework.release.vectors import for_file

SEED = 182
# What of a check's answer students may see, and how many of its cases.
_SHOWN: dict[str, tuple[tuple[str, ...], int]] = {
    "min_norm_solution": (("beta",), 2),
    "aliased_coefficients": (("beta",), 3),
    "expected_test_error": (("error",), 3),
    "expected_test_error_gradient": (("gradient",), 3),
    "descend_feature_weights": (("trajectory",), 1),
    "meta_update_classification": (("loss",), 1),
    "test_classification": (("n_train_post_range", "mean", "high", "low"), 1),
    "test_oracle_classification": (("n_train_post_range", "mean", "high", "low"), 1),
    "test_zero_classification": (("mean", "high", "low"), 1),
}


def metalearning_vectors() -> dict[str, dict[str, Any]]:
    """
    Draw inputs with a public seed and let the reference answer, as the grader does with a secret one.

    Returns:
        For each function `settings`, and `cases` by number with `inputs` and `expected` by name. Numbers are rounded
        to float32: the last digits of float64 would differ from machine to machine.
    """
    vectors = {}
    checks = {check.key: check for check in METALEARNING_CHECKS}
    for function, (shown, number) in _SHOWN.items():
        exam = checks[f"{function}.output"].prepare(torch.Generator().manual_seed(SEED))
        cases = {
            str(index): {
                "inputs": _tensors(case.inputs),
                "expected": _tensors({name: case.expected[name] for name in shown}),
            }
            for index, case in enumerate(exam.cases[:number])
        }
        vectors[function] = {"settings": dict(exam.settings), "cases": cases}
    converted: dict[str, dict[str, Any]] = for_file(vectors, {})
    return converted


def metalearning_vector_bytes() -> bytes:
    """Return these vectors as the bytes of their file, the same each time."""
    buffer = io.BytesIO()
    torch.save(metalearning_vectors(), buffer)
    return buffer.getvalue()


def _tensors(arrays: Mapping[str, Any]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(np.array(array)) for name, array in arrays.items()}
