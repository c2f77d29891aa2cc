"""
Code that a notebook keeps inside something else, brought to the margin, each line where it was (worker side).

In a notebook `if __name__ == "__main__":` always holds; a marimo notebook is a .py file that keeps each cell in a
function.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
import warnings

_GUARD = re.compile(
    r"""^if[ \t]*\(?[ \t]*(__name__[ \t]*==[ \t]*["']__main__["']|["']__main__["'][ \t]*==[ \t]*__name__)""",
    re.MULTILINE,
)
_MARIMO = re.compile(r"^app[ \t]*=[ \t]*\w+\.App\(", re.MULTILINE)
_EXPORTED = re.compile(r"^#[ \t]*(%%|In\[[ \d]*\]:)", re.MULTILINE)  # jupytext, VS Code, Spyder; nbconvert
_UNREADABLE = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError, tokenize.TokenError)


def is_exported(source: str) -> bool:
    """Return whether a .py file is a notebook in another form, with marks between its cells."""
    return _EXPORTED.search(source) is not None


def without_main_guards(source: str) -> str:
    """
    Return a cell in which what such a guard holds stands at the margin.

    A guard with an `else`, and source that does not parse, stay as they are.
    """
    if _GUARD.search(source) is None:
        return source
    try:
        tree, text = _parsed(source), _Lines(source)
    except _UNREADABLE:
        return source
    for node in tree.body:
        if isinstance(node, ast.If) and not node.orelse and _GUARD.match(text.lines[node.lineno - 1]) is not None:
            text.unwrap(node.lineno, node.body)
    return text.joined()


def without_marimo(source: str) -> str | None:
    """Return what the cells of a marimo notebook hold, at the margin; None if it is none."""
    if "marimo" not in source or _MARIMO.search(source) is None:
        return None
    try:
        tree, text = _parsed(source), _Lines(source)
    except _UNREADABLE:
        return None
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            role = next((_role(decorator) for decorator in node.decorator_list), "")
            first = min((decorator.lineno for decorator in node.decorator_list), default=node.lineno)
            if role == "cell":
                text.unwrap(first, [part for part in node.body if not isinstance(part, ast.Return)])
                text.blank([part for part in node.body if isinstance(part, ast.Return)])
            elif role in ("function", "class_definition"):
                text.lines[first - 1 : node.lineno - 1] = [""] * (node.lineno - first)
        elif isinstance(node, ast.With) and _role(node.items[0].context_expr) == "setup":
            text.unwrap(node.lineno, node.body)
    return text.joined()


def _role(decorator: ast.expr) -> str:
    """Return `cell` for `@app.cell` and `@app.cell(hide_code=True)`."""
    whole = decorator.func if isinstance(decorator, ast.Call) else decorator
    named = isinstance(whole, ast.Attribute) and isinstance(whole.value, ast.Name) and whole.value.id == "app"
    return whole.attr if named and isinstance(whole, ast.Attribute) else ""


def _parsed(source: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ast.parse(source)


class _Lines:
    """The lines of a source, to be changed in place."""

    def __init__(self, source: str) -> None:
        self.lines = source.split("\n")
        self._inside_strings = _lines_inside_strings(source)

    def unwrap(self, header: int, body: list[ast.stmt]) -> None:
        """Blank out the lines from a header on, and take its indent off the body."""
        if not body:
            self.lines[header - 1] = ""
            return
        first, last, indent = body[0].lineno, body[-1].end_lineno or body[-1].lineno, body[0].col_offset
        if isinstance(body[0], ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            first = min([first, *(decorator.lineno for decorator in body[0].decorator_list)])
        self.lines[header - 1 : first - 1] = [""] * (first - header)
        for number in range(first, last + 1):
            text = self.lines[number - 1]
            if number == header:  # all on one line
                self.lines[number - 1] = text[indent:]
            elif number not in self._inside_strings:
                self.lines[number - 1] = text[min(indent, len(text) - len(text.lstrip())) :]

    def blank(self, statements: list[ast.stmt]) -> None:
        """Blank out statements that have their lines for themselves."""
        for statement in statements:
            end = statement.end_lineno or statement.lineno
            self.lines[statement.lineno - 1 : end] = [""] * (end - statement.lineno + 1)

    def joined(self) -> str:
        """Return the source as it is now."""
        return "\n".join(self.lines)


def _lines_inside_strings(source: str) -> set[int]:
    """Return the lines that begin inside a string: their blanks belong to it."""
    found: set[int] = set()
    start = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.STRING:
            found.update(range(token.start[0] + 1, token.end[0] + 1))
        elif tokenize.tok_name[token.type] in ("FSTRING_START", "TSTRING_START"):
            start = token.start[0]
        elif tokenize.tok_name[token.type] in ("FSTRING_END", "TSTRING_END"):
            found.update(range(start + 1, token.end[0] + 1))
    return found
