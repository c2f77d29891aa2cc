"""The whole way on a played platform: what is packed grades, and a worker there reads nothing that it must not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from grader.release import autograder
from grader.release.notebooks import edit_notebook, notebook_bytes
from homework.homework import HOMEWORK
from homework.release.sources import REPOSITORY, solved_notebook

ASKED = ("patchify.output", "unpatchify.output")
SPY = """\
    def readable(path):
        try:
            with open(path, "rb") as file:
                return bool(file.read(1))
        except OSError:
            return False
"""


@pytest.fixture
def place() -> Iterator[Path]:
    """Return a folder that other users can enter, as they can enter /autograder; pytest's own are root's alone."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        yield Path(name)


def small_autograder(folder: Path) -> Path:
    """Pack the grader with two questions and a secret."""
    rubric = yaml.safe_load(HOMEWORK.rubric.read_text(encoding="utf-8"))
    rubric["parts"] = {"vision": [item for item in rubric["parts"]["vision"] if item["check"] in ASKED]}
    (folder / "rubric.yaml").write_text(yaml.safe_dump(rubric), encoding="utf-8")
    path = folder / "autograder.zip"
    autograder._write(HOMEWORK, path, folder / "rubric.yaml", {})
    with zipfile.ZipFile(path, "a") as archive:
        if "grader/secret.key" not in archive.namelist():
            archive.writestr("grader/secret.key", b"secret")
    return path


def test_the_zip_says_whose_grader_it_is_and_has_nothing_but_what_grades(place: Path) -> None:
    """The homework's package with contract, answers and rubric; no known submission, no source of notebooks or zips."""
    with zipfile.ZipFile(small_autograder(place)) as archive:
        names = archive.namelist()
        package = archive.read("homework_package").decode()

    assert package == "homework\n"
    assert len(set(names)) == len(names)
    assert {f"homework/{name}" for name in ("homework.py", "contract.py", "answers.py", "rubric.yaml")} <= set(names)
    left_out = ("release/", "trust/", "submissions/", "workshop.py", "mutants_judged.yaml")
    assert not [name for name in names if name.startswith(tuple(f"homework/{each}" for each in left_out))]
    assert not [name for name in names if name.startswith(("grader/release", "grader/trust", "reference/notebooks"))]
    assert [name for name in names if name.startswith("homework/") and name.endswith(".yaml")] == [
        "homework/rubric.yaml"
    ]


def spying_notebook(hidden: list[Path], open_to_all: list[Path]) -> bytes:
    """Return the solved notebook whose patchify and unpatchify go wrong by one for each file that they can read."""
    patches = "    return pixels.reshape(batch, rows * columns, channels * patch_size * patch_size)"
    images = "    return pixels.reshape(batch, channels, side * patch_size, side * patch_size)"
    edits = {
        line: f"{SPY}{line} + sum(readable(path) for path in {[str(path) for path in paths]!r})"
        for line, paths in ((patches, hidden), (images, open_to_all))
    }
    return notebook_bytes(edit_notebook(solved_notebook("MAE_student"), edits))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has uids to separate")
def test_a_worker_on_the_platform_reads_neither_answers_nor_secrets(place: Path) -> None:
    """
    Reference, secret, metadata, results and the submission's other files stay closed to student code.

    That the trick would show is seen beside it: a file of the standard library is open to all, and costs the points.
    """
    root = place / "autograder"
    hidden = [
        root / "source" / "grader" / "secret.key",
        root / "source" / "homework" / "rubric.yaml",
        root / "source" / "reference" / "vision" / "patches.py",
        root / "source" / "homework" / "checks" / "vision.py",
        root / "submission_metadata.json",
        root / "submission" / "MAE_student.ipynb",
        root / "results" / "results.json",
        root / "results" / "stdout.txt",
    ]
    notebook = place / "MAE_student.ipynb"
    notebook.write_bytes(spying_notebook(hidden, [Path(os.__file__)]))
    command = [sys.executable, "-B", "-m", "grader", "simulate", str(notebook), "--zip", str(small_autograder(place))]

    done = subprocess.run(
        [*command, "--root", str(root), "--cpus", "1", "--memory-mib", "1500"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads((root / "results" / "results.json").read_text(encoding="utf-8"))
    assert [test["extra_data"]["verdict"] for test in results["tests"]] == ["PASSED", "FAILED"]
    assert all(path.exists() for path in hidden)
    for room in ("grader", "homework", "reference"):  # compiled by setup.sh, once, for the grader writes nothing there
        assert list((root / "source" / room).rglob("*.pyc"))
    assert "0 processes left behind" in done.stdout
    assert str(root / "results" / "results.json") in "".join(done.stdout.split("\n"))


def test_what_takes_too_long_is_told_as_the_platform_would(place: Path) -> None:
    """Past the time limit there is no table: score 0, and where to read on."""
    path = place / "autograder.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("setup.sh", "#!/bin/sh\n")
        archive.writestr("run_autograder", "#!/bin/sh\necho begun\nsleep 60\n")
    command = [sys.executable, "-B", "-m", "grader", "simulate", str(path), "--zip", str(path), "--limit-s", "1"]

    done = subprocess.run(
        [*command, "--out", str(place / "out")], cwd=REPOSITORY, capture_output=True, text=True, check=False
    )

    assert done.returncode == 2
    assert "it used more time than there is. On the platform: score 0, and no tests shown." in done.stderr
    assert (place / "out" / "stdout.txt").read_text() == "begun\n"
