"""Ask one question: request to a worker, arrays home, judged; with our helpers lent where that is fair."""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import torch

from grader.checks.exam import CaseAnswer, Check, Exam
from grader.feedback.explain import (
    does_not_compile,
    ended_early,
    explain_failure,
    not_a_code_cell,
    not_found,
    nothing_found,
    only_once,
    with_hint,
)
from grader.intake.report import Code, Intake
from grader.pipeline.budget import LEAST_S
from grader.pipeline.given import GIVEN_NAMES, given_request, handed_out_names
from grader.pipeline.places import places_of
from grader.probes import task
from grader.sandbox.host import Running, Sandbox
from grader.sandbox.limits import Limits
from grader.sandbox.outcome import Ending, Outcome
from grader.verdicts import Evidence, Verdict, passed
from grader.wire import Arrays, Caps, Message

if TYPE_CHECKING:
    from grader.checks.misconceptions import Misconception

# Said where the run with our helpers ended in another way, so that nothing of the student's own run explains it.
_MEND_BOTH = (
    "There is more than one mistake: mend what this builds on first, then go through the steps under *Asked* in this "
    "function itself."
)


class _Terms(TypedDict):
    limits: Limits
    caps: Caps


def _do_nothing() -> None:
    pass


@dataclass(frozen=True)
class Ahead:
    """
    What is done of the next question while one is asked and judged, so that neither side waits for the other.

    Args:
        prepare: while the worker computes.
        begin: when it has answered and is not needed again, before the answer is judged.
    """

    prepare: Callable[[], None] = _do_nothing
    begin: Callable[[], None] = _do_nothing


NOTHING_AHEAD = Ahead()


@dataclass(frozen=True)
class Begun:
    """A question that a worker was asked already, and what to do of the next one meanwhile."""

    exam: Exam
    running: Running
    ahead: Ahead

    def outcome(self) -> Outcome:
        """Wait for the answer, and use the time."""
        self.ahead.prepare()
        outcome = self.running.outcome()
        self.ahead.begin()
        return outcome


