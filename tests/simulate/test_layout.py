"""The platform's folders: complete, as it makes them, and never over something that is there."""

from __future__ import annotations

import json
import stat
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from grader.errors import StaffError
from grader.simulate import layout as simulated
from grader.simulate.layout import lay_out


def zipped(path: Path, files: Mapping[str, bytes]) -> Path:
    """Write a zip."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, data in files.items():
            archive.writestr(name, data)
    return path


@pytest.fixture
def autograder(tmp_path: Path) -> Path:
    """Return the smallest autograder.zip."""
    return zipped(tmp_path / "autograder.zip", {"setup.sh": b"#!/bin/sh\n", "run_autograder": b"#!/bin/sh\n"})


def test_everything_is_where_the_platform_has_it(tmp_path: Path, autograder: Path) -> None:
    """The zip is the source, its program is at the root, the submission is unpacked, metadata has its fields."""
    submission = zipped(tmp_path / "hw4.zip", {"folder/a.ipynb": b"{}", "b.py": b"x = 1"})

    made = lay_out(tmp_path / "root", autograder, submission)

    assert (made.submission / "folder" / "a.ipynb").read_bytes() == b"{}"
    assert made.program.stat().st_mode & stat.S_IXUSR
    assert (made.source / "setup.sh").stat().st_mode & stat.S_IXUSR
    assert list(made.results.iterdir()) == []
    metadata = json.loads(made.metadata.read_text())
    assert metadata["assignment"]["total_points"] == "100.0"
    assert metadata["users"]
    assert metadata["previous_submissions"] == []


@pytest.mark.parametrize("kind", ["folder", "notebook"])
def test_what_is_no_zip_arrives_as_it_is(tmp_path: Path, autograder: Path, kind: str) -> None:
    """A folder's files and a single file lie in the submission's folder."""
    (tmp_path / "mine").mkdir()
    notebook = tmp_path / "mine" / "MAE_student.ipynb"
    notebook.write_text("{}")

    made = lay_out(tmp_path / "root", autograder, notebook if kind == "notebook" else notebook.parent)

    assert [path.name for path in made.submission.iterdir()] == ["MAE_student.ipynb"]


@pytest.mark.parametrize("there", ["source", "submission", "results", "run_autograder", "submission_metadata.json"])
def test_nothing_is_overwritten(tmp_path: Path, autograder: Path, there: str) -> None:
    """Where a piece of a layout is already, nothing is touched."""
    root = tmp_path / "root"
    root.mkdir()
    (root / there).write_text("mine")

    with pytest.raises(StaffError, match="is there already"):
        lay_out(root, autograder, autograder)

    assert [path.name for path in root.iterdir()] == [there]
    assert (root / there).read_text() == "mine"


def test_a_zip_never_leaves_its_folder(tmp_path: Path, autograder: Path) -> None:
    """Climbing names and links are left out; plain files beside them arrive."""
    link = zipfile.ZipInfo("link")
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    path = zipped(tmp_path / "evil.zip", {"../outside.txt": b"x", "/tmp/absolute.txt": b"x", "inside.txt": b"x"})
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")

    made = lay_out(tmp_path / "root", autograder, path)

    assert not (made.root / "outside.txt").exists()
    assert {item.name for item in made.submission.rglob("*") if item.is_file()} <= {"inside.txt", "absolute.txt"}
    assert (made.submission / "inside.txt").read_bytes() == b"x"


def test_too_much_is_refused(tmp_path: Path, autograder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A zip that holds more than the cap is not unpacked to its end."""
    monkeypatch.setattr(simulated, "_MOST_BYTES", 1 << 20)
    bomb = zipped(tmp_path / "bomb.zip", {"zeros": bytes(2 << 20)})

    with pytest.raises(StaffError, match="holds more than"):
        lay_out(tmp_path / "root", autograder, bomb)


@pytest.mark.parametrize(
    ("files", "words"), [({"grader/setup.sh": b""}, "has no setup.sh at its root"), (None, "is no zip")]
)
def test_a_zip_that_the_platform_would_not_take(tmp_path: Path, files: Mapping[str, bytes] | None, words: str) -> None:
    """A packed folder in place of its files, or no zip at all, is named."""
    path = tmp_path / "autograder.zip"
    if files is None:
        path.write_bytes(b"nothing")
    else:
        zipped(path, files)

    with pytest.raises(StaffError, match=words):
        lay_out(tmp_path / "root", path, path)
