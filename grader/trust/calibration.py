"""
How far apart right answers are, how far off wrong ones, and the tolerance between: measured, not typed.

For every output of every check, and for all gradients of a check together:

- the spread is the largest error among right ways: the reference recomputed under conditions that change nothing but
  rounding, and the right variants as submissions;
- the nearest wrong one is the smallest error among known mistakes, mutants and wrong submissions that show in it;
- the tolerance is their geometric middle, and never below twenty spreads, since other machines round in other ways.

A spread below the rounding of one float32 operation counts as that: who multiplies by a permutation matrix instead of
picking rows is right, too. An answer shows where its error is more than ten such spreads; one that shows in no check
at all is a matter for the score of the mutants. Less than a hundred spreads between right and wrong is too little:
then the check asks too weakly, and is to be changed.
"""

from __future__ import annotations

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grader.checks.exam import CaseAnswer, Check, Exam
from grader.checks.reference import OUT_OF_REACH
from grader.errors import StaffError
from grader.pipeline.homework import Homework
from grader.trust.cases import Changes
from grader.trust.interview import Interview
from grader.trust.mutation import Placed, checks_of, with_mutant
from grader.trust.recompute import can_be_recomputed, conditions, recompute

ROUNDING = 2.0**-24  # half a unit in the last place of a float32 near 1
LEAST_SEPARATION = 100.0
_LEAST_SPREADS = 20.0
_SHOWS = 10.0
# What a probe says of its stand-ins, for answers that no probe brought.
_FLAGS = {"hidden": np.ones(()), "solver": np.ones(())}
_DRAWS = 3  # of each check's inputs, for the reference under conditions


@dataclass(frozen=True)
class Measured:
    """An error and whose it is."""

    error: float
    by: str


@dataclass
class Sides:
    """What was measured on both sides of one tolerance."""

    right: Measured = Measured(0.0, "")
    wrong: list[Measured] = field(default_factory=list)

    def add(self, error: float, by: str, *, right: bool) -> None:
        """Note an error on its side; of the right ones the largest is kept."""
        if not right:
            self.wrong.append(Measured(error, by))
        elif error > self.right.error or not self.right.by:
            self.right = Measured(error, by)

    @property
    def spread(self) -> float:
        """What right ways count as differing by."""
        return max(self.right.error, ROUNDING)

    @property
    def nearest(self) -> Measured | None:
        """The nearest wrong answer that shows."""
        showing = [each for each in self.wrong if each.error > _SHOWS * self.spread]
        return min(showing, key=lambda each: each.error, default=None)


