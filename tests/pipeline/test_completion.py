"""Completion: what a notebook's file has to show, and what the student reads where it does not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grader.intake.report import NotebookRun
from grader.rubric import load_rubric
from grader.verdicts import Verdict
from homework.homework import HOMEWORK
from homework.inspections.completion import COMPLETIONS, Completion, judge_completion

PART = Completion("part.ipynb", ("learn", "also_learn"))
RUN = NotebookRun("mine.ipynb", 5, 5, 2, 0, frozenset(), frozenset({"learn"}))


def test_every_completion_question_has_its_notebook() -> None:
    """The rubric's questions and the table of notebooks name each other."""
    asked = {question.check for question in load_rubric(HOMEWORK.rubric).questions if question.aspect == "completion"}

    assert asked == set(COMPLETIONS)


@pytest.mark.parametrize(
    ("runs", "verdict", "words"),
    [
        ([RUN], Verdict.PASSED, ""),
        ([replace(RUN, mentions=frozenset({"also_learn"}))], Verdict.PASSED, ""),
        ([replace(RUN, mentions=frozenset(), defines=frozenset({"learn"}))], Verdict.PASSED, ""),
        ([replace(RUN, figures=0, run_cells=0), RUN], Verdict.PASSED, ""),
        ([replace(RUN, errors=2), RUN], Verdict.PASSED, ""),
        ([], Verdict.MISSING, "defines or calls `learn` or `also_learn`, as `part.ipynb` does."),
        ([replace(RUN, mentions=frozenset({"other"}))], Verdict.MISSING, "No notebook defines or calls `learn`"),
        ([replace(RUN, run_cells=0, figures=0)], Verdict.MISSING, "`mine.ipynb` was not run"),
        ([replace(RUN, figures=0)], Verdict.FAILED, "`mine.ipynb` was run, but shows no figure."),
        ([replace(RUN, errors=1)], Verdict.FAILED, "In `mine.ipynb`, a cell stopped with an error."),
        ([replace(RUN, errors=3)], Verdict.FAILED, "3 cells stopped with an error."),
    ],
)
def test_what_a_notebook_has_to_show(runs: list[NotebookRun], verdict: Verdict, words: str) -> None:
    """The best notebook that is about the functions needs figures and no errors; others do not count."""
    evidence = judge_completion(PART, runs)

    assert evidence.verdict is verdict
    assert words in " ".join(evidence.findings)
    assert evidence.passed or evidence.try_next.endswith(".")


def test_errors_elsewhere_may_be_nothing_to_mind() -> None:
    """The plot of part (d) counts even where another cell of its notebook stopped."""
    assert judge_completion(replace(PART, may_fail=True), [replace(RUN, errors=1)]).passed
