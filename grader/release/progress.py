"""How far a release has come, told to whoever shows it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Step:
    """
    One piece of news.

    Attributes:
        task: what is being made, the same words for all its news.
        done: how much of it is done, of
        total: all of it.
    """

    task: str
    done: int
    total: int


OnStep = Callable[[Step], None]


def unheard(_: Step) -> None:
    """Tell nobody."""
