"""Which values are shown as pictures: those that are wrong and can be looked at, few of them, and never without end."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from grader.checks.exam import Case, CaseAnswer, Check, Exam
from grader.verdicts import Evidence, Picture, failed, passed
from grader.wire import Array
from homework.checks.metalearning import METALEARNING_CHECKS
from homework.checks.pictures import look_at_mask, look_at_path, look_at_trajectory, with_pictures
from homework.checks.vision import VISION_CHECKS

CHECKS = {
    check.key: check for check in (*VISION_CHECKS, *METALEARNING_CHECKS) if check.part != "metalearning-copypaste"
}
COPIED = next(check for check in METALEARNING_CHECKS if check.part == "metalearning-copypaste")


def exam_of(**expected: Array) -> Exam:
    """Return an exam of one case."""
    return Exam({}, {}, [Case({}, expected)])


def answers_of(*arrays: dict[str, Array]) -> list[CaseAnswer]:
    """Return answers."""
    return [CaseAnswer(each) for each in arrays]


def judged(check: Check, change: dict[str, Any]) -> Evidence:
    """Judge the reference's own answers to a check, in the first case of which some outputs are changed."""
    exam = check.prepare(torch.Generator().manual_seed(3))
    answers = [
        CaseAnswer({**case.expected, **{f"after/{k}": v for k, v in case.inputs.items()}}) for case in exam.cases
    ]
    first = answers[0].arrays
    answers[0] = CaseAnswer({**first, **{name: value(first[name]) for name, value in change.items()}})
    return check.judge(check, exam, answers)


@pytest.mark.parametrize("key", ["random_masking.output", "MaskedAutoEncoder.forward_encoder.output"])
def test_a_wrong_mask_is_shown_beside_the_right_one(key: str) -> None:
    """Two images of the first wrong case, 0 and 1, the sentences as they were."""
    evidence = judged(CHECKS[key], {"mask": lambda mask: 1 - mask})
    (picture,) = evidence.pictures

    assert picture.kind == "mask"
    assert picture.arrays["student"].shape == picture.arrays["reference"].shape == (2, 64)
    assert np.array_equal(picture.arrays["student"], 1 - picture.arrays["reference"])
    assert picture.arrays["student"].dtype == np.uint8
    assert any("`mask`" in finding for finding in evidence.findings)


@pytest.mark.parametrize(
    ("key", "change"),
    [
        ("random_masking.output", {}),
        ("random_masking.output", {"kept": np.zeros_like}),
        ("random_masking.output", {"mask": lambda mask: mask + 0.5}),
        ("random_masking.output", {"mask": lambda mask: mask[:1]}),
        ("random_masking.output", {"mask": lambda mask: mask * np.nan}),
        ("patchify.output", {"patches": np.zeros_like}),
        ("MaskedAutoEncoder.forward_encoder.output", {"embeddings": np.zeros_like}),
    ],
    ids=["right", "other output", "no mask", "other shape", "not finite", "no mask asked", "mask right"],
)
def test_there_is_no_picture_where_there_is_no_wrong_mask(key: str, change: dict[str, Any]) -> None:
    """A right mask needs no picture; what is no mask cannot be drawn as one."""
    assert judged(CHECKS[key], change).pictures == ()


def test_only_images_whose_mask_is_wrong_are_shown() -> None:
    """Of three images with one wrong patch in the last, the last."""
    right = np.zeros((3, 16), np.float32)
    mine = right.copy()
    mine[2, 5] = 1
    (picture,) = look_at_mask(exam_of(mask=right), answers_of({"mask": mine}))

    assert np.array_equal(picture.arrays["student"], mine[2:])
    assert look_at_mask(exam_of(mask=right[:, :15]), answers_of({"mask": mine[:, :15]})) == ()  # no square


