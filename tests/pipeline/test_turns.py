"""The next question is prepared and begun while the last one is judged, and nothing is charged to the other."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest import mock

import pytest

from grader.checks.exam import Exam
from grader.errors import StaffError
from grader.feedback.words import Judgement
from grader.pipeline.ask import Asker
from grader.pipeline.budget import Budget
from grader.pipeline.questions import Questions
from grader.pipeline.run import Settings, grade_submission
from grader.pipeline.turns import judged_in_turn
from grader.rubric import Question, load_rubric
from grader.sandbox.host import Running, Sandbox
from grader.sandbox.outcome import Ending, Outcome
from grader.verdicts import Evidence, Verdict, passed
from homework.homework import HOMEWORK
from homework.release.sources import solved_notebook

RUBRIC = load_rubric(HOMEWORK.rubric)
HELPERS = {"random_masking.output", "random_masking.generality", "restore_masked.output", "patchify.output"}
WRONG = "def random_masking(x, keep_length, ids_shuffle):\n    raise ValueError('not yet')\n"


class ScriptedRunning:
    """Stands in for a worker: keeps that somebody waited for it, or that it was given up."""

    def __init__(self, done: list[str], number: str) -> None:
        self._done, self._number = done, number

    def outcome(self) -> Outcome:
        """Bring home an answer."""
        self._done.append(f"wait {self._number}")
        return Outcome(Ending.ANSWERED, None)

    def give_up(self) -> None:
        """Be ended."""
        self._done.append(f"give up {self._number}")


class ScriptedQuestions:
    """Stands in for the questions: keeps what is done, and fails where a test wants."""

    def __init__(self, *, failing: Mapping[str, Exception] | None = None, again: tuple[str, ...] = ()) -> None:
        self.done: list[str] = []
        self._failing = failing or {}
        self._again = again

    def _do(self, what: str, question: Question) -> None:
        self.done.append(f"{what} {question.number}")
        if self.done[-1] in self._failing:
            raise self._failing[self.done[-1]]

    def prepare(self, question: Question) -> Exam | None:
        """Keep that it was prepared; an inspection asks no worker."""
        self._do("prepare", question)
        return None if question.check == "accuracies.claim" else Exam({}, {}, [])

    def begin(self, question: Question, *_: Any) -> ScriptedRunning:
        """Keep that it was begun."""
        self._do("begin", question)
        return ScriptedRunning(self.done, question.number)

    def may_be_asked_again(self, question: Question) -> bool:
        """Return what a test wants."""
        return question.number in self._again

    def judge(self, question: Question, *_: Any, **__: Any) -> Judgement:
        """Keep that it was judged."""
        self._do("judge", question)
        return Judgement(question, passed())


def played(questions: ScriptedQuestions, *, limit_s: float = 540.0, first: str = "patchify.output") -> list[Verdict]:
    """Judge two questions in turn and return their verdicts."""
    asked = [Question("vision", "1", first, 1, "t", "a"), Question("vision", "2", "patchify.output", 1, "t", "a")]
    budget = Budget(limit_s, time.monotonic())
    judged = judged_in_turn(asked, questions, budget)  # type: ignore[arg-type] # a stand-in
    return [judgement.evidence.verdict for _, judgement in judged]


def test_the_next_question_is_begun_before_the_last_is_judged() -> None:
    """And prepared before that, while the worker computes; the last of all has nothing ahead."""
    questions = ScriptedQuestions()

    assert played(questions) == [Verdict.PASSED, Verdict.PASSED]
    assert questions.done == ["prepare 1", "begin 1", "prepare 2", "wait 1", "begin 2", "judge 1", "wait 2", "judge 2"]


def test_where_a_question_may_be_asked_again_the_next_one_waits() -> None:
    """It is prepared, and begun in its own turn."""
    questions = ScriptedQuestions(again=("1",))

    assert played(questions) == [Verdict.PASSED, Verdict.PASSED]
    assert questions.done == ["prepare 1", "begin 1", "prepare 2", "wait 1", "judge 1", "begin 2", "wait 2", "judge 2"]


def test_beside_what_asks_no_worker_none_is_begun() -> None:
    """An inspection may start workers of its own."""
    questions = ScriptedQuestions()

    assert played(questions, first="accuracies.claim") == [Verdict.PASSED, Verdict.PASSED]
    assert questions.done == ["prepare 1", "prepare 2", "judge 1", "begin 2", "wait 2", "judge 2"]


@pytest.mark.parametrize("broken", ["prepare 2", "begin 2"])
def test_a_fault_of_the_next_question_does_not_cost_this_one(broken: str) -> None:
    """It is met again in its own turn, and there it counts."""
    questions = ScriptedQuestions(failing={broken: RuntimeError()})

    assert played(questions) == [Verdict.PASSED, Verdict.INFRASTRUCTURE]


def test_what_was_begun_and_is_not_judged_is_given_up() -> None:
    """Whatever ends the loop: no worker runs on."""
    questions = ScriptedQuestions(failing={"judge 1": StaffError(happened="x", try_next="y")})

    with pytest.raises(StaffError):
        played(questions)
    assert questions.done[-2:] == ["judge 1", "give up 2"]


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
    begin, judge = Questions.begin, Asker.judge

    def begun(self: Questions, question: Question, *others: Any) -> Running:
        seen.append(f"begin {question.check}")
        return begin(self, question, *others)

    def judged(self: Asker, check: Any, *others: Any, **options: Any) -> Evidence:
        evidence = judge(self, check, *others, **options)
        seen.append(f"judged {check.key}{' with help' if options.get('lent') else ''}")
        return evidence

    asked = tuple(question for question in RUBRIC.questions if question.check in checks)
    settings = Settings(HOMEWORK, replace(RUBRIC, questions=asked), tmp_path / "out")
    with mock.patch.object(Questions, "begin", begun), mock.patch.object(Asker, "judge", judged):
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
