"""
Right variants: other ways to solve the homework, which must lose nothing that they should keep.

passed/ has those that keep every point, error/ those that do so at the homework's sizes and, as their files say, raise
at others. The files are those of `grader.trust.cases`.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

from grader.trust.cases import Case, half_questions, read_case
from grader.verdicts import Verdict

FOLDER = Path(__file__).parent


@cache
def variant_cases() -> tuple[Case, ...]:
    """Return the case of every right variant, in the order of their files."""
    return tuple(read_case(path) for path in sorted(FOLDER.glob("*/*.yaml")))


def lost_by(case: Case) -> frozenset[str]:
    """Return the checks that a case says it loses."""
    questions = half_questions(meta=case.is_meta)
    return frozenset(each.check for each in questions if case.expected(each) is not Verdict.PASSED)
