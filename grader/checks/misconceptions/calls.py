"""How the contract's functions are called, and what their outputs are called, with a mistake in them or without."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from grader.checks.exam import Exam
from grader.checks.tensors import to_arrays, to_tensors
from grader.wire import Array, Arrays
from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.classifier import ClassificationMAE
from reference.vision.vit import ClassificationViT, Transformer

# What a mistake raises where it does not go with the sizes of a question, or with another mistake.
OUT_OF_REACH = (RuntimeError, ValueError, IndexError, TypeError, ArithmeticError, np.linalg.LinAlgError)
_COTANGENT = "cotangent/"
_PRODUCTS = "w_t_is_weighted"

Caller = Callable[[Callable[..., Any], "nn.Module | None", Arrays, Mapping[str, Any]], Arrays]


def build_module(function: str, exam: Exam) -> nn.Module | None:
    """Return the reference's module with the parameters of the exam; None for a plain function."""
    build = _BUILDERS.get(function)
    if build is None:
        return None
    with torch.device("meta"):  # without drawing parameters that are replaced at once
        module = build(exam.settings)
    module.load_state_dict(to_tensors(exam.state), assign=True)
    return module


def call(
    name: str,
    function: Callable[..., Any],
    module: nn.Module | None,
    inputs: Arrays,
    settings: Mapping[str, Any],
) -> Arrays:
    """
    Call a function with the signature that the contract gives the name, and name its outputs.

    Where the inputs have cotangents, the gradients of sum(outputs · cotangents) come too, as a probe brings them.

    Args:
        name: the contract's name.
        function: what to call.
        module: what a method is called on; None for a plain function.
        inputs: arrays by argument.
        settings: arguments that are no arrays, and others.
    """
    return _CALLERS[name](function, module, inputs, settings)


@dataclass(frozen=True)
class _OnTensors:
    """
    Calls a function of tensors.

    Args:
        arguments: each is an input or a setting; one that is neither is left to its default.
        outputs: names of what is returned, in order.
    """

    arguments: tuple[str, ...]
    outputs: tuple[str, ...]

    def __call__(
        self, function: Callable[..., Any], module: nn.Module | None, inputs: Arrays, settings: Mapping[str, Any]
    ) -> Arrays:
        tensors = to_tensors({name: array for name, array in inputs.items() if not name.startswith(_COTANGENT)})
        cotangents = to_tensors({name: array for name, array in inputs.items() if name.startswith(_COTANGENT)})
        for tensor in tensors.values():
            tensor.requires_grad_(bool(cotangents) and tensor.is_floating_point())
        given = {**settings, **tensors}
        arguments = [given[argument] for argument in self.arguments if argument in given]
        with torch.set_grad_enabled(bool(cotangents)):
            returned = function(*arguments) if module is None else function(module, *arguments)
        parts = returned if isinstance(returned, tuple) else (returned,)
        outputs = dict(zip(self.outputs, parts, strict=True))
        if not cotangents:
            return to_arrays(outputs)
        parameters = {} if module is None else dict(module.named_parameters())
        return to_arrays({**outputs, **_gradients(outputs, cotangents, {**tensors, **parameters})})


