"""Submissions whose right judgement is known: wrong ones with what they must lose, right ones that lose nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from grader.pipeline.homework import Homework
from grader.trust.cases import Case, Changes, known_cases, questions_of
from grader.trust.wrong import wrong_changes
from grader.verdicts import Verdict


@dataclass(frozen=True)
class WrongSubmission:
    """
    One mistake in an otherwise solved submission.

    Args:
        id: unique, in small letters with hyphens and dots.
        description: one line for staff: what the student did.
        changes: what is different from the solved homework.
        fails: exactly the checks that this mistake must cost, none more and none less.
        hint_id: id of the misconception that the report must name; None where none is known for it.
    """

    id: str
    description: str
    changes: Changes
    fails: frozenset[str]
    hint_id: str | None = None


@dataclass(frozen=True)
class RightVariant:
    """
    Another right way to solve the homework, or a part of it.

    Args:
        id: unique, in small letters with hyphens and dots.
        description: one line for staff: in what it is different.
        changes: what is different from the solved homework.
        loses: checks that it loses for a reason that the description gives; usually none.
    """

    id: str
    description: str
    changes: Changes
    loses: frozenset[str] = field(default_factory=frozenset)


def wrong_submissions(homework: Homework) -> list[WrongSubmission]:
    """
    Return every wrong submission: one for each misconception, whose id is its own, then those that are known cases.

    Of the latter, nobody wrote down the diagnosis. Those that lose only a training are left out, as trainings are.
    """
    abouts = {entry.id: entry.about for entry in homework.answers().mistakes.entries}
    known = [
        WrongSubmission(name, abouts[name], changes, fails, name)
        for name, (changes, fails) in wrong_changes(homework).items()
    ]
    cases = [case for case in known_cases(homework, Verdict.FAILED, Verdict.ERROR) if not case.right]
    of_cases = [
        WrongSubmission(f"tests.{case.name}", case.about, case.changes, lost_by(homework, case)) for case in cases
    ]
    return [*known, *(each for each in of_cases if each.fails)]


def right_variants(homework: Homework) -> list[RightVariant]:
    """Return every right variant, in a stable order."""
    cases = [
        *known_cases(homework, Verdict.PASSED),
        *(case for case in known_cases(homework, Verdict.ERROR) if case.right),
    ]
    return [
        RightVariant(case.name.replace("_", "-"), case.about, case.changes, lost_by(homework, case)) for case in cases
    ]


def lost_by(homework: Homework, case: Case) -> frozenset[str]:
    """Return the checks that a case says it loses."""
    questions = questions_of(homework, case.part)
    return frozenset(each.check for each in questions if case.expected(each) is not Verdict.PASSED)
