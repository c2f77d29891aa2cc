"""Two gradings of the same class, or of one submission: who changes, in which questions, by how much, and why."""

from __future__ import annotations

import json
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.errors import StaffError, why_unreadable
from grader.fleet.record import GRADED, is_report
from grader.fleet.schedule import INDEX, load_class
from grader.fleet.statistics import names_of

_EQUAL = 1e-6
_WHAT_TO_NAME = "Name a folder that `python -m grader class` or `grade` wrote, or the results.json in it."
COLUMNS = ("submission", "who", "number", "question", "before", "after", "change", "why")


@dataclass(frozen=True)
class Graded:
    """One submission of a grading: its results.json, or None where it was not graded."""

    who: str
    results: Mapping[str, Any] | None


@dataclass(frozen=True)
class Change:
    """One question of one submission that has other points than before; `number` is empty for a whole submission."""

    submission: str
    who: str
    number: str
    question: str
    before: float | None
    after: float | None
    why: str

    @property
    def points(self) -> float:
        """Points gained, or lost."""
        return round((self.after or 0.0) - (self.before or 0.0), 4)

    @property
    def row(self) -> tuple[object, ...]:
        """The change as a row of COLUMNS."""
        before, after = ("" if value is None else value for value in (self.before, self.after))
        return (self.submission, self.who, self.number, self.question, before, after, self.points, self.why)


@dataclass(frozen=True)
class Comparison:
    """
    What changed.

    Args:
        changes: by submission, in the order of the questions.
        up, down, same: submissions graded both times.
        mean_change: of the scores of these.
        only_old, only_new: submissions of one grading alone.
    """

    changes: tuple[Change, ...]
    up: int
    down: int
    same: int
    mean_change: float
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]


def read_grading(path: Path) -> dict[str, Graded]:
    """
    Return submission -> what came of it, from the folder of a class or from one results.json.

    Raises:
        StaffError: it is neither.
    """
    if path.is_dir() and (path / INDEX).exists():
        graded_class = load_class(path)
        names = names_of(graded_class)
        return {
            item.entry.id: Graded(names[item.entry.id], item.record.results if item.record.status == GRADED else None)
            for item in graded_class.graded
        }
    file = path / "results.json" if path.is_dir() else path
    try:
        results = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        if path.is_dir() and isinstance(error, FileNotFoundError):
            happened = f"{path} is no grading: there is neither a {INDEX} nor a results.json in it."
        else:
            happened = f"{file} is no grading: {why_unreadable(error)}."
        raise StaffError(happened=happened, try_next=_WHAT_TO_NAME) from None
    if not is_report(results):
        raise StaffError(
            happened=f"{file} is no results.json of this grader: scores, verdicts or questions are not in it.",
            try_next=_WHAT_TO_NAME,
        )
    return {"results.json": Graded("", results)}


def compare_gradings(old: Mapping[str, Graded], new: Mapping[str, Graded]) -> Comparison:
    """Compare two gradings, submission by submission and question by question."""
    changes: list[Change] = []
    moves = []
    for name in (name for name in old if name in new):
        before, after = old[name].results, new[name].results
        if before is None or after is None:
            if before is not after:
                changes.append(_whole(name, old[name], new[name]))
            continue
        moves.append(after["score"] - before["score"])
        changes += _changes(name, new[name].who, before["tests"], after["tests"])
    return Comparison(
        changes=tuple(changes),
        up=sum(move > _EQUAL for move in moves),
        down=sum(move < -_EQUAL for move in moves),
        same=sum(abs(move) <= _EQUAL for move in moves),
        mean_change=statistics.fmean(moves) if moves else 0.0,
        only_old=tuple(name for name in old if name not in new),
        only_new=tuple(name for name in new if name not in old),
    )


def _whole(name: str, old: Graded, new: Graded) -> Change:
    before, after = (None if item.results is None else item.results["score"] for item in (old, new))
    why = "was not graded before" if before is None else "is not graded any more"
    return Change(name, new.who, "", "all questions", before, after, why)


def _changes(
    name: str, who: str, old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]
) -> Iterator[Change]:
    before, after = ({test["number"]: test for test in tests} for tests in (old, new))
    for number in dict.fromkeys([*before, *after]):
        first, second = before.get(number), after.get(number)
        points = [None if test is None else float(test["score"]) for test in (first, second)]
        why = _why(first, second)
        if abs((points[0] or 0.0) - (points[1] or 0.0)) > _EQUAL or _verdict(first) != _verdict(second):
            title = (second or first or {})["name"]
            yield Change(name, who, number, title, points[0], points[1], why)


def _why(first: Mapping[str, Any] | None, second: Mapping[str, Any] | None) -> str:
    """Say what is different about a question, all that is."""
    if first is None:
        return "the question is new"
    if second is None:
        return "the question is gone"
    reasons = []
    if _check(first) != _check(second):
        reasons.append(f"the check is {_check(second)}, was {_check(first)}")
    if first["max_score"] != second["max_score"]:
        reasons.append(f"the rubric gives {second['max_score']:g} points, was {first['max_score']:g}")
    if _verdict(first) != _verdict(second):
        reasons.append(f"{_verdict(first)} → {_verdict(second)}")
    lent = [", ".join(test["extra_data"].get("lent", ())) for test in (first, second)]
    if lent[0] != lent[1]:
        reasons.append(f"lent: {lent[1] or 'nothing'}, was {lent[0] or 'nothing'}")
    return "; ".join(reasons) or "another part of the points"


def _check(test: Mapping[str, Any]) -> str:
    extra = test["extra_data"]
    return f"{extra['function']}.{extra['aspect']}"


def _verdict(test: Mapping[str, Any] | None) -> str:
    return "" if test is None else str(test["extra_data"]["verdict"])
