"""
CIFAR-10 where a site has it: check the archive, unpack what is expected of it, read images and labels.

Both versions of the archive that its authors publish are taken: the binary one, in which there is nothing to
interpret, and the python one, whose pickles are read by an unpickler that builds arrays, lists and dictionaries and
nothing else. Run as a program by setup.sh: `python cifar10.py PATH_OR_URL FOLDER`.

Source: Krizhevsky 2009, Learning Multiple Layers of Features from Tiny Images, https://www.cs.toronto.edu/~kriz/cifar.html
"""

from __future__ import annotations

import hashlib
import os
import pickle
import shutil
import sys
import tarfile
import tempfile
import urllib.request
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

SIDE = 32
CLASSES = ("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck")
_TRAINING = tuple(f"data_batch_{number}" for number in range(1, 6))
_TEST = ("test_batch",)
_PIXELS = 3 * SIDE * SIDE
_MAX_MEMBER_BYTES = 64 * 2**20  # a batch has 31 MB
_MAX_ARCHIVE_BYTES = 512 * 2**20
_CHUNK_BYTES = 2**20
_DONE = ".complete"

Images = npt.NDArray[np.uint8]
Labels = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Version:
    """
    One way in which the data set is published.

    Args:
        folder: the folder inside the archive.
        suffix: of a batch's file.
        sha256: the archive's checksum, or "" where the authors give none.
        md5: the checksum that the authors publish.
    """

    folder: str
    suffix: str
    sha256: str
    md5: str


BINARY = Version("cifar-10-batches-bin", ".bin", "", "c32a1d4ab5d03f1284b67883e8d87530")
PYTHON = Version(
    "cifar-10-batches-py",
    "",
    "6d958be074577803d12ecdefd02955f39262c83c16fe9348329d7fe0b5c001ce",
    "c58f30108f718f92721af3b95e74349a",
)
VERSIONS = (BINARY, PYTHON)


class NotCifar10(ValueError):
    """What was given is not CIFAR-10 as its authors publish it."""


def unpack(archive: Path, folder: Path, *, versions: tuple[Version, ...] = VERSIONS) -> Path:
    """
    Check an archive by its checksums and take the batches out of it.

    Only regular files with the names of batches are taken, into a folder that appears when it is complete; what else
    an archive may hold, links and paths that lead elsewhere among it, is passed over.

    Args:
        archive: cifar-10-binary.tar.gz or cifar-10-python.tar.gz.
        folder: where the folder of batches goes.
        versions: the archives that are accepted.

    Returns:
        The folder of batches.

    Raises:
        NotCifar10: no checksum fits, or a batch is missing or too large.
    """
    version = _version_of(archive, versions)
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / version.folder
    with tempfile.TemporaryDirectory(dir=folder, ignore_cleanup_errors=True) as unfinished:
        names = {f"{batch}{version.suffix}" for batch in (*_TRAINING, *_TEST)}
        with tarfile.open(archive) as packed:
            for member in packed:
                name = member.name.removeprefix(f"{version.folder}/")
                if name in names and member.isreg():
                    _take(packed, member, Path(unfinished, name))
                    names.discard(name)
        if names:
            raise NotCifar10(f"{archive.name} has no {sorted(names)[0]}.")
        shutil.rmtree(place, ignore_errors=True)
        Path(unfinished, _DONE).touch()
        os.chmod(unfinished, 0o755)  # workers read it under uids of their own
        os.rename(unfinished, place)
    return place


def _version_of(archive: Path, versions: tuple[Version, ...]) -> Version:
    sha256, md5 = hashlib.sha256(), hashlib.md5(usedforsecurity=False)
    with archive.open("rb") as file:
        for chunk in _chunks(file, _MAX_ARCHIVE_BYTES):
            sha256.update(chunk)
            md5.update(chunk)
    for version in versions:
        if md5.hexdigest() == version.md5 and version.sha256 in ("", sha256.hexdigest()):
            return version
    raise NotCifar10(f"{archive.name} has the checksum (md5) {md5.hexdigest()}, which no published archive has.")


def _take(packed: tarfile.TarFile, member: tarfile.TarInfo, place: Path) -> None:
    source = packed.extractfile(member)
    if source is None or member.size > _MAX_MEMBER_BYTES:
        raise NotCifar10(f"{member.name} is no batch of the data set.")
    with place.open("wb") as target:
        for chunk in _chunks(source, _MAX_MEMBER_BYTES):
            target.write(chunk)
    place.chmod(0o644)


def _chunks(file: Any, limit: int) -> Iterator[bytes]:
    taken = 0
    while chunk := file.read(_CHUNK_BYTES):
        taken += len(chunk)
        if taken > limit:
            raise NotCifar10(f"There are more than {limit >> 20} MiB where there should be fewer.")
        yield chunk


