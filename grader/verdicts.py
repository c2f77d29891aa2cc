"""What can come of a question, and the evidence for it: values without behaviour, known to every room above."""

from __future__ import annotations

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np


class Verdict(enum.Enum):
    """How a question ended."""

    PASSED = "PASSED"
    FAILED = "FAILED"  # the values are wrong
    ERROR = "ERROR"  # the student's code raised
    TIMEOUT = "TIMEOUT"
    MEMORY = "MEMORY"
    CRASHED = "CRASHED"  # the interpreter died, or the answer was not one
    MISSING = "MISSING"  # not handed in, or not implemented yet
    NOT_RUN = "NOT_RUN"  # our deadline came first
    INFRASTRUCTURE = "INFRASTRUCTURE"  # the grader's own failure


@dataclass(frozen=True)
class Picture:
    """
    Values worth looking at beside a finding; whoever shows the report draws them.

    Args:
        kind: what the arrays are, which decides how they are drawn:
            "reconstruction": `image`, `seen`, `painted`, each (n, H, W, 3) uint8;
            "mask": `student` and `reference`, each (n, N) of 0 and 1 in the original patch order of a square grid;
            "trajectory": `student` and `reference`, each (steps, 2), the feature weights c after each step;
            "weights": `student` and `reference`, each (d,), learned feature weights.
        caption: one sentence that says what is to be seen; it stands for the picture where none can be shown.
        arrays: the values by name; small, since they travel in results.json.
    """

    kind: str
    caption: str
    arrays: Mapping[str, np.ndarray[Any, np.dtype[Any]]]


@dataclass(frozen=True)
class Evidence:
    """
    What judging one question found.

    Args:
        verdict: the outcome.
        findings: sentences in Markdown for the student, the most telling first; empty for a pass.
        try_next: what to look at or change; empty where there is nothing to say.
        fraction: the part of the points earned, 0 to 1.
        diagnosis: ids of the misconceptions that the values match.
        notes: remarks that cost nothing, for the student.
        pictures: values to be drawn beside the findings.
        headline: a short sentence that says how it ended, where the verdict's own words do not fit.
        right: outputs that are right although the question is not.
    """

    verdict: Verdict
    findings: tuple[str, ...] = ()
    try_next: str = ""
    fraction: float = 0.0
    diagnosis: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    pictures: tuple[Picture, ...] = ()
    headline: str = ""
    right: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether every point was earned."""
        return self.verdict is Verdict.PASSED


def passed(*, notes: tuple[str, ...] = ()) -> Evidence:
    """Return the evidence of a question that was answered right."""
    return Evidence(Verdict.PASSED, fraction=1.0, notes=notes)


def failed(*findings: str, try_next: str = "", notes: tuple[str, ...] = ()) -> Evidence:
    """Return the evidence of a question whose values are wrong."""
    return Evidence(Verdict.FAILED, findings, try_next, notes=notes)
