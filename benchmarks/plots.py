"""Pictures of what was measured."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib
from matplotlib.figure import Figure

from benchmarks.figures import Spread, spread
from benchmarks.results import Batch, Results

_WIDTH_IN, _HEIGHT_IN = 7.0, 3.2


def write_plots(results: Results, folder: Path) -> list[str]:
    """Write a picture for each section that has one; return their names."""
    matplotlib.use("Agg")
    figures: dict[str, Figure] = {}
    if results.cold is not None and results.cold.costs:
        walls = {name: spread([cost.wall_s for cost in costs]) for name, costs in results.cold.costs.items()}
        figures["cold.png"] = _bars(walls, "seconds: ten checks, cold")
    if results.classes is not None and results.classes.ten:
        rates = {name: spread([batch.per_minute for batch in batches]) for name, batches in results.classes.ten.items()}
        figures["class.png"] = _bars(rates, "submissions a minute: ten checks")
    if results.growth is not None:
        figures["growth.png"] = _growth(results.growth)
    for name, figure in figures.items():
        figure.savefig(folder / name, dpi=120)
    return list(figures)


def _figure() -> Figure:
    return Figure(figsize=(_WIDTH_IN, _HEIGHT_IN), layout="constrained")


def _bars(spreads: Mapping[str, Spread], label: str) -> Figure:
    """Draw a bar for each median, with the least and the most."""
    figure = _figure()
    axes = figure.subplots()
    medians = [item.median for item in spreads.values()]
    below = [item.median - item.least for item in spreads.values()]
    above = [item.most - item.median for item in spreads.values()]
    axes.barh(list(spreads), medians, xerr=[below, above], capsize=3, color="#4878a8")
    axes.invert_yaxis()
    axes.set_xlabel(label)
    axes.set_xlim(left=0)
    return figure


def _growth(growth: Mapping[int, Sequence[Batch]]) -> Figure:
    """Draw seconds against submissions, a line for each number of workers."""
    figure = _figure()
    axes = figure.subplots()
    for workers, batches in growth.items():
        sizes = sorted({batch.submissions for batch in batches})
        spreads = [spread([batch.wall_s for batch in batches if batch.submissions == size]) for size in sizes]
        label = f"{workers} worker{'s' * (workers > 1)}"
        (line,) = axes.plot(sizes, [item.median for item in spreads], marker="o", label=label)
        axes.fill_between(
            sizes,
            [item.least for item in spreads],
            [item.most for item in spreads],
            color=line.get_color(),
            alpha=0.2,
        )
    axes.set(xlabel="submissions", ylabel="seconds: ten checks", ylim=(0, None), xlim=(0, None))
    axes.legend()
    return figure
