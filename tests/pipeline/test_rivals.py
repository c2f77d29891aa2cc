"""Two copies that nothing tells apart: the one that agrees with what was saved is taken."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from grader.intake.report import Intake
from grader.pipeline.rivals import settled
from tests.hostile.build import perfect_files
from tests.hostile.honest import wrong_copy


def intake_of(*rivals: str) -> Intake:
    """Return an intake of a submission in which several notebooks could be meant."""
    return Intake({}, rivals=rivals)


@pytest.mark.parametrize(("counts", "taken"), [((1, 3, 2), "b"), ((2, 2, 2), "a"), ((0, 0, 1), "c")])
def test_the_best_agreement_wins_and_of_equals_the_first(counts: tuple[int, ...], taken: str) -> None:
    """Each rival is read once, and compared once."""
    found = settled(
        intake_of("a", "b", "c"),
        lambda path: intake_of(path),
        lambda intake: counts["abc".index(intake.rivals[0])],
    )

    assert found.rivals[0] == taken


def test_without_rivals_nothing_is_read_again() -> None:
    """What is clear costs nothing."""

    def never(_: object) -> int:
        raise AssertionError

    assert settled(intake_of(), never, never) == intake_of()  # type: ignore[arg-type]  # it is never called


Grade = Callable[[Path], tuple[str, ...]]


@pytest.mark.parametrize(("right", "wrong"), [("a", "b"), ("b", "a")])
def test_the_notebook_that_made_autograder_pt_is_graded(tmp_path: Path, right: str, wrong: str) -> None:
    """Two folders of the same company; the wrong notebook is the larger one, and first or last by name."""
    from grader.pipeline.run import Settings, grade_submission
    from grader.rubric import Rubric
    from homework.homework import HOMEWORK
    from tests.known import vision_questions

    files = perfect_files()
    notebook = files["MAE_student.ipynb"]
    submission = tmp_path / "submission"
    for folder, data in ((right, notebook), (wrong, wrong_copy(files))):
        (submission / folder).mkdir(parents=True)
        (submission / folder / "MAE_student.ipynb").write_bytes(data)
    (submission / "autograder.pt").write_bytes(files["autograder.pt"])
    asked = tuple(question for question in vision_questions() if question.check == "unpatchify.output")
    settings = Settings(homework=HOMEWORK, rubric=Rubric("HW", 60, asked), out=tmp_path / "out")

    report = grade_submission(submission, settings)

    assert [judgement.evidence.passed for judgement in report.judgements] == [True]
    assert any(f"`{right}/MAE_student.ipynb` was graded" in note for note in report.notes)
