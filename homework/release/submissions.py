"""Submissions of our own: the solved homework, and an example with three mistakes in it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nbformat

from grader.release.modules import edit_modules
from grader.release.notebooks import NotebookNode, edit_notebook, notebook_bytes
from grader.release.submissions import run_definition_cells, with_outputs, write_zip
from homework.release.saved_model import saved_model_bytes
from homework.release.sources import solved_modules, solved_notebook
from homework.release.vectors import vector_bytes

# The meta-learning notebooks, and what is made smaller before their cells are run: at full size they take
# minutes. The notebooks that are handed in say so themselves, for the edits stay in them.
_SMALLER = {
    "num_iterations = 100 ": "num_iterations = 10 ",
    "num_tasks_test = 10 ": "num_tasks_test = 2 ",
    '"n_test_post": 1000,': '"n_test_post": 200,',
    '"d": 501,': '"d": 101,',
    '"num_stats": 10,': '"num_stats": 1,',
    '"num_n_train_post_range": 40,': '"num_n_train_post_range": 8,',
}
META_NOTEBOOKS: dict[str, dict[str, str]] = {
    "metalearning-part0": {},
    "metalearning-part1": _SMALLER,
    "metalearning-part2": _SMALLER,
}

# The mistakes of the example submission: old text to new text in the solved notebook, and in modules.
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
EXAMPLE_MODULE_MISTAKES = {
    # accuracy in place of the error
    "utils_classification.py": {
        "@ alpha) != z_test))": "@ alpha) == z_test))",
    },
}
_EXAMPLE_FOLDER = "CS182 HW4"
_EXAMPLE_SETUP_CELLS = (
    "!pip install -q torchvision matplotlib",
    "from google.colab import drive\ndrive.mount('/content/drive')\n%cd /content/drive/MyDrive/cs182/hw4",
    "%matplotlib inline\n%load_ext autoreload\n%autoreload 2",
)
# What macOS adds beside each file: a few bytes of AppleDouble header.
_APPLE_DOUBLE = bytes.fromhex("00051607000200004d6163204f532058") + bytes(16)


@dataclass(frozen=True)
class _Homework:
    """
    A student's files.

    Attributes:
        vision: the vision notebook as it was run.
        others: the meta-learning notebooks as they were run, and the modules, by file name.
        autograder: the bytes of `autograder.pt`.
    """

    vision: NotebookNode
    others: dict[str, bytes]
    autograder: bytes


def _do_homework(vision: NotebookNode, modules: Mapping[str, str]) -> _Homework:
    """Run the vision notebook, and at the same time the solved meta-learning notebooks beside the modules."""
    texts = {name: text.encode() for name, text in modules.items()}
    notebooks = {name: edit_notebook(solved_notebook(name), edits) for name, edits in META_NOTEBOOKS.items()}
    with ThreadPoolExecutor(1) as pool:
        meta_job = pool.submit(run_definition_cells, list(notebooks.values()), texts)
        (shown,), written = run_definition_cells([vision], {**texts, "public_vectors.pt": vector_bytes()})
        meta_shown, _ = meta_job.result()
    used = {
        f"{name}.ipynb": notebook_bytes(with_outputs(notebook, outputs))
        for (name, notebook), outputs in zip(notebooks.items(), meta_shown, strict=True)
    }
    return _Homework(with_outputs(vision, shown), {**used, **texts}, written["autograder.pt"])


def write_solved_submission(path: Path) -> Path:
    """
    Write the zip of a student who solved everything and has trained the autoencoder, if only for a short time.

    The meta-learning notebooks were run with small numbers and show it; the vision notebook shows no outputs.
    The same machine gives the same bytes each time; another one may round the results differently.
    """
    notebook = solved_notebook("MAE_student")
    homework = _do_homework(notebook, solved_modules())
    tensors = {"autograder.pt": homework.autograder, "mae_pretrained.pt": saved_model_bytes()}
    return write_zip(path, {"MAE_student.ipynb": notebook_bytes(notebook), **homework.others, **tensors})


def write_example_submission(path: Path) -> Path:
    """
    Write the zip of a student with three mistakes, with the clutter of a real one.

    The vision notebook is renamed, was run on Colab and lies in a folder, and macOS has left its traces. There is no
    saved model, which would be sixteen megabytes. As with `write_solved_submission`, the same machine gives the same
    bytes each time.

    Raises:
        StaffError: a text that a mistake replaces is no longer in the solved notebook or module.
    """
    notebook = edit_notebook(solved_notebook("MAE_student"), EXAMPLE_MISTAKES)
    homework = _do_homework(notebook, edit_modules(solved_modules(), EXAMPLE_MODULE_MISTAKES))
    used = notebook_bytes(_with_setup_cells(homework.vision))
    files = {"CS182_HW4 (1).ipynb": used, **homework.others, "autograder.pt": homework.autograder}
    clutter = {f"__MACOSX/{_EXAMPLE_FOLDER}/._{name}": _APPLE_DOUBLE for name in files}
    return write_zip(path, {f"{_EXAMPLE_FOLDER}/{name}": data for name, data in files.items()} | clutter)


def _with_setup_cells(notebook: NotebookNode) -> NotebookNode:
    """Return a copy of a notebook that begins with the cells people add on Colab."""
    used = copy.deepcopy(notebook)
    used.cells[1:1] = [
        nbformat.v4.new_code_cell(source, id=f"setup-{number}")
        for number, source in enumerate(_EXAMPLE_SETUP_CELLS, start=1)
    ]
    nbformat.validate(used)
    return used
