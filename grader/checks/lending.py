"""
The trusted side of lent helpers: answer a worker's calls with the reference, forward and backward.

The worker is student code: it may send anything. Arguments over the caps or that make no sense to the reference
are refused, and only the helpers that the question lends are answered. What one call can cost is bounded by its
arguments' sizes: a model has the question's own settings, and indices have the shape of what they index.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from grader.checks.exam import Allowance
from grader.checks.tensors import to_arrays, to_tensors
from grader.wire import Message

Tensors = dict[str, torch.Tensor]


class RefusedError(Exception):
    """A call that is not answered; the text says why, in words of ours."""


@dataclass(frozen=True)
class Helper:
    """
    How a right function serves the calls of workers that borrow it.

    Args:
        answer: returns its outputs for named inputs and settings, or refuses them.
        calls: so many are answered at most; None leaves it to the question's allowance.
        of_question: its settings are the question's, whatever the call says.
    """

    answer: Callable[[Tensors, Mapping[str, Any]], tuple[torch.Tensor, ...]]
    calls: int | None = None
    of_question: bool = False


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
    _graphs: dict[int, tuple[Tensors, tuple[torch.Tensor, ...]]] = field(default_factory=dict)
    _calls: Counter[str] = field(default_factory=Counter)
    _elements: int = 0
    _image_elements: int = 0

    def answer(self, request: Message) -> Message:
        """Return the helper's outputs or gradients, or a refusal in words of ours."""
        try:
            self._count(request)
            if request.meta.get("step") == "forward":
                return self._forward(request)
            return self._backward(request)
        except (
            RefusedError,
            RuntimeError,
            ValueError,
            TypeError,
            LookupError,
            ArithmeticError,
            AttributeError,
            AssertionError,
            MemoryError,
        ) as error:
            reason = str(error) if isinstance(error, RefusedError) else "the arguments do not fit the helper"
            return Message("reply", {"refused": reason})

    def _count(self, request: Message) -> None:
        self._elements += sum(array.size for array in request.arrays.values())
        self._image_elements += request.arrays["images"].size if "images" in request.arrays else 0
        if self._elements > self.allowance.elements or self._image_elements > self.allowance.image_elements:
            raise RefusedError("the arguments are too large")
        if "images" in request.arrays and len(request.arrays["images"]) > self.allowance.images:
            raise RefusedError("the images do not fit the model")

    def _forward(self, request: Message) -> Message:
        name = request.meta["name"]
        helper = self.helpers[name] if name in self.names else None
        if helper is None or self._calls[name] >= (helper.calls or self.allowance.calls):
            raise RefusedError("this helper is not lent here, or was called too often")
        inputs = to_tensors(request.arrays)
        for tensor in inputs.values():
            tensor.requires_grad_(tensor.is_floating_point())
        outputs = helper.answer(inputs, self.settings if helper.of_question else request.meta["settings"])
        call = self._calls.total()
        self._calls[name] += 1
        self._graphs[call] = (inputs, outputs)
        self._graphs.pop(call - self.allowance.graphs, None)
        arrays = to_arrays({str(index): output for index, output in enumerate(outputs)})
        return Message("reply", {"call": call, "outputs": list(arrays)}, arrays)

    def _backward(self, request: Message) -> Message:
        inputs, outputs = self._graphs[int(request.meta["call"])]
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


def refuse_unless(fits: bool) -> None:
    """
    Refuse a call whose arguments do not fit the helper.

    Raises:
        RefusedError: they do not.
    """
    if not fits:
        raise RefusedError("the arguments do not fit the helper")
