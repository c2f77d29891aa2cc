"""The small real images: sizes and values."""

from __future__ import annotations

import numpy as np
import torch
from sklearn.datasets import load_sample_image

from reference.vision.images import CHANNEL_MEAN, CHANNEL_STD, digits, normalise, photographs


def test_digits_are_labelled_rgb_images_of_homework_size() -> None:
    """1,797 digits of 32 by 32 pixels with equal channels, all ten classes, values from 0 to 1."""
    images, labels = digits()

    assert images.shape == (1797, 3, 32, 32)
    assert labels.unique().tolist() == list(range(10))
    assert (images.min().item(), images.max().item()) == (0.0, 1.0)
    torch.testing.assert_close(images[:, 0], images[:, 2])


def test_photographs_are_those_of_scikit_learn() -> None:
    """Both are there, channel first, with values from 0 to 1."""
    for name, image in photographs().items():
        right = load_sample_image(f"{name}.jpg")
        np.testing.assert_allclose(image.permute(1, 2, 0).numpy() * 255, right, atol=1e-4)


def test_normalising_takes_the_channels_mean_to_zero_and_their_deviation_to_one() -> None:
    """The mean of CIFAR-10 becomes 0, one deviation above it 1."""
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in (CHANNEL_MEAN, CHANNEL_STD))

    torch.testing.assert_close(normalise(torch.cat([mean, mean + std])), torch.cat([0 * mean, 0 * mean + 1]))
