"""The judging of one submission's questions in order."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from grader.checks.exam import Check, Exam
from grader.errors import StaffError
from grader.feedback.explain import no_work
from grader.feedback.words import Judgement
from grader.pipeline.ask import Asker
from grader.pipeline.budget import LEAST_S
from grader.pipeline.history import History
from grader.pipeline.homework import Answers
from grader.pipeline.staff import judge_staff_tests
from grader.rubric import Question, Rubric
from grader.sandbox.host import Running
from grader.sandbox.outcome import Outcome
from grader.verdicts import Evidence, Verdict, passed


def wanted_names(answers: Answers) -> dict[str, tuple[str, ...]]:
    """Return, for each part of the homework, the names that intake should look for."""
    names: dict[str, dict[str, None]] = {}
    for check in answers.checks:
        part = names.setdefault(check.part, {})
        part.update(dict.fromkeys((*check.wanted, check.function)))
    return {part: tuple(found) for part, found in names.items()}


def check_rubric(rubric: Rubric, answers: Answers) -> None:
    """
    Make sure that every question of a rubric can be asked.

    Raises:
        StaffError: it names a check that there is not.
    """
    for question in rubric.questions:
        if question.check not in answers.known:
            raise StaffError(
                happened=f"Question {question.number} of the rubric names the check {question.check!r}, "
                "which there is not.",
                try_next="Run `python -m grader rubric` for the line and the names that there are.",
            )


class Questions:
    """
    Judges the questions of one submission; what went wrong before decides what may be lent later.

    Args:
        asker: asks about the submission.
        answers: the trusted side of the homework.
        data_set: the folder with the homework's data set, or None.
    """

    def __init__(self, asker: Asker, answers: Answers, *, data_set: Path | None = None) -> None:
        self._asker = asker
        self._checks = answers.by_key
        self._inspections = answers.inspections(asker, data_set)
        self._history = History()

    def prepare(self, question: Question) -> Exam | None:
        """Draw a question's inputs and compute the answers; None where no worker is asked about a function."""
        check = self._checks.get(question.check)
        if check is None or self._not_done_before(check, question) or self._asker.unavailable(check):
            return None
        return self._asker.prepare(check)

    def begin(self, question: Question, exam: Exam, time_limit_s: float) -> Running:
        """Have a worker begin with a question, with the student's own helpers."""
        return self._asker.begin(self._checks[question.check], exam, time_limit_s)

    def may_be_asked_again(self, question: Question) -> bool:
        """
        Return whether its worker may not be the last one that a question needs, so that the next one has to wait.

        So it is where our helpers may be lent, by what was judged up to now; where it has to show work; and on a GPU,
        whose memory is watched and not limited, and nobody watches while we judge.
        """
        check = self._checks[question.check]
        return self._asker.device != "cpu" or bool(self._history.unsound(check)) or self._has_to_move(check)

    def judge(
        self, question: Question, exam: Exam | None, outcome: Outcome | None, *, time_limit_s: float, deadline: float
    ) -> Judgement:
        """
        Judge one question; where a helper is wrong and the question fails, ask again with ours.

        Args:
            question: from the rubric.
            exam: what was asked; None where no worker was.
            outcome: what the worker brought home; None where none was asked.
            time_limit_s: seconds that one run of the student's code may take.
            deadline: when, by `time.monotonic()`, all runs of this question have to be over.
        """
        if question.check in self._inspections:
            return Judgement(question, self._inspections[question.check](time_limit_s))
        check = self._checks[question.check]
        not_done = self._not_done_before(check, question)
        if not_done is not None:
            return Judgement(question, not_done)
        evidence, lent = self._found(check, exam, outcome, time_limit_s=time_limit_s, deadline=deadline)
        if evidence.fraction and self._has_to_move(check) and not self._moves(check, time_limit_s, deadline):
            evidence, lent = no_work(check.function), ()
        self._history.note(question, check, evidence, lent)
        # That we lent a helper says that the student's is wrong.
        named = tuple(name for name in lent if self._history.may_name(check, name))
        evidence = self._asker.with_hints(check, self._after_what_comes_first(check, evidence))
        return Judgement(question, evidence, named)

    def _found(
        self, check: Check, exam: Exam | None, outcome: Outcome | None, *, time_limit_s: float, deadline: float
    ) -> tuple[Evidence, tuple[str, ...]]:
        """Return the evidence, and the helpers of ours that it was judged with."""
        if exam is None or outcome is None:
            unavailable = self._asker.unavailable(check)
            assert unavailable is not None  # or a worker would have been asked
            return unavailable, ()
        own = self._asker.judge(check, exam, outcome, right=self._history.seen_right(check))
        lent = self._history.unsound(check)
        if own.passed or not lent or deadline - time.monotonic() < LEAST_S:
            return own, ()
        return self._asker.ask_again(check, exam, own, lent=lent, time_limit_s=time_limit_s, deadline=deadline)

    def _has_to_move(self, check: Check) -> bool:
        """Return whether the values of a question's function show no work yet, and have to move with its inputs."""
        return not self._history.shows_work(check)

    def _moves(self, check: Check, time_limit_s: float, deadline: float) -> bool:
        """Return whether what a function returns follows its inputs, as its values are asked or as this question is."""
        lent = self._history.unsound(check)
        for asked in (self._checks[f"{check.function}.{check.only_with}"], check):
            left_s = deadline - time.monotonic()
            if left_s >= LEAST_S and self._asker.moves(asked, min(time_limit_s, left_s), lent=lent):
                return True
        return False

    def _not_done_before(self, check: Check, question: Question) -> Evidence | None:
        """Return the evidence where something has to be handed in first that was not: no worker is asked for that."""
        before = self._inspections[check.after](question.time_limit_s) if check.after else passed()
        return None if before.passed else replace(before, verdict=Verdict.MISSING)

    def _after_what_comes_first(self, check: Check, evidence: Evidence) -> Evidence:
        """Say first which values are wrong that students see to be wrong, where gradients or training follow them."""
        if evidence.verdict is not Verdict.FAILED:
            return evidence
        wrong = self._history.wrong_values(check, check.function) if check.aspect == "gradient" else None
        if wrong is not None:
            evidence = _values_first(evidence, wrong)
        found = [self._history.wrong_values(check, name) for name in check.rests_on]
        rests_on = [question for question in found if question is not None]
        return _training_after(evidence, rests_on) if rests_on else evidence

    def judge_staff_tests(self, path: Path) -> list[Judgement]:
        """Run the staff's own questions over what probes bring home."""
        return judge_staff_tests(path, self._asker, self._checks)


def _values_first(evidence: Evidence, wrong: Question) -> Evidence:
    """Say of wrong gradients of wrong values only that the values come first."""
    finding = f"The values are not right yet (question {wrong.number}), so the gradients cannot be."
    return replace(evidence, findings=(finding,), try_next=f"Mend {wrong.number} first.")


def _training_after(evidence: Evidence, wrong: Sequence[Question]) -> Evidence:
    """Say of training that does not work that the values come first."""
    numbers = " and ".join(question.number for question in wrong)
    finding = f"The values are not right yet (question {numbers}), so training cannot be."
    return replace(evidence, findings=(finding, *evidence.findings), try_next=f"Mend {numbers} first.")
