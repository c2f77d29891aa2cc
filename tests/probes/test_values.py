"""Values come home as plain arrays, past everything that a lying class can override."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from grader.probes.failures import describe
from grader.probes.parameters import load_parameters
from grader.probes.student import MissingName
from grader.probes.values import UnusableValue, split, to_array, type_name


class LyingTensor(torch.Tensor):
    """A tensor that claims to be whatever it is compared with."""

    @classmethod
    def __torch_function__(cls, *_: object, **__: object) -> Any:
        """Answer every operation of torch with a one."""
        return torch.ones(2)

    def detach(self) -> Any:
        """Return something else."""
        return torch.ones(2)

    cpu = numpy = contiguous = detach  # type: ignore[assignment] # lies


class LyingArray(np.ndarray[Any, np.dtype[Any]]):
    """An array that converts itself to something else."""

    def __array__(self, *_: object, **__: object) -> Any:
        """Return something else."""
        return np.ones(2)


class Duck:
    """Something that says it is a tensor."""

    __class__ = torch.Tensor  # type: ignore[assignment] # a lie


@pytest.mark.parametrize(
    ("value", "right"),
    [
        (torch.tensor([1.5, 2.0]), np.array([1.5, 2.0], dtype=np.float32)),
        (torch.tensor([1.5], requires_grad=True) * 2, np.array([3.0], dtype=np.float32)),
        (nn.Parameter(torch.zeros(2)), np.zeros(2, dtype=np.float32)),
        (torch.tensor([1.5, 2.0], dtype=torch.bfloat16), np.array([1.5, 2.0], dtype=np.float32)),
        (torch.tensor([True, False]), np.array([True, False])),
        (torch.tensor([1, 300], dtype=torch.uint16), np.array([1, 300], dtype=np.int64)),
        (torch.arange(6).reshape(2, 3).T, np.arange(6).reshape(2, 3).T),
        (torch.eye(2).to_sparse(), np.eye(2, dtype=np.float32)),
        (torch.zeros(3)[:0], np.zeros(0, dtype=np.float32)),
        (torch.tensor(7), np.array(7)),
        (torch.zeros(2).as_subclass(LyingTensor), np.zeros(2, dtype=np.float32)),
        (np.zeros(2).view(LyingArray), np.zeros(2)),
        (np.float64(0.5), np.array(0.5)),
        (np.array([1, 2], dtype=np.uint32), np.array([1, 2], dtype=np.int64)),
        (True, np.array(True)),
        (3, np.array(3)),
        (0.25, np.array(0.25)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_values_are_copied_as_they_are(value: object, right: np.ndarray[Any, np.dtype[Any]]) -> None:
    """Tensors of any layout, arrays and numbers become arrays of their own values, whatever their class says."""
    array = to_array("x", value)

    assert type(array) is np.ndarray
    assert array.dtype == right.dtype
    np.testing.assert_array_equal(array, right)


def test_a_copy_does_not_follow_its_source() -> None:
    """What student code does to its tensor afterwards changes nothing."""
    tensor, numbers = torch.zeros(2), np.zeros(2)
    copies = to_array("x", tensor), to_array("x", numbers)
    tensor += 1
    numbers += 1

    assert all((copy == 0).all() for copy in copies)


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "x: no-tensor {'type': 'NoneType'}"),
        ([1.0], "x: no-tensor {'type': 'list'}"),
        ("text", "x: no-tensor {'type': 'str'}"),
        (1j, "x: no-tensor {'type': 'complex'}"),
        (Duck(), "x: no-tensor {'type': 'Duck'}"),
        (torch.zeros(2, dtype=torch.complex64), "x: not-real {'dtype': 'complex64'}"),
        (torch.zeros(2, device="meta"), "x: no-values {}"),
        (np.array([object()]), "x: no-numbers {'dtype': 'object'}"),
        (np.array(["a"]), "x: no-numbers {'dtype': '<U1'}"),
        (10**30, "x: no-numbers {'dtype': 'object'}"),
        (np.zeros(2, dtype=np.longdouble), "x: no-numbers {'dtype': 'float128'}"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_has_no_numbers_is_named(value: object, message: str) -> None:
    """The error says what was expected and what came, by its real type."""
    with pytest.raises(UnusableValue) as caught:
        to_array("x", value)
    assert str(caught.value) == message


def test_parts_of_a_tuple_get_their_names() -> None:
    """Tuples and lists are the same; one name stands for the value itself, a tuple included."""
    assert split((1, 2), ("a", "b"), where="f") == {"a": 1, "b": 2}
    assert split([1, 2], ("a", "b"), where="f") == {"a": 1, "b": 2}
    assert split((1, 2), ("a",), where="f") == {"a": (1, 2)}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (None, "f: nothing-returned {'type': 'NoneType'}"),
        (..., "f: nothing-returned {'type': 'ellipsis'}"),
        (NotImplemented, "f: nothing-returned {'type': 'NotImplementedType'}"),
        ((1, 2, 3), "f: other-count {'expected': 2, 'got': 3}"),
        (torch.zeros(2), "f: no-tuple {'expected': 2, 'type': 'Tensor'}"),
        ({"a": 1, "b": 2}, "f: no-tuple {'expected': 2, 'type': 'dict'}"),
    ],
)
def test_another_number_of_parts_is_named(value: object, message: str) -> None:
    """What a stub leaves behind is told apart from a wrong number of values."""
    with pytest.raises(UnusableValue) as caught:
        split(value, ("a", "b"), where="f")
    assert str(caught.value) == message


def test_a_type_name_is_short() -> None:
    """Students can name a class as they like."""
    assert type_name(type("x" * 500, (), {})()) == "x" * 60


# Parameters.


class Renamed(nn.Module):
    """A module with other names than the template's."""

    def __init__(self) -> None:
        super().__init__()
        self.mine = nn.Parameter(torch.zeros(2, 3))
        self.other = nn.Parameter(torch.zeros(4))


