"""What the trusted process believes of the workers' answers: every field checked for type, range and size."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grader.intake.names import safe_text
from grader.wire import Message

STATUSES = {
    "OK": "was run",
    "ERROR": "ended with an error",
    "TIMEOUT": "did not finish in time and was interrupted",
    "TIMEOUT_KILLED": "did not finish in time and ignored the interrupt",
    "CRASHED": "ended the kernel",
    "TOO_MUCH_OUTPUT": "showed more than can be kept",
    "OUT_OF_BUDGET": "was not begun: the time for all cells was used up",
    "NOT_REACHED": "was not begun: the worker had ended before",
    "NEEDS_NAMES": "needs what a cell before it did not come to make",
    "EMPTY": "has nothing to run",
}
VERDICTS = ("same", "differs", "could not be compared", "not comparable", "not run", "never run", "nothing shown")
_TEXT, _NAME, _MAX_CELLS = 200, 80, 500


class MalformedAnswer(Exception):
    """A worker's answer is not what it should be; nothing of it is used."""


@dataclass(frozen=True)
class Change:
    """A line that was not executed as it stood; `after` is empty where it was left out."""

    line: int
    before: str
    after: str
    why: str


@dataclass(frozen=True)
class CellRecord:
    """
    What came of one cell.

    Args:
        number: position among the notebook's code cells, from 1.
        status: a key of `STATUSES`.
        seconds: that it took.
        verdict: one of `VERDICTS`.
        why: it could not be compared, as the end of a sentence.
        then, now: the lines in which the outputs part, empty where there are none.
        error_then, error_now: names of exceptions that ended it.
        needs: a name that is missing, with the cell that would have made it; or nothing.
        was_run: the file says that the student ran it.
        reached: what it shows may depend on changes of the audit.
        silent: it shows something, but its code has nothing that could show it.
        changes: lines that were not executed as they stood.
    """

    number: int
    status: str
    seconds: float
    verdict: str
    why: str = ""
    then: str = ""
    now: str = ""
    error_then: str = ""
    error_now: str = ""
    needs: tuple[str, int] | None = None
    was_run: bool = True
    reached: bool = False
    silent: bool = False
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class PlannedNotebook:
    """A notebook that is to be executed: its name as it may be shown, and its number of code cells."""

    name: str
    cells: int


@dataclass(frozen=True)
class Progress:
    """What a worker told of one cell."""

    number: int
    status: str
    seconds: float


@dataclass(frozen=True)
class NotebookRecord:
    """
    What came of one notebook.

    Args:
        name: as it may be shown.
        cells: in order.
        order: (cell, its execution number, earlier cell, that one's number) of cells run before an earlier one.
        never_run: no cell of the file has an execution number or an output.
        ended: how its worker ended where it did not come to its end, or "".
        uncompared: why nothing that it shows could be compared, or "".
        executed: the executed notebook's bytes.
    """

    name: str
    cells: tuple[CellRecord, ...]
    order: tuple[tuple[int, int, int, int], ...] = ()
    never_run: bool = False
    ended: str = ""
    executed: bytes = field(default=b"", repr=False)
    uncompared: str = ""


def read_plan(message: Message) -> tuple[list[PlannedNotebook], list[str], list[str]]:
    """
    Return the notebooks, the names of the files beside them and the notes of intake.

    Raises:
        MalformedAnswer: the message is no plan.
    """
    meta = _mapping(message.meta, {"notebooks", "files", "notes"})
    notebooks = []
    for index, item in enumerate(_list(meta["notebooks"], 20)):
        fields = _mapping(item, {"name", "cells"})
        notebooks.append(PlannedNotebook(_text(fields["name"], _NAME), _integer(fields["cells"], _MAX_CELLS)))
        if f"plan/{index}" not in message.arrays or f"notebook/{index}" not in message.arrays:
            raise MalformedAnswer("arrays")
    files = [_file_name(name) for name in _list(meta["files"], 100)]
    if any(f"file/{index}" not in message.arrays for index in range(len(files))):
        raise MalformedAnswer("files")
    return notebooks, files, [_text(note, 500) for note in _list(meta["notes"], 50)]