def _gradients(
    outputs: Mapping[str, torch.Tensor], cotangents: Mapping[str, torch.Tensor], targets: Mapping[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Return the gradients that there are, under the names that a probe gives them."""
    parts = [
        (outputs[name.removeprefix(_COTANGENT)] * cotangent).sum()
        for name, cotangent in cotangents.items()
        if outputs[name.removeprefix(_COTANGENT)].requires_grad
    ]
    asked = {name: target for name, target in targets.items() if target.requires_grad}
    if not parts:
        return {}
    found = torch.autograd.grad(torch.stack(parts).sum(), list(asked.values()), allow_unused=True)
    return {f"gradient/{name}": slope for name, slope in zip(asked, found, strict=True) if slope is not None}


@dataclass(frozen=True)
class _OnArrays:
    """Calls a function of NumPy arrays, each of which is an input; one without dimensions counts as a number."""

    arguments: tuple[str, ...]
    output: str

    def __call__(
        self, function: Callable[..., Any], module: nn.Module | None, inputs: Arrays, settings: Mapping[str, Any]
    ) -> Arrays:
        with np.errstate(all="ignore"):  # a mistake may divide by what is nearly zero
            return {self.output: np.asarray(function(*(_number(inputs[name]) for name in self.arguments)))}


def _number(array: Array) -> Any:
    return array.item() if array.ndim == 0 else array.copy()


def call_update(
    function: Callable[..., Any], module: nn.Module | None, inputs: Arrays, settings: Mapping[str, Any]
) -> Arrays:
    """
    Call a meta update on the hidden points: (w_t, weights, points, k_idx, k_val, d) → loss.

    Where `w_t` is the product of coefficients and weights already, the features are not weighted.
    """
    tensors = {name: torch.tensor(inputs[name], requires_grad=True) for name in ("w_t", "feature_weights_t")}
    k_val = inputs["k_val"].copy()
    w_t, weights = tensors.values()
    if settings.get(_PRODUCTS):
        weights = torch.ones_like(weights)
    loss = function(w_t, weights, inputs["points"].copy(), list(settings["k_idx"]), k_val, int(settings["d"]))
    cotangents = {name: torch.ones(()) for name in inputs if name.startswith(_COTANGENT)}
    slopes = _gradients({"loss": loss}, cotangents, tensors)
    return {**to_arrays({"loss": loss, **slopes}), "hidden": np.array(1.0)}


def call_on_data(
    function: Callable[..., Any], module: nn.Module | None, inputs: Arrays, settings: Mapping[str, Any]
) -> Arrays:
    """Call what works on test data with all of it: (inputs, sizes) → arrays by name."""
    return {name: np.asarray(value) for name, value in function(inputs, list(settings["sizes"])).items()}


def call_run(
    function: Callable[..., Any], module: nn.Module | None, inputs: Arrays, settings: Mapping[str, Any]
) -> Arrays:
    """Call a whole run with its hidden points: (inputs, settings) → arrays by name."""
    return {name: np.asarray(value) for name, value in function(inputs, settings).items()}


def right_ways(name: str) -> tuple[dict[str, Any], ...]:
    """Return the settings to add for each of the conventions in which a function may be written."""
    return ({}, {_PRODUCTS: True}) if name == "meta_update_classification" else ({},)


def _build_vit(settings: Mapping[str, Any]) -> nn.Module:
    return ClassificationViT(**settings)


def _build_autoencoder(settings: Mapping[str, Any]) -> MaskedAutoEncoder:
    sizes = {key: value for key, value in settings.items() if key not in ("encoder", "decoder")}
    return MaskedAutoEncoder(Transformer(**settings["encoder"]), Transformer(**settings["decoder"]), **sizes)


def _build_classifier(settings: Mapping[str, Any]) -> nn.Module:
    sizes = {key: value for key, value in settings.items() if key != "mae"}
    return ClassificationMAE(mae=_build_autoencoder(settings["mae"]), **sizes)


_AUTOENCODER = "MaskedAutoEncoder"
_BUILDERS: dict[str, Callable[[Mapping[str, Any]], nn.Module]] = {
    "ClassificationViT.forward": _build_vit,
    f"{_AUTOENCODER}.forward_encoder": _build_autoencoder,
    f"{_AUTOENCODER}.forward_decoder": _build_autoencoder,
    f"{_AUTOENCODER}.forward_encoder_representation": _build_autoencoder,
    "ClassificationMAE.forward": _build_classifier,
}
_MASKS = ("mask", "ids_restore")
_CALLERS: dict[str, Caller] = {
    "patchify": _OnTensors(("images", "patch_size"), ("patches",)),
    "unpatchify": _OnTensors(("patches", "patch_size"), ("images",)),
    "random_masking": _OnTensors(("x", "keep_length", "ids_shuffle"), ("kept", *_MASKS)),
    "restore_masked": _OnTensors(("kept_x", "masked_x", "ids_restore"), ("x",)),
    "ClassificationViT.forward": _OnTensors(("images",), ("logits",)),
    f"{_AUTOENCODER}.forward_encoder": _OnTensors(("images", "ids_shuffle"), ("embeddings", *_MASKS)),
    f"{_AUTOENCODER}.forward_decoder": _OnTensors(("encoder_embeddings", "ids_restore"), ("patches",)),
    f"{_AUTOENCODER}.forward_encoder_representation": _OnTensors(("images",), ("embeddings",)),
    "ClassificationMAE.forward": _OnTensors(("images",), ("logits",)),
    "min_norm_solution": _OnArrays(("A", "y"), "beta"),
    "aliased_coefficients": _OnArrays(("c",), "beta"),
    "expected_test_error": _OnArrays(("c",), "error"),
    "expected_test_error_gradient": _OnArrays(("c",), "gradient"),
    "descend_feature_weights": _OnArrays(("c_init", "step_size", "n_iterations"), "trajectory"),
    "meta_update_classification": call_update,
    "test_classification": call_on_data,
    "test_oracle_classification": call_on_data,
    "test_zero_classification": call_on_data,
    "meta_learning_classification": call_run,
}
# Names of a function's outputs, where there are several, in the order in which they are returned.
SEVERAL_OUTPUTS = {
    "random_masking": ("kept", *_MASKS),
    f"{_AUTOENCODER}.forward_encoder": ("embeddings", *_MASKS),
}
