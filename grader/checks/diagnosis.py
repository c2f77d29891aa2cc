"""Which known mistake, or which two, give exactly the values that a student's code gave."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from torch import nn

from grader.checks.compare import Tolerance, compare
from grader.checks.exam import Case, CaseAnswer, Check, Exam
from grader.checks.misconceptions import Misconception, composed
from grader.checks.reference import OUT_OF_REACH, Reference
from grader.wire import Array, Arrays

# Two at once, of which most are out after one image of the first case: 3 s for the homework's own transformer, and
# less than one for everything else, once for a question that nothing else explains.
_MOST_PAIRS = 120
_SAME, _SAME_GRADIENT = Tolerance(relative=1e-4), Tolerance(relative=1e-3)
_GRADIENT = "gradient/"
_COTANGENT = "cotangent/"


@dataclass(frozen=True)
class KnownMistakes:
    """
    The mistakes that a homework knows by name.

    Args:
        reference: builds and calls what is asked for.
        entries: of the catalogue.
        ways: of functions that may be written in several conventions: what each adds to a question's settings.
        same: of functions whose answers are not compared value by value: whether an answer is a predicted one.
    """

    reference: Reference
    entries: tuple[Misconception, ...]
    ways: Mapping[str, tuple[Mapping[str, Any], ...]] = field(default_factory=dict)
    same: Mapping[str, Callable[[CaseAnswer, Mapping[str, Array]], bool]] = field(default_factory=dict)

    def of(self, check: Check) -> tuple[Misconception, ...]:
        """Return the entries that show in a check."""
        return tuple(each for each in self.entries if each.function == check.function and check.aspect in each.aspects)


def diagnose(
    known: KnownMistakes, check: Check, exam: Exam, answers: Sequence[CaseAnswer]
) -> tuple[Misconception, ...]:
    """
    Return the misconception whose outputs equal the student's in every case, or two that do together, or none.

    None also where several give the student's values: advice that may be about another mistake than the student's
    costs more time than none. The tests show that no two entries agree at the inputs of any question, so this is left
    to answers that say little, not to the catalogue.
    """
    candidates = known.of(check)
    if _all_equal(check, answers, exam.cases):  # what is left is told by a look at more than the values
        candidates = tuple(entry for entry in candidates if entry.function_with_it is None)
    if not candidates:
        return ()
    told = _Told(known, check, exam, answers)
    matching: list[tuple[Misconception, ...]] = [(entry,) for entry in candidates if told.by(entry)]
    if not matching:
        matching = told.by_two([entry for entry in candidates if entry.function_with_it is not None])
    return matching[0] if len(matching) == 1 else ()


class _Told:
    """A question's answers beside what mistakes would have given."""

    def __init__(self, known: KnownMistakes, check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> None:
        self.known, self.check, self.exam, self.answers = known, check, exam, answers
        self.module: nn.Module | None = known.reference.module_of(check.subject, exam)
        in_batches = check.subject.arrays == "torch" and bool(check.subject.takes)
        self._sample = _first_of_batch(exam.cases[0], answers[0]) if in_batches else None

    def by(self, entry: Misconception) -> bool:
        """Whether the answers are an entry's."""
        if entry.function_with_it is None:
            return entry.recognise is not None and entry.recognise(self.check, self.exam, self.answers)
        return self._are_those_of(entry.function_with_it, mixes_images=entry.mixes_images)

    def by_two(self, candidates: Sequence[Misconception]) -> list[tuple[Misconception, ...]]:
        """Return the pairs of entries that give the answers together."""
        found: list[tuple[Misconception, ...]] = []
        together = ((pair, composed(*pair)) for pair in itertools.combinations(candidates, 2))
        for pair, function in itertools.islice(((pair, each) for pair, each in together if each), _MOST_PAIRS):
            if self._are_those_of(function, mixes_images=any(entry.mixes_images for entry in pair)):
                found.append(pair)
        return found or self._by_output(candidates)

    def _by_output(self, candidates: Sequence[Misconception]) -> list[tuple[Misconception, ...]]:
        """Return the pairs of which one explains some of several outputs and the other one the rest."""
        case, answer = self.exam.cases[0], self.answers[0]
        if len(self.check.subject.returns) < 2 or any(name.startswith(_COTANGENT) for name in case.inputs):
            return []
        wrong = {name for name in case.expected if not _equal(self.check, answer, {name: case.expected[name]})}
        explained = {entry.id: self._explained(entry, wrong) for entry in candidates}
        return [
            (one, other)
            for one, other in itertools.combinations(candidates, 2)
            if (explained[one.id] and explained[other.id])
            and explained[one.id] | explained[other.id] == wrong
            and not explained[one.id] & explained[other.id]
        ]

    def _explained(self, entry: Misconception, wrong: set[str]) -> set[str]:
        """Return the wrong outputs that an entry gives; none if it also makes one wrong that is right."""
        assert entry.function_with_it is not None
        case, answer = self.exam.cases[0], self.answers[0]
        try:
            arrays = self._call(entry.function_with_it, case, {})
        except OUT_OF_REACH:
            return set()
        same = {name for name, array in arrays.items() if _equal(self.check, answer, {name: array})}
        right = case.expected.keys() - wrong
        return same & wrong if right <= same else set()

    def _are_those_of(self, function: Callable[..., Any], *, mixes_images: bool) -> bool:
        # A small piece first, then one case at a time: most are out early.
        pairs = list(zip(self.exam.cases, self.answers, strict=True))
        if self._sample is not None and not mixes_images:
            pairs = [self._sample, *pairs]
        return any(self._fits(function, pairs, way) for way in self.known.ways.get(self.check.function, ({},)))

    def _fits(
        self, function: Callable[..., Any], pairs: Sequence[tuple[Case, CaseAnswer]], way: Mapping[str, Any]
    ) -> bool:
        try:
            return all(self._matches(case, answer, self._call(function, case, way)) for case, answer in pairs)
        except OUT_OF_REACH:  # two mistakes may not fit together, and some do not go with every size
            return False

    def _call(self, function: Callable[..., Any], case: Case, way: Mapping[str, Any]) -> Arrays:
        """Return what a function with a mistake gives for a case."""
        settings = {**self.exam.settings, **way}
        return self.known.reference.call(self.check.subject, function, self.module, case.inputs, settings)

    def _matches(self, case: Case, answer: CaseAnswer, arrays: Arrays) -> bool:
        """Whether an answer has the predicted arrays, and no gradient where none is predicted."""
        if is_same := self.known.same.get(self.check.function):
            return is_same(answer, arrays)
        cut = [name for name in case.expected if name.startswith(_GRADIENT) and name not in arrays]
        return all(answer.get(name) is None for name in cut) and _equal(self.check, answer, arrays)


def _first_of_batch(case: Case, answer: CaseAnswer) -> tuple[Case, CaseAnswer] | None:
    """Return a case and its answer for the first of its batch alone; None where gradients sum over the batch."""
    if any(name.startswith(_COTANGENT) for name in case.inputs):
        return None
    arrays = {name: array[:1] for name, array in answer.arrays.items() if array.ndim}
    return replace(case, inputs={name: array[:1] for name, array in case.inputs.items()}), CaseAnswer(arrays)


def _all_equal(check: Check, answers: Sequence[CaseAnswer], cases: Sequence[Case]) -> bool:
    return all(
        _equal(check, answer, case.expected) and not _has_more_gradients(case, answer)
        for answer, case in zip(answers, cases, strict=True)
    )


def _has_more_gradients(case: Case, answer: CaseAnswer) -> bool:
    found = (name for name in answer.arrays if name.startswith(_GRADIENT) and name not in case.expected)
    return any(np.any(answer.arrays[name]) for name in found)


def _equal(check: Check, answer: CaseAnswer, arrays: Mapping[str, Array]) -> bool:
    return all(
        not compare(answer.get(name), array, tolerance_of(check, name), name=name) for name, array in arrays.items()
    )


def tolerance_of(check: Check, name: str) -> Tolerance:
    """Return how near an answer has to be to what a mistake gives; by far nearer than two mistakes are."""
    return check.exact.get(name, _SAME_GRADIENT if name.startswith(_GRADIENT) else _SAME)
