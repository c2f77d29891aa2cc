"""Who handed in what: the export's own list, and rosters that staff bring along."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import yaml

from grader.errors import StaffError, why_unreadable
from grader.feedback.text import plain
from grader.fleet.events import Events, YamlError, line_of, text_of

METADATA_FILE = "submission_metadata.yml"
ROSTER_FILE = "roster.csv"
MAX_METADATA_BYTES = 128 * 2**20  # below what unpacking takes of one file: a list that was cut short is refused
_MAX_TEXT = 300
_SUBMITTER = {":name": "name", ":email": "email", ":sid": "sid"}

# What rosters, Canvas gradebooks and Gradescope's own lists call their columns.
_COLUMNS: Mapping[str, tuple[str, ...]] = {
    "name": ("name", "student", "full name"),
    "email": ("email", "email address"),
    "sid": ("sid", "student id", "sis user id"),
    "canvas_id": ("id", "canvas id"),
    "login": ("sis login id", "login"),
    "section": ("section", "sections"),
    "file": ("file", "submission", "folder"),
}


@dataclass(frozen=True)
class Student:
    """
    A person of the class; texts that are not known are empty.

    People choose their names: all texts but `file` are one line without control characters when they come from here.
    """

    name: str = ""
    email: str = ""
    sid: str = ""
    canvas_id: str = ""
    login: str = ""
    section: str = ""
    file: str = ""

    @property
    def handles(self) -> frozenset[str]:
        """What a file may be named after, in lower case."""
        return frozenset(_given(self) | _chosen(self))


@dataclass(frozen=True)
class Listed:
    """One submission as the export's list has it."""

    students: tuple[Student, ...]
    created_at: str = ""


def read_metadata(path: Path) -> dict[str, Listed]:
    """
    Read Gradescope's `submission_metadata.yml`: folder name -> who handed it in, and when.

    Raises:
        StaffError: the file is too large, no YAML, or not such a list.
    """
    try:
        return _submissions(Events(_bounded_text(path)))
    except OSError as error:
        why = why_unreadable(error)
    except UnicodeDecodeError as error:
        why = why_unreadable(error)
    except ValueError as error:
        why = plain(str(error))
    raise StaffError(
        happened=f"The list {path} cannot be read: {why}.", try_next="Export the submissions from Gradescope again."
    )


def _bounded_text(path: Path) -> str:
    """Return a file's text; of one that is too large, nothing is looked at."""
    with path.open("rb") as file:
        data = file.read(MAX_METADATA_BYTES + 1)
    if len(data) > MAX_METADATA_BYTES:
        raise ValueError(f"it is larger than {MAX_METADATA_BYTES >> 20} MiB")
    return data.decode("utf-8-sig")


def _submissions(events: Events) -> dict[str, Listed]:
    events.take(), events.take()  # the beginnings of stream and document
    if not isinstance(events.take(), yaml.MappingStartEvent):
        raise YamlError("it is not a list of submissions")
    found: dict[str, Listed] = {}
    for name, event in events.pairs():
        if name in found:
            raise YamlError(f"{line_of(event)} lists {name!r} a second time")
        if isinstance(event, yaml.MappingStartEvent):
            found[name] = _listed(events)
        else:
            events.pass_over(event)
    events.take()  # the document's end
    if not isinstance(events.take(), yaml.StreamEndEvent):
        raise YamlError("there is a second list in it")
    return found


def _listed(events: Events) -> Listed:
    """Read one submission's pairs; scores and results, which may be large, are passed over."""
    students: tuple[Student, ...] = ()
    created_at = ""
    for key, event in events.pairs():
        if key == ":submitters" and isinstance(event, yaml.SequenceStartEvent):
            students = tuple(_submitters(events))
        elif key == ":submitters" and text_of(event):
            raise YamlError(f"{line_of(event)} has a text where submitters belong")
        elif key == ":created_at" and isinstance(event, yaml.ScalarEvent):
            created_at = plain(text_of(event), limit=_MAX_TEXT)
        else:
            events.pass_over(event)
    return Listed(students, created_at)


