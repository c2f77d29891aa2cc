"""The one object that the harness is given: what this homework is made of. Nothing here knows an answer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from grader.pipeline.homework import Answers, CodeGroup, Homework, Part
from homework.contract import CONTRACT, COPYPASTE, METALEARNING, VISION

if TYPE_CHECKING:
    from grader.checks.exam import CaseAnswer, Check, Exam
    from grader.probes.task import Probes
    from grader.verdicts import Evidence

_FOLDER = Path(__file__).parent
_NOTEBOOKS = _FOLDER.parent / "reference" / "notebooks"


def _probes() -> Probes:
    from homework.probes import PROBES

    return PROBES


def _answers() -> Answers:
    from homework.answers import ANSWERS

    return ANSWERS


def _judge_public(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    from homework.public_check import judge_public

    return judge_public(check, exam, answers)


HOMEWORK = Homework(
    package="homework",
    folder=_FOLDER,
    contract=CONTRACT,
    parts=(
        Part(
            VISION,
            "Masked autoencoders",
            groups=(CodeGroup(VISION, "Masked autoencoders", ("MAE_student.ipynb",)),),
            notebooks=("MAE_student.ipynb",),
            sources=_NOTEBOOKS,
        ),
        Part(
            METALEARNING,
            "Meta-learning",
            groups=(
                CodeGroup(
                    METALEARNING,
                    "Meta-learning",
                    (
                        "utils_classification.py",
                        "utils_reg.py",
                        "metalearning-part0.ipynb",
                        "metalearning-part1.ipynb",
                        "metalearning-part2.ipynb",
                    ),
                ),
                CodeGroup(COPYPASTE, "Meta-learning, part (g)", ("utils_classification_copypaste.py",)),
            ),
            notebooks=("metalearning-part0.ipynb", "metalearning-part1.ipynb", "metalearning-part2.ipynb"),
            sources=_NOTEBOOKS,
            libraries=("sklearn.linear_model", "matplotlib.pyplot"),
            cases="meta_",
            are_run=True,
        ),
    ),
    templates=_FOLDER.parent / "student_templates",
    probes=_probes,
    answers=_answers,
    sources=(_FOLDER.parent / "reference",),
    given=("index_sequence", "Transformer"),
    given_in="MAE_student.ipynb",
    saved={
        "autograder": "Saved outputs",
        "saved_model": "Saved model",
        **{f"classifier-{number}": "Another saved model" for number in range(1, 5)},
    },
    data_set="cifar10",
    public_vectors=("public_vectors.pt", "public_vectors_metalearning.pt"),
    judge_public=_judge_public,
)
