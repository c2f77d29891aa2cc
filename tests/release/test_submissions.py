"""Submissions of our own: complete, the same bytes each time, and wrong only where they are meant to be."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import nbformat
import pytest
import torch

from grader.errors import StaffError
from grader.release import public_vectors, submissions, write_example_submission, write_solved_submission
from grader.release.notebooks import notebook_bytes, solved_notebook

# Measured: the solved notebook differs from the public answers by at most 2.2e-7 of their norm (float32).
RTOL = 1e-5


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


def test_solved_submission_is_right_and_repeats(tmp_path: Path) -> None:
    """The solved submission holds the solved notebook and right results, in the same bytes each time."""
    path = write_solved_submission(tmp_path / "solved.zip")
    files = read_zip(path)

    assert set(files) == {"MAE_student.ipynb", "autograder.pt"}
    assert files["MAE_student.ipynb"] == notebook_bytes(solved_notebook("MAE_student"))
    assert wrong_results(files["autograder.pt"]) == set()
    assert write_solved_submission(tmp_path / "again.zip").read_bytes() == path.read_bytes()


def test_example_submission_has_its_two_mistakes(tmp_path: Path) -> None:
    """The example's results are wrong by the inverted mask and the class token without position, only."""
    path = write_example_submission(tmp_path / "made" / "example.zip")
    files = read_zip(path)
    notebook = nbformat.reads(files["CS182 HW4/CS182_HW4 (1).ipynb"].decode(), as_version=4)
    source = "\n".join(cell.source for cell in notebook.cells)

    assert wrong_results(files["CS182 HW4/autograder.pt"]) == {
        "random_masking: mask",
        "MaskedAutoEncoder.forward_encoder: mask",
        "ClassificationViT.forward: logits",
    }
    for text in ("!pip install", "%matplotlib inline", "from google.colab import drive"):
        assert text in source
    assert any(cell.get("outputs") for cell in notebook.cells)
    assert any(name.startswith("__MACOSX/") for name in files)
    assert write_example_submission(tmp_path / "again.zip").read_bytes() == path.read_bytes()


def test_example_is_loud_when_the_source_moves_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mistake whose text is gone from the notebook stops the release and writes nothing."""
    monkeypatch.setattr(submissions, "EXAMPLE_MISTAKES", {"text of an older edition": "x"})

    with pytest.raises(StaffError, match="text of an older edition"):
        write_example_submission(tmp_path / "example.zip")
    assert not (tmp_path / "example.zip").exists()


def test_a_failing_cell_is_a_staff_error() -> None:
    """A cell that raises is reported with its error."""
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("1 / 0", id="a")])

    with pytest.raises(StaffError, match="ZeroDivisionError"):
        submissions.run_definition_cells(notebook)
