"""What no kernel limit of ours covers, looked at while a worker works: its files, and its processes together."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from pathlib import Path

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
        self._shared_bytes = _anonymous_bytes(zygote_pid)
        self._ticks = 0

    def __call__(self) -> None:
        """
        Look once.

        Raises:
            LimitExceeded: it used more than it may.
        """
        self._ticks += 1
        written = self._scratch_bytes()
        if self._ticks % _PROCESSES_EVERY == 0:
            pids = [self._pid] if self._uid is None else list(processes_of(self._uid))
            written += _deleted_bytes(pids)
            used = sum(max(0, _anonymous_bytes(pid) - self._shared_bytes) for pid in pids)
            if used > (self._limits.memory_mib + _SLACK_MIB) * _MIB:
                raise LimitExceeded(Ending.MEMORY, f"more than {self._limits.memory_mib} MiB in all its processes")
        if written > self._limits.scratch_mib * _MIB:
            raise LimitExceeded(Ending.DISK, f"more than {self._limits.scratch_mib} MiB of files")

    def _scratch_bytes(self) -> int:
        entries = 0
        total = 0
        for folder, _, names in os.walk(self._scratch, onerror=_refuse_depth):
            entries += 1 + len(names)
            if entries > self._limits.scratch_entries:
                raise LimitExceeded(Ending.DISK, f"more than {self._limits.scratch_entries} files")
            total += sum(_size(Path(folder, name)) for name in names)
        return total


def _refuse_depth(error: OSError) -> None:
    """End a worker that hides files where a path is too long to follow; what went meanwhile is no fault."""
    if error.errno == errno.ENAMETOOLONG:
        raise LimitExceeded(Ending.DISK, "folders too deep")


def _size(path: Path) -> int:
    try:
        return path.lstat().st_blocks * 512
    except OSError as error:
        _refuse_depth(error)
        return 0  # it went between listing and looking


def _deleted_bytes(pids: list[int]) -> int:
    """Bytes of files that have no name any more but are still open somewhere, each counted once."""
    sizes: dict[tuple[int, int], int] = {}
    for pid in pids:
        # Processes and descriptors come and go while we look.
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(f"/proc/{pid}/fd"):
                with contextlib.suppress(OSError):
                    status = os.stat(f"/proc/{pid}/fd/{descriptor}")
                    if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
                        sizes[status.st_dev, status.st_ino] = status.st_blocks * 512
    return sum(sizes.values())


def _anonymous_bytes(pid: int) -> int:
    """Resident memory of a process that is no file's; what a fork shares with its parent is in it."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        resident = Path(f"/proc/{pid}/status").read_text().partition("RssAnon:")[2]
        return int(resident.split()[0]) * 1024 if resident else 0
    return 0
