"""The solutions as they are printed: their last cells find everything that belongs in the zip."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import nbformat
import pytest

from grader.release import solutions
from grader.release.notebooks import NotebookNode
from grader.release.progress import Step
from grader.release.workshop import NotebookRun, Workshop
from homework.homework import HOMEWORK
from homework.release.sources import SOURCES, solved_modules, solved_notebook
from homework.release.submissions import write_zip

NAMES = [name.removesuffix(".ipynb") for part in HOMEWORK.parts for name in part.notebooks]
VISION, *META = NAMES
PREPARED = "import torch\nfrom self_check import missing_results, output\nprint('epoch 1: training loss 0.5')\n"


class InTurn:
    """An executor that works at once: a client's event loop would outlive a thread, and pytest minds."""

    def __init__(self, _: int) -> None:
        pass

    def __enter__(self) -> InTurn:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def submit(self, work: Callable[..., Any], *arguments: object) -> Future[Any]:
        """Do the work, and return what came of it."""
        done: Future[Any] = Future()
        done.set_result(work(*arguments))
        return done


def last_cell(name: str, *, before: str = "") -> NotebookNode:
    """Return a notebook that only packs, as the solved one does in the end."""
    (cell,) = [cell for cell in solved_notebook(name).cells if "pack_submission(" in cell.source]
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(before + cell.source, id="pack")])


def printed_by(notebook: NotebookNode) -> str:
    """Return what a notebook shows as text."""
    return "".join(output.get("text", "") for cell in notebook.cells for output in cell.outputs)


def submission(path: Path) -> Path:
    """Write a zip with the names of the solved submission."""
    names = ["autograder.pt", "mae_pretrained.pt", *(f"{name}.ipynb" for name in NAMES)]
    modules = {name: text.encode() for name, text in solved_modules().items()}
    saved = b'{"cells": [{"cell_type": "code", "execution_count": 1}]}'
    return write_zip(path, modules | dict.fromkeys(names, saved))


def test_printed_solutions_miss_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both last cells write a whole zip, call nothing missing or unsaved, and epochs are told while a cell runs."""
    workshop = Workshop(SOURCES, submission, prepare={VISION: lambda solved, _gpu, _full: NotebookRun(solved)})
    monkeypatch.setattr(solutions, "ThreadPoolExecutor", InTurn)
    quick = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1", id="quick")])
    notebooks = dict.fromkeys(META, NotebookRun(quick))
    notebooks["metalearning-part2"] = NotebookRun(last_cell("metalearning-part2"))
    notebooks[VISION] = NotebookRun(last_cell(VISION, before=f"mae_epochs = 1\n{PREPARED}"))
    steps: list[Step] = []

    executed = solutions._execute_all(workshop, notebooks, {}, tmp_path, steps.append)

    for name in (VISION, "metalearning-part2"):
        printed = printed_by(executed[name])
        assert "Wrote hw4_submission.zip with" in printed
        assert "Missing in the zip" not in printed
        assert "not saved" not in printed
    assert Step("MAE_student.ipynb: epochs", 1, 1) in steps
