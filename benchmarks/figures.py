"""Medians, spreads and ratios of repeated measurements."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Spread:
    """The median of some measurements, with the least and the most."""

    median: float
    least: float
    most: float

    def text(self, digits: int = 2) -> str:
        """Return it as tables show it: one number where there is no spread."""
        if self.least == self.most:
            return f"{self.median:,.{digits}f}"
        return f"{self.median:,.{digits}f} ({self.least:,.{digits}f}–{self.most:,.{digits}f})"


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of at least one measurement."""
    return Spread(statistics.median(values), min(values), max(values))


def ratios(values: Sequence[float], bases: Sequence[float]) -> Spread:
    """
    Return the spread of the ratios, each to what was measured beside it in the same round.

    A round in which the machine was slow is slow for both, so this varies less than the ratio of two medians.
    """
    return spread([value / base for value, base in zip(values, bases, strict=True)])
