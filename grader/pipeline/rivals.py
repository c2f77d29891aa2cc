"""
Which of several copies of a notebook was worked in, where nothing in how they lie says it.

Its functions give what was saved: the student saved outputs from the notebook that they worked in last.
"""

from __future__ import annotations

from collections.abc import Callable

from grader.intake.report import Intake


def settled(intake: Intake, again: Callable[[str], Intake], agreement: Callable[[Intake], int]) -> Intake:
    """
    Return the intake of the copy that agrees best with what was saved; of equal ones, the first.

    Args:
        intake: of the submission as it was read, with the first of the rivals.
        again: reads the submission again and takes a path before its rivals.
        agreement: counts saved outputs that are those of an intake's code.
    """
    if len(intake.rivals) < 2:
        return intake
    found = [intake, *map(again, intake.rivals[1:])]
    counts = [agreement(each) for each in found]
    return found[counts.index(max(counts))]
