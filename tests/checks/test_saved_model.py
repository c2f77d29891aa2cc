"""The saved autoencoder: trained weights pass, untrained, random and foreign ones do not, each with its sentence."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import nn

from grader.verdicts import Evidence, Verdict
from grader.wire import Arrays
from homework.checks.saved_model import BETTER_BY, judge_model, untrained_errors
from homework.release.saved_model import saved_model_bytes
from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.classifier import ClassificationMAE
from reference.vision.images import normalised_crops
from reference.vision.patches import patchify
from reference.vision.training import random_permutations
from reference.vision.vit import Transformer


@pytest.fixture(scope="module")
def trained() -> Arrays:
    """Return the weights that our own submissions carry; trained once for as long as the sources stay."""
    state = torch.load(io.BytesIO(saved_model_bytes()), weights_only=True)
    return {name: tensor.numpy() for name, tensor in state.items()}


def judged(saved: Arrays, seed: int = 0) -> Evidence:
    """Judge with images of a seed."""
    return judge_model(saved, torch.Generator().manual_seed(seed))


def arrays_of(module: nn.Module) -> Arrays:
    """Return a state dict as it comes home."""
    return {name: tensor.numpy() for name, tensor in module.state_dict().items()}


def autoencoder(width: int = 256) -> MaskedAutoEncoder:
    """Build an autoencoder as the homework does."""
    return MaskedAutoEncoder(Transformer(width, n_layers=4), Transformer(128, n_layers=2), width)


def test_trained_weights_pass_for_any_images(trained: Arrays) -> None:
    """Ten draws of images and masks, and a picture of what was painted."""
    evidences = [judged(trained, seed) for seed in range(10)]

    assert all(evidence.passed for evidence in evidences)
    (picture,) = evidences[0].pictures
    assert picture.kind == "reconstruction"
    assert {name: (array.shape, array.dtype) for name, array in picture.arrays.items()} == {
        name: ((4, 32, 32, 3), np.dtype("uint8")) for name in ("image", "seen", "painted")
    }


@pytest.mark.parametrize("seed", range(3))
def test_untrained_weights_and_noise_fail(seed: int) -> None:
    """As first drawn, weights are worse than the mean colour; noise of the right shapes is far worse."""
    torch.manual_seed(seed)
    untrained = arrays_of(autoencoder())
    noise = {name: np.random.default_rng(seed).normal(size=array.shape) for name, array in untrained.items()}

    for saved in (untrained, noise):
        evidence = judged(saved, seed)
        assert evidence.verdict is Verdict.FAILED
        assert "your model's error is" in evidence.findings[0]
        assert evidence.pictures


def wrong_width(_: Arrays) -> Arrays:
    """Build one of width 128."""
    return arrays_of(autoencoder(128))


def with_nan(trained: Arrays) -> Arrays:
    """Put one NaN in."""
    changed = dict(trained)
    changed["cls_token"] = changed["cls_token"].copy()
    changed["cls_token"][0, 0, 0] = np.nan
    return changed


def without_one(trained: Arrays) -> Arrays:
    """Leave a parameter out."""
    return {name: array for name, array in trained.items() if name != "masked_tokens"}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (wrong_width, "`cls_token` has shape (1, 1, 128); it should be (1, 1, 256)."),
        (with_nan, "`cls_token` in the saved model holds NaN or infinite numbers."),
        (without_one, "`masked_tokens`, one of 1 parameters, is not in the file."),
    ],
)
def test_what_does_not_fit_is_told(trained: Arrays, change: Callable[[Arrays], Arrays], said: str) -> None:
    """Another width, NaN and a missing parameter each have a sentence."""
    evidence = judged(change(trained))

    assert evidence.verdict is Verdict.FAILED
    assert said in evidence.findings[0]


@pytest.mark.parametrize(
    ("change", "note"),
    [
        (lambda saved: {f"module.{name}": array for name, array in saved.items()}, "prefix"),
        (lambda saved: {f"_orig_mod.module.{name}": array for name, array in saved.items()}, "prefix"),
        (lambda saved: {name: array.astype(np.float16) for name, array in saved.items()}, ""),
        (lambda saved: {**saved, "step": np.zeros(1, np.int64)}, "1 more tensors"),
        (lambda saved: {f"p{index}": array for index, array in enumerate(saved.values())}, ""),
    ],
    ids=["parallel", "compiled", "half", "buffer", "names"],
)
def test_other_ways_to_save_are_understood(trained: Arrays, change: Callable[[Arrays], Arrays], note: str) -> None:
    """Prefixes, half precision, further tensors and other names in the same order cost nothing."""
    evidence = judged(change(trained))

    assert evidence.passed, evidence.findings
    assert note in " ".join(evidence.notes)


def test_a_classifier_around_the_autoencoder_is_understood(trained: Arrays) -> None:
    """Its autoencoder is judged; the head is passed over."""
    mae = autoencoder()
    mae.load_state_dict({name: torch.from_numpy(array) for name, array in trained.items()})

    evidence = judged(arrays_of(ClassificationMAE(10, mae)))
    assert evidence.passed
    assert any("2 more tensors" in note or "4 more tensors" in note for note in evidence.notes)


def test_predictors_that_need_no_training() -> None:
    """On images of one colour both are without error; what is seen alone counts for either."""
    flat = patchify(torch.ones(2, 3, 32, 32) * torch.tensor([0.2, 0.5, 0.8]).view(3, 1, 1))
    mask = (torch.arange(64) % 4 > 0).float().expand(2, -1)

    assert untrained_errors(flat, mask) == pytest.approx((0, 0), abs=1e-9)
    hidden = flat + 3 * mask.unsqueeze(-1)
    assert untrained_errors(hidden, mask) == pytest.approx((9, 9), rel=1e-4)


def test_the_bound_is_below_both_predictors(trained: Arrays) -> None:
    """A model that paints the mean colour and no more fails."""
    generator = torch.Generator().manual_seed(0)
    images = normalised_crops(48, generator=generator)
    ids = random_permutations(48, 64, generator=generator)
    mask = (torch.argsort(ids, dim=1) >= 16).float()
    mean, nearest = untrained_errors(patchify(images), mask)

    assert 0.3 < BETTER_BY * min(mean, nearest) < min(mean, nearest)
