"""Training on tiny data: the loss falls, runs repeat bit for bit, and what must not move does not."""

from __future__ import annotations

import copy
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.checkpoint import Checkpoint
from reference.vision.classifier import ClassificationMAE
from reference.vision.training import (
    FINE_TUNING_SETTINGS,
    LINEAR_PROBE_SETTINGS,
    PRETRAINING_SETTINGS,
    VIT_SETTINGS,
    Batches,
    TrainingSettings,
    accuracy,
    make_optimizer,
    pretrain,
    random_permutations,
    reconstruction_loss,
    train_classifier,
)
from reference.vision.vit import ClassificationViT, Transformer


def colour_batches(*, seed: int = 0) -> Batches:
    """Return 48 images of 8 × 8 noisy pixels whose label is their brightest channel."""
    generator = torch.Generator().manual_seed(seed)
    labels = torch.arange(48) % 3
    images = 0.3 * torch.randn(48, 3, 8, 8, generator=generator)
    images[torch.arange(48), labels] += 1.0
    return DataLoader(TensorDataset(images, labels), batch_size=16, shuffle=True, generator=generator)


def narrow_autoencoder() -> MaskedAutoEncoder:
    """Return an autoencoder for images of 8 × 8 pixels."""
    torch.manual_seed(0)
    return MaskedAutoEncoder(Transformer(16, 2, 1, 32), Transformer(8, 2, 1, 16), 16, 8, 2, 4)


def narrow_vit() -> ClassificationViT:
    """Return a ViT for images of 8 × 8 pixels."""
    torch.manual_seed(0)
    return ClassificationViT(3, 16, 4, 2)


def test_settings_are_those_of_the_homework() -> None:
    """The named settings are the optimiser settings and epochs that the homework hands out."""
    assert TrainingSettings(1e-3, 1e-9, 10, (0.9, 0.95)) == VIT_SETTINGS
    assert TrainingSettings(1e-4, 0.05, 20, (0.9, 0.95)) == PRETRAINING_SETTINGS
    assert LINEAR_PROBE_SETTINGS == FINE_TUNING_SETTINGS == TrainingSettings(1e-4, 1e-9, 20, (0.9, 0.95))


def test_optimizer_uses_its_settings() -> None:
    """The optimiser is AdamW over all parameters, with the rates that were asked for."""
    model = torch.nn.Linear(2, 2)
    optimizer = make_optimizer(model, TrainingSettings(0.25, 0.5, 1, (0.1, 0.2)))

    (group,) = optimizer.param_groups
    assert isinstance(optimizer, torch.optim.AdamW)
    assert (group["lr"], group["weight_decay"], group["betas"]) == (0.25, 0.5, (0.1, 0.2))
    assert len(group["params"]) == 2


def test_permutations_are_permutations_and_repeat() -> None:
    """Each row holds every index once; the generator decides which comes where."""
    drawn = [random_permutations(5, 9, generator=torch.Generator().manual_seed(4)) for _ in range(2)]

    assert torch.equal(drawn[0].sort(dim=1).values, torch.arange(9).expand(5, -1))
    assert torch.equal(drawn[0], drawn[1])
    assert len({tuple(row) for row in drawn[0].tolist()}) == 5


def test_loss_counts_masked_patches_only() -> None:
    """The loss is the mean over masked patches of a patch's mean squared error, by loops."""
    generator = torch.Generator().manual_seed(0)
    predicted, patches = (torch.randn(2, 4, 3, generator=generator) for _ in range(2))
    mask = torch.tensor([[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 1.0, 0.0]])

    errors = [
        sum((predicted[i, j, k] - patches[i, j, k]).item() ** 2 for k in range(3)) / 3
        for i in range(2)
        for j in range(4)
        if mask[i, j] == 1
    ]

    assert reconstruction_loss(predicted, patches, mask).item() == pytest.approx(sum(errors) / 5)


def test_vit_learns_colours() -> None:
    """A small ViT learns to tell three colours apart, on images it has not seen, too."""
    vit, epochs = narrow_vit(), []

    history = train_classifier(
        vit,
        colour_batches(),
        settings=TrainingSettings(3e-3, 1e-9, 10),
        on_epoch=lambda epoch, loss: epochs.append((epoch, loss)),
    )

    assert history[-1] < 0.5 * history[0]
    assert accuracy(vit, colour_batches(seed=1)) > 0.9
    assert epochs == list(enumerate(history, start=1))


def test_pretraining_reduces_the_loss() -> None:
    """A small autoencoder learns to paint the colours that it cannot see."""
    history = pretrain(
        narrow_autoencoder(),
        colour_batches(),
        settings=TrainingSettings(3e-3, 0.05, 15),
        generator=torch.Generator().manual_seed(0),
    )

    assert len(history) == 15
    assert history[-1] < 0.6 * history[0]


