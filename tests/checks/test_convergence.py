"""Training as a question: right code passes, code that does not train fails, and only what weights do counts."""

from __future__ import annotations

import json
from collections.abc import Callable

import numpy as np
import pytest
import torch

from grader.checks.exam import CaseAnswer, Exam
from grader.verdicts import Evidence, Verdict
from grader.wire import Arrays
from homework.checks import convergence
from tests.checks.convergence_code import CLASSIFIER, MAE, VIT, WRONG_BODIES, right_variants, solved, wrong
from tests.checks.convergence_lab import CHECKS, answer_of, judge, train

TABLE = json.loads(convergence.BANDS_FILE.read_text(encoding="utf-8"))["measures"]

# What students read of each wrong body, in part.
SAID = {
    "autoencoder_detached": "No parameter changed during training",
    "mask_inverted_in_loss": "times that of painting every patch with the mean",
    "decoder_ignores_encoder": "`cls_token`, `encoder_position_encoding`",
    "constant_reconstruction": "never changed during training",
    "vit_detached": "No parameter changed during training",
    "vit_constant": "`patch_projection.weight`, `patch_projection.bias` never changed",
    "vit_permutes_the_batch": "of unseen digits right (there are 3 classes)",
    "classifier_permutes_the_batch": "your linear probe classifies",
    "classifier_constant": "By fine-tuning, `mae.encoder_input_projection.weight` never changed",
    "always_detached": "By fine-tuning, `mae.cls_token`",
    "never_detached": "Training the linear probe changed 28 parameters of the autoencoder",
    "frozen_masked_tokens": "`masked_tokens` never changed during training: no gradient reaches it.",
}
_CHEAP = {"mask_inverted_in_loss", "decoder_ignores_encoder", "vit_constant", "frozen_masked_tokens"}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> None:
    torch.set_num_threads(1)


def exam_of(function: str, *, seed: int = 0) -> Exam:
    """Draw a check's exam."""
    return CHECKS[function].prepare(torch.Generator().manual_seed(seed))


def judged(function: str, exam: Exam, arrays: Arrays) -> Evidence:
    """Judge arrays as if a worker had sent them."""
    check = CHECKS[function]
    return check.judge(check, exam, [CaseAnswer(arrays)])


def sent(model: str, state: Arrays) -> Arrays:
    """Name a state as a worker sends it."""
    return {f"{model}/{name}": array for name, array in state.items()}


@pytest.mark.parametrize("function", [VIT, MAE, CLASSIFIER])
def test_the_solved_notebook_trains(function: str) -> None:
    """The reference's own code has every point."""
    evidence = judge(function, solved(), seed=1)

    assert evidence.passed, evidence.findings


@pytest.mark.slow
@pytest.mark.parametrize("variant", sorted(right_variants()))
def test_right_variants_train(variant: str) -> None:
    """Every other right way trains, from fresh seeds; the committed table has many more."""
    for function, cells in right_variants()[variant].items():
        for seed in (70001, 70002):
            evidence = judge(function, cells, seed=seed)
            assert evidence.passed, (function, seed, evidence.findings)


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name in _CHEAP else [pytest.mark.slow]) for name in WRONG_BODIES]
)
def test_wrong_code_does_not_train(name: str) -> None:
    """Each wrong body fails by itself, and the student reads what was seen."""
    evidence = judge(WRONG_BODIES[name][0], wrong(name), seed=2)

    assert evidence.verdict is Verdict.FAILED
    assert SAID[name] in " ".join(evidence.findings)
    assert evidence.try_next
    # A linear probe that trains the backbone too keeps the points of fine-tuning, and the other way round.
    assert evidence.fraction == pytest.approx({"never_detached": 2 / 3, "always_detached": 1 / 3}.get(name, 0))


def test_the_table_says_what_the_limits_rest_on() -> None:
    """Over 200 repetitions of at least nine variants no false alarm; odds for a whole submission under 1 in 10,000."""
    variants = {name for entry in TABLE.values() for name in entry["right"]}

    assert len(variants) >= 9
    assert sum(each["repetitions"] for entry in TABLE.values() for each in entry["right"].values()) >= 200
    assert sum(entry["false_alarm_odds"] for entry in TABLE.values()) < 1e-4
    for name, entry in TABLE.items():
        sign = 1 if name == "autoencoder" else -1
        assert sign * entry["worst_right"] < sign * entry["limit"] < sign * entry["best_wrong"], name


def test_weights_that_never_moved_are_named() -> None:
    """The initial weights earn nothing, whatever else is sent."""
    exam = exam_of(MAE)
    claims = {"loss": np.zeros(1, np.float32), "autoencoder/loss": np.zeros(60, np.float32)}
    evidence = judged(MAE, exam, {**sent("autoencoder", exam.state), **claims})

    assert evidence.fraction == 0
    assert evidence.findings[0] == "No parameter changed during training: no gradient reaches any of them."


