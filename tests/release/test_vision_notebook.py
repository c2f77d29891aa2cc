"""The vision notebook as students run it: its self-checks, its training cells and the zip that it writes."""

from __future__ import annotations

import contextlib
import importlib
import io
import sys
import types
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import pytest
import torch
from torch.utils.data import TensorDataset

from grader.pipeline.selfcheck import check_submission
from grader.release.notebooks import NotebookNode, edit_notebook, notebook_bytes
from homework.homework import HOMEWORK
from homework.release.sources import solved_notebook, template_modules, template_notebook
from homework.release.vectors import write_vectors

TOOLS = ("notebook_tools", "self_check")
WRITTEN = [
    "patchify",
    "unpatchify",
    "ClassificationViT.forward",
    "random_masking",
    "restore_masked",
    "MaskedAutoEncoder.forward_encoder",
    "MaskedAutoEncoder.forward_decoder",
    "MaskedAutoEncoder.forward_encoder_representation",
    "ClassificationMAE.forward",
]
# id: (the self-check that must speak, text of the solved notebook, its replacement, words of the verdict)
MISTAKES = {
    "wrong values": (
        "restore_masked",
        "    shuffled = torch.cat([kept_x, masked_x], dim=1)\n",
        "    shuffled = torch.cat([masked_x, kept_x], dim=1)\n",
        "`x` has the right shape (2, 64, 8), but ",
    ),
    "wrong shape": (
        "ClassificationViT.forward",
        "self.output_head(tokens[:, 0])",
        "self.output_head(tokens)",
        "`logits` has shape (2, 65, 10); it should be (2, 10).",
    ),
    "a shape that broadcasts": (
        "ClassificationMAE.forward",
        "logits: torch.Tensor = self.output_head(cls_token)\n",
        "logits: torch.Tensor = self.output_head(cls_token)[:1]\n",
        "`logits` has shape (1, 10); it should be (2, 10).",
    ),
    "not finite": (
        "unpatchify",
        "    return pixels.reshape(batch, channels, side * patch_size, side * patch_size)",
        "    return pixels.reshape(batch, channels, side * patch_size, side * patch_size) * float('nan')",
        "`images` has all 6,144 elements that are NaN or infinite.",
    ),
    "not a tensor": (
        "patchify",
        "    return pixels.reshape(batch, rows * columns, channels * patch_size * patch_size)",
        "    return 'patches'",
        "`patches`: a tensor expected, but got `str`.",
    ),
    "nothing": (
        "patchify",
        "    return pixels.reshape(batch, rows * columns, channels * patch_size * patch_size)",
        "    return None",
        "`patchify` returned nothing that could be graded: it is not implemented yet, or its result is not returned.",
    ),
    "too few values": (
        "random_masking",
        "    return kept, mask, ids_restore",
        "    return kept, mask",
        "`random_masking`: 3 values expected, but got 2 values.",
    ),
    "a mask of other numbers": (
        "random_masking",
        "    return kept, mask, ids_restore",
        "    return kept, mask - 1, ids_restore",
        "`mask` should hold only 0 and 1; it holds -1, 0.",
    ),
    "a helper that is not there": (
        "MaskedAutoEncoder.forward_encoder_representation",
        "    batch, channels, height, width = images.shape\n    rows, columns",
        "    raise NotImplementedError('patchify is not implemented yet')\n    rows, columns",
        "`patchify`, which `MaskedAutoEncoder.forward_encoder_representation` calls, is not implemented yet.",
    ),
    "a small difference": (
        "MaskedAutoEncoder.forward_decoder",
        "decoded = self.decoder(torch.cat([cls_token, patches], dim=1))",
        "decoded = self.decoder(torch.cat([0 * cls_token, patches], dim=1))",
        "`patches` has the right shape (2, 64, 48), but ",
    ),
}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Run inside a folder with the public vectors and what the notebook imports."""
    write_vectors(tmp_path / "public_vectors.pt")
    for name in TOOLS:
        (tmp_path / f"{name}.py").write_text(template_modules()[f"{name}.py"])
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    yield tmp_path
    for name in TOOLS:
        sys.modules.pop(name, None)


def run_cells(notebook: NotebookNode, *, training: bool = False, last: str = "") -> tuple[dict[str, Any], str]:
    """Run a notebook's cells in order, stop after the one that contains `last`, return names and output."""
    namespace: dict[str, Any] = {"__name__": "__main__"}
    for name in TOOLS:
        sys.modules.pop(name, None)  # a notebook has a kernel, and with it the modules, of its own
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        for cell in notebook.cells:
            if cell.cell_type == "code" and (training or "training" not in cell.metadata.get("tags", [])):
                exec(compile(cell.source, cell.id, "exec"), namespace)
                if last and last in cell.source:
                    break
    return namespace, printed.getvalue()


