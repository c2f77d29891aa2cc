"""`rubric`: check the file that staff edit."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.table import Table

from grader.pipeline.questions import KNOWN_CHECKS
from grader.rubric import DEFAULT_RUBRIC, load_rubric


def print_rubric(path: Path | None) -> None:
    """Read a rubric and print its questions with the points of each part."""
    rubric = load_rubric(path or DEFAULT_RUBRIC, known_checks=KNOWN_CHECKS)
    table = Table(title=rubric.assignment)
    for column in ("No.", "Part", "Check", "Points", "Visibility"):
        table.add_column(column)
    for question in rubric.questions:
        table.add_row(question.number, question.part, question.check, f"{question.points:g}", question.visibility)
    console = Console()
    console.print(table)
    totals: dict[str, float] = {}
    for question in rubric.questions:
        totals[question.part] = totals.get(question.part, 0) + question.points
    parts = ", ".join(f"{part} {points:g}" for part, points in totals.items())
    console.print(f"{sum(totals.values()):g} points: {parts}")
