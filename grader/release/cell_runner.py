"""Run the cells of notebooks, each in one namespace: a program of its own, read and answered in JSON."""

from __future__ import annotations

import base64
import contextlib
import io
import json
import sys
from typing import Any

# Few and small pictures: the notebooks show that they were run, nobody measures in them.
_DPI = 40
_FIGURES_OF_A_CELL = 2


def run_cells(sources: list[str]) -> list[dict[str, Any]]:
    """
    Execute cells in order, as a notebook does.

    Returns:
        For each cell what it printed (`text`), and the first figures it showed (`figures`, PNG in base64).
    """
    namespace: dict[str, object] = {"__name__": "__main__"}
    outputs = []
    for number, source in enumerate(sources, start=1):
        figures: list[str] = []
        with contextlib.redirect_stdout(io.StringIO()) as stream:
            _collect_figures(figures)
            exec(compile(source, f"<cell {number}>", "exec"), namespace)
        outputs.append({"text": stream.getvalue(), "figures": figures})
    return outputs


def _collect_figures(figures: list[str]) -> None:
    """Make plt.show append what it would show, without the version numbers that PNG files carry."""
    from matplotlib import pyplot

    def show(*_: object, **__: object) -> None:
        for number in pyplot.get_fignums()[: _FIGURES_OF_A_CELL - len(figures)]:
            buffer = io.BytesIO()
            pyplot.figure(number).savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
            figures.append(base64.b64encode(buffer.getvalue()).decode())
        pyplot.close("all")

    pyplot.show = show


if __name__ == "__main__":
    sys.path.insert(0, "")  # modules beside the notebook; isolated Python leaves its folder out
    json.dump([run_cells(sources) for sources in json.load(sys.stdin)], sys.stdout)
