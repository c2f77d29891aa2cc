"""Ask one question: request to a worker, arrays home, judged; with our helpers lent where that is fair."""

from __future__ import annotations

import hashlib
import hmac
import logging
import math
import re
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypedDict

import numpy as np
import torch

from grader.checks import work
from grader.checks.diagnosis import KnownMistakes, diagnose
from grader.checks.drawing import KEY_BYTES, generator_from
from grader.checks.exam import CaseAnswer, Check, Exam
from grader.checks.lending import Lending
from grader.checks.misconceptions import Misconception
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
from grader.pipeline.handed_out import given_request, handed_out_names
from grader.pipeline.homework import Answers, Homework
from grader.pipeline.places import places_of
from grader.probes import task
from grader.sandbox.host import Running, Sandbox
from grader.sandbox.limits import Limits
from grader.sandbox.outcome import Ending, Outcome
from grader.verdicts import Evidence, Verdict, failed, passed
from grader.wire import Arrays, Caps, Message

logger = logging.getLogger(__name__)

_SPARE_ELEMENTS = 1 << 17  # of an answer, for shapes that are wrong

# Said where the run with our helpers ended in another way, so that nothing of the student's own run explains it.
_MEND_BOTH = (
    "There is more than one mistake: mend what this builds on first, then go through the steps under *Asked* in this "
    "function itself."
)


_PLACE = re.compile(r"\((cell \d{1,6}), line ")
_NOT_COMPARABLE = "What your code returned could not be compared with the right answer."
_LOOK_AT_SHAPES = (
    "Print the shape and the dtype of what is returned, and compare them with what the docstring asks for."
)
_OLDER_LIBRARIES = (
    "Your code calls scikit-learn with `normalize`, as an earlier edition of this homework did. Current versions no "
    "longer have that argument; we ignored it, which is what False meant."
)


class _Terms(TypedDict):
    limits: Limits
    caps: Caps


