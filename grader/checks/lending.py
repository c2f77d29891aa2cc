"""
The trusted side of lent helpers: answer a worker's calls with the reference, forward and backward.

The worker is student code: it may send anything. Each helper states the sizes that it serves; what is larger, empty
or of another rank is refused before anything is computed, and only the helpers that the question lends are answered.
What one call can cost is bounded by these sizes (a model has the question's own settings, and indices have the shape of
what they index), and what all of them can cost by the allowance: each request is counted before it is looked into.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from grader.checks import metalearning_lending
from grader.checks.exam import Allowance
from grader.checks.tensors import to_arrays, to_tensors
from grader.wire import Arrays, Message, cost_in_elements
from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.masking import random_masking, restore_masked
from reference.vision.patches import patchify
from reference.vision.vit import Transformer

Tensors = dict[str, torch.Tensor]
_DO_NOT_FIT = "the arguments do not fit the helper"


class _RefusedError(Exception):
    """A call that is not answered."""


@dataclass(frozen=True)
class _Helper:
    """
    A helper that can be lent.

    Args:
        compute: its outputs from named inputs and the call's settings.
        largest: argument -> the most of each of its sizes; the least is 1, and the rank is that. Empty where `compute`
            itself refuses every other shape than those of the question.
    """

    compute: Callable[[Tensors, Mapping[str, Any]], tuple[torch.Tensor, ...]]
    largest: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    def serves(self, arrays: Arrays) -> bool:
        """Whether arguments have the sizes that are served."""
        return not self.largest or (
            set(arrays) == set(self.largest)
            and all(_is_within(arrays[name].shape, most) for name, most in self.largest.items())
        )


def _is_within(shape: tuple[int, ...], most: tuple[int, ...]) -> bool:
    return len(shape) == len(most) and all(1 <= size <= limit for size, limit in zip(shape, most, strict=True))


@dataclass(frozen=True)
class _Graph:
    """What is kept of a call until its gradients are asked for."""

    inputs: Tensors
    outputs: tuple[torch.Tensor, ...]
    elements: int


@dataclass
class Lending:
    """
    Answers lent calls of one worker.

    Args:
        names: the helpers that are lent.
        autoencoder: constructor arguments of the question's autoencoder, for a lent method of it.
        allowance: how much may be asked.
    """

    names: Collection[str]
    autoencoder: Mapping[str, Any] = field(default_factory=dict)
    allowance: Allowance = field(default_factory=Allowance)
    _graphs: dict[int, _Graph] = field(default_factory=dict)
    _calls: Counter[str] = field(default_factory=Counter)
    _requests: int = 0
    _elements: int = 0
    _image_elements: int = 0

    def answer(self, request: Message) -> Message:
        """Return the helper's outputs or gradients, or a refusal in words of ours."""
        try:
            self._count(request)
            if request.meta.get("step") == "forward":
                return self._forward(request)
            return self._backward(request)
        except _RefusedError as refusal:
            return Message("reply", {"refused": str(refusal)})
        except Exception:  # whoever chooses the arguments chooses what they make the reference raise
            return Message("reply", {"refused": _DO_NOT_FIT})

    def _count(self, request: Message) -> None:
        self._requests += 1
        # Each call may be followed by its gradients, and those be asked for once more.
        if self._requests > 3 * sum(map(self._most_calls, self.names)):
            raise _RefusedError("there were too many calls")
        self._elements += _elements_of(request.arrays)
        self._image_elements += request.arrays["images"].size if "images" in request.arrays else 0
        if self._elements > self.allowance.elements or self._image_elements > self.allowance.image_elements:
            raise _RefusedError("the arguments are too large")
        if "images" in request.arrays and len(request.arrays["images"]) > self.allowance.images:
            raise _RefusedError("the images do not fit the model")

    def _most_calls(self, name: str) -> int:
        return metalearning_lending.MAX_CALLS.get(name, self.allowance.calls)

    def _forward(self, request: Message) -> Message:
        name = request.meta["name"]
        self._calls[name] += 1
        if name not in self.names or self._calls[name] > self._most_calls(name):
            raise _RefusedError("this helper is not lent here, or was called too often")
        if not _HELPERS[name].serves(request.arrays):
            raise _RefusedError(_DO_NOT_FIT)
        inputs = to_tensors(request.arrays)
        for tensor in inputs.values():
            tensor.requires_grad_(tensor.is_floating_point())
        settings = self.autoencoder if name == _REPRESENTATION else request.meta["settings"]
        outputs = _HELPERS[name].compute(inputs, settings)
        call = self._requests - 1  # counted from 0
        self._keep(call, _Graph(inputs, outputs, _elements_of(request.arrays)))
        arrays = to_arrays({str(index): output for index, output in enumerate(outputs)})
        return Message("reply", {"call": call, "outputs": list(arrays)}, arrays)

    def _keep(self, call: int, graph: _Graph) -> None:
        """Keep a call's graph, and let the oldest go."""
        self._graphs[call] = graph
        while (
            len(self._graphs) > self.allowance.graphs
            or sum(each.elements for each in self._graphs.values()) > self.allowance.held_elements
        ):
            del self._graphs[min(self._graphs)]

    def _backward(self, request: Message) -> Message:
        graph = self._graphs[int(request.meta["call"])]
        inputs, outputs = graph.inputs, graph.outputs
        # A mask is a float too, so the worker sends a cotangent for it; it depends on no input.
        cotangents = {
            index: cotangent
            for index, cotangent in to_tensors(request.arrays).items()
            if outputs[int(index)].requires_grad
        }
        if not cotangents:
            return Message("reply")
        chosen = [outputs[int(index)] for index in cotangents]
        wanted = {name: tensor for name, tensor in inputs.items() if tensor.requires_grad}
        gradients = torch.autograd.grad(
            chosen, list(wanted.values()), list(cotangents.values()), allow_unused=True, retain_graph=True
        )
        found = {name: g for name, g in zip(wanted, gradients, strict=True) if g is not None}
        return Message("reply", {}, to_arrays(found))


