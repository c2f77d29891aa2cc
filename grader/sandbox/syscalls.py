"""The system calls that student code does without, as a seccomp filter compiled once."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import socket
import struct
import tempfile

_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_SET_NO_NEW_PRIVS = 38
_PR_SET_SECCOMP = 22
_SECCOMP_MODE_FILTER = 2

# By reason. Each answers EPERM, so that a library that tries one falls back instead of dying.
_DENIED = {
    "a way round the rule about sockets": "io_uring_setup io_uring_enter io_uring_register",
    "other processes' memory and descriptors": (
        "ptrace process_vm_readv process_vm_writev process_madvise pidfd_getfd kcmp userfaultfd"
    ),
    "the kernel's own machinery": (
        "bpf perf_event_open add_key request_key keyctl syslog personality acct quotactl vhangup reboot "
        "init_module finit_module delete_module kexec_load kexec_file_load swapon swapoff"
    ),
    "namespaces and mounts": (
        "unshare setns mount umount2 pivot_root chroot mount_setattr move_mount open_tree fsopen fsconfig fsmount "
        "fspick open_by_handle_at name_to_handle_at"
    ),
    "memory and messages that outlive a process or have no file mode": (
        "shmget shmat shmctl shmdt semget semop semctl semtimedop msgget msgsnd msgrcv msgctl "
        "mq_open mq_unlink mq_timedsend mq_timedreceive mq_notify mq_getsetattr memfd_create memfd_secret"
    ),
    "watching files": "inotify_init inotify_init1 inotify_add_watch fanotify_init fanotify_mark",
    "identities, owners and devices": (
        "setuid setgid setreuid setregid setresuid setresgid setfsuid setfsgid setgroups capset "
        "chown fchown lchown fchownat mknod mknodat"
    ),
    "the machine's clock and name": "clock_settime settimeofday adjtimex sethostname setdomainname",
}
# A pair of these can be sent to an address or connected anew, to a service of the machine; a stream cannot.
_CONNECTIONLESS = (socket.SOCK_DGRAM, socket.SOCK_RAW, socket.SOCK_RDM, socket.SOCK_SEQPACKET)
_KIND_MASK = 0xF
_LOCKS = (fcntl.F_SETLK, fcntl.F_SETLKW, fcntl.F_OFD_SETLK, fcntl.F_OFD_SETLKW)
# The kernel's newer calls have the same numbers on every architecture. Those from here on (statmount) were not
# looked at, and neither will be what a kernel of next year adds: they answer as if the kernel did not have them.
_FIRST_UNKNOWN_CALL = 457
_LOAD_NUMBER, _JUMP_IF_AT_LEAST, _RETURN = 0x20, 0x35, 0x06  # of classic BPF; the number is the first field looked at
_ANSWER_ENOSYS = 0x0005_0000 | errno.ENOSYS
_NAMESPACE_FLAGS = (0x00020000, 0x02000000, 0x04000000, 0x08000000, 0x10000000, 0x20000000, 0x40000000)


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p))


def compile_filter(*, local_sockets: bool = False) -> bytes:
    """
    Return the filter as BPF instructions.

    Sockets of every family are denied together with io_uring: a filter that denies only AF_INET and AF_INET6 is
    bypassed through it, and a local socket by path may belong to a service of the machine.

    Args:
        local_sockets: admit sockets of the family AF_UNIX, by which a notebook's kernel is spoken to. The kernel
            itself goes under the stricter filter before the first cell runs.

    Raises:
        ImportError, OSError: libseccomp is not there.
    """
    import pyseccomp

    compiled = pyseccomp.SyscallFilter(defaction=pyseccomp.ALLOW)
    denied = pyseccomp.ERRNO(errno.EPERM)
    if local_sockets:
        compiled.add_rule(denied, "socket", pyseccomp.Arg(0, pyseccomp.NE, socket.AF_UNIX))
    else:
        compiled.add_rule(denied, "socket")
    # TIPC and others that a kernel may have make pairs as well.
    compiled.add_rule(denied, "socketpair", pyseccomp.Arg(0, pyseccomp.NE, socket.AF_UNIX))
    for kind in _CONNECTIONLESS:
        compiled.add_rule(denied, "socketpair", pyseccomp.Arg(1, pyseccomp.MASKED_EQ, _KIND_MASK, kind))
    for name in " ".join(_DENIED.values()).split():
        # Not every call exists on every architecture or in every version of libseccomp.
        if _known(pyseccomp, name):
            compiled.add_rule(denied, name)
    for flag in _NAMESPACE_FLAGS:
        compiled.add_rule(denied, "clone", pyseccomp.Arg(0, pyseccomp.MASKED_EQ, flag, flag))
    # A lock on a library would tell a bit to the worker that begins while this one ends. Code that locks files of its
    # own, as sqlite does, reads that it has the lock: nobody else is there to want it.
    granted = pyseccomp.ERRNO(0)
    compiled.add_rule(granted, "flock")
    for command in _LOCKS:
        compiled.add_rule(granted, "fcntl", pyseccomp.Arg(1, pyseccomp.EQ, command))
    # Who hides from us in /proc hides what it holds open: see accounting.
    compiled.add_rule(denied, "prctl", pyseccomp.Arg(0, pyseccomp.EQ, _PR_SET_DUMPABLE))
    # clone3 hides its flags behind a pointer; ENOSYS makes the C library use clone.
    compiled.add_rule(pyseccomp.ERRNO(errno.ENOSYS), "clone3")
    with tempfile.TemporaryFile() as exported:
        compiled.export_bpf(exported)
        exported.seek(0)
        return _refuse_unknown_calls() + exported.read()


def _refuse_unknown_calls() -> bytes:
    """
    Return three instructions to stand before the filter: a call that nobody has looked at is not there.

    They cover the x32 calls of x86-64 too, whose numbers begin at 2**30. Calls of another architecture (32 bits)
    that come through end the process in what libseccomp puts first.
    """
    instructions = (
        (_LOAD_NUMBER, 0, 0, 0),
        (_JUMP_IF_AT_LEAST, 0, 1, _FIRST_UNKNOWN_CALL),
        (_RETURN, 0, 0, _ANSWER_ENOSYS),
    )
    return b"".join(struct.pack("=HBBI", *instruction) for instruction in instructions)


def forbid_new_privileges() -> None:
    """No program that this process starts can gain privileges, by set-uid bits or file capabilities."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1, 0)


def end_with_parent() -> None:
    """Have the kernel end the calling process when the thread that forked it ends, however it ends."""
    _prctl(_PR_SET_PDEATHSIG, 9, 0)


def stay_visible() -> None:
    """
    Let a process with this one's uid see in /proc what this one holds open: the watch looks with the worker's uid.

    A process that changed its uid is hidden otherwise from all but CAP_SYS_PTRACE, which a container does not give.
    """
    _prctl(_PR_SET_DUMPABLE, 1, 0)


def install_filter(instructions: bytes) -> None:
    """Put the calling process and its children under the filter for good; needs no_new_privs."""
    buffer = ctypes.create_string_buffer(instructions, len(instructions))
    program = _Program(len(instructions) // 8, ctypes.cast(buffer, ctypes.c_void_p))
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(program))


def _known(pyseccomp: object, name: str) -> bool:
    try:
        return int(pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)) >= 0  # type: ignore[attr-defined] # the package has no types
    except (OSError, ValueError):
        return False


def _prctl(option: int, second: int, third: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    unused = ctypes.c_ulong(0)
    if libc.prctl(option, ctypes.c_ulong(second), ctypes.c_ulong(third), unused, unused) != 0:
        raise OSError(ctypes.get_errno(), f"prctl {option} failed")
