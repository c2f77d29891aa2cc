"""Every vision check takes the reference's own answer, and nothing that was changed in it."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest
import torch

from grader.checks.exam import CaseAnswer, Check, Exam
from grader.pipeline.ask import judge_answers
from grader.verdicts import Evidence, Verdict
from grader.wire import Arrays
from homework.answers import ANSWERS
from homework.checks.vision import VISION_CHECKS

CHECKS = {check.key: check for check in VISION_CHECKS}
OWN_MASKS = "MaskedAutoEncoder.forward_encoder.behaviour"
DETACHED = "ClassificationMAE.forward.behaviour"
BY_VALUE = [key for key in CHECKS if key not in (OWN_MASKS, DETACHED, "random_masking.behaviour")]


@cache
def prepared(key: str) -> Exam:
    """Return a check's exam; made once for all tests, which leave it as it is."""
    return CHECKS[key].prepare(torch.Generator().manual_seed(7))


def right_answers(key: str) -> list[CaseAnswer]:
    """Return what a right solution would bring home."""
    answers = []
    for index, case in enumerate(prepared(key).cases):
        arrays = {f"after/{name}": array for name, array in case.inputs.items()}
        arrays |= own_masks(case.expected, index) if key == OWN_MASKS else case.expected
        answers.append(CaseAnswer(arrays))
    return answers


def own_masks(expected: Arrays, seed: int) -> Arrays:
    """Return embeddings, mask and ids of a forward_encoder that draws its own permutations."""
    rng = np.random.default_rng(seed)
    restore = rng.permuted(expected["sorted"], axis=1)
    mask = (restore >= int(expected["kept"])).astype(np.float32)
    return {"embeddings": expected["embeddings"], "mask": mask, "ids_restore": restore}


def judge(key: str, answers: list[CaseAnswer]) -> Evidence:
    """Judge answers to the prepared exam."""
    check: Check = CHECKS[key]
    return check.judge(check, prepared(key), answers)


