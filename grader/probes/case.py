"""What a probe is given and what it brings home, for every part of the homework."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from grader.probes.lending import Lender
from grader.probes.student import Student


@dataclass
class Case:
    """
    One set of inputs for a probe.

    Args:
        student: the student's namespace.
        given: handed-out names, whatever the student made of them.
        settings: constructor arguments, sizes and flags.
        inputs: tensors by the contract's argument names.
        state: parameters that the built module is to have.
        lender: makes lent calls.
        lent: names of the lent helpers.
        built: what the cases of one question share: their module and its parameters, from the first case on.
    """

    student: Student
    given: dict[str, Any]
    settings: dict[str, Any]
    inputs: dict[str, torch.Tensor]
    state: dict[str, torch.Tensor]
    lender: Lender
    lent: frozenset[str]
    built: list[tuple[Any, dict[str, nn.Parameter]]] = field(default_factory=list)


@dataclass
class Result:
    """What a probe brings home: named outputs, and the module's parameters under the contract's names."""

    outputs: dict[str, Any]
    parameters: dict[str, nn.Parameter] = field(default_factory=dict)
