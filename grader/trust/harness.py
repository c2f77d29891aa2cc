"""
Grade many edited solutions fast: one sandbox for all of them, and only the questions that are wanted.

    with Bench(HOMEWORK) as bench:
        found = bench.grade(Changes(bodies={"restore_masked": "return kept_x"}), keep=of("restore_masked"))
        assert found["restore_masked.output"].verdict is Verdict.FAILED

A whole run takes about 7 s of one core, the vision half 4 s, one small question 0.3 s; the sandbox 2 s, once.
"""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from types import TracebackType

import torch

from grader.pipeline.homework import Homework
from grader.pipeline.run import SECRET_FILE, Settings, grade_inside, open_sandbox
from grader.rubric import Question, load_rubric
from grader.sandbox.host import Sandbox
from grader.trust.cases import Changes, questions_of
from grader.verdicts import Verdict

Keep = Callable[[Question], bool]


@dataclass(frozen=True)
class Outcome:
    """
    What one question came to.

    Args:
        verdict: how it ended.
        fraction: the part of the points earned, 0 to 1.
        diagnosis: ids of misconceptions that the report names.
        lent: helpers that it was asked again with.
        findings: what the student reads.
        try_next: what the student is told to try.
    """

    verdict: Verdict
    fraction: float
    diagnosis: tuple[str, ...]
    lent: tuple[str, ...]
    findings: tuple[str, ...]
    try_next: str

    @property
    def passed(self) -> bool:
        """Whether every point was earned."""
        return self.verdict is Verdict.PASSED


def everything(_: Question) -> bool:
    """Keep every question of all parts, without those about saved files."""
    return True


def of(*names: str) -> Keep:
    """Keep the questions of some functions, and single checks."""
    return lambda question: question.function in names or question.check in names


class Bench:
    """
    Grades changed solutions; used as a context, since its sandbox has to end.

    Args:
        homework: what is graded.
        device: where student code computes: "cpu" or "cuda".
        secret_file: bytes from which hidden inputs are drawn; where it is not there, a fixed text stands in.
    """

    def __init__(self, homework: Homework, *, device: str = "cpu", secret_file: Path = SECRET_FILE) -> None:
        self.homework = homework
        self._device = device
        self._secret_file = secret_file
        self._stack = contextlib.ExitStack()
        self._graded = 0

    def __enter__(self) -> Bench:
        torch.set_num_threads(1)
        self.sandbox: Sandbox = self._stack.enter_context(open_sandbox(self.homework, self._device))
        self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()

    def grade(
        self, changes: Changes, *, keep: Keep = everything, time_limit_s: float | None = None
    ) -> dict[str, Outcome]:
        """
        Grade the solved homework with changes; a part of which no question is kept is not handed in.

        Args:
            changes: what is different.
            keep: which questions are asked, in the rubric's order.
            time_limit_s: of each question; None leaves the rubric's.

        Returns:
            The outcome of each question by its check.
        """
        parts = self.homework.parts
        asked = {part: [each for each in questions_of(self.homework, part) if keep(each)] for part in parts}
        self._graded += 1
        folder = self._folder / f"submission-{self._graded}"
        changes.write(folder, [part for part in parts if asked[part]])
        questions = [each for part in parts for each in asked[part]]
        return self.grade_folder(folder, questions, time_limit_s=time_limit_s)

    def grade_folder(
        self, path: Path, questions: Iterable[Question], *, time_limit_s: float | None = None
    ) -> dict[str, Outcome]:
        """Grade a zip or folder that is there; arguments and result are those of `grade`."""
        asked = tuple(
            replace(question, time_limit_s=question.time_limit_s if time_limit_s is None else time_limit_s)
            for question in questions
        )
        settings = Settings(
            homework=self.homework,
            rubric=replace(load_rubric(self.homework.rubric), questions=asked),
            out=self._folder / "out",
            device=self._device,
            secret_file=self._secret_file,
        )
        report = grade_inside(self.sandbox, path, settings)
        return {
            item.question.check: Outcome(
                item.evidence.verdict,
                item.evidence.fraction,
                item.evidence.diagnosis,
                item.lent,
                item.evidence.findings,
                item.evidence.try_next,
            )
            for item in report.judgements
        }
