"""Opening what was handed in: which files, how many bytes, and nothing that is not a regular file."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from grader.errors import StaffError
from grader.intake.caps import DEFAULT_CAPS
from grader.intake.collect import collect
from homework.homework import HOMEWORK


def write(root: Path, files: Mapping[str, bytes]) -> Path:
    """Write files below a folder and return it."""
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return root


def test_a_folder_gives_its_files_of_interest(tmp_path: Path) -> None:
    """Notebooks, modules, tensors and zips at any depth are mapped; caches and data are not looked at."""
    write(
        tmp_path,
        {"a.ipynb": b"1", "d/b.py": b"22", "d/e/c.PT": b"3", "x.zip": b"PK", "data.bin": b"0", "e.py": b""}
        | {"__pycache__/f.py": b"0", ".ipynb_checkpoints/a.ipynb": b"0", "._a.ipynb": b"0"},
    )

    found = collect(tmp_path, handed_out=HOMEWORK.files)

    assert {name: data.tobytes() for name, data in found.files.items()} == {
        "a.ipynb": b"1", "d/b.py": b"22", "d/e/c.PT": b"3", "e.py": b"", "x.zip": b"PK"
    }  # fmt: skip
    assert all(data.dtype == np.uint8 and data.ndim == 1 for data in found.files.values())
    assert found.notes == ()


@pytest.mark.parametrize(("name", "key"), [("hw.zip", "hw.zip"), ("a.ipynb", "a.ipynb"), ("upload", "upload.zip")])
def test_a_single_file_is_a_submission(
    tmp_path: Path, name: str, key: str, zipped: Callable[[Mapping[str, bytes]], bytes]
) -> None:
    """A zip, a notebook, and a zip without its suffix are taken as they are."""
    write(tmp_path, {name: zipped({"a.py": b"x"})})

    assert set(collect(tmp_path / name, handed_out=HOMEWORK.files).files) == {key}


def test_a_missing_path_is_the_staffs_error(tmp_path: Path) -> None:
    """A path that does not exist, or a file of another kind, is the caller's mistake."""
    write(tmp_path, {"a.txt": b"x"})

    with pytest.raises(StaffError, match=r"could not be opened: No such file"):
        collect(tmp_path / "nothing", handed_out=HOMEWORK.files)
    with pytest.raises(StaffError, match="neither a zip nor a notebook"):
        collect(tmp_path / "a.txt", handed_out=HOMEWORK.files)


def test_an_empty_folder_is_an_empty_submission(tmp_path: Path) -> None:
    """Nothing handed in is a submission too, with a note."""
    found = collect(tmp_path, handed_out=HOMEWORK.files)

    assert not found.files
    assert [note.kind for note in found.notes] == ["empty"]


def test_links_are_not_followed(tmp_path: Path) -> None:
    """Links to files and folders are left out, with a note where they pose as code."""
    secret = write(tmp_path / "outside", {"secret.py": b"secret"})
    inside = write(tmp_path / "inside", {"a.py": b"x"})
    (inside / "b.py").symlink_to(secret / "secret.py")
    (inside / "folder").symlink_to(secret)
    (inside / "loop").symlink_to(inside)

    found = collect(inside, handed_out=HOMEWORK.files)

    assert set(found.files) == {"a.py"}
    assert ["`b.py`" in note.text for note in found.notes] == [True]


def test_pipes_and_sockets_do_not_block(tmp_path: Path) -> None:
    """A pipe or a socket named like a notebook is left out without being opened for reading."""
    os.mkfifo(tmp_path / "a.ipynb")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.path.relpath(tmp_path / "b.py"))

        found = collect(tmp_path, handed_out=HOMEWORK.files)

    assert not found.files
    assert [note.kind for note in found.notes] == ["left-out", "left-out"]


@pytest.mark.parametrize(("size", "is_taken"), [(100, True), (101, False)])
@pytest.mark.parametrize(
    ("name", "cap"), [("a.py", "file_bytes"), ("a.zip", "archive_bytes"), ("a.pt", "collected_bytes")]
)
def test_caps_of_bytes(tmp_path: Path, name: str, cap: str, size: int, is_taken: bool) -> None:
    """A file of exactly the cap is taken, one byte more leaves a note."""
    write(tmp_path, {name: b"x" * size})

    found = collect(tmp_path, replace(DEFAULT_CAPS, **{cap: 100}), handed_out=HOMEWORK.files)

    assert (name in found.files) is is_taken
    assert bool(found.notes) is not is_taken


def test_code_comes_before_bulk(tmp_path: Path) -> None:
    """Where not everything fits, notebooks are kept and the largest zip goes."""
    write(tmp_path, {"a.zip": b"x" * 90, "b.ipynb": b"x" * 20, "c.pt": b"x" * 30})

    found = collect(tmp_path, replace(DEFAULT_CAPS, collected_bytes=100), handed_out=HOMEWORK.files)

    assert set(found.files) == {"b.ipynb", "c.pt"}
    assert "`a.zip`" in found.notes[0].text


