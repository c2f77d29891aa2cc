"""Medians, spreads and ratios, where the answers are known."""

from __future__ import annotations

import pytest

from benchmarks.clock import CommandFailed
from benchmarks.figures import ratios, spread
from benchmarks.sections import in_rounds


def test_a_spread_is_the_median_and_the_ends() -> None:
    """One slow run moves the most, not the median."""
    found = spread([3.0, 1.0, 2.0, 100.0, 2.5])

    assert (found.median, found.least, found.most) == (2.5, 1.0, 100.0)
    assert found.text() == "2.50 (1.00–100.00)"
    assert spread([2.0]).text() == "2.00"


def test_ratios_are_taken_round_by_round() -> None:
    """A machine that is ten times slower in one round changes no ratio; the ratio of the means would be another."""
    found = ratios([2.0, 20.0, 3.0], [1.0, 10.0, 1.0])

    assert (found.median, found.least, found.most) == (2.0, 2.0, 3.0)


def test_ratios_need_the_same_rounds() -> None:
    """Runs of different rounds are not compared."""
    with pytest.raises(ValueError, match="longer"):
        ratios([1.0], [1.0, 2.0])


def test_every_round_has_everybody_and_begins_with_another() -> None:
    """The order is rotated, so that nobody always comes first."""
    order: list[str] = []
    work = {name: lambda name=name: order.append(name) for name in "abc"}

    found, failed = in_rounds(work, 3, lambda _: None)

    assert "".join(order) == "abcbcacab"
    assert {name: len(results) for name, results in found.items()} == {"a": 3, "b": 3, "c": 3}
    assert failed == {}


def test_who_fails_in_one_round_has_no_figures_and_stops_nobody() -> None:
    """The reason is kept, the others are measured on."""
    tries: list[int] = []

    def breaks() -> int:
        tries.append(1)
        if len(tries) == 2:
            raise CommandFailed("out of paper")
        return 0

    found, failed = in_rounds({"a": breaks, "b": lambda: 1}, 3, lambda _: None)

    assert found == {"b": [1, 1, 1]}
    assert failed == {"a": "out of paper"}
    assert len(tries) == 2
