"""
The worker's side of lent helpers: calls that go over the wire, forward and backward.

Where a student's own helper is wrong, the function that builds on it is asked again with the right helper lent.
The helper's body stays in the trusted process; here is only a function that sends its arguments and gets values.
"""

from __future__ import annotations

import inspect
import socket
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from grader import wire
from grader.contract import Function
from grader.probes.values import to_array


class LendingRefused(Exception):
    """The trusted process did not answer a lent call: its arguments made no sense to the right helper."""


class Lender:
    """Makes lent calls over one connection."""

    def __init__(self, connection: socket.socket, device: torch.device) -> None:
        self._connection = connection
        self.device = device

    def call(self, name: str, settings: dict[str, Any], inputs: dict[str, torch.Tensor]) -> list[torch.Tensor]:
        """Return the right helper's outputs, differentiable with respect to every floating-point input."""
        return list(
            _LentCall.apply(  # type: ignore[no-untyped-call] # torch ships no type for it
                self, name, settings, tuple(inputs), *inputs.values()
            )
        )

    def exchange(self, meta: dict[str, Any], tensors: dict[str, torch.Tensor]) -> wire.Message:
        """Send one request and wait for its answer."""
        arrays = {name: to_array(name, tensor) for name, tensor in tensors.items()}
        wire.send(self._connection, wire.Message("request", meta, arrays))
        reply = wire.receive(self._connection, wire.TRUSTING)
        if "refused" in reply.meta:
            raise LendingRefused(reply.meta["refused"])
        return reply


class _LentCall(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, lender: Lender, name: str, settings: dict[str, Any], names: Any, *inputs: Any) -> Any:
        reply = lender.exchange(
            {"step": "forward", "name": name, "settings": settings}, dict(zip(names, inputs, strict=True))
        )
        ctx.lender, ctx.call, ctx.names = lender, reply.meta["call"], names
        outputs = [torch.from_numpy(reply.arrays[key].copy()).to(lender.device) for key in reply.meta["outputs"]]
        ctx.mark_non_differentiable(*(output for output in outputs if not output.is_floating_point()))
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *cotangents: Any) -> Any:
        tensors = {f"{index}": tensor for index, tensor in enumerate(cotangents) if tensor is not None}
        reply = ctx.lender.exchange({"step": "backward", "call": ctx.call}, tensors)
        gradients = [
            torch.from_numpy(reply.arrays[name].copy()).to(ctx.lender.device) if name in reply.arrays else None
            for name in ctx.names
        ]
        return None, None, None, None, *gradients


def lent_function(lender: Lender, function: Function) -> Callable[..., Any]:
    """Return a stand-in for a function, with the contract's signature, that has the right one called."""
    named = inspect.Parameter.POSITIONAL_OR_KEYWORD
    signature = inspect.Signature(
        [
            inspect.Parameter(name, named, default=inspect.Parameter.empty if default is None else default)
            for name, default in ((name, function.sizes.get(name)) for name in function.takes)
        ]
    )

    def stand_in(*args: Any, **kwargs: Any) -> Any:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        sizes = {name: int(bound.arguments[name]) for name in function.sizes}
        inputs = {name: value for name, value in bound.arguments.items() if name not in sizes}
        outputs = lender.call(function.name, sizes, inputs)
        return outputs[0] if len(function.returns) == 1 else tuple(outputs)

    return stand_in


def lent_method(lender: Lender, function: Function) -> Callable[..., Any]:
    """Return a stand-in for a method with one output that sends its object's parameters along."""

    def stand_in(self: nn.Module, *args: Any) -> Any:
        parameters = {f"state/{name}": value for name, value in self.named_parameters()}
        return lender.call(function.name, {}, {**dict(zip(function.takes, args, strict=True)), **parameters})[0]

    return stand_in
