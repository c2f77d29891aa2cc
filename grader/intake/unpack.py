"""Take the files of interest out of a zip, under caps (worker side)."""

from __future__ import annotations

import io
import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field

from grader.intake.caps import (
    ARCHIVE_SUFFIX,
    CODE_SUFFIXES,
    DEFAULT_CAPS,
    MIB,
    TENSOR_SUFFIXES,
    Caps,
    is_junk,
    suffix_of,
)
from grader.intake.names import quoted
from grader.intake.report import Note

_CHUNK_BYTES = 64 * 1024
_CENTRAL_ENTRY = b"PK\x01\x02"
_LOCAL_HEADER_BYTES = 30
_INTERESTING = (*CODE_SUFFIXES, *TENSOR_SUFFIXES, ARCHIVE_SUFFIX)
_DAMAGE = (
    zipfile.BadZipFile,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    IndexError,
    NotImplementedError,
    MemoryError,
    RuntimeError,
)


@dataclass
class Unpacked:
    """
    What came out of the zips so far, and what was spent on it.

    Args:
        files: path -> bytes. A file of a zip has the path it has inside the zip, after the zip's own folder.
        notes: what was left out, and why.
        entries: members seen.
        total_bytes: uncompressed bytes taken.
        archives: zips opened.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    notes: list[Note] = field(default_factory=list)
    entries: int = 0
    total_bytes: int = 0
    archives: int = 0


class _RefusedError(Exception):
    """A member, or a whole zip, is not taken; the text is the end of a sentence that begins with its name."""


def unpack(name: str, data: memoryview, into: Unpacked, *, caps: Caps = DEFAULT_CAPS, is_nested: bool = False) -> None:
    """
    Add the notebooks, modules, saved tensors and (one level of) zips inside a zip to `into`.

    Args:
        name: the zip's own path, for notes, and for the folder that its files count as being in.
        data: the zip.
        into: files and notes are added here, and its counts are held under the caps across zips.
        caps: how much to take.
        is_nested: this zip came out of another one; zips inside it are not opened any more.
    """
    try:
        _unpack(name, data, into, caps, is_nested)
    except _RefusedError as refused:
        into.notes.append(Note("archive", f"{quoted(name)} {refused}"))
    except _DAMAGE:
        into.notes.append(
            Note(
                "archive",
                f"{quoted(name)} is not a complete zip. Pack your files again and check that it opens.",
            )
        )


def _unpack(name: str, data: memoryview, into: Unpacked, caps: Caps, is_nested: bool) -> None:
    into.archives += 1
    if into.archives > caps.archives:
        raise _RefusedError(f"was not opened: at most {caps.archives} zips are.")
    if len(data) > caps.archive_bytes:
        raise _RefusedError(f"was not opened: it is larger than {caps.archive_bytes // MIB} MiB.")
    # zipfile builds an object for every member before it can be asked how many there are.
    if into.entries + _count(data, _CENTRAL_ENTRY) > caps.entries:
        raise _RefusedError(f"was not opened: it holds more than {caps.entries} files.")
    with zipfile.ZipFile(io.BufferedReader(_Reader(data))) as archive:
        members = archive.infolist()
        into.entries += len(members)
        _refuse_overlaps(members)
        folder = name.rsplit("/", 1)[0] + "/" if "/" in name else ""
        nested = []
        for member, path in _wanted(members, name, into, caps):
            content = _take(archive, member, folder + path, into, caps)
            if content is None:
                continue
            if suffix_of(path) == ARCHIVE_SUFFIX:
                nested.append((folder + path, content))
            else:
                into.files[folder + path] = content
    for path, content in nested:
        if is_nested:
            into.notes.append(Note("archive", f"{quoted(path)} was not opened: it is a zip in a zip in a zip."))
        else:
            unpack(path, memoryview(content), into, caps=caps, is_nested=True)


def _wanted(
    members: list[zipfile.ZipInfo], name: str, into: Unpacked, caps: Caps
) -> Iterator[tuple[zipfile.ZipInfo, str]]:
    """
    Yield the members of interest with their safe paths; those with an unsafe place or type leave a note.
    """
    unsafe = []
    for member in members:
        path = member.filename.replace("\\", "/")
        if member.is_dir() or is_junk(path) or suffix_of(path) not in _INTERESTING:
            continue
        kind = stat.S_IFMT(member.external_attr >> 16)
        pieces = path.split("/")
        is_inside = not path.startswith("/") and ".." not in pieces and ":" not in pieces[0]
        if not is_inside or len(pieces) > caps.depth + 1 or kind not in (0, stat.S_IFREG):
            unsafe.append(path)
            continue
        yield member, "/".join(piece for piece in pieces if piece not in ("", "."))
    if unsafe:
        more = f" and {len(unsafe) - 1} more" if len(unsafe) > 1 else ""
        reason = "a link, or a path that is too deep or leads out of the zip."
        text = f"{quoted(unsafe[0])}{more} in {quoted(name)} was left out: {reason}"
        into.notes.append(Note("left-out", text))


def _take(archive: zipfile.ZipFile, member: zipfile.ZipInfo, path: str, into: Unpacked, caps: Caps) -> bytes | None:
    """Return a member's bytes, or leave a note about why not."""
    try:
        if member.flag_bits & 0x1:
            raise _RefusedError("is password-protected. Pack your files without a password.")
        return _stream(archive, member, into, caps)
    except _RefusedError as refused:
        reason = str(refused)
    except _DAMAGE:
        reason = "is damaged inside its zip and was left out. Pack your files again."
    into.notes.append(Note("archive", f"{quoted(path)} {reason}"))
    return None


