"""Which checks there are, and the judging of one submission's questions in order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from grader.checks.exam import Check, Exam
from grader.errors import StaffError
from grader.feedback.words import Judgement
from grader.intake.report import Intake, fingerprint
from grader.pipeline.ask import NOTHING_AHEAD, Ahead, Asker, Begun
from grader.pipeline.homework import Answers, Homework
from grader.pipeline.staff import judge_staff_tests
from grader.rubric import Question, Rubric
from grader.sandbox.host import Running, Sandbox
from grader.verdicts import Evidence, Verdict


def wanted_names(answers: Answers) -> dict[str, tuple[str, ...]]:
    """Return, for each part of the homework, the names that intake should look for."""
    names: dict[str, dict[str, None]] = {}
    for check in answers.checks:
        part = names.setdefault(check.part, {})
        part.update(dict.fromkeys((*check.wanted, check.function)))
    return {part: tuple(found) for part, found in names.items()}


def check_rubric(rubric: Rubric, answers: Answers) -> None:
    """
    Make sure that every question of a rubric can be asked.

    Raises:
        StaffError: it names a check that there is not.
    """
    for question in rubric.questions:
        if question.check not in answers.known:
            raise StaffError(
                happened=f"Question {question.number} of the rubric names the check {question.check!r}, "
                "which there is not.",
                try_next="Run `python -m grader rubric` for the line and the names that there are.",
            )


class Questions:
    """
    Judges the questions of one submission; what went wrong before decides what may be lent later.

    Args:
        homework: what is graded.
        answers: its trusted side.
        sandbox: where student code runs.
        intake: what was handed in.
        secret: bytes from which hidden inputs are drawn, together with the submission's code.
        device: "cpu" or "cuda".
        memory_mib: address space for each worker.
        given_modules: source of the modules that are handed out.
        data_set: the folder with the homework's data set, or None.
    """

    def __init__(
        self,
        homework: Homework,
        answers: Answers,
        sandbox: Sandbox,
        intake: Intake,
        *,
        secret: bytes,
        device: str,
        memory_mib: int,
        given_modules: Mapping[str, str] | None = None,
        data_set: Path | None = None,
    ) -> None:
        # The same code in another packing gets the same inputs, so the same submission gets the same result.
        secret += fingerprint(intake)
        self._asker = Asker(homework, sandbox, intake, secret, device, memory_mib, given_modules or {}, answers)
        self._checks = answers.by_key
        self._inspections = answers.inspections(self._asker, data_set)
        self._exams: dict[str, Exam] = {}  # check -> what will be asked, of those that were prepared
        self._running: dict[str, tuple[Exam, Running]] = {}  # check -> what is asked, of those that were begun
        self._sound: dict[str, bool] = {}  # function -> nothing was found wrong with it, without our help
        self._seen_unsound: set[str] = set()  # functions of which students see that something was found wrong
        self._wrong_values: dict[str, Question] = {}  # function -> the question that students see its values fail

    def prepare(self, question: Question) -> None:
        """Draw the inputs of a question that is asked later, and compute the answers, where it has any."""
        check = self._checks.get(question.check)
        if check is None or check.after or check.key in self._exams or check.key in self._running:
            return
        exam = self._asker.prepare(check)
        if exam is not None:
            self._exams[check.key] = exam

    def begin(self, question: Question, time_limit_s: float) -> None:
        """Have a worker begin with a question whose turn to be judged comes next, where that is possible."""
        self.prepare(question)
        exam = self._exams.pop(question.check, None)
        if exam is not None:
            self._running[question.check] = exam, self._asker.begin(self._checks[question.check], exam, time_limit_s)

    def judge(
        self,
        question: Question,
        time_limit_s: float,
        *,
        allowance_s: float | None = None,
        ahead: Ahead = NOTHING_AHEAD,
    ) -> Judgement:
        """
        Ask and judge one question.

        Args:
            question: from the rubric.
            time_limit_s: seconds that one run of the student's code may take.
            allowance_s: seconds for all runs of this question together; None does not bound them.
            ahead: what can be done of the next question meanwhile, where this one was begun.
        """
        if question.check in self._inspections:
            return Judgement(question, self._inspections[question.check](time_limit_s))
        check = self._checks[question.check]
        if check.after and not (before := self._inspections[check.after](time_limit_s)).passed:
            return Judgement(question, replace(before, verdict=Verdict.MISSING))
        unsound = frozenset(name for name in check.needs if not self._sound.get(name, False))
        running = self._running.pop(check.key, None)
        if self._asker.device != "cpu":  # memory is only watched there, and nobody watches while we judge
            ahead = Ahead(ahead.prepare)
        begun = Begun(*running, ahead) if running is not None else None
        evidence, lent = self._asker.ask(check, time_limit_s, unsound=unsound, allowance_s=allowance_s, begun=begun)
        right_alone = evidence.passed and not lent
        self._sound[check.function] = self._sound.get(check.function, True) and right_alone
        if not question.hidden and not right_alone:
            self._seen_unsound.add(check.function)
        if not question.hidden and evidence.verdict is Verdict.FAILED and check.aspect == "output":
            self._wrong_values[check.function] = question
        if evidence.verdict is Verdict.FAILED and check.aspect == "gradient" and check.function in self._wrong_values:
            evidence = _values_first(evidence, self._wrong_values[check.function])
        evidence = self._after_what_it_rests_on(check, evidence)
        # That we lent a helper says that the student's is wrong, which only a question that they see may say.
        return Judgement(question, evidence, tuple(name for name in lent if name in self._seen_unsound))

    def _after_what_it_rests_on(self, check: Check, evidence: Evidence) -> Evidence:
        """Say first, where training does not work, which values are wrong that students see to be wrong."""
        wrong = [self._wrong_values[name] for name in check.rests_on if name in self._wrong_values]
        if evidence.verdict is not Verdict.FAILED or not wrong:
            return evidence
        numbers = " and ".join(question.number for question in wrong)
        finding = f"The values are not right yet (question {numbers}), so training cannot be."
        return replace(evidence, findings=(finding, *evidence.findings), try_next=f"Mend {numbers} first.")

    def give_up(self) -> None:
        """End what was begun and will not be judged any more."""
        for _, running in self._running.values():
            running.give_up()
        self._running.clear()

    def judge_staff_tests(self, path: Path) -> list[Judgement]:
        """Run the staff's own questions over what probes bring home."""
        return judge_staff_tests(path, self._asker, self._checks)


def _values_first(evidence: Evidence, wrong: Question) -> Evidence:
    """Say of wrong gradients of wrong values only that the values come first."""
    finding = f"The values are not right yet (question {wrong.number}), so the gradients cannot be."
    return replace(evidence, findings=(finding,), try_next=f"Mend {wrong.number} first.")