def test_training_repeats_bit_for_bit() -> None:
    """The same seeds give the same parameters, for both kinds of training."""
    runs = []
    for _ in range(2):
        vit, mae = narrow_vit(), narrow_autoencoder()
        train_classifier(vit, colour_batches(), settings=TrainingSettings(1e-3, 1e-9, 2))
        pretrain(
            mae,
            colour_batches(),
            settings=TrainingSettings(1e-3, 0.05, 2),
            generator=torch.Generator().manual_seed(0),
        )
        runs.append([*vit.parameters(), *mae.parameters()])

    assert all(torch.equal(first, second) for first, second in zip(*runs, strict=True))


@pytest.mark.parametrize("detach", [True, False])
def test_linear_probe_leaves_the_autoencoder_alone(detach: bool) -> None:
    """A linear probe reduces the loss without changing the autoencoder; fine-tuning changes its encoder."""
    mae = narrow_autoencoder()
    before = copy.deepcopy(mae.state_dict())
    classifier = ClassificationMAE(3, mae, embedding_dim=16, detach=detach)

    history = train_classifier(classifier, colour_batches(), settings=TrainingSettings(1e-2, 1e-9, 5))

    changed = {name for name, value in mae.state_dict().items() if not torch.equal(value, before[name])}
    assert history[-1] < history[0]
    assert bool(changed) is not detach
    assert not any(name.startswith("decoder") for name in changed)


def test_accuracy_counts() -> None:
    """Accuracy is the share of right answers over batches of unequal size."""
    logits = torch.eye(3)[torch.tensor([0, 1, 2, 0, 1])]
    batches = DataLoader(TensorDataset(logits, torch.tensor([0, 1, 2, 2, 2])), batch_size=2)

    assert accuracy(torch.nn.Identity(), batches) == pytest.approx(3 / 5)


def test_plain_batches_will_do() -> None:
    """A list of batches can stand in for a DataLoader."""
    images, labels = torch.randn(4, 3, 8, 8), torch.tensor([0, 1, 2, 0])

    history = train_classifier(narrow_vit(), [(images, labels)], settings=TrainingSettings(1e-3, 0.0, 1))

    assert len(history) == 1


RECIPE = TrainingSettings(1e-3, 1e-9, 3)


def train(path: Path, model: torch.nn.Module, *, settings: TrainingSettings = RECIPE) -> list[float]:
    """Train on batches in a fixed order, and keep every epoch."""
    return train_classifier(model, list(colour_batches()), settings=settings, checkpoint=Checkpoint(path))


def test_training_goes_on_where_it_was_cut_off(tmp_path: Path) -> None:
    """Two epochs, then a fresh model for three: one epoch is trained, and all is as if nothing had happened."""
    whole, first, second = narrow_vit(), narrow_vit(), narrow_vit()
    expected = train(tmp_path / "whole", whole)

    train(tmp_path / "cut", first, settings=replace(RECIPE, epochs=2))
    seen: list[int] = []
    batches = list(colour_batches())
    history = train_classifier(
        second,
        batches,
        settings=RECIPE,
        on_epoch=lambda epoch, _: seen.append(epoch),
        checkpoint=Checkpoint(tmp_path / "cut"),
    )

    assert seen == [3]
    assert history == pytest.approx(expected, rel=1e-6)
    for resumed, right in zip(second.parameters(), whole.parameters(), strict=True):
        torch.testing.assert_close(resumed, right)


@pytest.mark.parametrize("change", ["code", "recipe", "cut short", "other sizes"])
def test_a_checkpoint_of_something_else_is_not_taken_up(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: str
) -> None:
    """Code that was corrected, another step size, half a file, another network: training begins again, and says so."""
    path = tmp_path / "kept"
    train(path, narrow_vit())
    model, settings = narrow_vit(), RECIPE
    if change == "code":
        forward = model.forward
        model.forward = lambda images: forward(images.flip(1))  # type: ignore[method-assign]
    elif change == "recipe":
        settings = replace(RECIPE, learning_rate=2e-3)
    elif change == "cut short":
        path.write_bytes(path.read_bytes()[:1000])
    else:
        model = ClassificationMAE(3, narrow_autoencoder(), embedding_dim=16)  # type: ignore[assignment]
    before = copy.deepcopy(model.state_dict())

    found = train(path, model, settings=replace(settings, epochs=0))

    assert found == []
    assert "training begins again" in capsys.readouterr().out
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_finished_training_is_not_done_again(tmp_path: Path) -> None:
    """The parameters and losses come back without an epoch; the masks that pretraining draws do not matter."""
    batches = list(colour_batches())
    first, second = narrow_autoencoder(), narrow_autoencoder()
    settings = TrainingSettings(1e-3, 0.05, 2)

    losses = pretrain(first, batches, settings=settings, checkpoint=Checkpoint(tmp_path / "mae"))
    again = pretrain(second, [], settings=settings, checkpoint=Checkpoint(tmp_path / "mae"))

    assert again == losses
    assert all(torch.equal(*pair) for pair in zip(first.parameters(), second.parameters(), strict=True))
