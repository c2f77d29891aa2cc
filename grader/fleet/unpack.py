"""
Take an export apart: a worker reads the zip and sends files home, the trusted side names and writes them.

The worker asks for pieces of the zip as it needs them, so its size does not matter; the trusted side never looks
into one. What is written is what grading looks at, and the export's list.
"""

from __future__ import annotations

import contextlib
import io
import os
import socket
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from grader import wire
from grader.errors import StaffError
from grader.fleet.roster import METADATA_FILE
from grader.intake.caps import (
    ARCHIVE_SUFFIX,
    CODE_SUFFIXES,
    FOREIGN_ARCHIVES,
    MIB,
    TENSOR_SUFFIXES,
    is_junk,
    suffix_of,
)
from grader.intake.names import quoted
from grader.sandbox.host import Sandbox
from grader.sandbox.limits import Limits

TASK = "unpack"
_INTERESTING = (*CODE_SUFFIXES, *TENSOR_SUFFIXES, ARCHIVE_SUFFIX, *FOREIGN_ARCHIVES)
_CHUNK_BYTES = MIB
_LIMITS = Limits(wall_s=3600.0, memory_mib=768)
_DAMAGE = (zipfile.BadZipFile, zlib.error, OSError, EOFError, ValueError, NotImplementedError, RuntimeError, IndexError)


@dataclass(frozen=True)
class ExportCaps:
    """
    How much of one zip is taken.

    Args:
        file_bytes: one file.
        total_bytes: all files together.
        files: files written.
        depth: folders above a file.
    """

    file_bytes: int = 256 * MIB
    total_bytes: int = 200 * 1024 * MIB
    files: int = 500_000
    depth: int = 12


@dataclass
class Taken:
    """What came of a zip: files written, what was left out and why, and what kept the rest from being read."""

    files: int = 0
    notes: list[tuple[str, str]] = field(default_factory=list)  # (path in the zip, why it was left out)
    failure: str = ""


@contextlib.contextmanager
def unpacker() -> Iterator[Callable[[Path, Path], Taken]]:
    """
    Start a sandbox for reading zips, before the process learns who is in the class, and yield the function.

    The function takes a zip and a new folder, fills the folder, and raises StaffError only if it cannot write.
    """
    with Sandbox({TASK: read_zip}) as sandbox:
        yield lambda path, folder: _unpack(sandbox, path, folder, ExportCaps())


def _unpack(sandbox: Sandbox, path: Path, folder: Path, caps: ExportCaps) -> Taken:
    folder.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    folder.mkdir(mode=0o700)
    with path.open("rb") as zip_file:
        size = os.fstat(zip_file.fileno()).st_size
        taker = _Taker(zip_file.fileno(), folder, caps)
        try:
            outcome = sandbox.run(TASK, wire.Message(TASK, {"size": size}), limits=_LIMITS, answer=taker.answer)
        finally:
            taker.close()
    if outcome.message is None:
        taker.taken.failure = outcome.ending.value
    elif outcome.message.meta.get("failure"):
        taker.taken.failure = "it is damaged, or no zip"
    return taker.taken


