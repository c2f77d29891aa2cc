"""
Mistakes with `random_masking` and `restore_masked`.

Shapes: B images, L patches of which K are kept, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor

from homework.misconceptions.catalogue import misconception
from reference.vision.masking import index_sequence, random_masking, restore_masked

Masked = tuple[Tensor, Tensor, Tensor]  # kept, mask, ids_restore


def _shuffled_mask(x: Tensor, keep_length: int) -> Tensor:
    """(B, L), 0 for the first K and 1 for the others: the mask before it is brought to the patches' order."""
    mask = torch.ones(x.shape[:2])
    mask[:, :keep_length] = 0
    return mask


@misconception(
    "random_masking.mask-inverted",
    happened="Your `mask` is inverted: it is 1 where a patch was kept.",
    right="`mask` should be 1 exactly where a patch was removed, and 0 where it was kept.",
    clues=(
        "zeros",
        "ones",
        "scatter_",
        "mask",
    ),
)
def mask_inverted(x: Tensor, keep_length: int, ids_shuffle: Tensor) -> Masked:
    """The mask is 1 for the patches that are kept."""
    kept, mask, ids_restore = random_masking(x, keep_length, ids_shuffle)
    return kept, 1 - mask, ids_restore


@misconception(
    "random_masking.mask-shuffled",
    happened="Your `mask` is still in shuffled order: its zeros all stand first.",
    right="`mask` should be in the original order of the patches: re-order it by `ids_restore` at the end.",
    clues=(
        "mask",
        "cat",
        "ones",
    ),
)
def mask_shuffled(x: Tensor, keep_length: int, ids_shuffle: Tensor) -> Masked:
    """The mask is never brought back to the order of the patches."""
    kept, _, ids_restore = random_masking(x, keep_length, ids_shuffle)
    return kept, _shuffled_mask(x, keep_length), ids_restore


@misconception(
    "random_masking.mask-shuffled-and-inverted",
    happened="Your `mask` is still in shuffled order, and it is inverted: it begins with ones for the kept patches.",
    right="`mask` should be 1 exactly where a patch was removed, in the original order of the patches, which "
    "`ids_restore` brings back.",
    clues=(
        "zeros",
        "mask",
    ),
)
def mask_shuffled_and_inverted(x: Tensor, keep_length: int, ids_shuffle: Tensor) -> Masked:
    """The mask is 1 for the kept patches, in shuffled order."""
    kept, _, ids_restore = random_masking(x, keep_length, ids_shuffle)
    return kept, 1 - _shuffled_mask(x, keep_length), ids_restore


@misconception(
    "random_masking.mask-ordered-by-ids-shuffle",
    happened="Your `mask` was re-ordered by `ids_shuffle`, which shuffles it once more.",
    right="`ids_restore`, the inverse of `ids_shuffle`, should bring it back to the original order.",
    clues=("mask",),
)
def mask_ordered_by_ids_shuffle(x: Tensor, keep_length: int, ids_shuffle: Tensor) -> Masked:
    """The mask is re-ordered by the permutation instead of its inverse."""
    kept, _, ids_restore = random_masking(x, keep_length, ids_shuffle)
    return kept, index_sequence(_shuffled_mask(x, keep_length), ids_shuffle), ids_restore


@misconception(
    "random_masking.ids-restore-is-ids-shuffle",
    happened="Your `ids_restore` equals `ids_shuffle`, and your `mask` was re-ordered by it.",
    right="`ids_restore` should be the inverse permutation: what `ids_shuffle` moved, it moves back.",
    clues=(
        "ids_restore",
        "return",
    ),
)
def ids_restore_is_ids_shuffle(x: Tensor, keep_length: int, ids_shuffle: Tensor) -> Masked:
    """The permutation serves as its own inverse, for the mask too."""
    kept, _, _ = random_masking(x, keep_length, ids_shuffle)
    return kept, index_sequence(_shuffled_mask(x, keep_length), ids_shuffle), ids_shuffle


@misconception(
    "random_masking.returns-ids-shuffle",
    happened="`kept` and `mask` are right, but `ids_shuffle` comes back in the place of `ids_restore`.",
    right="`ids_restore` should be the inverse permutation of `ids_shuffle`.",
    clues=("return",),
)
def returns_ids_shuffle(x: Tensor, keep_length: int, ids_shuffle: Tensor) -> Masked:
    """The third output is the permutation itself."""
    kept, mask, _ = random_masking(x, keep_length, ids_shuffle)
    return kept, mask, ids_shuffle


