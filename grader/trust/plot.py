"""The calibration as a picture: for each tolerance, right answers to its left and wrong ones to its right."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from grader.trust.calibration import ROUNDING

_RIGHT, _TOLERANCE, _WRONG = "#0072b2", "#000000", "#d55e00"  # told apart by the colour-blind, too


def plot_calibration(table: Mapping[str, Any], path: Path) -> Path:
    """
    Draw every measured tolerance of a table as SVG.

    Args:
        table: as it is committed.
        path: where the picture goes.
    """
    import matplotlib

    matplotlib.use("agg")
    matplotlib.rcParams["svg.hashsalt"] = "calibration"  # the same table gives the same bytes
    from matplotlib import pyplot

    rows = [
        (f"{key}  {name}", entry)
        for key, names in table["checks"].items()
        for name, entry in names.items()
        if entry["kind"] == "float"
    ]
    figure, axes = pyplot.subplots(figsize=(10, 0.24 * len(rows) + 1.2), layout="constrained")
    for place, (_, entry) in enumerate(rows):
        spread = max(entry["spread"], ROUNDING)
        axes.plot([spread, entry["nearest"]], [place, place], color="#cccccc", zorder=1)
        filled = _RIGHT if entry["spread"] else "white"
        axes.plot(spread, place, "o", color=_RIGHT, markerfacecolor=filled)
        axes.plot(entry["tolerance"], place, "|", color=_TOLERANCE, markersize=11, markeredgewidth=2)
        axes.plot(entry["nearest"], place, "x", color=_WRONG)
    axes.set_xscale("log")
    axes.set_yticks(range(len(rows)), [label for label, _ in rows], fontsize=7)
    axes.invert_yaxis()
    axes.set_xlabel("relative error")
    axes.set_title(
        "● spread of right answers   ○ exact, counted as rounding   | tolerance   × nearest wrong one", fontsize=9
    )
    axes.grid(axis="x", color="#eeeeee")
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="svg", metadata={"Date": None})
    pyplot.close(figure)
    return path
