"""The written answers (a) to (h), out of the executed notebooks, with their questions and the plots they speak of."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from grader.errors import StaffError
from grader.release.notebooks import NotebookNode
from reference.metalearning.answers import Numbers

PARTS = ("(a)", "(b)", "(c)", "(d)", "(e) 1", "(e) 2", "(f)", "(g)", "(h) 1", "(h) 2")
_ANSWER = re.compile(r"\*\*Answer (\([a-h]\)(?: \d)?)\.\*\*\s*")
_QUESTION = re.compile(r"\*\*Question (\([a-h]\)(?: \d)?)\.\*\*\s*")
_SECTION = re.compile(r"^## \([a-h]\) (?P<title>.+)\n+(?P<text>(?:.|\n)*)", re.MULTILINE)
_FIGURES_OF_A_RUN = 2  # a run shows two for each test of the weights: the answers speak of the last test
_WEIGHTS = re.compile(r"weights of the true features: \[(?P<weights>[^\]]+)\]")
_RUNS = ("e", "f5", "f1", "g", "h")  # in the order of the notebooks
_TITLE = "# Written answers, parts (a) to (h)"


@dataclass(frozen=True)
class Answer:
    """
    One written answer.

    Attributes:
        part: such as "(e) 1".
        question: Markdown.
        text: Markdown.
        figures: PNG in base64.
    """

    part: str
    question: str
    text: str
    figures: tuple[str, ...]


def gather_answers(notebooks: Sequence[NotebookNode]) -> list[Answer]:
    """
    Return the answers of executed notebooks.

    Args:
        notebooks: in the order of the homework.

    Raises:
        StaffError: a part has no answer, or more than one.
    """
    answers = [answer for notebook in notebooks for answer in _answers_of(notebook)]
    found = tuple(answer.part for answer in answers)
    if found != PARTS:
        raise StaffError(
            happened=f"The solved notebooks answer {', '.join(found) or 'nothing'}, not {', '.join(PARTS)} in turn.",
            try_next="Begin each answer with **Answer (a).** and so on, inside a solution region of a Markdown cell.",
        )
    return answers


def _answers_of(notebook: NotebookNode) -> Iterator[Answer]:
    question: list[str] = []
    figures: list[str] = []
    for cell in notebook.cells:
        if cell.cell_type == "code":
            figures += _figures(cell)[-_FIGURES_OF_A_RUN:]
        elif answer := _ANSWER.search(cell.source):
            text = cell.source[answer.end() :].strip()
            yield Answer(answer[1], "\n\n".join(question), text, tuple(figures))
            question, figures = [], []
        elif asked := _QUESTION.search(cell.source):
            question = [cell.source[asked.end() :].strip()]
        elif section := _SECTION.search(cell.source):
            question = [section["text"].strip()]
        elif question and not cell.source.startswith("#"):
            question.append(cell.source.strip())  # part (d) goes on after its function


def _figures(cell: NotebookNode) -> list[str]:
    data = [output.get("data", {}) for output in cell.get("outputs", [])]
    return [shown["image/png"].replace("\n", "") for shown in data if "image/png" in shown]


def require_same_weights(notebooks: Sequence[NotebookNode], numbers: Numbers) -> None:
    """
    Make sure that the executed notebooks learned the weights that their answers speak of.

    Raises:
        StaffError: the weights that a run printed are others.
    """
    printed = [
        [float(value) for value in line["weights"].split()]
        for notebook in notebooks
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for line in _WEIGHTS.finditer(output.get("text", ""))
    ]
    measured = [numbers[part]["true"] for part in _RUNS]
    expected = [[round(true[end], 2) for end in ("smallest", "largest")] for true in measured]
    found = [[min(weights), max(weights)] for weights in printed]
    if found != expected:
        raise StaffError(
            happened=f"The notebooks' runs end with true weights between {found}, the answers speak of {expected}.",
            try_next="Make the handed-out modules and the reference draw and compute the same again.",
        )


def answers_markdown(answers: Sequence[Answer], *, figures: Mapping[str, str]) -> str:
    """
    Return all answers as one Markdown text.

    Args:
        answers: in order.
        figures: for each name of `figure_files` the address to show it by.
    """
    paragraphs = [_TITLE]
    for answer in answers:
        paragraphs += [f"## {answer.part}", _quoted(answer.question), answer.text]
        names = _figure_names(answer)
        paragraphs += [f"![Figure {number} of {answer.part}]({figures[name]})" for number, name in enumerate(names, 1)]
    return "\n\n".join(paragraphs) + "\n"


def figure_files(answers: Sequence[Answer]) -> dict[str, bytes]:
    """Return the answers' figures as PNG files by name."""
    return {
        name: base64.b64decode(figure)
        for answer in answers
        for name, figure in zip(_figure_names(answer), answer.figures, strict=True)
    }


def _figure_names(answer: Answer) -> list[str]:
    part = re.sub(r"\W", "", answer.part)
    return [f"{part}_{number}.png" for number in range(1, len(answer.figures) + 1)]


def _quoted(text: str) -> str:
    return "\n".join(f"> {line}".rstrip() for line in text.splitlines())
