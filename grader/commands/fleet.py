"""`class`, `report`, `diff`: a whole class."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from grader.commands.beforehand import require_roster, require_rubric
from grader.commands.grade import choose_device
from grader.commands.students import write_student_pages
from grader.errors import StaffError
from grader.feedback.text import plain
from grader.fleet.compare import COLUMNS, Comparison, compare_gradings, read_grading, require_same_kind
from grader.fleet.export import require_export
from grader.fleet.gradebook import Filled
from grader.fleet.lateness import require_time
from grader.fleet.nursery import Job
from grader.fleet.page import write_page
from grader.fleet.pool import Ended
from grader.fleet.record import GRADED, write_whole
from grader.fleet.schedule import ClassSettings, GradedClass, Pool, grade_class, load_class
from grader.fleet.statistics import figures_of, names_of, possible_of
from grader.fleet.tables import canvas_gradebook, csv_bytes, write_tables
from grader.pipeline.homework import Homework
from grader.pipeline.run import SECRET_FILE

_SHOWN = 40
_NAMED = 8  # in one line


def run_class(
    homework: Homework,
    export: Path,
    out: Path,
    *,
    workers: int | None,
    device: str,
    rubric: Path | None,
    roster: Path | None,
    ray: str | None,
    gpus: float,
    only: tuple[str, ...] = (),
    due: str = "",
) -> None:
    """
    Grade a class with a progress bar, then write grades and the report.

    With `only`, grade these students again and nobody else.

    Raises:
        StaffError: the export cannot be read, or grading cannot begin.
    """
    require_export(export)
    if rubric is not None:
        require_rubric(homework, rubric)
    if roster is not None:
        require_roster(roster)
    at_once = workers or len(os.sched_getaffinity(0))
    pool = _ray_pool(homework, ray, at_once, gpus) if ray else None
    console = Console()
    columns = (TextColumn("Grading"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    progress = Progress(*columns, console=console)
    bar = progress.add_task("", total=None)

    def show(done: int, total: int, words: str) -> None:
        progress.start()  # with the first step and not before: what is wrong with the call is said without a bar
        progress.update(bar, completed=done, total=total)
        if words:
            progress.console.print(f"[dim]{escape(words)}[/dim]", highlight=False)

    settings = ClassSettings(
        homework=homework,
        export=export,
        out=out,
        workers=at_once,
        rubric=rubric,
        device=choose_device(device),
        secret_file=Path(os.environ.get("GRADER_SECRET_FILE", SECRET_FILE)),
        roster=roster,
        only=only,
        due_at=require_time(due) if due else "",
        on_progress=show,
    )
    try:
        graded_class = grade_class(settings, pool)
    finally:
        if progress.live.is_started:
            progress.stop()
    _print_class(graded_class, console)
    write_report(homework, out, anonymous=False)


def _ray_pool(homework: Homework, address: str, workers: int, gpus: float) -> Pool:
    from grader.fleet.ray_pool import RaySettings, grade_on_ray, require_listener

    require_listener(address)

    def pool(jobs: Iterable[Job]) -> Iterator[Ended]:
        return grade_on_ray(jobs, RaySettings(homework.package, address, workers, gpus=gpus))

    return pool


def write_report(homework: Homework, folder: Path, *, anonymous: bool) -> None:
    """
    Write the page, a page for each student, and the tables of a graded class, and say where they are.

    Raises:
        StaffError: the folder holds no graded class.
    """
    graded_class = load_class(folder)
    figures = figures_of(graded_class)
    pages = write_student_pages(homework, graded_class, folder, anonymous=anonymous)
    written = [write_page(graded_class, figures, folder, anonymous=anonymous, pages=pages)]
    if not anonymous:
        written += write_tables(graded_class, figures, folder)
    console = Console()
    for path in written:
        console.print(f"Written: {escape(str(path))}", highlight=False, soft_wrap=True)
    if not anonymous:
        _print_gradebook(canvas_gradebook(graded_class, figures.possible, folder), graded_class.assignment, console)


def _print_gradebook(gradebook: Filled, assignment: str, console: Console) -> None:
    """Say what Canvas would make of its file that staff may not expect."""
    if gradebook.is_new:
        console.print(
            f"Canvas makes a new assignment {_shown(assignment)!r} of grades_canvas.csv. To fill an existing one, name "
            "the gradebook that Canvas exports with --roster.",
            highlight=False,
        )
    if gradebook.left_out:
        names = ", ".join(_shown(student.name or student.email) for student in gradebook.left_out[:_SHOWN])
        console.print(f"Not in Canvas's gradebook, so without points there: {names}.", highlight=False)


def _print_class(graded_class: GradedClass, console: Console) -> None:
    """Print a line for each submission of a small class, and how many there are of each kind."""
    names = names_of(graded_class)
    table = Table(header_style="bold")
    for column in ("Submission", "Who", "Points", "Status"):
        table.add_column(column, justify="right" if column == "Points" else "left")
    for item in graded_class.graded[:_SHOWN]:
        results = item.record.results
        points = f"{results['score']:g} / {possible_of(results):g}" if item.record.status == GRADED else ""
        reason = f": {item.record.reason}" if item.record.reason else ""
        table.add_row(_shown(item.entry.id), _shown(names[item.entry.id]), points, _shown(item.record.status + reason))
    console.print(table)
    if len(graded_class.graded) > _SHOWN:
        console.print(f"… and {len(graded_class.graded) - _SHOWN} more: see grades_gradescope.csv.")
    notes = [(item.entry.id, note) for item in graded_class.graded for note in item.entry.notes]
    for entry, note in notes[:_SHOWN]:
        console.print(f"{_shown(entry)}: {_shown(note)}", highlight=False)
    if len(notes) > _SHOWN:
        console.print(f"… and {len(notes) - _SHOWN} more notes: see report.html.")
    counts: dict[str, int] = {}
    for item in graded_class.graded:
        counts[item.record.status] = counts.get(item.record.status, 0) + 1
    console.print(", ".join(f"{count} {status}" for status, count in counts.items()), highlight=False)


def _shown(text: str) -> str:
    """Return a text that people chose, such as a name, for the terminal: no control characters, no markup."""
    return escape(plain(text))


def run_diff(old: Path, new: Path, csv_file: Path | None) -> None:
    """
    Print what changed between two gradings, and write it as CSV if a file is named.

    Raises:
        StaffError: one of the two is no grading, or the file cannot be written.
    """
    gradings = read_grading(old), read_grading(new)
    require_same_kind(old, new)
    comparison = compare_gradings(*gradings)
    console = Console()
    _print_changes(comparison, console)
    if csv_file is not None:
        table = csv_bytes([COLUMNS, *(change.row for change in comparison.changes)])
        try:
            write_whole(csv_file, table)
        except OSError as error:
            raise StaffError(
                happened=f"{csv_file} cannot be written ({error.strerror or error}).",
                try_next="Name a file in a folder that exists with --csv.",
            ) from None
        console.print(f"Written: {escape(str(csv_file))}", highlight=False, soft_wrap=True)


def _print_changes(comparison: Comparison, console: Console) -> None:
    """Print a summary, then the questions, then who changes, together where it is the same change."""
    changed = len({change.submission for change in comparison.changes})
    graded = comparison.up + comparison.down + comparison.same
    console.print(
        f"{comparison.up} up, {comparison.down} down, {comparison.same} the same; "
        f"mean change {comparison.mean_change:+.2f} points\n"
        f"{changed} with any change; of {graded} graded both times all points together: "
        f"{comparison.total_before:g} before, {comparison.total_after:g} after",
        highlight=False,
    )
    if comparison.now_hidden:
        console.print(f"Not shown to students at once any more: {', '.join(map(_shown, comparison.now_hidden))}")
    for where, alone in (("old", comparison.only_old), ("new", comparison.only_new)):
        if alone:
            console.print(f"Only in the {where} one: {_several(alone)}", highlight=False)
    if comparison.questions:
        console.print(_questions_table(comparison))
    if comparison.groups:
        console.print(_groups_table(comparison))


def _questions_table(comparison: Comparison) -> Table:
    table = Table(title="Questions", title_justify="left", header_style="bold")
    for column in ("No.", "Question", "Submissions", "Mean change", ""):
        table.add_column(column, justify="right" if column in ("Submissions", "Mean change") else "left")
    for move in comparison.questions:
        what = "new" if move.is_new else "gone" if move.is_gone else ""
        names = _shown(move.number), _shown(move.title)
        table.add_row(*names, str(move.count), f"{move.mean_change:+.2f}", what)
    return table


def _groups_table(comparison: Comparison) -> Table:
    table = Table(title="Who changes", title_justify="left", header_style="bold")
    for column in ("No.", "Before", "After", "Change", "Why", "Who"):
        table.add_column(column, justify="right" if column in ("Before", "After", "Change") else "left")
    for group in comparison.groups:
        change = group.changes[0]
        before, after = ("" if value is None else f"{value:g}" for value in (change.before, change.after))
        people = [each.who or each.submission for each in group.changes]
        who = f"{len(people)}: {_several(people)}" if len(people) > 1 else _shown(people[0])
        table.add_row(_shown(change.number), before, after, f"{change.points:+g}", _shown(change.why), who)
    return table


def _several(names: Sequence[str]) -> str:
    """Return some names, and how many more there are; --csv has them all."""
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(map(_shown, names[:_NAMED])) + more
