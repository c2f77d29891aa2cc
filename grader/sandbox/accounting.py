"""
What processes hold that no limit of the kernel counts for them together: read from /proc, with their own identity.

A file that was opened or mapped and then removed stands in no folder; a socket's and a pipe's buffers are no
process's memory. Looking at a process of another user takes CAP_SYS_PTRACE, which a container's root does not have;
with the file-system identity of the worker's own uid it takes nothing, as long as the worker stays visible
(`syscalls.stay_visible`; a filter keeps it from changing that). Who is hidden all the same has arranged to be.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

_SOCKET_BYTES = 416 * 1024  # what the kernel may hold for one end, at its usual limits
_PIPE_BYTES = 64 * 1024
_DELETED = " (deleted)"


@dataclass
class Held:
    """
    What some processes hold together, each thing counted once.

    Args:
        nameless: (device, inode) of files without a name -> bytes.
        buffers: (device, inode) of sockets and pipes -> bytes that the kernel may hold for them.
        hidden: processes that cannot be looked at.
    """

    nameless: dict[tuple[int, int], int] = field(default_factory=dict)
    buffers: dict[tuple[int, int], int] = field(default_factory=dict)
    hidden: set[int] = field(default_factory=set)


def held_by(pids: Iterable[int], uid: int | None) -> Held:
    """
    Return what the processes hold.

    Args:
        pids: the processes; those that end meanwhile hold nothing.
        uid: their uid and gid; None where they are the caller's own.
    """
    held = Held()
    with _seeing_as(uid):
        for pid in pids:
            try:
                _add_descriptors(pid, held)
                _add_mappings(pid, held)
            except PermissionError:
                if not _has_ended(pid):
                    held.hidden.add(pid)
            except (FileNotFoundError, ProcessLookupError):
                continue
    return held


def _has_ended(pid: int) -> bool:
    """Whether a process waits to be collected and holds nothing; one whose first thread alone has ended does hold."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        state = Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()[0]
        return state in ("Z", "X") and len(os.listdir(f"/proc/{pid}/task")) == 1
    return True


def anonymous_bytes(pid: int) -> int:
    """Return the resident memory of a process that is no file's; what a fork shares with its parent is in it."""
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):
        resident = Path(f"/proc/{pid}/status").read_text().partition("RssAnon:")[2]
        return int(resident.split()[0]) * 1024 if resident else 0
    return 0


@contextlib.contextmanager
def _seeing_as(uid: int | None) -> Iterator[None]:
    """Look at files as this user for a while; only the calling thread, and only what belongs to files, changes."""
    if uid is None:
        yield
        return
    libc = ctypes.CDLL(None)
    libc.setfsgid(uid)
    libc.setfsuid(uid)
    try:
        yield
    finally:
        libc.setfsuid(os.geteuid())
        libc.setfsgid(os.getegid())


def _add_descriptors(pid: int, held: Held) -> None:
    for descriptor in os.listdir(f"/proc/{pid}/fd"):
        with contextlib.suppress(FileNotFoundError):  # closed while we look
            status = os.stat(f"/proc/{pid}/fd/{descriptor}")
            place = status.st_dev, status.st_ino
            if stat.S_ISREG(status.st_mode) and status.st_nlink == 0:
                held.nameless[place] = max(held.nameless.get(place, 0), status.st_blocks * 512)
            elif stat.S_ISSOCK(status.st_mode):
                held.buffers[place] = _SOCKET_BYTES
            elif stat.S_ISFIFO(status.st_mode):
                held.buffers[place] = _PIPE_BYTES


def _add_mappings(pid: int, held: Held) -> None:
    """Count the removed files that are mapped: as much of each as is mapped, since the file cannot be asked."""
    for line in Path(f"/proc/{pid}/maps").read_text(errors="replace").splitlines():
        if not line.endswith(_DELETED):
            continue
        addresses, _, offset, device, inode, _ = line.split(maxsplit=5)
        major, _, minor = device.partition(":")
        place = os.makedev(int(major, 16), int(minor, 16)), int(inode)
        first, _, last = addresses.partition("-")
        size = int(offset, 16) + int(last, 16) - int(first, 16)
        held.nameless[place] = max(held.nameless.get(place, 0), size)