@pytest.mark.parametrize(("count", "is_whole"), [(4, True), (5, False)])
def test_cap_of_entries(tmp_path: Path, count: int, is_whole: bool) -> None:
    """Beyond the cap of entries the walk stops with a note."""
    write(tmp_path, {f"{i}.py": b"x" for i in range(count)})

    found = collect(tmp_path, replace(DEFAULT_CAPS, entries=5), handed_out=HOMEWORK.files)

    assert (len(found.files) == count) is is_whole
    assert bool(found.notes) is not is_whole


def test_depth_costs_nothing(tmp_path: Path) -> None:
    """Nine folders above the notebooks, or thirty, are no reason to leave them out; no honest path is longer."""
    write(tmp_path, {"d/" * 9 + "a.py": b"x", "e/" * 30 + "b.ipynb": b"{}", ("f" * 200 + "/") * 6 + "c.py": b"x"})

    found = collect(tmp_path, handed_out=HOMEWORK.files)

    assert set(found.files) == {"d/" * 9 + "a.py", "e/" * 30 + "b.ipynb"}
    assert ["more than 1,000 characters" in note.text for note in found.notes] == [True]


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("HW 11:22/a.py", "HW 11:22/a.py"),
        ("hw\\a.py", "hw/a.py"),
        ("hw /a.py ", "hw/a.py"),
        ("C:\\a.py", None),
        ("..\\a.py", None),
    ],
)
def test_a_folder_has_the_rules_of_a_zip(tmp_path: Path, name: str, path: str | None) -> None:
    """Names as zip programs leave them when they unpack count as in the zip; what is refused there is refused here."""
    found = collect(write(tmp_path, {name: b"x"}), handed_out=HOMEWORK.files)

    assert list(found.files) == ([] if path is None else [path])
    assert path is not None or "leads out of the zip" in found.notes[0].text


def test_a_file_under_another_name_is_found_by_its_first_bytes(tmp_path: Path) -> None:
    """Notebooks, saved files and archives under any name are taken whole, of a PDF only its beginning."""
    cells = b'{"cells": [{"cell_type": "code"}]}' + b" " * 10_000
    write(
        tmp_path,
        {
            "“MAE_student.ipynb”的副本": cells,
            "part0.ipynb.txt": cells,
            "mae_pretrained.ckpt": b"\x80\x02",
            "model.safetensors": b"\2",
            "hw.tar.gz": b"\x1f\x8b",
            "MAE_student.pdf": b"%PDF-1.5" + bytes(10_000),
            "essay.txt": b"words",
            "labels": b"\0" * 100,
        },
    )

    sizes = {name: data.size for name, data in collect(tmp_path, handed_out=HOMEWORK.files).files.items()}

    assert sizes == {
        "“MAE_student.ipynb”的副本": len(cells),
        "part0.ipynb.txt": len(cells),
        "mae_pretrained.ckpt": 2,
        "model.safetensors": 1,
        "hw.tar.gz": 2,
        "MAE_student.pdf": 4096,
    }


def test_data_sets_are_not_looked_into(tmp_path: Path) -> None:
    """CIFAR-10 in the folder costs nothing, whatever its files are called."""
    write(
        tmp_path, {"data/cifar-10-python.tar.gz": b"\x1f\x8b", "data/data_batch_1": b"{", "data/test_batch.bin": b"{"}
    )

    assert [note.kind for note in collect(tmp_path, handed_out=HOMEWORK.files).notes] == ["empty"]


def test_names_that_are_no_text_can_be_sent(tmp_path: Path) -> None:
    """A file name of arbitrary bytes becomes a name without surrogates."""
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/a\xff.py")).write_bytes(b"x")

    (name,) = collect(tmp_path, handed_out=HOMEWORK.files).files

    assert name.encode() == b"a\\xff.py"


def test_an_archive_of_another_kind_is_taken_along(tmp_path: Path) -> None:
    """The first bytes of a .rar go to the worker, which names it."""
    write(tmp_path, {"hw.rar": b"Rar!\x1a\x07\0"})

    assert list(collect(tmp_path, handed_out=HOMEWORK.files).files) == ["hw.rar"]


def test_only_so_many_files_are_looked_at(tmp_path: Path) -> None:
    """Beyond the cap, files whose names say nothing are left out with a note."""
    write(tmp_path, {f"{number}": b'{"cells": []}' for number in range(5)})

    found = collect(tmp_path, replace(DEFAULT_CAPS, looks=3), handed_out=HOMEWORK.files)

    assert len(found.files) == 3
    assert "2 files whose names do not say" in found.notes[0].text
