"""The written answers: all ten of them, each with its question and the plots that it speaks of."""

from __future__ import annotations

import base64

import nbformat
import pytest

from grader.errors import StaffError
from grader.release.answers import PARTS, answers_markdown, figure_files, gather_answers
from grader.release.notebooks import NotebookNode
from homework.release.sources import solved_notebook

META = [f"metalearning-part{part}" for part in range(3)]


def as_executed(name: str) -> NotebookNode:
    """Return a solved notebook in which every code cell shows three figures, numbered through."""
    notebook = solved_notebook(name)
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "code":
            figures = [base64.b64encode(f"{name} {number} {figure}".encode()).decode() for figure in range(3)]
            cell.outputs = [nbformat.v4.new_output("display_data", data={"image/png": figure}) for figure in figures]
    return notebook


def test_every_part_has_its_question_its_answer_and_its_plots() -> None:
    """The parts come in order; each has words of both, and of each cell the last two figures before the answer."""
    answers = {answer.part: answer for answer in gather_answers([as_executed(name) for name in META])}

    assert tuple(answers) == PARTS
    assert all(len(answer.question) > 60 and len(answer.text) > 200 for answer in answers.values())
    assert "in terms of $A$ and $y$" in answers["(a)"].question
    assert "What will $\\beta$ go to?" in answers["(d)"].question
    assert "downward spike" in answers["(e) 1"].question
    assert len(answers["(f)"].figures) == 4
    assert answers["(h) 2"].figures == ()
    assert all(base64.b64decode(figure).endswith((b"1", b"2")) for figure in answers["(f)"].figures)


def test_the_text_shows_each_figure_once() -> None:
    """As Markdown every figure file is referred to, and questions are quoted."""
    answers = gather_answers([as_executed(name) for name in META])
    files = figure_files(answers)

    text = answers_markdown(answers, figures={name: f"figures/{name}" for name in files})

    assert all(text.count(f"(figures/{name})") == 1 for name in files)
    assert text.count("\n## ") == len(PARTS)
    assert "> Write the solution of" in text


def test_a_lost_answer_is_loud() -> None:
    """A part without an answer stops the release, and is seen in the message."""
    with pytest.raises(StaffError, match=r"answer \(a\), \(b\), \(c\), \(d\), \(g\)"):
        gather_answers([as_executed(META[0]), as_executed(META[2])])
