"""
The loop over the questions of a run: begin; prepare the next; wait; begin the next; judge.

While a question's worker computes, the inputs of the next are drawn and answered; while its answer is judged, the next
one's worker computes already. No more than one worker is asked at a time (the one before it may be being ended), and no
question is begun whose turn could still depend on what is judged before it: where a question may be asked again with
our helpers, the next one waits.
"""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

from grader.checks.exam import Exam
from grader.errors import StaffError
from grader.feedback.words import Judgement
from grader.pipeline.budget import LEAST_S, Budget
from grader.pipeline.questions import Questions
from grader.rubric import Question
from grader.sandbox.host import Running
from grader.sandbox.outcome import Outcome
from grader.verdicts import Evidence, Verdict

logger = logging.getLogger(__name__)


@dataclass
class Turn:
    """
    One question's turn, and how far it has come.

    Args:
        question: whose turn it is.
        later: the questions after it.
        budget: the run's time.
        exam: what is asked, once it is prepared; None also where no worker is asked.
        running: the worker that computes, once it has begun and until it has answered.
    """

    question: Question
    later: Sequence[Question]
    budget: Budget
    exam: Exam | None = None
    running: Running | None = None

    @functools.cached_property
    def allowance_s(self) -> float:
        """What it may take in all: found out when it begins, which may be while the one before it is judged."""
        return self.budget.allowance_s(self.question, self.later)

    @property
    def has_time(self) -> bool:
        """Whether there is enough time left to ask it."""
        return min(self.allowance_s, self.budget.left_s) >= LEAST_S

    @property
    def time_limit_s(self) -> float:
        """Seconds that one run of the student's code may take."""
        return min(self.question.time_limit_s, self.allowance_s)

    def prepare(self, questions: Questions) -> None:
        """Do of it what needs no worker."""
        if self.exam is None:
            self.exam = questions.prepare(self.question)

    def begin(self, questions: Questions) -> None:
        """Have a worker begin with it, where one is asked; without effect where it has begun."""
        self.prepare(questions)
        if self.exam is not None and self.running is None:
            self.running = questions.begin(self.question, self.exam, self.time_limit_s)

    def begin_if_time(self, questions: Questions) -> None:
        """Begin with it ahead of its turn, if there is time."""
        if self.has_time:
            self.begin(questions)

    def wait(self) -> Outcome | None:
        """Return what its worker brought home; None where none is asked."""
        running, self.running = self.running, None
        return None if running is None else running.outcome()

    def give_up(self) -> None:
        """End what was begun and will not be judged any more."""
        if self.running is not None:
            self.running.give_up()


def judged_in_turn(
    asked: Sequence[Question],
    questions: Questions,
    budget: Budget,
    *,
    around: Callable[[Question], AbstractContextManager[None]] = lambda _: contextlib.nullcontext(),
) -> Generator[tuple[int, Judgement], None, None]:
    """
    Judge the questions of a run one after the other, as far as the time goes.

    Args:
        asked: all questions, in order.
        questions: judges them.
        budget: the run's time.
        around: what is done around each question's turn.

    Yields:
        The place of a question in `asked`, and what came of it.

    Raises:
        StaffError: no question can be asked any more.
    """
    turns = [Turn(question, asked[index + 1 :], budget) for index, question in enumerate(asked)]
    try:
        for index, (turn, following) in enumerate(itertools.zip_longest(turns, turns[1:])):
            if turn.has_time:
                with around(turn.question):
                    judgement = _judged(turn, following, questions)
                yield index, judgement
    finally:
        for turn in turns:
            turn.give_up()


def _judged(turn: Turn, following: Turn | None, questions: Questions) -> Judgement:
    """
    Ask and judge one question, and do meanwhile what can be done of the following.

    Raises:
        StaffError: no question can be asked any more.
    """
    try:
        turn.begin(questions)
        deadline = time.monotonic() + min(turn.allowance_s, turn.budget.left_s)
        _ahead(Turn.prepare, following, questions)
        outcome = turn.wait()
        if outcome is not None and not questions.may_be_asked_again(turn.question):
            _ahead(Turn.begin_if_time, following, questions)
        return questions.judge(turn.question, turn.exam, outcome, time_limit_s=turn.time_limit_s, deadline=deadline)
    except StaffError:
        raise
    except Exception:  # a fault of ours in one question must not cost the others
        logger.exception("question %s could not be judged", turn.question.number)
        return Judgement(turn.question, Evidence(Verdict.INFRASTRUCTURE))


def _ahead(step: Callable[[Turn, Questions], None], following: Turn | None, questions: Questions) -> None:
    """Do a step of the question after this one."""
    if following is not None:
        with contextlib.suppress(Exception):  # its own turn meets the same error, and says so
            step(following, questions)