@dataclass(frozen=True)
class Asker:
    """
    Asks questions about one submission.

    Args:
        homework: what is graded.
        sandbox: where student code runs.
        intake: what was handed in.
        secret: bytes from which hidden inputs are drawn.
        device: "cpu" or "cuda".
        memory_mib: address space for each worker.
        given_modules: source of the modules that are handed out, for a student whose own copy is lost.
        answers: the trusted side of the homework; without it nothing is lent and no mistake is named.
    """

    homework: Homework
    sandbox: Sandbox
    intake: Intake
    secret: bytes
    device: str
    memory_mib: int
    given_modules: Mapping[str, str] = field(default_factory=dict)
    answers: Answers | None = None

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
            if root in code.hints:
                return not_a_code_cell(code.hints[root])
            return not_found(root, _near(self.homework, code, root)) if code.plans else nothing_found(root)
        # forward_encoder and its like have to be written; forward may be inherited or assigned in other ways.
        if check.function in code.missing and not check.function.endswith(".forward"):
            return not_found(check.function, _near(self.homework, code, check.function))
        return None

    def with_hints(self, check: Check, evidence: Evidence) -> Evidence:
        """Add to evidence what intake knows about why its question may fail."""
        code, root = self.intake.parts[check.part], check.function.partition(".")[0]
        if evidence.passed or root not in code.plans or root not in code.hints:
            return evidence
        return with_hint(evidence, code.hints[root])

    def prepare(self, check: Check) -> Exam:
        """Draw a check's inputs and compute the reference's answers."""
        return check.prepare(self.generator(check.key))

    def begin(self, check: Check, exam: Exam, time_limit_s: float) -> Running:
        """Have a fresh worker begin with the probe, with the student's own helpers."""
        return self.sandbox.begin("probe", self._request(check, exam, ()), **self._terms(exam, time_limit_s))

    def judge(
        self,
        check: Check,
        exam: Exam,
        outcome: Outcome,
        *,
        lent: tuple[str, ...] = (),
        right: frozenset[str] = frozenset(),
    ) -> Evidence:
        """
        Judge what a worker brought home.

        Args:
            check: how it was asked.
            exam: what it was asked.
            outcome: what came home.
            lent: helpers of ours that it had; what then came home says something about their answers, so that only
                the verdict, which outputs are right and the names of known mistakes are taken from it.
            right: other functions that students see to be right; an error inside them is their caller's.
        """
        message = outcome.message
        if outcome.ending is not Ending.ANSWERED or message is None:
            return ended_early(outcome.ending.name, outcome.detail)
        if message.kind == task.FAILURE:
            code = self.intake.parts[check.part]
            told = with_labels(message.meta, code.labels(check.wanted))
            return explain_failure(
                told,
                function=check.function,
                not_run=code.not_run,
                unwritten=code.unwritten,
                misplaced={name: hint for name, hint in code.hints.items() if name not in code.plans},
                right=right,
            )
        if message.kind != task.ANSWER:
            return ended_early(Ending.BAD_ANSWER.name, "")
        answers = read_answers(message, len(exam.cases))
        mistakes = self.answers.mistakes if self.answers is not None else None
        evidence, known = judge_answers(check, exam, answers, mistakes)
        if lent:
            evidence = Evidence(evidence.verdict, fraction=evidence.fraction, right=evidence.right)
        elif answers[0].get(task.OLDER_LIBRARIES) is not None:
            evidence = replace(evidence, notes=(*evidence.notes, _OLDER_LIBRARIES))
        return self._with_names(evidence, known, check) if known else evidence

    def examine(self, check: Check, exam: Exam, time_limit_s: float, *, lent: tuple[str, ...] = ()) -> Evidence:
        """Run the probe once in a fresh worker, and judge what comes home."""
        return self.judge(check, exam, self._run(check, exam, time_limit_s, lent), lent=lent)

    def ask_again(
        self,
        check: Check,
        exam: Exam,
        own: Evidence,
        *,
        lent: tuple[str, ...],
        time_limit_s: float,
        deadline: float = math.inf,
    ) -> tuple[Evidence, tuple[str, ...]]:
        """
        Ask a question that fails once more, with helpers of ours in place of the student's.

        Args:
            check: how to ask and judge.
            exam: what is asked.
            own: how it ended with the student's own helpers.
            lent: the helpers.
            time_limit_s: seconds that one run of the student's code may take.
            deadline: when, by `time.monotonic()`, all runs have to be over.

        Returns:
            The evidence, and the helpers that it was judged with: none where the student's own do better.
        """
        assisted = self._assisted(check, exam, time_limit_s, lent, deadline)
        if assisted.passed:
            return passed(), lent
        if own.fraction > assisted.fraction:
            return own, ()
        # What a run with our helpers printed or raised could carry their answers: the student reads what their own run
        # showed, as far as it still holds, and of the other the verdict and known mistakes.
        right = (*own.right, *(name for name in assisted.right if name not in own.right))
        found = replace(own, verdict=assisted.verdict, fraction=assisted.fraction, right=right)
        if assisted.diagnosis:
            named = replace(found, findings=assisted.findings, try_next=assisted.try_next)
            return replace(named, diagnosis=assisted.diagnosis), lent
        if own.verdict is assisted.verdict:
            return replace(found, findings=_still_true(own.findings, assisted.right)), lent
        findings = _without_text(assisted.verdict, check)
        return replace(found, findings=findings, try_next=_MEND_BOTH, diagnosis=()), lent

    def _assisted(
        self, check: Check, exam: Exam, time_limit_s: float, lent: tuple[str, ...], deadline: float
    ) -> Evidence:
        """Run the probe with helpers lent, in one way after the other while time is left; return the best evidence."""
        found: list[Evidence] = []
        for way in check.lent_ways:
            left_s = deadline - time.monotonic()
            if found and (found[-1].passed or left_s < LEAST_S):
                break
            asked = replace(exam, settings={**exam.settings, **way})
            found.append(self.examine(check, asked, min(time_limit_s, left_s), lent=lent))
        return max(found, key=lambda evidence: (evidence.passed, evidence.fraction))

    def moves(self, check: Check, time_limit_s: float, *, lent: tuple[str, ...]) -> bool:
        """Return whether what a function returns follows its inputs, with these helpers of ours."""
        exam = work.nudged(self.prepare(check))
        message = self._run(check, exam, time_limit_s, lent).message
        if message is None or message.kind != task.ANSWER:
            return False
        with np.errstate(all="ignore"):
            return work.moves(exam, read_answers(message, len(exam.cases)))

    def _with_names(self, evidence: Evidence, known: Sequence[Misconception], check: Check) -> Evidence:
        """Add the names of the mistakes that the values show, what to say about them, and where to look."""
        happened = [entry.happened for entry in known]
        try:
            places = places_of(known, self.intake.parts[check.part], function=check.function, aliases=check.aliases)
        except Exception:  # a line to look at is an extra: without it the verdict and the names stand
            logger.exception("%s: no place could be looked for", check.key)
            places = ()
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
        answer = self._lend(lent, exam) if lent else None
        request = self._request(check, exam, lent)
        return self.sandbox.run("probe", request, answer=answer, **self._terms(exam, time_limit_s, lent))

    def _lend(self, lent: tuple[str, ...], exam: Exam) -> Callable[[Message], Message]:
        """Return what answers a worker's calls of lent helpers."""
        assert self.answers is not None, "only a run with the reference finds helpers to lend"
        return Lending(lent, self.answers.helpers, exam.settings, exam.allowance).answer

    def _terms(self, exam: Exam, time_limit_s: float, lent: tuple[str, ...] = ()) -> _Terms:
        limits = Limits(wall_s=time_limit_s, memory_mib=self.memory_mib)
        return {"limits": limits, "caps": caps_of(exam, lent)}

    def generator(self, purpose: str) -> torch.Generator:
        """Return the source of hidden inputs for a purpose: the same for the same code, unknown without the secret."""
        digest = hmac.new(self.secret, purpose.encode(), hashlib.sha256).digest()
        return generator_from(digest[:KEY_BYTES])

    def _request(self, check: Check, exam: Exam, lent: tuple[str, ...]) -> Message:
        code = self.intake.parts[check.part]
        arrays: Arrays = {f"state/{name}": array for name, array in exam.state.items()}
        for index, case in enumerate(exam.cases):
            arrays.update({f"{index}/{name}": array for name, array in case.inputs.items()})
        meta = {
            "probe": check.probe,
            "code": code.as_request(check.wanted, {**self.given_modules, **self.intake.modules}),
            "given": given_request(self.homework, check.part),
            "given_names": list(self.homework.given),
            "lent": list(lent),
            "settings": dict(exam.settings),
            "device": self.device,
            "memory_mib": self.memory_mib,
            "cases": [case.seed for case in exam.cases],
        }
        return Message("probe", meta, arrays)


