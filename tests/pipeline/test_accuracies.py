"""Reported accuracies, measured again on a tiny data set in CIFAR-10's format."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from grader.intake.report import Code, Intake
from grader.pipeline.ask import Asker
from grader.probes.saved import load_checkpoint, load_outputs
from grader.sandbox.host import Sandbox
from grader.verdicts import Evidence, Verdict
from homework.homework import HOMEWORK
from homework.inspections.accuracies import Measured, NotMeasured, build_model, draw_sample, measure, possible_claims
from homework.inspections.claims import Claims, _Claim, _complaint, _how_far_checked
from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.classifier import ClassificationMAE
from reference.vision.vit import ClassificationViT, Transformer

IMAGES = 40
GOOD = {"vit_acc": 0.99, "mae_linear_acc": 0.98, "mae_finetune_acc": 0.97}


@pytest.fixture(scope="module")
def cifar10(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with a data set whose every image is of class 3."""
    folder = tmp_path_factory.mktemp("cifar10")
    batches = folder / "cifar-10-batches-bin"
    batches.mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (IMAGES, 3072), dtype=np.uint8)
    np.column_stack([np.full((IMAGES, 1), 3, np.uint8), pixels]).tofile(batches / "test_batch.bin")
    (batches / ".complete").touch()
    return folder


def always(model: nn.Module, answer: int) -> dict[str, torch.Tensor]:
    """Return the parameters of a classifier that gives one answer to every image."""
    head = model.output_head[1]  # type: ignore[index] # a Sequential of two
    with torch.no_grad():
        head.weight.zero_()
        head.bias.zero_()
        head.bias[answer] = 1.0
    return dict(model.state_dict())


def autoencoder() -> MaskedAutoEncoder:
    """Return the homework's autoencoder."""
    return MaskedAutoEncoder(Transformer(256, n_layers=4), Transformer(128, n_layers=2))


