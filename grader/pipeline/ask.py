"""Ask one question: request to a worker, arrays home, judged; with our helpers lent where that is fair."""

from __future__ import annotations

import hashlib
import hmac
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, TypedDict

import numpy as np
import torch

from grader.checks.exam import CaseAnswer, Check, Exam
from grader.feedback.explain import does_not_compile, ended_early, explain_failure, not_found, only_once
from grader.intake.report import Code, Intake
from grader.pipeline.given import GIVEN_NAMES, given_request
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

    def unavailable(self, check: Check) -> Evidence | None:
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
            return not_found(root, _near(code, root))
        # forward_encoder and its like have to be written; forward may be inherited or assigned in other ways.
        if check.function in code.missing and not check.function.endswith(".forward"):
            return not_found(check.function, _near(code, check.function))
        return None

    def prepare(self, check: Check) -> Exam:
        """Draw a check's inputs and compute the reference's answers."""
        return check.prepare(self.generator(check.key))

    def begin(self, check: Check, exam: Exam, time_limit_s: float) -> Running:
        """Have a fresh worker begin with the probe, with the student's own helpers."""
        return self.sandbox.begin("probe", self._request(check, exam, ()), **self._terms(exam, time_limit_s))

    def judge(self, check: Check, exam: Exam, outcome: Outcome, *, lent: tuple[str, ...] = ()) -> Evidence:
        """Judge what a worker brought home that had these helpers of ours."""
        message = outcome.message
        if outcome.ending is not Ending.ANSWERED or message is None:
            return ended_early(outcome.ending.name, outcome.detail)
        if message.kind == task.FAILURE:
            not_run = self.intake.parts[check.part].not_run
            return explain_failure(message.meta, function=check.function, not_run=not_run)
        if message.kind != task.ANSWER:
            return ended_early(Ending.BAD_ANSWER.name, "")
        # What a run with our helpers gave says something about their answers: it is judged and no more.
        evidence, known = judge_answers(check, exam, read_answers(message, len(exam.cases)), diagnosing=not lent)
        return self._with_names(evidence, known, check) if known else evidence

    def examine(self, check: Check, exam: Exam, time_limit_s: float, *, lent: tuple[str, ...] = ()) -> Evidence:
        """Run the probe once in a fresh worker, and judge what comes home."""
        return self.judge(check, exam, self._run(check, exam, time_limit_s, lent), lent=lent)

    def ask_again(
        self, check: Check, exam: Exam, own: Evidence, *, lent: tuple[str, ...], time_limit_s: float
    ) -> tuple[Evidence, tuple[str, ...]]:
        """
        Ask a question that fails once more, with helpers of ours in place of the student's.

        Args:
            check: how to ask and judge.
            exam: what is asked.
            own: how it ended with the student's own helpers.
            lent: the helpers.
            time_limit_s: seconds that the student's code may take.

        Returns:
            The evidence, and the helpers that it was judged with: none where the student's own do better.
        """
        assisted = self.examine(check, exam, time_limit_s, lent=lent)
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
        if self.unavailable(check) is not None:
            return None
        message = self._run(check, exam, time_limit_s, ()).message
        return read_answers(message, len(exam.cases)) if message is not None and message.kind == task.ANSWER else None

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
    """A name that the student may have meant; one that is asked for itself is no misspelling of another."""
    near = code.missing.get(name)
    return None if near in code.plans else near


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
