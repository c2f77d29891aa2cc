"""Masking against slow loops that follow its definition."""

from __future__ import annotations

import pytest
import torch

from reference.vision.masking import index_sequence, random_masking, restore_masked

# (batch, length, features, kept)
SIZES = [
    pytest.param(2, 64, 5, 16, id="homework"),
    pytest.param(3, 7, 1, 2, id="odd"),
    pytest.param(1, 4, 2, 4, id="nothing masked"),
    pytest.param(1, 4, 2, 0, id="everything masked"),
]


def draw_permutations(batch: int, length: int) -> torch.Tensor:
    """Return one permutation for each row."""
    generator = torch.Generator().manual_seed(1)
    return torch.stack([torch.randperm(length, generator=generator) for _ in range(batch)])


@pytest.mark.parametrize(("batch", "length", "features", "kept_length"), SIZES)
def test_random_masking_by_loops(batch: int, length: int, features: int, kept_length: int) -> None:
    """Kept, mask and ids_restore are what the definition says, element by element."""
    x = torch.randn(batch, length, features, generator=torch.Generator().manual_seed(0))
    ids_shuffle = draw_permutations(batch, length)

    kept, mask, ids_restore = random_masking(x, kept_length, ids_shuffle)

    assert kept.shape == (batch, kept_length, features)
    assert mask.shape == ids_restore.shape == (batch, length)
    for row in range(batch):
        for place, patch in enumerate(ids_shuffle[row].tolist()):
            assert ids_restore[row, patch] == place
            assert mask[row, patch] == (0 if place < kept_length else 1)
            if place < kept_length:
                assert torch.equal(kept[row, place], x[row, patch])


@pytest.mark.parametrize(("batch", "length", "features", "kept_length"), SIZES)
def test_restore_undoes_the_shuffle(batch: int, length: int, features: int, kept_length: int) -> None:
    """Kept patches return to their places, and stand-ins fill the gaps in shuffled order."""
    x = torch.randn(batch, length, features, generator=torch.Generator().manual_seed(0))
    ids_shuffle = draw_permutations(batch, length)
    kept, mask, ids_restore = random_masking(x, kept_length, ids_shuffle)
    stand_ins = torch.randn(batch, length - kept_length, features)

    restored = restore_masked(kept, stand_ins, ids_restore)

    assert torch.equal(restored[mask == 0], x[mask == 0])
    for row in range(batch):
        for place, patch in enumerate(ids_shuffle[row, kept_length:].tolist()):
            assert torch.equal(restored[row, patch], stand_ins[row, place])


@pytest.mark.parametrize("features", [None, 1, 3])
def test_index_sequence_by_loops(features: int | None) -> None:
    """Elements are picked by their indices, from numbers as from vectors, and may be picked twice."""
    x = torch.arange(10.0).reshape(2, 5)
    if features is not None:
        x = x.unsqueeze(-1) + 100 * torch.arange(features)
    ids = torch.tensor([[4, 0, 0], [1, 2, 3]])

    picked = index_sequence(x, ids)

    expected = torch.stack([torch.stack([x[row, i] for i in ids[row].tolist()]) for row in range(2)])
    assert torch.equal(picked, expected)


def test_gradient_reaches_kept_patches_only() -> None:
    """A masked patch has no influence on what is kept."""
    x = torch.randn(2, 6, 3, requires_grad=True)
    kept, mask, _ = random_masking(x, 2, draw_permutations(2, 6))

    kept.sum().backward()

    assert x.grad is not None
    assert torch.equal(x.grad, (1 - mask).detach().unsqueeze(-1).expand(-1, -1, 3))


def test_inputs_are_left_as_they_were() -> None:
    """Neither function writes into what it is given."""
    x, ids_shuffle = torch.randn(2, 6, 3), draw_permutations(2, 6)
    copies = x.clone(), ids_shuffle.clone()

    kept, _, ids_restore = random_masking(x, 2, ids_shuffle)
    restore_masked(kept, x[:, :4], ids_restore)

    assert torch.equal(x, copies[0])
    assert torch.equal(ids_shuffle, copies[1])
