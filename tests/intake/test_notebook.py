"""Notebooks as tools and accidents leave them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from grader.intake import notebook as notebook_module
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
    data = notebook("a = 1", "b = 2", "c = 3").replace(b'"b = 2"', b"<" * 7 + b" HEAD")

    assert sources(data) == ["a = 1", "c = 3"]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"   ",
        b"\xff\xfe",
        b"\0\0\0",
        b"<html>",
        b'{"cells": [',
        b"\x89PNG\r\n",
        b"version https://git-lfs",
    ],
)
def test_what_is_no_notebook_is_told(data: bytes) -> None:
    """A file without a cell gives a note and no exception."""
    cells, notes = read_notebook("n.ipynb", data)

    assert cells == []
    assert [note.kind for note in notes] == ["damaged"]


def test_parser_bombs_cost_nothing_else() -> None:
    """Deep nesting costs its own cell; numbers of any length and NaN cost nothing."""
    deep = '{"cell_type": "code", "source": "d", "metadata": ' + "[" * 100_000 + "]" * 100_000 + "}"
    long = '{"cell_type": "code", "execution_count": ' + "9" * 5000 + ', "source": "b", "x": [NaN, Infinity]}'
    fine = '{"cell_type": "code", "source": "a"}'

    assert sources(f'{{"cells": [{fine}, {long}]}}'.encode()) == ["a", "b"]
    assert sources(f'{{"cells": [{fine}, {deep}, {long}]}}'.encode()) == ["a", "b"]


def test_code_hides_nowhere_else() -> None:
    """Only the sources of code cells are read: not metadata, attachments, outputs or strings."""
    trick = {"cell_type": "code", "source": "hidden"}
    cell = {
        "cell_type": "code",
        "source": "x",
        "metadata": {"cells": [trick]},
        "outputs": [json.dumps(trick)],
    }
    text = json.dumps({"metadata": {"cells": [trick]}, "cells": [cell]})

    assert sources(text.encode()) == ["x"]


@pytest.mark.parametrize(("extra", "count"), [(0, 1), (1, 0)])
def test_cap_of_a_cell(extra: int, count: int, notebook: Callable[..., bytes]) -> None:
    """A cell of the cap's length is read, one character more leaves a note."""
    cells, notes = read_notebook("n.ipynb", notebook("#" * (MAX_CELL_CHARACTERS + extra)))

    assert len(cells) == count
    assert len(notes) == 1 - count


@pytest.mark.parametrize("extra", [0, 1])
def test_cap_of_cells(extra: int) -> None:
    """Cells beyond the cap are left out with a note."""
    cell = {"cell_type": "code", "source": ""}

    cells, notes = read_notebook("n.ipynb", json.dumps({"cells": [cell] * (MAX_CODE_CELLS + extra)}).encode())

    assert len(cells) == MAX_CODE_CELLS
    assert len(notes) == extra


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ({}, (False, 0, 0)),
        ({"outputs": [], "execution_count": None}, (False, 0, 0)),
        ({"outputs": [], "execution_count": 3}, (True, 0, 0)),
        ({"prompt_number": 3}, (True, 0, 0)),
        ({"outputs": [{"output_type": "stream", "text": "png"}]}, (True, 0, 0)),
        ({"outputs": [{"output_type": "display_data", "data": {"image/png": FIGURE_PNG}}]}, (True, 1, 0)),
        ({"outputs": [{"output_type": "display_data", "data": {"image/png": "aGk="}}]}, (True, 0, 0)),
        ({"source": "x = 1", "outputs": [{"data": {"image/png": FIGURE_PNG}}]}, (True, 0, 0)),
        ({"outputs": [{"output_type": "display_data", "data": {"image/png": ""}}]}, (True, 0, 0)),
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


@pytest.mark.parametrize("order", [("cell_type", "source"), ("source", "cell_type")])
@pytest.mark.parametrize("before", ["metadata", "id", "execution_count", "outputs"])
def test_salvage_does_not_depend_on_the_order_of_keys(order: tuple[str, str], before: str) -> None:
    """Tools write a cell's keys in their own order; what is whole is found in each."""
    first = {"metadata": {}, "id": "a", "execution_count": 1, "outputs": []}[before]
    values = {"cell_type": "code", "source": "x = 1"}
    cell = json.dumps({before: first, **{key: values[key] for key in order}})
    text = '{"metadata": {}, "cells": [' + f"{cell}, {cell}, " + cell[:-9]

    found, notes = read_notebook("n.ipynb", text.encode())

    assert [cell.source for cell in found] == ["x = 1"] * 2
    assert "its 2 whole code cells are graded" in notes[0].text


