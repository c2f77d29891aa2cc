"""Who handed in what: the export's own list, and rosters that staff bring along."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from grader.errors import StaffError, why_unreadable

METADATA_FILE = "submission_metadata.yml"
_MAX_BYTES = 256 * 2**20
_MAX_TEXT = 300

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
    """A person of the class; texts that are not known are empty."""

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
        name = self.name.lower()
        spellings = {name, name.replace(" ", "_"), name.replace(" ", "-"), name.replace(" ", "")}
        spellings |= {self.sid.lower(), self.email.lower(), self.email.lower().partition("@")[0], self.login.lower()}
        spellings |= {self.file.lower(), Path(self.file).stem.lower()}
        return frozenset(spellings - {""})


@dataclass(frozen=True)
class Listed:
    """One submission as the export's list has it."""

    students: tuple[Student, ...]
    created_at: str = ""


class _AnyTagLoader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # which one is decided here
    """Reads plain values, and values under the tags of Ruby's own classes as what they are made of."""


def _untagged(loader: Any, _: str, node: yaml.Node) -> Any:
    if isinstance(node, yaml.MappingNode):
        return loader.construct_mapping(node, deep=True)
    if isinstance(node, yaml.SequenceNode):
        return loader.construct_sequence(node, deep=True)
    return loader.construct_scalar(node)


_AnyTagLoader.add_multi_constructor("!", _untagged)


def read_metadata(path: Path) -> dict[str, Listed]:
    """
    Read Gradescope's `submission_metadata.yml`: folder name -> who handed it in, and when.

    Raises:
        StaffError: the file is too large, no YAML, or not such a list.
    """
    try:
        if path.stat().st_size > _MAX_BYTES:
            raise ValueError(f"it is larger than {_MAX_BYTES >> 20} MiB")
        content = yaml.load(path.read_text(encoding="utf-8"), _AnyTagLoader)
        if not isinstance(content, dict):
            raise ValueError("it is not a list of submissions")
    except (OSError, ValueError, yaml.YAMLError, RecursionError) as error:
        raise StaffError(
            happened=f"{path.name} cannot be read ({error}).", try_next="Export the submissions from Gradescope again."
        ) from error
    return {str(name): _listed(entry) for name, entry in content.items() if isinstance(entry, dict)}


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
    students = [Student(**{field: _first(row, columns) for field, columns in _COLUMNS.items()}) for row in named]
    # Canvas puts the points possible into a line of its own, which is nobody.
    return [item for item in students if item.handles and not item.name.lower().startswith("points possible")]


def completed(student: Student, roster: Iterable[Student]) -> Student:
    """Return the roster's entry for a student, which may know more; or the student, if there is none."""
    for other in roster:
        same = (student.sid and student.sid == other.sid, student.email and student.email == other.email)
        if any(same):
            return other
    return student


def find_by_file(stem: str, roster: Iterable[Student]) -> Student:
    """Return the student of a roster that a file is named after, or one who is known by that name only."""
    wanted = stem.lower()
    return next((student for student in roster if wanted in student.handles), Student(name=stem))


def _listed(entry: Mapping[str, Any]) -> Listed:
    submitters = entry.get(":submitters") or []
    students = tuple(
        Student(name=_text(item, ":name"), email=_text(item, ":email"), sid=_text(item, ":sid"))
        for item in (submitters if isinstance(submitters, list) else [])
        if isinstance(item, dict)
    )
    return Listed(students, _text(entry, ":created_at"))


def _text(entry: Mapping[str, Any], key: str) -> str:
    value = entry.get(key)
    return "" if value is None else str(value)[:_MAX_TEXT]


def _first(row: Mapping[str, str], columns: Iterable[str]) -> str:
    return next((row[column][:_MAX_TEXT] for column in columns if row.get(column)), "")
