"""One student of a class: whom somebody means, and what the files about them are called."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence

from grader.errors import StaffError
from grader.feedback.text import plain
from grader.fleet.export import Entry

_LISTED = 12
_SUBMISSION = "submission_"
_LONGEST_STEM = 40


def find_entry(entries: Sequence[Entry], wanted: str) -> Entry:
    """
    Return the one entry that is meant: the last one of a student, where they handed in several.

    Args:
        entries: the class.
        wanted: a submission, or a student's id, address, login or name; part of a name, if only one has it.

    Raises:
        StaffError: nobody or more than one is meant; who could be is listed.
    """
    text = wanted.strip().lower()
    for names in (_submission_names, _handles, _names):
        found = [entry for entry in entries if text in names(entry)]
        if found:
            break
    else:
        found = [entry for entry in entries if text and any(text in name for name in _names(entry))]
    people = {entry.students or (entry.id,) for entry in found}
    if len(people) == 1:
        return max(found, key=lambda entry: entry.created_at)
    happened = f"{plain(wanted)!r} is {'nobody' if not found else 'more than one'} of this class."
    raise StaffError(
        happened=happened if text else "No student of this class is named.",
        try_next=f"Name one of these: {_listed(found or entries)}.",
    )


def file_stem(entry_id: str) -> str:
    """Return how files about a submission are called: of its name what any disk takes, and different for each."""
    kept = re.sub(r"[^A-Za-z0-9_-]+", "_", entry_id).strip("_")[:_LONGEST_STEM]
    digest = hashlib.sha256(entry_id.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{kept or 'submission'}-{digest[:8]}"


def _submission_names(entry: Entry) -> set[str]:
    name = entry.id.lower()
    return {name, name.removeprefix(_SUBMISSION)}


def _handles(entry: Entry) -> set[str]:
    found = {text.lower() for student in entry.students for text in (student.sid, student.email, student.login)}
    return (found | {student.canvas_id for student in entry.students}) - {""}


def _names(entry: Entry) -> set[str]:
    return {student.name.lower() for student in entry.students if student.name}


def _listed(entries: Sequence[Entry]) -> str:
    shown = [
        f"{plain(entry.id)} ({', '.join(plain(student.name or student.email) for student in entry.students)})"
        if entry.students
        else plain(entry.id)
        for entry in entries[:_LISTED]
    ]
    return ", ".join(shown) + (f" and {len(entries) - _LISTED} more" if len(entries) > _LISTED else "")