@misconception(
    "random_masking.roles-of-ids-swapped",
    before=lambda x, keep_length, ids: (x, keep_length, torch.argsort(ids, dim=1)),
    happened="`ids_shuffle` and its inverse have swapped roles: you keep patches by the inverse and return "
    "`ids_shuffle` itself as `ids_restore`.",
    right="`ids_shuffle` should say which patches come first and are kept; its inverse, `ids_restore`, brings "
    "them back.",
    clues=("argsort",),
)
def roles_of_ids_swapped(x: Tensor, keep_length: int, ids_shuffle: Tensor) -> Masked:
    """Everything is right for the inverse permutation."""
    return random_masking(x, keep_length, torch.argsort(ids_shuffle, dim=1))


@misconception(
    "random_masking.kept-not-shuffled",
    happened="Your `kept` holds the first patches of the image itself.",
    right="`kept` should hold the patches that come first after `x` is re-ordered by `ids_shuffle`.",
    clues=(
        "kept",
        "return",
    ),
)
def kept_not_shuffled(x: Tensor, keep_length: int, ids_shuffle: Tensor) -> Masked:
    """The first K patches are kept, without a shuffle."""
    _, mask, ids_restore = random_masking(x, keep_length, ids_shuffle)
    return x[:, :keep_length], mask, ids_restore


@misconception(
    "random_masking.kept-by-ids-restore",
    happened="Your `kept` holds the first patches of `x` re-ordered by `ids_restore`.",
    right="`kept` should come from `ids_shuffle`; `ids_restore` only serves for the way back.",
    clues=(
        "kept",
        "return",
    ),
)
def kept_by_ids_restore(x: Tensor, keep_length: int, ids_shuffle: Tensor) -> Masked:
    """Kept patches are picked by the inverse permutation."""
    _, mask, ids_restore = random_masking(x, keep_length, ids_shuffle)
    return index_sequence(x, ids_restore[:, :keep_length]), mask, ids_restore


@misconception(
    "random_masking.kept-in-image-order",
    happened="Your `kept` holds the right patches, but in the order of the image.",
    right="Kept patches should stay in the order in which `ids_shuffle` lists them, or `ids_restore` puts them back in "
    "wrong places.",
    clues=(
        "kept",
        "return",
    ),
)
def kept_in_image_order(x: Tensor, keep_length: int, ids_shuffle: Tensor) -> Masked:
    """Kept patches are picked by the mask, so they stand in the order of the image."""
    _, mask, ids_restore = random_masking(x, keep_length, ids_shuffle)
    in_order = ids_shuffle[:, :keep_length].sort(dim=1).values
    return index_sequence(x, in_order), mask, ids_restore


@misconception(
    "random_masking.last-ones-kept",
    happened="You keep the last patches of the shuffled sequence, and your `mask` is 0 for those.",
    right="The first ones of the shuffled sequence should be kept, and the rest masked.",
    clues=(
        "-keep_length",
        "kept",
        "keep_length",
    ),
)
def last_ones_kept(x: Tensor, keep_length: int, ids_shuffle: Tensor) -> Masked:
    """The last K of the shuffled patches are kept."""
    _, _, ids_restore = random_masking(x, keep_length, ids_shuffle)
    shuffled_mask = _shuffled_mask(x, keep_length).flip(1)
    return index_sequence(x, ids_shuffle[:, -keep_length:]), index_sequence(shuffled_mask, ids_restore), ids_restore


@misconception(
    "random_masking.removed-ones-returned",
    happened="Your `kept` holds the patches that should be removed.",
    right="`kept` should hold the first `keep_length` patches of the shuffled sequence; the others are dropped.",
    clues=(
        "kept",
        "keep_length",
    ),
)
def removed_ones_returned(x: Tensor, keep_length: int, ids_shuffle: Tensor) -> Masked:
    """What comes back are the L - K removed patches."""
    _, mask, ids_restore = random_masking(x, keep_length, ids_shuffle)
    return index_sequence(x, ids_shuffle[:, keep_length:]), mask, ids_restore


@misconception(
    "random_masking.keep-length-removed",
    before=lambda x, keep_length, ids: (x, x.shape[1] - keep_length, ids),
    happened="You take `keep_length` for the number of patches to remove.",
    right="`keep_length` patches should be kept: `kept` has that many, and each row of `mask` that many zeros.",
    clues=("keep_length",),
)
def keep_length_removed(x: Tensor, keep_length: int, ids_shuffle: Tensor) -> Masked:
    """L - K patches are kept and K are masked."""
    return random_masking(x, x.shape[1] - keep_length, ids_shuffle)


