"""
The one loader of saved files: torch's two formats and safetensors, read in a worker without running anything of them.

Torch's own restricted reader does the work. What numpy saves is given to it as harmless. Every other class or function
that the file names (a configuration, a path, an optimizer, a random state) becomes an empty dictionary, whatever it
would have been: nothing of it is imported or called. So tensors come out whatever company they are in, and a file
whose tensors cannot be found can say what it names instead.
"""

from __future__ import annotations

import io
import json
import re
import struct
import warnings
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

MAX_TENSORS = 400  # the homework's autoencoder has 82
MAX_ELEMENTS = 16_000_000  # the largest model of the homework has 4 million parameters
_MAX_NAME = 150
_MAX_SHOWN = 5
_MAX_FOREIGN = 200
_DEPTH = 4
# Under these keys people keep the parameters when they save more than the model, the likeliest first.
_USUAL_KEYS = ("model", "state_dict", "model_state_dict", "net", "mae", "mae_state_dict", "weights", "module", "ema")
_NEVER = re.compile("optim|sched|scaler|rng", re.IGNORECASE)
# What DataParallel, torch.compile and wrappers put before each name.
_PREFIXES = ("module.", "_orig_mod.", "model.", "net.")
_REFUSED = re.compile(r"GLOBAL (\S+)")
_NUMPY_HOMES = ("numpy.core.multiarray", "numpy._core.multiarray")  # of numpy 1 and of numpy 2
_SAFETENSORS_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
_LENGTH = struct.Struct("<Q")
_MAX_HEADER = 2**24


@dataclass(frozen=True)
class Saved:
    """
    What a saved file holds.

    Args:
        content: plain containers, tensors, arrays and numbers.
        foreign: names of classes and functions in it that were not made; their places hold empty dictionaries.
    """

    content: object
    foreign: tuple[str, ...] = ()


class Unreadable(Exception):
    """
    A saved file cannot be used.

    Args:
        problem: "damaged" where it cannot be read, "pickle" where it names code ("module" if that is a whole module),
            "content" where it reads as something else than was asked for.
        names: the classes and functions that it names.
    """

    def __init__(self, problem: str, names: tuple[str, ...] = ()) -> None:
        super().__init__(problem)
        shown = list(dict.fromkeys(names))[:_MAX_SHOWN]
        self.meta = {"kind": "value", "problem": problem, "names": [name[:_MAX_NAME] for name in shown]}


class _Company:
    """Stands in for whatever class or function a file names; the unpickler may fill what comes of it as it likes."""

    def __new__(cls, *_: object) -> OrderedDict[Any, Any]:  # type: ignore[misc]  # no instance is ever made
        return OrderedDict()


class _List:
    """Stands in for what is filled like a list."""

    def __new__(cls, *_: object) -> list[Any]:  # type: ignore[misc]  # no instance is ever made
        return []


class _Stateful:
    """Stands in for numpy's generators, whose states are no dictionaries."""

    def __new__(cls, *_: object) -> _Stateful:
        return super().__new__(cls)

    def __setstate__(self, _: object) -> None:
        """Forget it."""


def _stand_in(name: str) -> tuple[type, str]:
    if name == "collections.deque":
        return _List, name
    return (_Stateful if name.startswith("numpy.random.") else _Company), name


def _numpy_globals() -> list[Any]:
    """Return what numpy's arrays and numbers are saved with, under the names of numpy 1 and 2."""
    scalar, rebuild = np.float64(0).__reduce__()[0], np.zeros(1).__reduce__()[0]
    dtypes = {type(np.dtype(code)) for code in "?bhilqBHILQefdgFDGSUVOMm"}
    named = [(scalar, f"{home}.scalar") for home in _NUMPY_HOMES]
    named += [(rebuild, f"{home}._reconstruct") for home in _NUMPY_HOMES]
    return [np.dtype, np.ndarray, *dtypes, *named, (_encoded, "_codecs.encode")]


def _encoded(text: str, encoding: str = "latin1") -> bytes:
    """Return the bytes that a pickle of protocol 2 keeps as text."""
    return text.encode("latin1" if encoding == "latin1" else "utf-8")


def read_saved(data: bytes) -> Saved:
    """
    Read a saved file; nothing that it names is imported or called.

    Raises:
        Unreadable: it is damaged, no saved file, or names what torch never reads.
    """
    if _is_safetensors(data):
        return Saved(_read_safetensors(data))
    foreign = _foreign_names(data)
    while len(foreign) <= _MAX_FOREIGN:
        try:
            return Saved(_load(data, foreign), tuple(foreign))
        except Exception as error:  # a damaged or forged file can fail in any way
            refused = _REFUSED.search(str(error))
            name = refused.group(1) if refused else None
            if name is None or name in foreign or "blocked" in str(error):
                raise _unreadable(foreign if name is None else [name, *foreign]) from None
            foreign += [name, f"builtins.{name}"] if "." not in name else [name]
    raise Unreadable("pickle", tuple(foreign))