def test_solved_notebook_passes_its_self_checks(folder: Path) -> None:
    """Every self-check says correct, and its result is kept under the key that autograder.pt needs."""
    namespace, printed = run_cells(solved_notebook("MAE_student"))

    assert [line for line in printed.splitlines() if "correct" in line] == [
        f"{name}: correct on the public inputs." for name in WRITTEN
    ]
    assert list(namespace["output"]) == WRITTEN
    assert len(namespace["output"]["random_masking"]) == 3
    assert torch.load(folder / "autograder.pt", weights_only=True)["output"].keys() == set(WRITTEN)


def test_template_says_not_implemented(folder: Path) -> None:
    """The untouched template runs through, says what is missing, and keeps no result."""
    namespace, printed = run_cells(template_notebook("MAE_student"))

    for name in WRITTEN:
        assert f"{name}: not checked. `{name}` is not implemented yet." in printed
    assert namespace["output"] == {}
    assert torch.load(folder / "autograder.pt", weights_only=True) == {"output": {}}


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize("mistake", MISTAKES)
def test_self_check_says_in_words_what_is_wrong(mistake: str) -> None:
    """A mistake gets a sentence from its own self-check, and is not called correct."""
    name, old, new, words = MISTAKES[mistake]

    notebook = edit_notebook(solved_notebook("MAE_student"), {old: new})
    _, printed = run_cells(notebook, last=f'self_check("{name}"')

    (verdict,) = [line for line in printed.splitlines() if line.startswith(f"{name}:")]
    assert words in verdict
    assert "correct on" not in verdict


QUICK = ("wrong shape", "nothing", "too few values", "a mask of other numbers")


@pytest.mark.parametrize(
    "mistake", [pytest.param(name, marks=[] if name in QUICK else [pytest.mark.slow]) for name in MISTAKES]
)
def test_self_check_and_grader_use_the_same_words(folder: Path, mistake: str) -> None:
    """For the same mistake on the same inputs, what `check` finds with the grader's code is in the cell's verdict."""
    name, old, new, _ = MISTAKES[mistake]
    notebook = edit_notebook(solved_notebook("MAE_student"), {old: new})
    _, printed = run_cells(notebook, last=f'self_check("{name}"')
    (verdict,) = [line for line in printed.splitlines() if line.startswith(f"{name}:")]

    (folder / "MAE_student.ipynb").write_bytes(notebook_bytes(notebook))
    found = check_submission(HOMEWORK, folder / "MAE_student.ipynb", functions=(name,))

    finding = found.judgements[0].evidence.findings[-1]
    assert len(finding) > 30
    assert finding in verdict


@pytest.mark.usefixtures("folder")
def test_tolerance_has_two_sides() -> None:
    """Rounding passes, with int and bool masks too; a difference just above the tolerance does not."""
    self_check = importlib.import_module("self_check")
    describe, tolerance = self_check.describe_tensor, self_check.VISION_TOLERANCE.relative
    expected = torch.randn(100, generator=torch.Generator().manual_seed(0))
    mask = torch.tensor([1.0, 0.0, 1.0])

    assert describe("x", expected * (1 + 0.9 * tolerance), expected) == ""
    assert "differ" in describe("x", expected * (1 + 1.1 * tolerance), expected)
    assert describe("mask", mask.bool(), mask) == ""
    assert describe("mask", mask.long(), mask) == ""
    assert describe("mask", mask.numpy(), mask) == ""
    assert "infinite" in describe("x", expected.index_fill(0, torch.tensor([3]), torch.inf), expected)


