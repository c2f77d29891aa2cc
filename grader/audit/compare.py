"""
Hold what a notebook showed when it was handed in against what it shows now (worker side).

Request: meta has rules and the executions, array "notebook" is the file, "outputs/<number>" what a cell showed now.
Answer: meta has a record for each cell and remarks on the notebook; array "executed" is the executed notebook.
"""

from __future__ import annotations

import ast
import json
import re
import signal
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from grader import wire
from grader.audit.outputs import Shown, Uncomparable, difference, shown_by
from grader.audit.plan import PlannedCell, plan_notebook
from grader.audit.rewrite import Rules
from grader.audit.saved import small_integer

MAX_TEXT = 160
MAX_CHANGES = 6
CELL_S = 2.0  # for comparing one cell; an honest one takes milliseconds
NOTEBOOK_S = 30.0  # for all cells of a notebook: half of what this worker has
UNCOMPARED = "could not be compared"
_LOST = re.compile(r"name '(\w+)' is not defined")
_NOT_FINISHED = frozenset({"TIMEOUT", "TIMEOUT_KILLED", "CRASHED", "OUT_OF_BUDGET", "NOT_REACHED", "TOO_MUCH_OUTPUT"})


def compare_outputs(request: wire.Message, _: socket.socket) -> wire.Message:
    """Compare cell by cell and write the executed notebook."""
    data = request.arrays["notebook"].tobytes()
    meta = request.meta
    cells = plan_notebook(meta["name"], data, Rules(**meta["rules"]), other_images=meta["other_images"])
    executions = {each["number"]: each for each in meta["executions"]}
    outputs = {number: _read_outputs(request.arrays.get(f"outputs/{number}")) for number in executions}
    deadline = time.monotonic() + NOTEBOOK_S
    records = []
    unmade: dict[str, int] = {}  # name -> the cell that would have bound it and did not come to its end
    for cell in cells:
        execution = executions.get(cell.saved.number, {"status": "NOT_REACHED", "seconds": 0.0})
        record = _record_in_time(cell, execution, outputs.get(cell.saved.number, []), unmade, deadline)
        records.append(record)
        if record["status"] in _NOT_FINISHED | {"NEEDS_NAMES"}:
            unmade.update(dict.fromkeys(_binds(cell.source), cell.saved.number))
    executed = _executed_notebook(cells, executions, outputs)
    meta = {"cells": records, "order": _order(cells), "unparsed": _is_unparsed(cells)}
    return wire.Message("compared", meta, {"executed": np.frombuffer(executed, dtype=np.uint8)})


