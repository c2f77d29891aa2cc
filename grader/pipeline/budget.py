"""How the time of a run is shared out, so that no question can eat what later ones need."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass

from grader.rubric import Question

LEAST_S = 1.0  # with less than this left, nothing is begun
# A right answer takes a twentieth of a question's limit on the slowest machine that was measured; a quarter of it
# is enough for the honest questions that come after those that hang.
_RESERVED_SHARE = 0.25
_RUNS = 2  # a question is asked once with the student's own helpers and, if need be, once with ours


@dataclass(frozen=True)
class Budget:
    """
    The seconds of one run, by a clock that nobody can set.

    Args:
        limit_s: our own deadline, which lies below the platform's.
        began: `time.monotonic()` when the run began.
    """

    limit_s: float
    began: float

    @property
    def spent_s(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self.began

    @property
    def left_s(self) -> float:
        """Seconds until the deadline."""
        return self.limit_s - self.spent_s

    def allowance_s(self, question: Question, later: Sequence[Question]) -> float:
        """
        Return what one question may take in all, its second run included.

        For each later question a part of its own limit is kept back; where there is not even that much time, all
        get the same share of their limits. Whole seconds, because a report names them and should repeat.

        Args:
            question: the one whose turn it is.
            later: those that come after it.
        """
        later_s = sum(each.time_limit_s for each in later)
        fair_share = later_s / (later_s + question.time_limit_s)
        reserved_s = min(_RESERVED_SHARE * later_s, fair_share * self.left_s)
        allowed_s = min(_RUNS * question.time_limit_s, self.left_s - reserved_s)
        return float(math.floor(allowed_s)) if allowed_s >= _RUNS * LEAST_S else allowed_s
