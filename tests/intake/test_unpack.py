"""Zips of every kind, both sides of every cap."""

from __future__ import annotations

import io
import stat
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from grader.intake.caps import Caps
from grader.intake.kinds import Kind
from grader.intake.unpack import Unpacked, unpack
from homework.homework import HOMEWORK

Zipped = Callable[[Mapping[str, bytes]], bytes]
SMALL = Caps(
    entries=10,
    file_bytes=5000,
    total_bytes=8000,
    archive_bytes=20_000,
    archives=3,
)


def opened(data: bytes, caps: Caps = SMALL, name: str = "hw.zip") -> Unpacked:
    """Return what comes out of a zip."""
    return unpack({name: data}, HOMEWORK.files, caps=caps)


def files_of(result: Unpacked) -> dict[str, bytes]:
    """Return what came out, by path inside the zip."""
    return {file.path.removeprefix("hw.zip/"): bytes(file.data) for file in result.files}


def noise(size: int) -> bytes:
    """Return bytes that do not compress."""
    state, out = 1, bytearray()
    while len(out) < size:
        state = (state * 6364136223846793005 + 1442695040888963407) % 2**64
        out += struct.pack("<I", state >> 32)
    return bytes(out[:size])


def test_files_of_interest_come_out(zipped: Zipped) -> None:
    """Notebooks, modules and saved tensors come out with their paths; data, caches and native code do not."""
    members = {
        "hw/a.ipynb": b"1",
        "hw/b.py": b"2",
        "c.pt": b"3",
        "data/data_batch_1": b"4",
        "__MACOSX/hw/._a.ipynb": b"5",
        "hw/.ipynb_checkpoints/a-checkpoint.ipynb": b"6",
        "hw/__pycache__/b.cpython-311.pyc": b"7",
        "hw/native.so": b"8",
    }

    result = opened(zipped(members))

    assert files_of(result) == {"hw/a.ipynb": b"1", "hw/b.py": b"2", "c.pt": b"3"}
    assert result.notes == []


@pytest.mark.parametrize(
    ("name", "is_taken"),
    [
        ("a.py", True),
        ("./a.py", True),
        ("hw\\a.py", True),
        ("HW 11:22/a.py", True),
        ("a.py ", True),
        ("/".join("123456789abcdefgh") + "/a.py", True),
        ("../a.py", False),
        ("x/../../a.py", False),
        ("/etc/a.py", False),
        ("C:/a.py", False),
    ],
)
def test_only_what_leaves_the_zip_is_left_out(name: str, is_taken: bool, zipped: Zipped) -> None:
    """A path that leads out of the zip is left out with a note; everything else that people's tools write is taken."""
    result = opened(zipped({name: b"x = 1"}))

    assert (len(result.files) == 1) is is_taken
    assert (not result.notes) is is_taken
    assert is_taken or "leads out of the zip" in result.notes[0].text
    assert all(file.path.endswith("/a.py") for file in result.files)


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_devices_are_left_out(kind: int) -> None:
    """Members that are not regular files are named in a note and not read."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        info = zipfile.ZipInfo("link.py")
        info.external_attr = (kind | 0o777) << 16
        archive.writestr(info, "/etc/passwd")
        archive.writestr("fine.py", "x = 1")

    result = opened(buffer.getvalue())

    assert set(files_of(result)) == {"fine.py"}
    assert "`link.py`" in result.notes[0].text


@pytest.mark.parametrize(("size", "is_taken"), [(5000, True), (5001, False)])
def test_cap_of_one_file(size: int, is_taken: bool, zipped: Zipped) -> None:
    """A file of the cap's size is taken, one byte more is not, and the others are not affected."""
    result = opened(zipped({"a.py": noise(size), "b.py": b"x"}))

    assert ("a.py" in files_of(result)) is is_taken
    assert "b.py" in files_of(result)
    assert is_taken or "a file may hold 0 MiB" in result.notes[0].text


@pytest.mark.parametrize(("size", "is_taken"), [(4000, True), (4001, False)])
def test_cap_of_all_files(size: int, is_taken: bool, zipped: Zipped) -> None:
    """All files together may fill the cap and no more."""
    result = opened(zipped({"a.py": noise(4000), "b.py": noise(size)}))

    assert ("b.py" in files_of(result)) is is_taken
    assert "a.py" in files_of(result)
    assert is_taken or "all files of archives together may hold 0 MiB" in result.notes[0].text


@pytest.mark.parametrize(("count", "is_taken"), [(10, True), (11, False)])
def test_cap_of_members(count: int, is_taken: bool, zipped: Zipped) -> None:
    """A zip with more members than the cap is not opened."""
    result = opened(zipped({f"{i}.py": b"x" for i in range(count)}))

    assert bool(result.files) is is_taken
    assert is_taken or "more than 10 files" in result.notes[0].text


