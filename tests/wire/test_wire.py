"""The wire carries every array unchanged, and refuses whatever is not a message."""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
import tracemalloc
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from grader.wire import Caps, Message, WireError, receive, send

DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, socket.socket]]:
    """Return two connected sockets that are closed after the test."""
    near, far = socket.socketpair()
    with near, far:
        yield near, far


def travel(pair: tuple[socket.socket, socket.socket], message: Message, caps: Caps | None = None) -> Message:
    """Send a message and return what arrives."""
    sender = threading.Thread(target=send, args=(pair[0], message))
    sender.start()
    try:
        return receive(pair[1], caps or Caps(), deadline=time.monotonic() + 2)
    finally:
        sender.join()


def frame(header: object, body: bytes = b"", *, magic: bytes = b"GWIR", body_size: int | None = None) -> bytes:
    """Return the bytes of a message with this header, however wrong."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<4sIQ", magic, len(text), len(body) if body_size is None else body_size) + text + body


def described(**changes: object) -> dict[str, Any]:
    """Return a right header of one float32 array of three elements, with changes to the array's description."""
    return {"kind": "k", "meta": {}, "arrays": [{"name": "x", "dtype": "float32", "shape": [3], **changes}]}


def receive_bytes(data: bytes, caps: Caps | None = None) -> Message:
    """Receive from a sender that writes these bytes and closes."""
    near, far = socket.socketpair()
    with near, far:
        near.sendall(data)
        near.close()
        return receive(far, caps or Caps(), deadline=time.monotonic() + 2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(), (0,), (3,), (2, 0, 4), (2, 3, 4), (1,) * 8], ids=str)
def test_every_dtype_and_shape_arrives_unchanged(
    pair: tuple[socket.socket, socket.socket], dtype: str, shape: tuple[int, ...]
) -> None:
    """An array arrives with its dtype, shape and values, empty and 0-d ones included."""
    array = (np.arange(int(np.prod(shape))) % 2).astype(dtype).reshape(shape)

    arrived = travel(pair, Message("k", {"a": [1, None, "ü"]}, {"x": array}))

    assert (arrived.kind, arrived.meta) == ("k", {"a": [1, None, "ü"]})
    assert arrived.arrays["x"].dtype == array.dtype
    assert arrived.arrays["x"].shape == shape
    np.testing.assert_array_equal(arrived.arrays["x"], array)


@pytest.mark.parametrize(
    "array",
    [
        np.arange(24.0).reshape(4, 6)[::2, ::-3],
        np.asfortranarray(np.arange(6).reshape(2, 3)),
        np.broadcast_to(np.float32(7), (3, 2)),
        np.arange(5, dtype=">f4"),
        np.array([np.nan, np.inf, -np.inf, -0.0]),
    ],
    ids=["strided", "fortran", "broadcast", "big-endian", "not-finite"],
)
def test_memory_layout_does_not_matter(pair: tuple[socket.socket, socket.socket], array: np.ndarray[Any, Any]) -> None:
    """Views, foreign byte orders and values that are not finite arrive as equal arrays in C order."""
    arrived = travel(pair, Message("k", {}, {"x": array})).arrays["x"]

    np.testing.assert_array_equal(arrived, array)
    assert arrived.flags.c_contiguous


def test_a_large_message_with_many_arrays_arrives(pair: tuple[socket.socket, socket.socket]) -> None:
    """Messages larger than the socket's buffer are sent and received in pieces."""
    arrays = {f"a{index}": np.full(200_000, index, dtype=np.float32) for index in range(5)}

    arrived = travel(pair, Message("k", {}, arrays))

    assert list(arrived.arrays) == list(arrays)
    assert all((arrived.arrays[name] == array).all() for name, array in arrays.items())


@pytest.mark.parametrize("dtype", ["object", "U3", "S3", "complex64", "datetime64[s]", "uint16", "uint64"])
def test_other_dtypes_are_not_sent(pair: tuple[socket.socket, socket.socket], dtype: str) -> None:
    """Objects, text, times and numbers that the table does not name are refused before a byte is written."""
    with pytest.raises(WireError, match=r"'x' has dtype .* may not travel"):
        send(pair[0], Message("k", {}, {"x": np.zeros(2, dtype=dtype)}))

    pair[1].setblocking(False)
    with pytest.raises(BlockingIOError):
        pair[1].recv(1)


