"""
How the reference serves workers that borrow its vision functions.

Arguments come from student code. What a call can cost is bounded by their sizes: a model has the question's own
settings, and indices have the shape of what they index.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import nn

from grader.checks.lending import Helper, RefusedError, Tensors, refuse_unless
from homework.checks import metalearning_lending
from homework.checks.reference import REFERENCE
from homework.contract import AUTOENCODER
from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.masking import random_masking, restore_masked
from reference.vision.patches import patchify


def _patchify(inputs: Tensors, settings: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
    return (patchify(inputs["images"], int(settings["patch_size"])),)


def _random_masking(inputs: Tensors, settings: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
    x, ids_shuffle = inputs["x"], inputs["ids_shuffle"].long()
    _refuse_unless_permutations(ids_shuffle, x.shape[:2])
    return random_masking(x, int(settings["keep_length"]), ids_shuffle)


def _restore_masked(inputs: Tensors, settings: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
    kept_x, masked_x, ids_restore = inputs["kept_x"], inputs["masked_x"], inputs["ids_restore"].long()
    _refuse_unless_permutations(ids_restore, (len(kept_x), kept_x.shape[1] + masked_x.shape[1]))
    return (restore_masked(kept_x, masked_x, ids_restore),)


def _representation(inputs: Tensors, settings: Mapping[str, Any]) -> tuple[torch.Tensor, ...]:
    sizes = settings["mae"]
    with torch.device("meta"):
        model = cast(MaskedAutoEncoder, REFERENCE.construct(AUTOENCODER, sizes))
    state = {name.removeprefix("state/"): value for name, value in inputs.items() if name.startswith("state/")}
    if {name: tuple(value.shape) for name, value in model.named_parameters()} != {
        name: tuple(value.shape) for name, value in state.items()
    }:
        raise RefusedError("the parameters do not fit the model")
    side = int(sizes["patch_size"]) * int(sizes["num_patches"])
    images = inputs["images"]
    # A smaller image would broadcast against the positions and cost far more than its own size.
    if images.dim() != 4 or tuple(images.shape[1:]) != (3, side, side):
        raise RefusedError("the images do not fit the model")
    bound = _Representation(model)
    named = {f"model.{name}": value for name, value in state.items()}
    return (torch.func.functional_call(bound, named, (images,)),)


class _Representation(nn.Module):
    """Makes forward_encoder_representation the forward pass, for functional_call."""

    def __init__(self, model: MaskedAutoEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model.forward_encoder_representation(images)


def _refuse_unless_permutations(ids: torch.Tensor, shape: Sequence[int]) -> None:
    """
    Refuse ids that are not a permutation in each row.

    torch 2.13 does not check indices that take_along_dim broadcasts on a CPU: it was seen to read past the tensor,
    which would show a worker this process's memory.
    """
    fits = tuple(ids.shape) == tuple(shape)
    refuse_unless(fits and torch.equal(ids.sort(dim=1).values, torch.arange(shape[1]).expand(*shape)))


# Twice the sizes of the largest question, and batches of any that the allowance of images lets through.
_IMAGES = (256, 6, 64, 64)
_SEQUENCES = (256, 130, 512)
HELPERS: Mapping[str, Helper] = {
    "patchify": Helper(_patchify, {"images": _IMAGES}),
    "random_masking": Helper(_random_masking, {"x": _SEQUENCES, "ids_shuffle": _SEQUENCES[:2]}),
    "restore_masked": Helper(
        _restore_masked, {"kept_x": _SEQUENCES, "masked_x": _SEQUENCES, "ids_restore": _SEQUENCES[:2]}
    ),
    "MaskedAutoEncoder.forward_encoder_representation": Helper(_representation, of_question=True),
    **metalearning_lending.HELPERS,
}
