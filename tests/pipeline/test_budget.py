"""Time is shared out fairly: what hangs eats its own time and nobody else's."""

from __future__ import annotations

import ast
import time
from pathlib import Path

import pytest

from grader.pipeline.budget import Budget
from grader.pipeline.run import Settings, grade_submission
from grader.release.notebooks import edit_notebook, notebook_bytes
from grader.rubric import Question, Rubric, load_rubric
from grader.verdicts import Verdict
from homework.homework import HOMEWORK
from homework.release.sources import solved_modules, solved_notebook

GRADER = Path(__file__).parents[2] / "grader"


def questions(*limits_s: float) -> list[Question]:
    """Return questions with these time limits."""
    return [
        Question("vision", str(index), "unpatchify.output", 1, "t", "a", time_limit_s=limit)
        for index, limit in enumerate(limits_s)
    ]


def budget(limit_s: float, *, spent_s: float = 0.0) -> Budget:
    """Return a budget of which so much is spent."""
    return Budget(limit_s, time.monotonic() - spent_s)


def test_a_question_may_take_its_limit_twice_where_there_is_time() -> None:
    """Once with the student's helpers and once with ours."""
    first, *later = questions(20, 20, 20)

    assert budget(540).allowance_s(first, later) == 40


def test_a_quarter_of_the_limit_is_kept_for_each_later_question() -> None:
    """However many hang, the last one can still begin."""
    first, *later = questions(*[20] * 11)

    assert budget(540, spent_s=440).allowance_s(first, later) in (40, 39)
    assert budget(540, spent_s=480).allowance_s(first, later) in (10, 9)


def test_too_little_time_is_shared_by_the_limits() -> None:
    """Where not even the quarters are there, all get the same share; the last gets all that is left."""
    first, *later = questions(20, 20, 60)

    assert budget(20).allowance_s(first, later) in (4, 3)
    assert 9 <= budget(10).allowance_s(first, []) <= 10
    assert budget(10, spent_s=11).allowance_s(first, later) < 0


@pytest.mark.parametrize("honest_at_the_end", [0, 3])
def test_every_question_begins_although_all_before_it_hang(honest_at_the_end: int) -> None:
    """Played through with the real rubric: each of 48 questions that all hang twice still gets some seconds."""
    rubric = load_rubric(HOMEWORK.rubric)
    spent, least = 0.0, 99.0
    for index, question in enumerate(rubric.questions):
        allowed = budget(rubric.time_limit_s, spent_s=spent).allowance_s(question, rubric.questions[index + 1 :])
        is_hanging = index < len(rubric.questions) - honest_at_the_end
        spent += allowed if is_hanging else 0
        least = min(least, allowed)

    assert least >= 4
    assert spent <= rubric.time_limit_s


def hanging_vision(folder: Path) -> Path:
    """Write the solved homework, with a vision notebook of which every function sleeps when it is called."""
    folder.mkdir()
    notebook = edit_notebook(solved_notebook("MAE_student"), {})
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.source = _sleeping(cell.source)
    (folder / "MAE_student.ipynb").write_bytes(notebook_bytes(notebook))
    for part in range(3):
        name = f"metalearning-part{part}"
        (folder / f"{name}.ipynb").write_bytes(notebook_bytes(solved_notebook(name)))
    for name, source in solved_modules().items():
        (folder / name).write_text(source)
    return folder


def _sleeping(source: str) -> str:
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef) and node.name != "__init__"]
    for node in functions:
        node.body = ast.parse("import time\ntime.sleep(1000)").body
    return ast.unparse(tree) if functions else source


@pytest.mark.slow
def test_what_hangs_does_not_cost_the_other_half(tmp_path: Path) -> None:
    """Every vision function sleeps, for longer in all than there is time; the other half keeps all its points."""
    limit_s, total_s = 6.0, 150.0
    whole = load_rubric(HOMEWORK.rubric).questions
    first = [q for q in whole if q.part == "vision" and q.aspect != "claim"]
    second = [q for q in whole if q.part != "vision"]
    # The notebooks of this submission were not run: what is only there to be looked at is left out.
    second = [q for q in second if q.aspect != "completion" and q.function[:17] != "meta_learning_reg"]
    asked = [Question(**{**vars(q), "time_limit_s": limit_s if q in first else q.time_limit_s}) for q in first + second]

    report = grade_submission(
        hanging_vision(tmp_path / "submission"),
        Settings(HOMEWORK, Rubric("HW", total_s, tuple(asked)), tmp_path / "out"),
    )

    found = {item.question.check: item.evidence.verdict for item in report.judgements}
    assert {found[q.check] for q in second} == {Verdict.PASSED}, found
    assert {found[q.check] for q in first} <= {Verdict.TIMEOUT, Verdict.NOT_RUN}


WALL_CLOCKS = {"time", "time_ns", "now", "utcnow", "today"}


def test_no_limit_looks_at_a_clock_that_can_be_set() -> None:
    """Neither the sandbox nor the pipeline asks for the time of day: a clock that jumps changes nothing."""
    modules = [*(GRADER / "sandbox").glob("*.py"), *(GRADER / "pipeline").glob("*.py"), GRADER / "wire.py"]
    calls = [
        f"{path.name}:{node.lineno}"
        for path in modules
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr in WALL_CLOCKS
        and isinstance(node.value, ast.Name)
        and node.value.id in ("time", "datetime", "date")
    ]

    assert len(modules) > 10
    assert calls == []


def test_a_clock_that_jumps_changes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A day forward and back at every look, and the run is graded in full."""
    jumps = iter(range(10**6))
    monkeypatch.setattr(time, "time", lambda: 1e9 + (86_400 if next(jumps) % 2 else -86_400))
    (tmp_path / "s").mkdir()
    (tmp_path / "s" / "MAE_student.ipynb").write_bytes(notebook_bytes(solved_notebook("MAE_student")))
    asked = tuple(
        q for q in load_rubric(HOMEWORK.rubric).questions if q.check in ("patchify.output", "unpatchify.output")
    )

    report = grade_submission(tmp_path / "s", Settings(HOMEWORK, Rubric("HW", 60, asked), tmp_path / "out"))

    assert [item.evidence.verdict for item in report.judgements] == [Verdict.PASSED] * 2
