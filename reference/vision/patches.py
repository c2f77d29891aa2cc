"""Images as sequences of patches, and back."""

from __future__ import annotations

import math

import torch


def patchify(images: torch.Tensor, patch_size: int = 4) -> torch.Tensor:
    """
    Cut every image into square patches and flatten each patch into a vector.

    Shapes: B images of C channels, H rows and W columns; p the patch size; N = (H / p) (W / p) patches.

    Args:
        images: (B, C, H, W), H and W divisible by p.
        patch_size: p, the side of a patch in pixels.

    Returns:
        (B, N, C p p): the patches in reading order of the image (row by row); inside a patch the
        channel changes slowest, then the row, then the column.

    Source: Dosovitskiy et al. 2021, An Image is Worth 16x16 Words, section 3.1.
    """
    batch, channels, height, width = images.shape
    rows, columns = height // patch_size, width // patch_size
    pixels = images.reshape(batch, channels, rows, patch_size, columns, patch_size)
    pixels = pixels.permute(0, 2, 4, 1, 3, 5)  # (B, rows, columns, C, p, p)
    return pixels.reshape(batch, rows * columns, channels * patch_size * patch_size)


def unpatchify(patches: torch.Tensor, patch_size: int = 4) -> torch.Tensor:
    """
    Put patches back together into images: the inverse of `patchify` for square images.

    Shapes: B images of C channels and side H; p the patch size; N = (H / p)² patches.

    Args:
        patches: (B, N, C p p), ordered as `patchify` orders them; N is a square number.
        patch_size: p, the side of a patch in pixels.

    Returns:
        (B, C, H, H).
    """
    batch, n_patches, patch_length = patches.shape
    side = math.isqrt(n_patches)
    channels = patch_length // (patch_size * patch_size)
    pixels = patches.reshape(batch, side, side, channels, patch_size, patch_size)
    pixels = pixels.permute(0, 3, 1, 4, 2, 5)  # (B, C, rows, p, columns, p)
    return pixels.reshape(batch, channels, side * patch_size, side * patch_size)
