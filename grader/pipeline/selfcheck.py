"""
The self-check for students: the grader's way of asking and its words, on the public vectors alone.

Nothing here knows an answer beyond those in the files of public vectors. It works without the reference, so it can be
handed out without; where the reference is there, a known mistake is named as well. It needs no root.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grader.checks.compare import INDEX, MASK, Tolerance, compare, right_already
from grader.checks.exam import Case, CaseAnswer, Check, Exam, Judge
from grader.checks.judges import judge_outputs
from grader.feedback.words import Judgement
from grader.pipeline.ask import Asker
from grader.pipeline.given import TEMPLATES, given_modules
from grader.pipeline.run import METALEARNING_LIBRARIES, open_sandbox, survey
from grader.rubric import DEFAULT_RUBRIC, Question, load_rubric
from grader.verdicts import Evidence, failed, passed
from grader.wire import Array, Arrays

VISION_VECTORS = TEMPLATES / "public_vectors.pt"
METALEARNING_VECTORS = TEMPLATES / "public_vectors_metalearning.pt"
_MEMORY_MIB = 2048
_AUTOENCODER = ("Transformer", "MaskedAutoEncoder")


@dataclass(frozen=True)
class Public:
    """
    A function that is asked on public vectors.

    Attributes:
        part: "vision" or "metalearning".
        wanted: names whose definitions it needs.
        needs: functions of the homework that it builds on.
        aliases: other names that it may have been handed in under.
        tolerances: for its outputs; those of its question where none is named.
        shown: what the grader calls an output at the beginning of a sentence, where that is not its name.
    """

    part: str
    wanted: tuple[str, ...]
    needs: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    tolerances: Mapping[str, Tolerance] = field(default_factory=dict)
    shown: Mapping[str, str] = field(default_factory=dict)


def _meta(name: str, needs: tuple[str, ...] = (), aliases: tuple[str, ...] = (), **outputs: Any) -> Public:
    return Public("metalearning", (name, *aliases), needs, aliases, **outputs)


_MASKING = {"mask": MASK, "ids_restore": INDEX}
_CURVE: dict[str, Any] = {
    "tolerances": {"n_train_post_range": INDEX},
    "shown": {"mean": "The mean error", "high": "The 90th percentile", "low": "The 10th percentile"},
}
PUBLIC: dict[str, Public] = {
    "patchify": Public("vision", ("patchify",)),
    "unpatchify": Public("vision", ("unpatchify",)),
    "ClassificationViT.forward": Public("vision", ("ClassificationViT",), ("patchify",)),
    "random_masking": Public("vision", ("random_masking",), tolerances=_MASKING),
    "restore_masked": Public("vision", ("restore_masked",)),
    "MaskedAutoEncoder.forward_encoder": Public(
        "vision", _AUTOENCODER, ("patchify", "random_masking"), tolerances=_MASKING
    ),
    "MaskedAutoEncoder.forward_decoder": Public("vision", _AUTOENCODER, ("restore_masked",)),
    "MaskedAutoEncoder.forward_encoder_representation": Public("vision", _AUTOENCODER, ("patchify",)),
    "ClassificationMAE.forward": Public(
        "vision", (*_AUTOENCODER, "ClassificationMAE"), ("MaskedAutoEncoder.forward_encoder_representation",)
    ),
    "min_norm_solution": _meta("min_norm_solution"),
    "aliased_coefficients": _meta("aliased_coefficients"),
    "expected_test_error": _meta("expected_test_error"),
    "expected_test_error_gradient": _meta("expected_test_error_gradient"),
    "descend_feature_weights": _meta("descend_feature_weights", ("expected_test_error_gradient",)),
    "meta_update_classification": _meta("meta_update_classification"),
    "test_classification": _meta("test_classification", **_CURVE),
    "test_oracle_classification": _meta(
        "test_oracle_classification", ("test_classification",), ("test_classification_oracle",), **_CURVE
    ),
    "test_zero_classification": _meta("test_zero_classification", aliases=("test_classification_zero",)),
}


@dataclass(frozen=True)
class SelfCheck:
    """
    What the self-check found.

    Attributes:
        judgements: one for each function of `PUBLIC` whose question is in the rubric.
        builds_on: for those that failed, functions that they build on and that failed, too.
        not_covered: the rubric's questions that only the grader asks.
        notes: how the submission was read.
    """

    judgements: list[Judgement]
    builds_on: dict[str, tuple[str, ...]]
    not_covered: list[Question]
    notes: list[str]


def check_submission(path: Path, *, functions: Collection[str] = PUBLIC.keys()) -> SelfCheck:
    """
    Ask functions of `PUBLIC` on their public vectors.

    Args:
        path: a notebook, a folder or a zip.
        functions: which of them.

    Raises:
        SubmissionError: nothing could be read.
        StaffError: the sandbox cannot be set up.
    """
    with open_sandbox("cpu") as sandbox:
        rubric = load_rubric(DEFAULT_RUBRIC)
        sandbox.import_early(METALEARNING_LIBRARIES)
        intake = survey(sandbox, path, _wanted())
        asker = Asker(
            sandbox,
            intake,
            secret=b"",
            device="cpu",
            memory_mib=_MEMORY_MIB,
            given_modules=given_modules(),
        )
        vectors = {**_read(VISION_VECTORS), **_read(METALEARNING_VECTORS)}
        asked = {question.check: question for question in rubric.questions}
        judgements = []
        for function in functions:
            if question := asked.pop(f"{function}.output", None):
                check = _check(function, vectors)
                unavailable = asker.unavailable(check)
                evidence = unavailable or asker.examine(check, asker.prepare(check), question.time_limit_s)
                judgements.append(Judgement(replace(question, visibility="visible"), evidence))
    wrong = {item.question.function for item in judgements if not item.evidence.passed}
    builds_on = {name: tuple(need for need in PUBLIC[name].needs if need in wrong) for name in wrong}
    return SelfCheck(judgements, builds_on, list(asked.values()), [note.text for note in intake.notes])


def _wanted() -> dict[str, tuple[str, ...]]:
    """Return, for each part, the names that intake should look for."""
    names: dict[str, dict[str, None]] = {}
    for function, public in PUBLIC.items():
        names.setdefault(public.part, {}).update(dict.fromkeys((*public.wanted, function)))
    return {part: tuple(found) for part, found in names.items()}


def _read(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = torch.load(path, weights_only=True)
    return loaded


def _check(function: str, vectors: Mapping[str, Any]) -> Check:
    public, entry = PUBLIC[function], vectors[function]
    if public.part == "vision":
        exam = Exam(
            entry["settings"],
            _arrays(entry.get("state", {})),
            [Case(_arrays(entry["inputs"]), _arrays(entry["expected"]))],
        )
    else:
        cases = [Case(_double(case["inputs"]), _double(case["expected"])) for case in entry["cases"].values()]
        exam = Exam(entry["settings"], {}, cases)
    return Check(
        key=f"{function}.output",
        part=public.part,
        function=function,
        aspect="output",
        probe=function,
        wanted=public.wanted,
        prepare=lambda _: exam,
        judge=judge_outputs if public.part == "vision" else _judge_with(public.shown),
        tolerances=public.tolerances,
        aliases=public.aliases,
    )


def _judge_with(shown: Mapping[str, str]) -> Judge:
    """Return a judge that calls outputs by the names that the grader has for them."""

    def judge(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
        wrong: dict[str, str] = {}
        for case, answer in zip(exam.cases, answers, strict=True):
            if _is(answer.get("solver"), -1):
                return failed(
                    "Tasks are learned by least squares.",
                    try_next="Labels want logistic regression: `solve_logistic`. Least squares on labels is part (g).",
                )
            if not wrong and (_is(answer.get("hidden"), 0) or _is(answer.get("solver"), 0)):
                return passed(notes=(_OWN_WAY,))
            for name, expected in case.expected.items():
                called, is_code = shown.get(name, name), name not in shown
                sentence = compare(answer.get(name), expected, check.tolerance(name), name=called, is_code=is_code)
                if sentence:
                    wrong.setdefault(name, sentence)
        right = tuple(shown.get(name, f"`{name}`") for name in exam.cases[0].expected if name not in wrong)
        return failed(*wrong.values(), *right_already(right)) if wrong else passed()

    return judge


_OWN_WAY = (
    "It ran, but its numbers were not compared: it draws its points or learns its tasks in a way of its own, without "
    "`generate_x` or `solve_logistic`. The grader can compare them by statistics."
)


def _is(flag: Array | None, value: float) -> bool:
    return flag is not None and flag.size == 1 and float(flag.reshape(-1)[0]) == value


def _arrays(tensors: Mapping[str, torch.Tensor]) -> Arrays:
    return {name: tensor.numpy() for name, tensor in tensors.items()}


def _double(tensors: Mapping[str, torch.Tensor]) -> Arrays:
    """Return arrays as the meta-learning notebooks have them, in float64; the files keep float32."""
    return {
        name: array.astype(np.float64) if array.dtype.kind == "f" else array for name, array in _arrays(tensors).items()
    }
