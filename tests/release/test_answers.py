"""The written answers: all ten of them, each with its question and the plots that it speaks of."""

from __future__ import annotations

import base64

import nbformat
import pytest

from grader.errors import StaffError
from grader.release.answers import PARTS, answers_markdown, figure_files, gather_answers
from grader.release.notebooks import NotebookNode
from homework.release.measured import require_same_weights
from homework.release.sources import solved_notebook
from reference.metalearning.answers import load_numbers

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
    assert len(answers["(e) 2"].figures) == len(answers["(h) 2"].figures) == 2  # the weights over the iterations
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


def as_run(weights: list[str]) -> NotebookNode:
    """Return a notebook whose runs printed these true weights."""
    printed = "".join(f"weights of the true features: [{each}]\nof the others: smallest 0.18\n" for each in weights)
    cell = nbformat.v4.new_code_cell("run()", outputs=[nbformat.v4.new_output("stream", text=printed)])
    return nbformat.v4.new_notebook(cells=[cell])


def test_answers_speak_of_the_weights_that_the_notebooks_learned() -> None:
    """Runs that end with the weights of the answers pass; one that ends with others stops the release."""
    numbers = load_numbers()
    ends = [numbers[part]["true"] for part in ("e", "f5", "f1", "g", "h")]
    printed = [f"{true['smallest']:.2f}  {true['largest']:.2f}" for true in ends]

    require_same_weights([as_run(printed[:3]), as_run(printed[3:])], numbers)

    with pytest.raises(StaffError, match=r"3\.8, 3\.89"):
        require_same_weights([as_run(["3.80 3.89", *printed[1:3]]), as_run(printed[3:])], numbers)
