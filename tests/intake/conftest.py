"""Builders of submissions, shared by the tests of intake."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Mapping, Sequence

import pytest


def build_notebook(*sources: str) -> bytes:
    """Return a notebook of format 4 with these code cells, and some Markdown between them."""
    cells: list[dict[str, object]] = []
    for source in sources:
        cells.append({"cell_type": "markdown", "metadata": {}, "source": ["# words"]})
        lines = source.splitlines(keepends=True)
        cells.append({"cell_type": "code", "execution_count": None, "metadata": {}, "outputs": [], "source": lines})
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def build_zip(members: Mapping[str, bytes]) -> bytes:
    """Return a zip with these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


@pytest.fixture
def notebook() -> Callable[..., bytes]:
    """Return the builder of notebooks."""
    return build_notebook


@pytest.fixture
def zipped() -> Callable[[Mapping[str, bytes]], bytes]:
    """Return the builder of zips."""
    return build_zip


@pytest.fixture
def run_plan() -> Callable[..., dict[str, object]]:
    """Return a loader that runs a plan as the worker does and gives back the namespace."""
    import ast

    def run(cells: Sequence[Sequence[str]], plan: Sequence[Sequence[int]]) -> dict[str, object]:
        space: dict[str, object] = {"__name__": "submission"}
        for cell, statement in plan:
            node = ast.parse(cells[cell][1]).body[statement]
            exec(compile(ast.Module([node], []), cells[cell][0], "exec", dont_inherit=True), space)
        return space

    return run
