"""An export becomes entries: a folder of files for each submission, and who handed it in."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

from grader.errors import StaffError, why_unreadable
from grader.fleet.roster import (
    METADATA_FILE,
    ROSTER_FILE,
    Student,
    completed,
    find_by_file,
    read_metadata,
    read_roster,
)
from grader.fleet.unpack import Taken
from grader.intake.caps import ARCHIVE_SUFFIX, CODE_SUFFIXES, suffix_of

_SUBMISSION = "submission_"  # what the platform calls the folders of an export begins with this
_CLUTTER = (".", "__")
_COMPLETE = ".complete"
_ZIP_MAGIC = b"PK"
_WHAT_TO_NAME = (
    f"Name the zip that Gradescope's Export Submissions gives, the folder in it (with {METADATA_FILE}), or a folder "
    "with one zip, notebook or folder for each student."
)
_DISPUTED = (
    "The id {0.sid} of {0.name} ({0.email}) is used with another address, too: it was left out for this student."
)
Unpack = Callable[[Path, Path], Taken]


@dataclass(frozen=True)
class Entry:
    """
    What one student, or one group, handed in.

    Args:
        id: the submission's name, different for each entry.
        students: who handed it in.
        folder: its files; None where nothing was handed in.
        created_at: when, as the platform says.
        notes: for staff: what was left out when the export was read.
        problem: why there is nothing to grade although something was handed in, or "".
    """

    id: str
    students: tuple[Student, ...]
    folder: Path | None
    created_at: str = ""
    notes: tuple[str, ...] = ()
    problem: str = ""


def read_export(export: Path, work: Path, unpack: Unpack, *, roster: Path | None = None) -> list[Entry]:
    """
    Return the entries of an export, one for each submission, and one for each student of a roster without any.

    Args:
        export: Gradescope's export (a zip, or the folder in it), or a folder with one zip, notebook or folder for
            each student, named after them.
        work: a private folder for what is unpacked; what an earlier run unpacked there is used again.
        unpack: takes a zip and a folder.
        roster: CSV; None takes `roster.csv` in the folder, if there is one.

    Raises:
        StaffError: there is no such export, or it cannot be read as one.
    """
    require_export(export)
    notes: dict[str, list[str]] = {}
    folder = export if export.is_dir() else _opened(export, work, unpack, notes)
    listed = roster or roster_in(folder)
    people = read_roster(listed) if listed is not None else []
    metadata = _list_of(folder, people)
    entries = _of_list(metadata, people, notes) if metadata else _of_folder(folder, people, work, unpack)
    if not entries:
        raise StaffError(
            happened=f"There is no submission in {export}.",
            try_next=_WHAT_TO_NAME,
        )
    return [*entries, *_without_submission(people, entries)]


def roster_in(export: Path) -> Path | None:
    """Return the roster that lies in an export's folder."""
    return next(iter(export.glob(ROSTER_FILE)), None) if export.is_dir() else None


def require_export(export: Path) -> None:
    """
    Make sure that something may be an export, without looking into it.

    Raises:
        StaffError: it is not there, may not be read, or is neither a folder nor a zip.
    """
    if export.is_dir():
        return
    try:
        with export.open("rb") as file:
            is_zip = file.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC
    except OSError as error:
        raise StaffError(
            happened=f"The export {export} cannot be read: {why_unreadable(error)}.", try_next=_WHAT_TO_NAME
        ) from None
    if not is_zip:
        raise StaffError(happened=f"{export} is no export: it is neither a zip nor a folder.", try_next=_WHAT_TO_NAME)


def _opened(export: Path, work: Path, unpack: Unpack, notes: dict[str, list[str]]) -> Path:
    """Unpack the export's zip, once; an unpacking that was cut short is begun again."""
    with export.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256") if hasattr(hashlib, "file_digest") else _file_digest(file)
    folder = work / f"export-{digest.hexdigest()[:16]}"
    if not (folder / _COMPLETE).exists():
        shutil.rmtree(folder, ignore_errors=True)
        taken = unpack(export, folder / "files")
        if taken.failure:
            raise StaffError(
                happened=f"{export.name} could not be read: {taken.failure}.", try_next="Export the submissions again."
            )
        (folder / "left-out.txt").write_text("".join(f"{path!r}\t{why}\n" for path, why in taken.notes))
        (folder / _COMPLETE).touch()
    for line in (folder / "left-out.txt").read_text().splitlines():
        path, _, why = line.partition("\t")
        notes.setdefault(_submission_of(path.strip("'\"")), []).append(why)
    return folder / "files"


def _list_of(folder: Path, people: Iterable[Student]) -> Path | None:
    """
    Return the export's own list, or None.

    Students hand in files of that name, too: a list in a folder below counts only where the root has none, and never
    one in a submission.
    """
    root = folder / METADATA_FILE
    if root.is_file():
        return root
    wrapper = _wrapper_in(folder, people)
    return wrapper / METADATA_FILE if wrapper is not None else None


