"""What a command costs, and that one which failed is no measurement."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from benchmarks.clock import Command, CommandFailed, measure, measure_memory


def _python(code: str, folder: Path, exit_codes: tuple[int, ...] = (0,)) -> Command:
    return Command([sys.executable, "-S", "-c", code], folder, dict(os.environ), exit_codes)


def test_processor_time_of_children_counts(tmp_path: Path) -> None:
    """A grader cannot hide its work in a process of its own."""
    work = "import time\nwhile time.process_time() < 0.3: pass"
    idle = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {work!r}])"

    cost = measure(_python(idle, tmp_path), tmp_path / "log")

    assert cost.cpu_s > 0.29
    assert cost.wall_s > 0.29


def test_a_failure_is_told_with_what_was_printed(tmp_path: Path) -> None:
    """Nobody is fast by breaking down, unless the exit code is one of those expected."""
    command = "print('no such table'); raise SystemExit(1)"

    with pytest.raises(CommandFailed, match=r"ended with 1: no such table"):
        measure(_python(command, tmp_path), tmp_path / "log")
    measure(_python(command, tmp_path, (0, 1)), tmp_path / "log")


def test_memory_is_that_of_all_processes_together(tmp_path: Path) -> None:
    """What a child holds counts, too."""
    child = "import time; kept = bytearray(80_000_000); kept[::4096] = b'x' * len(kept[::4096]); time.sleep(2)"
    parent = f"import subprocess, sys; subprocess.run([sys.executable, '-S', '-c', {child!r}])"

    assert 76 < measure_memory(_python(parent, tmp_path), tmp_path / "log") < 150
