"""The meta-learning notebooks as students run them, and (g) beside the reference."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import zipfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pytest
import torch

from benchmarks.metalearning import Part, fast_numbers, largest_difference, literal_numbers, timed
from benchmarks.student_modules import utils_classification_copypaste
from grader.release.notebooks import NotebookNode, edit_notebook
from homework.release.sources import (
    module_sources,
    solved_modules,
    solved_notebook,
    template_modules,
    template_notebook,
)
from homework.release.submissions import META_NOTEBOOKS
from reference.metalearning.regression import run_regression
from reference.metalearning.settings import PART_G

TINY = {
    "num_iterations = 100 ": "num_iterations = 2 ",
    "num_tasks_test = 10 ": "num_tasks_test = 2 ",
    '"n_test_post": 1000,': '"n_test_post": 50,',
    '"d": 501,': '"d": 51,',
    '"num_stats": 10,': '"num_stats": 1,',
    '"num_n_train_post_range": 40,': '"num_n_train_post_range": 4,',
}
MODULES = [source.stem for source in module_sources()]
# id: (the self-check that must speak, text of the solved theory notebook, its replacement, words of the verdict)
MISTAKES = {
    "fails on dependent rows": (
        "min_norm_solution",
        "np.linalg.lstsq(A, y, rcond=None)[0]",
        "A.T @ np.linalg.solve(A @ A.T, y) if len(A) == 3 else np.full(7, np.nan)",
        "The solution for a repeated row has all 7 elements that are NaN or infinite.",
    ),
    "not divided by the norm": (
        "aliased_coefficients",
        "c / np.sum(np.square(c))",
        "c",
        "for c = [0.6 0.9] has the right shape (2,), but 1 of 2 elements differ",
    ),
    "wrong shape": (
        "aliased_coefficients",
        "c / np.sum(np.square(c))",
        "[c, c]",
        "for c = [0.6 0.9] has shape (2, 2); it should be (2,).",
    ),
    "without the half": (
        "expected_test_error",
        "float(c[1] ** 4 / np.sum(np.square(c)) ** 2)",
        "float(2 * c[1] ** 4 / np.sum(np.square(c)) ** 2)",
        "The error for c = [0.6 0.9] is 0.9586; 0.4793 is right.",
    ),
    "wrong sign": (
        "expected_test_error_gradient",
        "-4.0 * c[0] * c[1] ** 4",
        "4.0 * c[0] * c[1] ** 4",
        "The gradient for c = [0.6 0.9] has the right shape (2,), but 1 of 2 elements differ",
    ),
    "not finite": (
        "expected_test_error_gradient",
        "-4.0 * c[0] * c[1] ** 4",
        "np.inf",
        "has 1 of 2 elements that are NaN or infinite",
    ),
    "uphill": (
        "descend_feature_weights",
        "- step_size * expected",
        "+ step_size * expected",
        "The trajectory has the right shape (21, 2), but ",
    ),
    "start left out": (
        "descend_feature_weights",
        "    return trajectory",
        "    return trajectory[1:]",
        "The trajectory has shape (20, 2); it should be (21, 2).",
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run inside a folder that holds what serves the notebooks; plots are drawn and thrown away."""
    write_modules(tmp_path, {name: template_modules()[name] for name in ("self_check.py", "notebook_tools.py")})
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    loaded = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    plt.switch_backend("agg")
    monkeypatch.setattr(plt, "show", lambda: plt.gcf().canvas.draw())
    torch.set_num_threads(1)
    yield tmp_path
    for name in MODULES:
        sys.modules.pop(name, None)
    sys.modules.update(loaded)
    plt.close("all")


def write_modules(folder: Path, modules: dict[str, str]) -> None:
    """Put modules into a folder."""
    for name, text in modules.items():
        (folder / name).write_text(text)


def run_cells(notebook: NotebookNode, *, last: str = "") -> tuple[dict[str, Any], str]:
    """Run a notebook's cells in order, stop after the one that contains `last`, return names and output."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for cell in notebook.cells:
            if cell.cell_type == "code":
                exec(compile(cell.source, cell.id, "exec"), namespace)
                if last and last in cell.source:
                    break
    return namespace, printed.getvalue()


@pytest.mark.usefixtures("folder")
def test_solved_theory_notebook_runs() -> None:
    """Self-checks say correct, and the plot's cell prints start, norm, end and what β went to."""
    shorter = edit_notebook(solved_notebook("metalearning-part0"), {"n_iterations = 100_000": "n_iterations = 1_000"})
    _, printed = run_cells(shorter)
    there, *verdicts, start, final, coefficients = printed.splitlines()

    assert there == "All files that this notebook needs are there."
    assert len(verdicts) == 5
    assert all(line.endswith("correct on the public inputs.") for line in verdicts)
    assert start == "initialisation [0.6 0.9], norm 1.0817"
    assert final.startswith("final weights")
    assert coefficients.endswith("1 / norm of the initialisation 0.9245")


