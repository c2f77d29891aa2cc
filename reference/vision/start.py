"""
A state from which training takes dozens of steps instead of thousands.

Positions are waves, so that near patches have like positions, and queries may equal keys, so that attention is to
neighbours from the beginning; what a network trained the usual way finds out in its first epochs is there already.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import nn


@dataclass(frozen=True)
class Start:
    """
    The state that training begins with.

    Args:
        local: queries equal keys, so that attention is to neighbours; otherwise to places drawn at random.
        gain: of queries and keys.
        tokens: size of the class token and the mask token.
        positions: amplitude of the waves by parameter; 1 where none is named.
    """

    local: bool
    gain: float
    tokens: float
    positions: Mapping[str, float]


PRETRAINING_START = Start(True, 1.0, 0.1, {"encoder_position_encoding": 0.5, "decoder_position_encoding": 1.5})
CLASSIFYING_START = Start(False, 1.7, 1.0, {})


def begin(module: nn.Module, generator: torch.Generator, start: Start) -> None:
    """Give a module the state that its training begins with."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            parameter.copy_(_beginning(name.removeprefix("mae."), parameter, generator, start))


def _beginning(name: str, parameter: torch.Tensor, generator: torch.Generator, start: Start) -> torch.Tensor:
    noise = torch.randn(*parameter.shape, generator=generator)
    if "position" in name:
        return start.positions.get(name, 1.0) * _waves(parameter.shape, generator)
    if parameter.dim() == 3:
        return start.tokens * noise
    if name.endswith("in_proj_weight"):
        query, other, value = (_rotation(parameter.shape[1], generator) for _ in range(3))
        return torch.cat([start.gain * query, start.gain * (query if start.local else other), value])
    if name.endswith("out_proj.weight"):
        return _rotation(parameter.shape[1], generator)
    if parameter.dim() == 2:
        small = "linear2" in name or "output_projection" in name
        scale = 0.1 if small else 0.3 if "output_head" in name else 1.0
        return scale * noise / math.sqrt(parameter.shape[1])
    is_scale = ("norm" in name or "output_head.0" in name) and name.endswith("weight")
    return torch.ones_like(parameter) if is_scale else torch.zeros_like(parameter)


def _rotation(size: int, generator: torch.Generator) -> torch.Tensor:
    rotation: torch.Tensor = torch.linalg.qr(torch.randn(size, size, generator=generator)).Q
    return rotation


def _waves(shape: Sequence[int], generator: torch.Generator) -> torch.Tensor:
    """
    Return position encodings (1, N, D) that are the more alike the nearer two patches are, in a basis drawn anew.

    A class token's position, where the shape has one, comes first and is zero.
    """
    n_patches, width = shape[1], shape[2]
    side = math.isqrt(n_patches)
    rows, columns = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    frequencies = torch.linspace(0.15, 1.0, width // 4)
    angles = torch.cat([rows.reshape(-1, 1) * frequencies, columns.reshape(-1, 1) * frequencies], dim=1)
    encoding = torch.cat([angles.sin(), angles.cos()], dim=1) @ _rotation(width, generator)
    return torch.cat([torch.zeros(n_patches - side**2, width), encoding]).unsqueeze(0)
