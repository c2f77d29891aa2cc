"""
A command as root, but with no more than a container's root has: Docker's default capabilities and system calls.

The platform runs the grader in such a container. What is denied is denied by the kernel, as it would be there: the
capabilities leave the bounding set, and a seccomp filter answers as Docker's default profile does in effect.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

# Docker's defaults, by the numbers of linux/capability.h.
KEPT = {
    "CHOWN": 0,
    "DAC_OVERRIDE": 1,
    "FOWNER": 3,
    "FSETID": 4,
    "KILL": 5,
    "SETGID": 6,
    "SETUID": 7,
    "SETPCAP": 8,
    "NET_BIND_SERVICE": 10,
    "NET_RAW": 13,
    "SYS_CHROOT": 18,
    "MKNOD": 27,
    "AUDIT_WRITE": 29,
    "SETFCAP": 31,
}
# What the profile does not allow without further capabilities. ptrace and process_vm_* are allowed since Linux 4.8.
DENIED = """
acct add_key bpf clock_adjtime clock_settime create_module delete_module fanotify_init finit_module fsconfig fsmount
fsopen fspick get_kernel_syms init_module io_uring_enter io_uring_register io_uring_setup ioperm iopl kcmp
kexec_file_load kexec_load keyctl lookup_dcookie mbind mount mount_setattr move_mount move_pages nfsservctl
open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root query_module quotactl reboot request_key
set_mempolicy setdomainname sethostname setns settimeofday stime swapoff swapon syslog sysfs _sysctl umount umount2
unshare uselib userfaultfd ustat vhangup vm86 vm86old
""".split()  # noqa: SIM905 # a list of seventy literals is no easier to read
LANDLOCK = ("landlock_create_ruleset", "landlock_add_rule", "landlock_restrict_self")
_NAMESPACE_FLAGS = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)
_AF_VSOCK = 40
_PR_CAPBSET_DROP = 24
_CAPABILITY_VERSION = 0x20080522
# What such a container's environment holds; none of it may reach student code.
ENVIRONMENT = {
    "HOME": "/root",
    "HOSTNAME": "0123456789ab",
    "LANG": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
    "PLATFORM_TOKEN": "a token of the platform",
}


def run_in_container(
    command: Sequence[str], *, has_landlock: bool = True, env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """
    Run a command in the bed.

    Args:
        command: program and arguments.
        has_landlock: Docker's older profiles, and older kernels, do not have it.
        env: variables beside those of the container.
        options: for `subprocess.run`.

    Raises:
        PermissionError: this process is not root, or has less than a container's root already.
    """
    flags = [] if has_landlock else ["--no-landlock"]
    environment = {"PATH": os.environ["PATH"], **ENVIRONMENT, **(env or {})}
    whole = [sys.executable, "-B", str(Path(__file__)), *flags, "--", *command]
    return subprocess.run(whole, env=environment, text=True, **options)


def enter(*, has_landlock: bool) -> None:
    """Give up, for good, what a container's root does not have."""
    _install_filter(has_landlock=has_landlock)  # first: without no_new_privs it takes CAP_SYS_ADMIN
    libc = ctypes.CDLL(None, use_errno=True)
    last = int(Path("/proc/sys/kernel/cap_last_cap").read_text())
    for number in set(range(last + 1)) - set(KEPT.values()):
        if libc.prctl(_PR_CAPBSET_DROP, number, 0, 0, 0) != 0:
            raise OSError(ctypes.get_errno(), "a capability could not be dropped")
    kept = sum(1 << number for number in KEPT.values())
    header = struct.pack("=Ii", _CAPABILITY_VERSION, 0)
    data = struct.pack("=6I", kept & 0xFFFFFFFF, kept & 0xFFFFFFFF, 0, kept >> 32, kept >> 32, 0)
    if libc.capset(header, data) != 0:
        raise OSError(ctypes.get_errno(), "the capabilities could not be set")


def _install_filter(*, has_landlock: bool) -> None:
    import pyseccomp

    container = pyseccomp.SyscallFilter(defaction=pyseccomp.ALLOW)
    container.set_attr(pyseccomp.Attr.CTL_NNP, 0)
    denied = pyseccomp.ERRNO(errno.EPERM)
    for name in DENIED:
        with contextlib.suppress(OSError, ValueError):  # one that this architecture never had
            container.add_rule(denied, name)
    for flag in _NAMESPACE_FLAGS:
        container.add_rule(denied, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
    container.add_rule(denied, "socket", pyseccomp.Arg(0, pyseccomp.EQ, _AF_VSOCK))
    container.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    for name in () if has_landlock else LANDLOCK:
        container.add_rule(denied, name)
    container.load()


def main() -> None:
    """Enter the bed and become the command that follows "--"."""
    own, _, command = "\0".join(sys.argv[1:]).partition("--\0")
    enter(has_landlock="--no-landlock" not in own)
    arguments = command.split("\0")
    os.execvp(arguments[0], arguments)


if __name__ == "__main__":
    main()
