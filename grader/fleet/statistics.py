"""The figures of a class: every one is a function of the records, and says how it is counted."""

from __future__ import annotations

import hashlib
import math
import statistics
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grader.feedback.text import plain
from grader.fleet.fingerprint import near_copies
from grader.fleet.record import GRADED
from grader.fleet.schedule import Graded, GradedClass

BINS = 10
STRONG_FRACTION = 0.9
HELP_FRACTION = 0.5
_NOT_JUDGED = ("NOT_RUN", "INFRASTRUCTURE")
_LEAST_FOR_CORRELATION = 3
_LEAST_STRONG_FAILED = 2
_SHORTEST_NAME = 3  # shorter pieces of names occur in ordinary words

HELP_RULE = (
    f"Submissions with less than {HELP_FRACTION:.0%} of the points, the lowest first; at equal points those with more "
    "questions that did not even run come first. Submissions that the grader itself could not grade are not among them."
)
WATCH_RULE = (
    f"A submission counts as strong for a question if it has at least {STRONG_FRACTION:.0%} of the points of all other "
    f"questions. A question that {_LEAST_STRONG_FAILED} strong submissions or more fail deserves a look: "
    "perhaps they are right and the check is not."
)


@dataclass(frozen=True)
class QuestionFigures:
    """
    One question over the class.

    Args:
        number, title, points: of the rubric.
        judged: submissions in which it was judged.
        mean_fraction: of its points, over these; the lower, the more difficult.
        discrimination: correlation of its fraction with the points of all other questions; None without variation.
        verdicts: verdict -> number of submissions.
        strong: submissions that have nearly all points of the other questions.
        strong_failed: those of them that fail this one.
    """

    number: str
    title: str
    points: float
    judged: int
    mean_fraction: float
    discrimination: float | None
    verdicts: Mapping[str, int]
    strong: int
    strong_failed: int

    @property
    def is_suspicious(self) -> bool:
        """Whether enough strong submissions fail it to look at the check."""
        return self.strong_failed >= _LEAST_STRONG_FAILED


@dataclass(frozen=True)
class MistakeFigures:
    """A misconception: in how many submissions it was found, where, and what their students read."""

    id: str
    submissions: int
    questions: tuple[str, ...]
    excerpt: str


@dataclass(frozen=True)
class Spread:
    """Median, 90th percentile, largest value and sum of a quantity."""

    median: float
    high: float
    largest: float
    total: float


@dataclass(frozen=True)
class Help:
    """Somebody who needs help: where they stand, and the first question that is not right."""

    graded: Graded
    score: float
    not_run: int
    first: str


@dataclass(frozen=True)
class Likeness:
    """Submissions that are equal, or whose code is nearly so."""

    members: tuple[Graded, ...]
    is_equal: bool


@dataclass(frozen=True)
class Figures:
    """All that the report shows."""

    possible: float
    graded: tuple[Graded, ...]
    not_graded: tuple[Graded, ...]
    scores: tuple[float, ...]
    histogram: tuple[int, ...]
    questions: tuple[QuestionFigures, ...]
    mistakes: tuple[MistakeFigures, ...]
    cpu_s: Spread
    wall_s: Spread
    peak_mib: Spread
    likenesses: tuple[Likeness, ...]
    help_first: tuple[Help, ...]

    @property
    def watched(self) -> tuple[QuestionFigures, ...]:
        """Questions that strong submissions fail."""
        return tuple(question for question in self.questions if question.is_suspicious)


def figures_of(graded_class: GradedClass) -> Figures:
    """Return the figures of a class; only what was graded counts, and of equal submissions each one."""
    graded = tuple(item for item in graded_class.graded if item.record.status == GRADED)
    rest = tuple(item for item in graded_class.graded if item.record.status != GRADED)
    scores = tuple(float(item.record.results["score"]) for item in graded)
    possible = max((possible_of(item.record.results) for item in graded_class.graded), default=0.0)
    runs = {item.record.key: item.record for item in graded}.values()  # equal submissions were graded once
    return Figures(
        possible=possible,
        graded=graded,
        not_graded=rest,
        scores=scores,
        histogram=histogram(scores, possible),
        questions=_questions([item.record.results for item in graded]),
        mistakes=_mistakes(graded),
        cpu_s=spread([record.cpu_s for record in runs]),
        wall_s=spread([record.wall_s for record in runs]),
        peak_mib=spread([record.peak_mib for record in runs]),
        likenesses=_likenesses(graded),
        help_first=_help_first(graded, possible),
    )


def possible_of(results: Mapping[str, Any]) -> float:
    """Return the points of all questions together."""
    return round(float(sum(test["max_score"] for test in results["tests"])), 4)


def histogram(scores: Iterable[float], possible: float) -> tuple[int, ...]:
    """Count scores in ten equal parts of the possible points; full marks belong to the last."""
    counts = [0] * BINS
    for score in scores:
        counts[min(BINS - 1, max(0, int(BINS * score / possible)))] += 1
    return tuple(counts)


def spread(values: Sequence[float]) -> Spread:
    """Return the spread of some values, all 0 for none; percentiles are values that occur (nearest rank)."""
    if not values:
        return Spread(0.0, 0.0, 0.0, 0.0)
    ordered = sorted(values)
    high = ordered[math.ceil(0.9 * len(ordered)) - 1]
    return Spread(statistics.median(ordered), high, ordered[-1], sum(ordered))


def correlation(first: Sequence[float], second: Sequence[float]) -> float | None:
    """Return Pearson's correlation, or None where one of the two does not vary or there are too few."""
    if len(first) < _LEAST_FOR_CORRELATION or len(set(first)) < 2 or len(set(second)) < 2:
        return None
    return statistics.correlation(first, second)