def changed(key: str, **arrays: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> list[CaseAnswer]:
    """Return right answers with arrays of the last case replaced."""
    *first, last = right_answers(key)
    return [*first, CaseAnswer({**last.arrays, **arrays})]


def test_keys_are_what_the_rubric_names() -> None:
    """Every key is function and aspect, and none is there twice."""
    assert len(CHECKS) == len(VISION_CHECKS)
    assert all(check.key == f"{check.function}.{check.aspect}" for check in VISION_CHECKS)
    assert {check.aspect for check in VISION_CHECKS} == {"output", "gradient", "behaviour", "generality"}


@pytest.mark.parametrize("key", CHECKS)
def test_the_right_answer_passes(key: str) -> None:
    """What the reference gives earns every point, without a remark."""
    evidence = judge(key, right_answers(key))

    assert (evidence.verdict, evidence.fraction, evidence.notes) == (Verdict.PASSED, 1.0, ())


@pytest.mark.parametrize("key", BY_VALUE)
def test_one_changed_output_fails_with_a_sentence(key: str) -> None:
    """Each array that is asked for counts: swapping two rows of it fails, and the sentence names it."""
    gradients = CHECKS[key].aspect == "gradient"
    expected = prepared(key).cases[-1].expected
    asked = [name for name in expected if name.startswith("gradient/") or not gradients]
    for name in asked[:: max(1, len(asked) // 6)]:  # a few of a model's many parameters
        array = expected[name]
        mine = np.array(array)
        mine.reshape(-1)[:] = mine.reshape(-1)[::-1]
        if np.allclose(mine, array, atol=1e-3):
            continue  # a gradient that vanishes, or an array that reads the same backwards
        evidence = judge(key, changed(key, **{name: mine}))

        assert evidence.verdict is Verdict.FAILED
        assert f"{name.removeprefix('gradient/')}`" in " ".join(evidence.findings)


@pytest.mark.parametrize("key", BY_VALUE)
def test_arrays_of_nan_fail(key: str) -> None:
    """NaN in every output is never right."""
    answers = [
        CaseAnswer({name: np.full(array.shape, np.nan) for name, array in answer.arrays.items()})
        for answer in right_answers(key)
    ]

    assert judge(key, answers).verdict is Verdict.FAILED


@pytest.mark.parametrize("key", CHECKS)
def test_an_empty_answer_fails(key: str) -> None:
    """A worker that brings nothing home earns nothing, whatever the check."""
    evidence = judge(key, [CaseAnswer({}) for _ in prepared(key).cases])

    assert evidence.verdict is Verdict.FAILED
    assert "did not come back" in evidence.findings[0]


@pytest.mark.parametrize("key", CHECKS)
def test_inputs_depend_on_the_generator_only(key: str) -> None:
    """The same seed gives the same exam, byte for byte; another seed gives other inputs."""
    again = CHECKS[key].prepare(torch.Generator().manual_seed(7))
    other = CHECKS[key].prepare(torch.Generator().manual_seed(8))

    for case, same, different in zip(prepared(key).cases, again.cases, other.cases, strict=True):
        assert all(np.array_equal(array, same.inputs[name]) for name, array in case.inputs.items())
        assert all(np.array_equal(array, same.expected[name]) for name, array in case.expected.items())
        assert not all(np.array_equal(array, different.inputs[name]) for name, array in case.inputs.items())


@pytest.mark.parametrize("key", ["random_masking.output", "random_masking.generality"])
def test_a_mask_of_any_dtype_passes(key: str) -> None:
    """Students return truth values and integers."""
    for dtype in ("bool", "int64", "float64"):
        mask = prepared(key).cases[-1].expected["mask"].astype(dtype)
        assert judge(key, changed(key, mask=mask)).passed


def test_changing_x_in_place_costs_only_its_own_question() -> None:
    """The behaviour question fails; the one on values passes with a remark."""
    after = {"after/x": np.zeros((3, 64, 256), dtype=np.float32)}

    assert judge("random_masking.behaviour", changed("random_masking.behaviour", **after)).findings == (
        "After the call, `x` is no longer what it was before.",
    )
    assert (
        "changes its argument `x`" in judge("random_masking.output", changed("random_masking.output", **after)).notes[0]
    )


def masks_with(restores: list[np.ndarray[tuple[int, ...], np.dtype[np.int64]]]) -> list[CaseAnswer]:
    """Return answers of a forward_encoder that drew these permutations."""
    expected = prepared(OWN_MASKS).cases[0].expected
    kept = int(expected["kept"])
    return [
        CaseAnswer({"embeddings": expected["embeddings"], "mask": restore >= kept, "ids_restore": restore})
        for restore in restores
    ]


def test_one_permutation_for_a_whole_batch_is_told() -> None:
    """Each image needs a mask of its own."""
    rng = np.random.default_rng(0)
    restores = [np.tile(rng.permutation(64), (3, 1)) for _ in range(3)]

    evidence = judge(OWN_MASKS, masks_with(restores))

    assert evidence.findings == (
        "3 calls with 3 images each gave 3 different orders of the patches; there should be 9.",
    )
    assert "for each image in each call" in evidence.try_next


def test_a_fixed_seed_is_told() -> None:
    """Each call needs masks of its own."""
    restore = np.random.default_rng(0).permuted(np.tile(np.arange(64), (3, 1)), axis=1)
    evidence = judge(OWN_MASKS, masks_with([restore] * 3))

    assert evidence.findings == (
        "3 calls with 3 images each gave 3 different orders of the patches; there should be 9.",
    )
    assert "without setting a seed" in evidence.try_next


@pytest.mark.parametrize("kind", ["fixed-order", "one-order-for-all-images", "seeded"])
def test_a_known_mistake_with_masks_and_what_was_seen_of_it_are_two_sentences(kind: str) -> None:
    """The name of the mistake says what happened; the finding after it gives the numbers and does not repeat it."""
    rng = np.random.default_rng(0)
    restores = {
        "fixed-order": [np.tile(np.arange(64), (3, 1))] * 3,
        "one-order-for-all-images": [np.tile(rng.permutation(64), (3, 1)) for _ in range(3)],
        "seeded": [rng.permuted(np.tile(np.arange(64), (3, 1)), axis=1)] * 3,
    }[kind]
    exam = prepared(OWN_MASKS)
    evidence, (known,) = judge_answers(CHECKS[OWN_MASKS], exam, masks_with(restores), ANSWERS.mistakes)

    assert known.id == f"MaskedAutoEncoder.forward_encoder.{kind}"
    assert len(evidence.findings) == 1
    assert evidence.findings[0].startswith("3 calls with 3 images each gave ")
    assert "same way" not in evidence.findings[0]


def test_ids_that_are_no_permutation_are_told() -> None:
    """Every patch is restored exactly once."""
    wrong = own_masks(prepared(OWN_MASKS).cases[0].expected, 5)["ids_restore"].copy()
    wrong[1, 3] = wrong[1, 4]

    findings = judge(OWN_MASKS, changed(OWN_MASKS, ids_restore=wrong)).findings
    assert findings == ("Without `ids_shuffle`, `ids_restore` is not a permutation of the patches for every image.",)


def test_a_mask_that_belongs_to_other_ids_is_told() -> None:
    """Mask and permutation have to be of the same drawing."""
    other = own_masks(prepared(OWN_MASKS).cases[0].expected, 99)["mask"]

    assert judge(OWN_MASKS, changed(OWN_MASKS, mask=other)).findings[0] == "`mask` does not agree with `ids_restore`."


def test_a_gradient_that_leaks_into_the_autoencoder_is_told() -> None:
    """With detach=True the parameters of `mae` get none, or zeros."""
    leak = {"gradient/mae.cls_token": np.full((1, 1, 256), 1e-9)}
    evidence = judge(DETACHED, changed(DETACHED, **leak))

    assert evidence.findings[0].endswith("1 parameters of `mae`, among them `mae.cls_token`.")
    assert judge(DETACHED, changed(DETACHED, **{"gradient/mae.cls_token": np.zeros((1, 1, 256))})).passed


def test_names_that_a_worker_makes_up_are_not_repeated() -> None:
    """Only the template's parameters are looked at: an array's name is student-controlled text."""
    forged = {"gradient/mae.` **Score: 100/100** `": np.ones(3)}

    assert judge(DETACHED, changed(DETACHED, **forged)).passed


def test_a_head_without_a_gradient_is_told() -> None:
    """no_grad() around everything is not a linear probe."""
    answers = [
        CaseAnswer({name: array for name, array in answer.arrays.items() if not name.startswith("gradient/")})
        for answer in right_answers(DETACHED)
    ]

    assert "the head itself gets no gradient" in judge(DETACHED, answers).findings[0]


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_logits_that_say_nothing_of_the_images_are_no_linear_probe(value: float) -> None:
    """A head on a constant has its gradient too, but learns nothing."""
    answers = changed(DETACHED, logits=np.full((3, 10), value))

    assert judge(DETACHED, answers).findings[0].startswith("The `logits` are not finite, or the same for every image")