def file(content: object) -> np.ndarray[tuple[int], np.dtype[np.uint8]]:
    """Return what torch.save writes."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return np.frombuffer(buffer.getvalue(), dtype=np.uint8)


@pytest.fixture(scope="module")
def files() -> dict[str, np.ndarray[tuple[int], np.dtype[np.uint8]]]:
    """Return saved models: a ViT that is always right, a linear probe that never is, a fine-tuned one that is."""
    torch.manual_seed(0)
    mae = autoencoder()
    pretrained = {name: value.clone() for name, value in mae.state_dict().items()}
    linear = always(ClassificationMAE(10, mae), 5)
    tuned = always(ClassificationMAE(10, autoencoder()), 3)
    return {
        "saved_model": file(pretrained),
        "classifier-1": file({"model": always(ClassificationViT(10), 3)}),
        "classifier-2": file(linear),
        "classifier-3": file(tuned),
    }


def judged(
    files: Mapping[str, np.ndarray[tuple[int], np.dtype[np.uint8]]], cifar10: Path | None, *, time_limit_s: float = 60.0
) -> Evidence:
    """Return the evidence on the accuracies of a submission with saved models."""
    nothing = Code((), {}, {}, {}, {})
    with Sandbox({"load_outputs": load_outputs, "load_checkpoint": load_checkpoint}) as sandbox:
        intake = Intake({"vision": nothing}, tensors={"autograder": file({"output": GOOD}), **files})
        asker = Asker(HOMEWORK, sandbox, intake, b"secret", "cpu", 1024)
        return Claims(asker, cifar10).judge_accuracies(time_limit_s)


def test_claims_are_confirmed_refuted_or_not_checkable(
    files: Mapping[str, np.ndarray[tuple[int], np.dtype[np.uint8]]], cifar10: Path
) -> None:
    """Each line says which, what was measured and between which bounds the accuracy lies."""
    evidence = judged({name: files[name] for name in ("saved_model", "classifier-1", "classifier-2")}, cifar10)
    vit, linear, tuned = evidence.findings[0].splitlines()

    assert vit.startswith(
        "- `vit_acc`: 0.990 (asked: at least 0.65); confirmed: the model that you handed in is right "
    )
    assert vit.endswith("on 100.0 % of 40 test images, so its accuracy lies between 0.726 and 1.000")
    assert "refuted: the model that you handed in is right on 0.0 % of 40 test images" in linear
    assert tuned.endswith("not checkable: no saved classifier of the homework's shape was handed in for it")
    assert evidence.verdict is Verdict.FAILED
    assert evidence.headline == "Refuted by the models that you handed in."


def test_what_is_confirmed_in_part_is_called_so(
    files: Mapping[str, np.ndarray[tuple[int], np.dtype[np.uint8]]], cifar10: Path
) -> None:
    """With a right model for one claim and none for the others, the headline does not call all of them right."""
    evidence = judged({"classifier-1": files["classifier-1"]}, cifar10)

    assert evidence.passed
    assert evidence.headline == "Confirmed in part; the rest is not checkable here."


@pytest.mark.parametrize(
    ("values", "found", "complaint", "checked"),
    [
        ((0.7, 0.4, 0.8), ([Measured(500, 500)], [Measured(500, 500)], [Measured(500, 500)]), "", "Confirmed."),
        ((0.7, 0.4, 0.8), (None, "why not", None), "", "Reported; not checkable here."),
        ((0.7, 0.4, 0.8), ([Measured(1, 500)], None, None), "Refuted by the models that you handed in.", None),
        ((0.6, 0.4, 0.8), ([Measured(500, 500)], None, None), "Lower than asked.", None),
        ((None, 0.4, 0.8), (None, None, None), "Not all figures are numbers.", None),
    ],
)
def test_the_headline_says_what_is_known_of_the_figures(
    values: tuple[float | None, ...], found: tuple[Any, ...], complaint: str, checked: str | None
) -> None:
    """Confirmed, refuted, not checkable here, or not as asked: each is called by its name."""
    keys = ("vit_acc", "mae_linear_acc", "mae_finetune_acc")
    claims = [_Claim(key, True, *each) for key, *each in zip(keys, values, found, strict=True)]

    assert _complaint(claims) == complaint
    assert checked is None or _how_far_checked(claims) == checked
    assert _complaint([*claims[1:], _Claim("vit_acc", False, None, None)]) == "Not all accuracies are reported."


def test_without_the_data_set_nothing_is_measured_and_a_sentence_says_so(
    files: Mapping[str, np.ndarray[tuple[int], np.dtype[np.uint8]]],
) -> None:
    """Everything else stays as it is."""
    evidence = judged(files, None)

    assert evidence.passed
    assert evidence.headline == "Reported; not checkable here."
    assert "refuted" not in evidence.findings[0]
    assert "the grader has no CIFAR-10 here" in evidence.findings[1]


def test_a_probe_and_a_fine_tuned_model_are_told_apart_by_the_pretrained_one(
    files: Mapping[str, np.ndarray[tuple[int], np.dtype[np.uint8]]], cifar10: Path
) -> None:
    """By names they are the same; without the pretrained autoencoder, which is which cannot be said."""
    both = judged({name: files[name] for name in ("saved_model", "classifier-3")}, cifar10).findings[0].splitlines()
    alone = judged({"classifier-3": files["classifier-3"]}, cifar10).findings[0].splitlines()

    assert "confirmed" in both[2]
    assert "not checkable: no saved classifier" in both[1]
    assert all("cannot be told apart" in line for line in alone[1:])


def test_what_is_no_model_of_the_homework_is_not_checkable(cifar10: Path) -> None:
    """Other parameters, a list, a pickled object and junk are passed over."""
    others = {
        "classifier-1": file({"weight": torch.ones(3)}),
        "classifier-2": file([1, 2]),
        "classifier-3": file(nn.Linear(2, 2)),
        "classifier-4": np.zeros(10, np.uint8),
    }
    lines = judged(others, cifar10).findings[0].splitlines()

    assert all("not checkable: no saved classifier" in line for line in lines)


def test_a_data_set_that_cannot_be_read_is_said(
    files: Mapping[str, np.ndarray[tuple[int], np.dtype[np.uint8]]], tmp_path: Path
) -> None:
    """The reason is the grader's, and the line says so."""
    lines = judged({"classifier-1": files["classifier-1"]}, tmp_path).findings[0].splitlines()

    assert all("not checkable: the grader's copy of CIFAR-10 cannot be read" in line for line in lines)


