"""Small real images that need no network: handwritten digits with labels, and crops of photographs."""

from __future__ import annotations

import functools
import importlib.util
from pathlib import Path

import numpy as np
import torch
from PIL import Image
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
    rows = np.loadtxt(_data_set("data/digits.csv.gz"), delimiter=",", dtype=np.float32)  # 64 pixels and a label each
    grey = torch.from_numpy(rows[:, :64] / 16).reshape(-1, 1, 8, 8)
    enlarged = nn.functional.interpolate(grey, size=(side, side), mode="bilinear", align_corners=False)
    return enlarged.expand(-1, 3, -1, -1).contiguous(), torch.from_numpy(rows[:, 64].astype(np.int64))


@functools.cache
def photographs() -> dict[str, torch.Tensor]:
    """Return scikit-learn's two photographs, a temple ("china") and a flower, (3, 427, 640) float32 in [0, 1]."""
    found = {}
    for name in ("china", "flower"):
        with Image.open(_data_set(f"images/{name}.jpg")) as image:
            found[name] = torch.from_numpy(np.asarray(image, dtype=np.float32) / 255).permute(2, 0, 1)
    return found


def _data_set(name: str) -> Path:
    """Return a file that scikit-learn ships; importing the library for it would take half a second."""
    library = importlib.util.find_spec("sklearn")
    if library is None or library.origin is None:
        raise ModuleNotFoundError("scikit-learn is not installed: run setup.sh", name="sklearn")
    return Path(library.origin).parent / "datasets" / name


def photograph_crops(count: int, *, generator: torch.Generator, side: int = 32) -> torch.Tensor:
    """
    Draw square crops of the photographs, of any size from 4 × side up, made smaller by averaging.

    Small pictures of large things, they have about the statistics of CIFAR-10, which tiles cut out at full
    resolution, smooth as they are, have not.

    Returns:
        (count, 3, side, side) float32 in [0, 1], half of them mirrored by chance.
    """
    sources = list(photographs().values())
    crops = []
    for _ in range(count):
        image = sources[_draw(len(sources), generator)]
        size = 4 * side + _draw(min(image.shape[1:]) - 4 * side + 1, generator)
        top, left = (_draw(length - size + 1, generator) for length in image.shape[1:])
        crop = image[None, :, top : top + size, left : left + size]
        small = nn.functional.interpolate(crop, size=(side, side), mode="area")[0]
        crops.append(small.flip(2) if _draw(2, generator) else small)
    return torch.stack(crops)


@functools.cache
def photograph_statistics() -> tuple[torch.Tensor, torch.Tensor]:
    """
    Return mean and standard deviation of the channels of both photographs together, (3, 1, 1) each.

    Crops normalised by them have means of 0 and deviations of 1, as the homework's images have; normalised by those of
    CIFAR-10, a photograph with much white sky would lie outside of what a model has met.
    """
    pixels = torch.cat([image.flatten(1) for image in photographs().values()], dim=1)
    return pixels.mean(dim=1).view(3, 1, 1), pixels.std(dim=1).view(3, 1, 1)


def normalised_crops(count: int, *, generator: torch.Generator) -> torch.Tensor:
    """Draw crops (count, 3, 32, 32) of the photographs, normalised by the photographs' own statistics."""
    mean, std = photograph_statistics()
    return (photograph_crops(count, generator=generator) - mean) / std


def _draw(end: int, generator: torch.Generator) -> int:
    return int(torch.randint(end, (), generator=generator))