def test_no_file_is_refused_for_compressing_well(zipped: Zipped) -> None:
    """A warning that is printed 150,000 times compresses 500 to 1 and is honest: only absolute caps count."""
    data = zipped({"MAE_student.ipynb": b'{"cells": []}' + b"UserWarning: nan\n" * 1_000_000})

    (file,) = unpack({"hw.zip": data}, HOMEWORK.files).files

    assert len(file.data) > 200 * len(data)


def test_the_likeliest_files_come_first(zipped: Zipped) -> None:
    """Nine checkpoints and a generated module that come earlier in the zip do not starve what was asked for."""
    bulk = {f"checkpoints/mae_epoch{number}.pt": noise(900) for number in range(9)}
    asked = {"hw/MAE_student.ipynb": b"{}", "hw/mae_pretrained.pt": noise(5000), "hw/autograder.pt": noise(300)}

    result = opened(zipped({**bulk, "a_generated.py": noise(2500), **asked}), replace(SMALL, entries=20))

    assert set(asked) <= set(files_of(result))
    assert "together may hold" in result.notes[0].text


def test_cap_of_a_zip(zipped: Zipped) -> None:
    """A zip larger than the cap is not opened."""
    data = zipped({"data": noise(19_000), "a.py": b"x"})

    assert opened(data, replace(SMALL, archive_bytes=len(data))).files
    assert not opened(data, replace(SMALL, archive_bytes=len(data) - 1)).files


def test_zips_in_zips_are_opened_and_not_without_end(zipped: Zipped) -> None:
    """Four levels are opened, the next one is not, and a note says so."""
    data = zipped({"level5.py": b"x"})
    for level in (4, 3, 2, 1):
        data = zipped({f"level{level}.py": b"x", f"inner{level}.zip": data})

    result = opened(data, replace(SMALL, archives=9, entries=50))

    assert [file.path.rsplit("/", 1)[-1] for file in result.files] == [f"level{level}.py" for level in (1, 2, 3, 4)]
    assert [file.nesting for file in result.files] == [1, 2, 3, 4]
    assert "within 4 other archives" in result.notes[0].text


def test_members_of_a_nested_zip_do_not_replace_outer_ones(zipped: Zipped) -> None:
    """The folder was packed with the zip of last week in it: both copies are there, and told apart."""
    old = zipped({"MAE_student.ipynb": b"old"})

    result = opened(zipped({"MAE_student.ipynb": b"new", "hw4_submission.zip": old}))

    assert files_of(result) == {"MAE_student.ipynb": b"new", "hw4_submission.zip/MAE_student.ipynb": b"old"}


def test_cap_of_zips(zipped: Zipped) -> None:
    """Only so many archives are opened, nested ones counted."""
    result = opened(zipped({f"{i}.zip": zipped({f"{i}.py": b"x"}) for i in range(3)}))

    assert set(files_of(result)) == {"0.zip/0.py", "1.zip/1.py"}
    assert "at most 3 archives" in result.notes[0].text


def test_nested_bomb_is_held_by_the_same_caps(zipped: Zipped) -> None:
    """The bytes of nested zips count together."""
    bombs = {f"{i}.zip": zipped({f"{i}.py": noise(4500)}) for i in range(2)}

    result = opened(zipped(bombs))

    assert result.total_bytes <= SMALL.total_bytes
    assert len(result.files) == 1


@pytest.mark.parametrize(("cap", "count"), [(20_000, 2), (10_000, 1)])
def test_archives_in_archives_have_a_cap_together(cap: int, count: int, zipped: Zipped) -> None:
    """Zips in a zip hold no more in memory than one zip may."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("a.py", b"x" * 4000)
        archive.writestr("data", b"x" * 4000)

    result = opened(zipped({f"{i}.zip": buffer.getvalue() for i in range(2)}), replace(SMALL, archive_bytes=cap))

    assert len(result.files) == count
    assert ("archives within others may hold" in " ".join(note.text for note in result.notes)) is (count == 1)


def test_overlapping_members_are_refused() -> None:
    """A bomb whose central directory names the same bytes twice is not opened."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.py", noise(500))
        twin = zipfile.ZipInfo("b.py")
        twin.header_offset = 0
        twin.CRC, twin.compress_size, twin.file_size = archive.infolist()[0].CRC, 500, 500
        archive.filelist.append(twin)

    result = opened(buffer.getvalue())

    assert not result.files
    assert "overlap" in result.notes[0].text


def test_a_lying_size_is_caught_while_reading(zipped: Zipped) -> None:
    """A member that states a small size and holds more is dropped or cut, never grown beyond the cap."""
    data = bytearray(zipped({"a.py": b"\n" * 100_000}))
    for signature, offset in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        place = data.find(signature) + offset
        data[place : place + 4] = struct.pack("<I", 10)

    result = opened(bytes(data))

    assert result.total_bytes <= SMALL.file_bytes


