"""
Ending every process that a worker left behind, daemons and fork bombs included.

`killpg` misses what called setsid, and killing processes one by one loses the race against a fork bomb. One
`kill(-1, SIGKILL)` does not: the kernel signals every process that the sender may signal in one pass, and a fork
under way notices the pending signal before it returns. The sender has the worker's uid as effective uid only;
its real and saved uid are the sweeper's own, so that nothing with the worker's uid may signal it first.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import time
from collections.abc import Collection, Iterator
from pathlib import Path

_PR_SET_CHILD_SUBREAPER = 36
_PATIENCE_S = 5.0


def become_subreaper() -> None:
    """Make the calling process the parent of every orphan among its descendants."""
    if ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "cannot become a subreaper")


def end_processes(uid: int | None, *, session: int, sweeper_uid: int, spare: Collection[int]) -> int:
    """
    End and reap whatever a worker left behind.

    Args:
        uid: the worker's own uid; None without root, where only its session and the orphans are found.
        session: the worker's session id, its pid.
        sweeper_uid: a uid that no other process has.
        spare: pids of other workers, which are still at work.

    Returns:
        How many processes there were.

    Raises:
        TimeoutError: processes are left after several seconds.
    """
    if uid is not None and not _is_in_use(uid):
        return 0  # as nearly always; looking through all of /proc takes milliseconds
    deadline = time.monotonic() + _PATIENCE_S
    found: set[int] = set()
    while living := set(processes_of(uid) if uid is not None else _of_session(session)) - set(spare):
        found |= living
        try:
            if uid is None:
                _signal_each(living)
            else:
                _signal_all_of(uid, sweeper_uid)
        except BlockingIOError:  # a bomb has all the processes that this machine allows: make room for the sender
            _signal_each(living)
        _reap(spare)
        if time.monotonic() > deadline:
            raise TimeoutError(f"{len(living)} processes of a worker cannot be ended")
    return len(found)


def _is_in_use(uid: int) -> bool:
    """Whether a process, a dead one included, has this real uid: of a worker's no other can differ from it."""
    try:
        os.getpriority(os.PRIO_USER, uid)
    except ProcessLookupError:
        return False
    return True


def _signal_all_of(uid: int, sweeper_uid: int) -> None:
    pid = os.fork()
    if pid == 0:
        try:
            os.setgroups([])
            os.setresuid(sweeper_uid, uid, sweeper_uid)
            os.kill(-1, signal.SIGKILL)
        finally:
            os._exit(0)
    os.waitpid(pid, 0)


def _signal_each(pids: Collection[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):  # it may have gone by itself
            os.kill(pid, signal.SIGKILL)


def _reap(spare: Collection[int]) -> None:
    """Collect the orphans that have ended, but leave other workers to whoever waits for them."""
    time.sleep(0.001)
    for pid, fields in stat_of_all():
        if fields[0] == "Z" and int(fields[1]) == os.getpid() and pid not in spare:
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, os.WNOHANG)


def uids_in_use(first: int, last: int) -> set[int]:
    """Return the uids from first to last that some process has."""
    found: set[int] = set()
    for pid in _pids():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            found |= {int(uid) for uid in _uids_of(pid)}
    return {uid for uid in found if first <= uid <= last}


def processes_of(uid: int) -> Iterator[int]:
    """Pids of the processes that have a uid as any of their four."""
    for pid in _pids():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            if str(uid) in _uids_of(pid):
                yield pid


def _uids_of(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/status").read_text().partition("Uid:")[2].partition("\n")[0].split()


def _of_session(session: int) -> Iterator[int]:
    for pid, (_, parent, _, its_session, *_) in stat_of_all():
        # A daemon is in a session of its own making, but when its parent ends it comes to us, the subreaper.
        if int(its_session) == session or int(parent) == os.getpid():
            yield pid


def stat_of_all() -> Iterator[tuple[int, list[str]]]:
    """Pid of each process with state, parent, process group, session and what follows (proc(5))."""
    for pid in _pids():
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            yield pid, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]
