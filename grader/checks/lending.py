"""
The trusted side of lent helpers: answer a worker's calls with the reference, forward and backward.

The worker is student code: it may send anything. Each helper states the sizes that it serves; what is larger, empty
or of another rank is refused before anything is computed, and only the helpers that the question lends are answered.
What one call can cost is bounded by these sizes (a model has the question's own settings, and indices have the shape of
what they index), and what all of them can cost by the allowance: each request is counted before it is looked into.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from grader.checks.exam import Allowance
from grader.checks.tensors import to_arrays, to_tensors
from grader.wire import Arrays, Message, cost_in_elements

Tensors = dict[str, torch.Tensor]
_DO_NOT_FIT = "the arguments do not fit the helper"


class RefusedError(Exception):
    """A call that is not answered; the text says why, in words of ours."""


@dataclass(frozen=True)
class Helper:
    """
    A helper that can be lent.

    Args:
        compute: its outputs from named inputs and the call's settings.
        largest: argument -> the most of each of its sizes; the least is 1, and the rank is that. Empty where `compute`
            itself refuses every other shape than those of the question.
        calls: so many are answered at most; None leaves it to the question's allowance.
        of_question: its settings are the question's, whatever the call says.
    """

    compute: Callable[[Tensors, Mapping[str, Any]], tuple[torch.Tensor, ...]]
    largest: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    calls: int | None = None
    of_question: bool = False

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
        helpers: all that can be lent, by the contract's names.
        settings: the question's.
        allowance: how much may be asked.
    """

    names: Collection[str]
    helpers: Mapping[str, Helper]
    settings: Mapping[str, Any] = field(default_factory=dict)
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
        except RefusedError as refusal:
            return Message("reply", {"refused": str(refusal)})
        except Exception:  # whoever chooses the arguments chooses what they make the reference raise
            return Message("reply", {"refused": _DO_NOT_FIT})

    def _count(self, request: Message) -> None:
        self._requests += 1
        # Each call may be followed by its gradients, and those be asked for once more.
        if self._requests > 3 * sum(map(self._most_calls, self.names)):
            raise RefusedError("there were too many calls")
        self._elements += _elements_of(request.arrays)
        self._image_elements += request.arrays["images"].size if "images" in request.arrays else 0
        if self._elements > self.allowance.elements or self._image_elements > self.allowance.image_elements:
            raise RefusedError("the arguments are too large")
        if "images" in request.arrays and len(request.arrays["images"]) > self.allowance.images:
            raise RefusedError("the images do not fit the model")

    def _most_calls(self, name: str) -> int:
        return self.helpers[name].calls or self.allowance.calls

    def _forward(self, request: Message) -> Message:
        name = request.meta["name"]
        self._calls[name] += 1
        if name not in self.names or self._calls[name] > self._most_calls(name):
            raise RefusedError("this helper is not lent here, or was called too often")
        helper = self.helpers[name]
        if not helper.serves(request.arrays):
            raise RefusedError(_DO_NOT_FIT)
        inputs = to_tensors(request.arrays)
        for tensor in inputs.values():
            tensor.requires_grad_(tensor.is_floating_point())
        outputs = helper.compute(inputs, self.settings if helper.of_question else request.meta["settings"])
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


def refuse_unless(fits: bool) -> None:
    """
    Refuse a call whose arguments do not fit the helper.

    Raises:
        RefusedError: they do not.
    """
    if not fits:
        raise RefusedError(_DO_NOT_FIT)