@dataclass
class _Taker:
    """Answers the worker: gives it pieces of the zip, decides about each member, writes what it sends."""

    zip_descriptor: int
    folder: Path
    caps: ExportCaps
    taken: Taken = field(default_factory=Taken)
    _file: int | None = None
    _name: str = ""
    _written: int = 0
    _total: int = 0

    def answer(self, message: wire.Message) -> wire.Message:
        """Answer one request; the worker read student bytes, so nothing in it is believed."""
        what = message.meta.get("what")
        if what == "read":
            return self._read(message.meta.get("offset"), message.meta.get("length"))
        if what == "member":
            return self._yes_or_no(self._begin(message.meta.get("name"), message.meta.get("mode")))
        if what == "data":
            return self._yes_or_no(self._write(message.arrays.get("data")))
        if what == "left-out":
            self._leave_out("is password-protected or damaged")
        self.close()
        return self._yes_or_no(True)

    def close(self) -> None:
        """End the file that is being written."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _read(self, offset: object, length: object) -> wire.Message:
        if type(offset) is not int or type(length) is not int or offset < 0 or not 0 <= length <= 2 * _CHUNK_BYTES:
            raise wire.WireError("a piece of the zip that there is not")
        data = os.pread(self.zip_descriptor, length, offset)
        return wire.Message("piece", {}, {"data": np.frombuffer(data, np.uint8)})

    def _yes_or_no(self, goes_on: bool) -> wire.Message:
        return wire.Message("decision", {"take": goes_on})

    def _begin(self, name: object, mode: object) -> bool:
        """Open the file for a member, if it is one of interest with a safe name."""
        self.close()
        if type(name) is not str or type(mode) is not int:
            raise wire.WireError("a member without a name")
        self._name = name
        if not _is_wanted(name):
            return False
        pieces = safe_pieces(name, depth=self.caps.depth)
        if pieces is None or stat.S_IFMT(mode) not in (0, stat.S_IFREG):
            return self._leave_out("is a link, or its path is too long, too deep or leads out of its folder")
        if self.taken.files >= self.caps.files:
            return self._leave_out(f"is one of more than {self.caps.files} files")
        path = self.folder.joinpath(*pieces)
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except OSError:
            return self._leave_out("has the name of another file or folder, or one that this disk cannot hold")
        self._written = 0
        self.taken.files += 1
        return True

    def _write(self, data: np.ndarray[tuple[int, ...], np.dtype[np.uint8]] | None) -> bool:
        if data is None or data.dtype != np.uint8 or self._file is None:
            raise wire.WireError("bytes of no file")
        self._written += data.size
        self._total += data.size
        if self._written > self.caps.file_bytes or self._total > self.caps.total_bytes:
            return self._leave_out("was cut short: unpacked it is larger than any homework is")
        try:
            view = np.ascontiguousarray(data).data.cast("B")
            while view:
                view = view[os.write(self._file, view) :]
        except OSError as error:
            raise StaffError(
                happened=f"Files cannot be written to {self.folder} ({error.strerror}).",
                try_next="Make room there, or name another folder with --out.",
            ) from error
        return True

    def _leave_out(self, reason: str) -> bool:
        if len(self.taken.notes) < 1000:
            self.taken.notes.append((self._name[:1000], f"{quoted(self._name)} {reason}."))
        return False


def safe_pieces(name: str, *, depth: int) -> list[str] | None:
    """Return a member's path in pieces, or None if it may lead elsewhere or cannot be a path."""
    pieces = [piece for piece in name.split("/") if piece not in ("", ".")]
    try:
        fits = all(len(piece.encode()) <= 255 for piece in pieces) and len(name.encode()) <= 1000
    except UnicodeEncodeError:
        return None
    if name.startswith(("/", "\\")) or ".." in pieces or "\0" in name or not fits:
        return None
    return pieces if 0 < len(pieces) <= depth + 1 else None


def _is_wanted(name: str) -> bool:
    above, _, last = name.rpartition("/")
    is_metadata = last == METADATA_FILE and "/" not in above and not above.startswith("submission_")
    return not name.endswith("/") and not is_junk(name) and (is_metadata or suffix_of(name) in _INTERESTING)


def read_zip(request: wire.Message, connection: socket.socket) -> wire.Message:
    """Read a zip by asking for its pieces, and send its files home as far as they are wanted (worker side)."""
    home = _Home(connection)
    try:
        source = io.BufferedReader(_RemoteFile(home, int(request.meta["size"])), _CHUNK_BYTES)
        with zipfile.ZipFile(source) as archive:
            for member in archive.infolist():
                if home.asks("member", name=member.filename, mode=member.external_attr >> 16):
                    _send_member(archive, member, home)
    except _DAMAGE as error:
        return wire.Message("unpacked", {"failure": type(error).__name__})
    return wire.Message("unpacked", {"failure": ""})


def _send_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, home: _Home) -> None:
    try:
        with archive.open(member) as content:
            while chunk := content.read(_CHUNK_BYTES):
                if not home.asks("data", data=chunk):
                    break
    except _DAMAGE:  # also a password
        home.asks("left-out")
        return
    home.asks("end")


class _Home:
    """The trusted side, as the worker sees it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def call(self, meta: dict[str, object], data: bytes | None = None) -> wire.Message:
        arrays = {} if data is None else {"data": np.frombuffer(data, np.uint8)}
        wire.send(self._connection, wire.Message("request", meta, arrays))
        return wire.receive(self._connection, wire.TRUSTING)

    def asks(self, what: str, *, data: bytes | None = None, **meta: object) -> bool:
        return bool(self.call({"what": what, **meta}, data).meta["take"])


class _RemoteFile(io.RawIOBase):
    """The zip, in pieces that the trusted side reads for us."""

    def __init__(self, home: _Home, size: int) -> None:
        super().__init__()
        self._home = home
        self._size = size
        self._position = 0

    def readable(self) -> bool:
        """Return True."""
        return True

    def seekable(self) -> bool:
        """Return True."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Move to `offset` from the start, from here or from the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        if base + offset < 0:
            raise ValueError("a position before the start")
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the position."""
        return self._position

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]  # typeshed's type is not importable
        """Fetch as much as fits into `buffer`, a chunk at most."""
        length = min(len(buffer), _CHUNK_BYTES, max(0, self._size - self._position))
        if not length:
            return 0
        data = self._home.call({"what": "read", "offset": self._position, "length": length}).arrays["data"]
        buffer[: data.size] = data.data
        self._position += int(data.size)
        return int(data.size)
