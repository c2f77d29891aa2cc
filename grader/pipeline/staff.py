"""
The staff's own questions, written in the idiom of gradescope-utils over arrays that a probe brought home.

A question is a method of a `StaffQuestion`, decorated with weight, number, visibility, tags or partial_credit. It runs
here, in the trusted process, and sees arrays only. Every method gets a line in the report whatever happens: where
setUpClass, the import of the file or the test itself breaks for another reason than a failed assertion, the line
says that the grader failed, because the student did not.
"""

from __future__ import annotations

import importlib.util
import logging
import unittest
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

from grader.checks.exam import CaseAnswer, Exam
from grader.errors import StaffError
from grader.feedback.text import plain
from grader.feedback.words import Judgement
from grader.pipeline.ask import Asker
from grader.rubric import Question
from grader.verdicts import Evidence, Verdict, failed, passed
from grader.wire import Arrays

logger = logging.getLogger(__name__)

_TIME_LIMIT_S = 20.0


class StaffQuestion(unittest.TestCase):
    """
    A base for staff questions.

    Set `check` to a check's key, such as "random_masking.output". Before the tests run, `student` holds the
    arrays of each case that came home (None if nothing did) and `reference` the right ones.
    """

    check: ClassVar[str] = ""
    student: ClassVar[Sequence[Arrays] | None] = None
    reference: ClassVar[Sequence[Arrays]] = ()


def judge_staff_tests(path: Path, asker: Asker, checks: Mapping[str, Any]) -> list[Judgement]:
    """
    Run every staff question in a file or folder.

    Args:
        path: a Python file, or a folder of them.
        asker: fetches the arrays that the questions look at.
        checks: all checks by key.

    Raises:
        StaffError: the path is missing, a file cannot be imported, or a class names no check that there is.
    """
    if not path.exists():
        raise StaffError(happened=f"There are no staff questions at {path}.", try_next="Name a file or a folder.")
    files = sorted(path.glob("*.py")) if path.is_dir() else [path]
    return [
        judgement
        for file in files
        for group in _question_classes(_import(file))
        for judgement in _run(group, asker, checks)
    ]


def _import(file: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"staff_questions_{file.stem}", file)
    if spec is None or spec.loader is None:
        raise StaffError(happened=f"{file} is not a Python file.", try_next="Name a file that ends in .py.")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except Exception as error:  # the file may raise anything; the staff need to know which file it was
        raise StaffError(
            happened=f"The staff questions in {file} cannot be imported ({type(error).__name__}: {error}).",
            try_next="Mend the file.",
        ) from error
    return module


def _question_classes(module: ModuleType) -> Iterator[type[StaffQuestion]]:
    for value in vars(module).values():
        if isinstance(value, type) and issubclass(value, StaffQuestion) and value is not StaffQuestion:
            yield value


def _run(group: type[StaffQuestion], asker: Asker, checks: Mapping[str, Any]) -> list[Judgement]:
    check = checks.get(group.check)
    if check is None:
        raise StaffError(
            happened=f"{group.__name__} names the check {group.check!r}, which there is not.",
            try_next="Set `check` to a name from the rubric.",
        )
    exam = asker.prepare(check)
    answers: list[CaseAnswer] | None = asker.fetch(check, exam, _TIME_LIMIT_S)
    group.student = None if answers is None else [answer.arrays for answer in answers]
    group.reference = [case.expected for case in exam.cases]
    if not _came_home(answers, exam):
        nothing = Evidence(Verdict.MISSING, ("Your code gave nothing that this question could look at.",))
        names = unittest.defaultTestLoader.getTestCaseNames(group)
        return [Judgement(_question(group(name)), nothing) for name in names]
    suite = unittest.defaultTestLoader.loadTestsFromTestCase(group)
    tests = [test for test in suite if isinstance(test, StaffQuestion)]
    result = _Evidence()
    suite.run(result)
    return [Judgement(_question(test), result.of(test)) for test in tests]


def _came_home(answers: Sequence[CaseAnswer] | None, exam: Exam) -> bool:
    """Whether everything that is expected is there; a staff question need not guard against what is not."""
    return answers is not None and all(
        answer.get(name) is not None for case, answer in zip(exam.cases, answers, strict=True) for name in case.expected
    )


class _Evidence(unittest.TestResult):
    """Collects evidence by test; what it never heard of did not run."""

    def __init__(self) -> None:
        super().__init__()
        self._found: dict[str, Evidence] = {}

    def of(self, test: StaffQuestion) -> Evidence:
        return self._found.get(test.id(), Evidence(Verdict.INFRASTRUCTURE))

    def addSuccess(self, test: unittest.TestCase) -> None:
        score = getattr(_method(test), "__score__", None)
        weight = float(getattr(_method(test), "__weight__", 0) or 0)
        fraction = 1.0 if score is None or not weight else min(max(0.0, float(score) / weight), 1.0)  # NaN counts 0
        if fraction == 1.0:
            self._found[test.id()] = passed()
        else:
            self._found[test.id()] = Evidence(Verdict.FAILED, ("Part of the points.",), fraction=fraction)

    def addFailure(self, test: unittest.TestCase, err: Any) -> None:
        hidden = getattr(_method(test), "__hide_errors__", None)
        message = hidden if hidden is not None else str(err[1])
        self._found[test.id()] = failed(plain(message, limit=600))

    def addError(self, test: unittest.TestCase, err: Any) -> None:
        # A class-wide fixture that broke arrives here as a stand-in for the tests that then did not run.
        logger.error("staff question %s broke: %s", test.id(), err[1])
        self._found[test.id()] = Evidence(Verdict.INFRASTRUCTURE)

    def addSubTest(self, test: unittest.TestCase, subtest: unittest.TestCase, err: Any) -> None:
        if err is not None:
            report = self.addFailure if issubclass(err[0], test.failureException) else self.addError
            report(test, err)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self._found[test.id()] = Evidence(Verdict.NOT_RUN)


def _question(test: StaffQuestion) -> Question:
    method = _method(test)
    title = (test.shortDescription() or test.id().rpartition(".")[2]).strip()
    return Question(
        part="staff",
        number=str(getattr(method, "__number__", "")),
        check=f"{type(test).check.rpartition('.')[0]}.staff",
        points=float(getattr(method, "__weight__", 0) or 0),
        title=title,
        asked=title,
        visibility=getattr(method, "__visibility__", "visible"),
        tags=tuple(getattr(method, "__tags__", ())),
    )


def _method(test: unittest.TestCase) -> Any:
    return getattr(test, test.id().rpartition(".")[2], None)
