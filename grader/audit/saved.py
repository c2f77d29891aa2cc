"""A notebook as it was handed in, with what it shows: execution numbers and outputs (worker side)."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from grader.intake.notebook import clean_source, decode, read_notebook

MAX_CELLS = 500
_LONGEST_NUMBER = 12  # digits of an execution count; Python refuses numbers of thousands of digits


@dataclass(frozen=True)
class SavedCell:
    """
    A code cell of a file.

    Args:
        number: position among the notebook's code cells, from 1.
        source: its code.
        count: the number that Jupyter shows beside a cell that was run, or None.
        outputs: what the file shows below it, as Jupyter's format has it.
    """

    number: int
    source: str
    count: int | None = None
    outputs: tuple[dict[str, Any], ...] = ()

    @property
    def was_run(self) -> bool:
        """Whether the file says that the cell was run; anybody can write that there."""
        return self.count is not None or bool(self.outputs)


def read_saved(name: str, data: bytes) -> list[SavedCell]:
    """Return the code cells of a notebook; of one whose JSON is broken the sources that can be saved."""
    document = _parse(data)
    cells = document.get("cells") if isinstance(document, dict) else None
    if not isinstance(cells, list):
        return [SavedCell(cell.number, cell.source) for cell in read_notebook(name, data)[0][:MAX_CELLS]]
    code = [cell for cell in cells if isinstance(cell, dict) and cell.get("cell_type") == "code"]
    return [_saved_cell(number, cell) for number, cell in enumerate(code[:MAX_CELLS], start=1)]


def _parse(data: bytes) -> Any:
    try:
        return json.loads(decode(data), parse_int=small_integer, strict=False)
    except (ValueError, RecursionError):
        return None


def small_integer(text: str) -> int:
    """Return a number of a notebook's file, and 0 for one of thousands of digits, which Python refuses."""
    return int(text) if len(text) <= _LONGEST_NUMBER else 0


def _saved_cell(number: int, cell: dict[str, Any]) -> SavedCell:
    outputs, count = cell.get("outputs"), cell.get("execution_count")
    return SavedCell(
        number,
        clean_source(joined(cell.get("source"))),
        count if type(count) is int and count >= 0 else None,
        tuple(output for output in outputs if isinstance(output, dict)) if isinstance(outputs, list) else (),
    )


def joined(text: object) -> str:
    """Return text that Jupyter stores as one string or as a list of lines."""
    if isinstance(text, list):
        return "".join(line for line in text if isinstance(line, str))
    return text if isinstance(text, str) else ""
