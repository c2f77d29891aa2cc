"""Read a results.json and a submission_metadata.json, of this grader or of another, as the platform would."""

from __future__ import annotations

import enum
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from grader.errors import StaffError
from grader.feedback.pictures import picture_from_json
from grader.feedback.text import plain
from grader.verdicts import Picture, Verdict

VISIBILITIES = ("visible", "hidden", "after_due_date", "after_published")
FORMATS = ("text", "html", "simple_format", "md", "ansi")
_STAFF = {"staff": "Questions of the staff"}
_NOT_GRADED = {Verdict.NOT_RUN.value, Verdict.INFRASTRUCTURE.value}
_MOST_BYTES = 64 * 1024 * 1024
_LARGEST = 1e12  # of points and seconds: sums of them are still numbers
_SHOWN_WRONG = 60  # characters of a value that is none of those expected


class State(enum.Enum):
    """How a question ended, as the page shows it; the value is what a reader sees."""

    PASSED = "Passed"
    PARTIAL = "Partly passed"
    FAILED = "Not passed"
    NOT_GRADED = "Not graded"
    INFORMS = "For information"


@dataclass(frozen=True)
class Entry:
    """
    One test of results.json.

    Args:
        number: what the platform sorts by; may be empty.
        name: its title.
        score: points earned; None where it has none.
        max_score: points to be had; None where it has none.
        output: what the student reads, in `output_format`.
        visibility: one of `VISIBILITIES`.
        state: how it ended.
        part: heading under which it stands.
        pictures: values to be drawn.
        broken_pictures: how many could not be read.
        facts: for staff: name -> text.
    """

    number: str
    name: str
    score: float | None
    max_score: float | None
    output: str
    output_format: str
    visibility: str
    state: State
    part: str = ""
    pictures: tuple[Picture, ...] = ()
    broken_pictures: int = 0
    facts: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Submission:
    """Who handed in what and when, of submission_metadata.json; times as the platform writes them."""

    title: str = ""
    names: tuple[str, ...] = ()
    created_at: str = ""
    due_at: str = ""
    earlier: int = 0


@dataclass(frozen=True)
class Report:
    """
    A results.json.

    Args:
        score: points in all; None where students may not see them.
        max_score: points to be had in all.
        entries: the tests in order.
        output: the text above them, in `output_format`.
        visibility: of the whole report.
        stdout_visibility: of what the autograder printed.
        facts: for staff: name -> text.
    """

    score: float | None
    max_score: float
    entries: tuple[Entry, ...]
    output: str = ""
    output_format: str = "simple_format"
    visibility: str = "visible"
    stdout_visibility: str = "hidden"
    facts: tuple[tuple[str, str], ...] = ()


def read_report(path: Path, titles: Mapping[str, str]) -> Report:
    """
    Read a results.json.

    Args:
        path: the file.
        titles: of the homework's parts, by their names.

    Raises:
        StaffError: there is none, or it is something else.
    """
    content = _read_json(path, "results.json")
    tests = content.get("tests", [])
    if not isinstance(tests, list) or ("tests" not in content and "score" not in content):
        raise _not_results(path, "it has neither tests nor a score")
    try:
        entries = tuple(_entry(test, content, {**_STAFF, **titles}) for test in tests)
        score = _number(content, "score")
        facts = content.get("extra_data")
        return Report(
            score=sum(entry.score or 0 for entry in entries) if score is None else score,
            max_score=sum(entry.max_score or 0 for entry in entries),
            entries=entries,
            output=_text(content, "output"),
            output_format=_choice(content, "output_format", FORMATS, "simple_format"),
            visibility=_choice(content, "visibility", VISIBILITIES, "visible"),
            stdout_visibility=_choice(content, "stdout_visibility", VISIBILITIES, "hidden"),
            facts=_run_facts(facts if isinstance(facts, dict) else {}, _number(content, "execution_time")),
        )
    except ValueError as error:
        raise _not_results(path, str(error)) from None


def read_submission(path: Path) -> Submission:
    """
    Read a submission_metadata.json; what it does not say stays empty.

    Raises:
        StaffError: there is none, or it is something else.
    """
    content = _read_json(path, "submission_metadata.json")
    assignment = content.get("assignment")
    if not isinstance(assignment, dict):
        raise StaffError(
            happened=f"{path} is no submission_metadata.json: it has no assignment.",
            try_next="Name the file that lies beside the submission on the platform, or leave --metadata out.",
        )
    users, earlier = content.get("users"), content.get("previous_submissions")
    people = [user for user in users if isinstance(user, dict)] if isinstance(users, list) else []
    return Submission(
        title=_said(assignment.get("title")),
        names=tuple(plain(_said(user.get("name"))) for user in people),
        created_at=_said(content.get("created_at")),
        due_at=_said(assignment.get("late_due_date")) or _said(assignment.get("due_date")),
        earlier=len(earlier) if isinstance(earlier, list) else 0,
    )


def without_staff_facts(entry: Entry) -> Entry:
    """Return what the platform shows to a student of a test that they may see."""
    return replace(entry, facts=(), broken_pictures=0, visibility="visible")