@pytest.mark.parametrize("kind", ["other start", "noise", "huge"])
def test_someone_elses_weights_are_out_of_reach(kind: str) -> None:
    """Weights of another start, noise and numbers near the end of float32 cannot be where the steps lead."""
    exam = exam_of(MAE)
    other = {
        "other start": exam_of(MAE, seed=9).state,
        "noise": {name: np.random.default_rng(0).normal(size=a.shape) for name, a in exam.state.items()},
        "huge": {name: np.full(a.shape, 1e38, np.float64) for name, a in exam.state.items()},
    }[kind]

    evidence = judged(MAE, exam, sent("autoencoder", other))
    assert evidence.verdict is Verdict.FAILED
    assert "is further from where it was than 60 steps of the optimizer can bring it" in evidence.findings[-1]


def test_weights_within_reach_earn_what_they_do() -> None:
    """Noise that is no larger than the steps is over the limit on unseen images."""
    exam = exam_of(MAE)
    noise = np.random.default_rng(0)
    near = {name: array + 0.01 * noise.normal(size=array.shape) for name, array in exam.state.items()}

    assert (
        "times that of painting every patch with the mean" in judged(MAE, exam, sent("autoencoder", near)).findings[-1]
    )


@pytest.fixture(scope="module")
def trained() -> tuple[Exam, Arrays]:
    """Return an exam of the ViT and what right code brings home."""
    torch.set_num_threads(1)
    exam = exam_of(VIT, seed=4)
    return exam, answer_of(train(CHECKS[VIT], exam, solved())).arrays


def _without(arrays: Arrays, part: str) -> Arrays:
    return {name: array for name, array in arrays.items() if part not in name}


def _noise_for(arrays: Arrays, part: str) -> Arrays:
    noise = np.random.default_rng(0)
    return {n: noise.normal(size=a.shape) if part in n and "output_head" not in n else a for n, a in arrays.items()}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda arrays: arrays, None),
        (lambda arrays: _without(arrays, "/gradient/"), "the gradients that your code gave are not those"),
        (lambda arrays: _noise_for(arrays, "/gradient/"), "the gradients that your code gave are not those"),
        (lambda arrays: _without(arrays, "/weights/"), "`cls_token` did not come back."),
        (lambda arrays: _noise_for(arrays, "/weights/"), "is further from where it was than"),
    ],
    ids=["right", "no gradients", "gradients of other code", "no steps", "steps out of reach"],
)
def test_good_weights_count_only_with_the_steps_that_led_to_them(
    trained: tuple[Exam, Arrays], change: Callable[[Arrays], Arrays], said: str | None
) -> None:
    """Good weights earn nothing where the code gave none of the gradients on the way, but for the head's."""
    exam, arrays = trained
    evidence = judged(VIT, exam, change(dict(arrays)))

    assert evidence.passed is (said is None)
    assert (said or "") in " ".join(evidence.findings)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda a: np.full_like(a, np.nan), "After training, `cls_token` is NaN or infinite."),
        (lambda a: a[..., :5], "`cls_token` has shape (1, 1, 5); it should be (1, 1, 48)."),
        (None, "`cls_token` did not come back."),
    ],
)
def test_weights_that_cannot_be_used_are_told(change: object, said: str) -> None:
    """NaN, another shape and a missing parameter each have their sentence."""
    exam = exam_of(MAE)
    arrays = sent("autoencoder", exam.state)
    cls_token = arrays.pop("autoencoder/cls_token")
    if callable(change):
        arrays["autoencoder/cls_token"] = change(cls_token)

    assert judged(MAE, exam, arrays).findings == (said,)


def test_unseen_images_are_not_sent() -> None:
    """No image that weights are tried on is among those that the worker gets."""
    for function in (MAE, VIT, CLASSIFIER):
        (case,) = exam_of(function).cases
        seen = {image.tobytes() for image in case.inputs["images"]}
        assert not [image for image in case.held_back["images"] if image.tobytes() in seen]
        assert not case.expected


def test_hidden_inputs_differ_by_seed() -> None:
    """Start, images and batches are drawn; the same seed draws the same."""
    first, again, other = exam_of(VIT), exam_of(VIT), exam_of(VIT, seed=1)

    for name in ("images", "batches"):
        assert np.array_equal(first.cases[0].inputs[name], again.cases[0].inputs[name])
        assert not np.array_equal(first.cases[0].inputs[name], other.cases[0].inputs[name])
    assert not np.array_equal(first.state["cls_token"], other.state["cls_token"])


def test_the_mean_alone_explains_nothing() -> None:
    """Digits come dark on light and light on dark: the mean image over the training images is no better than grey."""
    exam = exam_of(MAE)
    unseen = exam.cases[0].held_back["images"]
    mean = exam.cases[0].inputs["images"].mean(axis=0)

    assert np.mean((unseen - mean) ** 2) > 0.9 * np.mean(unseen**2)


def test_lent_helpers_are_allowed_for_a_whole_training() -> None:
    """The allowance holds two calls for each image of each step, and stays within what the homework's sizes take."""
    allowance = exam_of(MAE).allowance

    assert allowance.calls >= 60 * 24
    assert allowance.image_elements >= 60 * 24 * 3072
    assert allowance.elements <= 100_000_000
