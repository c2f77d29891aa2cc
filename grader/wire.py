"""
The wire: the only thing that crosses the wall between student code and the trusted process.

A message is a kind, a small JSON object and named arrays. On the wire it is a fixed prefix, a JSON header of
bounded size and the arrays' raw bytes. Nothing is ever unpickled, and a receiver believes nothing before it
has checked it: the header's size before reading it, every dtype, shape and byte count before allocating for it.
"""

from __future__ import annotations

import json
import math
import select
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = dict[str, Array]

_MAGIC = b"GWIR"
_PREFIX = struct.Struct("<4sIQ")  # magic, header bytes, body bytes
_DTYPES = frozenset(
    ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]
)  # every one is copied as plain numbers; object, string and structured arrays cannot be named
_MAX_DIMENSIONS = 8
_MAX_NAME_LENGTH = 200
_TICK_S = 0.1
_PAUSE_S = 0.005


class WireError(Exception):
    """The bytes on the wire are not a message, or more than the receiver allows."""


@dataclass(frozen=True)
class Message:
    """One message: what kind, a JSON object, and named arrays."""

    kind: str
    meta: dict[str, Any] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Caps:
    """
    How much a receiver is ready to take.

    A size of 0 counts as 1 in what follows: an array of shape (2**30, 0) has no bytes, but whoever computes with it
    takes as much memory as its other sizes say.

    Args:
        header_bytes: of the JSON header.
        body_bytes: of all arrays together.
        arrays: how many there may be.
        elements: of all arrays together; None for no other bound than that of their bytes. Whoever computes in float64
            needs eight bytes for an element that came as one.
    """

    header_bytes: int = 256 * 1024
    body_bytes: int = 64 * 1024 * 1024
    arrays: int = 1024
    elements: int | None = None


# What the trusted process sends is limited by intake already; a worker takes whatever it is asked.
TRUSTING = Caps(header_bytes=64 * 1024 * 1024, body_bytes=256 * 1024 * 1024, arrays=100_000)


def send(
    connection: socket.socket,
    message: Message,
    *,
    deadline: float | None = None,
    tick: Callable[[], None] | None = None,
) -> None:
    """
    Write one message.

    Args:
        connection: a connected stream socket.
        message: its arrays may have any memory layout; they travel in C order.
        deadline: `time.monotonic()` value after which to give up; None waits for ever.
        tick: as for `receive`: a reader that does not read is busy with something else.

    Raises:
        WireError: an array has a dtype that may not travel.
        TimeoutError: the deadline passed.
        OSError: the other side is gone.
    """
    buffers = [_wire_array(name, array) for name, array in message.arrays.items()]
    described = [
        {"name": name, "dtype": array.dtype.name, "shape": list(np.shape(original))}
        for (name, original), array in zip(message.arrays.items(), buffers, strict=True)
    ]
    header = json.dumps({"kind": message.kind, "meta": message.meta, "arrays": described}, allow_nan=False).encode(
        "ascii"
    )
    prefix = _PREFIX.pack(_MAGIC, len(header), sum(array.nbytes for array in buffers))
    wait = _Wait(connection, deadline, tick, select.POLLOUT)
    _send_all(connection, prefix + header, wait)
    for array in buffers:
        if array.nbytes:
            _send_all(connection, array.reshape(-1).view(np.uint8).data, wait)


def receive(
    connection: socket.socket,
    caps: Caps,
    *,
    deadline: float | None = None,
    tick: Callable[[], None] | None = None,
) -> Message:
    """
    Read one message and check everything about it.

    Args:
        connection: a connected stream socket.
        caps: the most that is taken; more is refused before a byte of it is copied.
        deadline: `time.monotonic()` value after which to give up; None waits for ever.
        tick: called every tenth of a second while waiting; what it raises ends the wait. Needs a deadline.

    Raises:
        WireError: the bytes are no message, or exceed the caps.
        EOFError: the other side closed the connection.
        TimeoutError: the deadline passed.
    """
    wait = _Wait(connection, deadline, tick, select.POLLIN)
    prefix = _receive_exactly(connection, _PREFIX.size, wait)
    magic, header_size, body_size = _PREFIX.unpack(prefix)
    if magic != _MAGIC:
        raise WireError("the bytes do not begin like a message")
    if header_size > caps.header_bytes:
        raise WireError(f"a header of {header_size} bytes is over the cap of {caps.header_bytes}")
    if body_size > caps.body_bytes:
        raise WireError(f"a body of {body_size} bytes is over the cap of {caps.body_bytes}")
    kind, meta, described = _parse_header(bytes(_receive_exactly(connection, header_size, wait)), caps)
    layouts = [_parse_array(item) for item in described]
    if len({name for name, _, _ in layouts}) != len(layouts):
        raise WireError("two arrays have the same name")
    _refuse_over_caps(layouts, caps)
    if sum(dtype.itemsize * math.prod(shape) for _, dtype, shape in layouts) != body_size:
        raise WireError("the arrays' sizes do not add up to the body")
    arrays = {}
    for name, dtype, shape in layouts:
        data = _receive_exactly(connection, dtype.itemsize * math.prod(shape), wait)
        if dtype == np.bool_ and np.frombuffer(data, np.uint8).max(initial=0) > 1:
            raise WireError(f"array {name!r} is bool but holds a byte above 1")
        arrays[name] = np.frombuffer(data, dtype=dtype).reshape(shape)
    return Message(kind, meta, arrays)


