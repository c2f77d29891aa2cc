"""Hiding patches at random, and putting a shuffled sequence back in order."""

from __future__ import annotations

import torch


def index_sequence(x: torch.Tensor, ids: torch.Tensor) -> torch.Tensor:
    """
    Re-order (or select) the elements of every sequence of a batch.

    Shapes: B sequences of L elements, each a number or a vector of D numbers; L' elements are picked.

    Args:
        x: (B, L) or (B, L, D).
        ids: (B, L') int64; element j of row b in the result is element ids[b, j] of row b of x.

    Returns:
        (B, L') or (B, L', D).
    """
    if x.dim() == 3:
        ids = ids.unsqueeze(-1)  # (B, L', 1), the same choice for all D features
    return torch.take_along_dim(x, ids, dim=1)


def random_masking(
    x: torch.Tensor, keep_length: int, ids_shuffle: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """
    Keep the patches that a permutation puts first, and mark the others as masked.

    Shapes: B images, L patches of which K are kept, D features.

    Args:
        x: (B, L, D), the patches in their original order.
        keep_length: K, how many patches of each image are kept.
        ids_shuffle: (B, L) int64, a permutation of 0 … L-1 for each image.

    Returns:
        kept: (B, K, D), the first K patches of x re-ordered by ids_shuffle.
        mask: (B, L), in the original order of the patches: 0 where a patch was kept, 1 where it was masked.
        ids_restore: (B, L) int64, the inverse permutation of ids_shuffle.

    Source: He et al. 2022, Masked Autoencoders Are Scalable Vision Learners, section 3.
    """
    kept = index_sequence(x, ids_shuffle[:, :keep_length])
    ids_restore = torch.argsort(ids_shuffle, dim=1)
    shuffled_mask = torch.ones(x.shape[:2], dtype=x.dtype, device=x.device)
    shuffled_mask[:, :keep_length] = 0
    mask = index_sequence(shuffled_mask, ids_restore)
    return kept, mask, ids_restore


def restore_masked(kept_x: torch.Tensor, masked_x: torch.Tensor, ids_restore: torch.Tensor) -> torch.Tensor:
    """
    Put kept and masked patches back where they came from.

    Shapes: B images, L patches of which K are kept, D features.

    Args:
        kept_x: (B, K, D), in shuffled order.
        masked_x: (B, L - K, D), in shuffled order after the kept ones.
        ids_restore: (B, L) int64, the inverse of the permutation that shuffled.

    Returns:
        (B, L, D), in the original order.

    Source: He et al. 2022, Masked Autoencoders Are Scalable Vision Learners, section 3.
    """
    shuffled = torch.cat([kept_x, masked_x], dim=1)
    return index_sequence(shuffled, ids_restore)
