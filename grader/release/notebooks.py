"""
Notebooks from their one source: percent text, rendered solved or as handed out.

A cell may take its code from a package instead of repeating it:

    # %% include="reference.vision.masking:random_masking" write="random_masking"

stands for the source of that function; several names are separated by commas, and with `closure=true` what they need
of their module comes with them. `write` names the functions or methods (`MaskedAutoEncoder.forward`) whose bodies
students write. Other cells mark what students write with `# BEGIN SOLUTION` and `# END SOLUTION`; markdown cells mark
written answers in the same way.
"""

from __future__ import annotations

import ast
import copy
import importlib.util
import itertools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

import jupytext
import nbformat

from grader.errors import StaffError
from grader.release.regions import (
    find_regions,
    mark_body,
    with_answers,
    without_answers,
    without_markers,
    without_solutions,
)

NotebookNode: TypeAlias = nbformat.NotebookNode
Fill: TypeAlias = Callable[[str], str]


def notebook_sources(folder: Path) -> list[Path]:
    """Return the sources of all notebooks in a folder, in the order of their names."""
    return sorted(folder.glob("*.py"))


def solved_notebook(folder: Path, name: str, *, fill: Fill = str) -> NotebookNode:
    """
    Render a notebook with its solutions.

    Args:
        folder: with the sources.
        name: the notebook's name without suffix, such as `MAE_student`.
        fill: puts numbers into the text of a written answer.

    Raises:
        StaffError: there is no such source, or a marker or an include in it is wrong.
    """
    return render(_source(folder, name), solved=True, fill=fill)


def template_notebook(folder: Path, name: str) -> NotebookNode:
    """Render a notebook as students get it; arguments and errors are those of `solved_notebook`."""
    return render(_source(folder, name), solved=False)


def render(source: Path, *, solved: bool, fill: Fill = str) -> NotebookNode:
    """
    Render a percent source as a notebook; the same source gives the same notebook, ids included.

    Args:
        source: the percent text.
        solved: keep the solutions, or put a comment and a NotImplementedError in their places, and a place for
            the student's words where an answer was.
        fill: as for `solved_notebook`.

    Raises:
        StaffError: a marker or an include is wrong.
    """
    text = source.read_text(encoding="utf-8")
    find_regions(text.splitlines(), origin=source.name)
    parsed = jupytext.reads(text, fmt="py:percent")
    cells = []
    for number, cell in enumerate(parsed.cells, start=1):
        cell.metadata.pop("lines_to_next_cell", None)  # only jupytext wants to know
        cell.id = f"{source.stem.lower()}-{number:02d}"
        if cell.cell_type == "code":
            cell.source = _code(cell, origin=source.name, solved=solved)
        elif solved:
            cell.source = fill(with_answers(cell.source, origin=source.name))
        else:
            cell.source = without_answers(cell.source, origin=source.name)
        cells.append(cell)
    metadata: dict[str, Any] = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    if any("training" in cell.metadata.get("tags", []) for cell in cells):
        metadata |= {"accelerator": "GPU", "colab": {"gpuType": "T4"}}  # what Colab then starts with
    notebook: NotebookNode = nbformat.v4.new_notebook(cells=cells, metadata=metadata)
    nbformat.validate(notebook)
    return notebook


def notebook_bytes(notebook: NotebookNode) -> bytes:
    """Return a notebook as the bytes of its file."""
    text: str = nbformat.writes(notebook, version=4)
    return (text.rstrip("\n") + "\n").encode()


def edit_notebook(notebook: NotebookNode, edits: Mapping[str, str]) -> NotebookNode:
    """
    Return a copy of a notebook with pieces of its code replaced.

    Args:
        notebook: the notebook, left as it is.
        edits: old text to new text; each old text stands exactly once in the code of the notebook.

    Raises:
        StaffError: an old text is missing or stands there more than once.
    """
    edited = copy.deepcopy(notebook)
    for old, new in edits.items():
        code = [cell for cell in edited.cells if cell.cell_type == "code"]
        require_once(old, count=sum(cell.source.count(old) for cell in code), where="the notebook's code")
        for cell in code:
            cell.source = cell.source.replace(old, new)
    return edited


