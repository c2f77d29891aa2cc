"""Read a saved model that a student handed in, in a worker, and send home its parameters as plain arrays."""

from __future__ import annotations

import io
import socket
from collections.abc import Mapping

import torch

from grader import wire
from grader.probes import failures
from grader.probes.task import ANSWER, FAILURE
from grader.probes.values import UnusableValue, to_array

MAX_TENSORS = 400
MAX_ELEMENTS = 16_000_000  # the largest model of the homework has 4 million parameters
# Under these keys people keep the parameters when they save more than the model.
_NESTED = ("model", "state_dict", "model_state_dict", "net")


def load_checkpoint(request: wire.Message, _: socket.socket) -> wire.Message:
    """Load a state dict and send its tensors by their names."""
    try:
        content = torch.load(io.BytesIO(request.arrays["file"].tobytes()), map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged or forged file can fail in any way
        return wire.Message(FAILURE, failures.describe(error, frozenset()))
    for key in _NESTED:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    if not isinstance(content, Mapping):
        return wire.Message(FAILURE, {"kind": "value", "message": "not a dictionary"})
    tensors = {
        name: value
        for name, value in list(content.items())[:MAX_TENSORS]
        if isinstance(name, str) and len(name) <= 100 and isinstance(value, torch.Tensor) and value.is_floating_point()
    }
    if sum(value.numel() for value in tensors.values()) > MAX_ELEMENTS:
        return wire.Message(FAILURE, {"kind": "value", "message": "too large"})
    try:
        return wire.Message(ANSWER, {}, {name: to_array(name, value) for name, value in tensors.items()})
    except (UnusableValue, RuntimeError) as error:
        return wire.Message(FAILURE, failures.describe(error, frozenset()))
