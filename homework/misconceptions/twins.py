"""Modules that differ from another one in some attributes, for mistakes that are changes of the model."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

AnyModule = TypeVar("AnyModule", bound=nn.Module)
Change = Callable[..., tuple[Any, ...]]


def twin(module: AnyModule, **attributes: Tensor | nn.Module) -> AnyModule:
    """Return a module that shares everything with another one but the given attributes."""
    other = copy.copy(module)
    for registry in ("_parameters", "_modules", "_buffers"):
        other.__dict__[registry] = {
            name: value for name, value in getattr(module, registry).items() if name not in attributes
        }
    for name, value in attributes.items():
        if isinstance(value, nn.Module):
            other.add_module(name, value)
        else:
            other.__dict__[name] = value
    return other


class BatchAsSequence(nn.Module):
    """A transformer that takes the batch for the sequence."""

    def __init__(self, transformer: nn.Module) -> None:
        super().__init__()
        self.transformer = transformer

    def forward(self, tokens: Tensor) -> Tensor:
        """Map tokens (B, L, D) to tokens (B, L, D), with B and L in each other's roles."""
        result: Tensor = self.transformer(tokens.transpose(0, 1)).transpose(0, 1)
        return result


def with_zero(name: str) -> Change:
    """Return a change of a method's arguments: a parameter of the model is zero."""

    def change(model: nn.Module, *inputs: Any) -> tuple[Any, ...]:
        return (twin(model, **{name: torch.zeros_like(getattr(model, name))}), *inputs)

    return change


def with_swapped_axes(name: str) -> Change:
    """Return a change of a method's arguments: a transformer of the model takes the batch for the sequence."""

    def change(model: nn.Module, *inputs: Any) -> tuple[Any, ...]:
        return (twin(model, **{name: BatchAsSequence(getattr(model, name))}), *inputs)

    return change


def without(name: str) -> Change:
    """Return a change of a method's arguments: a submodule of the model does nothing."""

    def change(model: nn.Module, *inputs: Any) -> tuple[Any, ...]:
        return (twin(model, **{name: nn.Identity()}), *inputs)

    return change


def without_norm(model: nn.Module, *inputs: Any) -> tuple[Any, ...]:
    """Change a method's arguments: the head has no LayerNorm."""
    head: Any = model.output_head
    return (twin(model, output_head=nn.Sequential(nn.Identity(), head[1])), *inputs)
