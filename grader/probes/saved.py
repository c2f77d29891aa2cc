"""Read the saved tensor files that a student handed in, in a worker, and send home plain arrays."""

from __future__ import annotations

import socket
from collections.abc import Mapping

import torch

from grader import wire
from grader.probes.checkpoint import MAX_ELEMENTS, Saved, Unreadable, named_tensors, problem_of, read_saved
from grader.probes.task import ANSWER, FAILURE
from grader.probes.values import Problem, UnusableValue, to_array
from grader.wire import Array

_MAX_KEYS = 200
_MAX_NAME = 100
# Under these keys the handed-out cell, and those of earlier years, keep what they save.
_OUTPUTS = ("output", "outputs")


def load_outputs(request: wire.Message, _: socket.socket) -> wire.Message:
    """
    Load autograder.pt and send its values: array "<key>/<index>", one for each part of a tuple.

    Meta has "unusable": keys whose values are no tensors, arrays or numbers, or too large. FAILURE has what
    `Unreadable` has.
    """
    try:
        saved = read_saved(request.arrays["file"].tobytes())
        outputs = _outputs(saved)
    except Unreadable as error:
        return wire.Message(FAILURE, error.meta)
    arrays: wire.Arrays = {}
    unusable = []
    for key in [key for key in outputs if isinstance(key, str) and len(key) <= _MAX_NAME][:_MAX_KEYS]:
        try:
            arrays.update({f"{key}/{index}": array for index, array in enumerate(_parts(outputs[key]))})
        except (UnusableValue, RuntimeError):
            unusable.append(key)
    return wire.Message(ANSWER, {"unusable": unusable}, arrays)


def _outputs(saved: Saved) -> Mapping[object, object]:
    content = saved.content
    if isinstance(content, Mapping):
        content = next((content[key] for key in _OUTPUTS if key in content), content)
    if not isinstance(content, Mapping) or (not content and saved.foreign):
        raise Unreadable(problem_of(saved.foreign) if saved.foreign else "content", saved.foreign)
    return content


def load_model(request: wire.Message, _: socket.socket) -> wire.Message:
    """Load mae_pretrained.pt and send its tensors by name; FAILURE has what `Unreadable` has."""
    return _parameters(request, only_floats=False)


def load_checkpoint(request: wire.Message, _: socket.socket) -> wire.Message:
    """Load a classifier and send its parameters by name; FAILURE has what `Unreadable` has."""
    return _parameters(request, only_floats=True)


def _parameters(request: wire.Message, *, only_floats: bool) -> wire.Message:
    try:
        tensors = named_tensors(read_saved(request.arrays["file"].tobytes()))
        chosen = {name: each for name, each in tensors.items() if each.is_floating_point() or not only_floats}
        return wire.Message(ANSWER, {}, {name: to_array("saved", tensor) for name, tensor in chosen.items()})
    except Unreadable as error:
        return wire.Message(FAILURE, error.meta)
    except (UnusableValue, RuntimeError):
        return wire.Message(FAILURE, Unreadable("content").meta)


def _parts(value: object) -> list[Array]:
    parts = list(value) if isinstance(value, (tuple, list)) else [value]
    for part in parts:
        if isinstance(part, torch.Tensor) and part.numel() > MAX_ELEMENTS:
            raise UnusableValue("tensor", Problem.TOO_LARGE, got=part.numel())
    return [to_array("saved", part) for part in parts]
