"""
The peers: an environment of their own, and the ten checks as each of them wants its assignments.

otter-grader and nbgrader execute the notebook in a Jupyter kernel and the checks in the same kernel; `unittest` does
both in one process. None of them isolates anything.
"""

from __future__ import annotations

import copy
import hashlib
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path

import nbformat

from benchmarks.clock import Command, measure
from benchmarks.ten_checks import KEYS, TenChecks, check_source, wanted_by

REQUIREMENTS = Path(__file__).with_name("peers_requirements.txt")
PEERS = ("otter-grader", "nbgrader")
ASSIGNMENT = "ten"
_SYSTEM_PYTHON = Path("/usr/bin/python3")
_CPU_INDEX = ("--extra-index-url", "https://download.pytorch.org/whl/cpu")
_SHOWN = 300  # characters of pip's reason

_UNITTEST_HEAD = '''\
"""Ten plain checks; NOTEBOOK names the notebook."""

import json
import os
import unittest

import torch

with open(os.environ["NOTEBOOK"], encoding="utf-8") as file:
    cells = json.load(file)["cells"]
for cell in cells:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]), globals())


class TenChecks(unittest.TestCase):
'''
_OTTER_TEST = """\
from otter.test_files import test_case

OK_FORMAT = False
name = {name!r}
points = 1


@test_case(points=1)
def test_values({wanted}):
    import torch

{source}"""
_NBGRADER_CONFIG = """\
c = get_config()
c.CourseDirectory.course_id = "benchmark"
"""


class Environment:
    """
    The virtual environment of the peers.

    Args:
        folder: where it lies.
        missing: peers that could not be installed, with pip's reason.
    """

    def __init__(self, folder: Path, missing: dict[str, str]) -> None:
        self.folder = folder
        self.missing = missing

    def program(self, name: str) -> str:
        """Return the path of one of its programs."""
        return str(self.folder / "bin" / name)


def make_environment(cache: Path, say: Callable[[str], None]) -> Environment:
    """
    Return the peers' environment, made first if there is none for these requirements.

    What they share is installed first, then each peer, so that one that fails costs only itself.

    Args:
        cache: folder for environments.
        say: takes a few words about what is being done.
    """
    python = str(_SYSTEM_PYTHON if _SYSTEM_PYTHON.exists() else sys.executable)
    digest = hashlib.sha256(REQUIREMENTS.read_bytes() + python.encode()).hexdigest()[:12]
    folder = cache / f"peers-{digest}"
    if (folder / ".complete").exists():
        return Environment(folder, {})
    say("making an environment for the peers (a few minutes, once)")
    made = subprocess.run([python, "-m", "venv", "--clear", str(folder)], capture_output=True, text=True, check=False)
    if made.returncode:
        return Environment(folder, dict.fromkeys(PEERS, (made.stdout + made.stderr).strip()[:_SHOWN]))
    lines = [line for line in REQUIREMENTS.read_text(encoding="utf-8").splitlines() if line and line[0] != "#"]
    pinned = {line.partition("==")[0]: line for line in lines}
    shared = [line for name, line in pinned.items() if name not in PEERS]
    missing = dict.fromkeys(PEERS, reason) if (reason := _install(folder, shared)) else {}
    for peer in PEERS if not missing else ():
        say(f"installing {pinned[peer]}")
        if reason := _install(folder, [pinned[peer], *shared]):
            missing[peer] = reason
    if not missing:
        (folder / ".complete").touch()
    return Environment(folder, missing)


def _install(folder: Path, requirements: list[str]) -> str:
    """Install, torch for CPU as setup.sh does; return why not, or an empty string."""
    wanted = [f"{line}+cpu" if line.startswith("torch==") else line for line in requirements]
    pip = [str(folder / "bin" / "python"), "-m", "pip", "install", "-qq"]
    done = subprocess.run([*pip, *wanted], capture_output=True, text=True, check=False)
    if "No matching distribution found for torch" in done.stderr:
        done = subprocess.run([*pip, *_CPU_INDEX, *wanted], capture_output=True, text=True, check=False)
    errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR")] or done.stderr.splitlines()
    return " ".join(errors)[:_SHOWN] if done.returncode else ""


def write_unittest(ten: TenChecks, folder: Path) -> Path:
    """Write the ten checks as a plain unittest file."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "test_ten_checks.py"
    methods = [
        f"    def test_{key.replace('.', '_')}(self):\n{textwrap.indent(check_source(key, ten.data), ' ' * 8)}"
        for key in KEYS
    ]
    path.write_text(_UNITTEST_HEAD + "\n".join(methods), encoding="utf-8")
    return path


def write_otter_zip(environment: Environment, ten: TenChecks, folder: Path, variables: dict[str, str]) -> Path:
    """
    Write the ten checks as otter's exception-based tests, and have otter pack them.

    Raises:
        CommandFailed: otter does not run.
    """
    tests = folder / "tests"
    tests.mkdir(parents=True, exist_ok=True)
    for number, key in enumerate(KEYS):
        source = textwrap.indent(check_source(key, ten.data), "    ")
        text = _OTTER_TEST.format(name=key, wanted=", ".join(wanted_by(key)), source=source)
        (tests / f"check_{number}.py").write_text(text, encoding="utf-8")
    path = folder / "autograder.zip"
    arguments = ("generate", "-t", str(tests), "-o", str(path), "--no-environment", "--no-requirements")
    measure(Command([environment.program("otter"), *arguments], folder, variables), folder / "generate.txt")
    return path


def write_nbgrader_course(environment: Environment, ten: TenChecks, folder: Path, variables: dict[str, str]) -> Path:
    """
    Write a course with one assignment of ten checks, and have nbgrader release it.

    Raises:
        CommandFailed: nbgrader does not run.
    """
    source = folder / "source" / ASSIGNMENT / f"{ASSIGNMENT}.ipynb"
    source.parent.mkdir(parents=True, exist_ok=True)
    (folder / "nbgrader_config.py").write_text(_NBGRADER_CONFIG, encoding="utf-8")
    write_nbgrader_notebook(ten.solved, ten, source)
    arguments = ("generate_assignment", ASSIGNMENT, "--create", "--force")
    measure(Command([environment.program("nbgrader"), *arguments], folder, variables), folder / "generate.txt")
    return folder


def write_nbgrader_notebook(notebook: Path, ten: TenChecks, path: Path) -> None:
    """Write a notebook with the ten checks as nbgrader's locked test cells after it."""
    combined = copy.deepcopy(nbformat.read(notebook, as_version=4))
    for number, key in enumerate(KEYS):
        cell = nbformat.v4.new_code_cell(check_source(key, ten.data), id=f"check-{number}")
        cell.metadata["nbgrader"] = {
            "grade": True,
            "grade_id": f"check-{number}",
            "locked": True,
            "points": 1,
            "schema_version": 3,
            "solution": False,
            "task": False,
        }
        combined.cells.append(cell)
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(combined, path)
