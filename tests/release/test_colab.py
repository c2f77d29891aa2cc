"""The first and the last cell of the notebooks: on Colab, played by fakes, and everywhere else."""

from __future__ import annotations

import contextlib
import io
import json
import sys
import types
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from homework.release.sources import solved_notebook, template_modules, template_notebook

NOTEBOOKS = ("MAE_student", "metalearning-part0", "metalearning-part1", "metalearning-part2")
RAN = {"cells": [{"cell_type": "code", "execution_count": 3, "source": "1"}]}
NOT_SAVED = {"cells": [{"cell_type": "code", "execution_count": None, "source": "1"}]}


@dataclass
class Colab:
    """What a fake Colab was asked for, and what it answers."""

    drive: Path
    uploads: dict[str, str] = field(default_factory=dict)
    screen: dict[str, Any] | None = None
    downloaded: list[str] = field(default_factory=list)
    asked_to_upload: int = 0

    def mount(self, place: str) -> None:
        """Make My Drive appear."""
        assert place == str(self.drive)
        (self.drive / "MyDrive").mkdir(parents=True)

    def upload(self) -> None:
        """Put the files that the student chooses into the folder that the notebook is in."""
        self.asked_to_upload += 1
        for name, text in self.uploads.items():
            Path(name).write_text(text)

    def blocking_request(self, kind: str, *, request: str, timeout_sec: int) -> dict[str, Any] | None:
        """Answer with the notebook on the screen; a Colab that does not answers None after a while."""
        assert (kind, request) == ("get_ipynb", "")
        return None if self.screen is None else {"ipynb": self.screen}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run in a folder of its own, with the modules that serve the notebooks."""
    work = tmp_path / "work"
    work.mkdir()
    monkeypatch.chdir(work)
    monkeypatch.setattr(sys, "path", [str(work), *sys.path])
    yield work
    sys.modules.pop("notebook_tools", None)


@pytest.fixture
def colab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Colab:
    """Make `google.colab` importable."""
    fake = Colab(tmp_path / "drive")
    package = types.ModuleType("google.colab")
    package.drive = types.SimpleNamespace(mount=fake.mount)  # type: ignore[attr-defined]
    package.files = types.SimpleNamespace(upload=fake.upload, download=fake.downloaded.append)  # type: ignore[attr-defined]
    package._message = types.SimpleNamespace(blocking_request=fake.blocking_request)  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", package)
    return fake


def open_folder(name: str, drive: Path | None = None) -> str:
    """Run the two first cells of a notebook as it is handed out, and return what they print."""
    cells = [cell.source for cell in template_notebook(name).cells if cell.cell_type == "code"][:2]
    assert cells[0].startswith("def open_folder(")
    namespace: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for source in cells:
            exec(source.replace("/content/drive", str(drive)) if drive else source, namespace)
    return printed.getvalue()


def pack(folder: Path, *, notebook: str = "MAE_student.ipynb") -> str:
    """Pack as the last cell does, and return what it prints."""
    (folder / "notebook_tools.py").write_text(template_modules()["notebook_tools.py"])
    sys.modules.pop("notebook_tools", None)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(
            f"from notebook_tools import pack_submission\npack_submission(Path('.'), notebook={notebook!r})",
            {"Path": Path},
        )
    return printed.getvalue()


def packed(folder: Path) -> dict[str, bytes]:
    """Return the files of the zip."""
    with zipfile.ZipFile(folder / "hw4_submission.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_first_cell_names_what_is_missing(folder: Path, name: str) -> None:
    """In JupyterLab or VS Code the folder stays the notebook's own; with all files there nothing is missing."""
    printed = open_folder(name)
    assert f"Put them into {folder}, then run this cell again." in printed
    missing = printed.partition("Not there yet: ")[2].partition(". Put them")[0].split(", ")

    for file in missing:
        (folder / file).write_text("")

    assert {"self_check.py", "utils.py"} & set(missing)
    assert open_folder(name) == "All files that this notebook needs are there.\n"


def test_what_a_notebook_imports_is_asked_for(folder: Path) -> None:
    """Each module of ours that a given cell imports is among the files that its first cell wants."""
    for name in NOTEBOOKS:
        code = [cell.source for cell in template_notebook(name).cells if cell.cell_type == "code"]
        written = {"utils_classification", "utils_classification_copypaste"}  # named where they are needed
        imported = {file.removesuffix(".py") for file in template_modules()} - written
        used = {module for module in imported for source in code if f"from {module} import" in source}
        printed = open_folder(name)
        assert used
        assert all(f"{module}.py" in printed for module in used), (name, used)


