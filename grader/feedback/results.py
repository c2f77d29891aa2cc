"""results.json: built from judgements, validated, written so that it is whole at every instant."""

from __future__ import annotations

import functools
import json
import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema

from grader.feedback.pictures import pictures_to_json
from grader.feedback.words import Judgement, question_output, summary
from grader.verdicts import Verdict

SCHEMA = Path(__file__).parents[1] / "schemas" / "results.schema.json"


def build_results(
    judgements: Sequence[Judgement],
    *,
    used: Sequence[tuple[str, str]],
    notes: Sequence[str],
    execution_time_s: float,
    extra_data: dict[str, Any],
    tests: Sequence[dict[str, Any]] | None = None,
) -> dict[str, Any]:
    """
    Return the content of results.json.

    Args:
        judgements: one for each question of the rubric, in order.
        used: (what for, file) pairs for the summary.
        notes: remarks on the submission as a whole, safe as Markdown.
        execution_time_s: seconds since grading began.
        extra_data: facts about the run for programs.
        tests: what `build_test` made of each judgement, if that is there already.
    """
    # Whole seconds, and none where a question is hidden: its code could tell by them what it was asked.
    hidden = any(judgement.question.hidden for judgement in judgements)
    return {
        "score": round(sum(judgement.score for judgement in judgements), 4),
        **({} if hidden else {"execution_time": round(execution_time_s)}),
        "output": summary(judgements, used=used, notes=notes),
        "output_format": "md",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [build_test(judgement) for judgement in judgements] if tests is None else list(tests),
        "extra_data": extra_data,
    }


def not_graded() -> dict[str, Any]:
    """Return the content of results.json while nothing is graded yet: what stays if the grader cannot even begin."""
    return {
        "score": 0,
        "execution_time": 0,
        "output": "**Not graded: the grader itself failed before it came to your submission.** This is not your "
        "fault; your submission is kept, and the staff see that it has to be graded again.",
        "output_format": "md",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": [],
        "extra_data": {"verdict": "INFRASTRUCTURE"},
    }


@functools.cache
def _validator() -> jsonschema.Draft202012Validator:
    # Made once: jsonschema.validate would check the schema itself for every question again. A test does that.
    return jsonschema.Draft202012Validator(json.loads(SCHEMA.read_text(encoding="utf-8")))


def validate_results(results: dict[str, Any], *, before: Sequence[dict[str, Any]] = ()) -> None:
    """
    Hold the content of results.json against its schema.

    Args:
        results: the content.
        before: tests that were held against it already; while a run goes on, all but one are there again.

    Raises:
        jsonschema.ValidationError: it is not what the schema promises.
    """
    tests = results.get("tests")
    if isinstance(tests, list):
        known = {id(test) for test in before}
        results = {**results, "tests": [test for test in tests if id(test) not in known]}
    _validator().validate(results)


def write_results(results: dict[str, Any], path: Path, *, before: Sequence[dict[str, Any]] = ()) -> None:
    """
    Validate and write results.json in one step: a reader sees the old file or the new one, never a part.

    Args:
        results: the content.
        path: the file.
        before: tests that were validated already.

    Raises:
        jsonschema.ValidationError: the content is not what the schema promises; the old file stays.
        OSError: the file cannot be written; the old file stays.
    """
    validate_results(results, before=before)
    text = json.dumps(results, ensure_ascii=True, allow_nan=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".results-")
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            os.fchmod(file.fileno(), 0o644)
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def build_test(judgement: Judgement) -> dict[str, Any]:
    """Return what results.json says of one question."""
    question, evidence = judgement.question, judgement.evidence
    extra: dict[str, Any] = {
        "question": question.number,
        "part": question.part,
        "function": question.function,
        "aspect": question.aspect,
        "verdict": evidence.verdict.value,
    }
    if not question.hidden:
        extra["lent"] = list(judgement.lent)
        extra["diagnosis"] = list(evidence.diagnosis)
        extra["findings"] = list(evidence.findings)
        if evidence.pictures:
            extra["pictures"] = pictures_to_json(evidence.pictures)
    return {
        "number": question.number,
        "name": question.title,
        "score": judgement.score,
        "max_score": question.points,
        "status": "passed" if evidence.passed or _only_informs_of_nothing(judgement) else "failed",
        "output": question_output(judgement),
        "output_format": "md",
        "visibility": question.visibility,
        "tags": list(question.tags),
        "extra_data": extra,
    }


def _only_informs_of_nothing(judgement: Judgement) -> bool:
    """Whether nothing was handed in where nothing is to be earned: the platform's red would look like a mistake."""
    question = judgement.question
    return judgement.evidence.verdict is Verdict.MISSING and not question.points and not question.hidden
