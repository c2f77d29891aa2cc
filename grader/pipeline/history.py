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

_Function = tuple[str, str]  # part of the homework and name: two parts may ask for a function of the same name


class History:
    """What came of the questions that were judged so far in one run."""

    def __init__(self) -> None:
        self._sound: dict[_Function, bool] = {}  # whether nothing was found wrong with it, without our help
        self._seen_sound: dict[_Function, bool] = {}  # the same, by the questions alone that students see
        self._found: dict[str, Evidence] = {}  # question -> how it ended
        self._wrong_values: dict[_Function, Question] = {}  # the question that students see its values fail

    def note(self, question: Question, check: Check, evidence: Evidence, lent: tuple[str, ...]) -> None:
        """
        Remember what came of a question.

        Args:
            question: from the rubric; it says whether students see it.
            check: how it was asked.
            evidence: how it ended.
            lent: helpers of ours that it was judged with.
        """
        self._found[_key(check)] = evidence
        function = check.part, check.function
        right_alone = evidence.passed and not lent
        self._sound[function] = self._sound.get(function, True) and right_alone
        if question.hidden:
            return
        self._seen_sound[function] = self._seen_sound.get(function, True) and right_alone
        if evidence.verdict is Verdict.FAILED and check.aspect == "output":
            self._wrong_values[function] = question

    def unsound(self, check: Check) -> tuple[str, ...]:
        """Return the helpers of a question that cannot be relied on: found wrong, or not judged before it."""
        return tuple(name for name in check.needs if not self._sound.get((check.part, name), False))

    def shows_work(self, check: Check) -> bool:
        """
        Return whether the values that a question goes with were right, also with our help, or some of them.

        True as well if nobody knows, and for a question that stands by itself.
        """
        found = self._found.get(_key(check, check.only_with))
        graders = (Verdict.NOT_RUN, Verdict.INFRASTRUCTURE)
        return not check.only_with or found is None or found.passed or bool(found.right) or found.verdict in graders

    def may_name(self, check: Check, helper: str) -> bool:
        """Return whether a report may say that something is wrong with a helper: some visible question says so."""
        return not self._seen_sound.get((check.part, helper), True)

    def seen_right(self, check: Check) -> frozenset[str]:
        """Return the other functions of its part that students see to be right; hidden questions have no say in it."""
        found = {name for (part, name), right in self._seen_sound.items() if right and part == check.part}
        return frozenset(found - {check.function})

    def wrong_values(self, check: Check, function: str) -> Question | None:
        """Return the question in which students see that the values of a function of its part are wrong, or None."""
        return self._wrong_values.get((check.part, function))


def _key(check: Check, aspect: str = "") -> str:
    return f"{check.part}: {check.function}.{aspect or check.aspect}"
