"""Submissions of our own: the solved homework, and an example with two mistakes in it."""

from __future__ import annotations

import copy
import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import nbformat

from grader.errors import StaffError
from grader.release import cell_runner
from grader.release.notebooks import NotebookNode, edit_notebook, notebook_bytes, solved_notebook
from grader.release.vectors import write_vectors

TRAINING_TAG = "training"
_RUN_LIMIT_S = 120
_ZIP_TIME = (2022, 11, 22, 12, 0, 0)  # a zip stores times: one for all files keeps the bytes the same

# The mistakes of the example submission: old text to new text in the solved notebook.
EXAMPLE_MISTAKES = {
    # the mask is inverted
    "    shuffled_mask = torch.ones(x.shape[:2], dtype=x.dtype, device=x.device)\n"
    "    shuffled_mask[:, :keep_length] = 0\n": (
        "    shuffled_mask = torch.zeros(x.shape[:2], dtype=x.dtype, device=x.device)\n"
        "    shuffled_mask[:, :keep_length] = 1\n"
    ),
    # the class token gets no position
    "        tokens = torch.cat([cls_token, patches], dim=1) + self.position_encoding  # (B, N + 1, D)\n": (
        "        patches = patches + self.position_encoding[:, 1:]\n"
        "        tokens = torch.cat([cls_token, patches], dim=1)\n"
    ),
}
_EXAMPLE_FOLDER = "CS182 HW4"
_EXAMPLE_SETUP_CELLS = (
    "!pip install -q torchvision matplotlib",
    "from google.colab import drive\ndrive.mount('/content/drive')\n%cd /content/drive/MyDrive/cs182/hw4",
    "%matplotlib inline\n%load_ext autoreload\n%autoreload 2",
)
# What macOS adds beside each file: a few bytes of AppleDouble header.
_APPLE_DOUBLE = bytes.fromhex("00051607000200004d6163204f532058") + bytes(16)


def run_definition_cells(notebook: NotebookNode) -> tuple[list[str], bytes]:
    """
    Run a notebook's code cells, all but those tagged `training`, beside the public vectors.

    The cells run in a fresh interpreter and folder, on one thread.

    Args:
        notebook: a notebook whose last cell writes `autograder.pt`.

    Returns:
        What each cell printed, and the bytes of `autograder.pt`.

    Raises:
        StaffError: a cell raised or did not end.
    """
    sources = [cell.source for cell in notebook.cells if _is_definition(cell)]
    with tempfile.TemporaryDirectory() as folder:
        write_vectors(Path(folder) / "public_vectors.pt")
        try:
            finished = subprocess.run(
                [sys.executable, "-I", cell_runner.__file__],
                input=json.dumps(sources),
                capture_output=True,
                text=True,
                cwd=folder,
                env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
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
        return json.loads(finished.stdout), (Path(folder) / "autograder.pt").read_bytes()


def write_solved_submission(path: Path) -> Path:
    """
    Write the zip of a student who solved everything but has not trained: notebook and `autograder.pt`.

    The same machine gives the same bytes each time; another one may round the results differently.
    """
    notebook = solved_notebook("MAE_student")
    _, autograder = run_definition_cells(notebook)
    return write_zip(path, {"MAE_student.ipynb": notebook_bytes(notebook), "autograder.pt": autograder})


def write_example_submission(path: Path) -> Path:
    """
    Write the zip of a student with two mistakes, with the clutter of a real one.

    The notebook is renamed, was run on Colab and lies in a folder, and macOS has left its traces. As with
    `write_solved_submission`, the same machine gives the same bytes each time.

    Raises:
        StaffError: a text that a mistake replaces is no longer in the solved notebook.
    """
    notebook = edit_notebook(solved_notebook("MAE_student"), EXAMPLE_MISTAKES)
    printed, autograder = run_definition_cells(notebook)
    used = _with_setup_cells(_with_outputs(notebook, printed))
    files = {"CS182_HW4 (1).ipynb": notebook_bytes(used), "autograder.pt": autograder}
    clutter = {f"__MACOSX/{_EXAMPLE_FOLDER}/._{name}": _APPLE_DOUBLE for name in files}
    return write_zip(path, {f"{_EXAMPLE_FOLDER}/{name}": data for name, data in files.items()} | clutter)


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


def _with_outputs(notebook: NotebookNode, printed: list[str]) -> NotebookNode:
    """Return a copy of a notebook in which the cells that ran show what they printed."""
    used = copy.deepcopy(notebook)
    ran = [cell for cell in used.cells if _is_definition(cell)]
    for count, (cell, text) in enumerate(zip(ran, printed, strict=True), start=1):
        cell.execution_count = count
        if text:
            cell.outputs = [nbformat.v4.new_output("stream", name="stdout", text=text)]
    return used


def _with_setup_cells(notebook: NotebookNode) -> NotebookNode:
    """Return a copy of a notebook that begins with the cells people add on Colab."""
    used = copy.deepcopy(notebook)
    used.cells[1:1] = [
        nbformat.v4.new_code_cell(source, id=f"setup-{number}")
        for number, source in enumerate(_EXAMPLE_SETUP_CELLS, start=1)
    ]
    nbformat.validate(used)
    return used
