"""Submissions of our own: complete, the same bytes each time, and wrong only where they are meant to be."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import nbformat
import pytest
import torch

from grader.errors import StaffError
from grader.release.notebooks import notebook_bytes
from homework.release import submissions
from homework.release.sources import solved_modules, solved_notebook
from homework.release.submissions import write_example_submission, write_solved_submission
from homework.release.vectors import public_vectors

# Measured: the solved notebook differs from the public answers by at most 2.2e-7 of their norm (float32).
RTOL = 1e-5


@pytest.fixture(scope="module")
def solved(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Return the files of the solved submission."""
    return read_zip(write_solved_submission(tmp_path_factory.mktemp("solved") / "solved.zip"))


def wrong_results(autograder: bytes) -> set[str]:
    """Return which of a file's results, with the name of the value, differ from the public answers."""
    output = torch.load(io.BytesIO(autograder), weights_only=True)["output"]
    wrong = set()
    for key, entry in public_vectors().items():
        values = output[key] if isinstance(output[key], tuple) else (output[key],)
        for value, (name, expected) in zip(values, entry["expected"].items(), strict=True):
            difference = (value.double() - expected.double()).norm() / expected.double().norm()
            if not difference < RTOL:
                wrong.add(f"{key}: {name}")
    return wrong


def read_zip(path: Path) -> dict[str, bytes]:
    """Return the files of a zip by name."""
    with zipfile.ZipFile(path) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def read_notebook(data: bytes) -> nbformat.NotebookNode:
    """Return a notebook from the bytes of its file."""
    return nbformat.reads(data.decode(), as_version=4)


def figures_and_text(notebook: nbformat.NotebookNode) -> tuple[int, str]:
    """Return how many pictures a notebook shows, and everything that it printed."""
    outputs = [output for cell in notebook.cells for output in cell.get("outputs", [])]
    pictures = [output for output in outputs if "image/png" in output.get("data", {})]
    return len(pictures), "".join(output["text"] for output in outputs if output.output_type == "stream")


def test_solved_submission_is_right_and_repeats(solved: dict[str, bytes], tmp_path: Path) -> None:
    """The solved submission holds notebooks, modules, right results and a model, in the same bytes each time."""
    meta = {f"metalearning-part{part}.ipynb" for part in range(3)}

    assert set(solved) == {"MAE_student.ipynb", *meta, *solved_modules(), "autograder.pt", "mae_pretrained.pt"}
    assert solved["MAE_student.ipynb"] == notebook_bytes(solved_notebook("MAE_student"))
    assert {name: solved[name].decode() for name in solved_modules()} == solved_modules()
    assert wrong_results(solved["autograder.pt"]) == set()
    assert read_zip(write_solved_submission(tmp_path / "again.zip")) == solved


@pytest.mark.parametrize(("part", "figures"), [(0, 1), (1, 7), (2, 5)])
def test_solved_meta_notebooks_were_run(solved: dict[str, bytes], part: int, figures: int) -> None:
    """Every code cell was run without an error, pictures and numbers are there, and all self-checks are content."""
    notebook = read_notebook(solved[f"metalearning-part{part}.ipynb"])
    pictures, text = figures_and_text(notebook)

    nbformat.validate(notebook)
    assert all(cell.execution_count for cell in notebook.cells if cell.cell_type == "code")
    assert pictures == figures
    assert ("final weights" if part == 0 else "weights of the true features") in text
    assert not [line for line in text.splitlines() if "not checked" in line or "is right." in line]


def test_example_submission_has_its_three_mistakes(tmp_path: Path) -> None:
    """The example is wrong by the inverted mask, the class token without position and the accuracy, only."""
    path = write_example_submission(tmp_path / "made" / "example.zip")
    files = read_zip(path)
    notebook = read_notebook(files["CS182 HW4/CS182_HW4 (1).ipynb"])
    source = "\n".join(cell.source for cell in notebook.cells)
    _, text = figures_and_text(read_notebook(files["CS182 HW4/metalearning-part2.ipynb"]))

    assert wrong_results(files["CS182 HW4/autograder.pt"]) == {
        "random_masking: mask",
        "MaskedAutoEncoder.forward_encoder: mask",
        "ClassificationViT.forward: logits",
    }
    changed = [name for name, right in solved_modules().items() if files[f"CS182 HW4/{name}"].decode() != right]
    assert changed == ["utils_classification.py"]
    assert "test_classification: `test_classification` has the right shape (8,), but " in text
    for text in ("!pip install", "%matplotlib inline", "from google.colab import drive"):
        assert text in source
    assert any(cell.get("outputs") for cell in notebook.cells)
    assert any(name.startswith("__MACOSX/") for name in files)


@pytest.mark.parametrize("where", ["EXAMPLE_MISTAKES", "EXAMPLE_MODULE_MISTAKES"])
def test_example_is_loud_when_the_source_moves_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    """A mistake whose text is gone from its source stops the release and writes nothing."""
    mistake: dict[str, object] = {"text of an older edition": "x"}
    monkeypatch.setattr(
        submissions, where, mistake if where == "EXAMPLE_MISTAKES" else {"utils_classification.py": mistake}
    )

    with pytest.raises(StaffError, match="text of an older edition"):
        write_example_submission(tmp_path / "example.zip")
    assert not (tmp_path / "example.zip").exists()


def test_a_failing_cell_is_a_staff_error() -> None:
    """A cell that raises is reported with its error."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0", id="a")])

    with pytest.raises(StaffError, match="ZeroDivisionError"):
        submissions.run_definition_cells([notebook], {})
