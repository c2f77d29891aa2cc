"""How the self-check judges answers on the public vectors of the meta-learning half; knows no answer beyond them."""

from __future__ import annotations

from collections.abc import Sequence

from grader.checks.compare import compare, right_already
from grader.checks.exam import CaseAnswer, Check, Exam
from grader.verdicts import Evidence, failed, passed
from grader.wire import Array


def judge_public(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    """Outputs are those of the file, under the names that the grader has for them in sentences."""
    shown = {each.name: each.shown for each in check.subject.returns if each.shown}
    wrong: dict[str, str] = {}
    for case, answer in zip(exam.cases, answers, strict=True):
        if _is(answer.get("solver"), -1):
            return failed(
                "Tasks are learned by least squares.",
                try_next="Labels want logistic regression: `solve_logistic`. Least squares on labels is part (g).",
            )
        if not wrong and (_is(answer.get("hidden"), 0) or _is(answer.get("solver"), 0)):
            return passed(notes=(_OWN_WAY,))
        for name, expected in case.expected.items():
            called, is_code = shown.get(name, name), name not in shown
            sentence = compare(answer.get(name), expected, check.tolerance(name), name=called, is_code=is_code)
            if sentence:
                wrong.setdefault(name, sentence)
    right = tuple(shown.get(name, f"`{name}`") for name in exam.cases[0].expected if name not in wrong)
    return failed(*wrong.values(), *right_already(right)) if wrong else passed()


_OWN_WAY = (
    "It ran, but its numbers were not compared: it draws its points or learns its tasks in a way of its own, without "
    "`generate_x` or `solve_logistic`. The grader can compare them by statistics."
)


def _is(flag: Array | None, value: float) -> bool:
    return flag is not None and flag.size == 1 and float(flag.reshape(-1)[0]) == value
