"""Submissions whose right judgement is known: wrong ones with what they must lose, right ones that lose nothing."""

from __future__ import annotations

from dataclasses import dataclass, field

from grader.trust.cases import Changes


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
    """Return every wrong submission, in a stable order."""
    return []


def right_variants() -> list[RightVariant]:
    """Return every right variant, in a stable order."""
    return []
