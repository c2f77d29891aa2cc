"""A notebook's bytes become its code cells (worker side)."""

from __future__ import annotations

import codecs
import json
import re
from dataclasses import dataclass
from typing import Any

from grader.intake.figures import calls_something, is_figure
from grader.intake.magics import parses
from grader.intake.names import quoted
from grader.intake.report import MAX_CELL_CHARACTERS, Note

MAX_CODE_CELLS = 2_000

# An object that may be a notebook or a cell, whichever key a tool writes first.
_OBJECT_START = re.compile(
    r'\{\s*"(?:cells|worksheets|cell_type|id|metadata|execution_count|prompt_number|source|input|outputs|attachments)"\s*:'
)
# How often each character may be read again where attempts at objects fail. An honest file with a break in it needs
# three times; without an end to it, objects in objects cost a time that grows with the square of the file's length.
_MOST_READINGS = 8
_DEEP_OBJECT = 10_000  # characters that an attempt counts as that ends in too deep a nesting
_DEFINES = re.compile(r"^(?:def|class)[ \t]+\w+", re.MULTILINE)
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
    code, _, notes = read_cells(name, data)
    return code, notes


def read_cells(name: str, data: bytes) -> tuple[list[CodeCell], list[tuple[str, str]], list[Note]]:
    """
    Return what `read_notebook` does and, between, the cells of other types that hold definitions: (where, source).
    """
    notes: list[Note] = []
    cells = _any_cells(name, decode(data), notes)
    found = [cell for cell in cells if _is_code(cell)]
    code = [_code_cell(number, cell) for number, cell in enumerate(found[:MAX_CODE_CELLS], start=1)]
    if len(found) > MAX_CODE_CELLS:
        notes.append(Note("left-out", f"Only the first {MAX_CODE_CELLS} code cells of {quoted(name)} were read."))
    too_long = [str(cell.number) for cell in code if len(cell.source) > MAX_CELL_CHARACTERS]
    if too_long:
        where = ", ".join(too_long[:10])
        text = f"In {quoted(name)}, code cell {where} is too long to be code and was left out."
        notes.append(Note("left-out", text))
    return [cell for cell in code if len(cell.source) <= MAX_CELL_CHARACTERS], _definitions_elsewhere(cells), notes


def _any_cells(name: str, text: str, notes: list[Note]) -> list[Any]:
    """Return the cells of every type; where the JSON is broken, those that can be read."""
    resolved, conflicts = _upper_versions(text) if "\n>>>>>>>" in text else (text, 0)
    if conflicts:
        notes.append(_conflicting(name, conflicts))
    try:
        return _cells_of(_decoder().decode(resolved.strip()))
    except json.JSONDecodeError as error:
        cells = _salvage(resolved)
        where = f"line {error.lineno}, column {error.colno}" if text.strip() else "it is empty"
        notes.append(_damaged(name, f"({where})", _count_code(cells)))
    except (RecursionError, ValueError):
        cells = _salvage(resolved)
        notes.append(_damaged(name, "(it is nested too deeply)", _count_code(cells)))
    return cells


def _definitions_elsewhere(cells: list[Any]) -> list[tuple[str, str]]:
    """Return the cells that are no code cells and hold functions or classes in Python: (where, source)."""
    found = []
    above = 0
    for cell in cells:
        if _is_code(cell):
            above += 1
        elif isinstance(cell, dict) and cell.get("cell_type") in ("raw", "markdown"):
            source = _source_of(cell)
            if len(source) <= MAX_CELL_CHARACTERS and _DEFINES.search(source) and parses(source):
                place = f"below code cell {above}" if above else "at the top"
                found.append((f"{cell['cell_type']} cell {place}", source))
    return found[:MAX_CODE_CELLS]


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


def _upper_versions(text: str) -> tuple[str, int]:
    """
    Return a text with the upper one of the two versions that git leaves of each conflict, and how many there were.

    Marks that do not go together are no conflict: the text stays as it is.
    """
    kept: list[str] = []
    count, side = 0, 0  # 0 outside, 1 in the upper version, 2 in the common or the lower one
    for line in text.split("\n"):
        mark = line[:7]
        if mark == "<<<<<<<" and side == 0:
            side, count = 1, count + 1
        elif mark in ("|||||||", "=======") and side:
            side = 2
        elif mark == ">>>>>>>" and side == 2:
            side = 0
        elif mark in ("<<<<<<<", ">>>>>>>"):
            return text, 0
        elif side != 2:
            kept.append(line)
    return ("\n".join(kept), count) if side == 0 else (text, 0)


def _conflicting(name: str, count: int) -> Note:
    times = "once" if count == 1 else f"{count} times"
    return Note(
        "damaged",
        f"{quoted(name)} holds two versions, as git leaves them ({times} {quoted('<<<<<<<')}): the upper one counts. "
        "Choose one in each place, save the notebook and hand in again.",
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
    """Return the cells that can be decoded one by one, in the order of the text."""
    decoder, cells, position = _decoder(), [], 0
    left = _MOST_READINGS * len(text) + _DEEP_OBJECT
    while left > 0 and (match := _OBJECT_START.search(text, position)) is not None:
        start = match.start()
        try:
            found, position = decoder.raw_decode(text, start)
            left -= position - start
            cells += [found] if "cell_type" in found else _cells_of(found)
        except json.JSONDecodeError as error:
            left -= max(error.pos - start, 1)
            position = match.end()
        except (ValueError, RecursionError):
            left -= _DEEP_OBJECT
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