def test_on_colab_the_drive_is_mounted_and_files_are_uploaded(folder: Path, colab: Colab) -> None:
    """The folder in the Drive is made and entered; what is missing is asked for once; its modules can be imported."""
    files = ("self_check.py", "notebook_tools.py", "public_vectors.pt")
    colab.uploads = dict.fromkeys(files, "")

    printed = open_folder("MAE_student", colab.drive)

    assert Path.cwd() == colab.drive / "MyDrive" / "cs182" / "hw9"
    assert "Choose these files to upload: self_check.py, notebook_tools.py, public_vectors.pt" in printed
    assert colab.asked_to_upload == 1
    assert "Not there yet" not in printed
    assert sys.path[0] == str(Path.cwd())
    assert all((Path.cwd() / name).is_file() for name in files)


def test_on_colab_a_dialog_that_was_closed_is_told(folder: Path, colab: Colab) -> None:
    """Nothing was chosen: the files are named again."""
    assert "Not there yet: self_check.py. Put" in open_folder("metalearning-part0", colab.drive)


def test_on_colab_the_zip_holds_the_notebook_on_the_screen(folder: Path, colab: Colab) -> None:
    """It replaces older copies in the folder, other notebooks stay, and the zip is offered for download."""
    colab.screen = RAN
    (folder / "Copy of MAE_student.ipynb").write_text("{}")
    (folder / "metalearning-part0.ipynb").write_text("{}")

    printed = pack(folder)

    files = packed(folder)
    assert json.loads(files["MAE_student.ipynb"]) == RAN
    assert "Copy of MAE_student.ipynb" not in files
    assert "metalearning-part0.ipynb" in files
    assert colab.downloaded == ["hw4_submission.zip"]
    assert "your written answers and a PDF" in printed


def test_a_colab_that_does_not_answer_leaves_the_saved_file(folder: Path, colab: Colab) -> None:
    """Then what was saved is packed."""
    (folder / "MAE_student.ipynb").write_text(json.dumps(RAN))

    pack(folder)

    assert json.loads(packed(folder)["MAE_student.ipynb"]) == RAN


@pytest.mark.parametrize("where", ["colab", "elsewhere"])
def test_without_a_notebook_no_zip_is_written(folder: Path, request: pytest.FixtureRequest, where: str) -> None:
    """A sentence says what to do, and nothing is there to be uploaded by mistake."""
    if where == "colab":
        request.getfixturevalue("colab")
    (folder / "autograder.pt").write_bytes(b"results")

    printed = pack(folder)

    assert "No zip was written: there is no notebook in this folder." in printed
    assert not (folder / "hw4_submission.zip").exists()


def test_a_notebook_that_was_not_saved_is_told(folder: Path) -> None:
    """A file without a single executed cell was saved before it ran; one with is fine."""
    (folder / "MAE_student.ipynb").write_text(json.dumps(NOT_SAVED))
    assert "MAE_student.ipynb was not saved since it ran." in pack(folder)

    (folder / "MAE_student.ipynb").write_text(json.dumps(RAN))
    printed = pack(folder)
    assert "was not saved" not in printed
    assert "hw4_submission.zip lies beside this notebook." in printed


def test_colab_starts_the_vision_notebook_with_a_gpu() -> None:
    """The notebook that trains asks for one, the others do not."""
    assert template_notebook("MAE_student").metadata["accelerator"] == "GPU"
    assert all("accelerator" not in template_notebook(name).metadata for name in NOTEBOOKS[1:])


@pytest.mark.parametrize(
    ("accuracy", "epochs", "said"),
    [
        (0.7, 10, []),
        (0.6, 10, ["That is less than asked for. Look at the self-check of ClassificationViT.forward"]),
        (0.7, 3, ["Training was cut short: 3 of 10 epochs."]),
        (0.1, 3, ["Training was cut short: 3 of 10 epochs."]),
    ],
)
def test_accuracies_are_told_while_there_is_time(folder: Path, accuracy: float, epochs: int, said: list[str]) -> None:
    """One that is reached is only shown; a low one comes with what to look at, a short training is called that."""
    (folder / "notebook_tools.py").write_text(template_modules()["notebook_tools.py"])
    namespace: dict[str, Any] = {}
    exec("from notebook_tools import report_accuracy", namespace)
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        namespace["report_accuracy"]("vit_acc", accuracy, trained=epochs, homework=10)

    first, *rest = printed.getvalue().splitlines()
    assert first == f"vision transformer: test accuracy {accuracy:.3f} (asked for: 0.65)"
    assert len(rest) == len(said)
    assert all(line.startswith(words) for line, words in zip(rest, said, strict=True))


def test_question_three_is_asked_and_not_answered_for_anybody() -> None:
    """Sources, collaborators and hours have a place to fill in, the same in the template and in the solution."""
    for notebook in (template_notebook("metalearning-part2"), solved_notebook("metalearning-part2")):
        (cell,) = [cell for cell in notebook.cells if "Question 3 of the handout" in cell.source]
        for place in ("**Sources:**", "**Collaborators:**", "**Hours:**", "never graded"):
            assert place in cell.source
