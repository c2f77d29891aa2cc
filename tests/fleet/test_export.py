"""An export becomes entries, whatever form it has."""

from __future__ import annotations

import os
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from benchmarks.demo_class import zip_folder
from grader.errors import StaffError
from grader.fleet.digests import content_digest
from grader.fleet.export import read_export
from grader.fleet.unpack import Taken, unpacker

Unpack = Callable[[Path, Path], Taken]
LIST = """\
submission_1: {":submitters": [{":name": Ada, ":email": ada@example.edu, ":sid": "1"}]}
submission_2: {":submitters": [{":name": Bo, ":email": bo@example.edu, ":sid": "2"}]}
../outside: {":submitters": []}
"""


@pytest.fixture(scope="module")
def unpack() -> Iterator[Unpack]:
    """Start the sandbox that reads zips."""
    with unpacker() as function:
        yield function


def write_gradescope(folder: Path) -> Path:
    """Write an export: one submission with files, one without, one that the list does not know."""
    for name in ("submission_1", "submission_9"):
        (folder / name).mkdir(parents=True)
        (folder / name / "a.py").write_text(f"# {name}")
    (folder.parent / "outside").mkdir(exist_ok=True)
    (folder / "submission_metadata.yml").write_text(LIST)
    return folder


def test_gradescopes_folder_and_zip_say_the_same(unpack: Unpack, tmp_path: Path) -> None:
    """Everybody on the list is there, also who has no files; a folder it does not know is there without a name."""
    folder = write_gradescope(tmp_path / "assignment_1_export")
    packed = zip_folder(folder, tmp_path / "export.zip")

    for export in (folder, packed):
        entries = {entry.id: entry for entry in read_export(export, tmp_path / "work", unpack)}

        assert list(entries) == ["submission_1", "submission_2", "../outside", "submission_9"]
        assert entries["submission_1"].students[0].name == "Ada"
        assert entries["submission_1"].folder is not None
        assert entries["submission_2"].folder is None
        assert "no readable file" in entries["submission_2"].problem
        assert entries["../outside"].folder is None
        assert entries["submission_9"].students == ()
        assert content_digest(entries["submission_1"].folder) == content_digest(folder / "submission_1")


def test_an_unpacking_that_was_cut_short_is_begun_again(unpack: Unpack, tmp_path: Path) -> None:
    """A half-written folder of an earlier run is not taken for the whole; a whole one is not unpacked twice."""
    packed = zip_folder(write_gradescope(tmp_path / "assignment_1_export"), tmp_path / "export.zip")
    calls = []

    def counting(path: Path, folder: Path) -> Taken:
        calls.append(path)
        return unpack(path, folder)

    read_export(packed, tmp_path / "work", counting)
    read_export(packed, tmp_path / "work", counting)
    assert len(calls) == 1
    (marker,) = (tmp_path / "work").glob("*/.complete")
    marker.unlink()
    read_export(packed, tmp_path / "work", counting)
    assert len(calls) == 2


def test_what_was_left_out_of_the_zip_is_a_note_of_its_submission(unpack: Unpack, tmp_path: Path) -> None:
    """Staff read which member of which submission was not taken."""
    packed = zip_folder(write_gradescope(tmp_path / "assignment_1_export"), tmp_path / "export.zip")
    with zipfile.ZipFile(packed, "a") as archive:
        archive.writestr("assignment_1_export/submission_1/../../x.py", b"evil")

    entries = read_export(packed, tmp_path / "work", unpack)

    assert ["x.py" in note for note in entries[0].notes] == [True]
    assert entries[1].notes == ()


def test_a_folder_of_zips_is_a_class(unpack: Unpack, tmp_path: Path) -> None:
    """Zips, notebooks and folders are named after students; the roster adds who has none; equal zips are equal."""
    folder = tmp_path / "class"
    (folder / "dana").mkdir(parents=True)
    (folder / "dana" / "a.py").write_text("x = 1")
    for name in ("ada_abara", "bo"):
        with zipfile.ZipFile(folder / f"{name}.zip", "w") as archive:
            archive.writestr("a.py", b"x = 1")
    (folder / "cy.zip").write_bytes(b"no zip")
    (folder / "ed.zip").write_bytes(b"no zip")
    (folder / "link.zip").symlink_to("/etc/passwd")
    (folder / "notes.txt").write_text("not a submission")
    (folder / "roster.csv").write_text("name,sid\nAda Abara,1\nNina,9\n")

    entries = {entry.id: entry for entry in read_export(folder, tmp_path / "work", unpack)}

    assert list(entries) == ["ada_abara.zip", "bo.zip", "cy.zip", "dana", "ed.zip", "nothing from Nina"]
    assert entries["ada_abara.zip"].students[0].sid == "1"
    assert entries["nothing from Nina"].folder is None
    digests = {name: content_digest(entry.folder) for name, entry in entries.items() if entry.folder is not None}
    assert digests["ada_abara.zip"] == digests["bo.zip"] == digests["dana"]
    assert digests["cy.zip"] == digests["ed.zip"] != digests["bo.zip"]
    inside = entries["cy.zip"].folder
    assert inside is not None
    assert [path.name for path in inside.iterdir()] == ["submission.zip"]  # whose it is stays outside


def test_what_is_no_class_is_refused(unpack: Unpack, tmp_path: Path) -> None:
    """Nothing there, an empty folder, or a file that is no zip: an error with the next step."""
    (tmp_path / "empty").mkdir()
    (tmp_path / "text.zip").write_text("no zip")
    for export in (tmp_path / "absent", tmp_path / "empty", tmp_path / "text.zip"):
        with pytest.raises(StaffError) as caught:
            read_export(export, tmp_path / "work", unpack)
        assert caught.value.try_next
    assert os.listdir(tmp_path / "empty") == []
