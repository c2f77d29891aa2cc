"""Taking an export apart: hostile names, links, bombs and liars."""

from __future__ import annotations

import io
import stat
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from grader import wire
from grader.fleet.unpack import TASK, ExportCaps, Taken, _Taker, _unpack, read_zip, unpacker
from grader.sandbox.host import Sandbox

Unpack = Callable[[Path, Path], Taken]


@pytest.fixture(scope="module")
def unpack() -> Iterator[Unpack]:
    """Start the sandbox that reads zips."""
    with unpacker() as function:
        yield function


def write_zip(path: Path, members: dict[str, bytes], **modes: int) -> Path:
    """Write a zip; `modes` are Unix file types by a member's name."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            entry = zipfile.ZipInfo(name)
            entry.compress_type = zipfile.ZIP_DEFLATED
            entry.external_attr = (modes.get(name, stat.S_IFREG) | 0o777) << 16
            archive.writestr(entry, data)
    return path


def files_in(folder: Path) -> dict[str, bytes]:
    """Return the files below a folder."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_what_grading_looks_at_comes_out_and_nothing_else(unpack: Unpack, tmp_path: Path) -> None:
    """Code, saved tensors, zips and the list are written privately; clutter, data sets and hostile members are not."""
    members = {
        "export/submission_metadata.yml": b"{}",
        "export/submission_1/MAE.ipynb": b"notebook",
        "export/submission_1/data/cifar.bin": b"much",
        "export/submission_1/__MACOSX/._MAE.ipynb": b"clutter",
        "export/submission_1/submission_metadata.yml": b"forged",
        "export/submission_2/../../evil.py": b"evil",
        "/absolute.py": b"evil",
        "export/submission_2/link.py": b"/etc/passwd",
        "export/submission_2/pipe.py": b"",
        "export/submission_3/a.py": b"first",
        "export/submission_3/a.py/b.py": b"inside a file",
    }
    path = write_zip(
        tmp_path / "e.zip",
        members,
        **{"export/submission_2/link.py": stat.S_IFLNK, "export/submission_2/pipe.py": stat.S_IFIFO},
    )

    taken = unpack(path, tmp_path / "out" / "files")

    assert taken.failure == ""
    assert files_in(tmp_path / "out" / "files") == {
        "export/submission_metadata.yml": b"{}",
        "export/submission_1/MAE.ipynb": b"notebook",
        "export/submission_3/a.py": b"first",
    }
    assert [name for name, _ in taken.notes] == [
        "export/submission_2/../../evil.py",
        "/absolute.py",
        "export/submission_2/link.py",
        "export/submission_2/pipe.py",
        "export/submission_3/a.py/b.py",
    ]
    assert {path.name for path in tmp_path.iterdir()} == {"e.zip", "out"}
    modes = [stat.S_IMODE(path.lstat().st_mode) for path in (tmp_path / "out" / "files").rglob("*")]
    assert all(mode in (0o600, 0o700) for mode in modes)


def test_of_two_members_with_one_name_the_last_counts(unpack: Unpack, tmp_path: Path) -> None:
    """A zip that was updated is read as every program unpacks it, and as a submission's own zip is."""
    path = tmp_path / "twice.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.py", b"first")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.py", b"second")

    taken = unpack(path, tmp_path / "out")

    assert files_in(tmp_path / "out") == {"a.py": b"second"}
    assert taken.notes == []


@pytest.mark.parametrize("size", [0, 3, 200])
def test_a_zip_that_is_none_says_so(unpack: Unpack, tmp_path: Path, size: int) -> None:
    """Empty, cut short or no zip at all: a failure in words, and no exception."""
    whole = write_zip(tmp_path / "whole.zip", {"a.py": b"x" * 1000}).read_bytes()
    (tmp_path / "cut.zip").write_bytes(whole[:size].ljust(size, b"?"))

    assert unpack(tmp_path / "cut.zip", tmp_path / "out").failure == ("it is damaged, or no zip" if size < 200 else "")


def test_bytes_that_are_damaged_inside_leave_the_others_whole(unpack: Unpack, tmp_path: Path) -> None:
    """One member that does not unpack is left out with a note; the next one is there."""
    path = write_zip(tmp_path / "e.zip", {"a.py": bytes(range(256)) * 40, "b.py": b"fine"})
    data = bytearray(path.read_bytes())
    data[60:80] = b"\xff" * 20
    path.write_bytes(bytes(data))

    taken = unpack(path, tmp_path / "out")

    assert files_in(tmp_path / "out")["b.py"] == b"fine"
    assert [name for name, _ in taken.notes] == ["a.py"]


