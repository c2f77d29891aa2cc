"""Patches against torch's own unfold and fold, and against the definition, pixel by pixel."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from reference.vision.patches import patchify, unpatchify

# (channels, height, width, patch size)
SIZES = [
    pytest.param(3, 32, 32, 4, id="homework"),
    pytest.param(3, 32, 32, 8, id="large patches"),
    pytest.param(1, 6, 6, 3, id="grey"),
    pytest.param(2, 4, 6, 2, id="not square"),
    pytest.param(3, 4, 4, 1, id="single pixels"),
    pytest.param(3, 4, 4, 4, id="one patch"),
]


@pytest.mark.parametrize(("channels", "height", "width", "patch_size"), SIZES)
def test_patchify_is_unfold(channels: int, height: int, width: int, patch_size: int) -> None:
    """Patches are the non-overlapping windows that torch's unfold lists, in its order."""
    images = torch.randn(2, channels, height, width, generator=torch.Generator().manual_seed(0))

    expected = functional.unfold(images, patch_size, stride=patch_size).transpose(1, 2)

    assert torch.equal(patchify(images, patch_size), expected)


def test_patchify_pixel_by_pixel() -> None:
    """Number channel·p² + row·p + column of patch r·columns + c is the pixel at (r·p + row, c·p + column)."""
    images, size = torch.arange(2 * 3 * 4 * 6).reshape(2, 3, 4, 6), 2
    patches = patchify(images, size)

    assert patches.shape == (2, 6, 12)
    for image in range(2):
        for channel in range(3):
            for y in range(4):
                for x in range(6):
                    patch = (y // size) * 3 + x // size
                    position = channel * size * size + (y % size) * size + x % size
                    assert patches[image, patch, position] == images[image, channel, y, x]


@pytest.mark.parametrize(("patch_size", "side"), [(4, 8), (2, 3), (1, 5), (5, 1)])
def test_unpatchify_is_fold(patch_size: int, side: int) -> None:
    """Images come out as torch's fold puts them together, for any patch size and grid."""
    patches = torch.randn(2, side**2, 3 * patch_size**2, generator=torch.Generator().manual_seed(0))

    expected = functional.fold(patches.transpose(1, 2), side * patch_size, patch_size, stride=patch_size)

    assert torch.equal(unpatchify(patches, patch_size), expected)


def test_patch_size_defaults_to_four() -> None:
    """Left out, the patch size is that of the homework."""
    images = torch.arange(2.0 * 3 * 32 * 32).reshape(2, 3, 32, 32)

    assert patchify(images).shape == (2, 64, 48)
    assert torch.equal(unpatchify(patchify(images)), images)


def test_images_that_do_not_divide_are_refused() -> None:
    """An image whose side is no multiple of the patch size raises instead of losing pixels."""
    with pytest.raises(RuntimeError, match="invalid for input"):
        patchify(torch.zeros(1, 3, 10, 10), 4)


def test_gradients_flow_back_in_place() -> None:
    """Every pixel's gradient is that of the one number it became."""
    images = torch.randn(2, 3, 8, 8, requires_grad=True)
    weights = torch.randn(2, 4, 48)

    (patchify(images, 4) * weights).sum().backward()

    assert images.grad is not None
    assert torch.equal(images.grad, unpatchify(weights, 4))
