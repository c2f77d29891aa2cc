"""The gate before autograder.zip, from both sides; the whole of it, on a broken reference, with --slow."""

from __future__ import annotations

import ast
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import nbformat
import pytest
import torch

from grader.errors import StaffError
from grader.release.autograder import _contents
from grader.release.gate import complaint, release_gate
from grader.release.notebooks import notebook_bytes
from grader.release.submissions import write_zip
from grader.release.workshop import Trial
from grader.rubric import load_rubric
from homework.homework import HOMEWORK
from homework.release.gate_mistakes import MISTAKES, Mistake, trials_with_mistakes
from homework.release.second_solution import CLASSIFICATION, THEORY, VISION
from homework.release.sources import REPOSITORY, solved_notebook
from homework.release.vectors import write_vectors
from homework.workshop import WORKSHOP

RUBRIC = load_rubric(HOMEWORK.rubric)


def results(loses: set[str]) -> dict[str, object]:
    """Return what a grader reports that takes all points of some checks and gives all others."""
    tests = [
        {"number": question.number, "score": 0 if question.check in loses else question.points}
        for question in RUBRIC.questions
    ]
    return {"tests": tests}


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_mistake_has_to_cost_exactly_its_own_questions(mistake: Mistake) -> None:
    """Its points gone and all others there is right; one question more, one less, or one unnamed is not."""
    trial = Trial("this", Path("this.zip"), mistake.loses)
    other = "patchify.output"
    missing = results(set(mistake.loses))
    missing["tests"] = missing["tests"][1:]  # type: ignore[index]

    assert complaint(trial, results(set(mistake.loses)), RUBRIC) == ""
    assert "gets 0 where 2 is right" in complaint(trial, results({*mistake.loses, other}), RUBRIC)
    assert "where 0 is right" in complaint(trial, results(set(mistake.loses) - {min(mistake.loses)}), RUBRIC)
    assert "gets None" in complaint(trial, missing, RUBRIC)
    assert mistake.loses <= {question.check for question in RUBRIC.questions}


def test_the_template_has_to_lose_everything() -> None:
    """A trial that loses all is right only with no point at all."""
    trial = Trial("the template", Path("templates"), None)
    everything = {question.check for question in RUBRIC.questions}

    assert complaint(trial, results(everything), RUBRIC) == ""
    assert "the template: 1.1 gets 2" in complaint(trial, results(everything - {"patchify.output"}), RUBRIC)


def test_each_trial_is_the_second_solution_with_one_mistake(tmp_path: Path) -> None:
    """The text goes after the first solution, compiles, and is different in each trial; the rest is as handed in."""
    notebooks = {name: solved_notebook(name) for name in ("MAE_student", "metalearning-part0")}
    files = {f"{name}.ipynb": notebook_bytes(notebook) for name, notebook in notebooks.items()}
    solved = write_zip(tmp_path / "solved.zip", {**files, "utils_classification.py": b"x = 1\n", "a.pt": b"a"})

    trials = trials_with_mistakes(solved, tmp_path)

    seen = set()
    for trial in trials:
        with zipfile.ZipFile(trial.submission) as archive:
            last = nbformat.reads(archive.read("MAE_student.ipynb").decode(), as_version=4).cells[-1].source
            module = archive.read("utils_classification.py").decode()
            assert archive.read("a.pt") == b"a"
        assert len(ast.parse(last).body) > 8
        assert module.startswith("x = 1\n")
        seen.add((last, module))
    assert len(seen) == len(trials) == 3


def test_the_second_solution_shares_nothing_with_the_reference() -> None:
    """No function body of the reference stands in it, so a mistake of the reference cannot."""
    ours = {
        ast.dump(ast.Module(node.body, []))
        for text in (VISION, THEORY, CLASSIFICATION)
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef)
    }
    theirs = {
        ast.dump(ast.Module([part for part in node.body if not isinstance(part, ast.Expr)], []))
        for path in (REPOSITORY / "reference").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef)
    }

    assert len(ours) >= 15
    assert not ours & theirs


def test_answers_that_students_do_not_hold_are_refused(tmp_path: Path) -> None:
    """Before anything is graded, the reference's public answers are compared with those handed out."""
    vectors = write_vectors(tmp_path / "public_vectors.pt")
    held = torch.load(vectors, weights_only=True)
    held["unpatchify"]["expected"]["images"] = held["unpatchify"]["expected"]["images"].flip(-1)
    (tmp_path / "student_templates").mkdir()
    torch.save(held, tmp_path / "student_templates" / "public_vectors.pt")

    with pytest.raises(StaffError, match="another `images` of unpatchify"):
        release_gate(HOMEWORK, WORKSHOP, tmp_path, tmp_path, rubric=RUBRIC)


def test_the_zip_holds_what_grading_needs_and_no_more() -> None:
    """No notebook source, no release and no cache goes in; every module that `grade` imports from ours does."""
    names = {name for name, _ in _contents(HOMEWORK, HOMEWORK.rubric)}

    assert {"setup.sh", "run_autograder", "grader/__main__.py", "homework/rubric.yaml"} <= names
    assert not [
        name
        for name in names
        if name.startswith(
            ("reference/notebooks", "grader/release", "homework/release", "homework/submissions", "tests", "examples")
        )
    ]
    assert not [name for name in names if "__pycache__" in name]
    assert "student_templates/MAE_student.ipynb" in names
    assert "reference/vision/patches.py" in names


@pytest.mark.slow
@pytest.mark.parametrize("templates", ["as committed", "made anew"])
def test_a_broken_reference_is_refused(tmp_path: Path, templates: str) -> None:
    """With a reference that is broken on purpose no zip is written, even where the templates follow it."""
    ignored = shutil.ignore_patterns(".git", "__pycache__", "build", ".*_cache", "tests")
    tree = shutil.copytree(REPOSITORY, tmp_path / "tree", ignore=ignored)
    patches = tree / "reference" / "vision" / "patches.py"
    right, wrong = "pixels.permute(0, 2, 4, 1, 3, 5)", "pixels.permute(0, 4, 2, 1, 3, 5)"
    assert patches.read_text().count(right) == 1
    patches.write_text(patches.read_text().replace(right, wrong))

    def release(what: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-B", "-m", "grader", "release", what]
        return subprocess.run(command, cwd=tree, capture_output=True, text=True, env=dict(os.environ), check=False)

    if templates == "made anew":
        assert release("templates").returncode == 0
    done = release("autograder")

    assert done.returncode == 2
    assert "No zip was written." in done.stderr
    assert not (tree / "build" / "autograder.zip").exists()
    if templates == "as committed":
        assert "another `patches` of patchify" in done.stderr
    else:
        assert "1.1 gets 0" in done.stderr
