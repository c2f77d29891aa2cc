"""Pages of single students of a class that was graded."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.progress import track

from grader.commands.preview import make_previews, need_page_tools
from grader.errors import StaffError
from grader.feedback.text import plain
from grader.fleet.find import file_stem, find_entry
from grader.fleet.record import write_whole
from grader.fleet.schedule import Graded, GradedClass, load_class
from grader.fleet.statistics import names_in, pseudonyms, without_names
from grader.pipeline.homework import Homework

FOLDER, ANONYMOUS_FOLDER = "students", "students-anonymous"
_PAGE = "preview.html"
_MOST_PEOPLE = 20  # in the heading of a page


def write_student(
    homework: Homework, folder: Path, wanted: str, *, out: Path | None, moment: str, view: str
) -> list[Path]:
    """
    Write the pages of one student, and say where they are.

    Args:
        homework: what was graded.
        folder: of a class that was graded.
        wanted: who: see `find_entry`.
        out, moment, view: as for `write_previews`.

    Raises:
        StaffError: the folder holds no graded class, or not exactly one student is meant.
    """
    graded_class = load_class(folder)
    entry = find_entry([item.entry for item in graded_class.graded], wanted)
    item = next(item for item in graded_class.graded if item.entry.id == entry.id)
    written = _pages_of(homework, item, graded_class, folder / FOLDER, out=out, moment=moment, view=view)
    console = Console()
    for path in written:
        console.print(f"Written: {escape(str(path))}", highlight=False, soft_wrap=True)
    return written


def write_student_pages(
    homework: Homework, graded_class: GradedClass, folder: Path, *, anonymous: bool
) -> dict[str, str]:
    """
    Write the pages of everybody who handed in, and return submission -> the page's address beside the report.

    The staff's copy has for each student the staff's page, linked, and the student's, which can be sent. The anonymous
    one has what students see before the due date, without their names.
    """
    need_page_tools()
    place = folder / (ANONYMOUS_FOLDER if anonymous else FOLDER)
    shutil.rmtree(place, ignore_errors=True)  # pages of who is not in the class any more
    place.mkdir(mode=0o700)
    handed_in = [item for item in graded_class.graded if item.entry.folder is not None]
    names = pseudonyms(graded_class)
    console = Console()
    written = {}
    for item in track(handed_in, "Pages", console=console, transient=True, disable=not console.is_terminal):
        if anonymous:
            path = _anonymous_page(homework, item, names[item.entry.id], place)
        else:
            path = _pages_of(homework, item, graded_class, place, out=None, moment="auto", view="both")[1]
        written[item.entry.id] = path.relative_to(folder).as_posix()
    return written


def _pages_of(
    homework: Homework,
    item: Graded,
    graded_class: GradedClass,
    place: Path,
    *,
    out: Path | None,
    moment: str,
    view: str,
) -> list[Path]:
    """Write a student's results.json as the platform would have it, and the pages made of it."""
    own = place / file_stem(item.entry.id)
    try:
        own.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StaffError(
            happened=f"{own} cannot be written ({error.strerror or error}).",
            try_next="Make room there, or move the class.",
        ) from None
    results, metadata = own / "results.json", own / "submission_metadata.json"
    write_whole(results, json.dumps(item.record.results).encode())
    write_whole(metadata, json.dumps(_metadata(item, graded_class)).encode())
    return make_previews(homework, results, out=out, metadata=metadata, moment=moment, view=view)


def _metadata(item: Graded, graded_class: GradedClass) -> dict[str, Any]:
    """Return who handed in and when, in the form of the platform's submission_metadata.json."""
    people = [{"name": student.name or student.email} for student in item.entry.students[:_MOST_PEOPLE]]
    return {
        "created_at": item.entry.created_at,
        "assignment": {"title": graded_class.assignment, "due_date": graded_class.due_at},
        "users": people or [{"name": plain(item.entry.id)}],
    }


def _anonymous_page(homework: Homework, item: Graded, name: str, place: Path) -> Path:
    """Write what a student sees, without what gives them away."""
    own_names = names_in([item])
    page = place / f"{name.lower().replace(' ', '-')}.html"
    with tempfile.TemporaryDirectory(dir=place) as scratch:
        results = Path(scratch) / "results.json"
        results.write_text(json.dumps(_nameless(item.record.results, own_names)))
        metadata = Path(scratch) / "submission_metadata.json"
        metadata.write_text(json.dumps({"assignment": {"title": name}}))
        (written,) = make_previews(homework, results, out=page, metadata=metadata, moment="before-due", view="student")
    return written


def _nameless(results: Mapping[str, Any], names: frozenset[str]) -> dict[str, Any]:
    tests = [{**test, "output": without_names(test["output"], names)} for test in results["tests"]]
    return {**results, "output": without_names(str(results.get("output") or ""), names), "tests": tests}
