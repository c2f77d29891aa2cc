"""
A stand-in for torch's compiler until somebody compiles.

Optimizers import torch._dynamo at their first step, only to tell a compiler that might be at work to leave them alone:
a second of importing, and a third of what a fork costs. Where nobody compiles, both things that they tell it are
without effect.
"""

from __future__ import annotations

import importlib
import sys
import types
from collections.abc import Callable
from typing import Any

import torch

_NAME = "torch._dynamo"


class _Asleep(types.ModuleType):
    """Stands for the compiler in what optimizers say to it, and gives way to it at anything else."""

    def graph_break(self) -> None:
        """Do nothing: where nothing is compiled there is no graph to break."""

    def disable(self, function: Callable[..., object], *_: object, **__: object) -> Callable[..., object]:
        """Return the function as it is: nothing is compiled."""
        return function

    def __getattr__(self, name: str) -> Any:
        if name in ("__spec__", "__file__"):  # looked up by whoever lists modules, not by whoever compiles
            raise AttributeError(name)
        if sys.modules.get(_NAME) is self:
            del sys.modules[_NAME]
            torch._dynamo = importlib.import_module(_NAME)
        return getattr(sys.modules[_NAME], name)


def put_compiler_to_sleep() -> None:
    """Put the stand-in where optimizers look; nothing happens where the compiler is there already."""
    if _NAME not in sys.modules:
        torch._dynamo = sys.modules[_NAME] = _Asleep(_NAME)