def judge_answers(
    check: Check, exam: Exam, answers: Sequence[CaseAnswer], mistakes: KnownMistakes | None
) -> tuple[Evidence, tuple[Misconception, ...]]:
    """
    Judge what came home and find the known mistakes that it shows.

    Values may be anything that fits into their dtype: what overflows on the way to a verdict is wrong, and no news.

    Raises:
        Exception: the judge cannot even judge right answers, so the fault is the grader's.
    """
    with np.errstate(all="ignore"):
        try:
            evidence = check.judge(check, exam, answers)
        except Exception:  # a student chooses shapes and values, and so whether a judge that forgets one of them raises
            logger.exception("%s: what came home could not be compared", check.key)
            check.judge(check, exam, [CaseAnswer(dict(case.expected)) for case in exam.cases])
            return failed(_NOT_COMPARABLE, try_next=_LOOK_AT_SHAPES), ()
        if mistakes is None or evidence.verdict is not Verdict.FAILED:
            return evidence, ()
        try:
            return evidence, diagnose(mistakes, check, exam, answers)
        except Exception:  # as above; the verdict stands without a name for the mistake
            logger.exception("%s: no known mistake could be looked for", check.key)
            return evidence, ()


def with_labels(failure: Mapping[str, Any], labels: Mapping[str, str]) -> dict[str, Any]:
    """
    Return a failure's facts with the labels that people know in place of neutral ones.

    Args:
        failure: what a worker sent, so anything.
        labels: neutral label -> label for people.
    """
    told = dict(failure)
    frames, cause, message = (failure.get(name) for name in ("where", "cause", "message"))
    if isinstance(frames, list):
        told["where"] = [
            {**frame, "label": labels.get(str(frame.get("label")), frame.get("label"))}
            for frame in frames
            if isinstance(frame, dict)
        ]
    if isinstance(cause, dict) and "cause" not in cause:  # one below the other is all that there is
        told["cause"] = with_labels(cause, labels)
    if isinstance(message, str):  # a SyntaxError ends in "(<label>, line 3)"
        told["message"] = _PLACE.sub(lambda found: f"({labels.get(found[1], found[1])}, line ", message)
    return told


def _near(homework: Homework, code: Code, name: str) -> str | None:
    """A name that the student may have meant; one that is asked for itself, or handed out, is no misspelling."""
    near = code.missing.get(name)
    return None if near in code.plans or near in handed_out_names(homework) else near


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


def caps_of(exam: Exam, lent: Collection[str] = ()) -> Caps:
    """
    Allow what a right answer needs, in float64, with room for an output of a wrong shape that is worth describing.

    Gradients and inputs come home in the shapes that they were sent in, so there is no room for others.
    """
    given = [(name, array.size) for case in exam.cases for name, array in case.inputs.items()]
    expected = [(name, array.size) for case in exam.cases for name, array in case.expected.items()]
    outputs = sum(size for name, size in expected if not name.startswith("gradient/"))
    # Gradients are asked for with cotangents; a lent method, unlike a function, is sent the parameters.
    gradients = sum(name.startswith("cotangent/") for name, _ in given) + any("." in name for name in lent)
    parameters = gradients * sum(array.size for array in exam.state.values())
    elements = 4 * outputs + 2 * sum(size for _, size in given) + parameters + exam.further_elements + _SPARE_ELEMENTS
    return Caps(body_bytes=8 * elements, elements=elements)


def _still_true(findings: tuple[str, ...], right: Sequence[str]) -> tuple[str, ...]:
    """Return findings without those about outputs that are right with our helpers; each begins with its output."""
    kept = tuple(each for each in findings if not each.startswith(tuple(f"`{name}`" for name in right)))
    return kept or findings


def _without_text(verdict: Verdict, check: Check) -> tuple[str, ...]:
    if verdict is Verdict.MISSING:
        return (f"`{check.function}` is not implemented yet.",)
    if verdict is Verdict.FAILED:
        return ("With right helpers in place of yours, the values are still wrong.",)
    return ("With right helpers in place of yours, it still does not come to an answer.",)
