"""Zips of every kind, both sides of every cap."""

from __future__ import annotations

import io
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import replace

import pytest

from grader.intake.caps import Caps
from grader.intake.unpack import Unpacked, unpack

Zipped = Callable[[Mapping[str, bytes]], bytes]
SMALL = Caps(
    entries=10,
    depth=3,
    file_bytes=5000,
    total_bytes=8000,
    archive_bytes=20_000,
    archives=3,
    ratio_floor_bytes=3000,
)


def opened(data: bytes, caps: Caps = SMALL, name: str = "hw.zip") -> Unpacked:
    """Return what comes out of a zip."""
    into = Unpacked()
    unpack(name, memoryview(data), into, caps=caps)
    return into


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

    assert result.files == {"hw/a.ipynb": b"1", "hw/b.py": b"2", "c.pt": b"3"}
    assert result.notes == []


@pytest.mark.parametrize(
    ("name", "is_taken"),
    [
        ("a.py", True),
        ("./a.py", True),
        ("hw\\a.py", True),
        ("1/2/3/a.py", True),
        ("1/2/3/4/a.py", False),
        ("../a.py", False),
        ("x/../../a.py", False),
        ("/etc/a.py", False),
        ("C:/a.py", False),
    ],
)
def test_only_safe_paths_are_taken(name: str, is_taken: bool, zipped: Zipped) -> None:
    """A path that leads out of the zip or too deep is left out with a note; backslashes count as slashes."""
    result = opened(zipped({name: b"x = 1"}))

    assert (len(result.files) == 1) is is_taken
    assert (not result.notes) is is_taken
    assert all(".." not in path and not path.startswith("/") and "\\" not in path for path in result.files)


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

    assert set(result.files) == {"fine.py"}
    assert "`link.py`" in result.notes[0].text


@pytest.mark.parametrize(("size", "is_taken"), [(5000, True), (5001, False)])
def test_cap_of_one_file(size: int, is_taken: bool, zipped: Zipped) -> None:
    """A file of the cap's size is taken, one byte more is not, and the others are not affected."""
    result = opened(zipped({"a.py": noise(size), "b.py": b"x"}))

    assert ("a.py" in result.files) is is_taken
    assert "b.py" in result.files


@pytest.mark.parametrize(("size", "is_taken"), [(4000, True), (4001, False)])
def test_cap_of_all_files(size: int, is_taken: bool, zipped: Zipped) -> None:
    """All files together may fill the cap and no more."""
    result = opened(zipped({"a.py": noise(4000), "b.py": noise(size)}))

    assert ("b.py" in result.files) is is_taken
    assert "a.py" in result.files


@pytest.mark.parametrize(("count", "is_taken"), [(10, True), (11, False)])
def test_cap_of_members(count: int, is_taken: bool, zipped: Zipped) -> None:
    """A zip with more members than the cap is not opened."""
    result = opened(zipped({f"{i}.py": b"x" for i in range(count)}))

    assert bool(result.files) is is_taken
    assert is_taken or "more than 10 files" in result.notes[0].text


@pytest.mark.parametrize(("size", "is_taken"), [(3000, True), (4900, False)])
def test_cap_of_the_ratio(size: int, is_taken: bool, zipped: Zipped) -> None:
    """A member that grows beyond the ratio is dropped, but small ones may compress as they like."""
    result = opened(zipped({"a.py": b"\n" * size}), replace(SMALL, ratio=10))

    assert ("a.py" in result.files) is is_taken


def test_cap_of_a_zip(zipped: Zipped) -> None:
    """A zip larger than the cap is not opened."""
    data = zipped({"data": noise(19_000), "a.py": b"x"})

    assert opened(data, replace(SMALL, archive_bytes=len(data))).files
    assert not opened(data, replace(SMALL, archive_bytes=len(data) - 1)).files


def test_one_level_of_zip_in_zip(zipped: Zipped) -> None:
    """A zip in a zip is opened, the next level is not, and a note says so."""
    innermost = zipped({"deep.py": b"x"})
    inner = zipped({"inner.py": b"x", "innermost.zip": innermost})

    result = opened(zipped({"outer.py": b"x", "folder/inner.zip": inner}))

    assert set(result.files) == {"outer.py", "folder/inner.py"}
    assert "zip in a zip in a zip" in result.notes[0].text


def test_cap_of_zips(zipped: Zipped) -> None:
    """Only so many zips are opened, nested ones counted."""
    result = opened(zipped({f"{i}.zip": zipped({f"{i}.py": b"x"}) for i in range(3)}))

    assert set(result.files) == {"0.py", "1.py"}
    assert "at most 3 zips" in result.notes[0].text


def test_nested_bomb_is_held_by_the_same_caps(zipped: Zipped) -> None:
    """The bytes of nested zips count together."""
    bombs = {f"{i}.zip": zipped({f"{i}.py": noise(4500)}) for i in range(2)}

    result = opened(zipped(bombs))

    assert result.total_bytes <= SMALL.total_bytes
    assert len(result.files) == 1


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
