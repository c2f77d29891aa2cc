"""Who is measured on the ten checks: how each is run on a notebook, and how many checks it says were passed."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sqlite3
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clock import Command, CommandFailed, Cost, measure
from benchmarks.peers import (
    ASSIGNMENT,
    Environment,
    write_nbgrader_course,
    write_nbgrader_notebook,
    write_otter_zip,
    write_unittest,
)
from benchmarks.ten_checks import KEYS, TenChecks, check_source
from grader.sandbox.heap import LARGE_PAGES

ROOT = Path(__file__).parents[1]
FLOOR, UNITTEST, OURS, NBGRADER, OTTER = "floor", "unittest", "deepgrader", "nbgrader", "otter-grader"


@dataclass(frozen=True)
class Contender:
    """
    One way to grade a notebook by the ten checks.

    Args:
        name: as the tables show it.
        command: (notebook, empty folder for what it writes) -> what to run; what it prepares is not measured.
        passed: (that folder, log) -> how many checks it says were passed; None if it does not judge.
    """

    name: str
    command: Callable[[Path, Path], Command]
    passed: Callable[[Path, Path], int] | None


def variables(home: Path) -> dict[str, str]:
    """Return the environment of all that is measured: one thread for arrays, no GPU, a home of its own."""
    home.mkdir(parents=True, exist_ok=True)
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "MPLBACKEND": "Agg",
        "CUDA_VISIBLE_DEVICES": "",
        "PYTHONDONTWRITEBYTECODE": "1",  # no run finds bytecode that one before it left
        **threads,
    }


def our_command(submission: Path, out: Path, home: Path, *options: str) -> Command:
    """Return the command that grades a submission as staff do."""
    arguments = ("-m", "grader", "grade", str(submission), "--out", str(out), "--device", "cpu", *options)
    return Command([sys.executable, *arguments], ROOT, {**variables(home), **LARGE_PAGES})  # as run_autograder has it


def floor_command(what: str, *inputs: Path, home: Path) -> Command:
    """Return the floor as a command; isolated, so that it imports nothing of this folder by mistake."""
    words = (sys.executable, "-I", "-B", str(ROOT / "benchmarks" / "floor.py"), what, *map(str, inputs))
    return Command(words, home, variables(home))


def own_contenders(ten: TenChecks, folder: Path) -> list[Contender]:
    """Return the floor, unittest and our grader, none of which needs anything installed."""
    home = folder / "home"
    calls = folder / "calls.py"
    calls.write_text("import torch\n" + "\n".join(check_source(key, ten.data, judged=False) for key in KEYS))
    tests = write_unittest(ten, folder / "unittest")

    def floor(notebook: Path, _: Path) -> Command:
        return floor_command("ten", notebook, calls, home=home)

    def plain(notebook: Path, _: Path) -> Command:
        environment = {**variables(home), "NOTEBOOK": str(notebook)}
        return Command([sys.executable, "-m", "unittest", tests.stem], tests.parent, environment, exit_codes=(0, 1))

    def ours(notebook: Path, out: Path) -> Command:
        return our_command(notebook, out, home, "--rubric", str(ten.rubric))

    return [
        Contender(FLOOR, floor, None),
        Contender(UNITTEST, plain, lambda _, log: passed_in_unittest(log.read_text(encoding="utf-8"))),
        Contender(OURS, ours, lambda out, _: passed_in_results(out / "results.json")),
    ]


def peer_contenders(environment: Environment, ten: TenChecks, folder: Path) -> tuple[list[Contender], dict[str, str]]:
    """Return the peers that can be set up, and of the others why not."""
    made, failed = [], dict(environment.missing)
    for name, make in ((NBGRADER, _nbgrader), (OTTER, _otter)):
        if name not in failed:
            try:
                made.append(make(environment, ten, folder / name))
            except CommandFailed as error:
                failed[name] = str(error)
    return made, failed


def _peer_variables(environment: Environment, folder: Path) -> dict[str, str]:
    own = variables(folder / "home")
    return {**own, "PATH": f"{environment.folder / 'bin'}:{own['PATH']}"}


def _otter(environment: Environment, ten: TenChecks, folder: Path) -> Contender:
    own = _peer_variables(environment, folder)
    archive = write_otter_zip(environment, ten, folder, own)

    def command(notebook: Path, out: Path) -> Command:
        arguments = ("run", "--no-logo", "-a", str(archive), "-o", str(out), str(notebook))
        return Command([environment.program("otter"), *arguments], out, own)

    return Contender(OTTER, command, lambda out, _: passed_in_results(out / "results.json"))


def _nbgrader(environment: Environment, ten: TenChecks, folder: Path) -> Contender:
    own = _peer_variables(environment, folder)
    course = write_nbgrader_course(environment, ten, folder / "course", own)

    def command(notebook: Path, out: Path) -> Command:
        # A fresh copy each time: what stands in the gradebook afterwards is this run's.
        shutil.copytree(course, out, dirs_exist_ok=True)
        write_nbgrader_notebook(notebook, ten, out / "submitted" / "student" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb")
        arguments = ("autograde", ASSIGNMENT, "--student", "student", "--create", "--force")
        return Command([environment.program("nbgrader"), *arguments], out, own)

    return Contender(NBGRADER, command, lambda out, _: passed_in_gradebook(out / "gradebook.db"))


def passed_in_results(path: Path) -> int:
    """Count the tests with all points in a results.json, ours or otter's: both write what Gradescope reads."""
    tests = json.loads(path.read_text(encoding="utf-8"))["tests"]
    return sum(test["score"] == test["max_score"] for test in tests if test.get("max_score"))


