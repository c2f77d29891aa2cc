"""
Where in a student's code a known mistake may stand: a line to look at, found by its words.

Student code is not parsed here: the trusted process reads lines, and no more than a few thousand of them. What is
found is only shown, so a line that is not the right one costs a look.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from grader.feedback.text import code as code_span
from grader.intake.report import Cell, Code

if TYPE_CHECKING:
    from grader.checks.misconceptions import Misconception

_MAX_LINES = 4_000  # of a cell
_MAX_CHARACTERS = 400  # of a line that is looked at
_SHOWN_CHARACTERS = 100
_DOCSTRING = re.compile(r"[rRuUbB]{0,2}(\"\"\"|''')")

Line = tuple[int, str]  # counted from 1 as the student sees them


def places_of(
    entries: Sequence[Misconception], code: Code, *, function: str, aliases: Sequence[str] = ()
) -> tuple[str, ...]:
    """
    Return a sentence for each line where a mistake may be mended, or one that says where the function is.

    Args:
        entries: the mistakes.
        code: the student's code of the part that was asked about.
        function: the contract's name of the function, dotted for a method.
        aliases: other names under which it may have been handed in.
    """
    lines, functions = [], []
    for entry in entries:
        for name in (entry.place or function, *aliases):
            found = next(((cell, mine) for cell in _cells(code, name) if (mine := _lines_of(cell.source, name))), None)
            if found is not None:
                cell, mine = found
                line = _telling_line(mine[1:], _clues(entry))
                lines += [f"Look at {code_span(cell.label)}, line {line[0]}: {_shown(line[1])}."] if line else []
                functions.append(
                    f"Your {code_span(name)} stands in {code_span(cell.label)}, from line {mine[0][0]} on."
                )
                break
    return tuple(dict.fromkeys(lines or functions[:1]))


def _clues(entry: Misconception) -> tuple[str, ...]:
    """Names that a telling line holds: those of the entry, or those that its words put into code spans."""
    return entry.clues or tuple(re.findall(r"`([^`]*)`", entry.hint))


def _cells(code: Code, name: str) -> Iterator[Cell]:
    """Yield the cells that a name's plan needs, the latest first: a later definition wins."""
    plan = code.plans.get(name) or code.plans.get(name.partition(".")[0]) or ()
    for index in sorted({cell for cell, _ in plan}, reverse=True):
        yield code.cells[index]


def _lines_of(source: str, name: str) -> list[Line]:
    """Return the definition of a function or method, without its docstring and comments; empty if it is not there."""
    lines = [(number, text[:_MAX_CHARACTERS]) for number, text in enumerate(source.split("\n"), start=1)][:_MAX_LINES]
    owner, _, function = name.rpartition(".")
    if owner:
        lines = _block(lines, rf"[ \t]*class[ \t]+{re.escape(owner)}\b")[1:]
    block = _block(lines, rf"[ \t]*(?:async[ \t]+)?def[ \t]+{re.escape(function)}\b")
    return [*block[:1], *_code_lines(block[1:])]


def _block(lines: Sequence[Line], header: str) -> list[Line]:
    """Return the last line that begins as the header does, and what is indented below it."""
    starts = [place for place, (_, text) in enumerate(lines) if re.match(header, text)]
    if not starts:
        return []
    first = starts[-1]
    depth = _depth(lines[first][1])
    block = [lines[first]]
    signature_is_open = not _ends_signature(lines[first][1])
    for number, text in lines[first + 1 :]:
        if text.strip() and _depth(text) <= depth and not signature_is_open:
            break
        signature_is_open = signature_is_open and not _ends_signature(text)
        block.append((number, text))
    return block


def _ends_signature(text: str) -> bool:
    return text.partition("#")[0].rstrip().endswith(":") or bool(re.search(r"\).*:\s*\S", text))


def _depth(text: str) -> int:
    return len(text.expandtabs()) - len(text.expandtabs().lstrip())


def _code_lines(lines: Sequence[Line]) -> Iterator[Line]:
    """Yield the lines that are code."""
    closing = ""
    for number, text in lines:
        stripped = text.strip()
        if closing:
            closing = "" if closing in stripped else closing
            continue
        opening = _DOCSTRING.match(stripped)
        if opening:
            rest = stripped[opening.end() :]
            closing = "" if opening.group(1) in rest else opening.group(1)
        elif stripped and not stripped.startswith("#"):
            yield number, text


def _telling_line(body: Sequence[Line], clues: Sequence[str]) -> Line | None:
    """Return the first line with the first clue that is there, but the last one that assigns it."""
    for clue in clues:
        found = [line for line in body if _has(line[1], clue)]
        assigned = [line for line in found if re.match(rf"\s*{re.escape(clue)}\b[^=]*=(?!=)", line[1])]
        if found:
            return assigned[-1] if assigned else found[0]
    return None


def _shown(text: str) -> str:
    return code_span(text.partition("  #")[0].strip(), limit=_SHOWN_CHARACTERS)


def _has(text: str, clue: str) -> bool:
    """Whether a line of code has a clue in it, as a whole word where it is one."""
    text = text.partition("  #")[0]
    before = r"(?<!\w)" if clue[:1].isalnum() or clue[:1] == "_" else ""
    after = r"(?!\w)" if clue[-1:].isalnum() or clue[-1:] == "_" else ""
    return re.search(before + re.escape(clue) + after, text) is not None
