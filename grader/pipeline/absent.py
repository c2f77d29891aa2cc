"""
Which of the homework's notebooks are not in a submission: a note at the top of the report.

A notebook that was renamed is known by the functions that it defines or calls, so only one that is neither there by
name nor by content counts as forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from grader.feedback.text import code
from grader.intake.holdings import bare_stem
from grader.intake.report import Intake
from grader.rubric import Question


@dataclass(frozen=True)
class Notebook:
    """
    A notebook that is handed out.

    Args:
        name: of its file.
        functions: names that it defines or calls, and that no other notebook does.
        part: where these may as well stand in a module of the student's; "" where a module that is handed out defines
            them, so that they say nothing of the notebook.
    """

    name: str
    functions: frozenset[str]
    part: str = ""


NOTEBOOKS = (
    Notebook(
        "MAE_student.ipynb",
        frozenset(
            {
                "patchify",
                "unpatchify",
                "ClassificationViT",
                "random_masking",
                "restore_masked",
                "MaskedAutoEncoder",
                "ClassificationMAE",
            }
        ),
        part="vision",
    ),
    Notebook(
        "metalearning-part0.ipynb",
        frozenset(
            {
                "min_norm_solution",
                "aliased_coefficients",
                "expected_test_error",
                "expected_test_error_gradient",
                "descend_feature_weights",
            }
        ),
        part="metalearning",
    ),
    Notebook("metalearning-part1.ipynb", frozenset({"meta_learning_reg_closed_form", "meta_learning_reg_sgd"})),
    Notebook("metalearning-part2.ipynb", frozenset({"meta_learning_classification"})),
)


def note_on_absent_notebooks(intake: Intake, questions: Iterable[Question]) -> tuple[str, ...]:
    """Return a note for the student about notebooks that questions are about and that were not handed in, if any."""
    asked = {question.function.partition(".")[0] for question in questions}
    absent = [notebook.name for notebook in NOTEBOOKS if asked & notebook.functions and not _is_there(notebook, intake)]
    if not absent:
        return ()
    listed = ", ".join(map(code, absent))
    if not intake.is_read_whole:
        what = "This notebook was" if len(absent) == 1 else "These notebooks were"
        return (f"{what} not found in what could be read: {listed}. The other notes say what could not be read.",)
    what = "This notebook is" if len(absent) == 1 else "These notebooks are"
    return (
        f"{what} not in the submission, under the usual name or another one: {listed}. Put all notebooks into one "
        "folder, save them, run the cell that makes `hw4_submission.zip`, and hand in that.",
    )


def _is_there(notebook: Notebook, intake: Intake) -> bool:
    stem = bare_stem(notebook.name)
    if any(bare_stem(run.file) == stem or notebook.functions & (run.defines | run.mentions) for run in intake.runs):
        return True
    if notebook.part and notebook.functions & intake.parts[notebook.part].plans.keys():
        return True
    # One that could not be read is not forgotten; a note of its own says what is wrong with it.
    return any(notebook.name.removesuffix(".ipynb") in note.text for note in intake.notes)