@misconception(
    "random_masking.removed-ones-zeroed",
    happened="Your `kept` still has a place for every patch, with zeros where a patch was removed.",
    right="Removed patches should be gone from the sequence, so that the encoder never sees them.",
    clues=(
        "kept",
        "return",
    ),
)
def removed_ones_zeroed(x: Tensor, keep_length: int, ids_shuffle: Tensor) -> Masked:
    """Patches are set to zero where they should be left out."""
    _, mask, ids_restore = random_masking(x, keep_length, ids_shuffle)
    return x * (1 - mask).unsqueeze(-1), mask, ids_restore


@misconception(
    "random_masking.one-order-for-all-images",
    mixes_images=True,
    before=lambda x, keep_length, ids: (x, keep_length, ids[:1].expand_as(ids)),
    happened="All images are shuffled by the first row of `ids_shuffle`.",
    right="Each image of the batch has a row of its own there and should be shuffled by that row.",
    clues=("ids_shuffle",),
)
def one_order_for_all_images(x: Tensor, keep_length: int, ids_shuffle: Tensor) -> Masked:
    """The first image's permutation is used for the whole batch."""
    return random_masking(x, keep_length, ids_shuffle[:1].expand_as(ids_shuffle))


@misconception(
    "restore_masked.masked-first",
    before=lambda kept, masked, ids: (masked, kept, ids),
    happened="You put the masked patches before the kept ones.",
    right="The kept patches should come first, as they do in shuffled order; `ids_restore` counts on that.",
    clues=(
        "cat",
        "concat",
        "hstack",
    ),
)
def masked_first(kept_x: Tensor, masked_x: Tensor, ids_restore: Tensor) -> Tensor:
    """The two parts are joined the wrong way round."""
    return restore_masked(masked_x, kept_x, ids_restore)


@misconception(
    "restore_masked.order-not-restored",
    happened="Your result is the kept patches followed by the masked ones, still in shuffled order.",
    right="The joined sequence should be re-ordered by `ids_restore`, which brings every patch back to its place.",
    clues=(
        "return",
        "cat",
    ),
)
def order_not_restored(kept_x: Tensor, masked_x: Tensor, ids_restore: Tensor) -> Tensor:
    """The parts are joined and left in shuffled order."""
    return torch.cat([kept_x, masked_x], dim=1)


@misconception(
    "restore_masked.inverse-permutation",
    before=lambda kept, masked, ids: (kept, masked, torch.argsort(ids, dim=1)),
    happened="You re-order by the inverse of `ids_restore`: you send each element to the place that it names.",
    right="Each element of the result should be the one that `ids_restore` names at its place.",
    clues=("ids_restore",),
)
def inverse_permutation(kept_x: Tensor, masked_x: Tensor, ids_restore: Tensor) -> Tensor:
    """Elements are scattered by ids_restore, or it is inverted once more."""
    return restore_masked(kept_x, masked_x, torch.argsort(ids_restore, dim=1))


@misconception(
    "restore_masked.one-order-for-all-images",
    mixes_images=True,
    before=lambda kept, masked, ids: (kept, masked, ids[:1].expand_as(ids)),
    happened="All images are re-ordered by the first row of `ids_restore`.",
    right="Each image of the batch has a row of its own there and should be re-ordered by that row.",
    clues=("ids_restore",),
)
def one_restoring_for_all_images(kept_x: Tensor, masked_x: Tensor, ids_restore: Tensor) -> Tensor:
    """The first image's permutation is used for the whole batch."""
    return restore_masked(kept_x, masked_x, ids_restore[:1].expand_as(ids_restore))


@misconception(
    "restore_masked.filled-in-image-order",
    happened="You fill the places of kept and of masked patches from the start of the image to its end.",
    right="Both sequences are in shuffled order, so each element should go where `ids_restore` has it, not to "
    "the next free place.",
    clues=("masked_x",),
)
def filled_in_image_order(kept_x: Tensor, masked_x: Tensor, ids_restore: Tensor) -> Tensor:
    """Places are filled by a boolean mask, in the order of the image."""
    joined = torch.cat([kept_x, masked_x], dim=1)
    is_masked = (ids_restore >= kept_x.shape[1]).long()
    return index_sequence(joined, torch.argsort(torch.argsort(is_masked, dim=1, stable=True), dim=1))


@misconception(
    "restore_masked.masked-ones-zero",
    before=lambda kept, masked, ids: (kept, torch.zeros_like(masked), ids),
    happened="Your result has zeros in the places of masked patches.",
    right="The places of masked patches should hold what is in `masked_x`.",
    clues=(
        "zeros",
        "zeros_like",
    ),
)
def masked_ones_zero(kept_x: Tensor, masked_x: Tensor, ids_restore: Tensor) -> Tensor:
    """Of masked_x only the length is used."""
    return restore_masked(kept_x, torch.zeros_like(masked_x), ids_restore)