@dataclass(frozen=True)
class Asker:
    """
    Asks questions about one submission.

    Args:
        sandbox: where student code runs.
        intake: what was handed in.
        secret: bytes from which hidden inputs are drawn.
        device: "cpu" or "cuda".
        memory_mib: address space for each worker.
        given_modules: source of the modules that are handed out, for a student whose own copy is lost.
    """

    sandbox: Sandbox
    intake: Intake
    secret: bytes
    device: str
    memory_mib: int
    given_modules: Mapping[str, str] = field(default_factory=dict)

    def ask(
        self,
        check: Check,
        time_limit_s: float,
        *,
        unsound: frozenset[str],
        allowance_s: float | None = None,
        begun: Begun | None = None,
    ) -> tuple[Evidence, tuple[str, ...]]:
        """
        Ask with the student's own helpers; where that fails and one of them is wrong, again with ours.

        Args:
            check: how to ask and judge.
            time_limit_s: seconds that the student's code may take.
            unsound: functions of which something was found wrong.
            allowance_s: seconds for both runs together; None does not bound them.
            begun: where the question was begun before.

        Returns:
            The evidence, and the helpers that were lent.
        """
        evidence, lent = self._ask(check, time_limit_s, unsound=unsound, allowance_s=allowance_s, begun=begun)
        code, root = self.intake.parts[check.part], check.function.partition(".")[0]
        if root in code.plans and root in code.hints and not evidence.passed:
            evidence = with_hint(evidence, code.hints[root])
        return evidence, lent

    def _ask(
        self,
        check: Check,
        time_limit_s: float,
        *,
        unsound: frozenset[str],
        allowance_s: float | None,
        begun: Begun | None,
    ) -> tuple[Evidence, tuple[str, ...]]:
        unavailable = self._unavailable(check)
        if unavailable is not None:
            return unavailable, ()
        end = math.inf if allowance_s is None else time.monotonic() + allowance_s
        lent = tuple(name for name in check.needs if name in unsound)
        exam = check.prepare(self.generator(check.key)) if begun is None else begun.exam
        if begun is not None and lent:  # a second run may be needed, so the next question has to wait
            begun = replace(begun, ahead=replace(begun.ahead, begin=_do_nothing))
        own = self.examine(check, exam, time_limit_s, begun=begun)
        left_s = end - time.monotonic()
        if own.passed or not lent or left_s < LEAST_S:
            return own, ()
        assisted = self.examine(check, exam, min(time_limit_s, left_s), lent=lent)
        if assisted.passed:
            return passed(), lent
        if own.fraction > assisted.fraction:
            return own, ()
        # What a run with our helpers printed or raised could carry their answers: the student reads only what
        # their own run showed, and the verdict.
        if own.verdict is assisted.verdict:
            return replace(own, fraction=assisted.fraction), lent
        findings = _without_text(assisted.verdict, check)
        changed = replace(own, verdict=assisted.verdict, fraction=assisted.fraction)
        return replace(changed, findings=findings, try_next=_MEND_BOTH, diagnosis=()), lent

    def examine(
        self, check: Check, exam: Exam, time_limit_s: float, *, lent: tuple[str, ...] = (), begun: Begun | None = None
    ) -> Evidence:
        """Run the probe once in a fresh worker, or wait for one that was begun, and judge what came home."""
        outcome = self._run(check, exam, time_limit_s, lent) if begun is None else begun.outcome()
        message = outcome.message
        if outcome.ending is not Ending.ANSWERED or message is None:
            return ended_early(outcome.ending.name, outcome.detail)
        if message.kind == task.FAILURE:
            code = self.intake.parts[check.part]
            return explain_failure(
                message.meta,
                function=check.function,
                not_run=code.not_run,
                unwritten=code.unwritten,
                misplaced={name: hint for name, hint in code.hints.items() if name not in code.plans},
            )
        if message.kind != task.ANSWER:
            return ended_early(Ending.BAD_ANSWER.name, "")
        # What a run with our helpers gave says something about their answers: it is judged and no more.
        evidence, known = judge_answers(check, exam, read_answers(message, len(exam.cases)), diagnosing=not lent)
        return self._with_names(evidence, known, check) if known else evidence

    def _with_names(self, evidence: Evidence, known: Sequence[Misconception], check: Check) -> Evidence:
        """Add the names of the mistakes that the values show, what to say about them, and where to look."""
        happened = [entry.happened for entry in known]
        places = places_of(known, self.intake.parts[check.part], function=check.function, aliases=check.aliases)
        return replace(
            evidence,
            findings=tuple(dict.fromkeys((*happened, *places, *evidence.findings))),
            try_next=" ".join(dict.fromkeys(entry.right for entry in known)),
            diagnosis=tuple(entry.id for entry in known),
        )

    def fetch(self, check: Check, exam: Exam, time_limit_s: float) -> list[CaseAnswer] | None:
        """Run the probe once and return what came home, unjudged; None if nothing did."""
        if self._unavailable(check) is not None:
            return None
        message = self._run(check, exam, time_limit_s, ()).message
        return read_answers(message, len(exam.cases)) if message is not None and message.kind == task.ANSWER else None

    def prepare(self, check: Check) -> Exam | None:
        """Draw a check's inputs and compute the reference's answers; None where its function is not there."""
        return check.prepare(self.generator(check.key)) if self._unavailable(check) is None else None

    def begin(self, check: Check, exam: Exam, time_limit_s: float) -> Running:
        """Have a fresh worker begin with the probe, with the student's own helpers."""
        return self.sandbox.begin("probe", self._request(check, exam, ()), **self._terms(exam, time_limit_s))

    def _run(self, check: Check, exam: Exam, time_limit_s: float, lent: tuple[str, ...]) -> Outcome:
        answer = _lend(lent, exam) if lent else None
        request = self._request(check, exam, lent)
        return self.sandbox.run("probe", request, answer=answer, **self._terms(exam, time_limit_s))

    def _terms(self, exam: Exam, time_limit_s: float) -> _Terms:
        return {"limits": Limits(wall_s=time_limit_s, memory_mib=self.memory_mib), "caps": _caps(exam)}

    def generator(self, purpose: str) -> torch.Generator:
        """Return the source of hidden inputs for a purpose: the same for the same code, unknown without the secret."""
        digest = hmac.new(self.secret, purpose.encode(), hashlib.sha256).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))

    def _unavailable(self, check: Check) -> Evidence | None:
        """Return evidence where the function itself is not there to be asked."""
        code = self.intake.parts[check.part]
        root = check.function.partition(".")[0]
        if any(alias in code.plans for alias in check.aliases):
            return None
        for name in (check.function, root):
            if name in code.broken:
                return does_not_compile(name, code.broken[name])
        if check.apart_from and _is_same(code, self.intake.parts[check.apart_from], root):
            return only_once(root)
        if root not in code.plans:
            if root in code.hints:
                return not_a_code_cell(code.hints[root])
            return not_found(root, _near(code, root)) if code.plans else nothing_found(root)
        # forward_encoder and its like have to be written; forward may be inherited or assigned in other ways.
        if check.function in code.missing and not check.function.endswith(".forward"):
            return not_found(check.function, _near(code, check.function))
        return None

    def _request(self, check: Check, exam: Exam, lent: tuple[str, ...]) -> Message:
        code = self.intake.parts[check.part]
        arrays: Arrays = {f"state/{name}": array for name, array in exam.state.items()}
        for index, case in enumerate(exam.cases):
            arrays.update({f"{index}/{name}": array for name, array in case.inputs.items()})
        meta = {
            "probe": check.probe,
            "code": code.as_request(check.wanted, {**self.given_modules, **self.intake.modules}),
            "given": given_request(check.part),
            "given_names": list(GIVEN_NAMES),
            "lent": list(lent),
            "settings": dict(exam.settings),
            "device": self.device,
            "memory_mib": self.memory_mib,
            "cases": [case.seed for case in exam.cases],
        }
        return Message("probe", meta, arrays)


