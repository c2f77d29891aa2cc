"""
The one reader of archives: zips, tars and single compressed files, wherever one is opened, under one set of rules.

A member counts by its normalized path. Only what would leave the archive's root is refused: `..`, an absolute path, a
drive letter, a link, a device. Everything else that people's tools write (backslashes, "HW 11:22" from Finder, spaces
after a suffix) becomes an ordinary path below the root. Nothing is written here, and nothing is read but in chunks.
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import re
import stat
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import IO, Any, cast

CHUNK_BYTES = 512 * 1024
# Two of the methods are unpacked a whole piece of input at once, however much comes out of it.
_SMALL_CHUNK_BYTES = 4 * 1024
_READABLE = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA})
_METHODS = {1: "Shrink", 6: "Implode", 9: "Deflate64", 93: "Zstandard", 95: "XZ", 98: "PPMd"}
_AES = 99
_END = struct.Struct("<4s4H2LH")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_LOCATOR_64 = struct.Struct("<4sLQL")
_CENTRAL_ENTRY = b"PK\x01\x02"
_CENTRAL_ENTRY_BYTES = 46
_LONGEST_ENTRY_BYTES = 1_000  # an entry with its name, on average over a directory
_LOCAL_HEADER_BYTES = 30
_DRIVE = re.compile(r"[A-Za-z]:")
_TAR_MAGIC, _TAR_MAGIC_AT = b"ustar", 257
_COMPRESSED: Sequence[tuple[bytes, Callable[..., Any]]] = (
    (b"\x1f\x8b", partial(gzip.GzipFile, None, "rb", 9)),
    (b"BZh", bz2.BZ2File),
    (b"\xfd7zXZ\0", lzma.LZMAFile),
)
_COMPRESSED_SUFFIX = re.compile(r"\.(?:gz|bz2|xz)$", re.IGNORECASE)
DAMAGE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    OSError,
    EOFError,
    ValueError,
    OverflowError,
    IndexError,
    MemoryError,
    RuntimeError,  # with NotImplementedError and RecursionError
    struct.error,
)
OUTSIDE = "leads out of the zip or folder and was left out. Pack your files with ordinary relative paths."
TOO_LONG = "has a path of more than 1,000 characters and was left out. Give its folders shorter names."
_LONGEST_PATH = 1_000
SPECIAL = "is not a regular file but a link or a device, and was left out. Pack the file itself."


class Refused(Exception):
    """An archive, or a member of one, is not read; the text ends a sentence that begins with its name."""


@dataclass(frozen=True)
class Member:
    """
    A file in an archive.

    Args:
        name: as the archive has it.
        path: below the root, with "/" between its pieces; "" where `problem` says that it has none.
        size: bytes unpacked, as the archive states them; no more than that comes out.
        problem: why it cannot be read, as the end of a sentence that begins with its name; "" where it can be.
        index: its place in the archive.
        is_folder: a folder, which has no content.
    """

    name: str
    path: str
    size: int
    problem: str = ""
    index: int = 0
    is_folder: bool = False


Contents = Iterator[tuple[Member, Iterator[bytes]]]


@dataclass(frozen=True)
class Archive:
    """
    An opened archive.

    Args:
        members: its files, in its own order. Of two with the same name the last counts, as when it is unpacked.
        read: yields members with their bytes in chunks, in the asked order where the archive allows it. A chunk's
            iterator raises `Refused` where the member is damaged; the ones after it are yielded all the same.
    """

    members: Sequence[Member]
    read: Callable[[Iterable[Member]], Contents]


class Window:
    """
    A file for reading over anything that gives pieces of itself: memory, or a process that reads for us.

    Args:
        read_at: takes an offset and a length and returns as many bytes.
        size: of the whole.
        block: fetch at least this many bytes at once, and keep them.
    """

    def __init__(self, read_at: Callable[[int, int], bytes], size: int, *, block: int = 0) -> None:
        self._read_at = read_at
        self._block = block
        self._position = 0
        self._held, self._held_at = b"", 0
        self.size = size

    def read(self, length: int | None = -1) -> bytes:
        """Return up to `length` bytes from the position on."""
        left = max(0, self.size - self._position)
        length = left if length is None or length < 0 else min(length, left)
        start = self._position - self._held_at
        if start < 0 or start + length > len(self._held):
            self._held = self._read_at(self._position, max(length, min(self._block, left)))
            self._held_at, start = self._position, 0
        data = self._held[start : start + length]
        if not self._block:
            self._held = b""
        self._position += len(data)
        return data

    def seek(self, offset: int, whence: int = 0) -> int:
        """Move to `offset` from the start (0), from here (1) or from the end (2)."""
        position = offset + (0, self._position, self.size)[whence]
        if position < 0:
            raise OSError("a position before the start")  # as files do; zipfile relies on it
        self._position = position
        return position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def seekable(self) -> bool:
        """Return True."""
        return True


def in_memory(data: memoryview | bytes) -> Window:
    """Return a window on bytes, without a copy of them."""
    view = memoryview(data)
    return Window(lambda offset, length: bytes(view[offset : offset + length]), len(view))


def normal_path(name: str) -> str | None:
    """
    Return the path that a member's name stands for, or None where it would leave the root or cannot be a path.

    Backslashes count as slashes; spaces at the end of a piece, empty pieces and "." do not count.
    """
    pieces = name.replace("\\", "/").split("/")
    if pieces[0] == "" or ".." in (piece.strip() for piece in pieces) or _DRIVE.fullmatch(pieces[0]) or "\0" in name:
        return None
    stripped = [piece.strip() for piece in pieces]
    return "/".join(piece for piece in stripped if piece not in ("", ".")) or None


def path_problem(path: str | None) -> str:
    """Return why a file with this normalized path is not read, as the end of a sentence; "" where it is."""
    return OUTSIDE if path is None else TOO_LONG if len(path) > _LONGEST_PATH else ""


def fits_on_disk(path: str) -> bool:
    """Return whether a normalized path can be written below a folder on any usual file system."""
    try:
        return all(len(piece.encode()) <= 255 for piece in path.split("/")) and len(path.encode()) <= 1000
    except UnicodeEncodeError:
        return False


def is_readable(head: bytes) -> bool:
    """Return whether a file that begins with these bytes is one that `open_archive` reads."""
    is_zip = head.startswith((b"PK\x03\x04", b"PK\x05\x06"))
    return is_zip or is_compressed(head) or head[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC)


def is_compressed(head: bytes) -> bool:
    """Return whether a file that begins with these bytes is gzip, bzip2 or xz."""
    return any(head.startswith(magic) for magic, _ in _COMPRESSED)


def open_archive(source: Window, name: str, *, most_members: int, most_bytes: int) -> Archive:
    """
    List the members of an archive.

    Args:
        source: the archive.
        name: its own, after which the content of a single compressed file is called.
        most_members: files and folders in it.
        most_bytes: of a compressed stream, read from its start to its end.

    Raises:
        Refused: it is no archive, damaged, or holds more than that.
    """
    try:
        source.seek(0)
        head = source.read(512)
        if is_compressed(head) or head[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC):
            return _Stream(source, name, most_members, most_bytes).archive()
        return _open_zip(source, most_members)
    except Refused:
        raise
    except DAMAGE:
        raise Refused("is not a complete archive. Pack your files again and check that it opens.") from None


def _problem_of(path: str | None, *, is_special: bool) -> str:
    return SPECIAL if is_special else path_problem(path)


def _only_last(members: Sequence[Member]) -> list[Member]:
    """Return members without those whose very name comes again later."""
    last = {member.name: member for member in members}
    return list(last.values())


# Zips.


def _open_zip(source: Window, most_members: int) -> Archive:
    # zipfile builds an object for every member before it can be asked how many there are.
    if _count_members(source, most_members) > most_members:
        raise Refused(f"was not opened: it holds more than {most_members:,} files. Pack your own files only.")
    archive = zipfile.ZipFile(cast(IO[bytes], source))
    infos = archive.infolist()
    if len(infos) > most_members:
        raise Refused(f"was not opened: it holds more than {most_members:,} files. Pack your own files only.")
    _refuse_overlaps(infos)
    members = _only_last([_zip_member(index, info) for index, info in enumerate(infos)])

    def read(wanted: Iterable[Member]) -> Contents:
        for member in wanted:
            yield member, _zip_chunks(archive, infos[member.index])

    return Archive(members, read)


def _zip_member(index: int, info: zipfile.ZipInfo) -> Member:
    name = info.filename
    path = normal_path(name)
    is_special = stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG, stat.S_IFDIR)
    problem = _problem_of(path, is_special=is_special)
    if not problem and (info.flag_bits & 0x1 or info.compress_type == _AES):
        problem = "is password-protected. Pack your files without a password."
    elif not problem and info.compress_type not in _READABLE:
        method = _METHODS.get(info.compress_type, f"method {info.compress_type}")
        problem = (
            f"is compressed with {method}, which cannot be unpacked here. Pack again as an ordinary zip (Deflate)."
        )
    return Member(name, path or "", info.file_size, problem, index, name.endswith(("/", "\\")))


def _zip_chunks(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    size = CHUNK_BYTES if info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED) else _SMALL_CHUNK_BYTES
    try:
        with archive.open(info) as content:
            while chunk := content.read(size):
                yield chunk
    except DAMAGE:
        raise Refused("is damaged inside its archive and was left out. Pack your files again.") from None


def _count_members(source: Window, most: int) -> int:
    """Count the entries of a zip's directory, or return more than `most` where it is too large to be looked at."""
    tail_at = max(0, source.size - _END.size - 2**16)
    source.seek(tail_at)
    tail = source.read()
    found = tail.rfind(b"PK\x05\x06")
    if found < 0 or len(tail) - found < _END.size:
        raise zipfile.BadZipFile
    end = tail_at + found
    size = _END.unpack(tail[found : found + _END.size])[5]
    locator_at = found - _LOCATOR_64.size
    if locator_at >= 0 and tail[locator_at:found].startswith(b"PK\x06\x07"):
        end -= _LOCATOR_64.size + _END_64.size
        source.seek(max(0, end))
        record = source.read(_END_64.size)
        if record.startswith(b"PK\x06\x06") and len(record) == _END_64.size:
            size = _END_64.unpack(record)[8]
    if size > _LONGEST_ENTRY_BYTES * most + _CENTRAL_ENTRY_BYTES:
        return most + 1
    source.seek(max(0, end - size))
    return source.read(size).count(_CENTRAL_ENTRY)