def _foreign_names(data: bytes) -> list[str]:
    """Return the names in a file that torch would refuse; in a file of the old format they come out one by one."""
    try:
        with torch.serialization.safe_globals(_numpy_globals()):
            return sorted(torch.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(data)))
    except Exception:  # the old format, or no such file at all
        return []


def _load(data: bytes, foreign: list[str]) -> object:
    company = map(_stand_in, foreign)
    with torch.serialization.safe_globals([*_numpy_globals(), *company]), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of TorchScript and of old storages
        return torch.load(io.BytesIO(data), map_location="cpu", weights_only=True)


def _unreadable(names: list[str]) -> Unreadable:
    return Unreadable(problem_of(names) if names else "damaged", tuple(names))


def problem_of(names: list[str] | tuple[str, ...]) -> str:
    """Return whether what a file names is a whole module or other code."""
    is_module = any(name.startswith(("torch.nn.modules", "__main__.")) for name in names)
    return "module" if is_module else "pickle"


def named_tensors(saved: Saved) -> dict[str, torch.Tensor]:
    """
    Return the parameters in a saved file by name, wherever in it they lie and whatever was put before their names.

    Raises:
        Unreadable: there are none, or more than a model of the homework has.
    """
    found = _search(saved.content, _DEPTH)
    if not found:
        raise Unreadable(problem_of(saved.foreign) if saved.foreign else "content", saved.foreign)
    tensors = {name: torch.as_tensor(value) for name, value in found.items()}
    if len(tensors) > MAX_TENSORS or sum(each.numel() for each in tensors.values()) > MAX_ELEMENTS:
        raise Unreadable("content")
    return _without_prefixes(tensors)


def _search(content: object, depth: int) -> dict[str, Any]:
    """Return the state dict in nested dictionaries: under a usual key, here, or else the largest anywhere."""
    if not isinstance(content, Mapping) or depth == 0:
        return {}
    for key in _USUAL_KEYS:
        if found := _search(content.get(key), depth - 1):
            return found
    own = {name: value for name, value in content.items() if _is_parameter(name, value)}
    if own:
        return own
    return max((_search(inner, depth - 1) for inner in _others(content)), key=len, default={})


def _others(content: Mapping[Any, Any]) -> Iterator[object]:
    for key, value in content.items():
        if isinstance(key, str) and not _NEVER.search(key):
            yield value


def _is_parameter(name: object, value: object) -> bool:
    is_array = isinstance(value, torch.Tensor) or (isinstance(value, np.ndarray) and value.dtype.kind in "fiub")
    return is_array and isinstance(name, str) and len(name) <= _MAX_NAME


def _without_prefixes(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """Take off what was put before most of the names, in any order and number."""
    while prefix := next((each for each in _PREFIXES if 2 * _count(tensors, each) > len(tensors)), None):
        tensors = {name.removeprefix(prefix): value for name, value in tensors.items()}
    return tensors


def _count(tensors: Mapping[str, torch.Tensor], prefix: str) -> int:
    return sum(name.startswith(prefix) for name in tensors)


def _is_safetensors(data: bytes) -> bool:
    return len(data) > _LENGTH.size and data[_LENGTH.size : _LENGTH.size + 1] == b"{"


def _read_safetensors(data: bytes) -> dict[str, torch.Tensor]:
    """
    Read the format of safetensors: the header's length, a header in JSON, and the bytes of all tensors.

    Source: https://github.com/huggingface/safetensors, Format.
    """
    (length,) = _LENGTH.unpack(data[: _LENGTH.size])
    start = _LENGTH.size + length
    try:
        if not 2 <= length <= min(_MAX_HEADER, len(data) - _LENGTH.size):
            raise ValueError
        header = json.loads(data[_LENGTH.size : start])
        header.pop("__metadata__", None)
        if len(header) > MAX_TENSORS:
            raise Unreadable("content")
        return {name: _tensor(entry, memoryview(data)[start:]) for name, entry in header.items()}
    except (ValueError, KeyError, TypeError, AttributeError, RuntimeError, RecursionError):
        raise Unreadable("damaged") from None


def _tensor(entry: Mapping[str, Any], body: memoryview) -> torch.Tensor:
    dtype, shape = _SAFETENSORS_DTYPES[entry["dtype"]], [int(size) for size in entry["shape"]]
    begin, end = (int(offset) for offset in entry["data_offsets"])
    count = int(np.prod(shape, dtype=object)) if shape else 1
    if not 0 <= begin <= end <= len(body) or min(shape, default=1) < 0 or count * dtype.itemsize != end - begin:
        raise ValueError
    if count == 0:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(body[begin:end]), dtype=dtype).reshape(shape)
