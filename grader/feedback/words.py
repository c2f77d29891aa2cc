"""What a student reads for one question, and at the top of the report."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grader.feedback.text import code
from grader.rubric import Question
from grader.verdicts import Evidence, Verdict

_HEADLINES = {
    Verdict.PASSED: "Right.",
    Verdict.FAILED: "Not right yet.",
    Verdict.ERROR: "Your code does not run through.",
    Verdict.TIMEOUT: "Your code took too long.",
    Verdict.MEMORY: "Your code ran out of memory.",
    Verdict.CRASHED: "Your code did not come to an answer.",
    Verdict.MISSING: "Nothing to grade here yet.",
    Verdict.NOT_RUN: "Not graded: the time for the whole submission was over before this question's turn.",
    Verdict.INFRASTRUCTURE: "Not graded: the grader itself failed here. This is not your fault; please tell the staff.",
}


# The headline where nothing of a whole part was found: each of its questions is a consequence of that.
PART_NOT_FOUND = "This part was not found."
_NOT_GRADED = (Verdict.NOT_RUN, Verdict.INFRASTRUCTURE)


@dataclass(frozen=True)
class Judgement:
    """
    A question and what came of it.

    Args:
        question: from the rubric.
        evidence: the verdict and what was found.
        lent: helpers of ours that the student's code was run with.
    """

    question: Question
    evidence: Evidence
    lent: tuple[str, ...] = ()

    @property
    def score(self) -> float:
        """Points earned."""
        return round(self.question.points * self.evidence.fraction, 4)


def question_output(judgement: Judgement) -> str:
    """Return the Markdown that a student reads for one question."""
    evidence = judgement.evidence
    if judgement.question.hidden:
        return "Passed." if evidence.passed else "Not passed."
    paragraphs = [f"**Asked:** {judgement.question.asked}", f"**{evidence.headline or _HEADLINES[evidence.verdict]}**"]
    paragraphs += evidence.findings
    if evidence.try_next:
        paragraphs.append(f"**Try:** {evidence.try_next}")
    if judgement.lent and evidence.verdict is not Verdict.MISSING:
        paragraphs.append(_lent(judgement))
    paragraphs += [f"*Note:* {note}" for note in evidence.notes]
    if not judgement.question.points:
        paragraphs.append("*This question has no points; it only informs.*")
    return "\n\n".join(paragraphs)


def summary(judgements: Sequence[Judgement], *, used: Sequence[tuple[str, str]], notes: Sequence[str]) -> str:
    """
    Return the Markdown at the top of the report.

    Args:
        judgements: all questions; those that students cannot see now are not counted.
        used: (what for, file) pairs.
        notes: how the submission was read.
    """
    counted = [item for item in judgements if not item.question.hidden and item.question.points > 0]
    graded = [item for item in counted if item.evidence.verdict not in _NOT_GRADED]
    right = sum(item.evidence.passed for item in graded)
    points = f"{sum(item.score for item in graded):g} of {sum(item.question.points for item in graded):g} points"
    paragraphs = [f"**{right} of {len(graded)} graded questions are right: {points}.**"]
    if len(graded) < len(counted):
        paragraphs.append(
            f"{len(counted) - len(graded)} questions are not graded yet, through no fault of yours: each says why."
        )
    paragraphs += _where_to_begin(graded)
    if used:
        paragraphs.append(
            "Read from your submission:\n\n" + "\n".join(f"- {what}: {code(file)}" for what, file in used)
        )
    if notes:
        paragraphs.append("Please note:\n\n" + "\n".join(f"- {note}" for note in notes))
    return "\n\n".join(paragraphs)


def _where_to_begin(graded: Sequence[Judgement]) -> list[str]:
    """
    Name the first question that is not right and fails for a reason of its own.

    That something builds on it is said only where another question was asked with ours in its place.
    """
    wrong = [judgement for judgement in graded if not judgement.evidence.passed]
    found = [judgement for judgement in wrong if judgement.evidence.headline != PART_NOT_FOUND]
    if not wrong:
        return []
    if not found:
        return ["Begin with the notes below: they say what was read, and what was not found."]
    first = next((judgement for judgement in found if not judgement.lent), found[0])
    text = f"Begin with {first.question.number} ({first.question.title})"
    builds = any(first.question.function in judgement.lent for judgement in graded)
    return [f"{text}: what comes later builds on it." if builds else f"{text}."]


def _lent(judgement: Judgement) -> str:
    names = " and ".join(code(name) for name in judgement.lent)
    if judgement.evidence.passed:
        return (
            f"Judged with our {names}, because yours, or a function behind it, cannot be relied on yet. What you wrote "
            "here is right in itself, so it keeps its points."
        )
    return f"With our {names} in place of yours, it is not right yet either: there is a mistake here, too."
