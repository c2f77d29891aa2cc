"""
What can be wrong with the files that a command names, said before anything is started.

A child looks into them: workers are forks of this process, and could see what it had read.
"""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

from grader.errors import StaffError
from grader.pipeline.homework import Homework


def require_rubric(homework: Homework, path: Path) -> None:
    """
    Make sure that a rubric is right and that everything in it can be asked.

    Raises:
        StaffError: the file is missing or wrong.
    """

    importlib.import_module("torch")  # the child needs it, and so does the run: once for both

    def check() -> None:
        from grader.rubric import load_rubric

        load_rubric(path, known_checks=homework.answers().known, known_parts=homework.part_names)

    _in_a_child(check)


def require_roster(path: Path) -> None:
    """
    Make sure that a roster can be read.

    Raises:
        StaffError: it cannot.
    """

    def check() -> None:
        from grader.fleet.roster import read_roster

        read_roster(path)

    _in_a_child(check)


def _in_a_child(check: Callable[[], None]) -> None:
    """Raise the StaffError that a check raises in a child process."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(reading)
        _tell(check, writing)
    os.close(writing)
    with os.fdopen(reading, "rb") as pipe:
        said = pipe.read().decode()
    os.waitpid(child, 0)
    if said:
        raise StaffError(**json.loads(said))


def _tell(check: Callable[[], None], writing: int) -> NoReturn:
    """Write what a check says into a pipe, and end; what else goes wrong is for the command itself to meet."""
    try:
        check()
    except StaffError as error:
        with os.fdopen(writing, "wb") as pipe:
            pipe.write(json.dumps({"happened": error.happened, "try_next": error.try_next}).encode())
    finally:
        os._exit(0)
