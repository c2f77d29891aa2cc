"""The grader's own failure: whatever breaks or is killed, results.json is valid and says what was not graded."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from grader.errors import StaffError
from grader.feedback import results as results_module
from grader.feedback.results import not_graded, validate_results, write_results
from grader.feedback.words import Judgement
from grader.pipeline.questions import Questions
from grader.pipeline.run import CutShort, Settings, grade_submission
from grader.rubric import Question, Rubric
from homework.homework import HOMEWORK

ROOT = Path(__file__).parents[2]
RUBRIC = """
assignment: HW
time_limit_s: 60
parts:
  vision:
    - {number: "1", check: patchify.output, points: 2, title: t, asked: a}
    - {number: "2", check: unpatchify.output, points: 2, title: t, asked: a}
    - {number: "3", check: patchify.generality, points: 2, title: t, asked: a}
"""
RIGHT = """
def patchify(images, patch_size=4):
    b, c, h, w = images.shape
    x = images.reshape(b, c, h // patch_size, patch_size, w // patch_size, patch_size)
    return x.permute(0, 2, 4, 1, 3, 5).reshape(b, -1, c * patch_size**2)
"""
HANGS = "import time\ndef unpatchify(patches, patch_size=4):\n    time.sleep(1000)"
ANSWERS = "def unpatchify(patches, patch_size=4):\n    return patches"
NAMES = ("Grace Hopper", "grace@example.edu")


@pytest.fixture(scope="module")
def autograder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder as the platform lays it out, without a submission: its grader asks three questions."""
    folder = tmp_path_factory.mktemp("platform") / "autograder"
    source = folder / "source"
    for room in ("grader", "homework", "reference", "student_templates", "requirements"):
        shutil.copytree(ROOT / room, source / room, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "setup.sh", source)
    shutil.copy(ROOT / "run_autograder", folder)
    (source / "homework" / "rubric.yaml").write_text(RUBRIC)
    return folder


@pytest.fixture
def platform(autograder: Path) -> Iterator[Path]:
    """Return that folder with what the platform puts there for one submission; all that a test breaks is mended."""
    source = autograder / "source"
    kept = {path: path.read_bytes() for path in (source / "homework" / "rubric.yaml", source / "setup.sh")}
    (autograder / "submission").mkdir()
    user = {"email": NAMES[1], "id": 7, "name": NAMES[0]}
    (autograder / "submission_metadata.json").write_text(json.dumps({"id": 1, "users": [user]}))
    yield autograder
    shutil.rmtree(autograder / "submission")
    shutil.rmtree(autograder / "results", ignore_errors=True)
    for path, content in kept.items():
        path.write_bytes(content)


def submit(folder: Path, *sources: str) -> None:
    """Put a notebook with these cells into the platform's submission folder."""
    cells = [{"cell_type": "code", "metadata": {}, "source": textwrap.dedent(source)} for source in sources]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "submission" / "MAE_student.ipynb").write_text(json.dumps(notebook))


def start(folder: Path, *, prefix: str = "") -> subprocess.Popen[str]:
    """Start the platform's run_autograder."""
    command = ["bash", "-c", f"{prefix} exec {folder}/run_autograder"]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd="/")


def report_of(folder: Path) -> dict[str, Any]:
    """Return results.json, which must keep to its schema."""
    results: dict[str, Any] = json.loads((folder / "results" / "results.json").read_text())
    validate_results(results)
    return results


def verdicts(results: dict[str, Any]) -> list[str]:
    """Return the verdicts in order."""
    return [test["extra_data"]["verdict"] for test in results["tests"]]


def wait_for(happened: Callable[[], bool], *, patience_s: float = 300.0) -> None:
    """Look until something has happened."""
    deadline = time.monotonic() + patience_s
    while not happened():
        assert time.monotonic() < deadline, "it did not happen"
        time.sleep(0.01)


