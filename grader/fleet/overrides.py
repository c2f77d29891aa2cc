"""
What staff decide in the place of the grader: other points, and remarks that students read.

`overrides.yaml` in a class's folder is a list. Each entry says whom it is for and what is decided:

    - submission: submission_7       # or student: a name, id or address; without either, everybody
      question: "3.1"                # or misconception: its id; without either, the whole submission
      points: 2                      # of the question, or of the whole submission
      reason: Both readings of the statement are right.
    - question: "3.1"
      remark: See the announcement of November 20.

It is applied whenever the class is read, so grading again changes nothing of it; later entries win.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml

from grader.errors import StaffError, why_unreadable
from grader.fleet.export import Entry
from grader.fleet.find import find_entry
from grader.fleet.record import GRADED, Record

OVERRIDES_FILE = "overrides.yaml"
_FIELDS = frozenset({"submission", "student", "question", "misconception", "points", "reason", "remark"})


@dataclass(frozen=True)
class Override:
    """
    One decision.

    Args:
        who: the submission or student, or "" for everybody.
        question: number, or "".
        misconception: id, or "".
        points: instead of the grader's, or None.
        reason: of other points.
        remark: shown to the student.
    """

    who: str = ""
    question: str = ""
    misconception: str = ""
    points: float | None = None
    reason: str = ""
    remark: str = ""


def read_overrides(path: Path) -> tuple[Override, ...]:
    """
    Read staff's decisions; no file is none.

    Raises:
        StaffError: the file is no such list; the entry is named.
    """
    try:
        content = yaml.load(path.read_text(encoding="utf-8"), yaml.BaseLoader)  # every value as it is written
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise StaffError(happened=f"{path} cannot be read: {why_unreadable(error)}.", try_next=_HOW) from None
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" in line {mark.line + 1}" if mark is not None else ""
        raise StaffError(happened=f"{path} is no YAML{where}.", try_next=_HOW) from None
    if not content:
        return ()
    if not isinstance(content, list):
        raise StaffError(happened=f"{path} is no list.", try_next=_HOW)
    return tuple(_override(item, f"Entry {number} of {path}") for number, item in enumerate(content, start=1))


_HOW = "The docs show how overrides.yaml is written: a list of entries with points and reason, or a remark."


def _override(item: object, where: str) -> Override:
    if not isinstance(item, dict) or not all(isinstance(value, str) for value in item.values()):
        raise StaffError(happened=f"{where} is no set of fields with a text each.", try_next=_HOW)
    unknown = sorted(set(item) - _FIELDS)
    problem = ""
    if unknown:
        problem = f"has the unknown field {unknown[0]!r}"
    elif ("points" in item) == ("remark" in item):
        problem = "has both points and a remark, or neither"
    elif "points" in item and not item.get("reason"):
        problem = "has points and no reason"
    elif "submission" in item and "student" in item:
        problem = "names a submission and a student"
    elif "points" in item and not (item.get("question") or item.get("submission") or item.get("student")):
        problem = "gives points and names neither a question nor a submission"
    elif "misconception" in item and ("question" in item or "points" in item):
        problem = "has a misconception together with a question or points"
    points = _points(item.get("points"))
    if "points" in item and points is None:
        problem = problem or f"has points that are no number of at least 0: {item['points']!r}"
    if problem:
        raise StaffError(happened=f"{where} {problem}.", try_next=_HOW)
    texts = {name: item.get(name, "") for name in ("question", "misconception", "reason", "remark")}
    return Override(who=item.get("submission") or item.get("student") or "", points=points, **texts)


def _points(text: str | None) -> float | None:
    try:
        value = float(text or "")
    except ValueError:
        return None
    return value if 0 <= value < 1e6 else None


def require_people(overrides: Iterable[Override], entries: Sequence[Entry]) -> None:
    """
    Make sure, before anybody is graded, that everybody whom staff name is in the class.

    Raises:
        StaffError: somebody is not.
    """
    for override in overrides:
        if override.who:
            find_entry(entries, override.who)


def overridden(records: Sequence[tuple[Entry, Record]], overrides: Iterable[Override]) -> list[tuple[Entry, Record]]:
    """
    Return the records as staff decided.

    Raises:
        StaffError: an override names nobody, or a question that nobody was asked.
    """
    changed = dict(enumerate(records))
    entries = [entry for entry, _ in records]
    for override in overrides:
        chosen = find_entry(entries, override.who) if override.who else None
        _require_question(override, [record for _, record in records])
        for index, (entry, record) in list(changed.items()):
            if chosen is None or entry is chosen:
                changed[index] = (entry, _decided(record, override, is_meant=chosen is not None))
    return list(changed.values())


def _require_question(override: Override, records: Iterable[Record]) -> None:
    tests = [test for record in records for test in record.results["tests"]]
    found = [test for test in tests if test["number"] == override.question]
    if override.question and not found:
        raise StaffError(
            happened=f"{OVERRIDES_FILE} names question {override.question}, which nobody was asked.",
            try_next="Write its number as the report shows it, in quotes.",
        )
    possible = max((test["max_score"] for test in found), default=None)
    if override.points is not None and possible is not None and override.points > possible:
        raise StaffError(
            happened=f"{OVERRIDES_FILE} gives {override.points:g} points for question {override.question}, which has "
            f"{possible:g}.",
            try_next="Give at most what the question has.",
        )


def _decided(record: Record, override: Override, *, is_meant: bool) -> Record:
    """Return a record with one decision in it; what was not graded is changed only for who is meant."""
    if override.points is not None and record.status != GRADED and not is_meant:
        return record
    results = record.results
    if override.question or override.misconception:
        tests = [_decided_test(test, override) for test in results["tests"]]
        results = {**results, "tests": tests}
        if override.points is not None:
            results["score"] = round(sum(test["score"] for test in tests), 4)
    else:
        results = _decided_whole(results, override)
    return replace(record, results=results, status=record.status if override.points is None else GRADED)


def _decided_test(test: Mapping[str, Any], override: Override) -> dict[str, Any]:
    extra = test["extra_data"]
    is_it = test["number"] == override.question or (
        bool(override.misconception) and override.misconception in extra.get("diagnosis", ())
    )
    if not is_it:
        return dict(test)
    if override.points is None:
        return {**test, "output": _with_words(test["output"], override, 0.0)}
    before = extra.get("override", {}).get("before", test["score"])
    return {
        **test,
        "score": override.points,
        "status": "passed" if override.points >= test["max_score"] else "failed",
        "output": _with_words(test["output"], override, before),
        "extra_data": {**extra, "override": {"before": before, "reason": override.reason}},
    }


def _decided_whole(results: Mapping[str, Any], override: Override) -> dict[str, Any]:
    output = str(results.get("output") or "")
    if override.points is None:
        return {**results, "output": _with_words(output, override, 0.0)}
    extra = results.get("extra_data") or {}
    before = extra.get("override", {}).get("before", results["score"])
    return {
        **results,
        "score": override.points,
        "output": _with_words(output, override, before),
        "extra_data": {**extra, "override": {"before": before, "reason": override.reason}},
    }


def _with_words(output: str, override: Override, before: float) -> str:
    """Return feedback with what staff say behind it, marked as theirs."""
    if override.points is None:
        return f"{output}\n\n**From the staff:** {override.remark}"
    return f"{output}\n\n**Points given by the staff:** {override.points:g} in place of {before:g}. {override.reason}"