@pytest.mark.parametrize("content", [None, b"cut short"], ids=["missing", "cut short"])
def test_without_public_vectors_a_sentence_says_so(folder: Path, content: bytes | None) -> None:
    """The notebook runs through, and every self-check says which file to put where; none of them calls code right."""
    (folder / "public_vectors.pt").unlink()
    if content is not None:
        (folder / "public_vectors.pt").write_bytes(content)

    namespace, printed = run_cells(solved_notebook("MAE_student"))

    for name in WRITTEN:
        assert f"{name}: not checked. `public_vectors.pt` " in printed
    assert "correct" not in printed
    assert ("cannot be read" in printed) == (content is not None)
    assert namespace["output"] == {}


def test_notebooks_hold_no_comparison_of_their_own() -> None:
    """What is compared, and how, stands in self_check.py; notebooks import it in one line."""
    for name in ("MAE_student", "metalearning-part0", "metalearning-part2"):
        code = [cell.source for cell in template_notebook(name).cells if cell.cell_type == "code"]
        assert sum("from self_check import " in source for source in code) == 1
        assert not any("class Tolerance" in source or "def compare" in source for source in code)


def test_last_cell_packs_what_lies_beside_it(folder: Path) -> None:
    """The zip holds notebooks, modules, results and model; the messages name what is missing."""
    (folder / "mine.ipynb").write_text("{}")
    (folder / "helpers.py").write_text("")
    _, first = run_cells(solved_notebook("MAE_student"))
    (folder / "mae_pretrained.pt").write_bytes(b"model")
    _, second = run_cells(solved_notebook("MAE_student"))

    with zipfile.ZipFile(folder / "hw4_submission.zip") as archive:
        names = archive.namelist()
    tools = [f"{name}.py" for name in TOOLS]
    assert names == ["mine.ipynb", "helpers.py", *tools, "autograder.pt", "mae_pretrained.pt"]
    assert "Missing in the zip: mae_pretrained.pt" in first
    assert "mae_pretrained.pt. " not in second
    assert "Missing in the zip: MAE_student.ipynb, metalearning-part0.ipynb," in second
    assert "Missing in the zip: utils.py," in second
    assert "Missing in autograder.pt: vit_acc." in second


def fake_torchvision() -> dict[str, types.ModuleType]:
    """Return modules that stand in for torchvision: a data set of 8 random images, transforms left out."""
    torchvision, transforms = types.ModuleType("torchvision"), types.ModuleType("torchvision.transforms")
    data = TensorDataset(torch.randn(8, 3, 32, 32), torch.arange(8))
    torchvision.datasets = types.SimpleNamespace(CIFAR10=lambda *_, **__: data)  # type: ignore[attr-defined]
    for name in ("Compose", "ToTensor", "Normalize", "RandomHorizontalFlip"):
        setattr(transforms, name, lambda *_: None)
    torchvision.transforms = transforms  # type: ignore[attr-defined]
    return {"torchvision": torchvision, "torchvision.transforms": transforms}


def test_training_cells_run(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a tiny data set, every training cell runs, and the submission is complete."""
    for name, module in fake_torchvision().items():
        monkeypatch.setitem(sys.modules, name, module)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    plt.switch_backend("agg")
    monkeypatch.setattr(plt, "show", lambda: plt.close("all"))
    names = ("vit_epochs = 10", "mae_epochs = 20", "linear_epochs = 20", "finetune_epochs = 20")
    shorter = {text: f"{text.split()[0]} = 1" for text in names}
    in_process = {
        "shuffle=True, num_workers=2": "shuffle=True",
        "batch_size=batch_size, num_workers=2": "batch_size=4",
    }

    notebook = edit_notebook(solved_notebook("MAE_student"), shorter | in_process)
    namespace, printed = run_cells(notebook, training=True)

    assert {"vit_acc", "mae_linear_acc", "mae_finetune_acc"} <= namespace["output"].keys()
    assert "epoch 1: training loss" in printed
    assert "Missing in autograder.pt" not in printed
    assert "There is no GPU: training would take about a day." in printed
    assert printed.count("Training was cut short: 1 of") == 3
    saved = torch.load(folder / "mae_pretrained.pt", weights_only=True)
    assert saved.keys() == namespace["mae"].state_dict().keys()

    _, printed = run_cells(notebook, training=True)  # as after a disconnect

    assert printed.count("1 epochs were done before") == 4
    assert "epoch 1: training loss" not in printed
    assert "Missing in autograder.pt" not in printed
