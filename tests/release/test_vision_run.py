"""What the solved vision notebook is trained on in a release: never anything else than its banner says."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.errors import StaffError
from grader.stand_in import FOLDER
from homework.release.sources import solved_notebook
from homework.release.vision_run import prepare_vision

SOLVED = solved_notebook("MAE_student")


def code_of(notebook: object) -> str:
    """Return the code of a notebook."""
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")  # type: ignore[attr-defined]


@pytest.mark.parametrize("gpu", [True, False])
def test_without_cifar10_digits_stand_in(monkeypatch: pytest.MonkeyPatch, gpu: bool) -> None:
    """Few epochs, few images, no GPU, and a banner before everything else that says so."""
    monkeypatch.delenv("GRADER_CIFAR10", raising=False)

    run = prepare_vision(SOLVED, gpu=gpu)

    banner = run.notebook.cells[0].source
    assert "These are stand-in images: the accuracies below are not CIFAR-10's." in banner
    assert "**640" in banner
    assert "epochs are others" in banner
    assert run.environment == {
        "PYTHONPATH": str(FOLDER),
        "CUDA_VISIBLE_DEVICES": "",
        "GRADER_STAND_IN_IMAGES": "640",
    }
    code = code_of(run.notebook)
    for name in ("vit_epochs = 4", "mae_epochs = 60", "linear_epochs = 8", "finetune_epochs = 4", "batch_size = 16"):
        assert f"{name}  #" in code


def test_cifar10_without_a_gpu_is_cut_short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The real images are served, some of them, for few epochs."""
    monkeypatch.setenv("GRADER_CIFAR10", str(tmp_path))

    run = prepare_vision(SOLVED, gpu=False)

    assert run.environment["GRADER_CIFAR10"] == str(tmp_path)
    assert run.environment["GRADER_STAND_IN_IMAGES"] == "640"
    assert "not those asked for" in run.notebook.cells[0].source
    assert "vit_epochs = 4" in code_of(run.notebook)


def test_cifar10_on_a_gpu_is_trained_on_as_handed_out(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """All images, all epochs, on the GPU, with time for it."""
    monkeypatch.setenv("GRADER_CIFAR10", str(tmp_path))

    run = prepare_vision(SOLVED, gpu=True)

    assert "GRADER_STAND_IN_IMAGES" not in run.environment
    assert "CUDA_VISIBLE_DEVICES" not in run.environment
    assert code_of(SOLVED) in code_of(run.notebook)
    assert run.limit_s > 3600


def test_the_solved_notebook_is_left_as_it_is() -> None:
    """Preparing changes a copy, and it repeats: the banner's cell and the seed's have fixed ids."""
    before = code_of(SOLVED)
    runs = [prepare_vision(SOLVED, gpu=False).notebook for _ in range(2)]

    assert runs[0] == runs[1]
    assert code_of(SOLVED) == before
    assert "torch.manual_seed(182)" in runs[0].cells[1].source


@pytest.mark.parametrize("gpu", [True, False])
def test_training_in_full_keeps_its_epochs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, gpu: bool) -> None:
    """With --full all images and epochs, with or without a GPU, in a folder that stays; the banner says which."""
    monkeypatch.setenv("GRADER_CIFAR10", str(tmp_path))

    run = prepare_vision(SOLVED, gpu=gpu, full=True)

    assert "GRADER_STAND_IN_IMAGES" not in run.environment
    assert code_of(SOLVED) in code_of(run.notebook)
    assert run.work is not None
    assert ("on a GPU" in run.notebook.cells[0].source) == gpu


def test_training_in_full_without_cifar10_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A sentence before anything is computed."""
    monkeypatch.delenv("GRADER_CIFAR10", raising=False)

    with pytest.raises(StaffError, match="GRADER_CIFAR10 does not name its folder"):
        prepare_vision(SOLVED, gpu=False, full=True)
