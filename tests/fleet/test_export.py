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
from homework.homework import HOMEWORK

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
        assert content_digest(entries["submission_1"].folder, HOMEWORK.files) == content_digest(
            folder / "submission_1", HOMEWORK.files
        )


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
    digests = {
        name: content_digest(entry.folder, HOMEWORK.files)
        for name, entry in entries.items()
        if entry.folder is not None
    }
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


FORGED = """\
submission_9: {":submitters": [{":name": Mallory wrote this, ":email": ada@example.edu, ":sid": "1"}]}
submission_2: {":submitters": [{":name": Mallory wrote this, ":email": bo@example.edu, ":sid": "2"}]}
"""
BROKEN = {
    "forged": FORGED,
    "no YAML": "{",
    "aliases": "a: &a [x, x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n",
    "escapes": 'submission_1: {":submitters": [{":name": "\\e[2J\\u202e"}]}',
    "empty": "",
}


def hand_in_a_list(export: Path, text: str) -> None:
    """Let submission_1 hold a list of its own, and a folder named like a submission."""
    (export / "submission_1" / "submission_metadata.yml").write_text(text)
    (export / "submission_1" / "submission_9").mkdir()
    (export / "submission_1" / "submission_9" / "a.py").write_text("x = 1")


@pytest.mark.parametrize("text", BROKEN.values(), ids=list(BROKEN))
@pytest.mark.parametrize("form", ["folder", "zip of the folder", "zip without it"])
def test_a_list_in_a_submission_is_nobodys(unpack: Unpack, tmp_path: Path, form: str, text: str) -> None:
    """Whatever a student hands in under the name of the export's list: everybody is who the root's list says."""
    folder = write_gradescope(tmp_path / "assignment_1_export")
    before = [(entry.id, entry.students) for entry in read_export(folder, tmp_path / "before", unpack)]
    hand_in_a_list(folder, text)
    export = folder
    if form == "zip of the folder":
        export = zip_folder(folder, tmp_path / "export.zip")
    elif form == "zip without it":
        export = tmp_path / "export.zip"
        with zipfile.ZipFile(export, "w") as archive:
            for path in sorted(folder.rglob("*"), reverse=True):  # the root's list after those of submissions
                archive.write(path, path.relative_to(folder))

    after = [(entry.id, entry.students) for entry in read_export(export, tmp_path / "work", unpack)]

    assert after == before


def test_without_a_list_at_the_root_no_submission_brings_one(unpack: Unpack, tmp_path: Path) -> None:
    """Folders of students, also a single one that is on the roster, are students, whatever lists lie in them."""
    for name in ("ada", "bo"):
        (tmp_path / "class" / name).mkdir(parents=True)
    (tmp_path / "class" / "ada" / "submission_metadata.yml").write_text(FORGED)
    (tmp_path / "class" / "ada" / "submission_2").mkdir()
    (tmp_path / "alone" / "ada").mkdir(parents=True)
    (tmp_path / "alone" / "roster.csv").write_text("name,sid\nAda,1\nBo,2\n")
    hand_in = tmp_path / "alone" / "ada"
    (hand_in / "submission_metadata.yml").write_text(FORGED)
    (hand_in / "submission_2").mkdir()
    (tmp_path / "one" / "submission_1").mkdir(parents=True)
    hand_in_a_list(tmp_path / "one", FORGED)

    found = {name: read_export(tmp_path / name, tmp_path / "w", unpack) for name in ("class", "alone", "one")}

    assert [entry.id for entry in found["class"]] == ["ada", "bo"]
    assert [entry.id for entry in found["alone"]] == ["ada", "nothing from Bo"]
    assert [entry.id for entry in found["one"]] == ["submission_1"]


def test_the_folder_around_an_export_is_looked_into(unpack: Unpack, tmp_path: Path) -> None:
    """The platform's own folder, alone at the top and full of submissions, brings the list; clutter does not matter."""
    hand_in_a_list(write_gradescope(tmp_path / "top" / "assignment_1_export"), FORGED)
    (tmp_path / "top" / "outside").rename(tmp_path / "top" / "__MACOSX")

    entries = read_export(tmp_path / "top", tmp_path / "work", unpack)

    assert [entry.id for entry in entries] == ["submission_1", "submission_2", "../outside", "submission_9"]
    assert entries[0].students[0].name == "Ada"


def test_a_broken_list_of_the_root_is_said(unpack: Unpack, tmp_path: Path) -> None:
    """Nothing is graded under wrong names: the error names the file and the line."""
    folder = write_gradescope(tmp_path / "assignment_1_export")
    (folder / "submission_metadata.yml").write_text(BROKEN["aliases"])

    with pytest.raises(StaffError, match=r"assignment_1_export/submission_metadata\.yml .* line 1 has an anchor"):
        read_export(folder, tmp_path / "work", unpack)


@pytest.mark.parametrize("roster", ["", "name,sid,email\nAda,1,ada@example.edu\n", "name,sid\nAda,1\n"])
def test_nobody_gets_the_line_of_another_by_an_id(unpack: Unpack, tmp_path: Path, roster: str) -> None:
    """Who types the id of somebody else keeps their own address and loses the id; staff read why."""
    folder = write_gradescope(tmp_path / "assignment_1_export")
    (folder / "submission_metadata.yml").write_text(LIST.replace('":sid": "2"', '":sid": "1"'))
    if roster:
        (folder / "roster.csv").write_text(roster)

    ada, bo, *_ = read_export(folder, tmp_path / "work", unpack)

    assert (bo.students[0].name, bo.students[0].email, bo.students[0].sid) == ("Bo", "bo@example.edu", "")
    assert "used with another address" in bo.notes[0]
    assert ada.students[0].sid == ("1" if "email" in roster else "")