def _stream(archive: zipfile.ZipFile, member: zipfile.ZipInfo, into: Unpacked, caps: Caps) -> bytes:
    """Read in chunks and count, because the sizes that the zip states may be lies."""
    is_archive = suffix_of(member.filename) == ARCHIVE_SUFFIX
    limit = caps.archive_bytes if is_archive else min(caps.file_bytes, caps.total_bytes - into.total_bytes)
    content = bytearray()
    with archive.open(member) as source:
        while chunk := source.read(_CHUNK_BYTES):
            content += chunk
            if len(content) > limit:
                raise _RefusedError(f"was left out: unpacked it is larger than {limit // MIB} MiB.")
            if len(content) > max(caps.ratio_floor_bytes, caps.ratio * member.compress_size):
                raise _RefusedError("was left out: it grows more than any homework does when it is unpacked.")
    if not is_archive:
        into.total_bytes += len(content)
    return bytes(content)


def _refuse_overlaps(members: list[zipfile.ZipInfo]) -> None:
    """Refuse a zip whose members share bytes, as a bomb's do; CPython before 3.11.8 would read it."""
    end = 0
    for member in sorted(members, key=lambda member: member.header_offset):
        if member.header_offset < end:
            raise _RefusedError("was not opened: files in it overlap, which no ordinary zip has.")
        name_bytes = len(member.orig_filename.encode("utf-8" if member.flag_bits & 0x800 else "cp437", "replace"))
        end = member.header_offset + _LOCAL_HEADER_BYTES + name_bytes + member.compress_size


def _count(data: memoryview, pattern: bytes) -> int:
    """Count occurrences without holding a copy of all of `data`."""
    overlap = len(pattern) - 1
    return sum(bytes(data[start : start + MIB + overlap]).count(pattern) for start in range(0, max(len(data), 1), MIB))


class _Reader(io.RawIOBase):
    """A file over a memoryview; io.BytesIO would copy it."""

    def __init__(self, data: memoryview) -> None:
        super().__init__()
        self._data = data
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to `offset` from the start, from here or from the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._data)}[whence]
        if base + offset < 0:
            raise ValueError("a position before the start")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # typeshed's type is not importable
        """Copy as much as fits into `buffer`."""
        piece = self._data[self._position : self._position + len(buffer)]
        buffer[: len(piece)] = piece
        self._position += len(piece)
        return len(piece)
