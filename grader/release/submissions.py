"""What submissions of our own are made with: notebooks whose cells were run, and zips of the same bytes each time."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import nbformat

from grader.errors import StaffError
from grader.release import cell_runner
from grader.release.notebooks import NotebookNode

TRAINING_TAG = "training"
_RUN_LIMIT_S = 600  # some 30 s of an idle core; a busy machine must not end it
_ZIP_TIME = (2022, 11, 22, 12, 0, 0)  # a zip stores times: one for all files keeps the bytes the same


@dataclass(frozen=True)
class CellOutput:
    """
    What a cell showed when it ran.

    Attributes:
        text: what it printed.
        figures: PNG in base64, in the order shown.
    """

    text: str
    figures: tuple[str, ...]


def run_definition_cells(
    notebooks: Sequence[NotebookNode], beside: Mapping[str, bytes]
) -> tuple[list[list[CellOutput]], dict[str, bytes]]:
    """
    Run the code cells of notebooks, all but those tagged `training`.

    The notebooks run one after the other in a fresh interpreter and folder, on one thread.

    Args:
        notebooks: notebooks without shell and magic lines.
        beside: files by name that lie in the folder.

    Returns:
        For each notebook what its cells showed, and the files that the cells wrote, by name.

    Raises:
        StaffError: a cell raised or did not end.
    """
    sources = [[cell.source for cell in notebook.cells if _is_definition(cell)] for notebook in notebooks]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for file, data in beside.items():
            (folder / file).write_bytes(data)
        try:
            finished = subprocess.run(
                [sys.executable, "-I", "-B", cell_runner.__file__],
                input=json.dumps(sources),
                capture_output=True,
                text=True,
                cwd=folder,
                env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "agg"},
                timeout=_RUN_LIMIT_S,
                check=True,
            )
        except subprocess.CalledProcessError as error:
            raise StaffError(
                happened=f"A cell of the notebook failed: {error.stderr.strip()[-500:]}",
                try_next="Correct the notebook's source.",
            ) from None
        except subprocess.TimeoutExpired:
            raise StaffError(
                happened=f"The notebook's cells did not end within {_RUN_LIMIT_S} s.",
                try_next=f"Tag cells that train with {TRAINING_TAG!r}.",
            ) from None
        shown = [
            [CellOutput(cell["text"], tuple(cell["figures"])) for cell in cells]
            for cells in json.loads(finished.stdout)
        ]
        written = [path for path in folder.iterdir() if path.is_file() and path.name not in beside]
        return shown, {path.name: path.read_bytes() for path in written}


def write_zip(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write files, by their names in the archive, as a zip whose bytes depend on nothing else."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, data in files.items():
            entry = zipfile.ZipInfo(name, _ZIP_TIME)
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, data)
    return path


def _is_definition(cell: NotebookNode) -> bool:
    return cell.cell_type == "code" and TRAINING_TAG not in cell.metadata.get("tags", [])


def with_outputs(notebook: NotebookNode, shown: list[CellOutput]) -> NotebookNode:
    """Return a copy of a notebook in which the cells that ran show what they printed and drew."""
    used = copy.deepcopy(notebook)
    ran = [cell for cell in used.cells if _is_definition(cell)]
    for count, (cell, output) in enumerate(zip(ran, shown, strict=True), start=1):
        cell.execution_count = count
        if output.text:
            cell.outputs.append(nbformat.v4.new_output("stream", name="stdout", text=output.text))
        for figure in output.figures:
            cell.outputs.append(nbformat.v4.new_output("display_data", data={"image/png": figure}))
    return used
