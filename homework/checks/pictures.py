"""
Pictures beside a finding: which of the values of an answer are worth looking at.

Only what feedback may say anyway: a mask, two feature weights, the learned weights of a run, of one case each.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from math import isqrt

import numpy as np

from grader.checks.exam import CaseAnswer, Check, Exam, Judge
from grader.verdicts import Evidence, Picture
from grader.wire import Array

logger = logging.getLogger(__name__)

# What there is to see of an answer, right or wrong.
Look = Callable[[Exam, Sequence[CaseAnswer]], tuple[Picture, ...]]

_MASKS = 2  # images of one batch that are shown
_STEPS = 200  # points of a trajectory that are kept: more cannot be told apart on a page


def with_pictures(judge: Judge, look: Look, *, when_passed: bool = True) -> Judge:
    """
    Return a judge that adds pictures to the evidence of another.

    Args:
        judge: decides, and writes the words.
        look: makes the pictures.
        when_passed: whether a right answer is worth looking at, too.
    """

    def judge_and_look(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
        evidence = judge(check, exam, answers)
        if evidence.passed and not when_passed:
            return evidence
        try:
            return replace(evidence, pictures=look(exam, answers))
        except Exception:  # a picture is an extra: without it the verdict stands, and staff read why there is none
            logger.exception("%s: no picture could be made", check.key)
            return evidence

    return judge_and_look


def look_at_mask(exam: Exam, answers: Sequence[CaseAnswer]) -> tuple[Picture, ...]:
    """Show the first case whose mask is wrong, if it is a mask at all: the images whose patches differ."""
    for case, answer in zip(exam.cases, answers, strict=True):
        mine, right = answer.get("mask"), case.expected.get("mask")
        if mine is None or right is None or mine.shape != right.shape or not np.all((mine == 0) | (mine == 1)):
            continue
        differs = np.any(mine != right, axis=1)
        if not np.any(differs) or isqrt(right.shape[1]) ** 2 != right.shape[1]:
            continue
        caption = "Your mask and the right one, patch by patch as they lie in the image: 1 marks a removed patch."
        shown = {"student": mine[differs][:_MASKS], "reference": right[differs][:_MASKS]}
        return (Picture("mask", caption, {name: mask.astype(np.uint8) for name, mask in shown.items()}),)
    return ()


def look_at_trajectory(exam: Exam, answers: Sequence[CaseAnswer]) -> tuple[Picture, ...]:
    """Show the feature weights of the first case, step after step, beside the right ones."""
    mine, right = answers[0].get("trajectory"), exam.cases[0].expected["trajectory"]
    if mine is None or mine.ndim != 2 or mine.shape[1] != 2 or len(mine) == 0:
        return ()
    caption = f"The two feature weights in your gradient descent and in the right one, over {len(right) - 1:,} steps."
    return _compared("trajectory", caption, _thinned(mine), _thinned(right))


def look_at_path(exam: Exam, answers: Sequence[CaseAnswer]) -> tuple[Picture, ...]:
    """Show the learned feature weights at the end of a run beside the right ones."""
    right = exam.cases[0].expected["path"][-1]
    caption = "The feature weights that your run learned and the right ones; they all began at 1."
    return look_at_weights(answers, right, caption)


def look_at_weights(answers: Sequence[CaseAnswer], right: Array, caption: str) -> tuple[Picture, ...]:
    """Show the last feature weights of a run beside given ones."""
    path = answers[0].get("path")
    if path is None or path.ndim != 2 or len(path) == 0 or path.shape[1] != len(right):
        return ()
    return _compared("weights", caption, path[-1], right)


def _thinned(trajectory: Array) -> Array:
    rows = np.unique(np.linspace(0, len(trajectory) - 1, _STEPS).astype(int))
    return np.asarray(trajectory[rows])


@np.errstate(over="ignore", invalid="ignore")  # what does not fit float32 is not shown
def _compared(kind: str, caption: str, mine: Array, right: Array) -> tuple[Picture, ...]:
    arrays = {"student": mine.astype(np.float32), "reference": right.astype(np.float32)}
    if not all(np.all(np.isfinite(array)) for array in arrays.values()):
        return ()
    return (Picture(kind, caption, arrays),)