def require_once(old: str, *, count: int, where: str) -> None:
    """Raise a StaffError unless the text of an edit was counted exactly once."""
    if count != 1:
        raise StaffError(
            happened=f"A text to edit stands {count} times in {where}, not once: {old!r}.",
            try_next="Adapt the edit to the source, with enough of its surroundings to be unique.",
        )


def _source(folder: Path, name: str) -> Path:
    sources = {path.stem: path for path in notebook_sources(folder)}
    if name not in sources:
        raise StaffError(
            happened=f"There is no notebook source called {name!r}.",
            try_next=f"Choose one of {', '.join(sources)}.",
        )
    return sources[name]


def _code(cell: NotebookNode, *, origin: str, solved: bool) -> str:
    """Resolve a code cell's include, and render its regions."""
    include, write = cell.metadata.pop("include", None), cell.metadata.pop("write", "")
    closure = cell.metadata.pop("closure", False)
    text: str = cell.source
    if include is not None:
        if text.strip():
            raise StaffError(
                happened=f"{origin}: the cell that includes {include!r} has text of its own, too.",
                try_next="Move the text into a cell of its own.",
            )
        text = included_source(include, closure=closure, origin=origin)
    for name in _names(write):
        text = mark_body(text, name, origin=origin)
    return without_markers(text, origin=origin) if solved else without_solutions(text, origin=origin)


def included_source(include: str, *, closure: bool, origin: str) -> str:
    """
    Return the source of `package.module:name,name`.

    Args:
        include: the module and its names.
        closure: bring what the names need of their module, in the module's order; otherwise the names alone, as given.
        origin: the including file's name for messages.

    Raises:
        StaffError: there is no such module, or it does not define all names.
    """
    module, _, names = include.partition(":")
    path = _path_of(module)
    if path is None:
        raise StaffError(
            happened=f"{origin}: {include!r} names no module that can be found.",
            try_next="Write it as package.module:name.",
        )
    text = path.read_text(encoding="utf-8")
    statements = _top_level(text)
    missing = [name for name in _names(names) if name not in statements]
    if missing or not _names(names):
        raise StaffError(
            happened=f"{origin}: {include!r} includes {missing or 'nothing'}, not all defined there.",
            try_next="Write it as package.module:name, with names that stand at the module's top level.",
        )
    wanted = _with_needs(_names(names), statements) if closure else _names(names)
    pieces = [statements[name] for name in wanted]
    joined = pieces[0]
    for before, piece in itertools.pairwise(pieces):
        joined += ("\n" if "\n" not in before + piece else "\n\n\n") + piece
    return joined


def _path_of(module: str) -> Path | None:
    """Return the file of a module, which is not imported; its package is."""
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):
        return None
    return None if found is None or found.origin is None else Path(found.origin)


def _with_needs(names: list[str], statements: Mapping[str, str]) -> list[str]:
    """Return names with all others of their module that their source mentions, however indirectly."""
    needed: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            mentioned = (node.id for node in ast.walk(ast.parse(statements[name])) if isinstance(node, ast.Name))
            waiting += [other for other in mentioned if other in statements]
    return [name for name in statements if name in needed]


def _top_level(text: str) -> dict[str, str]:
    """Return the source of each function, class and assigned name of a module."""
    lines = text.splitlines()
    found = {}
    for node in ast.parse(text).body:
        first = node.lineno
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            name = node.name
            first = min([first, *(decorator.lineno for decorator in node.decorator_list)])
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
        else:
            continue
        found[name] = "\n".join(lines[first - 1 : node.end_lineno])
    return found


def _names(text: str) -> list[str]:
    return re.findall(r"[\w.]+", text)
