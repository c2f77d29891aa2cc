"""
Whether notebooks that were to be run show that they were.

What a notebook's file shows is the student's word and no more, which is why the questions have few points: nobody
repeats an hour of training to find out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from grader.feedback.text import code
from grader.intake.report import NotebookRun
from grader.verdicts import Evidence, Verdict, failed, passed


@dataclass(frozen=True)
class Completion:
    """
    What must have been run.

    Args:
        template: the notebook's name as handed out, for the words.
        names: functions by which the notebook is known, whatever its file is called: it defines or calls one of them.
        may_fail: whether a cell that stopped with an error is nothing to mind; other parts may be in the notebook.
    """

    template: str
    names: tuple[str, ...]
    may_fail: bool = False


COMPLETIONS = {
    "descend_feature_weights.completion": Completion(
        "metalearning-part0.ipynb", ("descend_feature_weights",), may_fail=True
    ),
    "meta_learning_reg_closed_form.completion": Completion(
        "metalearning-part1.ipynb", ("meta_learning_reg_closed_form", "meta_learning_reg_sgd")
    ),
    "meta_learning_classification.completion": Completion(
        "metalearning-part2.ipynb", ("meta_learning_classification",)
    ),
}


def judge_completion(completion: Completion, runs: Sequence[NotebookRun]) -> Evidence:
    """Some notebook that is the one meant shows figures, and no cell of it an error."""
    meant = [run for run in runs if (run.defines | run.mentions).intersection(completion.names)]
    again = "Choose Kernel → Restart & Run All, save the notebook with its outputs, and hand in that file."
    if not meant:
        names = " or ".join(map(code, completion.names))
        return Evidence(
            Verdict.MISSING,
            (f"No notebook defines or calls {names}, as {code(completion.template)} does.",),
            f"Hand in {code(completion.template)}, run and saved with its outputs.",
        )
    best = max(meant, key=lambda run: (run.figures > 0, -run.errors, run.run_cells))
    if best.run_cells == 0:
        return Evidence(Verdict.MISSING, (f"{code(best.file)} was not run: no cell of it has an output.",), again)
    if best.figures == 0:
        return failed(f"{code(best.file)} was run, but shows no figure.", try_next=again)
    if best.errors and not completion.may_fail:
        cells = "a cell" if best.errors == 1 else f"{best.errors} cells"
        return failed(f"In {code(best.file)}, {cells} stopped with an error.", try_next=again)
    return passed()