def test_encrypted_members_are_told(zipped: Zipped) -> None:
    """A password-protected member says so."""
    data = bytearray(zipped({"a.ipynb": b"x"}))
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        data[data.find(signature) + offset] |= 1

    result = opened(bytes(data))

    assert "password-protected" in result.notes[0].text


@pytest.mark.parametrize("damage", ["empty", "html", "truncated", "corrupt", "header only"])
def test_what_is_not_a_whole_zip_is_told(damage: str, zipped: Zipped) -> None:
    """Damage of any kind becomes a note that names the file, never an exception."""
    whole = zipped({"a.py": noise(3000)})
    data = {
        "empty": b"",
        "html": b"<html>sign in</html>",
        "truncated": whole[: len(whole) // 2],
        "corrupt": whole[:100] + noise(500) + whole[600:],
        "header only": b"PK\x05\x06" + b"\0" * 17,
    }[damage]

    result = opened(data)

    assert not result.files
    assert result.notes[0].kind == "archive"
    assert "`" in result.notes[0].text


def test_odd_names_survive(zipped: Zipped) -> None:
    """Names with controls, overrides and 300 characters come out; `a` and `a/b` do not collide."""
    names = ["\u202eypni.py", "x" * 300 + ".py", "a.py", "a.py/b.py", "ünï.py"]

    result = opened(zipped(dict.fromkeys(names, b"x")))

    assert len(result.files) == len(names)


def test_a_tar_in_a_zip_is_opened(zipped: Zipped) -> None:
    """`hw.tar.gz` that somebody put into the zip is read like a zip there."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        info = tarfile.TarInfo("hw/MAE_student.ipynb")
        info.size = 2
        archive.addfile(info, io.BytesIO(b"{}"))

    result = opened(zipped({"hw.tar.gz": buffer.getvalue()}))

    assert files_of(result) == {"hw.tar.gz/hw/MAE_student.ipynb": b"{}"}


def test_content_decides_what_a_member_is(zipped: Zipped) -> None:
    """A notebook, a saved file and a zip under any name are that; a PDF and an essay are not read."""
    cells = b'{"cells": [{"cell_type": "code"}]}'
    torch_zip = zipped({"archive/data.pkl": b"x"})
    members = {
        "“MAE_student.ipynb”的副本": cells,
        "part0.ipynb.txt": cells,
        "part1": cells,
        "part2.json": cells,
        "mae_pretrained": torch_zip,
        "weights.zip": torch_zip,
        "MAE_student.pdf": b"%PDF-1.5",
        "essay.txt": b"words",
        "figure.png": b"\x89PNG",
    }

    result = opened(zipped(members))

    kinds = {file.path.removeprefix("hw.zip/"): file.kind for file in result.files}
    assert kinds == dict.fromkeys(list(members)[:4], Kind.NOTEBOOK) | {
        "mae_pretrained": Kind.SAVED,
        "weights.zip": Kind.SAVED,
    }
    assert result.unread == {"hw.zip/MAE_student.pdf": Kind.PDF}
    assert result.notes == []


def test_only_so_many_files_are_looked_into(zipped: Zipped) -> None:
    """Files whose names say nothing are looked at up to a cap, those with a name that was handed out first."""
    members = {f"data/{number}": b"\0" for number in range(6)} | {"deep/deeper/MAE_student": b'{"cells": []}'}

    result = opened(zipped(members), replace(SMALL, looks=2))

    assert [file.path for file in result.files] == ["hw.zip/deep/deeper/MAE_student"]
    assert "5 files whose names do not say what they are" in result.notes[0].text


def test_jupyters_own_copy_is_the_last_resort(zipped: Zipped) -> None:
    """A checkpoint is not looked at beside its notebook, and read where there is nothing else."""
    checkpoint = {"hw/.ipynb_checkpoints/MAE_student-checkpoint.ipynb": b"{}"}

    assert set(files_of(opened(zipped({**checkpoint, "hw/MAE_student.ipynb": b"{}"})))) == {"hw/MAE_student.ipynb"}
    assert set(files_of(opened(zipped(checkpoint)))) == set(checkpoint)


@pytest.mark.parametrize("method", [9, 93])
def test_a_zip_that_cannot_be_unpacked_says_how_it_was_packed(method: int, zipped: Zipped) -> None:
    """One note names the method and what to do, for all of its files; none is called damaged."""
    data = bytearray(zipped({"MAE_student.ipynb": b"{}", "utils_reg.py": b"x", "plot.png": b"x"}))
    at = -1
    while (at := data.find(b"PK\x01\x02", at + 1)) >= 0:
        data[at + 10 : at + 12] = struct.pack("<H", method)

    (note,) = opened(bytes(data)).notes

    assert "`MAE_student.ipynb` (and 1 more) in `hw.zip` is compressed with" in note.text
    assert "Pack again as an ordinary zip" in note.text
    assert "damaged" not in note.text


def test_an_empty_zip_says_so(zipped: Zipped) -> None:
    """It is not called incomplete."""
    assert "without any file" in opened(zipped({})).notes[0].text