REFUSED: dict[str, tuple[bytes, str]] = {
    "magic": (frame(described(), bytes(12), magic=b"GWIX"), "do not begin like a message"),
    "not json": (frame(b"{"), "not JSON: JSONDecodeError"),
    "not ascii": (frame('{"kind": "é"}'.encode()), "not JSON: UnicodeDecodeError"),
    "nested too deeply": (frame(b"[" * 100_000), "not JSON: RecursionError"),
    "NaN": (frame(b'{"kind": "k", "meta": {"x": NaN}, "arrays": []}'), "not JSON: ValueError"),
    "infinite by size": (frame(b'{"kind": "k", "meta": {"x": 1e999}, "arrays": []}'), "not JSON: ValueError"),
    "a list": (frame([]), "exactly kind, meta and arrays"),
    "another field": (frame({**described(), "more": 1}, bytes(12)), "exactly kind, meta and arrays"),
    "kind is a number": (frame({**described(), "kind": 1}, bytes(12)), "wrong type"),
    "meta is a list": (frame({**described(), "meta": []}, bytes(12)), "wrong type"),
    "array is a number": (frame({"kind": "k", "meta": {}, "arrays": [1]}), "exactly name, dtype and shape"),
    "name is a number": (frame(described(name=1), bytes(12)), "name is not a short string"),
    "name is long": (frame(described(name="x" * 201), bytes(12)), "name is not a short string"),
    "pickled objects": (frame(described(dtype="object"), bytes(12)), "dtype that may not travel"),
    "dtype is a list": (frame(described(dtype=["float32"]), bytes(12)), "dtype that may not travel"),
    "structured dtype": (frame(described(dtype="f4,f4"), bytes(12)), "dtype that may not travel"),
    "shape is a number": (frame(described(shape=3), bytes(12)), "no usable shape"),
    "nine dimensions": (frame(described(shape=[1] * 9), bytes(4)), "no usable shape"),
    "negative size": (frame(described(shape=[-3]), bytes(12)), "small non-negative integer"),
    "true for a size": (frame(described(shape=[True]), bytes(4)), "small non-negative integer"),
    "fraction of an element": (frame(described(shape=[1.5]), bytes(6)), "small non-negative integer"),
    "empty, but beyond any array": (frame(described(shape=[0, 2**39, 2**39])), "stand for .* over the cap"),
    "2**31 times nothing": (frame(described(shape=[2**31, 0])), "stand for 8589934592 bytes are over the cap"),
    "nothing times 2**28": (frame(described(dtype="bool", shape=[0, 2**28, 1])), "stand for 268435456 bytes"),
    "2**63": (frame(described(shape=[2**63, 0])), "small non-negative integer"),
    "a number of 4,300 digits": (frame(described(shape=[10**4000])), "small non-negative integer"),
    "body too short": (frame(described(), bytes(8)), "do not add up"),
    "body too long": (frame(described(), bytes(16)), "do not add up"),
    "bool of 2": (frame(described(dtype="bool"), b"\x00\x01\x02"), "bool but holds a byte above 1"),
    "same name twice": (frame({**described(), "arrays": described()["arrays"] * 2}, bytes(24)), "the same name"),
}


@pytest.mark.parametrize(("data", "reason"), REFUSED.values(), ids=REFUSED.keys())
def test_what_is_no_message_is_refused_with_the_reason(data: bytes, reason: str) -> None:
    """Every way to lie in a message is answered by a WireError that says which."""
    with pytest.raises(WireError, match=reason):
        receive_bytes(data)


@pytest.mark.parametrize(
    ("caps", "reason"),
    [
        (Caps(header_bytes=20), "a header of .* is over the cap of 20"),
        (Caps(body_bytes=11), "a body of 12 bytes is over the cap of 11"),
        (Caps(elements=2), "arrays of 3 elements are over the cap of 2"),
        (Caps(arrays=0), "1 arrays are over the cap of 0"),
    ],
    ids=["header", "body", "elements", "arrays"],
)
def test_caps_hold_to_the_byte(caps: Caps, reason: str) -> None:
    """One byte or array over a cap is refused; exactly the cap is taken."""
    data = frame(described(), bytes(12))

    with pytest.raises(WireError, match=reason):
        receive_bytes(data, caps)
    header_bytes = len(data) - 16 - 12
    exactly = Caps(header_bytes=header_bytes, body_bytes=12, arrays=1, elements=3)
    assert receive_bytes(data, exactly).arrays["x"].size == 3


@pytest.mark.parametrize("shape", [[3, 0], [0, 3], [3, 0, 1]])
def test_an_empty_array_counts_by_its_other_sizes(shape: list[int]) -> None:
    """Three elements are counted for (3, 0), as bytes and as elements; what the caps hold arrives with its shape."""
    data = frame(described(shape=shape))

    assert receive_bytes(data, Caps(body_bytes=12, elements=3)).arrays["x"].shape == tuple(shape)
    for caps, reason in ((Caps(body_bytes=11), "stand for 12 bytes"), (Caps(elements=2), "of 3 elements")):
        with pytest.raises(WireError, match=reason):
            receive_bytes(data, caps)


def test_many_empty_arrays_are_counted_together() -> None:
    """Each of two is within the cap, and both are not."""
    arrays = [{"name": name, "dtype": "bool", "shape": [2**20, 0]} for name in ("x", "y")]
    data = frame({"kind": "k", "meta": {}, "arrays": arrays})

    with pytest.raises(WireError, match="stand for 2097152 bytes are over the cap of 2097151"):
        receive_bytes(data, Caps(body_bytes=2**21 - 1))


