"""Notebooks that were forgotten: named at the top of the report, and never where they are there under another name."""

from __future__ import annotations

from dataclasses import replace

import nbformat
import pytest

from grader.intake.report import Code, Intake, Note, NotebookRun
from grader.pipeline.forgotten_notebooks import _roots, note_on_forgotten_notebooks
from grader.rubric import load_rubric
from homework.homework import HOMEWORK
from homework.inspections.completion import COMPLETIONS
from tests.known import CHECKS

EMPTY = Code((), {}, {}, {}, {})
ALL = tuple(dict.fromkeys(each.notebook for each in HOMEWORK.contract))
QUESTIONS = load_rubric(HOMEWORK.rubric).questions


def run_of(file: str, *functions: str) -> NotebookRun:
    """Return what is known of a notebook that calls some functions."""
    return NotebookRun(file, 3, 3, 1, 0, frozenset(), frozenset(functions))


def intake_of(*runs: NotebookRun, notes: tuple[Note, ...] = (), parts: dict[str, Code] | None = None) -> Intake:
    """Return a submission of these notebooks."""
    return Intake({"vision": EMPTY, "metalearning": EMPTY, **(parts or {})}, runs=runs, notes=notes)


def test_the_table_names_every_notebook_that_is_handed_out() -> None:
    """Each with functions that its file has and no other notebook's, and that are among those asked for."""
    sources = {path.name: nbformat.read(path, 4) for path in HOMEWORK.templates.glob("*.ipynb")}
    code = {name: "\n".join(cell.source for cell in notebook.cells) for name, notebook in sources.items()}

    assert set(ALL) == set(code)
    assert {completion.template for completion in COMPLETIONS.values()} <= set(ALL)
    wanted = {name for check in CHECKS.values() for name in (*check.wanted, check.function)}
    for name in ALL:
        assert _roots(HOMEWORK, name) <= wanted
        assert all(function in code[name] for function in _roots(HOMEWORK, name))


@pytest.mark.parametrize("name", ALL)
def test_one_forgotten_notebook_is_named_alone(name: str) -> None:
    """The others are there by name."""
    (note,) = note_on_forgotten_notebooks(
        HOMEWORK, intake_of(*(run_of(other) for other in ALL if other != name)), QUESTIONS
    )

    assert note.startswith(f"This notebook is not in the submission, under the usual name or another one: `{name}`. ")


def test_nothing_is_said_where_all_are_there_under_names_of_downloads() -> None:
    """`MAE_student (1).ipynb` in a folder is `MAE_student.ipynb`."""
    runs = [run_of(f"homework/{name.removesuffix('.ipynb')} (1).ipynb") for name in ALL]

    assert note_on_forgotten_notebooks(HOMEWORK, intake_of(*runs), QUESTIONS) == ()


def test_a_notebook_is_known_by_what_it_calls() -> None:
    """All in one file of another name is as good."""
    calls = [next(iter(_roots(HOMEWORK, name))) for name in ALL]

    assert note_on_forgotten_notebooks(HOMEWORK, intake_of(run_of("all.ipynb", *calls)), QUESTIONS) == ()


def test_code_in_a_module_stands_for_the_notebook_only_where_nobody_handed_it_out() -> None:
    """`utils_reg.py` defines the functions of part 1 in every submission, so it says nothing of the notebook."""
    vision = replace(EMPTY, plans={"patchify": ((0, 0),)})
    theory = replace(EMPTY, plans={"min_norm_solution": ((0, 0),), "meta_learning_reg_sgd": ((0, 0),)})
    (note,) = note_on_forgotten_notebooks(
        HOMEWORK, intake_of(parts={"vision": vision, "metalearning": theory}), QUESTIONS
    )

    assert note.startswith("These notebooks are not")
    assert ": `metalearning-part1.ipynb`, `metalearning-part2.ipynb`." in note


def test_a_notebook_that_cannot_be_read_is_not_called_forgotten() -> None:
    """Its own note says what is wrong with it."""
    damaged = Note("damaged", "`metalearning-part1.ipynb` could not be read.")
    runs = [run_of(name) for name in ALL if name != "metalearning-part1.ipynb"]

    assert note_on_forgotten_notebooks(HOMEWORK, intake_of(*runs, notes=(damaged,)), QUESTIONS) == ()


def test_only_what_the_rubric_asks_about_is_expected() -> None:
    """Where staff took a half out, its notebooks are nobody's business."""
    vision = [question for question in QUESTIONS if question.part == "vision"]

    assert note_on_forgotten_notebooks(HOMEWORK, intake_of(run_of("MAE_student.ipynb")), vision) == ()
    assert note_on_forgotten_notebooks(HOMEWORK, intake_of(), vision)[0].count(".ipynb`") == 1