def _wire_array(name: str, array: Array) -> Array:
    if array.dtype.name not in _DTYPES:
        raise WireError(f"array {name!r} has dtype {array.dtype}, which may not travel")
    return np.ascontiguousarray(array.astype(array.dtype.newbyteorder("<"), copy=False))


def _parse_header(header: bytes, caps: Caps) -> tuple[str, dict[str, Any], list[Any]]:
    try:
        content = json.loads(header.decode("ascii"), parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        raise WireError(f"the header is not JSON: {type(error).__name__}") from None
    if not isinstance(content, dict) or set(content) != {"kind", "meta", "arrays"}:
        raise WireError("the header does not have exactly kind, meta and arrays")
    kind, meta, described = content["kind"], content["meta"], content["arrays"]
    if not isinstance(kind, str) or not isinstance(meta, dict) or not isinstance(described, list):
        raise WireError("kind, meta or arrays has the wrong type")
    if len(described) > caps.arrays:
        raise WireError(f"{len(described)} arrays are over the cap of {caps.arrays}")
    return kind, meta, described


def _finite(text: str) -> float:
    """Read a number; 1e999, which Python takes for infinity, is refused together with Infinity and NaN."""
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text} is not a number of JSON")
    return value


def _parse_array(item: object) -> tuple[str, np.dtype[Any], tuple[int, ...]]:
    if not isinstance(item, dict) or set(item) != {"name", "dtype", "shape"}:
        raise WireError("an array is not described by exactly name, dtype and shape")
    name, dtype, shape = item["name"], item["dtype"], item["shape"]
    if not isinstance(name, str) or len(name) > _MAX_NAME_LENGTH:
        raise WireError("an array's name is not a short string")
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise WireError(f"array {name!r} has a dtype that may not travel")
    if not isinstance(shape, list) or len(shape) > _MAX_DIMENSIONS:
        raise WireError(f"array {name!r} has no usable shape")
    if any(type(size) is not int or not 0 <= size < 2**40 for size in shape):
        raise WireError(f"array {name!r} has a size that is not a small non-negative integer")
    return name, np.dtype(dtype).newbyteorder("<"), tuple(shape)


def cost_in_elements(shape: tuple[int, ...]) -> int:
    """Return how many elements an array counts for: sizes of 0 count as 1, so that no size is free."""
    return math.prod(max(1, size) for size in shape)


def _refuse_over_caps(layouts: list[tuple[str, np.dtype[Any], tuple[int, ...]]], caps: Caps) -> None:
    """Refuse arrays that are too large together; no single size can then be larger than the caps either."""
    elements = [cost_in_elements(shape) for _, _, shape in layouts]
    cost_bytes = sum(dtype.itemsize * count for (_, dtype, _), count in zip(layouts, elements, strict=True))
    if cost_bytes > caps.body_bytes:
        raise WireError(f"arrays whose shapes stand for {cost_bytes} bytes are over the cap of {caps.body_bytes}")
    if caps.elements is not None and sum(elements) > caps.elements:
        raise WireError(f"arrays of {sum(elements)} elements are over the cap of {caps.elements}")


def _send_all(connection: socket.socket, data: bytes | memoryview, wait: _Wait) -> None:
    view = memoryview(data)
    while view:
        wait()
        try:
            view = view[connection.send(view[: 1 << 20], wait.flags) :]
        except BlockingIOError:
            wait.pause()


def _receive_exactly(connection: socket.socket, size: int, wait: _Wait) -> bytearray:
    data = bytearray(size)
    view = memoryview(data)
    while view:
        wait()
        try:
            count = connection.recv_into(view, min(len(view), 1 << 20), wait.flags)
        except BlockingIOError:
            wait.pause()
            continue
        except ConnectionResetError:
            count = 0  # it closed with something of ours unread
        if count == 0:
            raise EOFError("the other side closed the connection")
        view = view[count:]
    return data


class _Wait:
    """
    Waits until a connection is ready, while the clock is watched; without a deadline the socket call may block.

    With one, the socket call must never block (`flags`): a blocking send waits for a reader that may never read,
    and out-of-band data makes a local socket look readable when there is nothing to read.
    """

    def __init__(
        self, connection: socket.socket, deadline: float | None, tick: Callable[[], None] | None, event: int
    ) -> None:
        self.flags = 0 if deadline is None else socket.MSG_DONTWAIT
        self._deadline = deadline
        self._tick = tick
        self._next_tick = time.monotonic() + _TICK_S
        self._poller = select.poll()
        self._poller.register(connection, event)

    def __call__(self) -> None:
        """Return when the socket says that it is ready."""
        if self._deadline is None:
            return
        while True:
            self._look_at_clock(self._deadline)
            left_s = self._deadline - time.monotonic()
            if self._poller.poll(max(min(left_s, _TICK_S), 0) * 1000):
                return

    def pause(self) -> None:
        """Wait a moment: the socket said that it was ready and was not."""
        time.sleep(_PAUSE_S)

    def _look_at_clock(self, deadline: float) -> None:
        now = time.monotonic()
        if now >= deadline:
            raise TimeoutError("the deadline passed")
        # By the clock, not by how long nothing came: a trickle of bytes must not keep the watch from looking.
        if self._tick is not None and now >= self._next_tick:
            self._next_tick = now + _TICK_S
            self._tick()
