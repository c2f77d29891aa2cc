"""Execute notebooks as Jupyter does, and keep everything that they show."""

from __future__ import annotations

import copy
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError

from grader.errors import StaffError
from grader.release.notebooks import NotebookNode

# Called with the number of cells that have been executed, and how many there are.
OnCell = Callable[[int, int], None]
# Called with what a cell prints, as it prints it.
OnText = Callable[[str], None]
# One thread: sums are then added in the same order each time. A fixed order of sets, too.
# Figures go into the notebook, also where whoever called us has nothing to show them on.
_IN_THE_NOTEBOOK = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
_REPEATABLE = {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "MKL_NUM_THREADS": "1", "PYTHONHASHSEED": "0"}


@dataclass(frozen=True)
class Executed:
    """
    A notebook that was executed.

    Attributes:
        notebook: with the outputs of every code cell, and without times.
        written: the files that its cells wrote, by name.
    """

    notebook: NotebookNode
    written: dict[str, bytes]


class _Client(NotebookClient):
    """A client that tells what is printed while a cell still runs."""

    on_text: OnText = staticmethod(lambda _: None)

    def output(self, outs: list[NotebookNode], msg: dict[str, Any], display_id: str | None, cell_index: int) -> Any:
        """See NotebookClient."""
        self.on_text(str(msg["content"].get("text", "")))
        return super().output(outs, msg, display_id, cell_index)


def execute(
    notebook: NotebookNode,
    beside: Mapping[str, bytes],
    *,
    environment: Mapping[str, str],
    limit_s: int,
    on_cell: OnCell = lambda done, total: None,
    on_text: OnText = lambda text: None,
    work: Path | None = None,
) -> Executed:
    """
    Execute all cells of a notebook in a fresh kernel and folder, on one thread.

    Args:
        notebook: left as it is.
        beside: files by name that lie in the folder.
        environment: variables on top of ours.
        limit_s: seconds that a cell may take.
        on_cell: called after each cell.
        on_text: called with what a cell prints while it runs.
        work: the folder to execute in, which stays; None takes one that is thrown away.

    Raises:
        StaffError: a cell raised, or did not end in time.
    """
    used = copy.deepcopy(notebook)
    with tempfile.TemporaryDirectory() as name:
        folder, settings = work or Path(name) / "work", Path(name) / "ipython"
        folder.mkdir(parents=True, exist_ok=True)
        for file, data in beside.items():
            (folder / file).write_bytes(data)
        client = _Client(
            used,
            kernel_name="python3",
            timeout=limit_s,
            record_timing=False,
            coalesce_streams=True,
            resources={"metadata": {"path": str(folder)}},
            on_cell_executed=lambda cell_index, **_: on_cell(cell_index + 1, len(used.cells)),
        )
        client.on_text = on_text
        try:
            client.execute(
                env={**os.environ, **_REPEATABLE, **_IN_THE_NOTEBOOK, "IPYTHONDIR": str(settings), **environment}
            )
        except CellExecutionError as error:
            raise StaffError(
                happened=f"A cell of a solved notebook failed: {error.ename}: {error.evalue}",
                try_next="Correct the notebook's source, or the reference that it includes.",
            ) from None
        except (CellTimeoutError, DeadKernelError) as error:
            raise StaffError(
                happened=f"A cell of a solved notebook did not come to an end within {limit_s} s: {error}",
                try_next="Look for what takes so long, or free memory.",
            ) from None
        written = [path for path in folder.iterdir() if path.is_file() and path.name not in beside]
        return Executed(_tidy(used), {path.name: path.read_bytes() for path in written})


def _tidy(notebook: NotebookNode) -> NotebookNode:
    """Take out what differs from run to run, and give every picture the words that stand for it."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    figures = 0
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        for output in cell.get("outputs", []):
            if "image/png" in output.get("data", {}):
                figures += 1
                output.metadata["image/png"] = {"alt": f"Figure {figures} of this notebook"}
    return notebook
