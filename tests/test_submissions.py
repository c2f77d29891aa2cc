"""
Whole submissions, graded: the name of the folder under homework/submissions is the verdict they must get.

To add a case, write homework/submissions/<verdict>/<name>.yaml, an edited solved notebook; grader/trust/cases.py says
how. Those that passed are right ways to solve the homework.
Every question that it does not name must be PASSED, with all its points. A run asks in full what a case touches, and
little of the rest; with --slow it asks everything. A training (<function>.convergence) takes seconds and is asked only
of a case that names it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest
import torch
import yaml

from grader.feedback.results import SCHEMA
from grader.pipeline.run import Report, Settings, grade_submission
from grader.release.notebooks import notebook_bytes
from grader.rubric import Question, Rubric, load_rubric
from grader.trust.cases import Case, Changes, known_cases, questions_of, training_questions
from grader.verdicts import Verdict
from homework.homework import HOMEWORK
from homework.release.sources import solved_notebook
from tests.known import VISION, vision_questions

REPOSITORY = Path(__file__).parents[1]
CASES = known_cases(HOMEWORK, *Verdict)


def graded_rubric(keep: Callable[[Question], bool]) -> Rubric:
    """Return the rubric with some of its vision questions, without the claims."""
    return replace(load_rubric(HOMEWORK.rubric), questions=tuple(filter(keep, vision_questions())))


def rubric_of(case: Case, *, whole: bool) -> Rubric:
    """Return the rubric of a case's part, or what of it the case touches, with the case's time limit."""
    limit = {} if case.time_limit_s is None else {"time_limit_s": case.time_limit_s}
    named = {*case.loses, *case.touches, *case.also}
    asked = [each for each in questions_of(HOMEWORK, case.part) if whole or case.asks(HOMEWORK, each)]
    asked += [each for each in training_questions(HOMEWORK, case.part) if each.check in named]
    asked = [replace(question, **limit) for question in asked]
    return replace(load_rubric(HOMEWORK.rubric), questions=tuple(asked))


def grade(path: Path, rubric: Rubric, out: Path) -> Report:
    """Grade in this process, with one thread."""
    torch.set_num_threads(1)
    return grade_submission(path, Settings(homework=HOMEWORK, rubric=rubric, out=out))


def verdicts(report: Report) -> dict[str, str]:
    """Return the verdict of each check, and what was found, for a test that fails to show."""
    return {
        item.question.check: " ".join([item.evidence.verdict.name, *item.evidence.findings])
        for item in report.judgements
    }


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{case.verdict.name.lower()}-{case.name}", marks=[pytest.mark.slow] * case.slow)
        for case in CASES
    ],
)
def test_folder_is_the_verdict(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The questions that a case names get its folder's verdict, and every other one all its points."""
    whole = bool(request.config.getoption("--slow"))
    rubric = rubric_of(case, whole=whole)

    report = grade(case.write(tmp_path / "submission"), rubric, tmp_path / "out")

    expected = {question.check: case.expected(question).name for question in rubric.questions}
    found = verdicts(report)
    wrong = {check: text for check, text in found.items() if text.partition(" ")[0] != expected[check]}
    assert not wrong, case.about
    for item in report.judgements:
        full, whole_or_none = item.question.points, item.question.check != "ClassificationMAE.forward.convergence"
        assert item.score == full if item.evidence.passed else item.score == 0 or not whole_or_none, item.question.check
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    jsonschema.validate(results, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [test["number"] for test in results["tests"]] == [question.number for question in rubric.questions]
    assert results["score"] == report.score


# One mistake and one lent helper: what a packing could change would show.
PACKED = Case(
    "packed",
    VISION,
    Verdict.FAILED,
    "The mask is inverted.",
    Changes(
        bodies={
            "random_masking": "kept = index_sequence(x, ids_shuffle[:, :keep_length])\n"
            "ids_restore = torch.argsort(ids_shuffle, dim=1)\n"
            "return kept, (ids_restore < keep_length).float(), ids_restore"
        }
    ),
)
PACKED_CHECKS = {
    "patchify.generality",
    "random_masking.output",
    "random_masking.generality",
    "MaskedAutoEncoder.forward_encoder.generality",
}


def zip_of(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write a zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_packing_does_not_matter(tmp_path: Path) -> None:
    """Zip, folder, zip in a zip, nested and renamed with the traces of macOS: the same score and verdicts."""
    folder = PACKED.write(tmp_path / "folder")
    data = (folder / "MAE_student.ipynb").read_bytes()
    single = zip_of(tmp_path / "hw4_submission.zip", {"MAE_student.ipynb": data})
    double = zip_of(tmp_path / "double.zip", {"hw4_submission.zip": single.read_bytes()})
    nested = tmp_path / "nested" / "CS182 HW4" / "final"
    nested.mkdir(parents=True)
    (nested / "Copy of MAE_student (1).ipynb").write_bytes(data)
    traces = tmp_path / "nested" / "__MACOSX" / "CS182 HW4"
    traces.mkdir(parents=True)
    (traces / "._Copy of MAE_student (1).ipynb").write_bytes(bytes.fromhex("00051607000200004d6163204f532058"))
    checkpoint = nested / ".ipynb_checkpoints"
    checkpoint.mkdir()
    (checkpoint / "MAE_student-checkpoint.ipynb").write_bytes(notebook_bytes(solved_notebook("MAE_student")))
    rubric = graded_rubric(lambda question: question.check in PACKED_CHECKS)

    reports = [grade(path, rubric, tmp_path / "out") for path in (folder, single, double, tmp_path / "nested")]

    # The words name the file in which to look, which has other names in other packings.
    assert len({(report.score, tuple(item.evidence.verdict for item in report.judgements)) for report in reports}) == 1
    assert reports[0].verdict_of("3.1") is Verdict.FAILED
    assert reports[0].verdict_of("4.4") is Verdict.PASSED


def test_same_submission_gets_the_same_results(tmp_path: Path) -> None:
    """Graded twice, results.json differs in its times alone; the picture of the wrong mask is there, the same bytes."""
    folder = PACKED.write(tmp_path / "folder")
    rubric = graded_rubric(lambda question: question.check in PACKED_CHECKS)
    contents = []
    for out in (tmp_path / "first", tmp_path / "second"):
        grade(folder, rubric, out)
        content = json.loads((out / "results.json").read_text(encoding="utf-8"))
        content.pop("execution_time", None)
        contents.append(content)

    assert contents[0] == contents[1]
    shown = {
        test["number"]: [each["kind"] for each in test["extra_data"].get("pictures", [])] for test in content["tests"]
    }
    assert {number for number, kinds in shown.items() if kinds} == {"3.1"}
    assert shown["3.1"] == ["mask"]


# Tries every way to the answers that it can think of, by import and by path; {root} is the checkout.
THIEF = """
import glob, importlib, os, sys

found = []
for name in ("reference", "reference.vision.masking", "homework.checks.vision", "grader.release"):
    try:
        importlib.import_module(name)
        found.append(name)
    except BaseException:
        pass
for path in ("{root}/reference/vision/masking.py", "{root}/grader/secret.key", "{out}/results.json"):
    for mode in ("r", "r+"):
        try:
            open(path, mode).close()
            found.append(path)
        except OSError:
            pass
    found += glob.glob(os.path.dirname(path) + "/*")
assert not found, found
"""


def test_answers_are_out_of_reach(tmp_path: Path) -> None:
    """On the command line, where nothing knows the answers before the fork, student code finds none of them."""
    out = tmp_path / "results"
    body = (
        THIEF.format(root=REPOSITORY, out=out) + "return index_sequence(torch.cat([kept_x, masked_x], 1), ids_restore)"
    )
    thief = replace(PACKED, changes=Changes(bodies={"restore_masked": body}))
    content = yaml.safe_load((REPOSITORY / "homework" / "rubric.yaml").read_text(encoding="utf-8"))
    for entry in content["parts"]["vision"]:
        entry["enabled"] = entry["check"].startswith("restore_masked.")
    rubric = tmp_path / "rubric.yaml"
    rubric.write_text(yaml.safe_dump(content), encoding="utf-8")
    arguments = ["grade", thief.write(tmp_path / "submission"), "--out", out, "--rubric", rubric]

    subprocess.run(
        [sys.executable, "-m", "grader", *map(str, arguments)], cwd=REPOSITORY, check=True, capture_output=True
    )

    tests = json.loads((out / "results.json").read_text(encoding="utf-8"))["tests"]
    shown = [test["output"] for test in tests]
    asked = [test for test in tests if test["extra_data"]["function"] == "restore_masked"]
    assert len(asked) == 3
    assert all(test["extra_data"]["verdict"] == "PASSED" for test in asked), shown