@pytest.mark.parametrize("aspect", ["output", "convergence"])
def test_a_trajectory_is_shown_right_or_wrong(aspect: str) -> None:
    """Both trajectories from start to end, thinned to what a page can show."""
    check = CHECKS[f"descend_feature_weights.{aspect}"]
    right, wrong = judged(check, {}), judged(check, {"trajectory": lambda rows: rows[:, ::-1]})

    assert right.passed
    assert not wrong.passed
    for evidence in (right, wrong):
        (picture,) = evidence.pictures
        shown = picture.arrays["reference"]
        assert picture.kind == "trajectory"
        assert len(shown) in (26, 200)
        assert shown.dtype == picture.arrays["student"].dtype == np.float32
    assert np.array_equal(wrong.pictures[0].arrays["student"], wrong.pictures[0].arrays["reference"][:, ::-1])


@pytest.mark.parametrize("trajectory", [None, np.zeros(3), np.zeros((0, 2)), np.zeros((4, 3)), np.full((4, 2), 1e300)])
def test_what_is_no_trajectory_is_not_shown(trajectory: Array | None) -> None:
    """Other shapes, nothing at all, and numbers that a picture cannot hold."""
    arrays = {} if trajectory is None else {"trajectory": trajectory}

    assert look_at_trajectory(exam_of(trajectory=np.zeros((4, 2))), answers_of(arrays)) == ()


@pytest.mark.parametrize("check", [COPIED, CHECKS["meta_learning_classification.gradient"]], ids=["(g)", "(h)"])
def test_learned_weights_are_shown_right_or_wrong(check: Check) -> None:
    """The last row of the path, student and reference."""
    right, wrong = judged(check, {}), judged(check, {"path": lambda path: 2 - path})

    for evidence in (right, wrong):
        (picture,) = evidence.pictures
        assert picture.kind == "weights"
        assert picture.arrays["student"].shape == picture.arrays["reference"].shape
        assert picture.arrays["student"].size in (19, 21, 23)
    assert np.allclose(wrong.pictures[0].arrays["student"], 2 - wrong.pictures[0].arrays["reference"])


def test_learned_weights_of_a_whole_run_are_shown_where_it_took_our_points() -> None:
    """A run on points of its own has no reference to be shown beside it."""
    check = CHECKS["meta_learning_classification.convergence"]
    exam = check.prepare(torch.Generator().manual_seed(3))
    path = exam.cases[0].expected["path"]
    own, hidden = ({"path": path + 1, "hidden": np.full(3, share)} for share in (0.0, 1.0))
    evidence = check.judge(check, exam, answers_of(hidden))
    (picture,) = evidence.pictures

    assert check.judge(check, exam, answers_of(own)).pictures == ()
    assert not evidence.passed
    assert np.allclose(picture.arrays["student"] - picture.arrays["reference"], 1)


@pytest.mark.parametrize("path", [None, np.zeros((0, 3)), np.zeros(3), np.zeros((2, 4)), np.full((2, 3), np.nan)])
def test_what_are_no_weights_is_not_shown(path: Array | None) -> None:
    """Other shapes and NaN."""
    arrays = {} if path is None else {"path": path}

    assert look_at_path(exam_of(path=np.ones((2, 3))), answers_of(arrays)) == ()


@pytest.mark.parametrize(
    ("evidence", "when_passed", "count"), [(passed(), True, 1), (passed(), False, 0), (failed("x"), False, 1)]
)
def test_a_judge_gets_its_pictures_where_they_are_wanted(evidence: Evidence, when_passed: bool, count: int) -> None:
    """Pictures change nothing else of the evidence."""
    picture = Picture("mask", "", {})
    judge = with_pictures(lambda *_: evidence, lambda *_: (picture,), when_passed=when_passed)
    judged_again = judge(COPIED, exam_of(), [])

    assert judged_again.pictures == (picture,) * count
    assert (judged_again.verdict, judged_again.findings) == (evidence.verdict, evidence.findings)
