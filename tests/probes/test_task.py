"""The probing task: what it sends home for one request, and how it tells what student code raised."""

from __future__ import annotations

import argparse
import ast
import io
import os
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from grader import wire
from grader.probes.saved import load_outputs
from grader.probes.task import ANSWER, FAILURE, probe
from homework.homework import HOMEWORK


@pytest.fixture
def connection() -> Iterator[socket.socket]:
    """Return a connection that nobody answers on."""
    near, far = socket.socketpair()
    with near, far:
        yield near


@pytest.fixture(autouse=True)
def _clean_imports() -> Iterator[None]:
    """Take student code's finders out of the import system again."""
    finders = list(sys.meta_path)
    yield
    sys.meta_path[:] = finders


def ask(source: str, connection: socket.socket, *, probe_name: str = "patchify", **meta: Any) -> wire.Message:
    """Probe some source with two cases of images, one of which wants a gradient."""
    steps = [[0, index] for index in range(len(ast.parse(source).body))]
    code = {"cells": [["nb, code cell 1", source]], "statements": steps, "modules": {}}
    images = np.arange(24, dtype=np.float32).reshape(2, 3, 2, 2)
    arrays = {"0/images": images, "1/images": images, "1/cotangent/patches": np.full((2, 3, 2, 2), 3, np.float32)}
    request = {
        "probe": probe_name,
        "code": code,
        "given": {"cells": [], "statements": [], "modules": {}},
        "given_names": [],
        "lent": [],
        "settings": {},
        "device": "cpu",
        "memory_mib": 256,
        "cases": [1, 2],
    }
    return probe(HOMEWORK.probes(), wire.Message("probe", {**request, **meta}, arrays), connection)


def test_outputs_arguments_and_gradients_come_home(connection: socket.socket) -> None:
    """For each case: the output, the arguments after the call, and gradients where a cotangent asks for them."""
    message = ask("def patchify(images): return images * 2", connection)

    assert message.kind == ANSWER
    assert sorted(message.arrays) == [
        "0/after/images",
        "0/patches",
        "1/after/images",
        "1/gradient/images",
        "1/patches",
    ]
    np.testing.assert_array_equal(message.arrays["1/patches"], message.arrays["1/after/images"] * 2)
    assert (message.arrays["1/gradient/images"] == 6).all()


@pytest.mark.parametrize(
    "body", ["images.detach()", "images.detach() * 2", "torch.tensor(images.tolist())", "images[:1]"]
)
def test_a_gradient_that_does_not_exist_is_not_sent(connection: socket.socket, body: str) -> None:
    """A cut graph, or an output of another shape, sends no gradient instead of failing."""
    message = ask(f"import torch\ndef patchify(images): return {body}", connection)

    assert message.kind == ANSWER
    assert "1/gradient/images" not in message.arrays


def test_a_change_in_place_is_seen_in_the_arguments(connection: socket.socket) -> None:
    """The arguments are sent as they are after the call."""
    message = ask("def patchify(images):\n    images.data.zero_()\n    return images", connection)

    assert not message.arrays["0/after/images"].any()


def test_each_case_has_its_own_seed(connection: socket.socket) -> None:
    """Random numbers of torch, numpy and Python depend on the case only."""
    source = (
        "import random, numpy as np, torch\n"
        "def patchify(images): return torch.rand(1) + float(np.random.rand()) + random.random()"
    )
    first, second = ask(source, connection), ask(source, connection)

    assert first.arrays["0/patches"] == second.arrays["0/patches"]
    assert first.arrays["0/patches"] != first.arrays["1/patches"]


@pytest.mark.parametrize(
    ("source", "facts"),
    [
        ("def patchify(images): raise SystemExit", {"kind": "exception", "type": "SystemExit"}),
        ("def patchify(images): raise NotImplementedError", {"kind": "not-implemented"}),
        ("def patchify(images): pass", {"kind": "value", "problem": "nothing-returned", "facts": {"type": "NoneType"}}),
        ("def patchify(images): return [images]", {"kind": "value", "facts": {"type": "list"}}),
        ("x = 1", {"kind": "missing", "name": "patchify"}),
        ("patchify = 1 / 0", {"kind": "missing", "name": "patchify"}),
        ("def patchify(): pass", {"kind": "exception", "type": "TypeError"}),
        ("import missing_one\ndef patchify(x): return missing_one.f(x)", {"type": "ModuleNotFoundError"}),
    ],
)
def test_failures_are_answers(connection: socket.socket, source: str, facts: dict[str, str]) -> None:
    """Whatever student code raises, or gives back in place of a value, becomes a message with the facts."""
    message = ask(source, connection)

    assert message.kind == FAILURE
    assert facts.items() <= message.meta.items()


