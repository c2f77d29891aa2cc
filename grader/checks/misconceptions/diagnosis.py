"""Which known mistake gives exactly the values that a student's code gave."""

from __future__ import annotations

from collections.abc import Sequence

from grader.checks.compare import compare
from grader.checks.exam import CaseAnswer, Check, Exam
from grader.checks.misconceptions.calls import build_module, call
from grader.checks.misconceptions.catalogue import Misconception, registered
from grader.wire import Arrays


def diagnose(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Misconception | None:
    """
    Return the one misconception whose outputs equal the student's in every case, or None.

    None also where two give the student's values: advice that may be about another mistake than the student's costs
    more time than none. The tests show that no two entries agree at the inputs of any question, so this is left to
    answers that say little, not to the catalogue.
    """
    candidates = [entry for entry in registered() if entry.function == check.function and check.aspect in entry.aspects]
    if not candidates or _all_equal(check, answers, [case.expected for case in exam.cases]):
        return None
    module = build_module(check.function, exam)
    matching = [
        entry
        for entry in candidates
        # One case at a time: most entries are out after the first.
        if all(
            _equal(check, answer, call(entry.function, entry.function_with_it, module, case.inputs, exam.settings))
            for case, answer in zip(exam.cases, answers, strict=True)
        )
    ]
    return matching[0] if len(matching) == 1 else None


def _all_equal(check: Check, answers: Sequence[CaseAnswer], expected: Sequence[Arrays]) -> bool:
    return all(_equal(check, answer, arrays) for answer, arrays in zip(answers, expected, strict=True))


def _equal(check: Check, answer: CaseAnswer, arrays: Arrays) -> bool:
    return all(not compare(answer.get(name), array, check.tolerance(name), name=name) for name, array in arrays.items())
