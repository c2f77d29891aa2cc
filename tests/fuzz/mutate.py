"""Random inputs: bytes and text near to real ones, JSON of every kind, arrays of every dtype and shape."""

from __future__ import annotations

import json
from collections.abc import Sequence
from random import Random
from typing import Any

import numpy as np

from grader.wire import Array

# What parsers trip over: limits of integers, markers of zips, notebooks and messages, half encodings.
TOKENS = (
    b"\x00",
    b"\xff",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\x00\x00\x00\x80",
    b"PK\x03\x04",
    b"PK\x01\x02",
    b"PK\x05\x06",
    b"PK\x06\x06",
    b"GWIR",
    b"\xef\xbb\xbf",
    b"\xff\xfe",
    b"\\ud800",
    b"NaN",
    b"-1e999",
    b"1" * 5000,
    b"[" * 400,
    b'{"a":' * 300,
    b"null",
    b'"cell_type": "code"',
    b'"source": [1, null, "x"]',
    b"%%writefile a.py\n",
    b"!ls\n",
    b"%time ",
    b"?",
    b"def f(",
    b"class A(A): pass\n",
    b"(" * 300,
    b"'''",
    b"\t",
    b"\r",
    b"\x0c",
    b"global x\n",
    b"from a import *\n",
    b"\xe2\x80\xae",
    b"torch\nTensor\n",
    b"cos\nsystem\n",
)
_DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
_WORDS = ("", "a", "kind", "code", "name", "..", "/etc/passwd", "\ud800", "\u202e", "`<b>", "x" * 300, "](javascript:")


def mutated(random: Random, seeds: Sequence[bytes], *, most_edits: int = 8) -> bytes:
    """Return one of the seeds after some random edits; now and then, bytes near to none of them."""
    if random.random() < 0.05:
        return bytes(random.getrandbits(8) for _ in range(random.randint(0, 64)))
    data = bytearray(random.choice(seeds))
    for _ in range(random.randint(1, most_edits)):
        _edit(random, data, seeds)
    return bytes(data)


def _edit(random: Random, data: bytearray, seeds: Sequence[bytes]) -> None:
    first = random.randint(0, len(data))
    last = min(len(data), first + random.choice((0, 1, 2, 4, 16, 256)))
    kind = random.randint(0, 5)
    if kind == 0 and data:
        data[min(first, len(data) - 1)] ^= 1 << random.randint(0, 7)
    elif kind == 1:
        del data[first:last]
    elif kind == 2:
        data[first:last] = random.choice(TOKENS)
    elif kind == 3:
        data[first:first] = data[first:last] * random.randint(1, 8)
    elif kind == 4:
        other = random.choice(seeds)
        start = random.randint(0, len(other))
        data[first:last] = other[start : start + random.randint(0, 64)]
    else:
        del data[random.randint(first, len(data)) :]


def any_json(random: Random, *, depth: int = 3) -> Any:
    """Return some JSON value; the odd string is one of those that break words and markup."""
    kind = random.randint(0, 8 if depth else 5)
    if kind <= 1:
        return random.choice((None, True, False, 0, 1, -1, 2**31, 2**63, 10**30, 0.5, -1e300))
    if kind <= 5:
        return random.choice(_WORDS)
    if kind == 6:
        return [any_json(random, depth=depth - 1) for _ in range(random.randint(0, 3))]
    return {random.choice(_WORDS): any_json(random, depth=depth - 1) for _ in range(random.randint(0, 4))}


def damaged_json(random: Random, value: Any) -> Any:
    """Return a copy of a JSON value with one place in it replaced, removed or added to."""
    copy = json.loads(json.dumps(value))
    places: list[tuple[Any, Any]] = []
    _collect(copy, places)
    if not places:
        return any_json(random)
    holder, key = random.choice(places)
    action = random.randint(0, 3)
    if action == 0:
        del holder[key]
    elif action == 1 and isinstance(holder, dict):
        holder[random.choice(_WORDS)] = any_json(random)
    else:
        holder[key] = any_json(random)
    return copy


def _collect(value: Any, places: list[tuple[Any, Any]]) -> None:
    keys: Any = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        places.append((value, key))
        _collect(value[key], places)


def any_array(random: Random, like: Array | None = None) -> Array:
    """Return an array as the wire lets through, often in the shape of a right one, with any values."""
    dtype = np.dtype(random.choice(_DTYPES))
    if like is not None and random.random() < 0.6:
        shape: tuple[int, ...] = like.shape
        if random.random() < 0.3:
            dtype = like.dtype
    else:
        shape = tuple(random.choice((0, 1, 1, 2, 3, 5)) for _ in range(random.randint(0, 5)))
    generator = np.random.default_rng(random.getrandbits(32))
    size = int(np.prod(shape, dtype=np.int64))
    values = np.frombuffer(generator.bytes(size * dtype.itemsize), dtype=dtype if dtype != np.bool_ else np.uint8)
    array = (values % 2).astype(np.bool_) if dtype == np.bool_ else values.copy()
    if dtype.kind == "f" and size and random.random() < 0.5:
        array[:] = random.choice((np.nan, np.inf, -np.inf, 0.0, np.finfo(dtype).max, np.finfo(dtype).tiny))
    elif like is not None and shape == like.shape and random.random() < 0.3:
        with np.errstate(all="ignore"):
            array = like.reshape(-1).astype(dtype)
    return array.reshape(shape)
