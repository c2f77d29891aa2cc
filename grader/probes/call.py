"""The probe of every function that only has to be called with its arguments, and the ways to call that others share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from grader.contract import Class, Function
from grader.probes.absent import Absent
from grader.probes.case import Case, Result
from grader.probes.parameters import load_parameters
from grader.probes.student import MissingName, Student
from grader.probes.values import split
from grader.wire import Array


def call(function: Function, case: Case) -> Result:
    """
    Call a function of the contract with those of its arguments that the case has.

    A method is called on an object with the case's parameters, a function of arrays in NumPy.
    """
    if function.arrays == "numpy":
        return _call_on_arrays(function, case)
    asked, parameters = _callable(function, case)
    given = {**case.settings, **case.inputs}
    value = asked(*(given[name] for name in function.takes if name in given))
    return Result(split(value, function.outputs, where=function.name), parameters)


def _callable(function: Function, case: Case) -> tuple[Callable[..., Any], dict[str, nn.Parameter]]:
    """Return what is to be called, and the parameters of the object that it is a method of."""
    if function.built_as is None:
        return case.student.get(function.name), {}
    module, parameters = build_once(function.built_as, case)
    return module if function.method == "forward" else getattr(module, function.method), parameters


def build_once(kind: Class, case: Case) -> tuple[Any, dict[str, nn.Parameter]]:
    """
    Return a module with the case's parameters, and these; all cases of a question use the one of the first.

    As in training, one module is called again and again: one that a call damages is found out.
    """
    if not case.built:
        model = case.construct(kind, case.settings).to(case.lender.device)
        case.built.append((model, load_parameters(model, case.state)))
    return case.built[0]


def _call_on_arrays(function: Function, case: Case) -> Result:
    """Call with arrays, as the homework does; where that raises, with tensors: some write torch all through."""
    (output,) = function.outputs
    asked = asked_for(case.student, function.name)
    tensors = [case.inputs[name] for name in function.takes]
    arrays = [tensor.item() if tensor.ndim == 0 else to_numpy(tensor) for tensor in tensors]
    value = call_with_either(
        asked, arrays, lambda each: torch.as_tensor(each) if isinstance(each, np.ndarray) else each
    )
    return Result({output: present(value, function.name)})


def call_with_either(
    function: Callable[..., Any], values: Sequence[Any], other: Callable[[Any], Any], more: tuple[Any, ...] = ()
) -> Any:
    """Call with values as the homework does; where that raises, with the other form of them, which is right as well."""
    try:
        return function(*values, *more)
    except NotImplementedError:
        raise
    except Exception as error:  # student code may raise anything
        try:
            return function(*map(other, values), *more)
        except Exception:  # then the first error is the one to tell
            raise error from None


def present(value: object, where: str) -> Any:
    """Return a value that is there, as numbers: a list of numbers, rows or 0-d tensors counts as an array."""
    return stacked(next(iter(split(value, (where,), where=where).values())))


def asked_for(student: Student, name: str) -> Any:
    """Return what a name stands for; a name that only an import mentions, from where it is not, is missing."""
    if isinstance(value := student.get(name), Absent):
        raise MissingName(name)
    return value


def to_numpy(tensor: torch.Tensor) -> Array:
    """Return a copy of a tensor's values."""
    return tensor.detach().cpu().numpy().copy()


def as_array(value: Any) -> Array:
    """Return a tensor's values, or anything else as NumPy takes it."""
    return to_numpy(value) if isinstance(value, torch.Tensor) else np.asarray(value)


def stacked(value: Any) -> Any:
    """Return a list or tuple of numbers as an array; anything else as it is."""
    if not issubclass(type(value), (list, tuple, range)):
        return value
    try:
        return np.array([as_array(element) for element in value], dtype=np.float64)
    except (TypeError, ValueError):
        return value


def scalar(value: Any) -> Any:
    """Return a tensor or an array of one number without dimensions."""
    if issubclass(type(value), (torch.Tensor, np.ndarray)) and tuple(value.shape) == (1,):
        return value.reshape(())
    return value
