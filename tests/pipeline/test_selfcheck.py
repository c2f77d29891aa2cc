"""The self-check for students: the grader's words on the public inputs, and nothing that only the grader knows."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from grader.pipeline.selfcheck import SelfCheck, _read, check_submission
from grader.release.modules import edit_modules
from grader.release.notebooks import edit_notebook, notebook_bytes
from grader.verdicts import Verdict
from homework.homework import HOMEWORK
from homework.release.sources import REPOSITORY, solved_modules, solved_notebook
from tests.known import CHECKS

META = ("metalearning-part0", "metalearning-part2")


def homework(folder: Path, *, vision: dict[str, str] | None = None, module: dict[str, str] | None = None) -> Path:
    """Write the solved homework with edits in the vision notebook and in utils_classification.py."""
    folder.mkdir()
    notebooks = {"MAE_student": edit_notebook(solved_notebook("MAE_student"), vision or {})}
    notebooks |= {name: solved_notebook(name) for name in META}
    for name, notebook in notebooks.items():
        (folder / f"{name}.ipynb").write_bytes(notebook_bytes(notebook))
    for name, text in edit_modules(solved_modules(), {"utils_classification.py": module or {}}).items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def wrong(tmp_path_factory: pytest.TempPathFactory) -> SelfCheck:
    """Return what is found in a homework with an inverted mask and accuracies in place of errors."""
    folder = homework(
        tmp_path_factory.mktemp("wrong") / "homework",
        vision={"    return kept, mask, ids_restore": "    return kept, 1 - mask, ids_restore"},
        module={"@ alpha) != z_test))": "@ alpha) == z_test))"},
    )
    return check_submission(HOMEWORK, folder)


def test_every_function_with_vectors_has_its_question() -> None:
    """What the self-check asks, the grader asks too, by the same probe."""
    vectors = _read(HOMEWORK)

    assert len(vectors) >= 18
    for function in vectors:
        assert CHECKS[f"{function}.output"].probe == function


def test_only_what_is_wrong_is_found(wrong: SelfCheck) -> None:
    """The wrong functions and what builds on them fail; all others are right on the public inputs."""
    failed = {item.question.function for item in wrong.judgements if item.evidence.verdict is not Verdict.PASSED}

    assert failed == {
        "random_masking",
        "MaskedAutoEncoder.forward_encoder",
        "test_classification",
        "test_oracle_classification",
    }
    assert wrong.builds_on["MaskedAutoEncoder.forward_encoder"] == ("random_masking",)
    assert wrong.builds_on["test_oracle_classification"] == ("test_classification",)
    assert wrong.builds_on["random_masking"] == ()


def test_words_are_the_graders(wrong: SelfCheck) -> None:
    """Findings are sentences of the grader's comparison, by the grader's names."""
    findings = {
        item.question.function: item.evidence.findings[-2:] for item in wrong.judgements if item.evidence.findings
    }

    masking, rates = findings["random_masking"], findings["test_classification"]
    assert masking[0].startswith("`mask` has the right shape (2, 64), but all 128 elements differ.")
    assert masking[1] == "Right already: `kept` and `ids_restore`."
    assert rates[0].startswith("The 10th percentile has the right shape (5,), but ")
    assert rates[1] == "Right already: `n_train_post_range`."


def test_what_is_not_covered_is_named(wrong: SelfCheck) -> None:
    """Gradients, other sizes and whole runs are among what only the grader asks."""
    aspects = {question.aspect for question in wrong.not_covered}

    assert {"gradient", "generality", "behaviour", "convergence", "completion"} <= aspects
    assert not {question.check for question in wrong.not_covered} & {f"{name}.output" for name in _read(HOMEWORK)}


@pytest.mark.slow
def test_it_runs_where_the_reference_is_not() -> None:
    """Without the reference, the secret and the release, and under a user that is not root, the command works."""
    with tempfile.TemporaryDirectory() as name:  # pytest's own folders are root's alone
        _check_without_the_reference(Path(name))


def _check_without_the_reference(folder_of_all: Path) -> None:
    tree = folder_of_all / "tree"
    left_out = shutil.ignore_patterns("__pycache__", "release", "misconceptions", "secret.key")
    shutil.copytree(REPOSITORY / "grader", tree / "grader", ignore=left_out)
    shutil.copytree(REPOSITORY / "student_templates", tree / "student_templates")
    folder = homework(
        folder_of_all / "homework",
        vision={"    return kept, mask, ids_restore": "    return kept, 1 - mask, ids_restore"},
    )
    subprocess.run(["chmod", "-R", "a+rX", str(folder_of_all)], check=True)
    command = [sys.executable, "-B", "-m", "grader", "check", str(folder)]
    other = {"user": 65534, "group": 65534, "extra_groups": []} if os.geteuid() == 0 else {}

    done = subprocess.run(
        command, cwd=tree, capture_output=True, text=True, env={"PATH": os.environ["PATH"]}, check=False, **other
    )

    assert done.returncode == 0, done.stderr
    assert "FAILED" in done.stdout
    assert "all 128 elements differ" in " ".join(done.stdout.split())
    assert "not covered here" in " ".join(done.stdout.split())
