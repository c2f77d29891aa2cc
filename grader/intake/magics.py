"""A cell as IPython would see it becomes plain Python on the same lines (worker side)."""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from typing import Any

# Cell magics whose body is ordinary Python of the notebook's own namespace.
_BODY_KEPT = frozenset(
    {"time", "timeit", "capture", "prun", "memit", "mprun", "lprun", "snakeviz", "python3", "python"}
)
_CELL_MAGIC = re.compile(r"[ \t]*%%(\w+)[ \t]*(.*)")
_LINE_TIMER = re.compile(r"^([ \t]*)%(?:time|timeit|prun)[ \t]+(?=[^-\s])", re.MULTILINE)
# IPython reads the whole cell anew for each magic in it, some 65,000 lines a second. Real cells need under
# 5,000 lines in all; beyond the cap the rest of the cell is left as it is.
_MAX_LINES_READ = 100_000


@dataclass(frozen=True)
class PlainCell:
    """
    A cell without magics.

    Args:
        source: Python, each statement on the line where the student sees it.
        module: the file that the cell writes (`%%writefile`) instead of running, if it does.
        is_append: the file is to be extended.
        skipped: the cell magic because of which the cell is not Python of this notebook, if so; `source` is
            empty.
    """

    source: str
    module: str | None = None
    is_append: bool = False
    skipped: str | None = None


def plain(source: str) -> PlainCell:
    """
    Return a cell with its magics taken out or turned into calls of `get_ipython()`.

    A cell that is Python already comes back as it is. One that is neither comes back as far as it could be
    turned.
    """
    lines = source.split("\n")
    for index, line in enumerate(lines):
        match = _CELL_MAGIC.fullmatch(line)
        if match is None:
            if line.strip() and not line.lstrip().startswith("#"):
                break
            continue
        magic, arguments = match.groups()
        if magic in ("writefile", "file"):
            body = "\n".join(lines[index + 1 :])
            words = arguments.split()
            path = words[-1].strip("\"'") if words else ""
            return PlainCell(body, module=path, is_append="-a" in words or "--append" in words)
        if magic not in _BODY_KEPT:
            return PlainCell("", skipped=magic)
        lines[index] = ""
    return PlainCell(_without_line_magics("\n".join(lines)))


def parses(source: str) -> bool:
    """Return whether Python can parse the source."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ast.parse(source)
    except (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError):
        return False
    return True


def _without_line_magics(source: str) -> str:
    may_be_more = any(mark in source for mark in "%!?") or re.match(r"\s+\S|\s*(>>>|In \[)", source)
    if not may_be_more or parses(source):
        return source
    timed = _LINE_TIMER.sub(r"\1", source)  # `%time x = f()` binds x, which a call with a string would not
    if parses(timed):
        return timed
    return _transformed(timed)


def _transformed(source: str) -> str:
    """
    Apply IPython's own transformations one at a time, each time giving back the lines it swallowed.

    The class is imported here because it brings 0.3 to 0.6 seconds of IPython with it, which most cells do
    not need.
    """
    from IPython.core.inputtransformer2 import TransformerManager

    manager: Any = TransformerManager()  # type: ignore[no-untyped-call]  # IPython types it only in part
    lines = source.splitlines(keepends=True)
    if lines and not lines[-1].endswith("\n"):
        lines[-1] += "\n"
    for cleanup in manager.cleanup_transforms:
        lines = _keeping_count(lines, cleanup(list(lines)), at_start=True)
    for _ in range(_MAX_LINES_READ // max(len(lines), 1)):
        try:
            changed, after = manager.do_one_token_transform(list(lines))
        except (SyntaxError, ValueError, RecursionError):
            break
        if not changed:
            break
        lines = _keeping_count(lines, after, at_start=False)
    return "".join(lines)


def _keeping_count(before: list[str], after: list[str], *, at_start: bool) -> list[str]:
    """
    Return `after` with as many lines as `before`: blank ones at the start, or below the line that changed.
    """
    gone = len(before) - len(after)
    if gone <= 0:
        return after
    if at_start:
        return ["\n"] * gone + after
    changed = next((i for i, (old, new) in enumerate(zip(before, after, strict=False)) if old != new), len(after) - 1)
    return after[: changed + 1] + ["\n"] * gone + after[changed + 1 :]
