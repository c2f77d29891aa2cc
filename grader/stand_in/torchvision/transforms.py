"""Transforms in the place of torchvision's, of images (H, W, 3) uint8 and of tensors (3, H, W)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn


class Compose:
    """Apply transforms one after the other."""

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = list(transforms)

    def __call__(self, image: Any) -> Any:
        """Return the image after all transforms."""
        for transform in self.transforms:
            image = transform(image)
        return image


class ToTensor:
    """Turn an image (H, W, C) uint8 into a tensor (C, H, W) float32 in [0, 1]."""

    def __call__(self, image: Any) -> torch.Tensor:
        """Return the tensor."""
        array = np.asarray(image)
        if array.ndim == 2:
            array = array[:, :, None]
        tensor = torch.from_numpy(np.ascontiguousarray(array)).permute(2, 0, 1).contiguous()
        return tensor.float() / 255 if tensor.dtype == torch.uint8 else tensor


class Normalize:
    """Subtract a mean and divide by a standard deviation, channel by channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        self.mean = torch.as_tensor(mean, dtype=torch.float32).reshape(-1, 1, 1)
        self.std = torch.as_tensor(std, dtype=torch.float32).reshape(-1, 1, 1)

    def __call__(self, image: torch.Tensor) -> torch.Tensor:
        """Return the normalised image."""
        return (image - self.mean) / self.std


class RandomHorizontalFlip:
    """Mirror an image with probability p; torch's generator draws."""

    def __init__(self, p: float = 0.5) -> None:
        self.p = p

    def __call__(self, image: Any) -> Any:
        """Return the image or its mirror image."""
        if torch.rand(()).item() >= self.p:
            return image
        return image.flip(-1) if isinstance(image, torch.Tensor) else np.ascontiguousarray(np.asarray(image)[:, ::-1])


class RandomCrop:
    """Cut a square out of an image, at a random place of the image with a border of zeros."""

    def __init__(self, size: int | Sequence[int], padding: int = 0) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)
        self.padding = padding

    def __call__(self, image: Any) -> Any:
        """Return the piece."""
        if isinstance(image, torch.Tensor):
            padded: Any = nn.functional.pad(image, [self.padding] * 4)
            top, left = self._place(padded.shape[-2:])
            return padded[..., top : top + self.size[0], left : left + self.size[1]]
        border = (self.padding, self.padding)
        padded = np.pad(np.asarray(image), (border, border, (0, 0)))
        top, left = self._place(padded.shape[:2])
        return np.ascontiguousarray(padded[top : top + self.size[0], left : left + self.size[1]])

    def _place(self, shape: Sequence[int]) -> tuple[int, int]:
        top, left = (int(torch.randint(shape[axis] - self.size[axis] + 1, ())) for axis in (0, 1))
        return top, left


class Resize:
    """Enlarge or reduce a square image; one that has the size already is left as it is."""

    def __init__(self, size: int | Sequence[int], **_: Any) -> None:
        self.size = (size, size) if isinstance(size, int) else tuple(size)

    def __call__(self, image: Any) -> Any:
        """Return the image in the wanted size."""
        is_tensor = isinstance(image, torch.Tensor)
        if (image.shape[-2:] if is_tensor else image.shape[:2]) == self.size:
            return image
        channels_first = image if is_tensor else torch.from_numpy(np.asarray(image)).permute(2, 0, 1)
        scaled = nn.functional.interpolate(channels_first[None].float(), size=self.size, mode="bilinear")[0]
        return scaled if is_tensor else np.ascontiguousarray(scaled.round().byte().permute(1, 2, 0).numpy())
