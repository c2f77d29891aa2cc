"""Small real images that need no network: handwritten digits with labels, and tiles of photographs."""

from __future__ import annotations

import functools

import numpy as np
import torch
from torch import nn

# Mean and standard deviation of the channels of CIFAR-10, with which the homework normalises its images.
CHANNEL_MEAN = (0.4914, 0.4822, 0.4465)
CHANNEL_STD = (0.2470, 0.2435, 0.2616)


def normalise(images: torch.Tensor) -> torch.Tensor:
    """Return images (B, 3, H, W) with values in [0, 1] as the homework feeds them to a network."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (CHANNEL_MEAN, CHANNEL_STD))
    return (images - mean) / std


@functools.cache
def digits(*, side: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """
    Return scikit-learn's handwritten digits, enlarged, in three equal channels.

    Args:
        side: height and width in pixels; the originals have 8. Enlarged bilinearly, so that patches have content.

    Returns:
        Images (1797, 3, side, side) float32 in [0, 1], and labels (1797,) int64 from 0 to 9.
    """
    from sklearn.datasets import load_digits

    data = load_digits()
    grey = torch.from_numpy(data.images.astype(np.float32) / 16).unsqueeze(1)
    enlarged = nn.functional.interpolate(grey, size=(side, side), mode="bilinear", align_corners=False)
    return enlarged.expand(-1, 3, -1, -1).contiguous(), torch.from_numpy(data.target.astype(np.int64))


@functools.cache
def photograph_tiles(*, side: int = 32) -> dict[str, torch.Tensor]:
    """
    Return tiles of scikit-learn's two photographs, a temple ("china") and a flower, in raster order.

    Neighbouring tiles resemble each other: split into training and test by photograph, not by tile.

    Returns:
        For each photograph tiles (260, 3, side, side) float32 in [0, 1] (at the side of 32 pixels).
    """
    from sklearn.datasets import load_sample_images

    photographs = load_sample_images()
    names = [name.rsplit("/", 1)[-1].removesuffix(".jpg") for name in photographs.filenames]
    return {name: _tiles(image, side) for name, image in zip(names, photographs.images, strict=True)}


def _tiles(image: np.ndarray[tuple[int, ...], np.dtype[np.uint8]], side: int) -> torch.Tensor:
    rows, columns = image.shape[0] // side, image.shape[1] // side
    cut = torch.from_numpy(image[: rows * side, : columns * side].astype(np.float32) / 255)
    tiles = cut.reshape(rows, side, columns, side, 3).permute(0, 2, 4, 1, 3)
    return tiles.reshape(rows * columns, 3, side, side).contiguous()
