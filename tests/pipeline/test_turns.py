"""The next question is prepared and begun while the last one is judged, and nothing is charged to the other."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from grader.feedback.words import Judgement
from grader.pipeline.ask import Ahead, Asker
from grader.pipeline.budget import Budget
from grader.pipeline.questions import Questions
from grader.pipeline.run import Settings, grade_submission
from grader.pipeline.turns import turns_of
from grader.release.notebooks import solved_notebook
from grader.rubric import Question, load_rubric
from grader.sandbox.host import Running, Sandbox
from grader.verdicts import Evidence, Verdict, passed
from homework.homework import HOMEWORK

RUBRIC = load_rubric(HOMEWORK.rubric)
HELPERS = {"random_masking.output", "random_masking.generality", "restore_masked.output", "patchify.output"}
WRONG = "def random_masking(x, keep_length, ids_shuffle):\n    raise ValueError('not yet')\n"


class ScriptedQuestions:
    """Stands in for the questions: keeps what is done, and fails where a test wants."""

    def __init__(self, *, failing: tuple[str, ...] = ()) -> None:
        self.done: list[str] = []
        self._failing = failing

    def _do(self, what: str, question: Question) -> None:
        self.done.append(f"{what} {question.number}")
        if self.done[-1] in self._failing:
            raise RuntimeError(self.done[-1])

    def prepare(self, question: Question) -> None:
        """Keep that it was prepared."""
        self._do("prepare", question)

    def begin(self, question: Question, _: float) -> None:
        """Keep that it was begun."""
        self._do("begin", question)

    def judge(self, question: Question, _: float, *, ahead: Ahead, **__: Any) -> Judgement:
        """Do what can be done ahead, then judge."""
        ahead.prepare()
        ahead.begin()
        self._do("judge", question)
        return Judgement(question, passed())


def played(questions: ScriptedQuestions, *, limit_s: float = 540.0) -> list[Verdict]:
    """Take the turns of two questions and return their verdicts."""
    asked = [Question("vision", number, "patchify.output", 1, "t", "a") for number in ("1", "2")]
    turns = turns_of(asked, questions, Budget(limit_s, time.monotonic()))  # type: ignore[arg-type] # a stand-in
    return [turn.take().evidence.verdict for turn in turns if turn.has_time]


def test_the_next_question_is_begun_before_the_last_is_judged() -> None:
    """And prepared before that; the last of all has nothing ahead."""
    questions = ScriptedQuestions()

    assert played(questions) == [Verdict.PASSED, Verdict.PASSED]
    assert questions.done == ["begin 1", "prepare 2", "begin 2", "judge 1", "begin 2", "judge 2"]


@pytest.mark.parametrize("broken", ["prepare 2", "begin 2"])
def test_a_fault_of_the_next_question_does_not_cost_this_one(broken: str) -> None:
    """It is met again in its own turn, and there it counts."""
    questions = ScriptedQuestions(failing=(broken, "judge 2"))

    assert played(questions) == [Verdict.PASSED, Verdict.INFRASTRUCTURE]


def test_nothing_is_begun_for_which_there_is_no_time() -> None:
    """Preparing it is harmless."""
    questions = ScriptedQuestions()

    assert played(questions, limit_s=0.5) == []
    assert questions.done == []


def events(source: str, tmp_path: Path, checks: set[str]) -> list[str]:
    """Grade some code and return when each question was begun and judged; only the right ones are shown as such."""
    submission = tmp_path / "submission"
    seen: list[str] = []
    submission.mkdir()
    (submission / "solution.py").write_text(source)
    begin, judge = Questions.begin, Asker.examine

    def begun(self: Questions, question: Question, time_limit_s: float) -> None:
        before = len(self._running)
        begin(self, question, time_limit_s)
        if len(self._running) > before:
            seen.append(f"begin {question.check}")

    def examined(self: Asker, check: Any, *others: Any, **options: Any) -> Evidence:
        evidence = judge(self, check, *others, **options)
        seen.append(f"judged {check.key}{' with help' if options.get('lent') else ''}")
        return evidence

    asked = tuple(question for question in RUBRIC.questions if question.check in checks)
    settings = Settings(HOMEWORK, replace(RUBRIC, questions=asked), tmp_path / "out")
    with mock.patch.object(Questions, "begin", begun), mock.patch.object(Asker, "examine", examined):
        grade_submission(submission, settings)
    return seen


def test_where_help_may_be_lent_the_next_question_waits(tmp_path: Path) -> None:
    """There is one worker at a time, and forward_encoder may be asked again with our random_masking."""
    encoder, decoder = "MaskedAutoEncoder.forward_encoder.output", "MaskedAutoEncoder.forward_decoder.output"
    cells = [cell["source"] for cell in solved_notebook("MAE_student")["cells"] if cell["cell_type"] == "code"]
    source = "\n".join([*cells, WRONG])
    seen = events(source, tmp_path, {*HELPERS, encoder, decoder})

    assert seen.index("begin random_masking.output") < seen.index("judged patchify.output")
    assert seen.index(f"judged {encoder} with help") < seen.index(f"begin {decoder}")


def test_no_more_than_one_worker_computes_at_a_time(tmp_path: Path) -> None:
    """The next task is handed over when the last has answered."""
    at_work, most = 0, 0
    begin, outcome = Sandbox.begin, Running.outcome

    def begun(self: Sandbox, *arguments: Any, **options: Any) -> Running:
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        return begin(self, *arguments, **options)

    def over(self: Running) -> Any:
        nonlocal at_work
        found = outcome(self)
        at_work -= 1
        return found

    asked = tuple(question for question in RUBRIC.questions if question.aspect != "convergence")
    settings = Settings(HOMEWORK, replace(RUBRIC, questions=asked), tmp_path)
    with mock.patch.object(Sandbox, "begin", begun), mock.patch.object(Running, "outcome", over):
        grade_submission(Path(__file__).parents[2] / "examples" / "hw4_submission.zip", settings)

    assert (at_work, most) == (0, 1)
