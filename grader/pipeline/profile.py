"""Where time and memory go in one run."""

from __future__ import annotations

import contextlib
import os
import resource
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_SAMPLE_EVERY_S = 0.05


@dataclass
class Profile:
    """
    Wall and processor seconds of each phase and, if `sampling`, the peak of all processes' memory together.

    Memory is the proportional set size: pages that processes share, as a worker shares the imported libraries
    with the zygote, count once.
    """

    sampling: bool = False
    phases: dict[str, float] = field(default_factory=dict)
    phases_cpu_s: dict[str, float] = field(default_factory=dict)  # of this process and of the phase's workers
    workers_cpu_s: Callable[[], float] = lambda: 0.0
    peak_mib: float = 0.0
    cpu_s: float = 0.0

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Add the time inside to a phase."""
        began, began_cpu_s = time.monotonic(), self._cpu_now_s()
        try:
            yield
        finally:
            self.phases[name] = self.phases.get(name, 0.0) + time.monotonic() - began
            self.phases_cpu_s[name] = self.phases_cpu_s.get(name, 0.0) + self._cpu_now_s() - began_cpu_s

    def _cpu_now_s(self) -> float:
        return time.process_time() + self.workers_cpu_s()

    @contextlib.contextmanager
    def watching(self, zygote_pid: int) -> Iterator[None]:
        """Sample the memory of this process, the zygote and its workers until the block ends."""
        stop = threading.Event()
        thread = threading.Thread(target=self._sample, args=(zygote_pid, stop), daemon=True)
        if self.sampling:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            if self.sampling:
                thread.join()

    def finish(self) -> None:
        """Add up processor seconds of this process and of the ended zygote with all its workers."""
        usages = (resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN))
        self.cpu_s = sum(usage.ru_utime + usage.ru_stime for usage in usages)

    def _sample(self, zygote_pid: int, stop: threading.Event) -> None:
        while not stop.wait(_SAMPLE_EVERY_S):
            pids = [os.getpid(), zygote_pid, *_children(zygote_pid)]
            self.peak_mib = max(self.peak_mib, sum(_proportional_mib(pid) for pid in pids))


def _children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def _proportional_mib(pid: int) -> float:
    try:
        rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return 0.0
    for line in rollup.splitlines():
        if line.startswith("Pss:"):
            return int(line.split()[1]) / 1024
    return 0.0
