"""
Mistakes with `patchify` and `unpatchify`.

Shapes: B images, C channels, R rows and S columns of patches, p the patch size.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from torch import Tensor

from homework.misconceptions.catalogue import misconception
from homework.misconceptions.twins import Change
from reference.vision.patches import patchify, unpatchify

_OTHER_SIZES = ("generality",)  # at the homework's sizes these are right


def _cut(images: Tensor, patch_size: int) -> Tensor:
    """(B, C, R p, S p) → (B, C, R, p, S, p)."""
    batch, channels, height, width = images.shape
    return images.reshape(batch, channels, height // patch_size, patch_size, width // patch_size, patch_size)


def _flatten(pixels: Tensor) -> Tensor:
    """Flatten (B, two axes of the grid, three axes inside a patch) to (B, N, C p p)."""
    return pixels.flatten(3).flatten(1, 2)


def _permuted(images: Tensor, patch_size: int, *axes: int) -> Tensor:
    """Cut images into patches whose axes come in another order, batch and grid first."""
    return _flatten(_cut(images, patch_size).permute(axes))


def _permuted_first(*axes: int) -> Change:
    """Return a change of patchify's arguments: images whose patches are those of `_permuted`."""

    def change(images: Tensor, patch_size: int = 4) -> tuple[Any, ...]:
        batch, channels, height, width = images.shape
        rows, columns = height // patch_size, width // patch_size
        patches = _permuted(images, patch_size, *axes).reshape(batch, rows, columns, channels, patch_size, patch_size)
        return patches.permute(0, 3, 1, 4, 2, 5).reshape(images.shape), patch_size

    return change


def _assembled_first(read: Callable[[Tensor, int], Tensor]) -> Change:
    """Return a change of unpatchify's arguments: patches of the images that are assembled with a mistake."""

    def change(patches: Tensor, patch_size: int = 4) -> tuple[Any, ...]:
        return patchify(read(patches, patch_size), patch_size), patch_size

    return change


@misconception(
    "patchify.channel-last",
    before=_permuted_first(0, 2, 4, 3, 5, 1),
    happened="Inside each of your patches the channel changes fastest: the three colours of a pixel stand together.",
    right="The channel should change slowest: all of the first channel of a patch, then all of the second, then "
    "the third.",
    clues=(
        "permute",
        "rearrange",
    ),
)
def patchify_channel_last(images: Tensor, patch_size: int = 4) -> Tensor:
    """A patch is flattened as row, column, channel."""
    return _permuted(images, patch_size, 0, 2, 4, 3, 5, 1)


@misconception(
    "patchify.columns-first",
    before=_permuted_first(0, 4, 2, 1, 3, 5),
    happened="Your patches come column by column: the second one lies below the first.",
    right="Patches should come in reading order, row by row: the second patch lies to the right of the first.",
    clues=(
        "permute",
        "rearrange",
    ),
)
def patchify_columns_first(images: Tensor, patch_size: int = 4) -> Tensor:
    """Patches are ordered down the columns of the grid."""
    return _permuted(images, patch_size, 0, 4, 2, 1, 3, 5)


@misconception(
    "patchify.transposed-inside",
    before=_permuted_first(0, 2, 4, 1, 5, 3),
    happened="Each of your patches is transposed: inside it the pixels run down the columns.",
    right="Inside a channel of a patch the pixels should run row by row, as in the image.",
    clues=(
        "permute",
        "transpose",
    ),
)
def patchify_transposed_inside(images: Tensor, patch_size: int = 4) -> Tensor:
    """A patch is flattened as channel, column, row."""
    return _permuted(images, patch_size, 0, 2, 4, 1, 5, 3)


@misconception(
    "patchify.reshaped-only",
    happened="Your result has the values of the image in their old order: a reshape alone never moves a value, so each "
    "of your patches is a piece of the rows of one channel.",
    right="Height and width should first be split into grid and patch; then the axes of the grid go to the front, and "
    "only then is flattened.",
    clues=(
        "return",
        "reshape",
        "view",
    ),
)
def patchify_reshaped_only(images: Tensor, patch_size: int = 4) -> Tensor:
    """The image is reshaped to the patches' shape without a permutation of axes."""
    return images.reshape(patchify(images, patch_size).shape)


