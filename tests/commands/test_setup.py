"""Which Python grades: the newest that every user may enter, the system's where two are of one version."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

SETUP = Path(__file__).parents[2] / "setup.sh"


def tried(*folders: Path) -> list[str]:
    """Return the interpreters of some folders that would be tried, in order."""
    environment = {**os.environ, "GRADER_PYTHON_FOLDERS": " ".join(map(str, folders))}
    result = subprocess.run(
        ["bash", SETUP, "--pythons"], env=environment, capture_output=True, text=True, check=True, timeout=60
    )
    return [line for line in result.stdout.splitlines() if any(line.startswith(f"{folder}/") for folder in folders)]


def interpreter(path: Path, answer: str) -> None:
    """Write a stand-in for an interpreter that answers the question for its version."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{answer}\n")
    path.chmod(0o755)


def test_the_newest_is_tried_first_and_each_version_once(tmp_path: Path) -> None:
    """Of two of one version the one in the first folder; what is not usable is left out."""
    system, local = tmp_path / "usr", tmp_path / "local"
    interpreter(system / "python3", "echo 11")
    interpreter(system / "python3.11", "echo 11")
    interpreter(local / "python3.11", "echo 11")
    interpreter(local / "python3.13", "echo 13")
    interpreter(local / "python3.12", "exit 1")

    assert tried(system, local) == [f"{local}/python3.13", f"{system}/python3"]


@pytest.mark.skipif(sys.prefix == sys.base_prefix, reason="the tests do not run in an environment of their own")
def test_an_environment_of_somebody_is_no_python_of_the_machine() -> None:
    """An environment may be removed any time, and the one of a user need not be open to others."""
    assert tried(Path(sys.prefix) / "bin") == []


def test_a_folder_that_others_may_not_enter_is_left_out(tmp_path: Path) -> None:
    """Student code runs under other uids."""
    (tmp_path / "closed").mkdir(mode=0o700)
    (tmp_path / "closed" / "python3").symlink_to(os.path.realpath(sys.executable))
    copied = tmp_path / "closed" / "python3.11"
    copied.write_bytes(Path(os.path.realpath(sys.executable)).read_bytes())
    copied.chmod(0o755)

    assert f"{copied}" not in tried(tmp_path / "closed")
