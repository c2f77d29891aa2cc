"""What a worker may use, and the resource limits of the kernel that hold it to that."""

from __future__ import annotations

import os
import resource
from dataclasses import dataclass

_MIB = 1024 * 1024


@dataclass(frozen=True)
class Limits:
    """
    What one worker may use.

    Args:
        wall_s: seconds from its start until it is ended, whatever it does.
        memory_mib: address space on top of what the zygote has already (imported libraries).
        processes: processes and threads of the worker's uid together. Under 64, OpenMP cannot start its
            threads on a machine with many cores, which looks like a crash of the student's code.
        file_mib: size of the largest file it may write.
        scratch_mib: bytes in its scratch folder, watched every tenth of a second.
        scratch_entries: files and folders in its scratch folder.
    """

    wall_s: float = 20.0
    memory_mib: int = 1024
    processes: int = 64
    file_mib: int = 16
    scratch_mib: int = 64
    scratch_entries: int = 500


def apply(limits: Limits, *, held_bytes: int | None) -> None:
    """
    Hold the calling process and its children to the limits; they can only be lowered from here on.

    Args:
        limits: what is allowed.
        held_bytes: the address space that the process has already; None to leave that unlimited. CUDA reserves a
            huge one, so there the parent watches the resident memory instead.
    """
    # One second between both: at the hard limit the kernel kills, and a kill looks like memory that ran out.
    _lower(resource.RLIMIT_CPU, int(limits.wall_s) + 1, hard=int(limits.wall_s) + 2)
    _lower(resource.RLIMIT_NPROC, limits.processes)
    _lower(resource.RLIMIT_FSIZE, limits.file_mib * _MIB)
    _lower(resource.RLIMIT_NOFILE, 256)
    _lower(resource.RLIMIT_CORE, 0)
    for kind in (resource.RLIMIT_MEMLOCK, resource.RLIMIT_MSGQUEUE, resource.RLIMIT_RTPRIO, resource.RLIMIT_NICE):
        _lower(kind, 0)  # no pinned memory, no queues that outlive it, no priority over the grader
    if held_bytes is not None:
        _lower(resource.RLIMIT_AS, held_bytes + limits.memory_mib * _MIB)


def _lower(kind: int, value: int, *, hard: int | None = None) -> None:
    wanted = (value, value if hard is None else hard)
    _, most = resource.getrlimit(kind)
    if most != resource.RLIM_INFINITY:
        wanted = (min(wanted[0], most), min(wanted[1], most))
    resource.setrlimit(kind, wanted)


def address_space_bytes() -> int:
    """Return the size of the calling process's address space."""
    with open("/proc/self/statm", encoding="ascii") as statm:
        return int(statm.read().split()[0]) * os.sysconf("SC_PAGESIZE")
