"""Open what was handed in and hold its bytes, without looking into them (trusted side)."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from grader.errors import StaffError
from grader.intake.caps import (
    ARCHIVE_SUFFIX,
    CODE_SUFFIXES,
    DEFAULT_CAPS,
    FOREIGN_ARCHIVES,
    MIB,
    TENSOR_SUFFIXES,
    Caps,
    is_junk,
    suffix_of,
)
from grader.intake.names import quoted
from grader.intake.report import Note

Bytes = npt.NDArray[np.uint8]

_INTERESTING = (*CODE_SUFFIXES, *TENSOR_SUFFIXES, ARCHIVE_SUFFIX)
_ZIP_MAGIC = b"PK"


@dataclass(frozen=True)
class Collected:
    """
    The files of a submission.

    Args:
        files: path inside the submission, with "/" and without surrogates -> (bytes,) uint8, mapped
            read-only.
        notes: what was left out, and why.
    """

    files: Mapping[str, Bytes]
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class _Found:
    """A regular file: where it is, how it is called, how large it was when the folder was read."""

    path: str
    name: str
    size: int


def collect(path: Path, caps: Caps = DEFAULT_CAPS) -> Collected:
    """
    Gather the files of a submission, which is a zip, a single notebook or a folder of loose files and zips.

    Links are not followed, only regular files are opened, nothing is parsed. Where the files are too many or
    too large together, code comes first, then saved tensors, then zips, the small before the large.

    Raises:
        StaffError: there is nothing at `path`, or it may not be read: the caller named the wrong place.
    """
    notes: list[Note] = []
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        raise _unreadable(path, error) from error
    found = list(_walk(path, caps, notes)) if is_folder else [_single(path)]
    files: dict[str, Bytes] = {}
    total = 0
    for item in sorted(found, key=_priority):
        limit = caps.archive_bytes if suffix_of(item.name) == ARCHIVE_SUFFIX else caps.file_bytes
        data = _map(item, min(limit, caps.collected_bytes - total), notes)
        if data is not None:
            total += data.size
            files[item.name] = data
    if not files and not notes:
        notes.append(Note("empty", "The submission holds no notebook, no .py file, no saved model and no zip."))
    return Collected(MappingProxyType(dict(sorted(files.items()))), tuple(notes))


def require_submission(path: Path) -> None:
    """
    Make sure, before anything is started, that a path may be a submission, without reading what is in it.

    Raises:
        StaffError: there is nothing there, it may not be read, or it is neither a folder nor a zip nor a notebook.
    """
    if not path.exists():
        raise StaffError(happened=f"There is no {path}.", try_next="Name a zip, a notebook or a folder.")
    if not path.is_dir():
        _single(path)


def _unreadable(path: Path, error: OSError) -> StaffError:
    return StaffError(
        happened=f"The submission {str(path)!r} could not be opened: {error.strerror}.",
        try_next="Name an existing zip, notebook or folder that this user may read.",
    )


def _single(path: Path) -> _Found:
    """Return the one file that is the submission; a zip under another name counts as a zip."""
    try:
        size = os.stat(path).st_size
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            is_zip = stat.S_ISREG(os.fstat(descriptor).st_mode) and os.read(descriptor, 2) == _ZIP_MAGIC
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(path, error) from error
    name = _clean(path.name)
    if suffix_of(name) in _INTERESTING:
        return _Found(os.path.realpath(path), name, size)
    if is_zip:
        return _Found(os.path.realpath(path), name + ARCHIVE_SUFFIX, size)
    raise StaffError(
        happened=f"The submission {str(path)!r} is neither a zip nor a notebook.",
        try_next="Name a zip, a notebook or a folder.",
    )


def _walk(root: Path, caps: Caps, notes: list[Note]) -> Iterator[_Found]:
    """Yield the interesting regular files below `root` in a stable order, breadth first."""
    entries, foreign, useful = 0, "", False
    folders = [(os.fspath(root), "", 0)]
    while folders:
        folder, prefix, depth = folders.pop(0)
        for entry in _listing(folder, caps.entries - entries):
            entries += 1
            if entries >= caps.entries:
                folders.clear()
                notes.append(Note("left-out", f"Only the first {caps.entries} files and folders were looked at."))
                break
            name = prefix + _clean(entry.name)
            if is_junk(name):
                continue
            if entry.is_dir(follow_symlinks=False):
                if depth < caps.depth:
                    folders.append((entry.path, name + "/", depth + 1))
            elif suffix_of(name) in _INTERESTING:
                useful = True
                if entry.is_file(follow_symlinks=False):
                    yield _Found(entry.path, name, entry.stat(follow_symlinks=False).st_size)
                else:
                    notes.append(Note("left-out", f"{quoted(name)} is not a regular file and was left out."))
            elif suffix_of(name) in FOREIGN_ARCHIVES:
                foreign = foreign or name
    if foreign and not useful:
        notes.append(Note("left-out", f"{quoted(foreign)} was not opened: pack your files as a .zip instead."))


def _listing(folder: str, limit: int) -> list[os.DirEntry[str]]:
    """Return up to `limit` entries of a folder by name; a folder that may not be read counts as empty."""
    entries = []
    try:
        with os.scandir(folder) as scan:
            for entry in scan:
                entries.append(entry)
                if len(entries) >= limit:
                    break
    except OSError:
        return []
    return sorted(entries, key=lambda entry: entry.name)


def _priority(item: _Found) -> tuple[int, int, str]:
    suffix = suffix_of(item.name)
    rank = 0 if suffix in CODE_SUFFIXES else 1 if suffix in TENSOR_SUFFIXES else 2
    return rank, item.size, item.name


def _map(item: _Found, limit: int, notes: list[Note]) -> Bytes | None:
    """
    Map a file read-only, if it is still a regular one and no larger than `limit` bytes; else leave a note.
    """
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
    try:
        with os.fdopen(os.open(item.path, flags), "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                reason = "is not a regular file and was left out."
            elif status.st_size > limit:
                reason = f"was left out: it holds {_mib(status.st_size)} MiB, more than can be taken."
            elif status.st_size == 0:
                return np.empty(0, dtype=np.uint8)
            else:
                return np.asarray(np.memmap(file, dtype=np.uint8, mode="r", shape=(status.st_size,)))
    except (OSError, ValueError):
        reason = "could not be opened and was left out."
    notes.append(Note("left-out", f"{quoted(item.name)} {reason}"))
    return None


def _mib(size: int) -> int:
    return -(-size // MIB)


def _clean(name: str) -> str:
    """Return a file name without surrogates (bytes that are no UTF-8), so that it can be sent and sorted."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
