"""Grades and answers as files that other programs read: Gradescope, Canvas, spreadsheets, data frames."""

from __future__ import annotations

import csv
import importlib.util
import io
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

from grader.fleet.gradebook import Filled, filled, is_gradebook
from grader.fleet.lateness import days_late, time_of
from grader.fleet.record import GRADED, INFRASTRUCTURE, write_whole
from grader.fleet.roster import ROSTER_FILE, Student, roster_rows
from grader.fleet.schedule import Graded, GradedClass
from grader.fleet.statistics import Figures, possible_of

_STATUS = {GRADED: "Graded", INFRASTRUCTURE: "Not graded"}
# What spreadsheets take for the beginning of a formula, in wide characters too.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
ANSWER_COLUMNS = (
    "submission",
    "record",
    "status",
    "number",
    "part",
    "function",
    "aspect",
    "score",
    "max_score",
    "verdict",
    "lent",
    "diagnosis",
    "cpu_s",
    "wall_s",
    "peak_mib",
)


def write_tables(graded_class: GradedClass, figures: Figures, out: Path) -> list[Path]:
    """
    Write grades for Gradescope and Canvas, figures of each question, and every answer as CSV and Parquet.

    Parquet needs pyarrow; without it that one file is left out.

    Returns:
        The files, in the order written.
    """
    tables = {
        "grades_gradescope.csv": _for_gradescope(graded_class),
        "grades_canvas.csv": canvas_gradebook(graded_class, figures.possible, out).rows,
        "people.csv": _of_people(graded_class),
        "questions.csv": _of_questions(figures),
        "answers.csv": _of_answers(graded_class),
    }
    written = []
    for name, rows in tables.items():
        write_whole(out / name, csv_bytes(rows))
        written.append(out / name)
    if importlib.util.find_spec("pyarrow") is not None:
        _write_parquet(graded_class, out / "answers.parquet")
        written.append(out / "answers.parquet")
    return written


def csv_bytes(rows: Iterable[Sequence[object]]) -> bytes:
    """Return rows as CSV; a text that a spreadsheet would take for a formula gets an apostrophe before it."""
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    for row in rows:
        writer.writerow([_inert(value) for value in row])
    return file.getvalue().encode("utf-8", "backslashreplace")


def _inert(value: object) -> object:
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value


def _people(graded_class: GradedClass) -> Iterator[tuple[Student, Graded]]:
    """Each student with the submission that counts: of several, the last one."""
    last: dict[Student, Graded] = {}
    for item in graded_class.graded:
        for student in item.entry.students:
            before = last.get(student)
            if before is None or _moment(before) <= _moment(item):
                last[student] = item
    yield from last.items()


def _moment(item: Graded) -> tuple[float, str]:
    """Return what submissions of one student are ordered by: when they were made, as far as that can be read."""
    created = time_of(item.entry.created_at)
    return (created.timestamp() if created is not None else 0.0, item.entry.created_at)


def _score(item: Graded) -> object:
    """Points, or nothing where there is nothing to say: what that means is for the course's own rules."""
    return item.record.results["score"] if item.record.status == GRADED else ""


def _for_gradescope(graded_class: GradedClass) -> Iterator[Sequence[object]]:
    tests = graded_class.graded[0].record.results["tests"]
    questions = [f"{test['number']}: {test['name']} ({test['max_score']:g} pts)" for test in tests]
    yield ("SID", "Email", "Name", "Total Score", "Max Points", "Status", *questions)
    for student, item in _people(graded_class):
        results = item.record.results
        by_number = {test["number"]: test["score"] for test in results["tests"]}
        is_graded = item.record.status == GRADED
        scores = [by_number.get(test["number"], "") if is_graded else "" for test in tests]
        status = _STATUS.get(item.record.status, "Missing")
        yield (student.sid, student.email, student.name, _score(item), possible_of(results), status, *scores)


def canvas_gradebook(graded_class: GradedClass, possible: float, out: Path) -> Filled:
    """
    Return what Canvas imports: its own gradebook with the points filled in, or one with the columns that it asks for.

    Args:
        graded_class: who was graded.
        possible: points to be had.
        out: the class's folder, in which the roster lies, if there was one.
    """
    points = {student: _score(item) for student, item in _people(graded_class)}
    rows = roster_rows(out / ROSTER_FILE)
    if is_gradebook(rows):
        return filled(rows, points, assignment=graded_class.assignment, possible=possible)
    made: list[list[object]] = [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", graded_class.assignment],
        ["    Points Possible", "", "", "", "", possible],  # Canvas knows this line by its spaces
    ]
    for student, score in points.items():
        login = student.login or student.email
        made.append([student.name, student.canvas_id, student.sid, login, student.section, score])
    return Filled(made, is_new=True, left_out=())


def _of_people(graded_class: GradedClass) -> Iterator[Sequence[object]]:
    """Yield a row for each member of the class, also of a group: points, when handed in, how late, and with whom."""
    yield ("name", "email", "sid", "submission", "points", "possible", "status", "handed_in", "days_late", "group")
    for student, item in _people(graded_class):
        entry, late = item.entry, days_late(item.entry.created_at, graded_class.due_at)
        yield (
            *(student.name, student.email, student.sid, entry.id),
            *(_score(item), possible_of(item.record.results), item.record.status),
            entry.created_at,
            "" if late is None else late,
            "; ".join(other.name or other.email for other in entry.students if other != student),
        )


def _of_questions(figures: Figures) -> Iterator[Sequence[object]]:
    verdicts = sorted({verdict for question in figures.questions for verdict in question.verdicts})
    yield (
        *("number", "title", "points", "judged", "mean_fraction", "discrimination", "strong", "strong_failed"),
        *verdicts,
    )
    for question in figures.questions:
        discrimination = "" if question.discrimination is None else round(question.discrimination, 4)
        yield (
            question.number,
            question.title,
            question.points,
            question.judged,
            round(question.mean_fraction, 4),
            discrimination,
            question.strong,
            question.strong_failed,
            *(question.verdicts.get(verdict, 0) for verdict in verdicts),
        )


def _answers(graded_class: GradedClass) -> Iterator[dict[str, Any]]:
    for item in graded_class.graded:
        record = item.record
        for test in record.results["tests"]:
            extra = test["extra_data"]
            values = (
                item.entry.id,
                record.key,
                record.status,
                test["number"],
                extra["part"],
                extra["function"],
                extra["aspect"],
                float(test["score"]),
                float(test["max_score"]),
                extra["verdict"],
                list(extra.get("lent", ())),
                list(extra.get("diagnosis", ())),
                record.cpu_s,
                record.wall_s,
                record.peak_mib,
            )
            yield dict(zip(ANSWER_COLUMNS, values, strict=True))


def _of_answers(graded_class: GradedClass) -> Iterator[Sequence[object]]:
    yield ANSWER_COLUMNS
    for answer in _answers(graded_class):
        yield [" ".join(value) if isinstance(value, list) else value for value in answer.values()]


def _write_parquet(graded_class: GradedClass, path: Path) -> None:
    import pyarrow
    import pyarrow.parquet

    texts, numbers = pyarrow.string(), pyarrow.float64()
    lists = pyarrow.list_(pyarrow.string())
    types = {"lent": lists, "diagnosis": lists}
    types |= dict.fromkeys(("score", "max_score", "cpu_s", "wall_s", "peak_mib"), numbers)
    schema = pyarrow.schema([(name, types.get(name, texts)) for name in ANSWER_COLUMNS])
    content = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(_answers(graded_class)), schema=schema), content)
    write_whole(path, content.getvalue())
