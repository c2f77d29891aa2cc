"""Read the saved tensor files that a student handed in, in a worker, and send home plain arrays."""

from __future__ import annotations

import io
import socket
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from grader import wire
from grader.probes import failures
from grader.probes.task import ANSWER, FAILURE
from grader.probes.values import UnusableValue, to_array
from grader.wire import Array

_MAX_ELEMENTS = 8_000_000  # an expanded tensor of a few bytes may claim to have 1e11
_MAX_KEYS = 200

_MAX_PARAMETERS = 400  # the homework's autoencoder has 82
_MAX_NAME = 150
# Dictionaries that people put around a state dict, under these keys.
_AROUND = ("model", "state_dict", "model_state_dict", "mae", "mae_state_dict", "weights")

# Accuracies are often numpy numbers; torch refuses even those unless it is told that they are harmless.
_NUMPY_SCALAR = np.float64(0).__reduce__()[0]
_NUMPY_GLOBALS: list[Any] = [
    np.dtype,
    np.ndarray,
    type(np.dtype(np.float64)),
    type(np.dtype(np.float32)),
    type(np.dtype(np.int64)),
    (_NUMPY_SCALAR, "numpy.core.multiarray.scalar"),  # numpy 1 saved it under this name
    (_NUMPY_SCALAR, "numpy._core.multiarray.scalar"),
]


def load_outputs(request: wire.Message, _: socket.socket) -> wire.Message:
    """
    Load autograder.pt and send its values: array "<key>/<index>", one for each part of a tuple.

    Meta has "unusable": keys whose values are no tensors or numbers, or too large.
    """
    try:
        with torch.serialization.safe_globals(_NUMPY_GLOBALS):
            content = torch.load(io.BytesIO(request.arrays["file"].tobytes()), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or forged file can fail in any way
        return wire.Message(FAILURE, failures.describe(error, frozenset()))
    outputs = content.get("output", content) if isinstance(content, dict) else None
    if not isinstance(outputs, dict):
        return wire.Message(FAILURE, {"kind": "value", "message": "not a dictionary"})
    arrays: wire.Arrays = {}
    unusable = []
    for key in [key for key in outputs if isinstance(key, str) and len(key) <= 100][:_MAX_KEYS]:
        try:
            arrays.update({f"{key}/{index}": array for index, array in enumerate(_parts(outputs[key]))})
        except (UnusableValue, RuntimeError):
            unusable.append(key)
    return wire.Message(ANSWER, {"unusable": unusable}, arrays)


def load_model(request: wire.Message, _: socket.socket) -> wire.Message:
    """
    Load mae_pretrained.pt and send its tensors by name.

    FAILURE has a "problem": "pickle" where the file holds more than tensors ("module" if that is a whole module),
    "damaged" where torch cannot read it, "content" where it reads as something else than named tensors.
    """
    data = request.arrays["file"].tobytes()
    try:
        content = torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)
    except Exception:  # a damaged or forged file can fail in any way
        return wire.Message(FAILURE, {"problem": _why_unreadable(data)})
    tensors = _state_dict(content)
    if tensors is None:
        return wire.Message(FAILURE, {"problem": "content"})
    try:
        return wire.Message(ANSWER, {}, {name: to_array("saved", tensor) for name, tensor in tensors.items()})
    except (UnusableValue, RuntimeError):
        return wire.Message(FAILURE, {"problem": "content"})


def _why_unreadable(data: bytes) -> str:
    """Look at the names that the file's pickle would import, without importing any."""
    try:
        names = torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(data))
    except Exception:  # the file is not even a checkpoint
        return "damaged"
    if any(name.startswith(("torch.nn.modules", "__main__.")) for name in names):
        return "module"
    return "pickle" if names else "damaged"


def _state_dict(content: object) -> dict[str, torch.Tensor] | None:
    """Return the named tensors of a state dict, or of one that lies in a dictionary; None if there are none."""
    for _ in range(3):
        if not isinstance(content, Mapping):
            return None
        inner = next((content[key] for key in _AROUND if isinstance(content.get(key), Mapping)), None)
        if inner is None:
            break
        content = inner
    assert isinstance(content, Mapping)
    tensors = {name: value for name, value in content.items() if isinstance(value, torch.Tensor)}
    if not tensors or len(tensors) > _MAX_PARAMETERS or sum(each.numel() for each in tensors.values()) > _MAX_ELEMENTS:
        return None
    if not all(isinstance(name, str) and len(name) <= _MAX_NAME for name in tensors):
        return None
    return tensors


def _parts(value: object) -> list[Array]:
    parts = list(value) if isinstance(value, (tuple, list)) else [value]
    for part in parts:
        if isinstance(part, torch.Tensor) and part.numel() > _MAX_ELEMENTS:
            raise UnusableValue("tensor", "a tensor of homework size expected", f"{part.numel()} elements")
    return [to_array("saved", part) for part in parts]