def _submitters(events: Events) -> Iterator[Student]:
    for item in events.items():
        if not isinstance(item, yaml.MappingStartEvent):
            raise YamlError(f"{line_of(item)} has a submitter without a name")
        known = {}
        for key, event in events.pairs():
            if key in _SUBMITTER:
                known[_SUBMITTER[key]] = plain(text_of(event), limit=_MAX_TEXT)
            else:
                events.pass_over(event)
        yield Student(**known)


def read_roster(path: Path) -> list[Student]:
    """
    Read a roster: CSV with a header, such as Gradescope's, or Canvas's gradebook.

    Raises:
        StaffError: it cannot be read, or has no column for names, emails or ids.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise StaffError(
            happened=f"The roster {path} cannot be read: {why_unreadable(error)}.",
            try_next="Name a file that is there, saved as CSV in UTF-8.",
        ) from None
    named = [{str(key or "").strip().lower(): str(value or "").strip() for key, value in row.items()} for row in rows]
    if not named or not any(column in named[0] for field in ("name", "email", "sid") for column in _COLUMNS[field]):
        raise StaffError(
            happened=f"The roster {path} has no column name, email or sid.", try_next="Give it a header with these."
        )
    students = [_of_row(row) for row in named]
    # Canvas puts the points possible into a line of its own, which is nobody.
    return [item for item in students if item.handles and not item.name.lower().startswith("points possible")]


def roster_rows(path: Path) -> list[list[str]]:
    """Return a roster as it stands, header first; nothing if it is not there or is no CSV."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            return list(csv.reader(file))
    except (OSError, UnicodeDecodeError, csv.Error):
        return []


def _of_row(row: Mapping[str, str]) -> Student:
    texts = {field: _first(row, columns) for field, columns in _COLUMNS.items()}
    return Student(**{field: text if field == "file" else plain(text) for field, text in texts.items()})


def completed(student: Student, roster: Iterable[Student]) -> Student:
    """
    Return the roster's entry for a student, which may know more; or the student, if there is none.

    An address counts before an id: people type their ids themselves, and sign in with the address.
    """
    people = list(roster)
    by_address = (other for other in people if student.email and student.email.lower() == other.email.lower())
    by_id = (other for other in people if student.sid and student.sid == other.sid)
    return next(by_address, None) or next(by_id, None) or student


def find_by_file(stem: str, roster: Iterable[Student]) -> Student:
    """
    Return the student of a roster that a file is named after, or one who is known by that name only.

    What the course gives out counts before what people call themselves: a name that is another one's id wins nothing.
    """
    wanted, people = stem.lower(), list(roster)
    for handles in (_given, _chosen):
        found = next((student for student in people if wanted in handles(student)), None)
        if found is not None:
            return found
    name = plain(stem, limit=_MAX_TEXT)
    # Two files whose names differ only in what cannot be seen are two people's.
    return Student(name=name) if name == stem else Student(name=name, file=stem)


def _given(student: Student) -> set[str]:
    """Return what a file may be named after that the course gave out, or staff wrote down, in lower case."""
    email, file = student.email.lower(), student.file.lower()
    return {student.sid.lower(), email, student.login.lower(), file, Path(file).stem} - {""}


def _chosen(student: Student) -> set[str]:
    """Return the spellings of a student's name that a file may have, and the address up to its @, in lower case."""
    name = student.name.lower()
    spellings = {name, name.replace(" ", "_"), name.replace(" ", "-"), name.replace(" ", "")}
    return (spellings | {student.email.lower().partition("@")[0]}) - {""}


def _first(row: Mapping[str, str], columns: Iterable[str]) -> str:
    return next((row[column][:_MAX_TEXT] for column in columns if row.get(column)), "")
