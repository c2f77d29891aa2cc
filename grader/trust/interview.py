"""Ask changed solutions single checks, on the same hidden inputs for all of them, and bring their arrays home."""

from __future__ import annotations

import ast
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from grader.checks.exam import CaseAnswer, Check, Exam
from grader.intake.report import Intake
from grader.pipeline.ask import Asker
from grader.pipeline.handed_out import given_modules
from grader.pipeline.homework import Homework
from grader.pipeline.questions import wanted_names
from grader.pipeline.run import survey
from grader.sandbox.host import Sandbox
from grader.trust.cases import Changes

TIME_LIMIT_S = 10.0
_MEMORY_MIB = 1024


class Interview:
    """
    Asks many submissions the same.

    Args:
        homework: what is asked for.
        sandbox: where they run.
        secret: bytes from which the hidden inputs are drawn; unlike in grading, the submission has no part in them.
    """

    def __init__(self, homework: Homework, sandbox: Sandbox, *, secret: bytes) -> None:
        self.homework = homework
        self._sandbox = sandbox
        self.solved = self.intake(Changes())
        self._asker = Asker(homework, sandbox, self.solved, secret, "cpu", _MEMORY_MIB, given_modules(homework))
        self._exams: dict[str, Exam] = {}

    def intake(self, changes: Changes) -> Intake:
        """Return what intake finds in the solved homework with changes."""
        with tempfile.TemporaryDirectory() as name:
            folder = changes.write(Path(name) / "submission", self.homework.parts)
            return survey(self._sandbox, folder, self.homework, wanted_names(self.homework.answers()))

    def exam(self, check: Check) -> Exam:
        """Return a check's inputs and answers, made once."""
        if check.key not in self._exams:
            self._exams[check.key] = self._asker.prepare(check)
        return self._exams[check.key]

    def answers(self, intake: Intake, check: Check) -> list[CaseAnswer] | None:
        """Return what a submission gives for a check; None if it gives nothing."""
        return replace(self._asker, intake=intake).fetch(check, self.exam(check), TIME_LIMIT_S)

    def is_new(self, intake: Intake, check: Check) -> bool:
        """Return whether anything that a check runs differs from what it runs of the solved homework."""
        try:
            mine, solved = (_run_by(each, check) for each in (intake, self.solved))
        except SyntaxError:  # a module that does not compile
            return True
        return mine != solved

    def passes(self, check: Check, answers: Sequence[CaseAnswer]) -> bool:
        """Return whether the check is passed with these answers."""
        return check.judge(check, self.exam(check), answers).passed


def _run_by(intake: Intake, check: Check) -> tuple[object, ...]:
    """Return the text of every statement that a check runs, and of the modules that they import, by any detour."""
    code = intake.parts[check.part]
    steps = sorted({step for name in check.wanted for step in code.plans.get(name, ())})
    trees = [ast.parse(code.cells[cell].source).body[statement] for cell, statement in steps]
    modules: dict[str, str] = {}
    waiting = [name for tree in trees for name in _imported(tree)]
    while waiting:
        name = waiting.pop()
        if name in intake.modules and name not in modules:
            modules[name] = intake.modules[name]
            waiting += _imported(ast.parse(modules[name]))
    return [ast.dump(tree) for tree in trees], modules


def _imported(tree: ast.AST) -> list[str]:
    """Return the names of modules that a syntax tree imports."""
    plain = [alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names]
    return plain + [node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module]
