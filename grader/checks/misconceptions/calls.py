"""How the contract's functions are called, and what their outputs are called, with a mistake in them or without."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from grader.checks.exam import Exam
from grader.checks.tensors import to_arrays, to_tensors
from grader.wire import Arrays
from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.classifier import ClassificationMAE
from reference.vision.vit import ClassificationViT, Transformer


@dataclass(frozen=True)
class _Signature:
    """
    Names of a function's arguments and outputs.

    Args:
        arguments: each is an input or a setting; one that is neither is left to its default.
        outputs: names of what is returned, in order.
        build: makes the module of a method from the settings.
    """

    arguments: tuple[str, ...]
    outputs: tuple[str, ...]
    build: Callable[[Mapping[str, Any]], nn.Module] | None = None


def build_module(function: str, exam: Exam) -> nn.Module | None:
    """Return the reference's module with the parameters of the exam; None for a plain function."""
    build = _SIGNATURES[function].build
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

    Args:
        name: the contract's name.
        function: what to call.
        module: what a method is called on; None for a plain function.
        inputs: arrays by argument.
        settings: arguments that are no arrays, and others.
    """
    signature = _SIGNATURES[name]
    given = {**settings, **to_tensors(inputs)}
    arguments = [given[argument] for argument in signature.arguments if argument in given]
    with torch.no_grad():
        returned = function(*arguments) if module is None else function(module, *arguments)
    outputs = returned if isinstance(returned, tuple) else (returned,)
    return to_arrays(dict(zip(signature.outputs, outputs, strict=True)))


def _build_vit(settings: Mapping[str, Any]) -> nn.Module:
    return ClassificationViT(**settings)


def _build_autoencoder(settings: Mapping[str, Any]) -> MaskedAutoEncoder:
    sizes = {key: value for key, value in settings.items() if key not in ("encoder", "decoder")}
    return MaskedAutoEncoder(Transformer(**settings["encoder"]), Transformer(**settings["decoder"]), **sizes)


def _build_classifier(settings: Mapping[str, Any]) -> nn.Module:
    sizes = {key: value for key, value in settings.items() if key != "mae"}
    return ClassificationMAE(mae=_build_autoencoder(settings["mae"]), **sizes)


_MASKS = ("mask", "ids_restore")
_SIGNATURES = {
    "patchify": _Signature(("images", "patch_size"), ("patches",)),
    "unpatchify": _Signature(("patches", "patch_size"), ("images",)),
    "random_masking": _Signature(("x", "keep_length", "ids_shuffle"), ("kept", *_MASKS)),
    "restore_masked": _Signature(("kept_x", "masked_x", "ids_restore"), ("x",)),
    "ClassificationViT.forward": _Signature(("images",), ("logits",), _build_vit),
    "MaskedAutoEncoder.forward_encoder": _Signature(
        ("images", "ids_shuffle"), ("embeddings", *_MASKS), _build_autoencoder
    ),
    "MaskedAutoEncoder.forward_decoder": _Signature(
        ("encoder_embeddings", "ids_restore"), ("patches",), _build_autoencoder
    ),
    "MaskedAutoEncoder.forward_encoder_representation": _Signature(("images",), ("embeddings",), _build_autoencoder),
    "ClassificationMAE.forward": _Signature(("images",), ("logits",), _build_classifier),
}