@misconception(
    "patchify.channels-before-grid",
    happened="The axis of the channels stands before those of the grid when you flatten, so your patches mix pieces "
    "of several places.",
    right="The two axes of the grid should come right after the batch; channel, row and column of a patch follow.",
    clues=(
        "unfold",
        "reshape",
    ),
)
def patchify_channels_before_grid(images: Tensor, patch_size: int = 4) -> Tensor:
    """What two unfolds give, with channels still before the grid, is reshaped to the patches' shape."""
    pixels = _cut(images, patch_size).permute(0, 1, 2, 4, 3, 5)
    return pixels.reshape(patchify(images, patch_size).shape)


@misconception(
    "patchify.patches-last",
    after=lambda patches: patches.transpose(1, 2),
    happened="The last two axes of your result are swapped: the patches are counted by the last one.",
    right="The second axis should count the patches and the last one the numbers of a patch.",
    clues=(
        "unfold",
        "return",
    ),
)
def patchify_patches_last(images: Tensor, patch_size: int = 4) -> Tensor:
    """What `F.unfold` gives, without the transposition."""
    return patchify(images, patch_size).transpose(1, 2)


@misconception(
    "patchify.grid-not-flattened",
    happened="Your result still has two axes for the grid of patches.",
    right="The patches should be counted by a single axis, row by row of the grid.",
    clues=("return",),
)
def patchify_grid_not_flattened(images: Tensor, patch_size: int = 4) -> Tensor:
    """Rows and columns of the grid stay two axes."""
    return _cut(images, patch_size).permute(0, 2, 4, 1, 3, 5).flatten(3)


@misconception(
    "patchify.patch-size-fixed",
    happened="Your patches have a side of 4 pixels, whatever `patch_size` is.",
    right="The side of a patch should be the argument `patch_size`.",
    aspects=_OTHER_SIZES,
    clues=(
        "4",
        "patch_size",
    ),
)
def patchify_patch_size_fixed(images: Tensor, patch_size: int = 4) -> Tensor:
    """The homework's patch size is written into the function."""
    return patchify(images, 4)


@misconception(
    "patchify.square-images-only",
    happened="Your patches cover a square of the image only, because one side is taken for both.",
    right="Height and width may differ, so the numbers of rows and columns of patches should each come from its own "
    "side.",
    aspects=_OTHER_SIZES,
    clues=(
        "rows",
        "height",
    ),
)
def patchify_square_images_only(images: Tensor, patch_size: int = 4) -> Tensor:
    """The number of rows of patches serves as the number of columns, too."""
    side = images.shape[2]
    return patchify(images[:, :, :, :side], patch_size)


