"""What a check consists of: the inputs to send, what must come back, and how that is judged."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from grader.checks.compare import EXACT, Calibration, Tolerance
from grader.contract import Function
from grader.verdicts import Evidence
from grader.wire import Array, Arrays

_COMPUTED_IN = (np.float32, np.float64)


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
    How much one worker may ask of lent helpers. Elements are counted as on the wire: a size of 0 counts as 1.

    Args:
        calls: of a helper of which nothing else is said; a call counts before it is served, refused or not.
        elements: of all arguments of all calls together: an autoencoder is sent with its 600,000 parameters.
        image_elements: of all images; a question that does not train asks with less than ten thousand in a case.
        images: of one call.
        graphs: gradients can be asked for of so many calls, the latest; each keeps its activations.
        held_elements: of the arguments of these together, which are kept, too; the oldest give way.
    """

    calls: int = 64
    elements: int = 40_000_000
    image_elements: int = 100_000
    images: int = 16
    graphs: int = 64
    held_elements: int = 8_000_000


@dataclass(frozen=True)
class Exam:
    """
    Everything one worker is asked, and the answers, which stay here.

    Args:
        settings: constructor arguments, sizes and flags for the probe.
        state: parameters of the module, by the contract's names.
        cases: inputs with the reference's answers.
        allowance: how much may be asked of lent helpers.
        further_elements: how many numbers may come home beside what is expected and the inputs.
    """

    settings: Mapping[str, Any]
    state: Arrays
    cases: Sequence[Case]
    allowance: Allowance = field(default_factory=Allowance)
    further_elements: int = 0


@dataclass(frozen=True)
class CaseAnswer:
    """
    What a worker brought home for one case, still unjudged.

    Here, and nowhere else, arrays are brought to a dtype that judges compute in: what is no float32 or float64 is
    float64. A Boolean mask and whole numbers keep their values so; the arithmetic of small dtypes would raise or wrap.
    """

    arrays: Arrays

    def __post_init__(self) -> None:
        """Convert what has another dtype."""
        numbers = {
            name: array if array.dtype in _COMPUTED_IN else array.astype(np.float64)
            for name, array in self.arrays.items()
        }
        object.__setattr__(self, "arrays", numbers)

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
        subject: the function that is judged, as the contract describes it.
        aspect: output, gradient, behaviour, generality, convergence.
        prepare: draws the inputs and computes the reference's answers.
        judge: compares.
        calibration: the measured tolerances.
        errors: what `judge` holds against tolerances; None where it compares exactly, or by a band of its own.
        asked_by: the probe that asks; the function's own where none is named.
        needs: helpers that may be lent if the student's own are wrong; those that the contract lends to the function
            where None.
        lent_ways: settings to lend them with in turn, where callers may call them in more than one right way.
        after: check of something handed in that must have been passed before this one can be.
        apart_from: part of the homework that wants a function of the same name; its answer does not count here.
        rests_on: functions that are part of what is asked and so are never lent; where one is wrong, that comes first.
        only_with: aspect of the same function in which work has to show before this one earns anything: for questions
            after an absence, a property or a public number, which code that computes nothing could have.
        exempt: where it has no `errors`: why it needs no measured tolerance.
        trains: whether it trains a module, for seconds; known submissions are asked it only where they name it.
    """

    subject: Function
    aspect: str
    prepare: Callable[[torch.Generator], Exam]
    judge: Judge
    calibration: Calibration
    errors: Errors | None = None
    asked_by: str = ""
    needs: tuple[str, ...] = ()
    lent_ways: tuple[Mapping[str, Any], ...] = ({},)
    after: str = ""
    apart_from: str = ""
    rests_on: tuple[str, ...] = ()
    only_with: str = ""
    exempt: str = ""
    trains: bool = False

    @property
    def key(self) -> str:
        """Its name in the rubric: "<function>.<aspect>"."""
        return f"{self.subject.name}.{self.aspect}"

    @property
    def part(self) -> str:
        """The part of the homework."""
        return self.subject.part

    @property
    def function(self) -> str:
        """The contract's name of what is judged."""
        return self.subject.name

    @property
    def probe(self) -> str:
        """The probe that asks."""
        return self.asked_by or self.subject.name

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names whose definitions the worker needs."""
        return self.subject.wanted

    @property
    def aliases(self) -> tuple[str, ...]:
        """Other names under which the function may have been handed in."""
        return self.subject.aliases

    @property
    def exact(self) -> Mapping[str, Tolerance]:
        """Outputs that are no arithmetic, in which right answers agree exactly; all others were measured."""
        return {each.name: EXACT[each.kind] for each in self.subject.returns if each.kind in EXACT}

    def tolerance(self, name: str) -> Tolerance:
        """
        Return the tolerance of an output, or of a gradient, whose names begin with "gradient/".

        Raises:
            LookupError: it was never measured.
        """
        if name in self.exact:
            return self.exact[name]
        return self.calibration.tolerance(self.key, "gradient" if name.startswith("gradient/") else name)