def test_a_bomb_is_cut_short(tmp_path: Path) -> None:
    """However well it compresses, no more than the caps is written, for one file and for all together."""
    path = write_zip(tmp_path / "bomb.zip", {"a.py": bytes(5 << 20), "b.py": bytes(5 << 20), "c.py": b"late"})
    caps = ExportCaps(file_bytes=4 << 20, total_bytes=6 << 20)

    with Sandbox({TASK: read_zip}) as sandbox:
        taken = _unpack(sandbox, path, tmp_path / "out", caps)

    assert sum(len(data) for data in files_in(tmp_path / "out").values()) <= 6 << 20
    assert [name for name, _ in taken.notes][:2] == ["a.py", "b.py"]


def test_a_large_zip_is_read_in_pieces(unpack: Unpack, tmp_path: Path) -> None:
    """Content over many pieces comes out as it went in."""
    data = np.random.default_rng(1).integers(0, 256, 5 << 20, dtype=np.uint8).tobytes()
    path = write_zip(tmp_path / "large.zip", {"first.py": b"1", "model.pt": data, "last.py": b"2"})

    assert unpack(path, tmp_path / "out").failure == ""
    assert files_in(tmp_path / "out") == {"first.py": b"1", "model.pt": data, "last.py": b"2"}


@pytest.mark.parametrize(
    "meta",
    [
        {"what": "read", "offset": -1, "length": 10},
        {"what": "read", "offset": 0, "length": 1 << 40},
        {"what": "read", "offset": "0", "length": 1},
        {"what": "member", "name": 7},
        {"what": "left-out", "name": None},
        {"what": "data"},
    ],
)
def test_nothing_that_the_worker_says_is_believed(tmp_path: Path, meta: dict[str, object]) -> None:
    """A worker that was taken over gets no piece that there is not, and writes no bytes to no file."""
    with (tmp_path / "z").open("w+b") as file:
        taker = _Taker(file.fileno(), tmp_path, ExportCaps())

        with pytest.raises(wire.WireError):
            taker.answer(wire.Message("request", meta))


def test_bytes_before_a_member_are_no_file(tmp_path: Path) -> None:
    """Data without a file that was agreed on is refused."""
    with (tmp_path / "z").open("w+b") as file:
        taker = _Taker(file.fileno(), tmp_path, ExportCaps())

        with pytest.raises(wire.WireError):
            taker.answer(wire.Message("request", {"what": "data"}, {"data": np.zeros(3, np.uint8)}))


def test_a_password_is_a_note(unpack: Unpack, tmp_path: Path) -> None:
    """A member that needs a password is left out and named."""
    data = bytearray(write_zip(tmp_path / "e.zip", {"a.py": b"secret", "b.py": b"open"}).read_bytes())
    data[6] |= 1  # the flag, in the member's own header
    start = data.index(b"PK\x01\x02")
    data[start + 8] |= 1
    (tmp_path / "e.zip").write_bytes(io.BytesIO(data).getvalue())

    taken = unpack(tmp_path / "e.zip", tmp_path / "out")

    assert files_in(tmp_path / "out").get("b.py") == b"open"
    assert [name for name, _ in taken.notes] == ["a.py"]


def test_what_students_pack_in_their_own_ways_comes_out(unpack: Unpack, tmp_path: Path) -> None:
    """Colons, backslashes, spaces after a suffix and notebooks under other names are ordinary files."""
    members = {
        "submission_1/HW 11:22/MAE.ipynb": b"colon",
        "submission_1\\hw\\utils.py": b"backslash",
        "submission_1/part0.ipynb ": b"space",
        "submission_1/copy of a notebook": b'{"cells": []}',
        "submission_1/essay.txt": b"words",
        "submission_1/photo.png": b"image",
        "/".join("abcdefghijklmnop") + "/deep.py": b"deep",
    }

    taken = unpack(write_zip(tmp_path / "e.zip", members), tmp_path / "out")

    assert files_in(tmp_path / "out") == {
        "submission_1/HW 11:22/MAE.ipynb": b"colon",
        "submission_1/hw/utils.py": b"backslash",
        "submission_1/part0.ipynb": b"space",
        "submission_1/copy of a notebook": b'{"cells": []}',
        "/".join("abcdefghijklmnop") + "/deep.py": b"deep",
    }
    assert taken.notes == []


def test_a_reason_of_the_worker_is_one_line_of_text(tmp_path: Path) -> None:
    """A worker that was taken over cannot write a second line into what staff read."""
    with (tmp_path / "z").open("w+b") as file:
        taker = _Taker(file.fileno(), tmp_path, ExportCaps())

        taker.answer(wire.Message("request", {"what": "left-out", "name": "a.py", "why": "is\n'b.py'\tforged"}))

    assert taker.taken.notes == [("a.py", "`a.py` is\\u000a'b.py'\\u0009forged.")]
