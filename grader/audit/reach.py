"""
How far a change reaches: which cells compute with what a shortened training or other images gave (worker side).

A cell that was reached may well show something else than when it was handed in. Names are followed through
statements; what a reached statement hands to a function, or calls a method of, counts as changed by it. That marks
too many cells rather than too few.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Sequence

from grader.audit.rewrite import FEWER_ROUNDS, Prepared

_DATA_SETS = "torchvision"


def reached_cells(cells: Sequence[Prepared], *, other_images: bool) -> list[bool]:
    """
    Return for each cell whether what it shows may depend on our changes.

    Args:
        cells: in order.
        other_images: torchvision's data sets give other images than the student had.
    """
    names: set[str] = set()
    return [_reach(cell, names, other_images=other_images) for cell in cells]


def _reach(cell: Prepared, names: set[str], *, other_images: bool) -> bool:
    lines = {change.line for change in cell.changes if change.why == FEWER_ROUNDS}
    try:
        statements = ast.parse(cell.source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return False
    reached = False
    for statement in statements:
        span = range(statement.lineno, (statement.end_lineno or statement.lineno) + 1)
        nodes = list(ast.walk(statement))
        is_import = isinstance(statement, ast.Import | ast.ImportFrom)
        if is_import and not (other_images and _imports_data_sets(statement)):
            continue
        if is_import or lines.intersection(span) or names.intersection(_read(nodes)):
            names |= _bound(nodes) if is_import else _bound(nodes) | _handed_over(nodes)
            reached = reached or not is_import
    return reached


def _imports_data_sets(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.ImportFrom):
        return (statement.module or "").startswith(_DATA_SETS) and any(
            alias.name in ("datasets", "CIFAR10", "*") for alias in statement.names
        )
    return isinstance(statement, ast.Import) and any(alias.name.startswith(_DATA_SETS) for alias in statement.names)


def _read(nodes: Iterable[ast.AST]) -> set[str]:
    return {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}


def _bound(nodes: Iterable[ast.AST]) -> set[str]:
    names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    for node in nodes:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.add(node.name)
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names |= {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.Subscript | ast.Attribute) and isinstance(node.ctx, ast.Store):
            names |= _read(ast.walk(node.value))
    return names


def _handed_over(nodes: Iterable[ast.AST]) -> set[str]:
    """Return the names that go into calls, or whose methods are called: a call may change them."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Call):
            given = [*node.args, *(keyword.value for keyword in node.keywords)]
            names |= {value.id for value in given if isinstance(value, ast.Name)}
            if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
                names.add(node.func.value.id)
    return names - {"torch", "nn", "np", "plt", "math", "F", "print"}
