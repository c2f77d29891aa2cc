"""The report as a table in the terminal, for staff."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from grader.feedback.words import Judgement

_STYLES = {
    "PASSED": "green",
    "FAILED": "red",
    "MISSING": "yellow",
    "NOT_RUN": "yellow",
    "INFRASTRUCTURE": "magenta",
}


def print_report(judgements: Sequence[Judgement], console: Console) -> None:
    """Print a line for each question, the total, and what the verdicts alone do not say."""
    table = Table(show_footer=True, header_style="bold")
    total = sum(judgement.score for judgement in judgements)
    possible = sum(judgement.question.points for judgement in judgements)
    table.add_column("No.", footer="")
    table.add_column("Question", footer="Total")
    table.add_column("Points", justify="right", footer=f"{total:g} / {possible:g}")
    table.add_column("Verdict")
    table.add_column("Lent")
    for judgement in judgements:
        verdict = judgement.evidence.verdict.value
        style = _STYLES.get(verdict, "red")
        table.add_row(
            judgement.question.number,
            escape(judgement.question.title),
            f"{judgement.score:g} / {judgement.question.points:g}",
            f"[{style}]{verdict}[/{style}]",
            ", ".join(judgement.lent),
        )
    console.print(table)
    for judgement in judgements:
        if headline := judgement.evidence.headline:
            console.print(f"{judgement.question.number} {escape(judgement.question.title)}: {escape(headline)}")
