"""
Open what was handed in and hold its bytes, without looking into them (trusted side).

Where a file's name does not say what it is, its first bytes are compared with those of the kinds that are read.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt

from grader.archives import SPECIAL, normal_path, path_problem
from grader.errors import StaffError
from grader.intake.caps import ARCHIVE_SUFFIX, DEFAULT_CAPS, MIB, Caps, is_junk
from grader.intake.choose import likelihood
from grader.intake.handed_out import HandedOut
from grader.intake.holdings import Places, Rank, bare_stem, without_covered_checkpoints
from grader.intake.kinds import HEAD_BYTES, READ, Kind, kind_by_name, kind_of
from grader.intake.names import quoted
from grader.intake.report import Note

Bytes = npt.NDArray[np.uint8]

_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY
_ZIP_MAGIC = b"PK"
_NOTHING = HandedOut()


@dataclass(frozen=True)
class Collected:
    """
    The files of a submission.

    Args:
        files: path inside the submission, with "/" and without surrogates -> (bytes,) uint8, mapped
            read-only. A file that is not read, as a PDF in place of a notebook, has only its first bytes here.
        notes: what was left out, and why.
    """

    files: Mapping[str, Bytes]
    notes: tuple[Note, ...]


@dataclass(frozen=True)
class _Found:
    """A regular file: where it is, how it is called, how large it was when the folder was read, what it is."""

    path: str
    name: str
    size: int
    kind: Kind | None


def collect(path: Path, caps: Caps = DEFAULT_CAPS, *, handed_out: HandedOut = _NOTHING) -> Collected:
    """
    Gather the files of a submission, which is an archive, a single notebook or a folder of loose files and archives.

    Links are not followed, only regular files are opened, nothing is parsed. Where the files are too many or
    too large together, the likeliest come first: what was handed out, then other code, saved files, archives.

    Args:
        path: the archive, notebook or folder.
        caps: how much is taken.
        handed_out: what is looked for first, whatever kind of file has its name.

    Raises:
        StaffError: there is nothing at `path`, or it may not be read: the caller named the wrong place.
    """
    notes: list[Note] = []
    try:
        is_folder = stat.S_ISDIR(os.stat(path).st_mode)
    except OSError as error:
        raise _unreadable(path, error) from error
    found = _known(_walk(path, handed_out, caps, notes), handed_out, caps, notes) if is_folder else [_single(path)]
    places = Places([item.name for item in found], handed_out.names)
    files: dict[str, Bytes] = {}
    total = 0
    for item in sorted(found, key=lambda each: _likelihood(each, places, handed_out)):
        reason = _too_much(item, total, caps)
        data = None if reason else _map(item, notes)
        if reason:
            notes.append(Note("left-out", f"{quoted(item.name)} {reason}"))
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
    """Return the one file that is the submission; an archive under another name counts as one."""
    try:
        size = os.stat(path).st_size
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            is_file = stat.S_ISREG(os.fstat(descriptor).st_mode)
            head = os.read(descriptor, HEAD_BYTES) if is_file else b""
        finally:
            os.close(descriptor)
    except OSError as error:
        raise _unreadable(path, error) from error
    name = normal_path(_clean(path.name)) or "submission"
    kind = kind_by_name(name)
    if kind in READ:
        return _Found(os.path.realpath(path), name, size, kind)
    if head.startswith(_ZIP_MAGIC):
        return _Found(os.path.realpath(path), name + ARCHIVE_SUFFIX, size, Kind.ARCHIVE)
    kind = kind_of(name, head)
    if kind in READ and is_file:
        return _Found(os.path.realpath(path), name, size, kind)
    raise StaffError(
        happened=f"The submission {str(path)!r} is neither a zip nor a notebook.",
        try_next="Name a zip, a notebook or a folder.",
    )


def _walk(root: Path, handed_out: HandedOut, caps: Caps, notes: list[Note]) -> Iterator[_Found]:
    """Yield the regular files below `root` that may be of interest, in a stable order, breadth first."""
    entries = 0
    folders = [(os.fspath(root), "")]
    while folders:
        folder, prefix = folders.pop(0)
        for entry in _listing(folder, caps.entries - entries):
            entries += 1
            if entries >= caps.entries:
                folders.clear()
                notes.append(Note("left-out", f"Only the first {caps.entries} files and folders were looked at."))
                break
            path = normal_path(entry.name)
            name = prefix + _clean(path or entry.name)
            kind = kind_by_name(name)
            if is_junk(name):
                continue
            if problem := path_problem(path and name):
                notes.append(Note("left-out", f"{quoted(name)} {problem}"))
            elif entry.is_dir(follow_symlinks=False):
                folders.append((entry.path, name + "/"))
            elif kind is Kind.OTHER and bare_stem(name) not in handed_out.stems:
                continue
            elif entry.is_file(follow_symlinks=False):
                yield _Found(entry.path, name, entry.stat(follow_symlinks=False).st_size, kind)
            elif kind in READ:
                notes.append(Note("left-out", f"{quoted(name)} {SPECIAL}"))


def _known(found: Iterator[_Found], handed_out: HandedOut, caps: Caps, notes: list[Note]) -> list[_Found]:
    """Return files with what they are, without those that are of no interest."""
    named: dict[str, _Found] = {}
    for item in found:
        if item.name not in named or item.path.endswith(item.name):  # a name as it is beats one that becomes the same
            named[item.name] = item
    kept = [named[name] for name in without_covered_checkpoints(named)]
    unknown = [item for item in kept if item.kind is None]
    unknown.sort(key=lambda item: (bare_stem(item.name) not in handed_out.stems, item.name.count("/"), item.name))
    if len(unknown) > caps.looks:
        text = f"{len(unknown) - caps.looks} files whose names do not say what they are were not looked at."
        notes.append(Note("left-out", text))
    looked = [replace(item, kind=kind_of(item.name, _head(item))) for item in unknown[: caps.looks]]
    return [item for item in kept if item.kind is not None] + [
        item for item in looked if item.kind is not Kind.OTHER or bare_stem(item.name) in handed_out.stems
    ]


def _head(item: _Found) -> bytes:
    """Return a file's first bytes; none where it may not be read."""
    try:
        with os.fdopen(os.open(item.path, _FLAGS), "rb") as file:
            return file.read(HEAD_BYTES) if stat.S_ISREG(os.fstat(file.fileno()).st_mode) else b""
    except OSError:
        return b""