def _refuse_overlaps(infos: Sequence[zipfile.ZipInfo]) -> None:
    """Refuse a zip whose members share bytes, as a bomb's do; CPython before 3.11.8 would read it."""
    end = 0
    for info in sorted(infos, key=lambda info: info.header_offset):
        if info.header_offset < end:
            raise Refused("was not opened: files in it overlap, which no ordinary zip has.")
        name_bytes = len(info.orig_filename.encode("utf-8" if info.flag_bits & 0x800 else "cp437", "replace"))
        end = info.header_offset + _LOCAL_HEADER_BYTES + name_bytes + info.compress_size


# Streams: a tar, compressed or not, or one compressed file. They are read from the start each time.


class _Counted:
    """A stream of which only so many bytes are read."""

    def __init__(self, stream: IO[bytes], most: int) -> None:
        self._stream = stream
        self._most = most
        self._left = most

    def read(self, length: int = CHUNK_BYTES) -> bytes:
        data = self._stream.read(min(length, CHUNK_BYTES))
        self._left -= len(data)
        if self._left < 0:
            raise Refused(f"was not opened: unpacked it holds more than {self._most // 2**20} MiB.")
        return data


class _Stream:
    """A tar or a compressed file, read from its start whenever something of it is wanted."""

    def __init__(self, source: Window, name: str, most_members: int, most_bytes: int) -> None:
        self._source = source
        self._name = name
        self._most_members = most_members
        self._most_bytes = most_bytes

    def archive(self) -> Archive:
        """List what is in it."""
        head = self._begin().read(512)
        if head[_TAR_MAGIC_AT:].startswith(_TAR_MAGIC):
            return Archive(_only_last(self._tar_members()), self._read_tar)
        stream = self._begin()
        size = sum(len(chunk) for chunk in iter(stream.read, b""))
        inner = _COMPRESSED_SUFFIX.sub("", self._name.rsplit("/", 1)[-1])
        return Archive([Member(inner, normal_path(inner) or "content", size)], self._read_single)

    def _begin(self) -> _Counted:
        self._source.seek(0)
        head = self._source.read(8)
        self._source.seek(0)
        file = cast(IO[bytes], self._source)
        opener = next((opener for magic, opener in _COMPRESSED if head.startswith(magic)), None)
        return _Counted(file if opener is None else opener(file), self._most_bytes)

    def _tar(self) -> tarfile.TarFile:
        return tarfile.open(fileobj=cast(Any, self._begin()), mode="r|")

    def _tar_members(self) -> list[Member]:
        members: list[Member] = []
        for index, info in enumerate(self._tar()):
            if index >= self._most_members:
                raise Refused(f"was not opened: it holds more than {self._most_members:,} files.")
            path = normal_path(info.name)
            problem = _problem_of(path, is_special=not (info.isreg() or info.isdir()))
            members.append(Member(info.name, path or "", info.size, problem, index, info.isdir()))
        return members

    def _read_tar(self, wanted: Iterable[Member]) -> Contents:
        asked = {member.index: member for member in wanted}
        try:
            tar = self._tar()
            for index, info in enumerate(tar):
                if index in asked:
                    yield asked.pop(index), _tar_chunks(tar, info)
                if not asked:
                    return
        except DAMAGE:
            return  # it was whole when it was listed

    def _read_single(self, wanted: Iterable[Member]) -> Contents:
        for member in wanted:
            yield member, iter(self._begin().read, b"")


def _tar_chunks(tar: tarfile.TarFile, info: tarfile.TarInfo) -> Iterator[bytes]:
    try:
        content = tar.extractfile(info)
        while content is not None and (chunk := content.read(CHUNK_BYTES)):
            yield chunk
    except DAMAGE:
        raise Refused("is damaged inside its archive and was left out. Pack your files again.") from None