def fraction_of(test: Mapping[str, Any]) -> float:
    """Return the part of a question's points that was earned; of one without points, whether it was right."""
    if not test["max_score"]:
        return float(test["extra_data"]["verdict"] == "PASSED")
    return float(test["score"]) / float(test["max_score"])


def _questions(reports: Sequence[Mapping[str, Any]]) -> tuple[QuestionFigures, ...]:
    first_seen: dict[str, Mapping[str, Any]] = {}
    for results in reports:
        for test in results["tests"]:
            first_seen.setdefault(test["number"], test)
    return tuple(_question(number, test, reports) for number, test in first_seen.items())


def _question(number: str, shown: Mapping[str, Any], reports: Sequence[Mapping[str, Any]]) -> QuestionFigures:
    verdicts: Counter[str] = Counter()
    fractions, rests, strong_fractions = [], [], []
    for results in reports:
        test = next((test for test in results["tests"] if test["number"] == number), None)
        if test is None:
            continue
        verdict = test["extra_data"]["verdict"]
        verdicts[verdict] += 1
        if verdict in _NOT_JUDGED:
            continue
        rest, rest_possible = results["score"] - test["score"], possible_of(results) - test["max_score"]
        fractions.append(fraction_of(test))
        rests.append(rest)
        if rest_possible and rest / rest_possible >= STRONG_FRACTION:
            strong_fractions.append(fractions[-1])
    return QuestionFigures(
        number=number,
        title=shown["name"],
        points=shown["max_score"],
        judged=len(fractions),
        mean_fraction=statistics.fmean(fractions) if fractions else 0.0,
        discrimination=correlation(fractions, rests),
        verdicts=dict(verdicts.most_common()),
        strong=len(strong_fractions),
        strong_failed=sum(fraction < 1 for fraction in strong_fractions),
    )


def _mistakes(graded: Sequence[Graded]) -> tuple[MistakeFigures, ...]:
    found: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for item in graded:
        for test in item.record.results["tests"]:
            for name in test["extra_data"].get("diagnosis", ()):
                found.setdefault(name, []).append((item.entry.id, test))
    people = names_in(graded)
    mistakes = [
        MistakeFigures(
            id=name,
            submissions=len({entry for entry, _ in places}),
            questions=tuple(dict.fromkeys(test["number"] for _, test in places)),
            excerpt=without_names(_finding(places[0][1]), people),
        )
        for name, places in found.items()
    ]
    return tuple(sorted(mistakes, key=lambda mistake: (-mistake.submissions, mistake.id)))


def _finding(test: Mapping[str, Any]) -> str:
    """Return the most telling finding of a question."""
    findings = test["extra_data"].get("findings", ())
    return str(findings[0]) if findings else ""


def names_in(graded: Iterable[Graded]) -> frozenset[str]:
    """Return what could give a student away: names and their pieces, emails and what stands before the @, ids."""
    found: set[str] = set()
    for item in graded:
        for student in item.entry.students:
            found.update((student.name, student.email, student.sid, student.login, student.canvas_id))
            found.update(student.name.split())
            found.add(student.email.partition("@")[0])
    return frozenset(name for name in found if len(name) >= _SHORTEST_NAME)


def without_names(text: str, names: Iterable[str]) -> str:
    """Return a text with every name in it replaced, whatever its case."""
    for name in sorted(names, key=len, reverse=True):
        start = text.lower().find(name.lower())
        while start >= 0:
            text = f"{text[:start]}…{text[start + len(name) :]}"
            start = text.lower().find(name.lower(), start + 1)
    return text


def _likenesses(graded: Sequence[Graded]) -> tuple[Likeness, ...]:
    by_key: dict[str, list[Graded]] = {}
    for item in graded:
        by_key.setdefault(item.record.key, []).append(item)
    equal = [Likeness(tuple(items), is_equal=True) for items in by_key.values() if len(items) > 1]
    groups = near_copies({key: items[0].record.fingerprints for key, items in by_key.items()})
    near = [Likeness(tuple(item for key in keys for item in by_key[key]), is_equal=False) for keys in groups]
    return (*equal, *near)


def _help_first(graded: Sequence[Graded], possible: float) -> tuple[Help, ...]:
    found = []
    for item in graded:
        score = float(item.record.results["score"])
        if score >= HELP_FRACTION * possible:
            continue
        tests = item.record.results["tests"]
        wrong = [test for test in tests if test["status"] != "passed" and test["max_score"]]
        stopped = [test for test in wrong if test["extra_data"]["verdict"] != "FAILED"]
        first = f"{wrong[0]['number']} {wrong[0]['name']}" if wrong else ""
        found.append(Help(item, score, len(stopped), first))
    return tuple(sorted(found, key=lambda help_: (help_.score, -help_.not_run, help_.graded.entry.id)))


def pseudonyms(graded_class: GradedClass) -> dict[str, str]:
    """Return entry -> "Submission n", numbered in an order that says nothing about the roster's."""

    def shuffled(item: Graded) -> str:
        return hashlib.sha256(f"{item.record.key} {item.entry.id}".encode()).hexdigest()

    ordered = sorted(graded_class.graded, key=shuffled)
    return {item.entry.id: f"Submission {number}" for number, item in enumerate(ordered, start=1)}


def names_of(graded_class: GradedClass) -> dict[str, str]:
    """Return entry -> who handed it in, for staff, as one line that can be shown anywhere."""
    return {
        item.entry.id: plain(
            ", ".join(student.name or student.email or student.sid for student in item.entry.students) or item.entry.id
        )
        for item in graded_class.graded
    }