def _spread(patches: Tensor, patch_size: int) -> Tensor:
    """(B, R R, C p p) → (B, R, R, C, p, p)."""
    batch, n_patches, length = patches.shape
    side = math.isqrt(n_patches)
    return patches.reshape(batch, side, side, length // patch_size**2, patch_size, patch_size)


def _assemble(pixels: Tensor) -> Tensor:
    """(B, R, R, C, p, p) → (B, C, R p, R p)."""
    return pixels.permute(0, 3, 1, 4, 2, 5).flatten(4).flatten(2, 3)


def _read_channel_last(patches: Tensor, patch_size: int) -> Tensor:
    batch, side, _, channels, *_ = _spread(patches, patch_size).shape
    pixels = patches.reshape(batch, side, side, patch_size, patch_size, channels)
    return _assemble(pixels.permute(0, 1, 2, 5, 3, 4))


def _read_columns_first(patches: Tensor, patch_size: int) -> Tensor:
    return _assemble(_spread(patches, patch_size).transpose(1, 2))


def _read_transposed_inside(patches: Tensor, patch_size: int) -> Tensor:
    return _assemble(_spread(patches, patch_size).transpose(4, 5))


@misconception(
    "unpatchify.channel-last",
    before=_assembled_first(_read_channel_last),
    happened="You read each patch as if the three colours of a pixel stood together in it.",
    right="A patch should be read channel by channel: all of the first one, then all of the second, then the third.",
    clues=(
        "permute",
        "rearrange",
    ),
)
def unpatchify_channel_last(patches: Tensor, patch_size: int = 4) -> Tensor:
    """A patch is read as row, column, channel."""
    return _read_channel_last(patches, patch_size)


@misconception(
    "unpatchify.columns-first",
    before=_assembled_first(_read_columns_first),
    happened="You lay the patches out column by column: the second one comes below the first.",
    right="Patches should be laid out in reading order, row by row: the second patch lies to the right of the first.",
    clues=(
        "permute",
        "rearrange",
    ),
)
def unpatchify_columns_first(patches: Tensor, patch_size: int = 4) -> Tensor:
    """Patches are laid out down the columns of the grid."""
    return _read_columns_first(patches, patch_size)


@misconception(
    "unpatchify.transposed-inside",
    before=_assembled_first(_read_transposed_inside),
    happened="Each patch is transposed where you lay it down: its rows have become columns.",
    right="Inside a channel of a patch the pixels run row by row and should stay so in the image.",
    clues=(
        "permute",
        "transpose",
    ),
)
def unpatchify_transposed_inside(patches: Tensor, patch_size: int = 4) -> Tensor:
    """A patch is read as channel, column, row."""
    return _read_transposed_inside(patches, patch_size)


@misconception(
    "unpatchify.transposed",
    after=lambda images: images.transpose(2, 3),
    happened="Your images are transposed: height and width are swapped.",
    right="Rows of the grid and rows inside a patch should become the height of the image, columns its width.",
    clues=(
        "permute",
        "transpose",
    ),
)
def unpatchify_transposed(patches: Tensor, patch_size: int = 4) -> Tensor:
    """The image comes out mirrored along its diagonal."""
    return unpatchify(patches, patch_size).transpose(2, 3)


@misconception(
    "unpatchify.reshaped-only",
    happened="Your result has the values of the patches in their old order: a reshape alone never moves a value, so "
    "the pixels of a patch end up beside each other in one row.",
    right="The axes should first be split into grid, channel and patch; then each axis of the grid goes next to its "
    "axis of the patch, and only then is flattened.",
    clues=(
        "return",
        "reshape",
        "view",
    ),
)
def unpatchify_reshaped_only(patches: Tensor, patch_size: int = 4) -> Tensor:
    """The patches are reshaped to the images' shape without a permutation of axes."""
    return patches.reshape(unpatchify(patches, patch_size).shape)


@misconception(
    "unpatchify.grid-not-interleaved",
    happened="You flatten while both axes of the grid stand before both axes of the patch, so rows of patches and "
    "rows of pixels are mixed up.",
    right="The rows of the grid should stand right before the rows of a patch, and the columns of the grid right "
    "before its columns.",
    clues=(
        "permute",
        "reshape",
    ),
)
def unpatchify_grid_not_interleaved(patches: Tensor, patch_size: int = 4) -> Tensor:
    """Channels are brought to the front and the rest is flattened as it stands."""
    pixels = _spread(patches, patch_size).permute(0, 3, 1, 2, 4, 5)
    return pixels.reshape(unpatchify(patches, patch_size).shape)


@misconception(
    "unpatchify.images-channel-last",
    after=lambda images: images.permute(0, 2, 3, 1),
    happened="Your images have their channels in the last axis, as for plotting.",
    right="The channels should be the second axis, right after the batch, as in the images that `patchify` takes.",
    clues=(
        "permute",
        "return",
    ),
)
def unpatchify_images_channel_last(patches: Tensor, patch_size: int = 4) -> Tensor:
    """The images come as height, width, channel."""
    return unpatchify(patches, patch_size).permute(0, 2, 3, 1)
