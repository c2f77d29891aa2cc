"""
Which of the homework's notebooks are not in a submission: a note at the top of the report.

A notebook that was renamed is known by the functions that it defines or calls, so only one that is neither there by
name nor by content counts as forgotten.
"""

from __future__ import annotations

from collections.abc import Iterable

from grader.feedback.text import code
from grader.intake.holdings import bare_stem
from grader.intake.report import Intake
from grader.pipeline.homework import Homework
from grader.rubric import Question


def note_on_forgotten_notebooks(homework: Homework, intake: Intake, questions: Iterable[Question]) -> tuple[str, ...]:
    """Return a note for the student about notebooks that questions are about and that were not handed in, if any."""
    asked = {question.function.partition(".")[0] for question in questions}
    absent = [
        name
        for name in dict.fromkeys(each.notebook for each in homework.contract)
        if asked & _roots(homework, name) and not _is_there(homework, name, intake)
    ]
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


def _roots(homework: Homework, notebook: str) -> set[str]:
    """Return the names by which a notebook is known: what it alone defines, or what only it runs."""
    return {each.root for each in homework.contract if each.notebook == notebook and each.marks_notebook}


def _is_there(homework: Homework, notebook: str, intake: Intake) -> bool:
    stem, roots = bare_stem(notebook), _roots(homework, notebook)
    if any(bare_stem(run.file) == stem or roots & (run.defines | run.mentions) for run in intake.runs):
        return True
    # They may as well stand in a module of the student's, unless a module that is handed out defines them.
    own = [each for each in homework.contract if each.notebook == notebook and not each.in_module]
    if any(each.root in intake.parts[each.part].plans for each in own):
        return True
    # One that could not be read is not forgotten; a note of its own says what is wrong with it.
    return any(notebook.removesuffix(".ipynb") in note.text for note in intake.notes)