def _record_in_time(
    cell: PlannedCell,
    execution: Mapping[str, Any],
    outputs: Sequence[dict[str, Any]] | None,
    unmade: Mapping[str, int],
    deadline: float,
) -> dict[str, Any]:
    """Return a cell's record; whatever its outputs do to the comparison costs this cell's and no other's."""
    left_s = min(CELL_S, deadline - time.monotonic())
    try:
        if outputs is None:
            raise Uncomparable("what it shows now cannot be read")
        with _limited(left_s):
            return _record(cell, execution, outputs, unmade)
    except Uncomparable as error:
        why = str(error)
    except Exception as error:  # a comparison that fails must be seen, and must not end that of other cells
        why = f"comparing it failed ({type(error).__name__})"
    return {**_bare_record(cell, execution), "verdict": UNCOMPARED, "why": why[:MAX_TEXT]}


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """Raise Uncomparable in what takes longer; outside the main thread, where no signal arrives, nothing is limited."""

    def stop(*_: object) -> None:
        raise Uncomparable("comparing it takes too long")

    if seconds <= 0:
        raise Uncomparable("the time for comparing was used up")
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGALRM, stop)
    try:
        signal.setitimer(signal.ITIMER_REAL, seconds)
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def _bare_record(cell: PlannedCell, execution: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a cell without a look at what it shows."""
    return {
        "number": cell.saved.number,
        "status": execution["status"] if cell.source.strip() else "EMPTY",
        "seconds": execution["seconds"],
        "was_run": cell.saved.was_run,
        "reached": cell.reached,
        "verdict": "",
        "why": "",
        "then": "",
        "now": "",
        "error_then": "",
        "error_now": "",
        "needs": [],
        "silent": False,
        "changes": [
            [change.line, _short(change.before), _short(change.after), change.why]
            for change in cell.changes[:MAX_CHANGES]
        ],
    }


def _record(
    cell: PlannedCell, execution: Mapping[str, Any], outputs: Sequence[dict[str, Any]], unmade: Mapping[str, int]
) -> dict[str, Any]:
    record = _bare_record(cell, execution)
    then, now = shown_by(cell.saved.outputs), shown_by(outputs)
    needs = _needed_name(outputs, unmade) if record["status"] == "ERROR" else None
    record.update(
        status="NEEDS_NAMES" if needs else record["status"],
        needs=list(needs) if needs else [],
        error_then=then.error[:MAX_TEXT],
        error_now=now.error[:MAX_TEXT],
        silent=_shows_what_it_cannot(cell, then),
    )
    record.update(_verdict(record["status"], cell, then, now))
    return record


def _verdict(status: str, cell: PlannedCell, then: Shown, now: Shown) -> dict[str, str]:
    """Return the verdict, and the lines in which the outputs part."""
    if status == "TOO_MUCH_OUTPUT":
        return {"verdict": UNCOMPARED, "why": "it shows more now than can be kept"}
    if status in ("EMPTY", "NEEDS_NAMES", *_NOT_FINISHED):
        return {"verdict": "not run"}
    if not cell.saved.was_run:
        return {"verdict": "never run"}
    if then.error != now.error:
        return {"verdict": "not comparable" if cell.reached else "differs"}
    if then.nothing and now.nothing:
        return {"verdict": "nothing shown"}
    found = difference(then, now)
    if found is None:
        return {"verdict": "same"}
    lines = {"then": _short(found.then), "now": _short(found.now)}
    return {"verdict": "not comparable" if cell.reached else "differs", **lines}


def _needed_name(outputs: Sequence[dict[str, Any]], unmade: Mapping[str, int]) -> tuple[str, int] | None:
    """Return the name whose lack ended a cell, and the cell that would have made it had it come to its end."""
    for output in outputs:
        if output.get("output_type") == "error" and output.get("ename") == "NameError":
            match = _LOST.search(str(output.get("evalue")))
            if match and match.group(1) in unmade:
                return match.group(1)[:MAX_TEXT], unmade[match.group(1)]
    return None


def _binds(source: str) -> set[str]:
    try:
        tree = ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return set()
    names = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    names |= {node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.ClassDef)}
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    return names


def _shows_what_it_cannot(cell: PlannedCell, then: Shown) -> bool:
    """Whether a cell shows words or figures, and its code calls nothing and ends in no value."""
    if not then.lines and not then.figures:
        return False
    if any(change.after == "" for change in cell.changes):
        return False  # a shell command may have printed it
    try:
        body = ast.parse(cell.source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return not then.error
    if not body:
        return True
    if isinstance(body[-1], ast.Expr) and not isinstance(body[-1].value, ast.Constant):
        return False
    if isinstance(body[-1], ast.Expr):
        return cell.saved.source.strip().endswith(";")
    return not any(_acts(node) for statement in body for node in _outside_functions(statement))


def _acts(node: ast.AST) -> bool:
    return isinstance(node, ast.Call | ast.Import | ast.ImportFrom | ast.Await | ast.With | ast.Attribute)


def _outside_functions(node: ast.AST) -> list[ast.AST]:
    """Return a statement's nodes but for the bodies of functions, which run only when they are called."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
        return [part for decorator in getattr(node, "decorator_list", []) for part in ast.walk(decorator)]
    return [node, *(part for child in ast.iter_child_nodes(node) for part in _outside_functions(child))]


def _order(cells: Sequence[PlannedCell]) -> list[list[int]]:
    """Return [cell, its number, earlier cell, that one's number] for cells that were run before an earlier one."""
    found: list[list[int]] = []
    highest: tuple[int, int] | None = None
    for cell in cells:
        count = cell.saved.count
        if count is None:
            continue
        if highest is not None and count <= highest[1]:
            found.append([cell.saved.number, count, *highest])
        else:
            highest = (cell.saved.number, count)
    return found[:20]


def _is_unparsed(cells: Sequence[PlannedCell]) -> bool:
    return bool(cells) and not any(cell.saved.was_run for cell in cells)


def _short(text: str) -> str:
    return text if len(text) <= MAX_TEXT else text[: MAX_TEXT - 1] + "…"


def _read_outputs(array: wire.Array | None) -> list[dict[str, Any]] | None:
    """Return what a cell showed now, or None where that cannot be read."""
    try:
        content = json.loads(array.tobytes(), parse_int=small_integer) if array is not None and array.size else []
    except (ValueError, RecursionError):
        return None
    return [output for output in content if isinstance(output, dict)] if isinstance(content, list) else None


def _executed_notebook(
    cells: Sequence[PlannedCell],
    executions: Mapping[int, Mapping[str, Any]],
    outputs: Mapping[int, Sequence[dict[str, Any]] | None],
) -> bytes:
    """Return the cells as they were executed, with what they showed, as a notebook of format 4."""
    made = []
    for cell in cells:
        number = cell.saved.number
        made.append(
            {
                "cell_type": "code",
                "id": f"cell-{number}",
                "execution_count": number if number in executions else None,
                "metadata": {"audit": {"status": executions.get(number, {}).get("status", "NOT_REACHED")}},
                "source": cell.source,
                "outputs": list(outputs.get(number) or []),
            }
        )
    language = {"name": "python"}
    document = {"nbformat": 4, "nbformat_minor": 5, "metadata": {"language_info": language}, "cells": made}
    return json.dumps(document, indent=1).encode()
