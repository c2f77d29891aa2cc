"""
Accuracies that a student reports, measured again from the models that they handed in.

A model is known by its parameters' names and shapes, not by its file's name. The reference computes with the
student's parameters, here, where no student code ran; their own code has no part in it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from grader.wire import Array
from reference.vision import cifar10
from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.classifier import ClassificationMAE
from reference.vision.images import normalise
from reference.vision.vit import ClassificationViT, Transformer

State = Mapping[str, torch.Tensor]

IMAGES_ON_CPU = 500
_BATCH = 100
_CHOOSING = 100  # images on which the way of normalising is chosen
# Two-sided; the bounds miss a right claim once in ten thousand models. What people round off a claim comes on top.
_Z = 3.89
_ROUNDING = 0.005
_CLASSES = 10
_WIDTH, _DECODER_WIDTH = 256, 128


@dataclass(frozen=True)
class Measured:
    """
    What a model gets on test images.

    Args:
        correct: images whose largest logit is that of their label.
        total: images.
    """

    correct: int
    total: int

    @property
    def share(self) -> float:
        """The accuracy on these images."""
        return self.correct / self.total

    def interval(self, z: float = _Z) -> tuple[float, float]:
        """
        Return the bounds between which the accuracy on all images lies.

        Source: Wilson 1927, Probable Inference, the Law of Succession, and Statistical Inference.
        """
        n, share = self.total, self.share
        middle = (share + z * z / (2 * n)) / (1 + z * z / n)
        half = z / (1 + z * z / n) * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def refutes(self, claim: float) -> bool:
        """Whether a claim is higher than chance and rounding allow; a model that is better than claimed is no lie."""
        return claim > self.interval()[1] + _ROUNDING


class NotMeasured(Exception):
    """An accuracy cannot be measured; the text is the end of a sentence that begins with "not checkable: "."""


@dataclass(frozen=True)
class Sample:
    """
    The images to measure on.

    Args:
        images: (M, 3, 32, 32) uint8.
        labels: (M,) int64.
    """

    images: torch.Tensor
    labels: torch.Tensor


def draw_sample(folder: Path, *, generator: torch.Generator, most: int | None) -> Sample:
    """
    Return CIFAR-10's test images, or a random part of them.

    Raises:
        NotMeasured: they cannot be read.
    """
    try:
        images, labels = cifar10.read(folder, train=False)
    except (cifar10.NotCifar10, OSError) as error:
        raise NotMeasured("the grader's copy of CIFAR-10 cannot be read") from error
    chosen = torch.randperm(len(labels), generator=generator)[:most]
    return Sample(torch.from_numpy(images)[chosen], torch.from_numpy(labels)[chosen])


def build_model(state: State) -> nn.Module | None:
    """Return the homework's ViT or classifier on an autoencoder with these parameters; None if they are neither's."""
    for model in (_vit(), _on_autoencoder()):
        needed = {name for name, _ in model.named_parameters() if not name.startswith(("mae.decoder", "mae.masked"))}
        own = dict(model.named_parameters())
        if needed <= state.keys() and all(state[name].shape == own[name].shape for name in needed):
            model.load_state_dict({name: state[name] for name in needed}, strict=False)
            return model
    return None


def possible_claims(model: nn.Module, state: State, pretrained: State) -> list[str]:
    """
    Return the keys of autograder.pt under which a model's accuracy may have been saved.

    A linear probe leaves the autoencoder as it was pretrained; fine-tuning does not. Without the pretrained one, a
    classifier on an autoencoder may be either.
    """
    if isinstance(model, ClassificationViT):
        return ["vit_acc"]
    encoder = [name for name in state if name.startswith("mae.encoder") and name.removeprefix("mae.") in pretrained]
    if not encoder:
        return ["mae_linear_acc", "mae_finetune_acc"]
    frozen = all(torch.equal(state[name], pretrained[name.removeprefix("mae.")]) for name in encoder)
    return ["mae_linear_acc" if frozen else "mae_finetune_acc"]


@torch.no_grad()
def measure(model: nn.Module, sample: Sample, *, device: str, deadline: float) -> Measured:
    """
    Count the images that a model gets right.

    Images are normalised as the homework does; where a model gets more of the first hundred right without that, or
    with values from -1 to 1, so they are given to it: what counts is whether the claim can be true.

    Raises:
        NotMeasured: the deadline, a value of `time.monotonic()`, came before the end.
    """
    model.to(device).eval()
    images = sample.images.float() / 255
    ways = [normalise(images), images, 2 * images - 1]
    first = [_count(model, way[:_CHOOSING], sample.labels[:_CHOOSING], device) for way in ways]
    best = ways[max(range(len(ways)), key=lambda index: first[index])]
    correct = 0
    for start in range(0, len(best), _BATCH):
        if time.monotonic() > deadline:
            raise NotMeasured("measuring took longer than this question may")
        correct += _count(model, best[start : start + _BATCH], sample.labels[start : start + _BATCH], device)
    return Measured(correct, len(best))


def _count(model: nn.Module, images: torch.Tensor, labels: torch.Tensor, device: str) -> int:
    predicted = model(images.to(device)).argmax(dim=1).cpu()
    return int((predicted == labels).sum())


def to_state(arrays: Mapping[str, Array]) -> State:
    """Return arrays from the wire as float32 tensors; what is not finite stays so, and gets few images right."""
    return {name: torch.from_numpy(array.copy()).float() for name, array in arrays.items()}


def _vit() -> nn.Module:
    return ClassificationViT(_CLASSES)


def _on_autoencoder() -> nn.Module:
    mae = MaskedAutoEncoder(Transformer(_WIDTH, n_layers=4), Transformer(_DECODER_WIDTH, n_layers=2))
    return ClassificationMAE(_CLASSES, mae)


def describe(claim: float, found: Sequence[Measured]) -> str:
    """Return what measuring says of a claim, as the end of its line."""
    best = max(found, key=lambda measured: measured.share)
    low, high = best.interval()
    said = (
        f"the model that you handed in is right on {100 * best.share:.1f} % of {best.total} test images, "
        f"so its accuracy lies between {low:.3f} and {high:.3f}"
    )
    return f"refuted: {said}" if best.refutes(claim) else f"confirmed: {said}"
