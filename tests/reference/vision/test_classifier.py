"""The classifier on a pretrained autoencoder: what its head reads, and where its gradient goes."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.classifier import ClassificationMAE
from reference.vision.vit import Transformer


def build(*, detach: bool) -> ClassificationMAE:
    """Return a narrow classifier for images of 8 × 8 pixels."""
    torch.manual_seed(0)
    mae = MaskedAutoEncoder(Transformer(8, 2, 1, 12), Transformer(4, 2, 1, 6), 8, 4, 2, 4)
    return ClassificationMAE(5, mae, embedding_dim=8, detach=detach)


@pytest.mark.parametrize("detach", [False, True])
def test_head_reads_the_class_token(detach: bool) -> None:
    """Logits are the head applied to the first token of the unmasked representation."""
    classifier = build(detach=detach)
    images = torch.randn(3, 3, 8, 8)

    expected = classifier.output_head(classifier.mae.forward_encoder_representation(images).select(1, 0))

    assert classifier(images).shape == (3, 5)
    torch.testing.assert_close(classifier(images), expected)


@pytest.mark.parametrize("detach", [False, True])
def test_detach_decides_whether_the_encoder_learns(detach: bool) -> None:
    """The head always learns; the encoder learns in fine-tuning only; the decoder never does."""
    classifier = build(detach=detach)

    functional.cross_entropy(classifier(torch.randn(3, 3, 8, 8)), torch.tensor([0, 1, 2])).backward()

    learning = {name for name, p in classifier.named_parameters() if p.grad is not None and p.grad.any()}
    head = {name for name, _ in classifier.named_parameters() if name.startswith("output_head.")}
    read = ("mae.encoder", "mae.cls_token")
    encoder = {name for name, _ in classifier.named_parameters() if name.startswith(read)}
    assert learning == (head if detach else head | encoder)
