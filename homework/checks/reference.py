"""The reference's classes and functions under the contract's names, and the tolerances that were measured."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grader.checks.compare import Calibration
from grader.checks.reference import Reference, gradients_of, split_cotangents
from grader.checks.tensors import to_arrays, to_tensors
from grader.wire import Arrays
from homework.contract import CONTRACT
from reference.metalearning import theory
from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.classifier import ClassificationMAE
from reference.vision.masking import random_masking, restore_masked
from reference.vision.patches import patchify, unpatchify
from reference.vision.vit import ClassificationViT, Transformer

A_BAND = "A band around where right runs end, with its odds beside the check."  # in place of a tolerance
# The conventions in which a meta update may be written and called: `w_t` are coefficients of weighted features, or
# their product with the weights, for plain features.
UPDATE_WAYS: tuple[Mapping[str, Any], ...] = ({}, {"w_t_is_weighted": True})
CALIBRATION = Calibration(Path(__file__).parents[1] / "calibration.json")


def _call_update(function: Callable[..., Any], inputs: Arrays, settings: Mapping[str, Any]) -> Arrays:
    """
    Call a meta update on the hidden points: (w_t, weights, points, k_idx, k_val, d) → loss.

    Where `w_t` is the product of coefficients and weights already, the features are not weighted.
    """
    arguments, cotangents = split_cotangents(inputs)
    tensors = {name: torch.tensor(arguments[name], requires_grad=True) for name in ("w_t", "feature_weights_t")}
    k_val = arguments["k_val"].copy()
    w_t, weights = tensors.values()
    if settings.get("w_t_is_weighted"):
        weights = torch.ones_like(weights)
    loss = function(w_t, weights, arguments["points"].copy(), list(settings["k_idx"]), k_val, int(settings["d"]))
    slopes = gradients_of({"loss": loss}, to_tensors(cotangents), tensors)
    return {**to_arrays({"loss": loss, **slopes}), "hidden": np.array(1.0)}


def _call_on_data(function: Callable[..., Any], inputs: Arrays, settings: Mapping[str, Any]) -> Arrays:
    """Call what works on test data with all of it: (inputs, sizes) → arrays by name."""
    return {name: np.asarray(value) for name, value in function(inputs, list(settings["sizes"])).items()}


def _call_run(function: Callable[..., Any], inputs: Arrays, settings: Mapping[str, Any]) -> Arrays:
    """Call a whole run with its hidden points: (inputs, settings) → arrays by name."""
    return {name: np.asarray(value) for name, value in function(inputs, settings).items()}


REFERENCE = Reference(
    CONTRACT,
    classes={each.__name__: each for each in (Transformer, ClassificationViT, MaskedAutoEncoder, ClassificationMAE)},
    functions={
        "patchify": patchify,
        "unpatchify": unpatchify,
        "ClassificationViT.forward": ClassificationViT.forward,
        "random_masking": random_masking,
        "restore_masked": restore_masked,
        "MaskedAutoEncoder.forward_encoder": MaskedAutoEncoder.forward_encoder,
        "MaskedAutoEncoder.forward_decoder": MaskedAutoEncoder.forward_decoder,
        "MaskedAutoEncoder.forward_encoder_representation": MaskedAutoEncoder.forward_encoder_representation,
        "ClassificationMAE.forward": ClassificationMAE.forward,
        "min_norm_solution": theory.min_norm_solution,
        "aliased_coefficients": theory.aliased_coefficients,
        "expected_test_error": theory.expected_test_error,
        "expected_test_error_gradient": theory.expected_test_error_gradient,
        "descend_feature_weights": theory.descend_feature_weights,
    },
    callers={
        "meta_update_classification": _call_update,
        "test_classification": _call_on_data,
        "test_oracle_classification": _call_on_data,
        "test_zero_classification": _call_on_data,
        "meta_learning_classification": _call_run,
    },
)
