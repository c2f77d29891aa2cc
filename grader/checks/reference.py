"""The reference: right classes and functions by the contract's names, and how they, or mistaken ones, are called."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import nn

from grader.checks.exam import Exam
from grader.checks.tensors import to_arrays, to_tensors
from grader.contract import Class, Contract, Function, construct
from grader.wire import Array, Arrays

# What a mistake raises where it does not go with the sizes of a question, or with another mistake.
OUT_OF_REACH = (RuntimeError, ValueError, IndexError, TypeError, ArithmeticError, np.linalg.LinAlgError)
_COTANGENT = "cotangent/"

Tensors = dict[str, torch.Tensor]
# Calls a function, one of the reference's or one with a mistake in it, on a case's inputs and a question's settings.
Caller = Callable[[Callable[..., Any], Arrays, Mapping[str, Any]], Arrays]


@dataclass(frozen=True)
class Reference:
    """
    The right answers' source.

    Args:
        contract: describes the functions.
        classes: by name, for the objects that methods belong to.
        functions: by the contract's name; a method takes the object first.
        callers: of functions that are not called with their arguments alone.
    """

    contract: Contract
    classes: Mapping[str, Callable[..., Any]]
    functions: Mapping[str, Callable[..., Any]]
    callers: Mapping[str, Caller] = field(default_factory=dict)

    def build(self, function: Function, settings: Mapping[str, Any]) -> nn.Module | None:
        """Return a fresh object that a method is called on; None for a plain function."""
        return None if function.built_as is None else self.construct(function.built_as, settings)

    def construct(self, kind: Class, settings: Mapping[str, Any]) -> Any:
        """Return a fresh object of a class and of those that it is built from."""
        return construct(kind, settings, self.classes.__getitem__)

    def module_of(self, function: Function, exam: Exam) -> nn.Module | None:
        """Return the object that a method is called on, with the parameters of an exam; None for a plain function."""
        with torch.device("meta"):  # without drawing parameters that are replaced at once
            module = self.build(function, exam.settings)
        if module is not None:
            module.load_state_dict(to_tensors(exam.state), assign=True)
        return module

    def call(
        self,
        function: Function,
        implementation: Callable[..., Any],
        module: nn.Module | None,
        inputs: Arrays,
        settings: Mapping[str, Any],
    ) -> Arrays:
        """
        Call an implementation as a probe calls the student's, and name its outputs.

        Where the inputs have cotangents, the gradients of sum(outputs · cotangents) come too, as a probe brings them.

        Args:
            function: the contract's description.
            implementation: the function to call, right or wrong.
            module: what a method is called on; None for a plain function.
            inputs: arrays by argument.
            settings: arguments that are no arrays, and others.
        """
        if function.name in self.callers:
            return self.callers[function.name](implementation, inputs, settings)
        if function.arrays == "numpy":
            return _call_on_arrays(function, implementation, inputs)
        return _call_on_tensors(function, implementation, module, inputs, settings)


def outputs_of(
    function: Function,
    implementation: Callable[..., Any],
    module: nn.Module | None,
    inputs: Tensors,
    settings: Mapping[str, Any],
) -> Tensors:
    """Call an implementation with those of its arguments that there are, and name what it returns."""
    given = {**settings, **inputs}
    arguments = [given[name] for name in function.takes if name in given]
    returned = implementation(*arguments) if module is None else implementation(module, *arguments)
    parts = returned if isinstance(returned, tuple) else (returned,)
    return dict(zip(function.outputs, parts, strict=True))


def gradients_of(outputs: Tensors, cotangents: Tensors, targets: Tensors) -> Tensors:
    """
    Return the gradients of sum(outputs · cotangents) that there are, named "gradient/<target>".

    Args:
        outputs: by name; of those without a cotangent or a graph nothing is asked.
        cotangents: by the name of their output.
        targets: inputs and parameters by name.
    """
    parts = [(outputs[name] * each).sum() for name, each in cotangents.items() if outputs[name].requires_grad]
    asked = {name: target for name, target in targets.items() if target.requires_grad}
    if not parts:
        return {}
    found = torch.autograd.grad(torch.stack(parts).sum(), list(asked.values()), allow_unused=True)
    return {f"gradient/{name}": slope for name, slope in zip(asked, found, strict=True) if slope is not None}


def split_cotangents(inputs: Arrays) -> tuple[Arrays, Arrays]:
    """Return a case's arguments, and its cotangents by the name of their output."""
    arguments = {name: array for name, array in inputs.items() if not name.startswith(_COTANGENT)}
    return arguments, {
        name.removeprefix(_COTANGENT): array for name, array in inputs.items() if name.startswith(_COTANGENT)
    }


def _call_on_tensors(
    function: Function,
    implementation: Callable[..., Any],
    module: nn.Module | None,
    inputs: Arrays,
    settings: Mapping[str, Any],
) -> Arrays:
    tensors, cotangents = (to_tensors(arrays) for arrays in split_cotangents(inputs))
    for tensor in tensors.values():
        tensor.requires_grad_(bool(cotangents) and tensor.is_floating_point())
    with torch.set_grad_enabled(bool(cotangents)):
        outputs = outputs_of(function, implementation, module, tensors, settings)
    if not cotangents:
        return to_arrays(outputs)
    parameters = {} if module is None else dict(module.named_parameters())
    return to_arrays({**outputs, **gradients_of(outputs, cotangents, {**tensors, **parameters})})


def _call_on_arrays(function: Function, implementation: Callable[..., Any], inputs: Arrays) -> Arrays:
    """Call a function of NumPy arrays with one output; an array without dimensions counts as a number."""
    (output,) = function.outputs
    with np.errstate(all="ignore"):  # a mistake may divide by what is nearly zero
        return {output: np.asarray(implementation(*(_number(inputs[name]) for name in function.takes)))}


def _number(array: Array) -> Any:
    return array.item() if array.ndim == 0 else array.copy()
