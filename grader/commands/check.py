"""`check`: students check their own work, in the grader's words, on the public vectors."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown
from rich.markup import escape
from rich.table import Table

from grader.errors import StaffError, SubmissionError
from grader.feedback.words import Judgement, question_output
from grader.intake.collect import require_submission
from grader.pipeline.homework import Homework
from grader.pipeline.selfcheck import SelfCheck, check_submission
from grader.verdicts import Verdict

_STYLES = {Verdict.PASSED: "green", Verdict.MISSING: "yellow"}
_ASPECTS = {
    "generality": "other sizes",
    "gradient": "gradients",
    "behaviour": "how functions behave",
    "convergence": "whole runs and training",
    "completion": "whether notebooks were run",
    "claim": "what saved results say",
    "output": "values of the other functions",
}


def run_check(homework: Homework, path: Path) -> None:
    """
    Check a notebook, folder or zip and print a table, and the words for what is not right.

    Raises:
        StaffError: there is nothing to read at the path.
    """
    require_submission(path)
    console = Console()
    try:
        found = check_submission(homework, path)
    except SubmissionError as error:
        raise StaffError(happened=error.happened, try_next=error.try_next) from None
    _print_table(found.judgements, console)
    for note in found.notes:
        console.print(f"Note: {escape(note)}", highlight=False)
    for judgement in found.judgements:
        if not judgement.evidence.passed or judgement.evidence.notes:
            _print_words(judgement, found, console)
    console.print(_not_covered(found), highlight=False)


def _print_table(judgements: list[Judgement], console: Console) -> None:
    table = Table(header_style="bold")
    for column in ("No.", "Function", "On the public inputs"):
        table.add_column(column)
    for judgement in judgements:
        verdict = judgement.evidence.verdict
        style = _STYLES.get(verdict, "red")
        table.add_row(judgement.question.number, judgement.question.function, f"[{style}]{verdict.value}[/{style}]")
    console.print(table)


def _print_words(judgement: Judgement, found: SelfCheck, console: Console) -> None:
    """Print what the report of the grader would say, and what to mend first; of what is not there, one sentence."""
    question = judgement.question
    if judgement.evidence.verdict is Verdict.MISSING:
        console.print(f"{question.number} {escape(judgement.evidence.findings[0])}", highlight=False)
        return
    console.rule(escape(f"{question.number} {question.title}"), align="left")
    console.print(Markdown(question_output(judgement)))
    if first := found.builds_on.get(question.function):
        names = " and ".join(f"`{name}`" for name in first)
        console.print(Markdown(f"It builds on {names}, which is not right yet: mend that first."))


def _not_covered(found: SelfCheck) -> str:
    """Return a paragraph about what only the grader looks at."""
    counts = Counter(_ASPECTS.get(question.aspect, question.aspect) for question in found.not_covered)
    listed = ", ".join(f"{what} ({number})" for what, number in counts.items())
    return (
        f"\n{len(found.judgements)} functions were looked for and asked on the inputs that you have. The grader asks "
        f"them on others, and {len(found.not_covered)} more questions that are not covered here: {listed}. "
        "People read the written answers."
    )
