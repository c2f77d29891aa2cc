"""Canvas's gradebook: the roster that Canvas exported, with the points of one assignment filled in."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from grader.fleet.roster import Student

_IDS = ("id", "sis user id", "sis login id")
_WITH_NUMBER = re.compile(r"(?P<title>.*\S)\s*\((?P<number>\d+)\)\s*", re.DOTALL)
_POSSIBLE = "points possible"


@dataclass(frozen=True)
class Filled:
    """
    A gradebook with one assignment's points.

    Args:
        rows: as the roster has them, header first.
        is_new: no column of the roster is this assignment's, so Canvas would make a new one.
        left_out: students with points who are not in the roster.
    """

    rows: list[list[object]]
    is_new: bool
    left_out: tuple[Student, ...]


def is_gradebook(rows: Sequence[Sequence[str]]) -> bool:
    """Return whether a roster is one that Canvas exported."""
    header = [name.strip().lower() for name in rows[0]] if rows else []
    return "student" in header and "id" in header


def filled(
    rows: Sequence[Sequence[str]], points: Mapping[Student, object], *, assignment: str, possible: float
) -> Filled:
    """
    Return the roster's rows with the assignment's points; all other columns and rows are as they were.

    Args:
        rows: of a roster for which `is_gradebook` holds.
        points: student -> points, or "" where there are none.
        assignment: title; its column is the one that Canvas calls so, with the number that it puts behind.
        possible: points to be had, for a column that the roster has not.
    """
    header = list(rows[0])
    columns = {name.strip().lower(): index for index, name in enumerate(header)}
    place = _column_of(header, assignment)
    is_new = place is None
    at = len(header) if place is None else place
    by_id = _by_id(points)
    found: set[Student] = set()
    made: list[list[object]] = [[*header, assignment] if is_new else [*header]]
    for row in rows[1:]:
        cells: list[object] = [_cell(text) for text in [*row, *[""] * (len(header) - len(row))]]
        cells += [""] if is_new else []
        student = next((by_id[key] for key in _keys(row, columns) if key in by_id), None)
        if is_new and row and row[columns["student"]].strip().lower().startswith(_POSSIBLE):
            cells[at] = possible
        if student is not None:
            found.add(student)
            cells[at] = cells[at] if points[student] == "" else points[student]
        made.append(cells)
    left_out = (student for student, score in points.items() if score != "" and student not in found)
    return Filled(made, is_new, tuple(left_out))


def _column_of(header: Sequence[str], assignment: str) -> int | None:
    """
    Return the assignment's column: the one with its title, or else whose title is a part of it or has it as a part.

    Canvas says "Homework 9" where a rubric says "EECS 182 Homework 9". Where two columns fit alike, none is taken.
    """
    columns = {index: match["title"] for index, name in enumerate(header) if (match := _WITH_NUMBER.fullmatch(name))}
    titles, wanted = {index: _words(title) for index, title in columns.items()}, _words(assignment)
    for fits in (
        [index for index, words in titles.items() if words == wanted],
        [index for index, words in titles.items() if _is_part(words, wanted)],
        [index for index, words in titles.items() if _is_part(wanted, words)],
    ):
        if fits:
            return fits[0] if len(fits) == 1 else None
    return None


def _words(title: str) -> list[str]:
    """Return a title's words and numbers as people mean them: HW9, hw 9 and Homework 09 are one."""
    words = re.findall(r"[^\W\d_]+|\d+", title.lower())
    return ["hw" if word == "homework" else word.lstrip("0") or word for word in words]


def _is_part(few: Sequence[str], many: Sequence[str]) -> bool:
    """Whether a title stands within another one; one word alone, such as a course's number, says too little."""
    starts = range(len(many) - len(few) + 1)
    return len(few) > 1 and any(list(many[start : start + len(few)]) == list(few) for start in starts)


def _by_id(people: Iterable[Student]) -> dict[tuple[str, str], Student]:
    found: dict[tuple[str, str], Student] = {}
    for student in people:
        for name, value in zip(_IDS, (student.canvas_id, student.sid, student.login), strict=True):
            if value:
                found.setdefault((name, value), student)
    return found


def _keys(row: Sequence[str], columns: Mapping[str, int]) -> list[tuple[str, str]]:
    """Return what a row may be known by, Canvas's own id first."""
    return [(name, row[columns[name]].strip()) for name in _IDS if name in columns and columns[name] < len(row)]


def _cell(text: str) -> object:
    """Return a number as one: a minus before it is no formula."""
    return float(text) if re.fullmatch(r"[-+]\d{1,9}(\.\d{1,9})?", text) else text
