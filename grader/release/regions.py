"""Solution regions: the lines of a notebook or module that students write, marked in its source."""

from __future__ import annotations

import ast
import re
from collections.abc import Sequence
from dataclasses import dataclass

from grader.errors import StaffError

BEGIN = "# BEGIN SOLUTION"
END = "# END SOLUTION"
_LOOKS_LIKE_A_MARKER = re.compile(r"#\s*(begin|end)\s*solution", re.IGNORECASE)
_CELL_BOUNDARY = "# %%"


@dataclass(frozen=True)
class Region:
    """One marked region: the indices of its two marker lines."""

    begin: int
    end: int


ANSWER_PLACEHOLDER = "**Your answer:**"


def find_regions(lines: Sequence[str], *, origin: str) -> list[Region]:
    """
    Find the solution regions of a text.

    Args:
        lines: the text; a `# %%` line ends a cell, and with it whatever must end inside the cell.
        origin: the file's name for messages, which give the line within it as well.

    Returns:
        The regions in order.

    Raises:
        StaffError: a region inside another, one that is not closed in its cell, an end without a
            beginning, or a marker that is not alone on its line and spelled exactly.
    """
    regions: list[Region] = []
    begin: int | None = None
    for index, line in enumerate(lines):
        marker = line.strip()
        if marker == BEGIN:
            if begin is not None:
                raise _marker_error(origin, index, f"{BEGIN!r} stands inside the region of line {begin + 1}.")
            begin = index
        elif marker == END:
            if begin is None:
                raise _marker_error(origin, index, f"{END!r} closes no region.")
            regions.append(Region(begin, index))
            begin = None
        elif _LOOKS_LIKE_A_MARKER.search(line):
            raise _marker_error(origin, index, f"{marker!r} is not exactly {BEGIN!r} or {END!r}.")
        elif line.startswith(_CELL_BOUNDARY) and begin is not None:
            break
    if begin is not None:
        raise _marker_error(origin, begin, f"The region that begins here has no {END!r} in its cell.")
    return regions


def without_markers(text: str, *, origin: str) -> str:
    """Return a cell's text as solved: every region's lines stay, the marker lines go."""
    lines = text.splitlines()
    markers = {index for region in find_regions(lines, origin=origin) for index in (region.begin, region.end)}
    return "\n".join(line for index, line in enumerate(lines) if index not in markers)


def without_solutions(text: str, *, origin: str) -> str:
    """Return a cell's text as handed out: every region becomes a comment and a NotImplementedError."""
    lines = text.splitlines()
    regions = find_regions(lines, origin=origin)
    names = [_enclosing_definition(text, region, origin=origin) for region in regions]
    for region, name in zip(reversed(regions), reversed(names), strict=True):
        indent = lines[region.begin][: -len(lines[region.begin].lstrip())]
        lines[region.begin : region.end + 1] = [
            f"{indent}# Your solution: replace the line below.",
            f'{indent}raise NotImplementedError("{name} is not implemented yet")',
        ]
    return "\n".join(lines)


def with_answers(text: str, *, origin: str) -> str:
    """Return a markdown cell's text as solved. In the percent source its markers look like those of code."""
    return _uncommented(without_markers(_commented(text), origin=origin))


def without_answers(text: str, *, origin: str) -> str:
    """Return a markdown cell's text as handed out: every region becomes a place for the student's answer."""
    lines = _commented(text).splitlines()
    for region in reversed(find_regions(lines, origin=origin)):
        lines[region.begin : region.end + 1] = [_commented(ANSWER_PLACEHOLDER)]
    return _uncommented("\n".join(lines))


def _commented(text: str) -> str:
    return "\n".join(f"# {line}" for line in text.split("\n"))


def _uncommented(text: str) -> str:
    return "\n".join(line.removeprefix("# ") for line in text.split("\n"))


def mark_body(text: str, name: str, *, origin: str) -> str:
    """
    Return the text with the body of a function or method, after its docstring, as a solution region.

    Args:
        text: Python source.
        name: a function's name, or a class and its method: `MaskedAutoEncoder.forward_encoder`.
        origin: the file's name for messages.

    Raises:
        StaffError: the text has no such function, or it has no body beside its docstring.
    """
    body = _body_after_docstring(_definitions(ast.parse(text)).get(name))
    if not body:
        raise StaffError(
            happened=f"{origin}: {name!r} is in `write`, but no function of that name has a body.",
            try_next="Correct the name in `write`.",
        )
    lines = text.splitlines()
    first, last = body[0].lineno, body[-1].end_lineno
    while lines[first - 2].lstrip().startswith("#"):  # what is said about the first statement belongs to it
        first -= 1
    indent = " " * body[0].col_offset
    return "\n".join([*lines[: first - 1], indent + BEGIN, *lines[first - 1 : last], indent + END, *lines[last:]])


def _body_after_docstring(node: ast.stmt | None) -> list[ast.stmt]:
    """Return the statements of a function without its docstring; of anything else, none."""
    if not isinstance(node, ast.FunctionDef):
        return []
    return node.body if ast.get_docstring(node) is None else node.body[1:]


def _definitions(tree: ast.AST, prefix: str = "") -> dict[str, ast.stmt]:
    """Return every function and class of a tree under its qualified name."""
    found: dict[str, ast.stmt] = {}
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            found[prefix + node.name] = node
            found |= _definitions(node, prefix + node.name + ".")
    return found


def _enclosing_definition(text: str, region: Region, *, origin: str) -> str:
    """Return the qualified name of the innermost function or class around a region."""
    try:
        definitions = _definitions(ast.parse(text))
    except SyntaxError as error:
        raise StaffError(
            happened=f"{origin}: a cell with a solution region does not compile: {error}.",
            try_next="Correct the cell; shell and magic lines belong in a cell of their own.",
        ) from error
    around = [
        name
        for name, node in definitions.items()
        if node.lineno - 1 < region.begin and region.end <= (node.end_lineno or node.lineno)
    ]
    return max(around, key=lambda name: name.count("."), default="this cell")


def _marker_error(origin: str, index: int, what: str) -> StaffError:
    return StaffError(
        happened=f"{origin}:{index + 1}: {what}",
        try_next=f"Write {BEGIN!r} and {END!r} in turn, each alone on its line, inside one cell.",
    )