def test_a_claimed_size_is_checked_before_memory_is_taken() -> None:
    """A prefix that announces 4 GiB of header or 2**60 bytes of body costs no memory."""
    tracemalloc.start()
    for prefix in (struct.pack("<4sIQ", b"GWIR", 2**32 - 1, 0), struct.pack("<4sIQ", b"GWIR", 2, 2**60)):
        with pytest.raises(WireError, match="over the cap"):
            receive_bytes(prefix)
    with pytest.raises(WireError, match="over the cap"):
        receive_bytes(frame(described(shape=[2**30]), bytes(12)))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert peak < 1 << 20


@pytest.mark.parametrize("length", [0, 3, 15, 16, 30, -1])
def test_a_sender_that_goes_away_is_an_end_of_file(length: int) -> None:
    """Closing before or within a message raises EOFError, never a half message."""
    with pytest.raises(EOFError):
        receive_bytes(frame(described(), bytes(12))[:length])


def test_a_sender_that_leaves_something_unread_is_an_end_of_file(pair: tuple[socket.socket, socket.socket]) -> None:
    """The kernel's "connection reset" is an end of file like any other."""
    pair[1].sendall(b"unread")
    pair[0].close()

    with pytest.raises(EOFError):
        receive(pair[1], Caps(), deadline=time.monotonic() + 1)


@pytest.mark.parametrize("begun", [b"", frame(described(), bytes(12))[:20]], ids=["silent", "stuck"])
def test_the_deadline_ends_a_wait(pair: tuple[socket.socket, socket.socket], begun: bytes) -> None:
    """A sender that says nothing, or stops in the middle, is waited for until the deadline and no longer."""
    pair[0].sendall(begun)
    began = time.monotonic()

    with pytest.raises(TimeoutError):
        receive(pair[1], Caps(), deadline=began + 0.15)
    assert 0.14 < time.monotonic() - began < 1


def test_a_sender_that_drips_does_not_move_the_deadline(pair: tuple[socket.socket, socket.socket]) -> None:
    """Bytes that arrive one by one do not buy time."""
    stop = threading.Event()

    def drip() -> None:
        for byte in frame(described(), bytes(12)):
            if stop.wait(0.02):
                return
            pair[0].sendall(bytes([byte]))

    thread = threading.Thread(target=drip)
    thread.start()
    with pytest.raises(TimeoutError):
        receive(pair[1], Caps(), deadline=time.monotonic() + 0.2)
    stop.set()
    thread.join()


def test_a_reader_that_never_reads_does_not_hold_the_sender(pair: tuple[socket.socket, socket.socket]) -> None:
    """Sending ends at the deadline too."""
    with pytest.raises(TimeoutError):
        send(pair[0], Message("k", {}, {"x": np.zeros(4_000_000)}), deadline=time.monotonic() + 0.15)


def test_the_tick_is_called_while_waiting_and_may_end_the_wait(pair: tuple[socket.socket, socket.socket]) -> None:
    """What a tick raises reaches the caller; that is how the sandbox watches disk and memory."""
    ticks: list[float] = []

    def tick() -> None:
        ticks.append(time.monotonic())
        if len(ticks) == 2:
            raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        receive(pair[1], Caps(), deadline=time.monotonic() + 2, tick=tick)
    assert 0.05 < ticks[1] - ticks[0] < 0.5


def answer_to(data: bytes) -> Message | type[Exception]:
    """Return the message that the bytes are, or how they were refused."""
    try:
        return receive_bytes(data, Caps(header_bytes=4096, body_bytes=4096, arrays=8))
    except (WireError, EOFError, TimeoutError) as error:
        return type(error)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
sizes = st.integers(-2, 2**41) | st.integers(0, 4)
near_arrays = st.fixed_dictionaries(
    {
        "name": st.text(max_size=3) | json_values,
        "dtype": st.sampled_from([*DTYPES, "object", "V8", "complex64"]) | json_values,
        "shape": st.lists(sizes, max_size=9) | json_values,
    }
)
near_headers = st.fixed_dictionaries(
    {"kind": st.text(max_size=3) | json_values, "meta": json_values, "arrays": st.lists(near_arrays, max_size=3)}
)


@settings(max_examples=300, deadline=None)
@given(data=st.binary(max_size=200))
def test_random_bytes_are_refused_and_nothing_else(data: bytes) -> None:
    """No bytes raise anything but WireError, EOFError or TimeoutError."""
    answer_to(data)
    answer_to(struct.pack("<4sIQ", b"GWIR", len(data), 0) + data)


@settings(max_examples=200, deadline=None)
@given(header=near_headers, body=st.binary(max_size=64))
def test_headers_that_are_nearly_right_are_refused_and_nothing_else(header: dict[str, Any], body: bytes) -> None:
    """Headers of the right form with any content are taken or refused, and never break the receiver."""
    answer_to(frame(header, body))


@settings(max_examples=300, deadline=None)
@given(position=st.integers(0, 200), byte=st.integers(0, 255))
def test_one_flipped_byte_never_breaks_the_receiver(position: int, byte: int) -> None:
    """A right message with one wrong byte is taken or refused."""
    data = bytearray(frame(described(), bytes(12)))
    data[position % len(data)] = byte

    answer_to(bytes(data))
