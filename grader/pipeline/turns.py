"""
The questions of a run, one after the other, with as little waiting in between as may be.

While a question's worker computes, the inputs of the next are drawn and answered; while its answer is judged, the next
one's worker computes already. No more than one worker is asked at a time (the one before it may be being ended), and no
question is begun whose turn could still depend on what is judged before it.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
from collections.abc import Sequence
from dataclasses import dataclass

from grader.errors import StaffError
from grader.feedback.words import Judgement
from grader.pipeline.ask import NOTHING_AHEAD, Ahead
from grader.pipeline.budget import LEAST_S, Budget
from grader.pipeline.questions import Questions
from grader.rubric import Question
from grader.verdicts import Evidence, Verdict

logger = logging.getLogger(__name__)


@dataclass
class Turn:
    """
    One question's turn.

    Args:
        asked: all questions of the run.
        index: which of them this is.
        questions: judges them.
        budget: the run's time.
        following: the next turn, or None.
    """

    asked: Sequence[Question]
    index: int
    questions: Questions
    budget: Budget
    following: Turn | None = None

    @property
    def question(self) -> Question:
        """The question whose turn it is."""
        return self.asked[self.index]

    @functools.cached_property
    def allowance_s(self) -> float:
        """What it may take in all: found out when it begins, which may be while the one before it is judged."""
        return self.budget.allowance_s(self.question, self.asked[self.index + 1 :])

    @property
    def has_time(self) -> bool:
        """Whether there is enough time left to ask it."""
        return min(self.allowance_s, self.budget.left_s) >= LEAST_S

    @property
    def time_limit_s(self) -> float:
        """Seconds that one run of the student's code may take."""
        return min(self.question.time_limit_s, self.allowance_s)

    def take(self) -> Judgement:
        """
        Ask it and judge it.

        Raises:
            StaffError: no question can be asked any more.
        """
        self.begin()  # without effect where it has begun
        following = self.following
        ahead = Ahead(following.prepare, following.begin) if following is not None else NOTHING_AHEAD
        try:
            allowance_s = min(self.allowance_s, self.budget.left_s)
            return self.questions.judge(self.question, self.time_limit_s, allowance_s=allowance_s, ahead=ahead)
        except StaffError:
            raise
        except Exception:  # a fault of ours in one question must not cost the others
            logger.exception("question %s could not be judged", self.question.number)
            return Judgement(self.question, Evidence(Verdict.INFRASTRUCTURE))

    def prepare(self) -> None:
        """Do of it what needs no worker."""
        with contextlib.suppress(Exception):  # its own turn meets the same error, and says so
            self.questions.prepare(self.question)

    def begin(self) -> None:
        """Have a worker begin with it, if there is time."""
        with contextlib.suppress(Exception):  # as above, or it was over with this attempt
            if self.has_time:
                self.questions.begin(self.question, self.time_limit_s)


def turns_of(asked: Sequence[Question], questions: Questions, budget: Budget) -> list[Turn]:
    """Return the turns of a run's questions, in order."""
    turns = [Turn(asked, index, questions, budget) for index in range(len(asked))]
    for turn, following in itertools.pairwise(turns):
        turn.following = following
    return turns
