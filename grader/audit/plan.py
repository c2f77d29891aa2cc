"""
Read a submission's notebooks and prepare their cells for execution (worker side).

Request: meta has paths and rules, arrays "<i>" are the files. Answer: meta names the notebooks with their number of
cells, and the files that lie beside them; arrays "plan/<i>" are JSON for `execute`, "notebook/<i>" the notebooks
themselves and "file/<i>" what lies beside them, "autograder" the file that was handed in.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from grader import wire
from grader.audit.reach import reached_cells
from grader.audit.rewrite import Change, Rules, prepare
from grader.audit.saved import SavedCell, read_saved
from grader.intake.caps import DEFAULT_CAPS
from grader.intake.choose import choose_tensors
from grader.intake.holdings import Held
from grader.intake.kinds import Kind
from grader.intake.report import Note
from grader.intake.survey import contents_of, distinct_saved

MAX_NOTEBOOKS = 8
MAX_FILES = 60
MAX_NAME = 80


@dataclass(frozen=True)
class PlannedCell:
    """
    A cell as it was handed in and as it is executed.

    Args:
        saved: what the file has.
        source: what is executed.
        changes: what of it is not the student's.
        reached: whether what it shows may depend on changes, its own or those of cells before it.
    """

    saved: SavedCell
    source: str
    changes: tuple[Change, ...]
    reached: bool


def plan_notebook(name: str, data: bytes, rules: Rules, *, other_images: bool) -> list[PlannedCell]:
    """Return a notebook's code cells, ready to be executed."""
    saved = read_saved(name, data)
    prepared = [prepare(cell.source, rules) for cell in saved]
    reached = reached_cells(prepared, other_images=other_images)
    return [
        PlannedCell(cell, ready.source, ready.changes, is_reached)
        for cell, ready, is_reached in zip(saved, prepared, reached, strict=True)
    ]


def plan(request: wire.Message, _: socket.socket) -> wire.Message:
    """Answer with everything that executing needs."""
    files = {path: request.arrays[str(index)].data for index, path in enumerate(request.meta["paths"])}
    notes: list[Note] = []
    contents, _unread = contents_of(files, notes, DEFAULT_CAPS)
    rules = Rules(**request.meta["rules"])
    arrays: wire.Arrays = {}
    notebooks: list[dict[str, object]] = []
    for path, data in _distinct(contents).items():
        index = len(notebooks)
        cells = plan_notebook(path, data, rules, other_images=request.meta["other_images"])
        steps = [{"number": cell.saved.number, "source": cell.source} for cell in cells]
        arrays[f"plan/{index}"] = _bytes(json.dumps(steps).encode())
        arrays[f"notebook/{index}"] = _bytes(data)
        notebooks.append({"name": _name(path), "cells": len(cells)})
    beside = _beside(contents)
    arrays.update({f"file/{index}": _bytes(data) for index, data in enumerate(beside.values())})
    role, _used = choose_tensors(distinct_saved(contents), notes)
    if "autograder" in role:
        arrays["autograder"] = _bytes(contents[role["autograder"]].data)
    meta = {"notebooks": notebooks, "files": list(beside), "notes": [note.text[:500] for note in notes[:20]]}
    return wire.Message("plan", meta, arrays)


def _distinct(contents: Mapping[str, Held]) -> dict[str, bytes]:
    """Return the notebooks, each content once, those first that grading would take."""
    found: dict[bytes, str] = {}
    for path, held in contents.items():
        if held.kind is Kind.NOTEBOOK:
            found.setdefault(bytes(held.data), path)
    return {path: data for data, path in list(found.items())[:MAX_NOTEBOOKS]}


def _beside(contents: Mapping[str, Held]) -> dict[str, bytes]:
    """Return modules and saved tensors by their own names; `autograder.pt` is for the notebook to write anew."""
    found: dict[str, bytes] = {}
    for path, held in contents.items():
        name = _name(path)
        if held.kind in (Kind.MODULE, Kind.SAVED) and name != "autograder.pt":
            found.setdefault(name, bytes(held.data))
    return dict(list(found.items())[:MAX_FILES])


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1].replace("\0", "")[-MAX_NAME:]


def _bytes(data: bytes | memoryview) -> wire.Array:
    return np.frombuffer(data, dtype=np.uint8)