def _elements_of(arrays: Arrays) -> int:
    return sum(cost_in_elements(array.shape) for array in arrays.values())


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
    encoder, decoder = _transformer(settings["encoder"]), _transformer(settings["decoder"])
    sizes = {key: value for key, value in settings.items() if key not in ("encoder", "decoder")}
    with torch.device("meta"):
        model = MaskedAutoEncoder(encoder, decoder, **sizes)
    state = {name.removeprefix("state/"): value for name, value in inputs.items() if name.startswith("state/")}
    if {name: tuple(value.shape) for name, value in model.named_parameters()} != {
        name: tuple(value.shape) for name, value in state.items()
    }:
        raise _RefusedError("the parameters do not fit the model")
    side = int(settings["patch_size"]) * int(settings["num_patches"])
    images = inputs["images"]
    # A smaller image would broadcast against the positions and cost far more than its own size.
    if images.dim() != 4 or tuple(images.shape[1:]) != (3, side, side):
        raise _RefusedError("the images do not fit the model")
    bound = _Representation(model)
    named = {f"model.{name}": value for name, value in state.items()}
    return (torch.func.functional_call(bound, named, (images,)),)


class _Representation(torch.nn.Module):
    """Makes forward_encoder_representation the forward pass, for functional_call."""

    def __init__(self, model: MaskedAutoEncoder) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model.forward_encoder_representation(images)


def _transformer(settings: Mapping[str, int]) -> Transformer:
    with torch.device("meta"):
        return Transformer(**settings)


def _refuse_unless_permutations(ids: torch.Tensor, shape: Sequence[int]) -> None:
    """
    Refuse ids that are not a permutation in each row.

    torch 2.13 does not check indices that take_along_dim broadcasts on a CPU: it was seen to read past the tensor,
    which would show a worker this process's memory.
    """
    if tuple(ids.shape) != tuple(shape) or not torch.equal(
        ids.sort(dim=1).values, torch.arange(shape[1]).expand(*shape)
    ):
        raise _RefusedError(_DO_NOT_FIT)


_REPRESENTATION = "MaskedAutoEncoder.forward_encoder_representation"
# Twice the sizes of the largest question, and batches of any that the allowance of images lets through.
_IMAGES = (256, 6, 64, 64)
_SEQUENCES = (256, 130, 512)
_HELPERS: dict[str, _Helper] = {
    "patchify": _Helper(_patchify, {"images": _IMAGES}),
    "random_masking": _Helper(_random_masking, {"x": _SEQUENCES, "ids_shuffle": _SEQUENCES[:2]}),
    "restore_masked": _Helper(
        _restore_masked, {"kept_x": _SEQUENCES, "masked_x": _SEQUENCES, "ids_restore": _SEQUENCES[:2]}
    ),
    _REPRESENTATION: _Helper(_representation),
    **{name: _Helper(compute) for name, compute in metalearning_lending.HELPERS.items()},
}
