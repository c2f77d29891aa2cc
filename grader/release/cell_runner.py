"""Run the cells of a notebook in one namespace: a program of its own, read and answered in JSON."""

from __future__ import annotations

import contextlib
import io
import json
import sys


def run_cells(sources: list[str]) -> list[str]:
    """Execute cells in order, as a notebook does, and return what each one printed."""
    namespace: dict[str, object] = {"__name__": "__main__"}
    printed = []
    for number, source in enumerate(sources, start=1):
        with contextlib.redirect_stdout(io.StringIO()) as stream:
            exec(compile(source, f"<cell {number}>", "exec"), namespace)
        printed.append(stream.getvalue())
    return printed


if __name__ == "__main__":
    json.dump(run_cells(json.load(sys.stdin)), sys.stdout)
