"""
Where arrays and objects lie: the C library's heap told to keep what is freed, and pages made large before many forks.

By default each large array is a mapping of its own, given back to the kernel when it is freed and zeroed page by page
when the next one is made. In one step of training that is thousands of page faults; a short-lived process has
no use for memory given back.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Iterator
from pathlib import Path

# For the environment of a process to be: its heap asks for large pages. Read by glibc when it starts, and only then.
LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from malloc.h
_LARGEST_KEPT_BYTES = 32 * 2**20  # the most that glibc accepts; arrays above are mapped as ever
_KEPT_BYTES = 512 * 2**20
_MADV_COLLAPSE = 25  # Linux 6.1 and newer; older ones refuse it
_LARGE_PAGE_BYTES = 2 * 2**20


def keep_freed_memory() -> None:
    """Have this process use freed memory again; without effect beside glibc."""
    with contextlib.suppress(AttributeError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)


def gather_in_large_pages() -> None:
    """
    Move this process's objects into large pages, of which a fork copies the entries of 512 small ones at once.

    It costs a quarter of a second, which is saved again in some thirty forks; nothing happens where the kernel cannot.
    """
    madvise = ctypes.CDLL(None).madvise
    madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    for start, end in _own_memory():
        first = -(-start // _LARGE_PAGE_BYTES) * _LARGE_PAGE_BYTES
        for address in range(first, end - _LARGE_PAGE_BYTES + 1, _LARGE_PAGE_BYTES):
            madvise(address, _LARGE_PAGE_BYTES, _MADV_COLLAPSE)


def _own_memory() -> Iterator[tuple[int, int]]:
    """Yield where the heap and other mappings without a file begin and end."""
    for line in Path("/proc/self/maps").read_text(encoding="ascii", errors="replace").splitlines():
        place, rights, _, _, inode, *name = line.split(maxsplit=5)
        if rights == "rw-p" and inode == "0" and (not name or name == ["[heap]"]):
            start, _, end = place.partition("-")
            yield int(start, 16), int(end, 16)
