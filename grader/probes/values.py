"""Turn what student code returned into plain arrays and honest descriptions."""

from __future__ import annotations

import enum
from typing import Any

import numpy as np
import torch

from grader.probes.absent import require_present
from grader.wire import Array

_MAX_TYPE_NAME = 60


class Problem(enum.Enum):
    """What is wrong with a value, and the facts that go with each kind; the feedback room has the words."""

    NOTHING_RETURNED = "nothing-returned"  # type
    NO_TUPLE = "no-tuple"  # expected: a count; type
    OTHER_COUNT = "other-count"  # expected, got: counts
    NO_TENSOR = "no-tensor"  # type
    NO_NUMBERS = "no-numbers"  # dtype
    NOT_REAL = "not-real"  # dtype
    NO_VALUES = "no-values"
    OTHER_SHAPE = "other-shape"  # expected, got: lists of sizes
    NO_PARAMETER = "no-parameter"  # parameter; expected: a list of sizes
    OTHER_PARAMETER = "other-parameter"  # parameter; expected, got: lists of sizes
    OTHER_PARAMETERS = "other-parameters"
    NEITHER_SHOWN_NOR_RETURNED = "neither-shown-nor-returned"
    TOO_LARGE = "too-large"  # got: a count of elements


Fact = str | int | list[int]


class UnusableValue(Exception):
    """A returned value is not what the contract asks for: of what kind that is, and the values that say how."""

    def __init__(self, name: str, problem: Problem, **facts: Fact) -> None:
        super().__init__(f"{name}: {problem.value} {facts}")
        self.name = name
        self.problem = problem
        self.facts = facts


def split(value: object, names: tuple[str, ...], *, where: str) -> dict[str, Any]:
    """
    Give the parts of a returned tuple their names.

    Args:
        value: what a function returned.
        names: the names of the parts; one name stands for the value itself.
        where: the function, for the problem's description.

    Raises:
        UnusableValue: the value is None, or has another number of parts.
        ModuleNotFoundError: the value comes out of a library that is not here.
    """
    require_present(value)
    if value is None or value is Ellipsis or value is NotImplemented:
        raise UnusableValue(where, Problem.NOTHING_RETURNED, type=type_name(value))
    if len(names) == 1:
        return {names[0]: value}
    if not issubclass(type(value), (tuple, list)):
        raise UnusableValue(where, Problem.NO_TUPLE, expected=len(names), type=type_name(value))
    parts = list(value)  # type: ignore[call-overload] # it is a tuple or a list
    if len(parts) != len(names):
        raise UnusableValue(where, Problem.OTHER_COUNT, expected=len(names), got=len(parts))
    return dict(zip(names, parts, strict=True))


def to_array(name: str, value: object) -> Array:
    """
    Copy a value to a plain array, past any method that a subclass may override.

    Raises:
        UnusableValue: the value is no tensor, array or number, or has no numbers (meta device, object dtype).
        ModuleNotFoundError: the value comes out of a library that is not here.
    """
    require_present(value)
    kind = type(value)
    if issubclass(kind, torch.Tensor):
        return _tensor_to_array(name, value)
    if issubclass(kind, (np.ndarray, np.generic, bool, int, float)):
        array = np.asarray(value)
        if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
            raise UnusableValue(name, Problem.NO_NUMBERS, dtype=str(array.dtype)[:_MAX_TYPE_NAME])
        return _travelling(array)
    raise UnusableValue(name, Problem.NO_TENSOR, type=type_name(value))


def type_name(value: object) -> str:
    """Return the name of a value's real type, short enough to show."""
    name = type.__getattribute__(type(value), "__name__")
    return name[:_MAX_TYPE_NAME] if isinstance(name, str) else "object"


def _tensor_to_array(name: str, value: Any) -> Array:
    with torch._C.DisableTorchFunctionSubclass(), torch.no_grad():
        tensor = torch.Tensor.detach(value)
        if torch.Tensor.layout.__get__(tensor) is not torch.strided:  # type: ignore[attr-defined] # a C descriptor
            tensor = torch.Tensor.to_dense(tensor)
        tensor = torch.Tensor.as_subclass(tensor, torch.Tensor)
        dtype = str(tensor.dtype).removeprefix("torch.")
        if tensor.device.type == "meta":
            raise UnusableValue(name, Problem.NO_VALUES)
        if tensor.is_complex() or tensor.is_quantized:
            raise UnusableValue(name, Problem.NOT_REAL, dtype=dtype)
        if tensor.dtype == torch.bfloat16:
            tensor = tensor.float()
        return _travelling(tensor.cpu().contiguous().numpy())


def _travelling(array: Array) -> Array:
    """Copy an array in a dtype that the wire knows: of the unsigned ones only bytes travel."""
    if array.dtype.kind == "u" and array.dtype.itemsize > 1:
        return array.astype(np.int64)
    return np.array(array)
