"""
What an audit found, in sentences for staff.

Suspicion is a remark with its evidence and no more: none of it changes a score, and each sentence says what was seen
and not what it may mean.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from grader.audit.record import STATUSES, CellRecord, NotebookRecord
from grader.audit.rewrite import NOT_RUN
from grader.audit.run import Audit, Settings

LOOK, NOTE, CHANGED = "look", "note", "changed"
_NOT_FINISHED = ("TIMEOUT", "TIMEOUT_KILLED", "CRASHED")
_MANY = 12


@dataclass(frozen=True)
class Finding:
    """
    One sentence or two.

    Args:
        level: "look" for what staff may want to look at, "note" for what explains itself, "changed" for what the
            audit itself did to the notebook.
        text: plain text; what students wrote stands in “quotes”.
        cell: the code cell, or None for the whole notebook.
    """

    level: str
    text: str
    cell: int | None = None


def conditions(settings: Settings) -> str:
    """Return in a sentence under which conditions notebooks were executed."""
    images = "CIFAR-10" if settings.data else "small handwritten digits in the place of CIFAR-10"
    if settings.data and settings.other_images:
        images = "a few hundred images of CIFAR-10"
    rounds = (
        "as many rounds as the notebook says"
        if settings.epochs is None
        else f"at most {_count(settings.epochs, 'epoch')}"
    )
    where = "a GPU" if settings.device == "cuda" else "the CPU"
    start = f"Executed on {where} with {images} and {rounds}"
    if settings.reduced:
        return f"{start}: what is trained cannot be compared with what was handed in."
    return f"{start}."


def findings_of(record: NotebookRecord, settings: Settings) -> list[Finding]:
    """Return all that is to be said of a notebook, what to look at first."""
    found = [*_of_the_whole(record), *(finding for cell in record.cells for finding in _of_cell(cell, settings))]
    found += [*_lists(record), *_changes(record)]
    ranks = {LOOK: 0, NOTE: 1, CHANGED: 2}
    return sorted(found, key=lambda finding: (ranks[finding.level], finding.cell or 0))


def saved_findings(audit: Audit) -> list[Finding]:
    """Return what is to be said of autograder.pt."""
    if not audit.saved:
        return [Finding(NOTE, "No autograder.pt was handed in, and the notebooks wrote none now.")]
    found = []
    same = [value.key for value in audit.saved if value.verdict == "same"]
    if same:
        found.append(Finding(NOTE, f"The same now as when it was handed in: {', '.join(f'“{key}”' for key in same)}."))
    for value in audit.saved:
        if value.verdict != "same":
            level = LOOK if value.verdict == "differs" else NOTE
            tail = " Not comparable: the training was cut short." if value.verdict == "not comparable" else ""
            found.append(Finding(level, f"“{value.key}”: {value.text}{tail}"))
    return sorted(found, key=lambda finding: finding.level != LOOK)


def _of_the_whole(record: NotebookRecord) -> Iterator[Finding]:
    if record.ended:
        yield Finding(NOTE, f"The execution was ended early: {record.ended}. The cells after it were not run.")
    if record.uncompared:
        yield Finding(LOOK, f"Nothing of what it shows could be compared: {record.uncompared}.")
    if record.never_run:
        text = "No cell has an execution number or an output: the file does not show that it was ever run."
        yield Finding(LOOK, text)
    if record.order:
        cell, count, earlier, its = record.order[0]
        more = f" So it is with {len(record.order) - 1} more." if len(record.order) > 1 else ""
        text = f"Cell {cell} was run before cell {earlier} (execution numbers {count} and {its}).{more}"
        yield Finding(LOOK, text, cell)


def _of_cell(cell: CellRecord, settings: Settings) -> Iterator[Finding]:
    if cell.silent:
        text = f"Cell {cell.number} shows something in the file, but its code calls nothing that could show it."
        yield Finding(LOOK, text, cell.number)
    if cell.status in _NOT_FINISHED:
        limit = f" (limit {settings.cell_limit_s:g} s)" if cell.status.startswith("TIMEOUT") else ""
        again = "; the kernel was started again and the quick cells before it were run again"
        tail = again if cell.status in ("TIMEOUT_KILLED", "CRASHED") else ""
        yield Finding(NOTE, f"Cell {cell.number} {STATUSES[cell.status]}{limit}{tail}.", cell.number)
    if cell.needs is not None:
        name, maker = cell.needs
        text = f"Cell {cell.number} was not run: it needs “{name}”, which cell {maker} did not come to make."
        yield Finding(NOTE, text, cell.number)
    if cell.verdict == "could not be compared":
        yield Finding(LOOK, f"What cell {cell.number} shows could not be compared: {cell.why}.", cell.number)
    if cell.verdict in ("differs", "not comparable"):
        level = LOOK if cell.verdict == "differs" else NOTE
        tail = "" if cell.verdict == "differs" else f" Not comparable: {_reduction(settings)}."
        yield Finding(level, _difference(cell) + tail, cell.number)


def _difference(cell: CellRecord) -> str:
    if cell.error_now and not cell.error_then:
        return f"Cell {cell.number} ends with {cell.error_now} now; it showed no error when it was handed in."
    if cell.error_then and not cell.error_now:
        return f"Cell {cell.number} showed {cell.error_then} when it was handed in, and runs through now."
    if cell.error_then != cell.error_now:
        return f"Cell {cell.number} showed {cell.error_then} when it was handed in, and {cell.error_now} now."
    then = f"“{cell.then}”" if cell.then else "no such line"
    now = f"“{cell.now}”" if cell.now else "no such line"
    return f"Cell {cell.number} showed {then} when it was handed in, and {now} now."


def _reduction(settings: Settings) -> str:
    parts = [] if settings.epochs is None else [f"at most {_count(settings.epochs, 'epoch')}"]
    if settings.other_images:
        parts.append("other images" if settings.data is None else "fewer images")
    return " on ".join(parts) or "it depends on what was changed"


def _lists(record: NotebookRecord) -> Iterator[Finding]:
    if not record.never_run:
        never = [cell.number for cell in record.cells if not cell.was_run and cell.status != "EMPTY"]
        if never:
            text = f"Without an execution number and without outputs in the file: {_cells(never)}."
            yield Finding(NOTE, text)
    for status in ("OUT_OF_BUDGET", "NOT_REACHED"):
        numbers = [cell.number for cell in record.cells if cell.status == status]
        if numbers:
            yield Finding(NOTE, f"Not begun, because {_WHY[status]}: {_cells(numbers)}.")


_WHY = {"OUT_OF_BUDGET": "the time for all cells was used up", "NOT_REACHED": "the worker had ended before"}


def _changes(record: NotebookRecord) -> Iterator[Finding]:
    for cell in record.cells:
        for change in cell.changes:
            where = f"Cell {cell.number}, line {change.line}"
            text = f"{where}: “{change.before}” was left out."
            if change.why != NOT_RUN:
                text = f"{where}: “{change.before}” was executed as “{change.after}” ({change.why})."
            yield Finding(CHANGED, text, cell.number)


def _cells(numbers: Sequence[int]) -> str:
    shown = ", ".join(str(number) for number in numbers[:_MANY])
    return f"{'cell' if len(numbers) == 1 else 'cells'} {shown}" + (
        f" and {len(numbers) - _MANY} more" if len(numbers) > _MANY else ""
    )


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"
