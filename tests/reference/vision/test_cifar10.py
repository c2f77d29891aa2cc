"""CIFAR-10 as a site may have it: tiny archives in both of its formats, and archives that are none of them."""

from __future__ import annotations

import hashlib
import io
import pickle
import subprocess
import sys
import tarfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reference.vision import cifar10
from reference.vision.cifar10 import BINARY, PYTHON, NotCifar10, Version, read, unpack

ROOT = Path(__file__).parents[3]
BATCHES = ("data_batch_1", "data_batch_2", "data_batch_3", "data_batch_4", "data_batch_5", "test_batch")
IMAGES = 4


def pixels(batch: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """Return the images of a batch."""
    return np.random.default_rng(batch).integers(0, 256, (IMAGES, 3072), dtype=np.uint8)


def labels(batch: int) -> list[int]:
    """Return the labels of a batch."""
    return [(batch + index) % 10 for index in range(IMAGES)]


def binary_batch(batch: int) -> bytes:
    """Return a batch of the binary version."""
    return np.column_stack([np.array(labels(batch), dtype=np.uint8), pixels(batch)]).tobytes()


def python_batch(batch: int) -> bytes:
    """Return a batch of the python version."""
    return pickle.dumps({"data": pixels(batch), "labels": labels(batch), "batch_label": "x"}, protocol=2)


def pack(path: Path, members: dict[str, bytes], links: dict[str, str] | None = None) -> Path:
    """Write a tar.gz with files and links."""
    with tarfile.open(path, "w:gz") as archive:
        for name, data in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
        for name, target in (links or {}).items():
            member = tarfile.TarInfo(name)
            member.type, member.linkname = tarfile.SYMTYPE, target
            archive.addfile(member)
    return path


def tiny(path: Path, version: Version) -> Path:
    """Write a tiny archive of a version."""
    make = binary_batch if version.suffix else python_batch
    members = {f"{version.folder}/{name}{version.suffix}": make(index) for index, name in enumerate(BATCHES)}
    return pack(path, members)


def known(version: Version, archive: Path) -> tuple[Version, ...]:
    """Return the version as if its authors had published this archive."""
    data = archive.read_bytes()
    md5 = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return (replace(version, md5=md5, sha256=hashlib.sha256(data).hexdigest()),)


@pytest.mark.parametrize("version", [BINARY, PYTHON], ids=["binary", "python"])
def test_both_versions_give_the_same_images(version: Version, tmp_path: Path) -> None:
    """Images are (M, 3, 32, 32) bytes, labels 0 to 9; the test half is another file than the five to train on."""
    archive = tiny(tmp_path / "a.tar.gz", version)

    unpack(archive, tmp_path / "data", versions=known(version, archive))

    images, found = read(tmp_path / "data", train=False)
    assert images.shape == (IMAGES, 3, 32, 32)
    np.testing.assert_array_equal(images.reshape(IMAGES, -1), pixels(5))
    assert found.tolist() == labels(5)
    images, found = read(tmp_path / "data", train=True)
    np.testing.assert_array_equal(images.reshape(5 * IMAGES, -1), np.concatenate([pixels(n) for n in range(5)]))
    assert found.tolist() == [label for batch in range(5) for label in labels(batch)]


def test_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    """Nothing is unpacked from an archive that its authors did not publish, even if only one checksum is off."""
    archive = tiny(tmp_path / "a.tar.gz", PYTHON)
    (right,) = known(PYTHON, archive)

    for wrong in (cifar10.VERSIONS, (replace(right, md5="0" * 32),), (replace(right, sha256="0" * 64),)):
        with pytest.raises(NotCifar10, match="checksum"):
            unpack(archive, tmp_path / "data", versions=wrong)
    assert not (tmp_path / "data").exists()


def test_nothing_but_batches_is_taken_out(tmp_path: Path) -> None:
    """Links, other names and paths that lead elsewhere stay in the archive."""
    members = {f"{BINARY.folder}/{name}.bin": binary_batch(index) for index, name in enumerate(BATCHES)}
    members |= {"../outside": b"x", f"{BINARY.folder}/../../outside": b"x", f"{BINARY.folder}/run.sh": b"x"}
    archive = pack(tmp_path / "a.tar.gz", members, {f"{BINARY.folder}/link": "/etc/passwd"})

    unpack(archive, tmp_path / "data", versions=known(BINARY, archive))

    files = {path.name for path in (tmp_path / "data").rglob("*") if path.is_file()}
    assert files == {*(f"{name}.bin" for name in BATCHES), ".complete"}
    assert not (tmp_path / "outside").exists()


def test_a_link_in_the_place_of_a_batch_is_not_followed(tmp_path: Path) -> None:
    """A batch that is a link counts as missing."""
    members = {f"{BINARY.folder}/{name}.bin": binary_batch(index) for index, name in enumerate(BATCHES[:-1])}
    archive = pack(tmp_path / "a.tar.gz", members, {f"{BINARY.folder}/test_batch.bin": "/etc/passwd"})

    with pytest.raises(NotCifar10, match=r"has no test_batch\.bin"):
        unpack(archive, tmp_path / "data", versions=known(BINARY, archive))


class _Bomb:
    def __reduce__(self) -> tuple[Any, ...]:
        return (exec, ("open('executed', 'w')",))


@pytest.mark.parametrize(
    "content",
    [
        pickle.dumps({"data": _Bomb(), "labels": [1]}),
        b"cposix\nsystem\n(S'touch executed'\ntR.",
        b"cnumpy.testing\nassert_equal\n.",
        b"cnumpy\nload\n.",
        pickle.dumps([1]),
        pickle.dumps({"data": np.zeros((1, 3072)), "labels": [1]}),
        pickle.dumps({"data": np.zeros((1, 3072), np.uint8), "labels": [10]}),
        pickle.dumps({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}),
        b"",
        b"\x80",
    ],
)
def test_pickles_build_arrays_and_nothing_else(content: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading a batch runs nothing that it names; what is no batch is refused."""
    monkeypatch.chdir(tmp_path)
    members = {f"{PYTHON.folder}/{name}": content for name in BATCHES}
    archive = pack(tmp_path / "a.tar.gz", members)
    unpack(archive, tmp_path / "data", versions=known(PYTHON, archive))

    with pytest.raises(NotCifar10):
        read(tmp_path / "data", train=False)
    assert not (tmp_path / "executed").exists()


def test_a_damaged_binary_batch_is_refused(tmp_path: Path) -> None:
    """Half an image, or a label that is none."""
    for content in (binary_batch(0)[:-1], b"\x0a" + bytes(3072), b""):
        members = {f"{BINARY.folder}/{name}.bin": content for name in BATCHES}
        archive = pack(tmp_path / "a.tar.gz", members)
        unpack(archive, tmp_path / "data", versions=known(BINARY, archive))
        with pytest.raises(NotCifar10):
            read(tmp_path / "data", train=False)


def test_where_there_is_nothing_it_says_so(tmp_path: Path) -> None:
    """The folder is named."""
    with pytest.raises(NotCifar10, match="There is no CIFAR-10 in"):
        read(tmp_path, train=False)


def test_setup_runs_it_as_a_program(tmp_path: Path) -> None:
    """Alone, isolated, from a path or a URL; an error is one sentence and an exit status."""
    archive = tiny(tmp_path / "a.tar.gz", BINARY)
    program = [sys.executable, "-I", "-B", str(ROOT / "reference" / "vision" / "cifar10.py")]

    for source in (str(archive), archive.as_uri(), str(tmp_path / "absent")):
        done = subprocess.run([*program, source, str(tmp_path / "data")], capture_output=True, text=True)
        assert done.returncode == 1
        assert done.stderr.startswith("CIFAR-10 could not be set up: ")
        assert len(done.stderr.splitlines()) == 1
    assert list((tmp_path / "data").iterdir()) == []
