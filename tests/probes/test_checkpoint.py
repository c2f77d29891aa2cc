"""The loader of saved files: tensors come out whatever company they are in, and nothing in a file runs."""

from __future__ import annotations

import argparse
import collections
import datetime
import io
import json
import os
import pathlib
import random
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from grader.probes.checkpoint import MAX_TENSORS, Unreadable, named_tensors, read_saved

STATE = {"weight": torch.arange(6.0).reshape(2, 3), "bias": torch.ones(2)}


def saved(content: object, **options: Any) -> bytes:
    """Return what torch saves."""
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


def safetensors(header: object, body: bytes = b"") -> bytes:
    """Return a file in the format of safetensors."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + body


class Config:
    """A class of the student's own."""

    def __init__(self) -> None:
        self.lr = 0.1


class Payload:
    """An object whose unpickling makes a folder."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        """Say how to unpickle it."""
        return os.mkdir, (str(self.path),)


def stepped_optimizer() -> torch.optim.Optimizer:
    """Return an optimizer with tensors in its state."""
    layer = nn.Linear(3, 2)
    layer(torch.ones(1, 3)).sum().backward()
    optimizer = torch.optim.AdamW(layer.parameters())
    optimizer.step()
    return optimizer


COMPANY: dict[str, Any] = {
    "bare": STATE,
    "a loss of numpy": {"model": STATE, "loss": np.float64(0.3)},
    "a number beside parameters": {**STATE, "loss": np.float32(0.3)},
    "arrays of numpy": {"model": STATE, "losses": np.zeros(3), "names": np.array(["a"])},
    "arguments": {"state_dict": STATE, "args": argparse.Namespace(lr=0.1, out=pathlib.Path("/x"))},
    "an optimizer's state": {"model_state_dict": STATE, "optimizer": stepped_optimizer().state_dict()},
    "an optimizer": {"net": STATE, "optim": stepped_optimizer()},
    "random states": {
        "weights": STATE,
        "python": random.getstate(),
        "numpy": np.random.get_state(),
        "torch_rng": torch.get_rng_state(),
        "generators": [np.random.default_rng(0), np.random.RandomState(1)],
    },
    "an own class": {"ema": {"module": STATE}, "config": Config()},
    "the standard library": {
        "net": STATE,
        "when": datetime.datetime(2026, 1, 1),
        "last": collections.deque([1, 2]),
        "set": {1, 2},
        "slice": slice(1, 2),
        "encode": json.dumps,
    },
    "another dictionary": collections.defaultdict(list, {"model": STATE}),
    "an unusual key": {"my_best_run": STATE, "log": {"loss": [1.0]}},
    "parameters": {name: nn.Parameter(value) for name, value in STATE.items()},
    "numpy for torch": {name: value.numpy() for name, value in STATE.items()},
    "DataParallel": {f"module.{name}": value for name, value in STATE.items()},
    "compiled and wrapped": {f"_orig_mod.model.{name}": value for name, value in STATE.items()},
}


@pytest.mark.parametrize("is_new", [True, False], ids=["zip", "old"])
@pytest.mark.parametrize("name", COMPANY)
def test_tensors_are_found_in_any_harmless_company(name: str, is_new: bool) -> None:
    """Under any usual key, with anything beside them, with any prefix, in both of torch's formats."""
    data = saved(COMPANY[name], _use_new_zipfile_serialization=is_new)

    found = named_tensors(read_saved(data))

    assert {key: value.tolist() for key, value in found.items()} == {k: v.tolist() for k, v in STATE.items()}


@pytest.mark.parametrize("is_new", [True, False], ids=["zip", "old"])
@pytest.mark.parametrize("beside", [True, False])
def test_a_payload_is_named_and_not_run(tmp_path: Path, is_new: bool, beside: bool) -> None:
    """A file that would run code is refused, also where good parameters are beside it."""
    content = {"model": STATE, "x": Payload(tmp_path / "ran")} if beside else Payload(tmp_path / "ran")

    with pytest.raises(Unreadable) as caught:
        named_tensors(read_saved(saved(content, _use_new_zipfile_serialization=is_new)))

    assert caught.value.meta["problem"] == "pickle"
    assert caught.value.meta["names"] == ["posix.mkdir"]
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("content", "problem", "names"),
    [
        (nn.Linear(3, 2), "module", ["torch.nn.modules.linear.Linear"]),
        ({"model": nn.Linear(3, 2)}, "module", ["torch.nn.modules.linear.Linear"]),
        (json.dumps, "pickle", ["json.dumps"]),
        ([1, 2], "content", []),
        ({"epoch": 3, "loss": np.float64(1)}, "content", []),
        ({str(number): torch.zeros(1) for number in range(MAX_TENSORS + 1)}, "content", []),
        ({"x": torch.zeros(1).expand(10**11)}, "content", []),
    ],
    ids=["module", "module within", "function", "list", "numbers", "many", "huge"],
)
def test_what_holds_no_parameters_says_what_it_holds(content: object, problem: str, names: list[str]) -> None:
    """A whole module, code, other values, too many or too large ones: each has its own word."""
    with pytest.raises(Unreadable) as caught:
        named_tensors(read_saved(saved(content)))

    assert (caught.value.meta["problem"], caught.value.meta["names"]) == (problem, names)


@pytest.mark.parametrize("data", [b"", b"<html>", b"PK\x03\x04", saved(STATE)[:-200], b"\x80\x02" + b"x" * 50])
def test_a_damaged_file_is_called_damaged(data: bytes) -> None:
    """Nothing else is claimed of it."""
    with pytest.raises(Unreadable) as caught:
        read_saved(data)

    assert caught.value.meta["problem"] == "damaged"


ENTRY = {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}


def test_safetensors_are_read() -> None:
    """Every dtype, empty and scalar tensors, and the metadata that other libraries add."""
    body = np.arange(6, dtype=np.float32).tobytes() + np.array([1.5], np.float16).tobytes()
    header = {
        "__metadata__": {"format": "pt"},
        "module.weight": ENTRY,
        "module.scale": {"dtype": "F16", "shape": [], "data_offsets": [24, 26]},
        "module.none": {"dtype": "I64", "shape": [0, 3], "data_offsets": [26, 26]},
    }

    found = named_tensors(read_saved(safetensors(header, body)))

    assert found["weight"].tolist() == STATE["weight"].tolist()
    assert found["scale"].item() == 1.5
    assert found["none"].shape == (0, 3)


@pytest.mark.parametrize(
    "data",
    [
        safetensors({"a": ENTRY}, bytes(23)),
        safetensors({"a": {**ENTRY, "data_offsets": [-24, 0]}}, bytes(24)),
        safetensors({"a": {**ENTRY, "shape": [-2, -3]}}, bytes(24)),
        safetensors({"a": {**ENTRY, "shape": [2**62, 2**62]}}, bytes(24)),
        safetensors({"a": {**ENTRY, "dtype": "F4"}}, bytes(24)),
        safetensors({"a": 7}),
        safetensors(b"{" * 50_000),
        safetensors(b"{}" + b" " * 9)[:12],
        b"\xff" * 8 + b"{}",
        struct.pack("<Q", 2**40) + b"{}",
    ],
    ids=["short", "before", "negative", "huge", "dtype", "number", "nested", "cut", "endless", "long"],
)
def test_forged_safetensors_are_damaged(data: bytes) -> None:
    """Offsets, shapes and lengths that do not fit the file are no tensors."""
    with pytest.raises(Unreadable) as caught:
        read_saved(data)

    assert caught.value.meta["problem"] == "damaged"
