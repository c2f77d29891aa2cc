"""Notebooks as tools and accidents leave them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from grader.intake.notebook import MAX_CODE_CELLS, read_notebook
from grader.intake.report import MAX_CELL_CHARACTERS
from grader.trust.cases import FIGURE_PNG


def sources(data: bytes) -> list[str]:
    """Return the code of a notebook."""
    return [cell.source for cell in read_notebook("n.ipynb", data)[0]]


def test_cells_are_numbered_among_code_cells(notebook: Callable[..., bytes]) -> None:
    """Markdown does not count."""
    cells, notes = read_notebook("n.ipynb", notebook("a = 1\nb = 2", "c = 3"))

    assert [(cell.number, cell.source) for cell in cells] == [(1, "a = 1\nb = 2"), (2, "c = 3")]
    assert notes == []


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be"])
def test_encodings(encoding: str) -> None:
    """UTF-8 and UTF-16 are read with and without a byte order mark."""
    text = json.dumps({"cells": [{"cell_type": "code", "source": "x = 'é'"}]}, ensure_ascii=False)

    assert sources(text.encode(encoding)) == ["x = 'é'"]


def test_format_3() -> None:
    """Format 3 keeps cells in worksheets and code in `input`."""
    sheet = {"cells": [{"cell_type": "code", "input": ["a\n", "b"]}, {"cell_type": "heading", "source": "h"}]}

    assert sources(json.dumps({"nbformat": 3, "worksheets": [sheet, None, {"cells": 3}]}).encode()) == ["a\nb"]


@pytest.mark.parametrize(
    ("document", "expected"),
    [
        ([], []),
        (3, []),
        (None, []),
        ({}, []),
        ({"cells": None}, []),
        ({"cells": {"0": {}}}, []),
        ({"cells": [None, 3, [], {}]}, []),
        ({"cells": [{"cell_type": "code"}]}, [""]),
        ({"cells": [{"cell_type": "code", "source": None}]}, [""]),
        ({"cells": [{"cell_type": "code", "source": 7}]}, [""]),
        ({"cells": [{"cell_type": "code", "source": ["a\n", None, 3, "b"]}]}, ["a\nb"]),
        ({"cells": [{"cell_type": "raw", "source": "x"}]}, []),
        ({"cells": [{"cell_type": ["code"], "source": "x"}]}, []),
        ({"cells": [{"cell_type": "code", "source": "a\r\nb\rc"}]}, ["a\nb\nc"]),
        ({"cells": [{"cell_type": "code", "source": "x = '\ud83d'"}]}, ["x = '\ufffd'"]),
    ],
)
def test_odd_documents(document: Any, expected: list[str]) -> None:
    """Whatever is valid JSON gives cells or none, without a note."""
    cells, notes = read_notebook("n.ipynb", json.dumps(document).encode())

    assert [cell.source for cell in cells] == expected
    assert notes == []


def test_a_truncated_notebook_keeps_its_whole_cells(notebook: Callable[..., bytes]) -> None:
    """After an interrupted upload the cells before the cut are used, and the note says where it is."""
    data = notebook("a = 1", "b = 2", "c = 3")

    cells, notes = read_notebook("n.ipynb", data[: data.index(b"c = 3")])

    assert [cell.source for cell in cells] == ["a = 1", "b = 2"]
    assert notes[0].text.startswith("`n.ipynb` is not a valid notebook (line 1, column ")
    assert "its 2 whole code cells" in notes[0].text


def test_a_conflict_inside_costs_one_cell(notebook: Callable[..., bytes]) -> None:
    """Damage in the middle costs the cell that it is in."""
    data = notebook("a = 1", "b = 2", "c = 3").replace(b'"b = 2"', b"        ({"outputs": [{"output_type": "display_data", "data": {"application/json": "{}"}}]}, (True, 0, 0)),
        ({"outputs": [{"output_type": "pyout", "png": FIGURE_PNG}]}, (True, 1, 0)),
        (
            {"outputs": [{"data": {"text/html": ["<div><", f"img src='data:image/png;base64,{FIGURE_PNG}'></div>"]}}]},
            (True, 1, 0),
        ),
        ({"outputs": [{"data": {"text/html": "<img src=x>"}}]}, (True, 0, 0)),
        ({"outputs": [{"data": {"text/html": "<table></table>"}}]}, (True, 0, 0)),
        ({"outputs": [{"data": {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}}}]}, (True, 1, 0)),
        ({"outputs": [{"output_type": "error", "ename": "E"}, {"output_type": "pyerr"}]}, (True, 0, 2)),
        ({"outputs": "text"}, (False, 0, 0)),
        ({"outputs": [None, 3, {"data": [1]}, {"data": {"text/html": [3, None]}}]}, (True, 0, 0)),
    ],
)
def test_what_a_cell_shows_of_having_been_run(cell: dict[str, Any], expected: tuple[bool, int, int]) -> None:
    """Execution counts and outputs say that a cell was run; images, pages with images and widgets are figures."""
    data = json.dumps({"cells": [{"cell_type": "code", "source": "f(x)", **cell}]}).encode()

    (found,), notes = read_notebook("n.ipynb", data)

    assert (found.was_run, found.figures, found.errors) == expected
    assert notes == []
