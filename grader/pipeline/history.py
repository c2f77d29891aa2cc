"""
What was judged before, and what of it a student may learn.

This is a rule of security. Which of a student's functions are wrong decides which of ours are lent to those that build
on them; that we lent one therefore says that the student's is wrong, and a hidden question must not be what says it.
So two things are kept apart here: what is known, hidden questions included, which decides; and what students see in
other questions anyway, which is all that the report may name.
"""

from __future__ import annotations

from grader.checks.exam import Check
from grader.rubric import Question
from grader.verdicts import Evidence, Verdict


class History:
    """What came of the questions that were judged so far in one run."""

    def __init__(self) -> None:
        self._sound: dict[str, bool] = {}  # function -> nothing was found wrong with it, without our help
        self._seen_unsound: set[str] = set()  # functions of which students see that something was found wrong
        self._found: dict[str, Evidence] = {}  # check -> how it ended
        self._wrong_values: dict[str, Question] = {}  # function -> the question that students see its values fail

    def note(self, question: Question, check: Check, evidence: Evidence, lent: tuple[str, ...]) -> None:
        """
        Remember what came of a question.

        Args:
            question: from the rubric; it says whether students see it.
            check: how it was asked.
            evidence: how it ended.
            lent: helpers of ours that it was judged with.
        """
        self._found[check.key] = evidence
        right_alone = evidence.passed and not lent
        self._sound[check.function] = self._sound.get(check.function, True) and right_alone
        if question.hidden:
            return
        if not right_alone:
            self._seen_unsound.add(check.function)
        if evidence.verdict is Verdict.FAILED and check.aspect == "output":
            self._wrong_values[check.function] = question

    def unsound(self, check: Check) -> tuple[str, ...]:
        """Return the helpers of a question that cannot be relied on: found wrong, or not judged before it."""
        return tuple(name for name in check.needs if not self._sound.get(name, False))

    def shows_work(self, key: str) -> bool:
        """Return whether a question's values were right, also with our help, or some of them; True if nobody knows."""
        found = self._found.get(key)
        graders = (Verdict.NOT_RUN, Verdict.INFRASTRUCTURE)
        return found is None or found.passed or bool(found.right) or found.verdict in graders

    def may_name(self, function: str) -> bool:
        """Return whether a report may say that something is wrong with a function: some visible question says so."""
        return function in self._seen_unsound

    def wrong_values(self, function: str) -> Question | None:
        """Return the question in which students see that a function's values are wrong, or None."""
        return self._wrong_values.get(function)
