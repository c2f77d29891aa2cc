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
_NEW, _GONE = "the question is new", "the question is gone"
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
class QuestionMove:
    """
    One question of which somebody's points or verdict changed.

    Args:
        number, title: of the question.
        count: submissions in which it changed.
        mean_change: points, over these.
        is_new, is_gone: one of the two gradings does not have it.
    """

    number: str
    title: str
    count: int
    mean_change: float
    is_new: bool = False
    is_gone: bool = False


@dataclass(frozen=True)
class Group:
    """Submissions in which the same question changed in the same way; `changes` has at least one."""

    changes: tuple[Change, ...]


@dataclass(frozen=True)
class Comparison:
    """
    What changed.

    Args:
        changes: by submission, in the order of the questions.
        up, down, same: submissions graded both times.
        mean_change: of the scores of these.
        only_old, only_new: submissions of one grading alone.
        total_before, total_after: points of all submissions that were graded both times.
        now_hidden: questions that students could see before and cannot now, or not at once.
    """

    changes: tuple[Change, ...]
    up: int
    down: int
    same: int
    mean_change: float
    only_old: tuple[str, ...]
    only_new: tuple[str, ...]
    total_before: float = 0.0
    total_after: float = 0.0
    now_hidden: tuple[str, ...] = ()

    @property
    def questions(self) -> tuple[QuestionMove, ...]:
        """The questions in which anything changed, in the order in which they were met."""
        by_number: dict[str, list[Change]] = {}
        for change in self.changes:
            if change.number:
                by_number.setdefault(change.number, []).append(change)
        return tuple(_move(changes) for changes in by_number.values())

    @property
    def groups(self) -> tuple[Group, ...]:
        """Who changed, by the same change, the largest group first; without questions that are new or gone."""
        alike: dict[tuple[object, ...], list[Change]] = {}
        for change in self.changes:
            if change.why not in (_NEW, _GONE):
                alike.setdefault((change.number, change.before, change.after, change.why), []).append(change)
        return tuple(
            sorted((Group(tuple(changes)) for changes in alike.values()), key=lambda group: -len(group.changes))
        )


def _move(changes: Sequence[Change]) -> QuestionMove:
    first = changes[0]
    return QuestionMove(
        number=first.number,
        title=first.question,
        count=len(changes),
        mean_change=statistics.fmean(change.points for change in changes),
        is_new=all(change.why == _NEW for change in changes),
        is_gone=all(change.why == _GONE for change in changes),
    )


def require_same_kind(old: Path, new: Path) -> None:
    """
    Make sure that two gradings can be compared.

    Raises:
        StaffError: one is a class and the other one submission.
    """
    kinds = [(path / INDEX).exists() for path in (old, new)]
    if kinds[0] != kinds[1]:
        whole, alone = (old, new) if kinds[0] else (new, old)
        raise StaffError(
            happened=f"{whole} is a class, and {alone} is one submission.",
            try_next="Name two of a kind; `python -m grader preview DIR --student` writes one student's results.json.",
        )


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
    moves, before_all, hidden = [], 0.0, dict[str, None]()
    for name in (name for name in old if name in new):
        before, after = old[name].results, new[name].results
        if before is None or after is None:
            if before is not after:
                changes.append(_whole(name, old[name], new[name]))
            continue
        moves.append(after["score"] - before["score"])
        before_all += before["score"]
        if (given := _given(after)) != _given(before):
            why = f"given by the staff: {given['reason']}" if given else "no longer given by the staff"
            changes.append(Change(name, new[name].who, "", "all questions", before["score"], after["score"], why))
        hidden.update(dict.fromkeys(_now_hidden(before["tests"], after["tests"])))
        changes += _changes(name, new[name].who, before["tests"], after["tests"])
    return Comparison(
        changes=tuple(changes),
        up=sum(move > _EQUAL for move in moves),
        down=sum(move < -_EQUAL for move in moves),
        same=sum(abs(move) <= _EQUAL for move in moves),
        mean_change=statistics.fmean(moves) if moves else 0.0,
        only_old=tuple(name for name in old if name not in new),
        only_new=tuple(name for name in new if name not in old),
        total_before=before_all,
        total_after=before_all + sum(moves),
        now_hidden=tuple(hidden),
    )


def _now_hidden(old: Sequence[Mapping[str, Any]], new: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the numbers of questions that were shown at once and are not any more."""
    seen = {test["number"] for test in old if test.get("visibility", "visible") == "visible"}
    for test in new:
        if test["number"] in seen and test.get("visibility", "visible") != "visible":
            yield test["number"]


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
        return _NEW
    if second is None:
        return _GONE
    reasons = []
    if _check(first) != _check(second):
        reasons.append(f"the check is {_check(second)}, was {_check(first)}")
    if first["max_score"] != second["max_score"]:
        reasons.append(f"the rubric gives {second['max_score']:g} points, was {first['max_score']:g}")
    if _verdict(first) != _verdict(second):
        reasons.append(f"{_verdict(first)} → {_verdict(second)}")
    if (given := _given(second)) != _given(first):
        reasons.append(f"given by the staff: {given['reason']}" if given else "no longer given by the staff")
    lent = [", ".join(test["extra_data"].get("lent", ())) for test in (first, second)]
    if lent[0] != lent[1]:
        reasons.append(f"lent: {lent[1] or 'nothing'}, was {lent[0] or 'nothing'}")
    return "; ".join(reasons) or "another part of the points"


def _given(results: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what staff gave for a question, or for a whole submission, in place of the grader's points."""
    return (results.get("extra_data") or {}).get("override")


def _check(test: Mapping[str, Any]) -> str:
    extra = test["extra_data"]
    return f"{extra['function']}.{extra['aspect']}"


def _verdict(test: Mapping[str, Any] | None) -> str:
    return "" if test is None else str(test["extra_data"]["verdict"])
