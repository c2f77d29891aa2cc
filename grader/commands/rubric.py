"""`rubric`: check the file that staff edit."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from grader.pipeline.homework import Homework
from grader.rubric import Rubric, load_rubric

_USUAL_TOTAL = 100


def print_rubric(homework: Homework, path: Path | None) -> None:
    """Read a rubric and print its questions, the points of each part and those in all."""
    known = homework.answers().known
    rubric = load_rubric(path or homework.rubric, known_checks=known, known_parts=homework.part_names)
    table = Table(title=rubric.assignment)
    for column in ("No.", "Part", "Check", "Points", "Visibility"):
        table.add_column(column)
    for question in rubric.questions:
        table.add_row(question.number, question.part, question.check, f"{question.points:g}", question.visibility)
    console = Console()
    console.print(table)
    for sentence in describe_totals(rubric):
        console.print(sentence, highlight=False)


def describe_totals(rubric: Rubric) -> list[str]:
    """Return the points of each part and in all, and a reminder where they are not a hundred."""
    totals: dict[str, float] = {}
    for question in rubric.questions:
        totals[question.part] = totals.get(question.part, 0) + question.points
    total = round(sum(totals.values()), 4)
    parts = ", ".join(f"{part} {round(points, 4):g}" for part, points in totals.items())
    said = [f"{total:g} points in all: {parts or 'no question is enabled'}."]
    if total != _USUAL_TOTAL:
        apart = round(abs(total - _USUAL_TOTAL), 4)
        said.append(
            f"That is {apart:g} {'more' if total > _USUAL_TOTAL else 'fewer'} than {_USUAL_TOTAL}. If it is meant, "
            "give the assignment on Gradescope this total; if not, change `points`."
        )
    return said