@pytest.mark.usefixtures("folder")
def test_theory_template_says_not_implemented() -> None:
    """The untouched template runs as far as the plot and says what is missing."""
    _, printed = run_cells(template_notebook("metalearning-part0"), last='check_cases(\n    "descend')

    assert printed.count("not checked") == 5
    assert "aliased_coefficients: not checked. `aliased_coefficients` is not implemented yet." in printed


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_theory_self_checks_say_in_words_what_is_wrong(mistake: str) -> None:
    """A mistake gets a sentence from its own self-check."""
    name, old, new, words = MISTAKES[mistake]
    last = f'check_cases(\n    "{name}"'

    _, printed = run_cells(edit_notebook(solved_notebook("metalearning-part0"), {old: new}), last=last)

    (verdict,) = [line for line in printed.splitlines() if line.startswith(f"{name}:")]
    assert words in verdict
    assert "correct on" not in verdict


@pytest.mark.usefixtures("folder")
def test_theory_tolerance_has_two_sides() -> None:
    """Rounding and lists pass; a difference just above the tolerance, NaN and words do not."""
    self_check = importlib.import_module("self_check")
    describe, tolerance = self_check.describe_numbers, self_check.THEORY_TOLERANCE.relative
    expected = np.array([3.0, 4.0])

    assert describe("x", list(expected * (1 + 0.9 * tolerance)), expected) == ""
    assert "differ" in describe("x", expected * (1 + 1.1 * tolerance), expected)
    assert "NaN" in describe("x", [np.nan, 4.0], expected)
    assert describe("x", "words", expected) == "x: a tensor expected, but got `str`."


@pytest.mark.parametrize("name", ["metalearning-part1", "metalearning-part2"])
def test_solved_experiments_run_on_a_tiny_budget(folder: Path, name: str) -> None:
    """Every cell runs from top to bottom without a warning, and the learned weights are printed."""
    write_modules(folder, solved_modules())
    namespace, printed = run_cells(edit_notebook(solved_notebook(name), TINY))

    assert printed.count("weights of the true features") == (3 if name.endswith("1") else 2)
    assert np.all(namespace["feature_weights"][5:11] > 1.0)
    history = sys.modules["utils_visualization"].WEIGHT_HISTORY
    assert list(history) == [0, 2]
    assert np.all(history[0] == 1.0)
    assert np.all(history[2] == namespace["feature_weights"])
    assert "not checked" not in printed
    assert printed.count("correct on the public inputs.") == (0 if name.endswith("1") else 4)


def test_first_experiments_run_as_handed_out(folder: Path) -> None:
    """Part 1 asks for no code: its template runs beside the templates of the modules."""
    write_modules(folder, template_modules())
    _, printed = run_cells(edit_notebook(template_notebook("metalearning-part1"), TINY))

    assert printed.count("weights of the true features") == 3


def test_second_experiments_ask_for_code(folder: Path) -> None:
    """Part 2 as handed out stops at (g) with the function's name; the checks of (h) say what is not there yet."""
    write_modules(folder, template_modules())
    template = template_notebook("metalearning-part2")

    with pytest.raises(NotImplementedError, match="meta_learning_classification is not implemented yet"):
        run_cells(template)
    template.cells = [cell for cell in template.cells if "params_g" not in cell.source]
    _, printed = run_cells(template, last='check_numbers("test_zero')
    assert printed.count("not checked") == 4


def test_self_check_of_part_two_sees_accuracy(folder: Path) -> None:
    """Accuracy in place of the error is shown with both numbers."""
    modules = solved_modules()
    name = "utils_classification.py"
    modules[name] = modules[name].replace("@ alpha) != z_test", "@ alpha) == z_test")
    write_modules(folder, modules)
    notebook = edit_notebook(solved_notebook("metalearning-part2"), TINY)
    notebook.cells = [cell for cell in notebook.cells if "params_g" not in cell.source]

    _, printed = run_cells(notebook, last='check_numbers("test_zero')

    assert "test_classification: `test_classification` has the right shape (8,), but 6 of 8 elements differ." in printed
    assert "meta_update_classification: correct" in printed


def test_last_cell_of_part_two_packs_everything(folder: Path) -> None:
    """With all files of the homework in the folder nothing is named as missing."""
    write_modules(folder, solved_modules())
    for name in ("MAE_student", *META_NOTEBOOKS):
        (folder / f"{name}.ipynb").write_text("{}")
    (folder / "autograder.pt").write_bytes(b"results")
    notebook = solved_notebook("metalearning-part2")
    notebook.cells = [cell for cell in notebook.cells if "pack_submission(" in cell.source]

    _, first = run_cells(notebook)
    (folder / "mae_pretrained.pt").write_bytes(b"model")
    _, second = run_cells(notebook)

    assert "Missing in the zip: mae_pretrained.pt. The vision notebook writes them" in first
    assert "Missing" not in second
    with zipfile.ZipFile(folder / "hw4_submission.zip") as archive:
        assert len(archive.namelist()) == 4 + len(MODULES) + 2


def test_copied_regression_is_the_reference_on_labels() -> None:
    """(g): the solved module and the reference's regression on labels agree to 1e-8 from the same draws."""
    settings = replace(
        PART_G,
        noise=0.1,
        d=91,
        k_idx=(3, 4, 7),
        n_train_inner=12,
        n_train_post=12,
        n_test_post=60,
        num_tasks_test=3,
        num_iterations=4,
        num_stats=2,
        num_n_train_post_range=8,
    )
    part = Part(settings, run_regression, utils_classification_copypaste, "meta_learning_classification", 1.0)

    _, fast = timed(lambda: fast_numbers(part, workers=1), threads=1)
    _, literal = timed(lambda: literal_numbers(part), threads=1)

    assert largest_difference(fast, literal) <= 1e-8
