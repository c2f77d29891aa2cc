"""Judging what came home: a judge that cannot cope with it costs the student that question, and staff read why."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from grader.checks.exam import CaseAnswer, Check, Exam
from grader.checks.judges import judge_outputs
from grader.pipeline.ask import caps_of, judge_answers
from grader.verdicts import Evidence, Verdict
from homework.answers import ANSWERS
from homework.checks.pictures import with_pictures
from tests.known import CHECKS

CHECK = CHECKS["random_masking.output"]


def exam_of(check: Check = CHECK) -> Exam:
    """Draw a check's exam."""
    return check.prepare(torch.Generator().manual_seed(1))


def right_answers(exam: Exam) -> list[CaseAnswer]:
    """Answer as the reference does, and change no input."""
    return [
        CaseAnswer({**case.expected, **{f"after/{name}": array for name, array in case.inputs.items()}})
        for case in exam.cases
    ]


def forgetful(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    """Judge without looking at shapes first."""
    for case, answer in zip(exam.cases, answers, strict=True):
        answer.arrays["kept"] - case.expected["kept"]
    return CHECK.judge(check, exam, answers)


def test_what_breaks_a_judge_is_failed_in_neutral_words(caplog: pytest.LogCaptureFixture) -> None:
    """The student reads that nothing could be compared; staff read the traceback."""
    check, exam = replace(CHECK, judge=forgetful), exam_of()
    answers = [CaseAnswer({**answer.arrays, "kept": np.zeros((7, 5))}) for answer in right_answers(exam)]

    with caplog.at_level(logging.ERROR):
        evidence, known = judge_answers(check, exam, answers, ANSWERS.mistakes)

    assert (evidence.verdict, known) == (Verdict.FAILED, ())
    assert evidence.findings == ("What your code returned could not be compared with the right answer.",)
    assert "could not be broadcast" in caplog.text
    assert judge_answers(check, exam, right_answers(exam), ANSWERS.mistakes)[0].passed


def test_a_judge_that_breaks_on_right_answers_is_the_graders_fault() -> None:
    """Its own exception goes on, and the question is not graded."""

    def broken(*_: object) -> Evidence:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        judge_answers(replace(CHECK, judge=broken), exam_of(), right_answers(exam_of()), ANSWERS.mistakes)


def test_a_picture_that_cannot_be_made_leaves_the_verdict(caplog: pytest.LogCaptureFixture) -> None:
    """Pictures are an extra: the words stay, and staff read the traceback."""

    def broken(*_: object) -> tuple[()]:
        raise ZeroDivisionError

    check = replace(CHECK, judge=with_pictures(judge_outputs, broken))
    with caplog.at_level(logging.ERROR):
        evidence, _ = judge_answers(check, exam_of(), [CaseAnswer({}) for _ in exam_of().cases], None)

    assert (evidence.verdict, evidence.pictures) == (Verdict.FAILED, ())
    assert evidence.findings[0] == "`kept` did not come back."
    assert "ZeroDivisionError" in caplog.text


def test_a_mistake_that_cannot_be_looked_for_leaves_the_verdict(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names of mistakes are an extra: without one, what was found wrong is still said."""

    def broken(*_: object) -> tuple[()]:
        raise ZeroDivisionError

    monkeypatch.setattr("grader.pipeline.ask.diagnose", broken)
    evidence, known = judge_answers(CHECK, exam_of(), [CaseAnswer({}) for _ in exam_of().cases], ANSWERS.mistakes)

    assert (evidence.verdict, known) == (Verdict.FAILED, ())
    assert evidence.findings[0] == "`kept` did not come back."


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int8", "int16", "int32", "int64", "float16"])
def test_masks_and_indices_of_any_dtype_keep_their_points(dtype: str) -> None:
    """A right Boolean mask and whole numbers in any integer type are right, as they were."""
    exam = exam_of()
    names = ("mask",) if dtype == "bool" else ("mask", "ids_restore")
    answers = [
        CaseAnswer({**each.arrays, **{name: each.arrays[name].astype(dtype) for name in names}})
        for each in right_answers(exam)
    ]

    assert judge_answers(CHECK, exam, answers, None)[0].passed


def test_judges_see_no_small_dtypes() -> None:
    """Differences of Boolean arrays raise and those of bytes wrap; as float64 they do neither."""
    arrays = {"bool": np.ones(2, bool), "uint8": np.zeros(2, np.uint8), "half": np.ones(2, np.float16)}
    seen = CaseAnswer({**arrays, "single": np.ones(2, np.float32)}).arrays

    assert {name: array.dtype.name for name, array in seen.items()} == {
        "bool": "float64", "uint8": "float64", "half": "float64", "single": "float32",
    }  # fmt: skip
    assert (seen["uint8"] - 1).tolist() == [-1.0, -1.0]


@pytest.mark.parametrize("key", sorted(CHECKS))
def test_a_right_answer_in_float64_is_within_the_caps(key: str) -> None:
    """So are four times as many outputs; a bound of bytes alone would let eight times the numbers through as bytes."""
    exam = exam_of(CHECKS[key])
    caps = caps_of(exam)
    wrong_shapes = 4 * sum(a.size for case in exam.cases for name, a in case.expected.items() if "/" not in name)
    inputs = sum(array.size for case in exam.cases for array in case.inputs.values())

    assert caps.elements is not None
    assert wrong_shapes + inputs < caps.elements
    assert caps.body_bytes == 8 * caps.elements


def test_gradients_of_parameters_that_ought_to_have_none_are_within_the_caps() -> None:
    """Who forgets `detach` reads that, and not that too much came home."""
    exam = exam_of(CHECKS["ClassificationMAE.forward.behaviour"])

    assert sum(array.size for array in exam.state.values()) < (caps_of(exam).elements or 0)
