"""What no kernel limit of ours covers, looked at while a worker works: its files, and its processes together."""

from __future__ import annotations

import errno
import os
from pathlib import Path

from grader.sandbox.accounting import anonymous_bytes, held_by
from grader.sandbox.limits import Limits
from grader.sandbox.outcome import Ending
from grader.sandbox.sweep import processes_of

_MIB = 1024 * 1024
_PROCESSES_EVERY = 5  # ticks: looking through all processes takes milliseconds
# The address-space limit of one process answers first, with a MemoryError that says more; this is for many.
_SLACK_MIB = 256


class LimitExceeded(Exception):
    """A worker used more than it may; says how its task ended."""

    def __init__(self, ending: Ending, detail: str) -> None:
        super().__init__(detail)
        self.ending = ending
        self.detail = detail


class Watch:
    """
    Looks at a worker each time it is called, which is ten times a second.

    Args:
        pid: the worker.
        uid: its own uid, by which its children are found; None without root, where only the worker is seen.
        scratch: the folder in which it may write.
        limits: what it may use.
        zygote_pid: what the zygote holds is shared with the worker and does not count.
    """

    def __init__(self, pid: int, uid: int | None, scratch: Path, limits: Limits, zygote_pid: int) -> None:
        self._pid = pid
        self._uid = uid
        self._scratch = scratch
        self._limits = limits
        self._shared_bytes = anonymous_bytes(zygote_pid)
        self._hidden: set[int] = set()
        self._nameless_bytes = 0
        self._ticks = 0

    def __call__(self) -> None:
        """
        Look once.

        Raises:
            LimitExceeded: it used more than it may.
        """
        self._ticks += 1
        if self._ticks % _PROCESSES_EVERY == 0:
            self._look_at_processes()
        if self._scratch_bytes() + self._nameless_bytes > self._limits.scratch_mib * _MIB:
            raise LimitExceeded(Ending.DISK, f"more than {self._limits.scratch_mib} MiB of files")

    def _look_at_processes(self) -> None:
        pids = [self._pid] if self._uid is None else list(processes_of(self._uid))
        held = held_by(pids, self._uid)
        used = sum(held.buffers.values()) + sum(max(0, anonymous_bytes(pid) - self._shared_bytes) for pid in pids)
        if used > (self._limits.memory_mib + _SLACK_MIB) * _MIB:
            raise LimitExceeded(Ending.MEMORY, f"more than {self._limits.memory_mib} MiB in all its processes")
        if self._hidden & held.hidden:  # once may be the moment in which a process starts a program
            raise LimitExceeded(Ending.DISK, "a process that hides which files it holds")
        self._hidden = held.hidden
        self._nameless_bytes = sum(held.nameless.values())

    def _scratch_bytes(self) -> int:
        entries = 0
        total = 0
        for folder, _, names in os.walk(self._scratch, onerror=_refuse_what_is_hidden):
            entries += 1 + len(names)
            if entries > self._limits.scratch_entries:
                raise LimitExceeded(Ending.DISK, f"more than {self._limits.scratch_entries} files")
            total += sum(_size(Path(folder, name)) for name in names)
        return total


def _refuse_what_is_hidden(error: OSError) -> None:
    """End a worker that hides files, too deep or (without root) in a closed folder; what went meanwhile is no fault."""
    if error.errno == errno.ENAMETOOLONG:
        raise LimitExceeded(Ending.DISK, "folders too deep")
    if error.errno == errno.EACCES:
        raise LimitExceeded(Ending.DISK, "folders that cannot be looked into")


def _size(path: Path) -> int:
    try:
        return path.lstat().st_blocks * 512
    except OSError as error:
        _refuse_what_is_hidden(error)
        return 0  # it went between listing and looking