@pytest.mark.parametrize(
    "raised", ["MemoryError", 'RuntimeError("DefaultCPUAllocator: can\'t allocate memory: you tried")']
)
def test_running_out_of_memory_is_not_a_failure_of_the_code(connection: socket.socket, raised: str) -> None:
    """Python's and torch's way to say it both reach the sandbox as MemoryError."""
    with pytest.raises(MemoryError):
        ask(f"def patchify(images): raise {raised}", connection)


def test_an_exception_that_cannot_be_shown_is_still_told(connection: socket.socket) -> None:
    """An exception whose text raises costs its text only."""
    source = "class E(Exception):\n    def __str__(self): raise self\ndef patchify(images): raise E"

    assert ask(source, connection).meta["type"] == "E"


def load(content: object, **options: Any) -> wire.Message:
    """Save something as a student does, and read it as a worker does."""
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return load_bytes(buffer.getvalue())


def load_bytes(data: bytes) -> wire.Message:
    """Read the bytes of a saved file."""
    near, far = socket.socketpair()
    with near, far:
        return load_outputs(wire.Message("load", {}, {"file": np.frombuffer(data, np.uint8)}), near)


def test_saved_outputs_come_home_by_key_and_part() -> None:
    """Tensors that want gradients, tuples, plain numbers and numpy's are all taken."""
    message = load(
        {
            "output": {
                "patchify": torch.ones(2, requires_grad=True),
                "random_masking": (torch.zeros(1), torch.ones(1, dtype=torch.bool)),
                "vit_acc": 0.7,
                "mae_linear_acc": np.float64(0.4),
                "mae_finetune_acc": torch.tensor(0.8),
            }
        }
    )

    assert message.kind == ANSWER
    assert sorted(message.arrays) == [
        "mae_finetune_acc/0",
        "mae_linear_acc/0",
        "patchify/0",
        "random_masking/0",
        "random_masking/1",
        "vit_acc/0",
    ]
    assert message.arrays["mae_linear_acc/0"] == 0.4


def test_arrays_of_numpy_are_taken_like_tensors() -> None:
    """Who saves `patches.numpy()` is compared like everybody else, in company of any kind."""
    message = load({"output": {"patchify": np.ones((2, 3)), "mask": np.array([True]), "config": argparse.Namespace()}})

    assert message.arrays["patchify/0"].tolist() == [[1.0] * 3] * 2
    assert message.arrays["mask/0"].tolist() == [True]
    assert message.meta["unusable"] == ["config"]


def test_outputs_without_their_wrapper_and_in_the_old_format_are_taken() -> None:
    """The inner dictionary alone will do, and so will a file of an old torch."""
    assert load({"vit_acc": 0.5}, _use_new_zipfile_serialization=False).arrays["vit_acc/0"] == 0.5


def test_a_tensor_that_claims_to_be_huge_costs_itself_only() -> None:
    """A few bytes expanded to 1e11 elements are not unrolled; the other keys are read."""
    message = load({"output": {"patchify": torch.zeros(1).expand(100_000_000_000), "vit_acc": 0.5}})

    assert message.meta["unusable"] == ["patchify"]
    assert list(message.arrays) == ["vit_acc/0"]


def test_values_of_other_kinds_are_named_as_unusable() -> None:
    """Text, nested lists and None are no outputs."""
    message = load({"output": {"a": "text", "b": [[1.0]], "c": None, "d": torch.zeros(1, device="meta"), 5: 1.0}})

    assert message.meta["unusable"] == ["a", "b", "c", "d"]
    assert not message.arrays


@pytest.mark.parametrize("content", [[1.0], torch.zeros(2), "text", {"output": [1]}])
def test_a_file_that_is_no_dictionary_fails(content: object) -> None:
    """The file has to be a dictionary of outputs."""
    assert load(content).kind == FAILURE


@pytest.mark.parametrize(
    "data",
    [b"", b"<html>sign in</html>", b"version https://git-lfs.github.com/spec/v1\n", b"PK\x03\x04", b'{"cells": []}'],
    ids=["empty", "web page", "pointer", "cut zip", "notebook"],
)
def test_a_file_of_another_kind_fails(data: bytes) -> None:
    """Whatever torch raises for it is a failure, not a crash."""
    assert load_bytes(data).kind == FAILURE


class Payload:
    """An object whose unpickling runs a command."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        """Say how to unpickle it: by making a folder."""
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("new_format", [True, False])
def test_code_in_a_saved_file_does_not_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, new_format: bool) -> None:
    """A pickle payload is refused, even where the environment asks torch to run it."""
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    message = load({"output": {"a": Payload(tmp_path / "ran")}}, _use_new_zipfile_serialization=new_format)

    assert message.kind == FAILURE
    assert not (tmp_path / "ran").exists()
