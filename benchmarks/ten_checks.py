"""
Ten plain checks of the vision notebook, in the same words for every grader.

Nine compare what a function returns, one compares a gradient. Inputs, parameters and expected values are drawn once
from our own exams and saved with torch; a check then is a few lines of Python that load its file, call and compare.
"""

from __future__ import annotations

import ast
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import torch
import yaml

from grader.checks.exam import Check
from grader.checks.tensors import to_tensors
from grader.release.notebooks import edit_notebook, notebook_bytes
from homework.checks.vision import VISION_CHECKS
from homework.homework import HOMEWORK
from homework.release.sources import solved_notebook
from homework.release.submissions import EXAMPLE_MISTAKES

GRADIENT = "random_masking.gradient"
_SEED = 182
_HELPER = "index_sequence"  # the solutions of two functions call it; no check asks for it
# The first of the example's mistakes: the mask is inverted.
_MISTAKE = next(iter(EXAMPLE_MISTAKES))

_AUTOENCODER = """\
sizes = {name: value for name, value in settings.items() if name not in ("encoder", "decoder")}
model = MaskedAutoEncoder(Transformer(**settings["encoder"]), Transformer(**settings["decoder"]), **sizes)
model.load_state_dict(state)
"""
# What each check calls; it names what came back as our exams name it.
_CALLS = {
    "patchify.output": 'outputs = {"patches": patchify(inputs["images"])}',
    "unpatchify.output": 'outputs = {"images": unpatchify(inputs["patches"])}',
    "random_masking.output": """\
kept, mask, ids_restore = random_masking(inputs["x"], settings["keep_length"], inputs["ids_shuffle"])
outputs = {"kept": kept, "mask": mask, "ids_restore": ids_restore}
""",
    GRADIENT: """\
x = inputs["x"].clone().requires_grad_()
kept, mask, ids_restore = random_masking(x, settings["keep_length"], inputs["ids_shuffle"])
(kept * inputs["cotangent/kept"]).sum().backward()
outputs = {"kept": kept, "gradient/x": x.grad}
""",
    "restore_masked.output": """\
outputs = {"x": restore_masked(inputs["kept_x"], inputs["masked_x"], inputs["ids_restore"])}
""",
    "ClassificationViT.forward.output": """\
model = ClassificationViT(**settings)
model.load_state_dict(state)
outputs = {"logits": model(inputs["images"])}
""",
    "MaskedAutoEncoder.forward_encoder.output": f"""\
{_AUTOENCODER}\
embeddings, mask, ids_restore = model.forward_encoder(inputs["images"], inputs["ids_shuffle"])
outputs = {{"embeddings": embeddings, "mask": mask, "ids_restore": ids_restore}}
""",
    "MaskedAutoEncoder.forward_decoder.output": f"""\
{_AUTOENCODER}\
outputs = {{"patches": model.forward_decoder(inputs["encoder_embeddings"], inputs["ids_restore"])}}
""",
    "MaskedAutoEncoder.forward_encoder_representation.output": f"""\
{_AUTOENCODER}\
outputs = {{"embeddings": model.forward_encoder_representation(inputs["images"])}}
""",
    "ClassificationMAE.forward.output": """\
sizes = {name: value for name, value in settings["mae"].items() if name not in ("encoder", "decoder")}
encoder, decoder = (Transformer(**settings["mae"][name]) for name in ("encoder", "decoder"))
head = {name: value for name, value in settings.items() if name != "mae"}
model = ClassificationMAE(mae=MaskedAutoEncoder(encoder, decoder, **sizes), **head)
model.load_state_dict(state)
outputs = {"logits": model(inputs["images"])}
""",
}
KEYS = tuple(_CALLS)


@dataclass(frozen=True)
class TenChecks:
    """
    Everything that all graders are given.

    Args:
        data: folder with a file for each check.
        solved, broken: the same notebook, right and with an inverted mask.
        rubric: our rubric with these ten questions only.
    """

    data: Path
    solved: Path
    broken: Path
    rubric: Path


def write_ten_checks(folder: Path) -> TenChecks:
    """Write data, notebooks and rubric into a folder."""
    ten = TenChecks(folder / "data", folder / "solved.ipynb", folder / "broken.ipynb", folder / "ten.yaml")
    ten.data.mkdir(parents=True, exist_ok=True)
    for key in KEYS:
        torch.save(_data(_check(key)), ten.data / f"{key}.pt")
    notebook = definitions_notebook()
    ten.solved.write_bytes(notebook_bytes(notebook))
    ten.broken.write_bytes(notebook_bytes(edit_notebook(notebook, {_MISTAKE: EXAMPLE_MISTAKES[_MISTAKE]})))
    _write_rubric(ten.rubric)
    return ten


def definitions_notebook() -> nbformat.NotebookNode:
    """Return the solved vision notebook with nothing but the first imports and what the ten checks call."""
    notebook = solved_notebook("MAE_student")
    wanted = {name for key in KEYS for name in _check(key).wanted} | {_HELPER}
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    imports = next(cell for cell in code if "from torch import nn" in cell.source)
    notebook.cells = [imports, *(cell for cell in code if _defines(cell.source) & wanted)]
    return notebook


def wanted_by(key: str) -> tuple[str, ...]:
    """Return the names that a check calls."""
    return _check(key).wanted


def check_source(key: str, data: Path, *, judged: bool = True) -> str:
    """
    Return a check as Python: it runs where `torch` and the student's names are, and raises where a value is wrong.

    Args:
        key: one of KEYS.
        data: the folder with the data.
        judged: False only calls.
    """
    lines = [
        f"data = torch.load({str(data / key) + '.pt'!r}, weights_only=True)",
        'settings, state = data["settings"], data["state"]',
        'for inputs, expected in data["cases"]:',
        textwrap.indent(_CALLS[key].rstrip(), "    "),
    ]
    if judged:
        lines += [
            "    for name, value in expected.items():",
            "        assert torch.allclose(outputs[name], value, rtol=1e-4, atol=1e-4), name",
        ]
    return "\n".join(lines) + "\n"


def _check(key: str) -> Check:
    return next(check for check in VISION_CHECKS if check.key == key)


def _data(check: Check) -> dict[str, Any]:
    exam = check.prepare(torch.Generator().manual_seed(_SEED))
    return {
        "settings": dict(exam.settings),
        "state": to_tensors(exam.state),
        "cases": [(to_tensors(case.inputs), to_tensors(case.expected)) for case in exam.cases],
    }


def _defines(source: str) -> set[str]:
    return {node.name for node in ast.parse(source).body if isinstance(node, (ast.FunctionDef, ast.ClassDef))}


def _write_rubric(path: Path) -> None:
    content = yaml.safe_load(HOMEWORK.rubric.read_text(encoding="utf-8"))
    for part in content["parts"].values():
        for entry in part:
            entry["enabled"] = entry["check"] in KEYS
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
