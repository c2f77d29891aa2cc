"""What the grader makes of submissions whose right judgement is known, counted."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from grader.pipeline.homework import Homework
from grader.release.workshop import workshop_of
from grader.rubric import Question
from grader.trust.cases import Changes, parts_of, questions_of
from grader.trust.catalogue import RightVariant, WrongSubmission, right_variants, wrong_submissions
from grader.trust.crew import Station
from grader.trust.harness import Keep, Outcome
from grader.trust.interview import Interview
from grader.trust.mutation import Fate, Placed, fate_of, mutants_in
from grader.verdicts import Verdict


@dataclass(frozen=True)
class WrongFound:
    """
    What came of a wrong submission.

    Args:
        id: of the submission.
        description: one line.
        expected: the checks that it must lose.
        lost: those that it lost.
        hint: the misconception that must be named; None where none is known.
        named: those that were named.
    """

    id: str
    description: str
    expected: tuple[str, ...]
    lost: tuple[str, ...]
    hint: str | None
    named: tuple[str, ...]

    @property
    def caught(self) -> bool:
        """Whether it lost anything that it must lose."""
        return bool(set(self.expected) & set(self.lost))

    @property
    def isolated(self) -> bool:
        """Whether it lost exactly what it must lose."""
        return set(self.expected) == set(self.lost)

    @property
    def diagnosis(self) -> str:
        """How the naming went: right, absent or wrong; empty where nothing is known to compare with."""
        if self.hint is None:
            return ""
        return "absent" if not self.named else "right" if set(self.named) == {self.hint} else "wrong"


@dataclass(frozen=True)
class RightFound:
    """What came of a right variant: the checks that it lost against what its description says."""

    id: str
    description: str
    wrongly_lost: tuple[str, ...]


@dataclass(frozen=True)
class Repeats:
    """
    The same submissions again and again, each time with other hidden inputs.

    Args:
        submissions: their names.
        runs: how often each was graded.
        questions: verdicts given in all.
        flips: question and submission of every verdict that was not always the same.
    """

    submissions: tuple[str, ...]
    runs: int
    questions: int
    flips: tuple[str, ...]


def one_of_each_function(wrong: Iterable[WrongSubmission]) -> list[WrongSubmission]:
    """Return one wrong submission for each function that any fails at, if possible one whose diagnosis is known."""
    chosen: dict[str, WrongSubmission] = {}
    for each in sorted(wrong, key=lambda each: (each.hint_id is None, len(each.fails))):
        chosen.setdefault(min(each.fails).rpartition(".")[0], each)
    return list(chosen.values())


def find_wrong(station: Station, wrong: WrongSubmission) -> WrongFound:
    """Grade a wrong submission: every question that runs code that differs from the solved homework's."""
    outcomes = station.bench.grade(wrong.changes, keep=_affected(station.interview, wrong.changes))
    named = dict.fromkeys(name for outcome in outcomes.values() for name in outcome.diagnosis)
    expected = tuple(sorted(wrong.fails))
    return WrongFound(wrong.id, wrong.description, expected, _lost(outcomes), wrong.hint_id, tuple(named))


def find_right(station: Station, right: RightVariant) -> RightFound:
    """Grade a right variant: every question that runs code that differs from the solved homework's."""
    lost = _lost(station.bench.grade(right.changes, keep=_affected(station.interview, right.changes)))
    return RightFound(right.id, right.description, tuple(name for name in lost if name not in right.loses))


def find_fate(station: Station, placed: Placed) -> Fate:
    """Ask a mutant its questions."""
    return fate_of(placed, station.interview)


def list_mutants(station: Station, _: None) -> list[Placed]:
    """Return every mutant of the solved homework."""
    written = [each for each in station.homework.contract if each.written]
    return mutants_in(station.homework, station.interview.solved, written)


@dataclass(frozen=True)
class Repetition:
    """One of many runs of a submission; another number has other hidden inputs."""

    number: int
    name: str
    changes: Changes


def repeat(station: Station, repetition: Repetition) -> dict[str, Verdict]:
    """Grade a submission with the hidden inputs of a repetition, and return the verdict of every check."""
    before = station.secret_file.read_bytes()
    station.secret_file.write_bytes(hashlib.sha256(str(repetition.number).encode()).digest())
    try:
        outcomes = station.bench.grade(repetition.changes, keep=_parts_changed(station.homework, repetition.changes))
    finally:
        station.secret_file.write_bytes(before)
    return {check: outcome.verdict for check, outcome in outcomes.items()}


def count_flips(repetitions: Sequence[Repetition], found: Sequence[Mapping[str, Verdict]]) -> Repeats:
    """Return which verdicts were not the same in every repetition."""
    seen: dict[str, set[Verdict]] = {}
    for repetition, verdicts in zip(repetitions, found, strict=True):
        for check, verdict in verdicts.items():
            seen.setdefault(f"{check} of {repetition.name}", set()).add(verdict)
    flips = tuple(name for name, verdicts in seen.items() if len(verdicts) > 1)
    names = tuple(dict.fromkeys(each.name for each in repetitions))
    return Repeats(names, len(repetitions) // len(names), sum(map(len, found)), flips)


def repeated_submissions(homework: Homework) -> dict[str, Changes]:
    """Return what is graded again and again: the solved homework, and of each part a right and a wrong submission."""
    known = {wrong.id: wrong.changes for wrong in wrong_submissions(homework)}
    known |= {right.id: right.changes for right in right_variants(homework)}
    return {"solved": Changes(), **{name: known[name] for name in workshop_of(homework).repeated}}


def _lost(outcomes: Mapping[str, Outcome]) -> tuple[str, ...]:
    return tuple(sorted(check for check, outcome in outcomes.items() if not outcome.passed))


def _affected(interview: Interview, changes: Changes) -> Keep:
    """Keep the questions that run anything changed, and those that run nothing but look at the files."""
    intake = interview.intake(changes)
    answers = interview.homework.answers()
    new = {check.key for check in answers.checks if interview.is_new(intake, check)}
    changed = _parts_changed(interview.homework, changes)
    return lambda question: question.check in new or (question.check in answers.inspected and changed(question))


def _parts_changed(homework: Homework, changes: Changes) -> Keep:
    """Keep the questions of the parts that are changed; of all where nothing is."""
    kept = {each.check for part in parts_of(homework, changes) for each in questions_of(homework, part)}

    def keep(question: Question) -> bool:
        return question.check in kept

    return keep
