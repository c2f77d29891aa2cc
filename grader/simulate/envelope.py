"""Run a program with all that it starts under one limit of memory, processor share and time, without cgroups."""

from __future__ import annotations

import contextlib
import ctypes
import math
import os
import resource
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_BECOME_SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER: who leaves the tree by a double fork becomes our own child
_PERIOD_S = 0.1
_LOOK_EVERY_S = 0.5


@dataclass(frozen=True)
class Envelope:
    """What a program and all that it starts may use together."""

    memory_mib: float
    cpus: float
    wall_s: float


@dataclass(frozen=True)
class Usage:
    """
    What became of a program.

    Attributes:
        returncode: its exit status; negative for the signal that ended it.
        exceeded: "memory" or "time" if it was killed for that, else "".
        left_behind: how many processes were still there when it had ended.
    """

    returncode: int
    exceeded: str
    wall_s: float
    cpu_s: float
    peak_mib: float
    left_behind: int


def run_inside(
    envelope: Envelope, command: Sequence[str], *, cwd: Path, environment: Mapping[str, str], output: Path
) -> Usage:
    """
    Run a program to its end, or to the end of what it may use.

    Args:
        envelope: the limits.
        command: the program and its arguments.
        cwd: where it runs.
        environment: all of its environment.
        output: the file that takes what it prints.
    """
    ctypes.CDLL(None).prctl(_BECOME_SUBREAPER, 1, 0, 0, 0)
    cores = sorted(os.sched_getaffinity(0))[: math.ceil(envelope.cpus)]
    strangers = frozenset(_children(os.getpid()))
    before = _cpu_s()
    with output.open("wb") as file:
        program = subprocess.Popen(
            list(command),
            cwd=cwd,
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=lambda: os.sched_setaffinity(0, cores),  # nothing of ours runs in threads here
        )
    watched = _Watched(program, envelope, share=envelope.cpus / len(cores), strangers=strangers)
    try:
        exceeded = watched.until_the_end()
    finally:
        left_behind = watched.kill_all()
    return Usage(
        returncode=program.wait(),
        exceeded=exceeded,
        wall_s=time.monotonic() - watched.began,
        cpu_s=_cpu_s() - before,
        peak_mib=watched.peak_mib,
        left_behind=0 if exceeded else left_behind,
    )


class _Watched:
    """A running program with all that it started."""

    def __init__(
        self, program: subprocess.Popen[bytes], envelope: Envelope, *, share: float, strangers: frozenset[int]
    ) -> None:
        self._program = program
        self._envelope = envelope
        self._share = min(share, 1.0)
        self._strangers = strangers
        self._next_look = 0.0
        self.began = time.monotonic()
        self.peak_mib = 0.0

    def until_the_end(self) -> str:
        """Let it run in its share of time until it ends; return what it exceeded, or an empty text."""
        while self._program.poll() is None:
            exceeded = self._exceeded()
            if exceeded:
                return exceeded
            self._wait(_PERIOD_S * self._share)
            if self._share < 1 and self._program.poll() is None:
                self._signal(signal.SIGSTOP)
                time.sleep(_PERIOD_S * (1 - self._share))
                self._signal(signal.SIGCONT)
        return ""

    def kill_all(self) -> int:
        """Kill what is left until nothing is; return how many there were that had not ended by themselves."""
        left = {pid for pid in self._everyone() if _is_alive(pid)}
        self._signal(signal.SIGSTOP)  # else a shell that outlives its child by a moment prints "Killed"
        while everyone := self._everyone():
            self._signal(signal.SIGKILL, everyone)
            self._program.poll()
            for pid in everyone - {self._program.pid}:
                with contextlib.suppress(ChildProcessError):  # a grandchild becomes ours when its parent is dead
                    os.waitpid(pid, os.WNOHANG)
            time.sleep(0.005)
        return len(left)

    def _exceeded(self) -> str:
        now = time.monotonic()
        if now - self.began > self._envelope.wall_s:
            return "time"
        if now < self._next_look:
            return ""
        self._next_look = now + _LOOK_EVERY_S
        used = sum(_proportional_mib(pid) for pid in self._everyone())
        self.peak_mib = max(self.peak_mib, used)
        return "memory" if used > self._envelope.memory_mib else ""

    def _wait(self, seconds: float) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._program.wait(seconds)

    def _everyone(self) -> set[int]:
        found: set[int] = set()
        waiting = set(_children(os.getpid())) - self._strangers
        while waiting:
            pid = waiting.pop()
            found.add(pid)
            waiting |= set(_children(pid)) - found
        return found

    def _signal(self, number: signal.Signals, everyone: set[int] | None = None) -> None:
        """Send a signal to all; for a stop look again until nobody new has been born meanwhile."""
        told: set[int] = set()
        while new := (everyone if everyone is not None else self._everyone()) - told:
            for pid in new:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
            told |= new


def _children(pid: int) -> list[int]:
    """Return the children of all threads of a process."""
    found: list[int] = []
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                found += [int(child) for child in Path(f"/proc/{pid}/task/{task}/children").read_text().split()]
    return found


def _is_alive(pid: int) -> bool:
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    return False


def _proportional_mib(pid: int) -> float:
    """Return the memory of a process, in which a page that several share counts in parts."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0


def _cpu_s() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
