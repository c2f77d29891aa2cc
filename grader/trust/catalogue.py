"""Submissions whose right judgement is known: wrong ones with what they must lose, right ones that lose nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from grader.checks.misconceptions import CATALOGUE
from grader.trust.cases import Changes
from grader.trust.variants import lost_by, variant_cases
from grader.trust.wrong import wrong_changes


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


def wrong_submissions() -> list[WrongSubmission]:
    """Return every wrong submission, in a stable order: one for each misconception, whose id is its own."""
    abouts = {entry.id: entry.about for entry in CATALOGUE}
    return [
        WrongSubmission(name, abouts[name], changes, fails, name) for name, (changes, fails) in wrong_changes().items()
    ]


def right_variants() -> list[RightVariant]:
    """Return every right variant, in a stable order."""
    return [
        RightVariant(case.name.replace("_", "-"), case.about, case.changes, lost_by(case)) for case in variant_cases()
    ]