STATE = {"weight": torch.ones(2, 3), "bias": torch.full((4,), 2.0)}


def test_parameters_are_loaded_by_name_and_added_ones_stay() -> None:
    """Names decide, whatever the order; what the student added keeps its value."""
    model = nn.Module()
    model.bias, model.extra, model.weight = (  # type: ignore[assignment] # torch types them as modules
        nn.Parameter(torch.zeros(4)),
        nn.Parameter(torch.full((1,), 5.0)),
        nn.Parameter(torch.zeros(2, 3)),
    )
    pairs = load_parameters(model, STATE)

    assert pairs["weight"] is model.weight
    assert torch.equal(pairs["bias"], STATE["bias"])
    assert model.extra.tolist() == [5.0]  # type: ignore[operator] # see above


def test_parameters_with_other_names_are_loaded_by_order() -> None:
    """A module with the same shapes in the same order was only renamed."""
    model = Renamed()
    pairs = load_parameters(model, STATE)

    assert pairs["weight"] is model.mine
    assert torch.equal(model.other, STATE["bias"])


def test_parameters_that_cannot_be_loaded_are_named() -> None:
    """A missing one, and one of another shape; nothing is changed then."""
    model = Renamed()
    with pytest.raises(UnusableValue, match=r"Renamed: no-parameter .*'scale', 'expected': \[1\]"):
        load_parameters(model, {"scale": torch.zeros(1)})
    with pytest.raises(UnusableValue, match=r"'mine', 'expected': \[3, 2\], 'got': \[2, 3\]"):
        load_parameters(model, {"mine": torch.ones(3, 2), "other": torch.ones(4)})
    assert not model.mine.any()


# Failures.


def raised_by(source: str) -> BaseException:
    """Return what a cell raises."""
    try:
        exec(compile(source, "nb.ipynb, code cell 3", "exec"), {"MissingName": MissingName})
    except BaseException as error:
        return error
    raise AssertionError


LABELS = frozenset({"nb.ipynb, code cell 3"})


def test_an_exception_is_described_by_facts() -> None:
    """Its type, its message and the frames in the student's code, none of ours."""
    facts = describe(raised_by("def f(x):\n    return x.shape\nf(None)"), LABELS)

    assert facts == {
        "type": "AttributeError",
        "message": "'NoneType' object has no attribute 'shape'",
        "where": [
            {"label": "nb.ipynb, code cell 3", "line": 3, "function": "<module>"},
            {"label": "nb.ipynb, code cell 3", "line": 2, "function": "f"},
        ],
        "kind": "exception",
    }


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        ("raise NotImplementedError", "not-implemented"),
        ("1 / 0", "exception"),
        ("raise SystemExit", "exception"),
        ("import torch\ntorch.nn.Module()(1)", "not-implemented"),
        ("import torch\ntorch.zeros(2, device='meta').tolist()", "exception"),
        ("import torch\ntorch.eye(2).to_sparse().storage()", "exception"),
        ("raise MissingName('f')", "missing"),
    ],
)
def test_kinds_of_failures(source: str, kind: str) -> None:
    """The kind decides how the failure is explained."""
    assert describe(raised_by(source), LABELS)["kind"] == kind


def test_a_name_error_carries_the_name() -> None:
    """So that the cell that makes it can be named."""
    assert describe(raised_by("torch_device"), LABELS)["name"] == "torch_device"


def test_a_missing_name_carries_why_its_definition_failed() -> None:
    """The cause is described like any exception."""
    facts = describe(
        raised_by("try:\n    1 / 0\nexcept ZeroDivisionError as e:\n    raise MissingName('f') from e"), LABELS
    )

    assert (facts["name"], facts["cause"]["type"]) == ("f", "ZeroDivisionError")


@pytest.mark.parametrize(
    "source",
    [
        "raise ValueError('x' * 10_000_000)",
        "raise ValueError('\\ud800')",
        "class E(Exception):\n    def __str__(self): return 1\nraise E",
        "class E(Exception):\n    def __str__(self): raise E\nraise E",
        "def f(): f()\nf()",
    ],
    ids=["long", "surrogate", "no text", "raising", "deep"],
)
def test_descriptions_stay_small_and_sendable(source: str) -> None:
    """No message or traceback is too long or cannot be encoded."""
    import json

    facts = describe(raised_by(source), LABELS)

    assert len(json.dumps(facts).encode()) < 4000
    assert len(facts["where"]) <= 6
