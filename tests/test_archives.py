"""The one reader of archives: which paths it takes, what it refuses, and that it says why."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import stat
import struct
import tarfile
import zipfile
from collections.abc import Mapping

import pytest

from grader.archives import Archive, Member, Refused, Window, fits_on_disk, in_memory, normal_path, open_archive


def zipped(members: Mapping[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> bytes:
    """Return a zip."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def tarred(members: Mapping[str, bytes], mode: str = "w", **kinds: bytes) -> bytes:
    """Return a tar; `kinds` are the types of members that are no files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=mode) as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            if name in kinds:
                info.type, info.linkname, info.size = kinds[name], "/etc/passwd", 0
            archive.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


def opened(data: bytes, *, name: str = "a.zip", most_members: int = 100, most_bytes: int = 2**20) -> Archive:
    """Open an archive."""
    return open_archive(in_memory(data), name, most_members=most_members, most_bytes=most_bytes)


def contents(archive: Archive) -> dict[str, bytes]:
    """Return what can be read, by path."""
    wanted = [member for member in archive.members if not member.problem and not member.is_folder]
    return {member.path: b"".join(chunks) for member, chunks in archive.read(wanted)}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("a/b.py", "a/b.py"),
        ("./a//b.py", "a/b.py"),
        ("a/..b.py", "a/..b.py"),
        ("a\\b.py", "a/b.py"),
        ("HW 11:22/b.py", "HW 11:22/b.py"),
        ("a:b/c.py", "a:b/c.py"),
        ("a /b.py ", "a/b.py"),
        ("a/\u202e.py", "a/\u202e.py"),
        ("/".join("abcdefghijklmnop") + ".py", "/".join("abcdefghijklmnop") + ".py"),
        ("../b.py", None),
        ("a/../../b.py", None),
        ("a/.. /b.py", None),
        ("..\\b.py", None),
        ("/etc/b.py", None),
        ("\\\\host\\b.py", None),
        ("C:/b.py", None),
        ("c:\\b.py", None),
        ("a\0b.py", None),
        ("", None),
        (" ", None),
    ],
)
def test_only_what_leaves_the_root_has_no_path(name: str, path: str | None) -> None:
    """`..`, absolute paths and drive letters are refused; colons, backslashes, spaces and depth are ordinary."""
    assert normal_path(name) == path


@pytest.mark.parametrize(
    ("path", "fits"), [("a/b.py", True), ("x" * 300, False), ("a/" * 501, False), ("\ud800", False)]
)
def test_paths_that_no_disk_takes(path: str, fits: bool) -> None:
    """What is written has names that a file system takes."""
    assert fits_on_disk(path) is fits


MEMBERS = {"hw/a.py": b"x = 1\n" * 100, "b.ipynb": b"{}", "empty.py": b""}


@pytest.mark.parametrize(
    "data",
    [
        zipped(MEMBERS),
        zipped(MEMBERS, zipfile.ZIP_STORED),
        zipped(MEMBERS, zipfile.ZIP_BZIP2),
        zipped(MEMBERS, zipfile.ZIP_LZMA),
        b"#!/bin/sh\necho before\n" + zipped(MEMBERS),
        tarred(MEMBERS),
        tarred(MEMBERS, "w:gz"),
        tarred(MEMBERS, "w:bz2"),
        tarred(MEMBERS, "w:xz"),
    ],
    ids=["deflate", "stored", "bzip2", "lzma", "prefixed", "tar", "gz", "bz2", "xz"],
)
def test_every_archive_gives_the_same_files(data: bytes) -> None:
    """Zips of four methods and tars of four compressions hold the same members."""
    archive = opened(data)

    assert contents(archive) == MEMBERS
    assert [member.size for member in archive.members] == [600, 2, 0]


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress], ids=["gz", "bz2", "xz"])
def test_a_single_compressed_file_is_an_archive_of_one(pack: object) -> None:
    """`MAE_student.ipynb.gz` holds `MAE_student.ipynb`."""
    assert callable(pack)
    assert contents(opened(pack(b"{}"), name="hw/MAE_student.ipynb.gz")) in (
        {"MAE_student.ipynb": b"{}"},
        {"MAE_student.ipynb.gz": b"{}"},
    )


def problem_of(members: list[Member] | tuple[Member, ...]) -> str:
    """Return the one problem among members."""
    (problem,) = {member.problem for member in members if member.problem}
    return problem


@pytest.mark.parametrize("kind", [stat.S_IFLNK, stat.S_IFIFO, stat.S_IFCHR, stat.S_IFBLK, stat.S_IFSOCK])
def test_links_and_devices_in_a_zip_are_named(kind: int) -> None:
    """Neither is read, and the words say what they are."""
    info = zipfile.ZipInfo("link.py")
    info.external_attr = (kind | 0o777) << 16
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(info, "/etc/passwd")

    assert "link or a device" in problem_of(list(opened(buffer.getvalue()).members))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.CHRTYPE])
def test_links_and_devices_in_a_tar_are_named(kind: bytes) -> None:
    """The same for a tar; what lies beside them is read."""
    archive = opened(tarred({"link.py": b"", "a.py": b"1"}, "w:gz", **{"link.py": kind}))

    assert "link or a device" in problem_of(list(archive.members))
    assert contents(archive) == {"a.py": b"1"}


@pytest.mark.parametrize(
    ("method", "words"),
    [(9, "Deflate64"), (93, "Zstandard"), (98, "PPMd"), (77, "method 77"), (99, "password-protected")],
)
def test_a_compression_that_cannot_be_read_is_called_by_its_name(method: int, words: str) -> None:
    """And the words say what to do; it is not called damaged."""
    data = bytearray(zipped({"a.py": b"x" * 100}))
    at = data.index(b"PK\x01\x02") + 10
    data[at : at + 2] = struct.pack("<H", method)

    problem = problem_of(list(opened(bytes(data)).members))

    assert words in problem
    assert "Pack" in problem


def test_of_two_members_with_one_name_the_last_counts() -> None:
    """As when the archive is unpacked."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("a.py", "old")
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("a.py", "new")

    assert contents(opened(buffer.getvalue())) == {"a.py": b"new"}


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_the_cap_of_members_holds_before_they_are_listed(pack: object) -> None:
    """As many as the cap are read, one more is not."""
    assert callable(pack)
    data = pack({f"{number}.py": b"" for number in range(100)})

    assert len(opened(data).members) == 100
    with pytest.raises(Refused, match="more than 99 files"):
        opened(data, most_members=99)


