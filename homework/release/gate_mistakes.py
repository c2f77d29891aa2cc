"""Trials before the zip: the homework solved a second time, with one mistake each that must cost what it costs."""

from __future__ import annotations

import zipfile
from dataclasses import dataclass
from pathlib import Path

import nbformat

from grader.release.notebooks import notebook_bytes, require_once
from grader.release.submissions import write_zip
from grader.release.workshop import Trial
from homework.release.second_solution import CLASSIFICATION, THEORY, VISION


@dataclass(frozen=True)
class Mistake:
    """
    A mistake in the second solution.

    Attributes:
        name: what it is, for messages.
        part: of the second solution: "vision", "theory" or "classification".
        old: text that stands there once.
        new: the mistake.
        loses: the checks that it costs.
    """

    name: str
    part: str
    old: str
    new: str
    loses: frozenset[str]


MISTAKES = (
    Mistake(
        "an inverted mask",
        part="vision",
        old="torch.ones(x.shape[0], x.shape[1], device=x.device).scatter(1, kept_ids, 0.0)",
        new="torch.zeros(x.shape[0], x.shape[1], device=x.device).scatter(1, kept_ids, 1.0)",
        loses=frozenset({"random_masking.output", "random_masking.generality"}),
    ),
    Mistake(
        "a class token without a position",
        part="vision",
        old="self.transformer(x + self.position_encoding)[:, 0]",
        new="self.transformer(torch.cat([x[:, :1], x[:, 1:] + self.position_encoding[:, 1:]], dim=1))[:, 0]",
        loses=frozenset(f"ClassificationViT.forward.{aspect}" for aspect in ("output", "gradient", "generality")),
    ),
    Mistake(
        "the share of right labels for that of wrong ones",
        part="classification",
        old="@ alpha) != z_test",
        new="@ alpha) == z_test",
        loses=frozenset({"test_classification.output"}),
    ),
)


def trials_with_mistakes(solved: Path, work: Path) -> list[Trial]:
    """Write, for each of `MISTAKES`, the second solution with it into a folder, and return the trials."""
    return [
        Trial(mistake.name, _write_second(solved, work / f"mistake-{number}.zip", mistake), mistake.loses)
        for number, mistake in enumerate(MISTAKES, start=1)
    ]


def _write_second(solved: Path, path: Path, mistake: Mistake | None) -> Path:
    """Write the solved submission with the second solution after the first, and a mistake in it."""
    text = {"vision": VISION, "theory": THEORY, "classification": CLASSIFICATION}
    if mistake is not None:
        require_once(mistake.old, count=text[mistake.part].count(mistake.old), where="the second solution")
        text[mistake.part] = text[mistake.part].replace(mistake.old, mistake.new)
    with zipfile.ZipFile(solved) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    for name, part in (("MAE_student.ipynb", "vision"), ("metalearning-part0.ipynb", "theory")):
        notebook = nbformat.reads(files[name].decode(), as_version=4)
        notebook.cells.append(nbformat.v4.new_code_cell(text[part], id="second-solution"))
        files[name] = notebook_bytes(notebook)
    files["utils_classification.py"] += text["classification"].encode()
    return write_zip(path, files)
