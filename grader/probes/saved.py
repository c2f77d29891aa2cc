"""Read a saved tensor file that a student handed in, in a worker, and send home plain arrays."""

from __future__ import annotations

import io
import socket
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


def _parts(value: object) -> list[Array]:
    parts = list(value) if isinstance(value, (tuple, list)) else [value]
    for part in parts:
        if isinstance(part, torch.Tensor) and part.numel() > _MAX_ELEMENTS:
            raise UnusableValue("tensor", "a tensor of homework size expected", f"{part.numel()} elements")
    return [to_array("saved", part) for part in parts]