def _wrapper_in(folder: Path, people: Iterable[Student]) -> Path | None:
    """
    Return the folder that the platform puts around an export: all that lies at the top, and nothing in it but a list
    and submissions. One that is named like a submission, or after a student of the roster, is that student's.
    """
    inside = [path for path in _visible_in(folder) if path.name != ROSTER_FILE]
    wrapper = inside[0] if len(inside) == 1 else None
    if wrapper is None or wrapper.is_symlink() or not wrapper.is_dir() or wrapper.name.startswith(_SUBMISSION):
        return None
    if any(wrapper.name.lower() in student.handles for student in people):
        return None
    metadata = wrapper / METADATA_FILE
    rest = [path for path in _visible_in(wrapper) if path != metadata and path.name != ROSTER_FILE]
    is_export = bool(rest) and all(path.is_dir() and path.name.startswith(_SUBMISSION) for path in rest)
    return wrapper if is_export and metadata.is_file() and not metadata.is_symlink() else None


def _visible_in(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.iterdir()) if not path.name.startswith(_CLUTTER)]


def _file_digest(file: object) -> hashlib._Hash:
    """Python 3.10 has no hashlib.file_digest."""
    digest = hashlib.sha256()
    while chunk := file.read(1 << 20):  # type: ignore[attr-defined]  # a file opened for bytes
        digest.update(chunk)
    return digest


def _submission_of(path: str) -> str:
    return next((piece for piece in path.split("/")[:-1] if piece.startswith(_SUBMISSION)), "")


def _of_list(metadata: Path, people: list[Student], notes: dict[str, list[str]]) -> list[Entry]:
    """Entries of Gradescope's list, and of folders that it does not mention."""
    listed = read_metadata(metadata)
    disputed = _disputed([student for item in listed.values() for student in item.students], people)
    present = {path.name: path for path in metadata.parent.iterdir() if path.is_dir() and not path.is_symlink()}
    entries = []
    for name, item in listed.items():
        # The list decides which folders there may be, not what their names lead to.
        folder = present.pop(name, None)
        students = tuple(
            completed(replace(student, sid="") if student in disputed else student, people) for student in item.students
        )
        remarks = [
            *notes.get(name, ()),
            *(_DISPUTED.format(student) for student in item.students if student in disputed),
        ]
        problem = "" if folder else "The export lists this submission and holds no readable file of it."
        entries.append(Entry(name, students, folder, item.created_at, tuple(remarks), problem))
    unknown = [
        Entry(name, (), path, notes=(f"The export's list does not say who handed in {name!r}.",))
        for name, path in sorted(present.items())
        if name.startswith(_SUBMISSION)
    ]
    return [*entries, *unknown]


def _disputed(students: Iterable[Student], people: Iterable[Student]) -> frozenset[Student]:
    """
    Return who uses an id that another address uses, too, and is not known by the roster to own it.

    People type their ids themselves: by that of another student they would get that student's line.
    """
    students = list(students)
    addresses: dict[str, set[str]] = {}
    for student in students:
        addresses.setdefault(student.sid, set()).add(student.email.lower())
    owners = {person.sid: person.email.lower() for person in people if person.email}
    return frozenset(
        student
        for student in students
        if student.sid and len(addresses[student.sid]) > 1 and student.email.lower() != owners.get(student.sid)
    )


def _of_folder(folder: Path, people: list[Student], work: Path, unpack: Unpack) -> list[Entry]:
    """Entries of a folder in which each zip, notebook or folder is a student's, named after them."""
    entries = []
    for number, path in enumerate(_visible_in(folder)):
        if path.is_symlink():
            continue
        if path.is_dir():
            student = find_by_file(path.name, people)
            entries.append(Entry(path.name, (student,), path))
        elif suffix_of(path.name) in (ARCHIVE_SUFFIX, *CODE_SUFFIXES):
            entry = Entry(path.name, (find_by_file(path.stem, people),), None)
            entries.append(_unpacked(entry, path, work / "students" / f"{number:05d}", unpack))
    return entries


def _unpacked(entry: Entry, path: Path, folder: Path, unpack: Unpack) -> Entry:
    """
    Unpack a student's zip as the platform would have; what is no zip is handed on as it is.

    The file gets a name that says nothing: equal submissions are graded once, and one student must not read in the
    report how another one's file was called.
    """
    shutil.rmtree(folder, ignore_errors=True)
    notes: tuple[str, ...] = ()
    if suffix_of(path.name) == ARCHIVE_SUFFIX:
        taken = unpack(path, folder)
        notes = tuple(why for _, why in taken.notes)
        if not taken.failure:
            return replace(entry, folder=folder, notes=notes)
        shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(mode=0o700, parents=True)
    copy = folder / f"submission{suffix_of(path.name)}"
    try:
        os.link(path, copy, follow_symlinks=False)
    except OSError:  # another disk, or one that knows no links
        shutil.copyfile(path, copy, follow_symlinks=False)
    return replace(entry, folder=folder, notes=notes)


def _without_submission(people: Iterable[Student], entries: Iterable[Entry]) -> list[Entry]:
    submitted = {student for entry in entries for student in entry.students}
    return [
        Entry(f"nothing from {student.name or student.email or student.sid}", (student,), None)
        for student in people
        if student not in submitted
    ]