def is_at_the_second_question(folder: Path) -> bool:
    """Whether the report, which must be valid whenever it is there, has the first verdict."""
    return (folder / "results" / "results.json").exists() and "PASSED" in verdicts(report_of(folder))


def python_below(pid: int) -> int:
    """Return the grader, the only child of run_autograder."""
    (child,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def worker_below(pid: int) -> int:
    """Return the worker, the child of the grader's child."""
    return python_below(python_below(pid))


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the platform runs it as root")
slow = pytest.mark.slow


@needs_root
@pytest.mark.parametrize(
    ("victim", "number", "expected"),
    [
        (python_below, signal.SIGKILL, ["PASSED", "NOT_RUN", "NOT_RUN"]),
        pytest.param(
            lambda pid: python_below(python_below(pid)),
            signal.SIGKILL,
            ["PASSED", "INFRASTRUCTURE", "INFRASTRUCTURE"],
            marks=slow,
        ),
        pytest.param(
            lambda pid: worker_below(python_below(pid)), signal.SIGKILL, ["PASSED", "MEMORY", "PASSED"], marks=slow
        ),
        (lambda pid: pid, signal.SIGTERM, ["PASSED", "NOT_RUN", "NOT_RUN"]),
    ],
    ids=["trusted process killed", "zygote killed", "worker killed", "SIGTERM"],
)
def test_whoever_is_killed_the_report_says_what_was_not_graded(
    platform: Path, victim: Callable[[int], int], number: int, expected: list[str]
) -> None:
    """In the middle of a question: the platform gets a valid report and a success, and no process stays."""
    submit(platform, RIGHT, HANGS + "  # a remark that only the student knows")
    with start(platform) as process:
        wait_for(lambda: is_at_the_second_question(platform))
        time.sleep(0.3)
        os.kill(victim(process.pid), number)
        output, errors = process.communicate(timeout=300)

    results = report_of(platform)
    assert process.returncode == 0, errors
    assert verdicts(results) == expected
    if number == signal.SIGTERM:
        assert "ended from outside" in results["output"]
    if "PASSED" not in expected[1:]:
        assert "through no fault of yours" in results["output"]
    # Neither the report nor what the platform shows of the run holds names, addresses or the student's code.
    shown = output + errors + json.dumps(results)
    assert not [word for word in (*NAMES, "only the student knows", "reshape") if word in shown]
    assert results["stdout_visibility"] == "hidden"
    for private in ("source", "submission", "results"):
        assert (platform / private).stat().st_mode & 0o077 == 0


@needs_root
@pytest.mark.parametrize(
    ("breakage", "prefix"),
    [
        ("environment", ""),
        pytest.param("rubric", "", marks=slow),
        pytest.param("memory", "ulimit -v 400000;", marks=slow),
        pytest.param("dependency", "", marks=slow),
    ],
)
def test_a_grader_that_cannot_begin_leaves_a_report_that_says_so(platform: Path, breakage: str, prefix: str) -> None:
    """No environment, a broken rubric, no memory, a missing library: not the student's fault, and a success."""
    submit(platform, RIGHT, ANSWERS)
    source = platform / "source"
    if breakage == "environment":
        (source / "setup.sh").write_text("exit 1")
    elif breakage == "rubric":
        (source / "homework" / "rubric.yaml").write_text("assignment: [")
    elif breakage == "dependency":
        (source / "setup.sh").write_text(f'if [ "${{1:-}}" = --path ]; then echo {source}/environment; fi')
        (source / "environment" / "bin").mkdir(parents=True)
        (source / "environment" / "bin" / "python").symlink_to("/usr/bin/python3")  # which has neither click nor torch
    with start(platform, prefix=prefix) as process:
        _, errors = process.communicate(timeout=300)

    assert process.returncode == 0
    assert errors
    results = report_of(platform)
    assert results == not_graded() or verdicts(results) == ["INFRASTRUCTURE"] * 3
    assert "fault" in results["output"]


def test_the_scripts_fallback_is_the_graders_own() -> None:
    """The words stand in two places, because one must work without Python: they are the same."""
    script = (ROOT / "run_autograder").read_text()
    text = script.partition("not_graded='")[2].partition("'")[0]

    assert json.loads(text) == not_graded()
    validate_results(not_graded())


# In this process, with faults of the disk.


def questions(*checks: str) -> Rubric:
    """Return a rubric of these checks."""
    asked = [Question("vision", f"1.{i}", check, 2, check, "Asked.", time_limit_s=5) for i, check in enumerate(checks)]
    return Rubric("HW", 60, tuple(asked))


def settings_in(folder: Path) -> Settings:
    """Write a submission; return settings that grade it."""
    (folder / "submission").mkdir()
    submit(folder, RIGHT, ANSWERS)
    return Settings(
        HOMEWORK, questions("patchify.output", "unpatchify.output", "patchify.generality"), folder / "results"
    )


@pytest.mark.parametrize("full_from", [1, 2, 3])
def test_a_full_disk_never_leaves_half_a_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_from: int
) -> None:
    """ENOSPC from some write on: the report before it stays whole, nothing else lies about, staff read why."""
    writes = iter(range(1000))
    settings = settings_in(tmp_path)
    settings.out.mkdir()
    write_results(not_graded(), settings.out / "results.json")

    def fsync(_: int) -> None:
        if next(writes) >= full_from:
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(results_module.os, "fsync", fsync)
    with pytest.raises(StaffError, match="could not be written at the end"):
        grade_submission(tmp_path / "submission", settings)

    assert [path.name for path in settings.out.iterdir()] == ["results.json"]
    found = verdicts(report_of(tmp_path))
    assert found == [*["PASSED", "FAILED"][: full_from - 1], *["NOT_RUN"] * (4 - full_from)]