def test_a_notebook_with_text_around_it_is_read() -> None:
    """A page that a proxy put before it, or a second copy behind it, costs nothing but a note."""
    data = json.dumps({"cells": [{"cell_type": "code", "source": "x = 1"}], "nbformat": 4})

    for text in (f"<html>saved</html>\n{data}", f"{data}\n{data[:20]}", f"{data} trailing"):
        found, notes = read_notebook("n.ipynb", text.encode())
        assert [cell.source for cell in found] == ["x = 1"]
        assert [note.kind for note in notes] == ["damaged"]


def test_salvage_is_linear_in_the_length() -> None:
    """However objects are nested or broken off, each character is read a few times."""
    read: list[int] = []

    class Counting(json.JSONDecoder):
        def raw_decode(self, s: str, idx: int = 0) -> tuple[Any, int]:
            try:
                value, end = super().raw_decode(s, idx)
            except json.JSONDecodeError as error:
                read.append(error.pos - idx)
                raise
            read.append(end - idx)
            return value, end

    for unit in ('{"id": 1, "metadata": ', '{"cell_type": "code", "outputs": [1, ', '{"id": [1, 2, 3], "x": y '):
        counts = []
        for times in (100, 200):
            read.clear()
            text = unit * times
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(notebook_module, "_decoder", Counting)
                notebook_module._salvage(text)
            counts.append(sum(read) / len(text))
        assert max(counts) <= notebook_module._MOST_READINGS + 200, unit


# Spelled out, so that no tool takes this file for one with conflicts.
MARKS = {"@MINE@": "<" * 7, "@BASE@": "|" * 7, "@OTHER@": "=" * 7, "@END@": ">" * 7}
CONFLICT = """{
 "cells": [
  {
   "cell_type": "code",
   "metadata": {},
@MINE@ HEAD
   "execution_count": 5,
   "source": ["mine = 1"]
@OTHER@
   "execution_count": 7,
   "source": ["theirs = 1"]
@END@ origin/main
  },
  {
@MINE@ HEAD
   "source": ["second = 1"],
@BASE@ base
   "source": ["older = 1"],
@OTHER@
   "source": ["other = 1"],
@END@ origin/main
   "cell_type": "code"
  }
 ]
}"""
for _mark, _text in MARKS.items():
    CONFLICT = CONFLICT.replace(_mark, _text)


def test_the_upper_version_of_a_git_conflict_counts() -> None:
    """The whole notebook is read, and the note says which version was taken."""
    found, notes = read_notebook("n.ipynb", CONFLICT.encode())

    assert [cell.source for cell in found] == ["mine = 1", "second = 1"]
    assert "holds two versions, as git leaves them (2 times `‹‹‹‹‹‹‹`): the upper one counts" in notes[0].text


@pytest.mark.parametrize("cut", ["=" * 7 + '\n   "execution_count": 7', ">" * 7 + " origin/main\n  },"])
def test_marks_that_do_not_go_together_are_no_conflict(cut: str) -> None:
    """Then the cells that are whole are taken one by one."""
    found, notes = read_notebook("n.ipynb", CONFLICT.replace(cut, cut.partition("\n")[2], 1).encode())

    assert all("version" not in note.text for note in notes)
    assert notes[0].kind == "damaged"
    assert [cell.source for cell in found] != ["mine = 1", "second = 1"]


@pytest.mark.parametrize("kind", ["raw", "markdown"])
def test_definitions_in_cells_of_other_types_are_kept_apart(kind: str) -> None:
    """With where they stand; words, code in words and data are none."""
    others = [
        "def f(x):\n    return x",
        "See `def f(x)`.",
        "```python\ndef f(x): ...\n```",
        "x = 1",
        "def f(x) and so on",
    ]
    cells = [{"cell_type": "code", "source": "y = 1"}, *({"cell_type": kind, "source": text} for text in others)]

    code, elsewhere, notes = notebook_module.read_cells("n.ipynb", json.dumps({"cells": cells}).encode())

    assert [cell.source for cell in code] == ["y = 1"]
    assert elsewhere == [(f"{kind} cell below code cell 1", others[0])]
    assert notes == []