@dataclass(frozen=True)
class Entry:
    """
    One tolerance and the measurement that chose it.

    Args:
        kind: "float"; "mask" and "index" are exact.
        tolerance: 0 where it is exact.
        spread: largest error of right ways; spread_by says which.
        nearest: smallest error of a wrong one; nearest_by says which. None where it is exact.
        separation: nearest over what the spread counts as.
    """

    kind: str
    tolerance: float = 0.0
    spread: float = 0.0
    spread_by: str = ""
    nearest: float | None = None
    nearest_by: str = ""
    separation: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what the table holds."""
        if self.kind != "float":
            return {"kind": self.kind, "tolerance": 0.0}
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


Table = dict[str, dict[str, Entry]]


def choose(sides: Sides, *, key: str) -> Entry:
    """
    Choose the tolerance between two sides.

    Raises:
        StaffError: no wrong answer shows, or the nearest is too near.
    """
    nearest = sides.nearest
    if nearest is None:
        raise StaffError(
            happened=f"No wrong answer shows in {key}, so its tolerance cannot be measured.",
            try_next="Add a misconception or a mutant that only it catches.",
        )
    separation = nearest.error / sides.spread
    if separation < LEAST_SEPARATION:
        raise StaffError(
            happened=f"{key} asks too weakly: right ways differ by {sides.spread:.2g} ({sides.right.by}), "
            f"and the wrong answer {nearest.by!r} by {nearest.error:.2g} only.",
            try_next="Change its inputs until a wrong answer is a hundred times as far off as right ones.",
        )
    tolerance = max(float(np.sqrt(sides.spread * nearest.error)), _LEAST_SPREADS * sides.spread)
    return Entry(
        "float",
        _rounded(tolerance, 2),
        _rounded(sides.right.error, 3),
        sides.right.by,
        _rounded(nearest.error, 3),
        nearest.by,
        _rounded(separation, 3),
    )


def reason_for_none(check: Check) -> str:
    """
    Return why a check has no measured tolerance; empty for one that has.

    Raises:
        StaffError: it has none, and nobody said why.
    """
    if check.errors is not None:
        return ""
    if not check.exempt:
        raise StaffError(
            happened=f"{check.key} holds no errors against tolerances, and no reason is given.",
            try_next="Give the check `errors`, or say in `exempt` why it needs none.",
        )
    return check.exempt


@dataclass(frozen=True)
class Found:
    """
    The errors of one answer to one check.

    Args:
        check: its key.
        by: whose answer it is.
        right: whether it should pass.
        errors: by the names of the tolerances.
    """

    check: str
    by: str
    right: bool
    errors: Mapping[str, float]


def calibrated_checks(homework: Homework) -> list[Check]:
    """Return the checks that hold errors against tolerances."""
    return [check for check in homework.answers().checks if not reason_for_none(check)]


def recomputed(homework: Homework, check: Check) -> list[Found]:
    """Let the reference answer a check of one function of tensors under every condition; nothing for other checks."""
    found = []
    reference = homework.answers().reference
    for seed in range(_DRAWS if can_be_recomputed(check, reference) else 0):
        exam = check.prepare(torch.Generator().manual_seed(seed))
        for condition in conditions():
            answers = recompute(reference, check, exam, condition)
            found.append(_found(check, exam, answers, condition.name, right=True))
    return found


def answered_right(interview: Interview, name: str, changes: Changes, loses: frozenset[str]) -> list[Found]:
    """Let a right submission answer what it does not lose, as far as it differs from the solved homework."""
    intake = interview.intake(changes)
    return [
        _found(check, interview.exam(check), answers, name, right=True)
        for check in calibrated_checks(interview.homework)
        if check.key not in loses
        and interview.is_new(intake, check)
        and (answers := interview.answers(intake, check)) is not None
    ]


def mistaken(interview: Interview, check: Check) -> list[Found]:
    """Let every known mistake answer a check that it shows in."""
    exam = interview.exam(check)
    answers = interview.homework.answers()
    reference, entries = answers.reference, answers.mistakes.of(check)
    module = reference.module_of(check.subject, exam) if entries else None
    found = []
    for entry in entries:
        if entry.function_with_it is None:  # known by a look at the answers, so there is nothing to compute
            continue
        try:
            arrays = [
                reference.call(check.subject, entry.function_with_it, module, case.inputs, exam.settings)
                for case in exam.cases
            ]
        except OUT_OF_REACH:  # a mistake that does not go with these sizes raises, as a student's would
            continue
        found.append(_found(check, exam, [CaseAnswer({**_FLAGS, **each}) for each in arrays], entry.id, right=False))
    return found


def mutated(interview: Interview, placed: Placed) -> list[Found]:
    """Let a mutant answer the checks of its function, up to the first that it gives nothing for."""
    intake = with_mutant(interview.solved, placed)
    found = []
    for check in checks_of(interview.homework, placed.subject):
        if check.errors is None:
            continue
        answers = interview.answers(intake, check)
        if answers is None:
            break
        found.append(_found(check, interview.exam(check), answers, placed.id, right=False))
    return found


def answered_wrong(interview: Interview, name: str, changes: Changes, fails: frozenset[str]) -> list[Found]:
    """Let a wrong submission answer the checks that it fails."""
    intake = interview.intake(changes)
    return [
        _found(check, interview.exam(check), answers, name, right=False)
        for check in calibrated_checks(interview.homework)
        if check.key in fails and (answers := interview.answers(intake, check)) is not None
    ]


def _found(check: Check, exam: Exam, answers: Sequence[CaseAnswer], by: str, *, right: bool) -> Found:
    assert check.errors is not None
    errors = {name: error for name, error in check.errors(exam, answers).items() if name not in check.exact}
    return Found(check.key, by, right, errors)


def choose_all(homework: Homework, found: Iterable[Found]) -> Table:
    """
    Choose every tolerance from all that was found.

    Raises:
        StaffError: one cannot be chosen.
    """
    sides: dict[str, dict[str, Sides]] = {}
    for each in found:
        for name, error in each.errors.items():
            if np.isfinite(error):
                sides.setdefault(each.check, {}).setdefault(name, Sides()).add(error, each.by, right=each.right)
    table: Table = {}
    for check in calibrated_checks(homework):
        names = check.prepare(torch.Generator()).cases[0].expected
        exact = {name: Entry(each.kind) for name, each in check.exact.items() if name in names}
        chosen = {name: choose(each, key=f"`{name}` of {check.key}") for name, each in sides[check.key].items()}
        table[check.key] = {**chosen, **exact}
    return table


def as_json(table: Table, *, exempt: Mapping[str, str], counts: Mapping[str, int]) -> dict[str, Any]:
    """Return the table as it is committed."""
    return {
        "measured": {
            "torch": torch.__version__,
            "numpy": np.__version__,
            "machine": platform.machine(),
            "instructions": torch.backends.cpu.get_cpu_capability(),
            "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else "not measured",
            "conditions": [condition.name for condition in conditions()],
            **counts,
        },
        "checks": {key: {name: entry.as_json() for name, entry in names.items()} for key, names in table.items()},
        "exempt": dict(exempt),
    }


def write_table(content: Mapping[str, Any], path: Path) -> Path:
    """Write the table."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def exempt_checks(homework: Homework) -> dict[str, str]:
    """Return the checks without measured tolerances, with the reasons."""
    return {check.key: reason for check in homework.answers().checks if (reason := reason_for_none(check))}


def _rounded(value: float, digits: int) -> float:
    return float(f"{value:.{digits - 1}e}")
