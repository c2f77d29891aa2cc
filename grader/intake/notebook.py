"""A notebook's bytes become its code cells (worker side)."""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass
from typing import Any

from grader.intake.figures import calls_something, is_figure
from grader.intake.names import quoted
from grader.intake.report import MAX_CELL_CHARACTERS, Note

MAX_CODE_CELLS = 2_000

_CELL_START = re.compile(r'\{\s*"cell_type"\s*:')
_SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True)
class CodeCell:
    """
    A code cell as the student wrote it.

    `number` is its position among the notebook's code cells, from 1. Jupyter shows no positions, but it
    numbers code cells alone when it runs them: after "Restart and run all", this is the number in brackets
    beside the cell.

    `was_run` says that the file shows an execution count or outputs of the cell, `figures` and `errors` how many of
    its outputs are images that the cell can have drawn, and error reports. It is the file that says so: anybody can
    write it there.
    """

    number: int
    source: str
    was_run: bool = False
    figures: int = 0
    errors: int = 0


def read_notebook(name: str, data: bytes) -> tuple[list[CodeCell], list[Note]]:
    """
    Return the code cells of a notebook of format 3 or 4, tolerating whatever else is in it.

    Of a cell only its type and source are read, and whether it has outputs, of which kind. Where the JSON is
    broken, as after an interrupted upload, the cells that are whole are still used and a note says where it broke.
    """
    notes: list[Note] = []
    text = decode(data)
    try:
        cells = _cells_of(_decoder().decode(text.strip()))
    except json.JSONDecodeError as error:
        cells = _salvage(text)
        where = f"line {error.lineno}, column {error.colno}" if text.strip() else "it is empty"
        notes.append(_damaged(name, f"({where})", _count_code(cells)))
    except (RecursionError, ValueError):
        cells = _salvage(text)
        notes.append(_damaged(name, "(it is nested too deeply)", _count_code(cells)))
    found = [cell for cell in cells if _is_code(cell)]
    code = [_code_cell(number, cell) for number, cell in enumerate(found[:MAX_CODE_CELLS], start=1)]
    if len(found) > MAX_CODE_CELLS:
        notes.append(Note("left-out", f"Only the first {MAX_CODE_CELLS} code cells of {quoted(name)} were read."))
    too_long = [str(cell.number) for cell in code if len(cell.source) > MAX_CELL_CHARACTERS]
    if too_long:
        where = ", ".join(too_long[:10])
        text = f"In {quoted(name)}, code cell {where} is too long to be code and was left out."
        notes.append(Note("left-out", text))
    return [cell for cell in code if len(cell.source) <= MAX_CELL_CHARACTERS], notes


def decode(data: bytes) -> str:
    """
    Return text from UTF-8 or UTF-16, with or without a byte order mark; bytes that are neither are replaced.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return data.decode("utf-16", "replace")
    if data[1:2] == b"\0":
        return data.decode("utf-16-le", "replace")
    if data[:1] == b"\0":
        return data.decode("utf-16-be", "replace")
    return data.decode("utf-8-sig", "replace")


def clean_source(source: str) -> str:
    """
    Return source that can be encoded, and whose lines all end in a newline character alone.

    Half an emoji (a lone surrogate) is legal in JSON, and would keep a whole cell from being compiled.
    """
    return _SURROGATE.sub("\ufffd", source.replace("\r\n", "\n").replace("\r", "\n"))


def _damaged(name: str, where: str, found: int) -> Note:
    saved = f"its {found} whole code cells are graded" if found else "no whole code cell was found in it"
    return Note(
        "damaged",
        f"{quoted(name)} is not a valid notebook {where}; {saved}. Save it in Jupyter and upload it again.",
    )


def _decoder() -> json.JSONDecoder:
    """
    Return a decoder for which no number is an error: Python refuses those of 4,300 digits.

    No number's value is used. That there is one says of an execution count all that is asked.
    """
    return json.JSONDecoder(parse_int=_some_number, parse_float=_ignore, parse_constant=_ignore, strict=False)


def _some_number(text: str) -> int:
    return 1


def _ignore(text: str) -> None:
    return None


def _cells_of(document: Any) -> list[Any]:
    """Return the cells of format 4 (`cells`) or format 3 (`worksheets`, each with `cells`)."""
    if not isinstance(document, dict):
        return []
    found = document.get("cells")
    cells = list(found) if isinstance(found, list) else []
    worksheets = document.get("worksheets")
    for sheet in worksheets if isinstance(worksheets, list) else []:
        if isinstance(sheet, dict) and isinstance(sheet.get("cells"), list):
            cells += sheet["cells"]
    return cells


def _salvage(text: str) -> list[Any]:
    """
    Return the cells that can be decoded one by one; every tool writes `cell_type` as a code cell's first key.
    """
    decoder, cells, position = _decoder(), [], 0
    while match := _CELL_START.search(text, position):
        try:
            cell, position = decoder.raw_decode(text, match.start())
            cells.append(cell)
        except (ValueError, RecursionError):
            position = match.end()
    return cells


def _is_code(cell: Any) -> bool:
    return isinstance(cell, dict) and cell.get("cell_type") == "code"


def _count_code(cells: list[Any]) -> int:
    return sum(_is_code(cell) for cell in cells)


def _source_of(cell: dict[str, Any]) -> str:
    source = cell.get("source", cell.get("input"))
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    return clean_source(source) if isinstance(source, str) else ""


def _code_cell(number: int, cell: dict[str, Any]) -> CodeCell:
    listed = cell.get("outputs")
    outputs = [output for output in listed if isinstance(output, dict)] if isinstance(listed, list) else []
    count = cell.get("execution_count", cell.get("prompt_number"))
    source = _source_of(cell)
    return CodeCell(
        number,
        source,
        was_run=bool(outputs) or count is not None,
        figures=sum(is_figure(output) for output in outputs) if calls_something(source) else 0,
        errors=sum(output.get("output_type") in ("error", "pyerr") for output in outputs),
    )
