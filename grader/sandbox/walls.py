"""The walls around one worker: which of them this machine offers, and how they are raised."""

from __future__ import annotations

import os
import sys
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from grader.errors import StaffError
from grader.sandbox import landlock, syscalls

# What a program needs that student code imports: the interpreter's libraries and a few harmless files.
_READABLE = (
    "/usr",
    "/lib",
    "/lib64",
    "/bin",
    "/etc/ld.so.cache",
    "/etc/localtime",
    "/etc/fonts",
    "/etc/mime.types",
)
_DEVICES = ("/dev/random", "/dev/urandom")
_WRITABLE_DEVICES = ("/dev/null", "/dev/zero", "/dev/full")  # honest code opens os.devnull to be silent
_OOM_SCORE = "1000"
_GRADER = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Walls:
    """
    Which walls stand around every worker of a run.

    Args:
        own_uid: a fresh numeric uid for each worker; needs root.
        seccomp: the compiled filter, or None where libseccomp is missing.
        landlock: whether files off the list are out of reach.
        chroot: whether an empty folder becomes the root, in place of Landlock.
        limit_memory: whether the address space is limited (not with CUDA, which reserves a huge one).
        readable: all files and folders of the machine that may be read.
    """

    own_uid: bool
    seccomp: bytes | None
    landlock: bool
    chroot: bool
    limit_memory: bool
    readable: tuple[Path, ...] = ()

    def describe(self) -> str:
        """One line for staff: what stands, and what is missing."""
        standing = {
            "own uid": self.own_uid,
            "resource limits": True,
            "no new privileges": True,
            "seccomp": self.seccomp is not None,
            "chroot" if self.chroot else "Landlock": self.chroot or self.landlock,
            "address space limit": self.limit_memory,
        }
        present = ", ".join(name for name, stands in standing.items() if stands)
        absent = ", ".join(name for name, stands in standing.items() if not stands)
        return f"Sandbox: {present}." + (f" MISSING HERE: {absent}." if absent else "")


def survey_machine(*, cuda: bool, local_sockets: bool = False, readable: tuple[Path, ...] = ()) -> Walls:
    """
    Find out which walls this machine offers.

    Args:
        cuda: workers are to use a GPU.
        local_sockets: workers speak to processes of their own over AF_UNIX.
        readable: what workers may read beside the libraries.

    Raises:
        StaffError: the process is root and a wall that root must have is missing. Student code running as
            root could do anything, so nothing is run at all.
    """
    root = os.geteuid() == 0
    try:
        seccomp = syscalls.compile_filter(local_sockets=local_sockets)
    except (ImportError, OSError) as error:
        if root:
            raise StaffError(
                happened=f"The seccomp filter cannot be built ({error}), so no student code was run.",
                try_next="Install the Debian package libseccomp2 and run setup.sh again.",
            ) from error
        seccomp = None
    # Landlock opens whole folders of libraries; where the grader itself lies in one of them, it would be open too.
    libraries = _readable_paths(cuda=cuda)  # found out here, once, and not in every worker
    has_landlock = landlock.abi() > 0 and not _lies_beneath(libraries)
    return Walls(
        own_uid=root,
        seccomp=seccomp,
        landlock=has_landlock,
        chroot=root and not has_landlock,
        limit_memory=not cuda,
        readable=(*libraries, *readable),
    )


def raise_walls(walls: Walls, *, uid: int, scratch: Path, zygote_pid: int) -> None:
    """
    Shut the calling process in, for good. What it may use is limited apart, when its task is known.

    The order matters: what needs privilege comes first, the groups go before the user (setuid alone would
    leave group 0), and seccomp comes last because it denies what the others use.

    Args:
        walls: which walls to raise.
        uid: the numeric user and group that the process becomes, where `walls.own_uid`.
        scratch: the one folder in which it may write; it becomes the current folder.
        zygote_pid: its parent, with which it ends.

    Raises:
        OSError: a wall could not be raised. The caller must end the process.
    """
    if walls.own_uid:
        Path("/proc/self/oom_score_adj").write_text(_OOM_SCORE)
    syscalls.forbid_new_privileges()
    os.chdir(scratch)
    if walls.landlock:
        cuda = not walls.limit_memory
        landlock.restrict(
            readable=walls.readable,
            writable=[scratch, *map(Path, _WRITABLE_DEVICES)],
            devices=_gpu_devices() if cuda else [],
        )
    elif walls.chroot:
        os.chroot(scratch)
        os.chdir("/")
    if walls.own_uid:
        os.setgroups([])
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
        if os.getresuid() != (uid, uid, uid) or os.getresgid() != (uid, uid, uid) or os.getgroups():
            raise PermissionError("the user or the groups were not dropped")
        syscalls.stay_visible()
    syscalls.end_with_parent()  # here, because a change of user clears it
    if os.getppid() != zygote_pid:
        raise ProcessLookupError("the zygote ended meanwhile")
    if walls.seccomp is not None:
        syscalls.install_filter(walls.seccomp)


def missing_around(walls: Walls, pid: int, uid: int) -> list[str]:
    """
    Return which walls do not stand around a worker that says that they do: seen from outside, in /proc.

    Args:
        walls: which ought to stand.
        pid: the worker, before it has seen its task.
        uid: the only user and group that it may have.
    """
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    status = {name: value.split() for name, _, value in (line.partition(":") for line in lines)}
    expected: dict[str, list[str]] = {"NoNewPrivs": ["1"]}
    if walls.own_uid:
        expected |= {"Uid": [str(uid)] * 4, "Gid": [str(uid)] * 4, "Groups": []}
        expected |= {name: ["0" * 16] for name in ("CapInh", "CapPrm", "CapEff", "CapAmb")}
    if walls.seccomp is not None:
        expected |= {"Seccomp": ["2"]}
    return [name for name, value in expected.items() if status.get(name) != value]


def _lies_beneath(folders: list[Path]) -> bool:
    return any(_GRADER.is_relative_to(folder.resolve()) for folder in folders)


def _readable_paths(*, cuda: bool) -> list[Path]:
    interpreter = [sys.prefix, sys.base_prefix, *sysconfig.get_paths().values()]
    described = ["/proc", "/sys"] if cuda else []  # the driver looks up the GPU and the limits of memory there
    return [Path(path) for path in dict.fromkeys([*interpreter, *_READABLE, *_DEVICES, *described])]


def _gpu_devices() -> list[Path]:
    return sorted(Path("/dev").glob("nvidia*"))
