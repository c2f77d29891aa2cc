"""
Which mutants the grader catches: each is asked the questions of its function, up to the first that it does not pass.

What survives is judged by a person and written down in the homework's mutants_judged.yaml: equivalent mutants, which
do the same within the contract, and those that no question asks about. Only the first do not count.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import yaml

from grader.checks.exam import Check
from grader.contract import Function
from grader.errors import StaffError
from grader.intake.report import Code, Intake
from grader.pipeline.homework import Homework
from grader.trust.interview import Interview
from grader.trust.mutants import Mutant, find_function, mutants_of

_CHEAP_FIRST = ("behaviour", "generality", "output", "gradient", "convergence")


@dataclass(frozen=True)
class Placed:
    """A mutant, and the contract's description of its function."""

    subject: Function
    mutant: Mutant

    @property
    def id(self) -> str:
        """What it is known by: its function, with the group of code where another one has that name, and its lines."""
        return f"{self.subject.label}: {self.mutant.diff}"


@dataclass(frozen=True)
class Fate:
    """
    What became of a mutant.

    Args:
        placed: the mutant.
        caught_by: the check that it did not pass; empty for a survivor.
        died: no values came home at all, so any question would have caught it.
    """

    placed: Placed
    caught_by: str = ""
    died: bool = False


@dataclass(frozen=True)
class Judgements:
    """
    What a person has judged, with the reasons.

    Args:
        equivalent: ids of mutants that do the same within the contract.
        unasked: ids of mutants that no question asks about.
        not_mutated: lines of which nothing is graded.
    """

    equivalent: Mapping[str, str]
    unasked: Mapping[str, str]
    not_mutated: Mapping[str, str]


@dataclass(frozen=True)
class Score:
    """
    What all mutants came to.

    Args:
        fates: of every mutant.
        judgements: of the survivors.
    """

    fates: Sequence[Fate]
    judgements: Judgements

    @property
    def survivors(self) -> list[Fate]:
        """Mutants that no question caught, and that are not known to do the same."""
        return [fate for fate in self.fates if not fate.caught_by and not self._is_equivalent(fate)]

    @property
    def unjudged(self) -> list[Fate]:
        """Survivors that nobody has judged yet."""
        return [fate for fate in self.survivors if fate.placed.id not in self.judgements.unasked]

    @property
    def equivalent(self) -> list[Fate]:
        """Mutants that do the same within the contract, and were not caught."""
        return [fate for fate in self.fates if not fate.caught_by and self._is_equivalent(fate)]

    @property
    def share(self) -> float:
        """Mutants caught, as a share of those that are not equivalent."""
        counted = len(self.fates) - len(self.equivalent)
        return 1.0 - len(self.survivors) / counted if counted else 1.0

    def _is_equivalent(self, fate: Fate) -> bool:
        return fate.placed.id in self.judgements.equivalent


def read_judgements(homework: Homework) -> Judgements:
    """
    Read the survivors that were judged.

    Raises:
        StaffError: an entry has no reason, or a mutant stands there twice.
    """
    path = homework.folder / "mutants_judged.yaml"
    content: dict[str, list[dict[str, Any]]] = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    found: dict[str, dict[str, str]] = {"equivalent": {}, "unasked": {}, "not_mutated": {}}
    for kind, entries in content.items():
        for entry in entries:
            for name in entry["lines" if kind == "not_mutated" else "mutants"]:
                if any(name in names for names in found.values()) or not entry.get("reason"):
                    raise StaffError(
                        happened=f"{path.name}: {name!r} stands there twice, or has no reason.",
                        try_next="Mend the entry.",
                    )
                found[kind][name] = entry["reason"]
    return Judgements(found["equivalent"], found["unasked"], found["not_mutated"])


def mutants_in(homework: Homework, intake: Intake, functions: Iterable[Function]) -> list[Placed]:
    """Return the mutants of functions of a submission, but for lines that nothing grades."""
    not_mutated = read_judgements(homework).not_mutated
    return [
        Placed(function, mutant)
        for function in functions
        for mutant in mutants_of(_cell_with(intake.parts[function.part], function.name), function.name)
        if mutant.before not in not_mutated
    ]


def fate_of(placed: Placed, interview: Interview) -> Fate:
    """Ask a mutant its function's questions up to the first that it does not pass."""
    intake = with_mutant(interview.solved, placed)
    for check in checks_of(interview.homework, placed.subject):
        answers = interview.answers(intake, check)
        if answers is None:
            return Fate(placed, check.key, died=True)
        if not interview.passes(check, answers):
            return Fate(placed, check.key)
    return Fate(placed)


def checks_of(homework: Homework, function: Function) -> list[Check]:
    """Return the checks that a change of a function can be caught by, the quick ones first."""
    checks = homework.answers().checks
    found = [check for check in checks if check.subject == function]
    # A function that no question is about is there for others of its code that are.
    found = found or [check for check in checks if check.part == function.part]
    return sorted(found, key=lambda check: _CHEAP_FIRST.index(check.aspect))


def _cell_with(code: Code, function: str) -> str:
    return next(cell.source for cell in code.cells if find_function(cell.source, function) is not None)


def with_mutant(intake: Intake, placed: Placed) -> Intake:
    """Return the intake with the mutant's text wherever the original stands: in its cell, and in a module of it."""
    original = _cell_with(intake.parts[placed.subject.part], placed.mutant.function)
    changed = placed.mutant.source
    code = intake.parts[placed.subject.part]
    cells = tuple(replace(cell, source=changed) if cell.source == original else cell for cell in code.cells)
    modules = {name: changed if text == original else text for name, text in intake.modules.items()}
    return replace(intake, parts={**intake.parts, placed.subject.part: replace(code, cells=cells)}, modules=modules)
