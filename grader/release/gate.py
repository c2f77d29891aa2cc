"""The gate before autograder.zip: it has to grade right what is right, and wrong what is wrong, where it is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nbformat
import torch

from grader.errors import StaffError
from grader.release.notebooks import notebook_bytes, require_once
from grader.release.progress import OnStep, Step, unheard
from grader.release.second_solution import CLASSIFICATION, THEORY, VISION
from grader.release.submissions import write_solved_submission, write_zip
from grader.release.vectors import public_vectors
from grader.rubric import Rubric

_AT_ONCE = 2
_LIMIT_S = 1200
# Answers on other processors differ by rounding, a few 1e-7; a changed reference by a hundredth or more.
_VECTORS_RTOL = 1e-5


@dataclass(frozen=True)
class Trial:
    """
    A submission, and which questions it must lose.

    Attributes:
        name: what it is, for messages.
        submission: a zip or a folder.
        loses: checks that earn nothing; all others earn everything. None: every check earns nothing.
    """

    name: str
    submission: Path
    loses: frozenset[str] | None = frozenset()


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

# More trials beside ours: called with the solved submission and a folder to write submissions to.
Suite = Callable[[Path, Path], Sequence[Trial]]


def release_gate(
    root: Path, work: Path, *, rubric: Rubric, suites: Sequence[Suite] = (), on_step: OnStep = unheard
) -> None:
    """
    Let a grader through that grades right; the submissions are graded by its own command, as on the platform.

    The solved submission has to get every point and the untouched template none. Three submissions that solve the
    homework in other ways, with one mistake each, have to lose exactly what that mistake costs: a reference that is
    wrong itself cannot give these points.

    Args:
        root: the unpacked autograder.zip.
        work: an empty folder for submissions and results.
        rubric: what the grader grades by.
        suites: more trials.
        on_step: told how far it has come.

    Raises:
        StaffError: it grades something wrong, or the reference does not give the answers that students hold.
    """
    _require_public_answers(root / "student_templates" / "public_vectors.pt")
    solved = write_solved_submission(work / "solved.zip")
    trials = [
        Trial("the solved submission", solved),
        Trial("the untouched template", root / "student_templates", None),
        *trials_with_mistakes(solved, work),
        *(trial for suite in suites for trial in suite(solved, work)),
    ]
    task = "trials before the zip"
    on_step(Step(task, 0, len(trials)))
    wrong = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        numbered = enumerate(trials)
        for done, complaint in enumerate(pool.map(lambda item: _try(root, work, rubric, *item), numbered), start=1):
            wrong += [complaint] if complaint else []
            on_step(Step(task, done, len(trials)))
    if wrong:
        raise StaffError(
            happened=" ".join(wrong),
            try_next="No zip was written. Run ./run_tests, and mend the reference, the check or the template.",
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


def _require_public_answers(path: Path) -> None:
    """Compare the answers that students hold with those that the reference gives now."""
    held: dict[str, Any] = torch.load(path, weights_only=True)
    for key, entry in public_vectors().items():
        for name, now in entry["expected"].items():
            before = held[key]["expected"][name].double()
            if before.shape != now.shape or (before - now.double()).norm() > _VECTORS_RTOL * before.norm():
                raise StaffError(
                    happened=f"The reference gives another `{name}` of {key} than the vectors that students hold.",
                    try_next="No zip was written. Mend the reference; if it was wrong before, make new templates.",
                )


def _try(root: Path, work: Path, rubric: Rubric, number: int, trial: Trial) -> str:
    """Grade a trial; return a sentence about what is wrong with its points, or an empty one."""
    out = work / f"results-{number}"
    command = [sys.executable, "-I", "-B", str(root / "grader" / "__main__.py"), "grade", str(trial.submission)]
    done = subprocess.run(
        [*command, "--out", str(out), "--device", "cpu"],
        capture_output=True,
        text=True,
        cwd=work,
        env={"PATH": os.environ["PATH"]},
        timeout=_LIMIT_S,
        check=False,
    )
    results = out / "results.json"
    if done.returncode != 0 or not results.exists():
        return f"{trial.name} could not be graded: {done.stderr.strip()[-300:]}"
    return complaint(trial, json.loads(results.read_text(encoding="utf-8")), rubric)


def complaint(trial: Trial, results: Mapping[str, Any], rubric: Rubric) -> str:
    """Return a sentence about the questions whose points are not what a trial must get; empty if all are right."""
    scores = {test["number"]: test["score"] for test in results["tests"]}
    wrong = []
    for question in rubric.questions:
        loses = trial.loses is None or question.check in trial.loses
        right = 0 if loses else question.points
        if question.points and scores.get(question.number) != right:
            wrong.append(f"{question.number} gets {scores.get(question.number)} where {right:g} is right")
    return f"{trial.name}: {', '.join(wrong)}." if wrong else ""