def _read_json(path: Path, expected: str) -> dict[str, Any]:
    try:
        if path.stat().st_size > _MOST_BYTES:
            raise StaffError(happened=f"{path} is too large for a {expected}.", try_next="Name another file.")
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise StaffError(
            happened=f"{path} cannot be read ({error.strerror or error}).", try_next=f"Name a {expected}."
        ) from None
    except (ValueError, RecursionError):
        raise StaffError(
            happened=f"{path} is not JSON.",
            try_next=f"Name a {expected}"
            + (": `python -m grader grade` writes one." if expected == "results.json" else "."),
        ) from None
    if not isinstance(content, dict):
        raise (
            _not_results(path, "it is not an object")
            if expected == "results.json"
            else StaffError(
                happened=f"{path} is no {expected}.", try_next="Leave --metadata out, or name another file."
            )
        )
    return content


def _not_results(path: Path, problem: str) -> StaffError:
    return StaffError(
        happened=f"{path} is no results.json: {problem}.",
        try_next="Grade the submission anew with `python -m grader grade`, or download its results.json again.",
    )


def _entry(test: object, content: Mapping[str, Any], titles: Mapping[str, str]) -> Entry:
    if not isinstance(test, dict):
        raise ValueError("one of its tests is not an object")
    extra = test.get("extra_data")
    extra = extra if isinstance(extra, dict) else {}
    score, max_score = _number(test, "score"), _number(test, "max_score")
    pictures, broken = _pictures(extra.get("pictures"))
    return Entry(
        number=_text(test, "number"),
        name=_text(test, "name"),
        score=score,
        max_score=max_score,
        output=_text(test, "output"),
        output_format=_choice(test, "output_format", FORMATS, _choice(content, "test_output_format", FORMATS, "text")),
        visibility=_choice(test, "visibility", VISIBILITIES, "visible"),
        state=_state(test, score, max_score, extra.get("verdict")),
        part=titles.get(str(extra.get("part")), ""),
        pictures=pictures,
        broken_pictures=broken,
        facts=_test_facts(test, extra),
    )


def _state(test: Mapping[str, Any], score: float | None, max_score: float | None, verdict: object) -> State:
    if verdict in _NOT_GRADED:
        return State.NOT_GRADED
    if max_score == 0:
        return State.INFORMS
    if max_score is not None and score is not None and 0 < score < max_score:
        return State.PARTIAL
    passed = test.get("status", "passed" if score is not None and score == max_score else "failed") == "passed"
    return State.PASSED if passed else State.FAILED


def _pictures(content: object) -> tuple[tuple[Picture, ...], int]:
    found, broken = [], 0
    for item in content if isinstance(content, list) else []:
        try:
            found.append(picture_from_json(item))
        except (ValueError, OverflowError):
            broken += 1
    return tuple(found), broken


def _test_facts(test: Mapping[str, Any], extra: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    named = {
        "Verdict": extra.get("verdict"),
        "Judged": f"{_said(extra.get('function'))}, {_said(extra.get('aspect'))}" if extra.get("function") else None,
        "Helpers lent": _listed(extra.get("lent")),
        "Diagnosis": _listed(extra.get("diagnosis")),
        "Tags": _listed(test.get("tags")),
    }
    return tuple((name, _said(value)) for name, value in named.items() if value)


def _run_facts(extra: Mapping[str, Any], execution_time_s: float | None) -> tuple[tuple[str, str], ...]:
    time = () if execution_time_s is None else (("Seconds it took", f"{execution_time_s:g}"),)
    return (*time, *((str(name).capitalize(), _said(value)) for name, value in sorted(extra.items())))


def _listed(value: object) -> str:
    return ", ".join(map(_said, value)) if isinstance(value, list) else ""


def _said(value: object) -> str:
    if value is None or isinstance(value, str):
        return value or ""
    try:
        return json.dumps(value)
    except RecursionError:  # as deep as could just be read
        return "(too deep to be shown)"


def _text(content: Mapping[str, Any], key: str) -> str:
    value = content.get(key, "")
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f"{_finite(value, key):g}"
    if not isinstance(value, str | None):
        raise ValueError(f"{key} is not a text")
    return value or ""


def _number(content: Mapping[str, Any], key: str) -> float | None:
    value = content.get(key)
    if isinstance(value, str):  # the platform takes numbers in quotes, and its own files have them
        try:
            value = float(value)
        except ValueError:
            raise ValueError(f"{key} is not a number") from None
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{key} is not a number")
    return _finite(value, key)


def _finite(value: float, key: str) -> float:
    """Return a number that can be summed and shown; an integer of JSON may have thousands of digits."""
    if not -_LARGEST <= value <= _LARGEST:  # also NaN
        raise ValueError(f"{key} is not a number, or far too large")
    return float(value)


def _choice(content: Mapping[str, Any], key: str, choices: tuple[str, ...], usual: str) -> str:
    value = content.get(key) or usual
    if value not in choices:
        raise ValueError(f"{key} is {repr(value)[:_SHOWN_WRONG]}, which is none of {', '.join(choices)}")
    return str(value)
