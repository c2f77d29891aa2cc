"""What many tests want of the homework: its checks by key, and its known submissions by part."""

from __future__ import annotations

import nbformat

from grader.rubric import Question, Rubric, load_rubric
from grader.trust.cases import Changes, questions_of, training_questions
from homework.answers import ANSWERS
from homework.homework import HOMEWORK

CHECKS = ANSWERS.by_key
KNOWN_CHECKS = ANSWERS.known
CATALOGUE = ANSWERS.mistakes.entries
VISION, METALEARNING = HOMEWORK.parts


def usual_rubric() -> Rubric:
    """Return the homework's rubric."""
    return load_rubric(HOMEWORK.rubric)


def vision_questions() -> tuple[Question, ...]:
    """Return the questions about vision code but for training, which takes seconds."""
    return questions_of(HOMEWORK, VISION)


def trainings() -> tuple[Question, ...]:
    """Return the questions that train modules."""
    return training_questions(HOMEWORK, VISION)


def metalearning_questions() -> tuple[Question, ...]:
    """Return the questions of the meta-learning part."""
    return questions_of(HOMEWORK, METALEARNING)


def part_changed(changes: Changes) -> int:
    """Return the number of the part that a change is about."""
    return int(changes.touches(METALEARNING))


def vision_notebook(changes: Changes) -> nbformat.NotebookNode:
    """Return the vision notebook with changes."""
    (data,) = changes.files_of(VISION).values()
    return nbformat.reads(data.decode(), as_version=4)
