"""Which known mistake, or which two, give exactly the values that a student's code gave."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from torch import nn

from grader.checks.compare import Tolerance, compare
from grader.checks.exam import Case, CaseAnswer, Check, Exam
from grader.checks.misconceptions.calls import OUT_OF_REACH, SEVERAL_OUTPUTS, build_module, call, right_ways
from grader.checks.misconceptions.catalogue import Misconception, composed, registered
from grader.checks.misconceptions.runs import is_same_run
from grader.wire import Array

# Two at once, of which most are out after one image of the first case: 3 s for the homework's own transformer, and
# less than one for everything else, once for a question that nothing else explains.
_MOST_PAIRS = 120
_SAME, _SAME_GRADIENT = Tolerance(relative=1e-4), Tolerance(relative=1e-3)
_GRADIENT = "gradient/"
_COTANGENT = "cotangent/"


def diagnose(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> tuple[Misconception, ...]:
    """
    Return the misconception whose outputs equal the student's in every case, or two that do together, or none.

    None also where several give the student's values: advice that may be about another mistake than the student's
    costs more time than none. The tests show that no two entries agree at the inputs of any question, so this is left
    to answers that say little, not to the catalogue.
    """
    candidates = [entry for entry in registered() if entry.function == check.function and check.aspect in entry.aspects]
    if _all_equal(check, answers, exam.cases):  # what is left is told by a look at more than the values
        candidates = [entry for entry in candidates if entry.function_with_it is None]
    if not candidates:
        return ()
    told = _Told(check, exam, answers)
    matching: list[tuple[Misconception, ...]] = [(entry,) for entry in candidates if told.by(entry)]
    if not matching:
        matching = told.by_two([entry for entry in candidates if entry.function_with_it is not None])
    return matching[0] if len(matching) == 1 else ()


class _Told:
    """A question's answers beside what mistakes would have given."""

    def __init__(self, check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> None:
        self.check, self.exam, self.answers = check, exam, answers
        self.module: nn.Module | None = build_module(check.function, exam)
        self._sample = _first_image(exam.cases[0], answers[0]) if check.part == "vision" else None

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
        if self.check.function not in SEVERAL_OUTPUTS or any(name.startswith(_COTANGENT) for name in case.inputs):
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
            arrays = call(self.check.function, entry.function_with_it, self.module, case.inputs, self.exam.settings)
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
        return any(self._fits(function, pairs, way) for way in right_ways(self.check.function))

    def _fits(
        self, function: Callable[..., Any], pairs: Sequence[tuple[Case, CaseAnswer]], way: Mapping[str, Any]
    ) -> bool:
        name, settings = self.check.function, {**self.exam.settings, **way}
        try:
            return all(
                _matches(self.check, case, answer, call(name, function, self.module, case.inputs, settings))
                for case, answer in pairs
            )
        except OUT_OF_REACH:  # two mistakes may not fit together, and some do not go with every size
            return False


def _first_image(case: Case, answer: CaseAnswer) -> tuple[Case, CaseAnswer] | None:
    """Return a case and its answer for the first image alone; None where gradients sum over the batch."""
    if any(name.startswith(_COTANGENT) for name in case.inputs):
        return None
    arrays = {name: array[:1] for name, array in answer.arrays.items() if array.ndim}
    return replace(case, inputs={name: array[:1] for name, array in case.inputs.items()}), CaseAnswer(arrays)


def _matches(check: Check, case: Case, answer: CaseAnswer, arrays: Mapping[str, Array]) -> bool:
    """Whether an answer has the predicted arrays, and no gradient where none is predicted."""
    if "path" in arrays:
        return is_same_run(answer, arrays)
    cut = [name for name in case.expected if name.startswith(_GRADIENT) and name not in arrays]
    return all(answer.get(name) is None for name in cut) and _equal(check, answer, arrays)


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
    return check.tolerances.get(name, _SAME_GRADIENT if name.startswith(_GRADIENT) else _SAME)
