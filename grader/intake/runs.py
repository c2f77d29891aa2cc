"""Which notebooks show that they were run, and what they are about (worker side)."""

from __future__ import annotations

import ast
from collections.abc import Collection, Sequence
from typing import Any

from grader.intake.documents import Document
from grader.intake.names import display_name
from grader.intake.report import MAX_NOTEBOOKS


def describe_runs(documents: Sequence[Document], wanted: Collection[str]) -> list[dict[str, Any]]:
    """Return, for each notebook, what its cells show and which of the wanted names it defines or mentions."""
    notebooks = [document for document in documents if not document.is_module]
    return [_describe(notebook, frozenset(wanted)) for notebook in notebooks[:MAX_NOTEBOOKS]]


def _describe(notebook: Document, wanted: frozenset[str]) -> dict[str, Any]:
    defines: set[str] = set()
    mentions: set[str] = set()
    for block in notebook.blocks:
        for statement in block.statements:
            if not statement.is_import:
                defines |= statement.binds & wanted
            mentions |= _names_in(statement.node) & wanted
    cells = [cell for cell in notebook.cells if cell.source.strip()]
    return {
        "file": display_name(notebook.name),
        "code_cells": len(cells),
        "run_cells": sum(cell.was_run for cell in cells),
        "figures": sum(cell.figures for cell in cells),
        "errors": sum(cell.errors for cell in cells),
        "defines": sorted(defines),
        "mentions": sorted(mentions),
    }


def _names_in(node: ast.AST) -> set[str]:
    """Return the names and attributes that a statement reads, `f` in `f(x)`, `module.f(x)` and `interact(f)`."""
    parts = list(ast.walk(node))
    names = {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}
    return names | {part.attr for part in parts if isinstance(part, ast.Attribute)}
