"""Run a command and say what it cost: seconds on the clock and of processors, and the memory of all its processes."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

_LIMIT_S = 900.0
_SAMPLE_EVERY_S = 0.05
_SHOWN = 600  # characters of a failed command's output


@dataclass(frozen=True)
class Cost:
    """Seconds on the clock, and of all processors together."""

    wall_s: float
    cpu_s: float


@dataclass(frozen=True)
class Command:
    """
    A command to measure.

    Args:
        arguments: the program and its arguments.
        folder: where it runs.
        environment: all its variables.
        exit_codes: those with which it did its work.
    """

    arguments: Sequence[str]
    folder: Path
    environment: Mapping[str, str] = field(default_factory=dict)
    exit_codes: tuple[int, ...] = (0,)


class CommandFailed(Exception):
    """A command did not do its work; the text says why, with the end of what it printed."""


def measure(command: Command, log: Path) -> Cost:
    """
    Run a command to its end.

    Processor time is that of its process and of all descendants that were waited for.

    Args:
        command: what to run.
        log: file for what it prints.

    Raises:
        CommandFailed: it ended with another exit code, or not in time.
    """
    with log.open("wb") as output:
        began = time.monotonic()
        process = _start(command, output.fileno())
        guard = threading.Timer(_LIMIT_S, _kill, [process.pid])
        guard.start()
        _, status, usage = os.wait4(process.pid, 0)
        wall_s = time.monotonic() - began
        guard.cancel()
    process.returncode = os.waitstatus_to_exitcode(status)
    _require_success(command, process.returncode, log)
    return Cost(wall_s, usage.ru_utime + usage.ru_stime)


def measure_memory(command: Command, log: Path) -> float:
    """
    Run a command and return the peak of all its processes' memory together, in MiB.

    It is the proportional set size, so that what processes share counts once. Looking takes time of its own: this is
    no run to measure seconds in.

    Raises:
        CommandFailed: it ended with another exit code.
    """
    peak_mib = 0.0
    with log.open("wb") as output:
        process = _start(command, output.fileno())
        while process.poll() is None:
            peak_mib = max(peak_mib, sum(_proportional_mib(pid) for pid in _tree(process.pid)))
            time.sleep(_SAMPLE_EVERY_S)
    _require_success(command, process.returncode, log)
    return peak_mib


def _start(command: Command, output: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        list(command.arguments),
        cwd=command.folder,
        env=dict(command.environment),
        stdin=subprocess.DEVNULL,
        stdout=output,
        stderr=output,
        start_new_session=True,
    )


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)


def _require_success(command: Command, code: int, log: Path) -> None:
    if code not in command.exit_codes:
        printed = log.read_text(encoding="utf-8", errors="replace").strip()[-_SHOWN:]
        raise CommandFailed(f"`{Path(command.arguments[0]).name}` ended with {code}: {printed}")


def _tree(pid: int) -> list[int]:
    """Return a process and its descendants."""
    found = [pid]
    for listing in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(OSError):
            for child in listing.read_text().split():
                found += _tree(int(child))
    return found


def _proportional_mib(pid: int) -> float:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except OSError:  # it is gone, or about to be
        return 0.0
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024