def _likelihood(item: _Found, places: Places, handed_out: HandedOut) -> Rank:
    return likelihood(item.name, item.kind, places.rank(item.name), item.size, handed_out)


def _too_much(item: _Found, total: int, caps: Caps) -> str:
    """Return why a file is not taken, as the end of a sentence, or "" where it is."""
    limit = caps.archive_bytes if item.kind is Kind.ARCHIVE else caps.file_bytes
    size = _taken_size(item)
    if size > limit:
        what = "an archive" if item.kind is Kind.ARCHIVE else "a file"
        return f"was left out: it holds {_mib(size)} MiB, and {what} may hold {_mib(limit)} MiB."
    if total + size > caps.collected_bytes:
        return f"was left out: all files together may hold {_mib(caps.collected_bytes)} MiB."
    return ""


def _taken_size(item: _Found) -> int:
    return item.size if item.kind in READ else min(item.size, HEAD_BYTES)


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


def _map(item: _Found, notes: list[Note]) -> Bytes | None:
    """Map a file read-only, if it is still a regular one and as large as it was; else leave a note."""
    try:
        with os.fdopen(os.open(item.path, _FLAGS), "rb") as file:
            status = os.fstat(file.fileno())
            size = _taken_size(item)
            if not stat.S_ISREG(status.st_mode) or status.st_size < size:
                reason = SPECIAL
            elif size == 0:
                return np.empty(0, dtype=np.uint8)
            else:
                return np.asarray(np.memmap(file, dtype=np.uint8, mode="r", shape=(size,)))
    except (OSError, ValueError):
        reason = "could not be opened and was left out."
    notes.append(Note("left-out", f"{quoted(item.name)} {reason}"))
    return None


def _mib(size: int) -> int:
    return -(-size // MIB)


def _clean(name: str) -> str:
    """Return a file name without surrogates (bytes that are no UTF-8), so that it can be sent and sorted."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