def test_a_bomb_in_a_stream_is_stopped() -> None:
    """A tar that unpacks to more than the cap is not read to its end; an honest one of the cap's size is."""
    data = tarred({"a.py": bytes(2**18)}, "w:gz")

    assert contents(opened(data)) == {"a.py": bytes(2**18)}
    with pytest.raises(Refused, match="more than 0 MiB"):
        opened(data, most_bytes=2**17)
    with pytest.raises(Refused, match="more than 0 MiB"):
        opened(gzip.compress(bytes(2**18)), most_bytes=2**17)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"<html>",
        zipped(MEMBERS)[:200],
        tarred(MEMBERS, "w:gz")[:80],
        b"PK\x05\x06" + bytes(17),
        b"BZh9" + bytes(9),
    ],
    ids=["empty", "page", "cut zip", "cut tar", "header", "bzip2"],
)
def test_what_is_no_whole_archive_says_so(data: bytes) -> None:
    """Damage of any kind is one refusal in words."""
    with pytest.raises(Refused, match="is not a complete archive"):
        opened(data)


def test_damage_inside_costs_one_member() -> None:
    """The ones after it are read."""
    data = bytearray(zipped({"a.py": bytes(range(256)) * 40, "b.py": b"fine"}))
    data[60:80] = b"\xff" * 20
    archive = opened(bytes(data))
    found = {}
    for member, chunks in archive.read(archive.members):
        try:
            found[member.path] = b"".join(chunks)
        except Refused as refused:
            found[member.path] = str(refused).encode()

    assert b"damaged" in found["a.py"]
    assert found["b.py"] == b"fine"


def test_an_empty_zip_is_whole() -> None:
    """It holds nothing, and is not called damaged."""
    assert opened(zipped({})).members == []


@pytest.mark.parametrize("block", [0, 16, 1000])
def test_a_window_reads_as_a_file_does(block: int) -> None:
    """Any order of reading and seeking gives the same bytes, whatever is kept in between."""
    data = bytes(range(256))
    window, file = Window(lambda at, length: data[at : at + length], 256, block=block), io.BytesIO(data)

    for at, whence, length in [(0, 0, 10), (5, 1, 7), (-20, 2, 50), (3, 0, 0), (250, 0, -1), (100, 0, 30), (110, 0, 4)]:
        assert window.seek(at, whence) == file.seek(at, whence)
        assert window.read(length) == file.read(length)
        assert window.tell() == file.tell()
    with pytest.raises(OSError, match="before the start"):
        window.seek(-1)