def read(folder: Path, *, train: bool) -> tuple[Images, Labels]:
    """
    Return the images and labels of one half of the data set.

    Args:
        folder: what `unpack` was given.
        train: the images to train on, or those to test with.

    Returns:
        (M, 3, 32, 32) uint8 and (M,) int64 from 0 to 9.

    Raises:
        NotCifar10: there is no data set, or a file in it is damaged.
    """
    version = _unpacked(folder)
    if version is None:
        raise NotCifar10(f"There is no CIFAR-10 in {folder}.")
    read_batch = _read_binary if version is BINARY else _read_python
    batches = [
        read_batch(folder / version.folder / f"{name}{version.suffix}") for name in (_TRAINING if train else _TEST)
    ]
    images = np.concatenate([images for images, _ in batches])
    return images.reshape(-1, 3, SIDE, SIDE), np.concatenate([labels for _, labels in batches])


def _unpacked(folder: Path) -> Version | None:
    return next((version for version in VERSIONS if (folder / version.folder / _DONE).exists()), None)


def _read_binary(path: Path) -> tuple[Images, Labels]:
    """Read records of a label and 3072 pixels, a byte each."""
    content = np.fromfile(path, dtype=np.uint8)
    if content.size == 0 or content.size % (1 + _PIXELS):
        raise NotCifar10(f"{path.name} does not hold whole images.")
    records = content.reshape(-1, 1 + _PIXELS)
    return _checked(path, records[:, 1:], records[:, 0].astype(np.int64))


def _read_python(path: Path) -> tuple[Images, Labels]:
    """Read a pickled dictionary with `data` and `labels`."""
    with path.open("rb") as file:
        try:
            content = _ArraysOnly(file).load()
        except (
            pickle.UnpicklingError,
            EOFError,
            AttributeError,
            IndexError,
            TypeError,
            ValueError,
            MemoryError,
        ) as error:
            raise NotCifar10(f"{path.name} is no batch of the data set: {error}") from error
    if not isinstance(content, Mapping) or not {"data", "labels"} <= content.keys():
        raise NotCifar10(f"{path.name} has no images and labels.")
    data, labels = content["data"], content["labels"]
    if type(data) is not np.ndarray or data.dtype != np.uint8 or data.ndim != 2 or data.shape[1] != _PIXELS:
        raise NotCifar10(f"{path.name} does not hold images of {SIDE} × {SIDE} pixels.")
    if not isinstance(labels, list) or not all(type(label) is int for label in labels):
        raise NotCifar10(f"{path.name} does not hold labels.")
    return _checked(path, data, np.array(labels, dtype=np.int64))


def _checked(path: Path, data: Images, labels: Labels) -> tuple[Images, Labels]:
    if len(data) != len(labels) or len(labels) == 0 or labels.min() < 0 or labels.max() >= len(CLASSES):
        raise NotCifar10(f"{path.name} has labels that are none of the ten.")
    return data, labels


class _ArraysOnly(pickle.Unpickler):
    """Builds numpy arrays, lists, dictionaries and plain values; every other name in a pickle is refused."""

    _ADMITTED = frozenset(
        {("_reconstruct", "multiarray"), ("ndarray", "numpy"), ("dtype", "numpy"), ("encode", "_codecs")}
    )

    def __init__(self, file: BinaryIO) -> None:
        super().__init__(file, encoding="latin1")  # written by Python 2, whose text was bytes

    def find_class(self, module: str, name: str) -> Any:
        """Return one of the few harmless builders."""
        home = module.rpartition(".")[2] if module.startswith("numpy") else module
        if (name, home) not in self._ADMITTED:
            raise pickle.UnpicklingError(f"{module}.{name} is not allowed in it")
        return super().find_class(module, name)


def fetch(source: str, folder: Path) -> Path:
    """Return the archive that a path or URL names; one behind a URL is downloaded into the folder first."""
    if "://" not in source:
        return Path(source)
    archive = folder / "archive.tar.gz"
    with urllib.request.urlopen(source, timeout=60) as response, archive.open("wb") as file:
        for chunk in _chunks(response, _MAX_ARCHIVE_BYTES):
            file.write(chunk)
    return archive


def main(source: str, folder: Path) -> str:
    """Fetch, check and unpack; return an error in a sentence, or "" ."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as downloads:
            unpack(fetch(source, Path(downloads)), folder)
    except (OSError, tarfile.TarError, NotCifar10) as error:
        return f"CIFAR-10 could not be set up: {error}"
    return ""


if __name__ == "__main__":
    if said := main(sys.argv[1], Path(sys.argv[2])):
        sys.exit(said)
