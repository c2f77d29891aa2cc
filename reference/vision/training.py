"""Training loops for the vision homework: classification and masked pretraining over batches of images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

import torch
from torch import nn

from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.checkpoint import Checkpoint
from reference.vision.patches import patchify

# Anything that can be walked once per epoch and gives (images, labels): a DataLoader, a list.
Batches = Iterable[tuple[torch.Tensor, torch.Tensor]]


def print_epoch(epoch: int, loss: float) -> None:
    """Print one line about an epoch: an `on_epoch` for people who watch."""
    print(f"epoch {epoch}: training loss {loss:.4f}")


@dataclass(frozen=True)
class TrainingSettings:
    """How long and how fast AdamW trains."""

    learning_rate: float
    weight_decay: float
    epochs: int
    betas: tuple[float, float] = (0.9, 0.95)


VIT_SETTINGS = TrainingSettings(learning_rate=1e-3, weight_decay=1e-9, epochs=10)
PRETRAINING_SETTINGS = TrainingSettings(learning_rate=1e-4, weight_decay=0.05, epochs=20)
LINEAR_PROBE_SETTINGS = TrainingSettings(learning_rate=1e-4, weight_decay=1e-9, epochs=20)
FINE_TUNING_SETTINGS = TrainingSettings(learning_rate=1e-4, weight_decay=1e-9, epochs=20)


def make_optimizer(model: nn.Module, settings: TrainingSettings) -> torch.optim.Optimizer:
    """Return AdamW over the parameters of a model."""
    return torch.optim.AdamW(
        model.parameters(),
        lr=settings.learning_rate,
        betas=settings.betas,
        weight_decay=settings.weight_decay,
    )


def run_epochs(
    model: nn.Module,
    batches: Batches,
    loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
    *,
    settings: TrainingSettings,
    device: torch.device | str = "cpu",
    on_epoch: Callable[[int, float], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[float]:
    """
    Train with AdamW: the loop that classifiers and the autoencoder share.

    Args:
        model: it is moved to the device and changed.
        batches: (images, labels), walked once per epoch.
        loss_of: images, labels -> the loss to descend; both are on the device.
        settings: the optimiser's settings and the number of epochs.
        device: where to train.
        on_epoch: called after each epoch with its number, from 1, and its mean loss.
        checkpoint: keeps each epoch's result; epochs that it holds are not trained again.

    Returns:
        The mean training loss of each epoch.
    """
    model.to(device).train()
    optimizer = make_optimizer(model, settings)
    recipe = f"step {settings.learning_rate}, decay {settings.weight_decay}, betas {settings.betas}"
    history = checkpoint.resume(model, optimizer, loss_of, recipe) if checkpoint is not None else []
    for epoch in range(len(history) + 1, settings.epochs + 1):
        losses = []
        for images, labels in batches:
            loss = loss_of(images.to(device), labels.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.detach())
        history.append(torch.stack(losses).mean().item())
        if on_epoch is not None:
            on_epoch(epoch, history[-1])
        if checkpoint is not None:
            checkpoint.save(model, optimizer, loss_of, recipe, history, (images, labels))
    return history


def train_classifier(
    model: nn.Module,
    batches: Batches,
    *,
    settings: TrainingSettings = VIT_SETTINGS,
    device: torch.device | str = "cpu",
    on_epoch: Callable[[int, float], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[float]:
    """
    Train a classifier with cross-entropy: a ViT, a linear probe or a fine-tuned autoencoder.

    A `ClassificationMAE` with detach=True gives its autoencoder no gradient, so AdamW leaves it alone.

    Args:
        model: maps images (B, 3, H, H) to logits (B, classes); it is moved to the device and changed.
        batches: (images, labels), walked once per epoch.
        settings: the optimiser's settings and the number of epochs.
        device: where to train.
        on_epoch: called after each epoch with its number, from 1, and its mean loss.
        checkpoint: as for `run_epochs`.

    Returns:
        The mean training loss of each epoch.
    """

    def loss_of(images: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        return nn.functional.cross_entropy(model(images), labels)

    return run_epochs(
        model, batches, loss_of, settings=settings, device=device, on_epoch=on_epoch, checkpoint=checkpoint
    )


@torch.no_grad()
def accuracy(model: nn.Module, batches: Batches, *, device: torch.device | str = "cpu") -> float:
    """Return the share of images whose largest logit is that of their label."""
    model.to(device).eval()
    correct, total = 0, 0
    for images, labels in batches:
        predicted = model(images.to(device)).argmax(dim=1)
        correct += int((predicted == labels.to(device)).sum())
        total += len(labels)
    return correct / total


def reconstruction_loss(predicted: torch.Tensor, patches: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
    """
    Return the squared error of a reconstruction, averaged over the masked patches alone.

    Shapes: B images, N patches of P numbers.

    Args:
        predicted: (B, N, P), what the decoder returned.
        patches: (B, N, P), the patches of the images.
        mask: (B, N), 0 where a patch was kept, 1 where it was masked.

    Returns:
        A scalar: Σ (mean squared error of a patch · its mask) / Σ mask.

    Source: He et al. 2022, Masked Autoencoders Are Scalable Vision Learners, section 3.
    """
    error = (predicted - patches).square().mean(dim=-1)  # (B, N)
    return (error * mask).sum() / mask.sum()


def random_permutations(batch: int, length: int, *, generator: torch.Generator | None = None) -> torch.Tensor:
    """Return (batch, length) int64, an independent random permutation of 0 … length-1 in each row."""
    device = "cpu" if generator is None else generator.device
    return torch.rand(batch, length, generator=generator, device=device).argsort(dim=1)


def pretrain(
    mae: MaskedAutoEncoder,
    batches: Batches,
    *,
    settings: TrainingSettings = PRETRAINING_SETTINGS,
    device: torch.device | str = "cpu",
    generator: torch.Generator | None = None,
    on_epoch: Callable[[int, float], None] | None = None,
    checkpoint: Checkpoint | None = None,
) -> list[float]:
    """
    Train a masked autoencoder to reconstruct masked patches.

    Args:
        mae: the autoencoder; it is moved to the device and changed.
        batches: (images, labels), walked once per epoch; labels are not used.
        settings: the optimiser's settings and the number of epochs.
        device: where to train.
        generator: draws the masks; None draws them from torch's global generator.
        on_epoch: called after each epoch with its number, from 1, and its mean loss.
        checkpoint: as for `run_epochs`.

    Returns:
        The mean training loss of each epoch.
    """

    def loss_of(images: torch.Tensor, _: torch.Tensor) -> torch.Tensor:
        ids_shuffle = random_permutations(len(images), mae.num_patches**2, generator=generator)
        embeddings, mask, ids_restore = mae.forward_encoder(images, ids_shuffle.to(images.device))
        predicted = mae.forward_decoder(embeddings, ids_restore)
        return reconstruction_loss(predicted, patchify(images, mae.patch_size), mask)

    return run_epochs(mae, batches, loss_of, settings=settings, device=device, on_epoch=on_epoch, checkpoint=checkpoint)
