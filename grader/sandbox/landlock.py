"""Landlock: the process gives up every file that is not on its list (Linux 5.13 and newer)."""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Sequence
from pathlib import Path

# Numbers from linux/landlock.h; the system calls have the same numbers on every architecture.
_CREATE_RULESET, _ADD_RULE, _RESTRICT_SELF = 444, 445, 446
_RULE_PATH_BENEATH = 1
_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR = 1 << 0, 1 << 1, 1 << 2, 1 << 3
_TRUNCATE = 1 << 14
_IOCTL_DEVICE = 1 << 15
_DEVICE_RIGHTS = _WRITE_FILE | _READ_FILE | _READ_DIR | _IOCTL_DEVICE
_FILE_RIGHTS = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE  # the rest makes sense for folders only
_READ_ONLY = _EXECUTE | _READ_FILE | _READ_DIR
_HANDLED_BY_ABI = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1}
_HANDLED_SINCE_5 = (1 << 16) - 1
_TCP_BIND_AND_CONNECT = 0b11  # since ABI 4
_ABSTRACT_SOCKETS_AND_SIGNALS = 0b11  # since ABI 6


def abi() -> int:
    """Return the version of the kernel's Landlock interface, 0 where there is none."""
    return max(0, int(_libc().syscall(_CREATE_RULESET, None, 0, 1)))


def restrict(*, readable: Sequence[Path], writable: Sequence[Path], devices: Sequence[Path] = ()) -> None:
    """
    Take every file from the calling process but those beneath the paths; no_new_privs must be set.

    Args:
        readable: files and folders that may be read and executed. One that is not there is left out.
        writable: files and folders in which everything may be done.
        devices: device files, or folders of them, that may be read, written and given orders (ioctl).

    Raises:
        OSError: the kernel refused.
    """
    version = abi()
    handled = _HANDLED_BY_ABI.get(version, _HANDLED_SINCE_5)
    network = _TCP_BIND_AND_CONNECT if version >= 4 else 0
    scoped = _ABSTRACT_SOCKETS_AND_SIGNALS if version >= 6 else 0
    attributes = struct.pack("=QQQ", handled, network, scoped)
    known_size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = _call(_CREATE_RULESET, attributes, ctypes.c_size_t(known_size), 0)
    try:
        for path in readable:
            _allow(ruleset, path, _READ_ONLY & handled)
        for path in writable:
            _allow(ruleset, path, handled)
        for path in devices:
            _allow(ruleset, path, _DEVICE_RIGHTS & handled)
        _call(_RESTRICT_SELF, ruleset, 0)
    finally:
        os.close(ruleset)


def _allow(ruleset: int, path: Path, rights: int) -> None:
    try:
        beneath = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        if not path.is_dir():
            rights &= _FILE_RIGHTS | _IOCTL_DEVICE
        _call(_ADD_RULE, ruleset, _RULE_PATH_BENEATH, struct.pack("=Qi", rights, beneath), 0)
    finally:
        os.close(beneath)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _call(number: int, *arguments: object) -> int:
    result = int(_libc().syscall(number, *arguments))
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"Landlock: {os.strerror(error)}")
    return result