def passed_in_gradebook(path: Path) -> int:
    """Count the checks with their point in nbgrader's gradebook."""
    with contextlib.closing(sqlite3.connect(path)) as gradebook:
        return int(gradebook.execute("SELECT count(*) FROM grade WHERE auto_score = 1").fetchone()[0])


def passed_in_unittest(printed: str) -> int:
    """Count the tests that unittest's last lines say were passed."""
    ran = re.search(r"^Ran (\d+) tests?", printed, re.MULTILINE)
    lost = [int(count) for count in re.findall(r"(?:failures|errors)=(\d+)", printed)]
    return int(ran[1]) - sum(lost) if ran else 0


def verify(contender: Contender, ten: TenChecks, folder: Path) -> tuple[int, int] | None:
    """
    Run a contender on the right notebook and on the broken one: it must judge, or its time says nothing.

    Returns:
        How many checks each passed; None for the floor, which judges nothing.

    Raises:
        CommandFailed: it did not run, or passed too few or too many.
    """
    counts = []
    for notebook in (ten.solved, ten.broken) if contender.passed else (ten.solved,):
        out, log = fresh(folder), folder.with_suffix(".log")
        measure(contender.command(notebook, out), log)
        if contender.passed:
            counts.append(contender.passed(out, log))
    if not counts:
        return None
    right, broken = counts
    if right != len(KEYS) or not 0 < broken < len(KEYS):
        raise CommandFailed(f"it passed {right} of the right notebook's checks and {broken} of the broken one's")
    return right, broken


def run_once(contender: Contender, ten: TenChecks, folder: Path) -> Callable[[], Cost]:
    """Return what measures a contender once, on the right notebook, and makes sure that all checks were passed."""

    def run() -> Cost:
        out, log = fresh(folder), folder.with_suffix(".log")
        cost = measure(contender.command(ten.solved, out), log)
        if contender.passed and (count := contender.passed(out, log)) != len(KEYS):
            raise CommandFailed(f"it passed {count} of {len(KEYS)} checks of the right notebook")
        return cost

    return run


def fresh(folder: Path) -> Path:
    """Return the folder, empty."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder
