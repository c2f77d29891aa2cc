"""What a check consists of: the inputs to send, what must come back, and how that is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from grader.checks.compare import Tolerance, calibrated
from grader.verdicts import Evidence
from grader.wire import Array, Arrays


@dataclass(frozen=True)
class Case:
    """
    One set of inputs and, by name, what the reference gives for them.

    Args:
        inputs: what the worker gets.
        expected: what the reference gives.
        seed: for the worker's generators.
        held_back: what else the judge needs, such as images to try trained weights on; no worker sees it.
    """

    inputs: Arrays
    expected: Arrays
    seed: int = 0
    held_back: Arrays = field(default_factory=dict)


@dataclass(frozen=True)
class Allowance:
    """
    How much one worker may ask of lent helpers.

    Args:
        calls: of a helper of which nothing else is said.
        elements: of all arguments of all calls together, because the calls' graphs are kept: the homework's
            autoencoder has four million parameters, and a question has three cases at most.
        image_elements: of all images; a question that does not train asks with less than ten thousand in a case.
        images: of one call.
        graphs: gradients can be asked for of so many calls, the latest; each keeps its activations.
    """

    calls: int = 64
    elements: int = 40_000_000
    image_elements: int = 100_000
    images: int = 16
    graphs: int = 64


@dataclass(frozen=True)
class Exam:
    """
    Everything one worker is asked, and the answers, which stay here.

    Args:
        settings: constructor arguments, sizes and flags for the probe.
        state: parameters of the module, by the contract's names.
        cases: inputs with the reference's answers.
        allowance: how much may be asked of lent helpers.
    """

    settings: Mapping[str, Any]
    state: Arrays
    cases: Sequence[Case]
    allowance: Allowance = field(default_factory=Allowance)


@dataclass(frozen=True)
class CaseAnswer:
    """What a worker brought home for one case, still unjudged."""

    arrays: Arrays

    def get(self, name: str) -> Array | None:
        """Return an array by name, or None."""
        return self.arrays.get(name)


Judge = Callable[["Check", Exam, Sequence[CaseAnswer]], Evidence]
# How far answers are from the right ones, by the name of the tolerance that each error is held against.
Errors = Callable[[Exam, Sequence[CaseAnswer]], dict[str, float]]


@dataclass(frozen=True)
class Check:
    """
    One question's way of asking and judging.

    Args:
        key: "<function>.<aspect>", as the rubric names it.
        part: "vision" or "metalearning".
        function: the contract's name of what is judged.
        aspect: output, gradient, behaviour, generality, convergence.
        probe: the probe that asks.
        wanted: names whose definitions the worker needs.
        needs: names of helpers that may be lent if the student's own are wrong.
        lent_ways: settings to lend them with in turn, where callers may call them in more than one right way.
        prepare: draws the inputs and computes the reference's answers.
        judge: compares.
        errors: what `judge` holds against tolerances; None where it compares exactly, or by a band of its own.
        tolerances: of outputs that are no arithmetic, and in which right answers agree exactly; those of all others
            were measured and stand in calibration.json.
        aliases: other names under which the function may have been handed in.
        after: check of something handed in that must have been passed before this one can be.
        apart_from: part of the homework that wants a function of the same name; its answer does not count here.
        rests_on: functions that are part of what is asked and so are never lent; where one is wrong, that comes first.
    """

    key: str
    part: str
    function: str
    aspect: str
    probe: str
    wanted: tuple[str, ...]
    prepare: Callable[[torch.Generator], Exam]
    judge: Judge
    needs: tuple[str, ...] = ()
    lent_ways: tuple[Mapping[str, Any], ...] = ({},)
    errors: Errors | None = None
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)
    aliases: tuple[str, ...] = ()
    after: str = ""
    apart_from: str = ""
    rests_on: tuple[str, ...] = ()

    def tolerance(self, name: str) -> Tolerance:
        """
        Return the tolerance of an output, or of a gradient, whose names begin with "gradient/".

        Raises:
            LookupError: it was never measured.
        """
        if name in self.tolerances:
            return self.tolerances[name]
        return calibrated(self.key, "gradient" if name.startswith("gradient/") else name)