@pytest.mark.parametrize(
    ("correct", "total", "low", "high"),
    [(40, 40, 0.7255, 1.0), (0, 40, 0.0, 0.2745), (250, 500, 0.4143, 0.5857), (7000, 10000, 0.6818, 0.7175)],
)
def test_the_interval_is_wilsons(correct: int, total: int, low: float, high: float) -> None:
    """Also at none and all right, where simpler intervals have no width."""
    assert Measured(correct, total).interval() == pytest.approx((low, high), abs=1e-4)


def test_both_sides_of_a_refutation() -> None:
    """A claim is refuted above the interval's end and the rounding, and never for being too modest."""
    measured = Measured(250, 500)
    end = measured.interval()[1] + 0.005

    assert not measured.refutes(end - 1e-9)
    assert measured.refutes(end + 1e-9)
    assert not measured.refutes(0.0)


def test_right_claims_are_refuted_once_in_ten_thousand() -> None:
    """Drawn a million times, a claim equal to the true accuracy is refuted at most that often."""
    draws = np.random.default_rng(0).binomial(500, 0.7, 1_000_000)
    counts = np.bincount(draws, minlength=501)
    refuted = sum(int(counts[correct]) for correct in range(501) if Measured(correct, 500).refutes(0.7))

    assert refuted / draws.size < 1e-4


def test_models_normalised_in_another_way_are_measured_so(cifar10: Path) -> None:
    """Who trained on pixels from 0 to 1 is not refuted for it."""

    class BrightIsThree(nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            plain = (images.amin(dim=(1, 2, 3)) >= 0) & (images.amax(dim=(1, 2, 3)) <= 1)
            return nn.functional.one_hot(3 * plain.long(), 10).float()

    sample = draw_sample(cifar10, generator=torch.Generator().manual_seed(0), most=None)

    assert measure(BrightIsThree(), sample, device="cpu", deadline=time.monotonic() + 60) == Measured(IMAGES, IMAGES)


def test_a_sample_is_the_same_for_the_same_seed(cifar10: Path) -> None:
    """The same submission gets the same report."""
    one, two, other = (draw_sample(cifar10, generator=torch.Generator().manual_seed(s), most=10) for s in (1, 1, 2))

    assert torch.equal(one.images, two.images)
    assert len(one.images) == 10
    assert not torch.equal(one.images, other.images)


def test_measuring_ends_in_time(cifar10: Path) -> None:
    """A deadline that has passed is a reason, not a number."""
    sample = draw_sample(cifar10, generator=torch.Generator(), most=None)

    with pytest.raises(NotMeasured, match="longer than"):
        measure(ClassificationViT(10), sample, device="cpu", deadline=time.monotonic() - 1)


def test_a_model_is_known_by_its_parameters() -> None:
    """Extra and missing decoder parameters do not matter, another width does."""
    mae = ClassificationMAE(10, autoencoder())
    state = {name: value for name, value in mae.state_dict().items() if not name.startswith("mae.decoder")}

    assert isinstance(build_model({**state, "extra": torch.ones(1)}), ClassificationMAE)
    assert build_model(ClassificationViT(10, embedding_dim=128).state_dict()) is None
    assert build_model(ClassificationViT(9).state_dict()) is None
    assert possible_claims(mae, state, {}) == ["mae_linear_acc", "mae_finetune_acc"]