def test_a_disk_that_has_room_again_gets_the_whole_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One write that fails costs nothing but that write."""
    failures = iter([False, True])
    settings = settings_in(tmp_path)

    def fsync(_: int) -> None:
        if next(failures, False):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(results_module.os, "fsync", fsync)
    grade_submission(tmp_path / "submission", settings)

    assert verdicts(report_of(tmp_path)) == ["PASSED", "FAILED", "PASSED"]


@needs_root
@slow
def test_a_small_disk_that_is_really_full(platform: Path) -> None:
    """A results folder on a file system with room for the first words only: they stay valid to the end."""
    results = platform / "results"
    results.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16k", "none", str(results)], check=True)
    try:
        (results / "ballast").write_bytes(bytes(12288))
        submit(platform, RIGHT, ANSWERS)
        with start(platform) as process:
            _, errors = process.communicate(timeout=300)
        found = report_of(platform)
    finally:
        subprocess.run(["umount", str(results)], check=True)

    assert process.returncode == 0
    assert "No space left" in errors
    assert found == not_graded()


def test_a_sandbox_that_cannot_start_runs_nothing_and_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing wall, a full /tmp: every question says that the grader failed."""

    def no_room(*_: object, **__: object) -> str:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("tempfile.mkdtemp", no_room)
    with pytest.raises(OSError, match="No space"):
        grade_submission(tmp_path / "submission", settings_in(tmp_path))

    assert verdicts(report_of(tmp_path)) == ["INFRASTRUCTURE"] * 3


def test_a_signal_to_end_passes_every_net(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever it arrives, what is judged stays, the rest says that it was not graded, and the report is whole."""
    real = Questions.judge

    def cut_short(self: Questions, question: Question, *others: Any, **options: Any) -> Judgement:
        if question.number == "1.1":
            raise CutShort
        return real(self, question, *others, **options)

    monkeypatch.setattr(Questions, "judge", cut_short)
    report = grade_submission(tmp_path / "submission", settings_in(tmp_path))

    assert verdicts(report_of(tmp_path)) == ["PASSED", "NOT_RUN", "NOT_RUN"]
    assert any("ended from outside" in note for note in report.notes)
