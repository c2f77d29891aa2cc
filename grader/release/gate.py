"""The gate before autograder.zip: it has to grade right what is right, and wrong what is wrong, where it is wrong."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import torch

from grader.errors import StaffError
from grader.pipeline.homework import Homework
from grader.release.progress import OnStep, Step, unheard
from grader.release.workshop import Trial, Workshop
from grader.rubric import Rubric

_AT_ONCE = 2
_LIMIT_S = 1200
# Answers on other processors differ by rounding, a few 1e-7; a changed reference by a hundredth or more.
_VECTORS_RTOL = 1e-5


def release_gate(
    homework: Homework, workshop: Workshop, root: Path, work: Path, *, rubric: Rubric, on_step: OnStep = unheard
) -> None:
    """
    Let a grader through that grades right; the submissions are graded by its own command, as on the platform.

    The solved submission has to get every point and the untouched template none. The homework's own trials solve it in
    other ways, with one mistake each, and have to lose exactly what that mistake costs: a reference that is wrong
    itself cannot give these points.

    Args:
        homework: what is graded.
        workshop: makes its submissions.
        root: the unpacked autograder.zip.
        work: an empty folder for submissions and results.
        rubric: what the grader grades by.
        on_step: told how far it has come.

    Raises:
        StaffError: it grades something wrong, or the reference does not give the answers that students hold.
    """
    templates = root / homework.templates.name
    for name, now in workshop.vectors.items():
        _require_public_answers(templates / name, now())
    solved = workshop.write_solved(work / "solved.zip")
    trials = [
        Trial("the solved submission", solved),
        Trial("the untouched template", templates, None),
        *workshop.trials(solved, work),
    ]
    task = "trials before the zip"
    on_step(Step(task, 0, len(trials)))
    wrong = []
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        numbered = enumerate(trials)
        for done, complaint in enumerate(
            pool.map(lambda item: _try(root, homework.package, work, rubric, *item), numbered), start=1
        ):
            wrong += [complaint] if complaint else []
            on_step(Step(task, done, len(trials)))
    if wrong:
        raise StaffError(
            happened=" ".join(wrong),
            try_next="No zip was written. Run ./run_tests, and mend the reference, the check or the template.",
        )


def _require_public_answers(path: Path, vectors: Mapping[str, Any]) -> None:
    """Compare the answers that students hold with those that the reference gives now."""
    held = dict(_public_answers(torch.load(path, weights_only=True)))
    for (function, name), now in _public_answers(vectors):
        before = held[function, name]
        if before.shape != now.shape or (before - now).norm() > _VECTORS_RTOL * before.norm():
            raise StaffError(
                happened=f"The reference gives another `{name}` of {function} than the vectors that students hold.",
                try_next="No zip was written. Mend the reference; if it was wrong before, make new templates.",
            )


def _public_answers(vectors: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], torch.Tensor]]:
    """Yield the answers in a file of public vectors, by function, with the number of its case, and output."""
    for function, entry in vectors.items():
        cases = {f"{function}, case {number}": case for number, case in entry.get("cases", {}).items()}
        for called, case in (cases or {function: entry}).items():
            for name, value in case["expected"].items():
                yield (called, name), value.double()


def _try(root: Path, package: str, work: Path, rubric: Rubric, number: int, trial: Trial) -> str:
    """Grade a trial; return a sentence about what is wrong with its points, or an empty one."""
    out = work / f"results-{number}"
    command = [sys.executable, "-I", "-B", str(root / "grader" / "__main__.py"), "--homework", package, "grade"]
    done = subprocess.run(
        [*command, str(trial.submission), "--out", str(out), "--device", "cpu"],
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
