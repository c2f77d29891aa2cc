"""What was judged decides what is lent; what a student may learn of it is only what visible questions say."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grader.pipeline.history import History
from grader.rubric import load_rubric
from grader.verdicts import Evidence, Verdict, failed, passed
from homework.homework import HOMEWORK
from tests.known import CHECKS

QUESTIONS = {question.check: question for question in load_rubric(HOMEWORK.rubric).questions}
MASKING = "random_masking.output"
ENCODER = CHECKS["MaskedAutoEncoder.forward_encoder.output"]


def after(evidence: Evidence, *, check: str = MASKING, lent: tuple[str, ...] = (), hidden: bool = False) -> History:
    """Return what is known after one question was judged."""
    history = History()
    question = replace(QUESTIONS[check], visibility="hidden" if hidden else "visible")
    history.note(question, CHECKS[check], evidence, lent)
    return history


def test_what_was_found_wrong_is_lent_and_named() -> None:
    """What was never judged cannot be relied on, but nothing may be said of it."""
    assert "random_masking" in after(failed("wrong")).unsound(ENCODER)
    assert after(failed("wrong")).may_name(ENCODER, "random_masking")
    assert "patchify" in after(failed("wrong")).unsound(ENCODER)
    assert not after(failed("wrong")).may_name(ENCODER, "patchify")


def test_what_is_right_alone_is_not_lent() -> None:
    """And what was right only with our help is."""
    assert "random_masking" not in after(passed()).unsound(ENCODER)
    assert "random_masking" in after(passed(), lent=("patchify",)).unsound(ENCODER)


@pytest.mark.parametrize("evidence", [failed("x"), Evidence(Verdict.ERROR)], ids=lambda evidence: evidence.verdict.name)
def test_what_only_a_hidden_question_found_decides_and_is_not_named(evidence: Evidence) -> None:
    """Else the name of a lent helper would tell how a hidden question ended."""
    history = after(evidence, hidden=True)

    assert "random_masking" in history.unsound(ENCODER)
    assert not history.may_name(ENCODER, "random_masking")
    assert history.wrong_values(ENCODER, "random_masking") is None


def test_functions_of_the_same_name_in_two_parts_are_two() -> None:
    """What is wrong with (g) says nothing of (h)."""
    of_g = CHECKS["meta_learning_classification.output"]
    of_h = CHECKS["meta_learning_classification.gradient"]
    history = after(failed("wrong"), check=of_g.key)

    assert of_g.part != of_h.part
    assert history.wrong_values(of_g, of_g.function) is not None
    assert history.wrong_values(of_h, of_h.function) is None
    assert not history.may_name(of_h, of_h.function)


def test_what_students_see_to_be_right_is_told_by_visible_questions_alone() -> None:
    """Whether a hidden one failed does not show in it."""
    history = after(passed())
    hidden = replace(QUESTIONS["random_masking.generality"], visibility="hidden")
    history.note(hidden, CHECKS["random_masking.generality"], failed("x"), ())

    assert history.seen_right(ENCODER) == {"random_masking"}
    assert after(failed("wrong")).seen_right(ENCODER) == set()
    assert after(passed()).seen_right(CHECKS[MASKING]) == set()


def test_one_question_that_failed_is_enough() -> None:
    """A later pass of the same function does not make it sound."""
    history = after(failed("wrong"))
    history.note(QUESTIONS["random_masking.generality"], CHECKS["random_masking.generality"], passed(), ())

    assert "random_masking" in history.unsound(ENCODER)


def test_wrong_values_are_those_of_the_output_question() -> None:
    """An error is no value, and a wrong gradient no wrong value."""
    found = after(failed("wrong")).wrong_values(ENCODER, "random_masking")

    assert found is not None
    assert found.check == MASKING
    assert after(Evidence(Verdict.ERROR)).wrong_values(ENCODER, "random_masking") is None
    assert after(failed("wrong"), check="random_masking.behaviour").wrong_values(ENCODER, "random_masking") is None
