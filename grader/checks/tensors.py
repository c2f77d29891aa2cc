"""Tensors to arrays of the wire and back."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from grader.wire import Arrays


def to_arrays(tensors: Mapping[str, torch.Tensor]) -> Arrays:
    """Return each tensor's values as an array of its own dtype."""
    return {name: tensor.detach().cpu().contiguous().numpy() for name, tensor in tensors.items()}


def to_tensors(arrays: Arrays) -> dict[str, torch.Tensor]:
    """Return a tensor with a copy of each array's values."""
    return {name: torch.from_numpy(array.copy()) for name, array in arrays.items()}
