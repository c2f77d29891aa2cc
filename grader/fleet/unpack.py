"""
Take an export apart: a worker reads the zip and sends files home, the trusted side names and writes them.

The worker asks for pieces of the zip as it needs them, so its size does not matter; the trusted side never looks
into one. What is written is what grading looks at, and the export's list.
"""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from grader import wire
from grader.archives import DAMAGE, Member, Refused, Window, fits_on_disk, normal_path, open_archive
from grader.errors import StaffError
from grader.fleet.roster import METADATA_FILE
from grader.intake.caps import MIB, is_junk
from grader.intake.kinds import HEAD_BYTES, Kind, kind_by_name, kind_of
from grader.intake.names import quoted, safe_text
from grader.sandbox.host import Sandbox
from grader.sandbox.limits import Limits

TASK = "unpack"
_PIECE_BYTES = MIB
_MOST_MEMBERS = 5_000_000
_MOST_BYTES = 1024**4  # of a compressed tar; each file, and all together, have caps of their own
_LIMITS = Limits(wall_s=3600.0, memory_mib=768)


@dataclass(frozen=True)
class ExportCaps:
    """
    How much of one zip is taken.

    Args:
        file_bytes: one file.
        total_bytes: all files together.
        files: files written.
    """

    file_bytes: int = 256 * MIB
    total_bytes: int = 200 * 1024 * MIB
    files: int = 500_000


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
            return self._yes_or_no(self._begin(message.meta.get("name")))
        if what == "data":
            return self._yes_or_no(self._write(message.arrays.get("data")))
        if what == "left-out":
            self._name_it(message.meta.get("name"))
            self._leave_out(_reason(message.meta.get("why")))
        self.close()
        return self._yes_or_no(True)

    def close(self) -> None:
        """End the file that is being written."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _read(self, offset: object, length: object) -> wire.Message:
        if type(offset) is not int or type(length) is not int or offset < 0 or not 0 <= length <= 2 * _PIECE_BYTES:
            raise wire.WireError("a piece of the zip that there is not")
        data = os.pread(self.zip_descriptor, length, offset)
        return wire.Message("piece", {}, {"data": np.frombuffer(data, np.uint8)})

    def _yes_or_no(self, goes_on: bool) -> wire.Message:
        return wire.Message("decision", {"take": goes_on})

    def _name_it(self, name: object) -> str:
        self.close()
        if type(name) is not str:
            raise wire.WireError("a member without a name")
        self._name = name
        return name

    def _begin(self, name: object) -> bool:
        """Open the file for a member, if it may be of interest and its path stays inside."""
        path_in_zip = normal_path(self._name_it(name))
        if path_in_zip is None or not fits_on_disk(path_in_zip):
            return self._leave_out("has a path that leads out of its folder, or is too long")
        if not _is_wanted(path_in_zip):
            return False
        if self.taken.files >= self.caps.files:
            return self._leave_out(f"is one of more than {self.caps.files} files")
        path = self.folder / path_in_zip
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


def _is_wanted(path: str) -> bool:
    return _may_be_the_list(path) or (not is_junk(path) and kind_by_name(path) is not Kind.OTHER)


def _may_be_the_list(path: str) -> bool:
    """Whether a path is that of the export's own list, at its root or in its one wrapper; never in a submission."""
    above, _, last = path.rpartition("/")
    return last == METADATA_FILE and "/" not in above and not above.startswith("submission_")


def _reason(why: object) -> str:
    """Return the worker's reason for leaving a member out, if it is one in words."""
    return safe_text(why, limit=200).rstrip(".") if type(why) is str and why else "could not be read"


def read_zip(request: wire.Message, connection: socket.socket) -> wire.Message:
    """Read an archive by asking for its pieces, and send its files home as far as they are wanted (worker side)."""
    home = _Home(connection)
    try:
        source = Window(home.piece, int(request.meta["size"]), block=_PIECE_BYTES)
        archive = open_archive(source, "", most_members=_MOST_MEMBERS, most_bytes=_MOST_BYTES)
        wanted = [member for member in archive.members if _is_asked_about(member, home)]
        for member, chunks in archive.read(wanted):
            _send_member(member, chunks, home)
    except (Refused, *DAMAGE) as error:
        return wire.Message("unpacked", {"failure": type(error).__name__})
    return wire.Message("unpacked", {"failure": ""})


def _is_asked_about(member: Member, home: _Home) -> bool:
    """Return whether a member may be of interest; one of those that cannot be read is left out with a note."""
    path = member.path or member.name
    if member.is_folder or not _is_wanted(path):
        return False
    if member.problem:
        home.asks("left-out", name=member.name, why=member.problem)
    return not member.problem


def _send_member(member: Member, chunks: Iterator[bytes], home: _Home) -> None:
    """Send a file home, if its first bytes say that it is of a kind that grading looks at."""
    try:
        first = next(chunks, b"")
        if not _may_be_the_list(member.path) and kind_of(member.path, first[:HEAD_BYTES]) is Kind.OTHER:
            return
        if not home.asks("member", name=member.name):
            return
        goes_on = not first or home.asks("data", data=first)
        while goes_on and (chunk := next(chunks, b"")):
            goes_on = home.asks("data", data=chunk)
    except Refused as refused:
        home.asks("left-out", name=member.name, why=str(refused))
        return
    home.asks("end")


class _Home:
    """The trusted side, as the worker sees it."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def call(self, meta: dict[str, object], data: bytes | None = None) -> wire.Message:
        """Send a request and return the reply."""
        arrays = {} if data is None else {"data": np.frombuffer(data, np.uint8)}
        wire.send(self._connection, wire.Message("request", meta, arrays))
        return wire.receive(self._connection, wire.TRUSTING)

    def asks(self, what: str, *, data: bytes | None = None, **meta: object) -> bool:
        """Tell the trusted side something, and return whether it wants more of it."""
        return bool(self.call({"what": what, **meta}, data).meta["take"])

    def piece(self, offset: int, length: int) -> bytes:
        """Return a piece of the archive, however long."""
        found = []
        for start in range(offset, offset + length, _PIECE_BYTES):
            asked = {"what": "read", "offset": start, "length": min(_PIECE_BYTES, offset + length - start)}
            found.append(self.call(asked).arrays["data"].tobytes())
        return b"".join(found)
