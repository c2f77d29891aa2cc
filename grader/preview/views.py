"""
What of a report whom the platform shows at which moment.

A student's page is made from a report that holds nothing else: what a rule hides is taken out before anything is drawn.
"""

from __future__ import annotations

import enum
from dataclasses import replace
from datetime import datetime

from grader.preview.report import Report, Submission, without_staff_facts


class Viewer(enum.Enum):
    """Who looks."""

    STUDENT = "student"
    STAFF = "staff"


class Moment(enum.Enum):
    """When a student looks; the value is what the page says."""

    BEFORE_DUE = "before the due date"
    AFTER_DUE = "after the due date"
    PUBLISHED = "after grades were published"


# The platform's names -> the moments at which a student sees what has them.
_SEEN_AT = {
    "visible": frozenset(Moment),
    "hidden": frozenset[Moment](),
    "after_due_date": frozenset({Moment.AFTER_DUE, Moment.PUBLISHED}),
    "after_published": frozenset({Moment.PUBLISHED}),
}
SEEN_WORDS = {
    "visible": "always",
    "hidden": "never",
    "after_due_date": "after the due date",
    "after_published": "after grades are published",
}


def seen(visibility: str, moment: Moment) -> bool:
    """Whether a student sees then what has this visibility."""
    return moment in _SEEN_AT[visibility]


def student_report(report: Report, moment: Moment) -> Report:
    """
    Return a report without anything that the platform keeps from students then.

    With a test that is not shown there is no total; what the autograder knows for programs and staff never is there.
    """
    whole = seen(report.visibility, moment)
    shown = [entry for entry in report.entries if whole and seen(entry.visibility, moment)]
    complete = whole and len(shown) == len(report.entries)
    return replace(
        report,
        score=report.score if complete else None,
        max_score=report.max_score if complete else sum(entry.max_score or 0 for entry in shown),
        entries=tuple(without_staff_facts(entry) for entry in shown),
        output=report.output if whole else "",
        visibility="visible" if whole else "hidden",
        facts=(),
    )


def moment_of(submission: Submission | None) -> Moment:
    """Return when the author of a submission first sees its report: after the due date, if they handed in then."""
    if submission is None:
        return Moment.BEFORE_DUE
    created, due = _time(submission.created_at), _time(submission.due_at)
    if created is None or due is None or (created.tzinfo is None) != (due.tzinfo is None):
        return Moment.BEFORE_DUE
    return Moment.AFTER_DUE if created > due else Moment.BEFORE_DUE


def _time(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
