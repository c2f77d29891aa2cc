"""What a probe is given and what it brings home, for every part of the homework."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from grader.contract import Class, Contract, construct
from grader.probes.lending import Lender, lent_method
from grader.probes.student import Student


@dataclass
class Case:
    """
    One set of inputs for a probe.

    Args:
        contract: the homework's functions.
        student: the student's namespace.
        given: handed-out names, whatever the student made of them.
        settings: constructor arguments, sizes and flags.
        inputs: tensors by the contract's argument names.
        state: parameters that the built module is to have.
        lender: makes lent calls.
        lent: names of the lent helpers.
        built: what the cases of one question share: their module and its parameters, from the first case on.
    """

    contract: Contract
    student: Student
    given: dict[str, Any]
    settings: dict[str, Any]
    inputs: dict[str, torch.Tensor]
    state: dict[str, torch.Tensor]
    lender: Lender
    lent: frozenset[str]
    built: list[tuple[Any, dict[str, nn.Parameter]]] = field(default_factory=list)

    def construct(self, kind: Class, settings: Mapping[str, Any]) -> Any:
        """Build an object of the student's class; of the handed-out one around a lent method, where one is lent."""
        return construct(kind, settings, self._class)

    def _class(self, name: str) -> Callable[..., Any]:
        lent = [each for each in self.contract if each.name in self.lent and each.root == name and each.method]
        if not lent:
            own: Callable[..., Any] = self.student.get(name)
            return own
        # The handed-out class, so that nothing of the student's own can be in the way.
        return type(name, (self.given[name],), {each.method: lent_method(self.lender, each) for each in lent})


@dataclass
class Result:
    """What a probe brings home: named outputs, and the module's parameters under the contract's names."""

    outputs: dict[str, Any]
    parameters: dict[str, nn.Parameter] = field(default_factory=dict)