# The reference comes in only where it is needed: the self-check works without, and may be handed out without.


def _lend(lent: tuple[str, ...], exam: Exam) -> Callable[[Message], Message]:
    """Return what answers a worker's calls of lent helpers."""
    from grader.checks.lending import Lending

    return Lending(lent, exam.settings.get("mae", {}), exam.allowance).answer


def diagnose(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> tuple[Misconception, ...]:
    """Return the known mistakes that answers show; none also where there is no reference to compute them with."""
    if importlib.util.find_spec("reference") is None:
        return ()
    from grader.checks.misconceptions import diagnose as compare_with_known

    return compare_with_known(check, exam, answers)


def judge_answers(
    check: Check, exam: Exam, answers: Sequence[CaseAnswer], *, diagnosing: bool
) -> tuple[Evidence, tuple[Misconception, ...]]:
    """
    Judge what came home and, if asked, find the known mistakes that it shows.

    Values may be anything that fits into their dtype: what overflows on the way to a verdict is wrong, and no news.
    """
    with np.errstate(all="ignore"):
        evidence = check.judge(check, exam, answers)
        wrong = diagnosing and evidence.verdict is Verdict.FAILED
        return evidence, diagnose(check, exam, answers) if wrong else ()


def _near(code: Code, name: str) -> str | None:
    """A name that the student may have meant; one that is asked for itself, or handed out, is no misspelling."""
    near = code.missing.get(name)
    return None if near in code.plans or near in handed_out_names() else near


def read_answers(message: Message, cases: int) -> list[CaseAnswer]:
    """Sort a worker's arrays by case."""
    answers = []
    for index in range(cases):
        prefix = f"{index}/"
        arrays = {name.removeprefix(prefix): array for name, array in message.arrays.items() if name.startswith(prefix)}
        answers.append(CaseAnswer(arrays))
    return answers


def _is_same(code: Code, other: Code, name: str) -> bool:
    """Return whether two parts take a name from the very same statement."""
    places = [(part.plans[name][-1], part.cells) for part in (code, other) if part.plans.get(name)]
    return len({(cells[cell], statement) for (cell, statement), cells in places}) == 1 and len(places) == 2


def _caps(exam: Exam) -> Caps:
    """Allow what a right answer needs, in float64, with room for a wrong shape that is worth describing."""
    expected = sum(array.size for case in exam.cases for array in (*case.expected.values(), *case.inputs.values()))
    state = sum(array.size for array in exam.state.values())  # lent calls send the parameters
    return Caps(body_bytes=8 * (4 * expected + state) + (1 << 20))


def _without_text(verdict: Verdict, check: Check) -> tuple[str, ...]:
    if verdict is Verdict.MISSING:
        return (f"`{check.function}` is not implemented yet.",)
    if verdict is Verdict.FAILED:
        return ("With right helpers in place of yours, the values are still wrong.",)
    return ("With right helpers in place of yours, it still does not come to an answer.",)