def read_progress(message: Message) -> Progress:
    """
    Return what a message tells of a cell.

    Raises:
        MalformedAnswer: it tells nothing.
    """
    meta = _mapping(message.meta, {"number", "status", "seconds"})
    if set(message.arrays) != {"outputs"}:
        raise MalformedAnswer("arrays")
    number = _integer(meta["number"], _MAX_CELLS)
    return Progress(number, _one_of(meta["status"], STATUSES), _seconds(meta["seconds"]))


def read_records(message: Message, name: str, *, ended: str) -> NotebookRecord:
    """
    Return a notebook's record.

    Raises:
        MalformedAnswer: the message is none.
    """
    meta = _mapping(message.meta, {"cells", "order", "unparsed"})
    executed = message.arrays.get("executed")
    return NotebookRecord(
        name,
        tuple(_cell(item) for item in _list(meta["cells"], _MAX_CELLS)),
        tuple(_four(item) for item in _list(meta["order"], 50)),
        _boolean(meta["unparsed"]),
        ended,
        b"" if executed is None else executed.tobytes(),
    )


def _cell(value: object) -> CellRecord:
    names = set(CellRecord.__dataclass_fields__)
    fields = _mapping(value, names)
    needs = _list(fields["needs"], 2)
    return CellRecord(
        number=_integer(fields["number"], _MAX_CELLS),
        status=_one_of(fields["status"], STATUSES),
        seconds=_seconds(fields["seconds"]),
        verdict=_one_of(fields["verdict"], VERDICTS),
        why=_text(fields["why"], _TEXT),
        needs=(_text(needs[0], _NAME), _integer(needs[1], _MAX_CELLS)) if len(needs) == 2 else None,
        changes=tuple(_change(item) for item in _list(fields["changes"], 50)),
        then=_text(fields["then"], _TEXT),
        now=_text(fields["now"], _TEXT),
        error_then=_text(fields["error_then"], _TEXT),
        error_now=_text(fields["error_now"], _TEXT),
        was_run=_boolean(fields["was_run"]),
        reached=_boolean(fields["reached"]),
        silent=_boolean(fields["silent"]),
    )


def _change(value: object) -> Change:
    parts = _list(value, 4)
    if len(parts) != 4:
        raise MalformedAnswer("change")
    line, before, after, why = parts
    return Change(_integer(line, 10**6), _text(before, _TEXT), _text(after, _TEXT), _text(why, _NAME))


def _four(value: object) -> tuple[int, int, int, int]:
    parts = _list(value, 4)
    if len(parts) != 4:
        raise MalformedAnswer("order")
    one, two, three, four = (_integer(part, 10**12) for part in parts)
    return one, two, three, four


def _mapping(value: object, keys: set[str]) -> Mapping[str, Any]:
    if type(value) is not dict or set(value) != keys:
        raise MalformedAnswer("object")
    return value


def _list(value: object, limit: int) -> Sequence[Any]:
    if type(value) is not list or len(value) > limit:
        raise MalformedAnswer("list")
    return value


def _text(value: object, limit: int) -> str:
    if type(value) is not str or len(value) > 10 * limit:
        raise MalformedAnswer("text")
    return safe_text(value, limit=limit)


def _file_name(value: object) -> str:
    if type(value) is not str or not 0 < len(value) <= _NAME or "/" in value or "\0" in value or value in (".", ".."):
        raise MalformedAnswer("file name")
    return value


def _integer(value: object, limit: int) -> int:
    if type(value) is not int or not 0 <= value <= limit:
        raise MalformedAnswer("number")
    return value


def _seconds(value: object) -> float:
    if type(value) not in (int, float) or not 0 <= float(value) < 1e6:  # type: ignore[arg-type] # it is a number
        raise MalformedAnswer("seconds")
    return float(value)  # type: ignore[arg-type] # it is a number


def _boolean(value: object) -> bool:
    if type(value) is not bool:
        raise MalformedAnswer("boolean")
    return value


def _one_of(value: object, allowed: Any) -> str:
    if type(value) is not str or value not in allowed:
        raise MalformedAnswer("word")
    return value
