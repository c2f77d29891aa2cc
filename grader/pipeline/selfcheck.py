"""
The self-check for students: the grader's way of asking and its words, on the public vectors alone.

Nothing here knows an answer beyond those in the files of public vectors. It works without the reference, so it can be
handed out without; where the reference is there, a known mistake is named as well. It needs no root.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grader.checks.compare import Calibration
from grader.checks.exam import Case, Check, Exam
from grader.checks.judges import judge_outputs
from grader.feedback.words import Judgement
from grader.pipeline.ask import Asker
from grader.pipeline.handed_out import given_modules
from grader.pipeline.homework import Homework
from grader.pipeline.run import open_sandbox, survey
from grader.rubric import Question, load_rubric
from grader.wire import Arrays

_MEMORY_MIB = 2048


@dataclass(frozen=True)
class SelfCheck:
    """
    What the self-check found.

    Attributes:
        judgements: one for each function with public vectors whose question is in the rubric.
        builds_on: for those that failed, functions that they build on and that failed, too.
        not_covered: the rubric's questions that only the grader asks.
        notes: how the submission was read.
    """

    judgements: list[Judgement]
    builds_on: dict[str, tuple[str, ...]]
    not_covered: list[Question]
    notes: list[str]


def check_submission(homework: Homework, path: Path, *, functions: Collection[str] | None = None) -> SelfCheck:
    """
    Ask functions on their public vectors.

    Args:
        homework: the homework.
        path: a notebook, a folder or a zip.
        functions: which of them; all that have vectors where None.

    Raises:
        SubmissionError: nothing could be read.
        StaffError: the sandbox cannot be set up.
    """
    vectors = _read(homework)
    with open_sandbox(homework, "cpu") as sandbox:
        rubric = load_rubric(homework.rubric)
        sandbox.import_early(tuple(name for part in homework.parts for name in part.libraries))
        intake = survey(sandbox, path, homework, _wanted(homework, vectors))
        asker = Asker(
            homework,
            sandbox,
            intake,
            secret=b"",
            device="cpu",
            memory_mib=_MEMORY_MIB,
            given_modules=given_modules(homework),
        )
        asked = {question.check: question for question in rubric.questions}
        judgements = []
        for function in vectors if functions is None else functions:
            if question := asked.pop(f"{function}.output", None):
                check = _check(homework, function, vectors[function])
                unavailable = asker.unavailable(check)
                evidence = unavailable or asker.examine(check, asker.prepare(check), question.time_limit_s)
                judgements.append(Judgement(replace(question, visibility="visible"), evidence))
    wrong = {item.question.function for item in judgements if not item.evidence.passed}
    builds_on = {name: tuple(need for need in homework.contract[name].builds_on if need in wrong) for name in wrong}
    return SelfCheck(judgements, builds_on, list(asked.values()), [note.text for note in intake.notes])


def _wanted(homework: Homework, functions: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Return, for each group of code, the names that intake should look for."""
    names: dict[str, dict[str, None]] = {}
    for name in functions:
        function = homework.contract[name]
        names.setdefault(function.part, {}).update(dict.fromkeys((*function.wanted, name)))
    return {part: tuple(found) for part, found in names.items()}


def _read(homework: Homework) -> dict[str, Any]:
    loaded: dict[str, Any] = {}
    for name in homework.public_vectors:
        loaded.update(torch.load(homework.templates / name, weights_only=True))
    return loaded


def _check(homework: Homework, function: str, entry: Mapping[str, Any]) -> Check:
    if "cases" in entry:
        cases = [Case(_double(case["inputs"]), _double(case["expected"])) for case in entry["cases"].values()]
        judge = homework.judge_public or judge_outputs
    else:
        cases = [Case(_arrays(entry["inputs"]), _arrays(entry["expected"]))]
        judge = judge_outputs
    exam = Exam(entry["settings"], _arrays(entry.get("state", {})), cases)
    calibration = Calibration(homework.calibration)
    return Check(homework.contract[function], "output", lambda _: exam, judge, calibration)


def _arrays(tensors: Mapping[str, torch.Tensor]) -> Arrays:
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def _double(tensors: Mapping[str, torch.Tensor]) -> Arrays:
    """Return arrays as the meta-learning notebooks have them, in float64; the files keep float32."""
    return {
        name: array.astype(np.float64) if array.dtype.kind == "f" else array for name, array in _arrays(tensors).items()
    }
