"""A cell as IPython would see it becomes plain Python on the same lines (worker side)."""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass
from typing import Any

from grader.intake.margin import is_exported, without_main_guards, without_marimo

# Cell magics whose body is ordinary Python of the notebook's own namespace.
_BODY_KEPT = frozenset(
    {"time", "timeit", "capture", "prun", "memit", "mprun", "lprun", "snakeviz", "python3", "python"}
)
# Those whose body is in another language, text, or code that is not to be run here. The body of any other counts where
# it is Python: `%%wandb` and `%%heat` hide no definitions.
_OTHER_LANGUAGES = frozenset(
    {
        *("bash", "sh", "script", "system", "sx", "cmd", "powershell", "perl", "pypy", "python2", "ruby", "R", "julia"),
        *("html", "HTML", "svg", "SVG", "javascript", "js", "latex", "markdown", "sql", "bigquery", "cuda", "cu", "ai"),
        *("skip", "writefile", "file"),
    }
)
_CELL_MAGIC = re.compile(r"[ \t]*%%(\w+)[ \t]*(.*)")
_LINE_TIMER = re.compile(r"^([ \t]*)%(?:time|timeit|prun)[ \t]+(?=[^-\s])", re.MULTILINE)
# IPython takes a line that begins with the name of a magic for that magic, without a percent sign too.
_AUTOMAGIC = re.compile(
    r"^([ \t]*)(?:pip|conda|mamba|uv|cd|ls|ll|cat|cp|mkdir|mv|rm|rmdir|pwd|load_ext|reload_ext|matplotlib|env|run)"
    r"[ \t]+(?![=(\[.:,)])(?:[^\n]*\\\n)*[^\n]*$",
    re.MULTILINE,
)
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
    extended = ""
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
        if magic == "add_to":
            extended = arguments.strip()
        elif magic not in _BODY_KEPT and (magic in _OTHER_LANGUAGES or not _is_python(lines[index + 1 :])):
            return PlainCell("", skipped=magic)
        lines[index] = ""
    return PlainCell(_added_to(extended, _without_line_magics("\n".join(lines))))


def plain_module(source: str) -> str:
    """Return a .py file without magics; one that is a notebook in another form is read as one."""
    at_the_margin = without_marimo(source)
    text = plain(source if at_the_margin is None else at_the_margin).source
    return without_main_guards(text) if is_exported(source) else text


def _is_python(lines: list[str]) -> bool:
    body = "\n".join(line for line in lines if _CELL_MAGIC.fullmatch(line) is None)
    return bool(body.strip()) and parses(_without_line_magics(body))


def _added_to(cls: str, source: str) -> str:
    """Return the body of a cell under `%%add_to Net`, which makes its functions methods of a class."""
    if not re.fullmatch(r"[A-Za-z_][\w.]*", cls) or not parses(source):
        return source
    functions = [
        node.name for node in ast.parse(source).body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    return source + "".join(f"\n{cls}.{name} = {name}" for name in functions)


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
    may_be_more = may_be_more or _AUTOMAGIC.search(source)
    if not may_be_more or parses(source):
        return source
    source = _AUTOMAGIC.sub(lambda found: found[1] + "get_ipython()" + "\n" * found[0].count("\n"), source)
    if parses(source):
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
