"""Classes on paper: reports and records made up for tests, and a rubric of two cheap questions."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml

from grader.fleet.export import Entry
from grader.fleet.record import FORMAT, GRADED, Record, Records
from grader.fleet.roster import Student
from grader.fleet.schedule import INDEX, Graded, GradedClass, _index_line
from homework.homework import HOMEWORK

CHECKS = ("unpatchify.generality", "restore_masked.generality")


def write_rubric(path: Path, checks: Sequence[str] = CHECKS, *, points: float | None = None) -> Path:
    """Write the rubric with some of its questions, and a few seconds for each."""
    content: dict[str, Any] = yaml.safe_load(HOMEWORK.rubric.read_text(encoding="utf-8"))
    for part in content["parts"].values():
        for entry in part:
            entry.update(enabled=entry["check"] in checks, time_limit_s=10)
            if points is not None:
                entry["points"] = points
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def a_test(number: str, verdict: str, *, points: float = 2.0, diagnosis: Sequence[str] = (), **changes: Any) -> Any:
    """Return one test of a results.json."""
    finding = changes.pop("finding", f"Your `mask` is wrong, says {number}.")
    extra = {"question": number, "part": "vision", "function": f"f{number}", "aspect": "output", "verdict": verdict}
    passed = verdict == "PASSED"
    return {
        "number": number,
        "name": f"Question {number}",
        "score": points if passed else 0.0,
        "max_score": points,
        "status": "passed" if passed else "failed",
        "output": f"**Asked:** x\n\n**Not right yet.**\n\n{finding}",
        "output_format": "md",
        "visibility": "visible",
        "tags": [],
        "extra_data": {**extra, "lent": [], "diagnosis": list(diagnosis), "findings": [finding]},
        **changes,
    }


def a_report(*tests: Any) -> dict[str, Any]:
    """Return a results.json."""
    return {
        "score": sum(test["score"] for test in tests),
        "execution_time": 1.0,
        "output": "",
        "output_format": "md",
        "visibility": "visible",
        "stdout_visibility": "hidden",
        "tests": list(tests),
        "extra_data": {},
    }


def a_graded(name: str, results: dict[str, Any], *, key: str = "", status: str = GRADED, **changes: Any) -> Graded:
    """Return one graded submission."""
    student = Student(name=f"{name.title()} Person", email=f"{name}@example.edu", sid=f"sid-{name}")
    record = Record(key or f"key-{name}", f"content-{name}", status, results, **changes)
    return Graded(Entry(f"submission_{name}", (student,), Path("/x")), record)


def a_class(*graded: Graded) -> GradedClass:
    """Return a class."""
    return GradedClass("Homework 9", "grader", "rubric", "cpu", graded)


def write_class(graded_class: GradedClass, out: Path) -> Path:
    """Write a class as `grade_class` leaves it, and return the folder."""
    records = Records(out / "records")
    for item in graded_class.graded:
        records.write(item.record)
    about = {name: getattr(graded_class, name) for name in ("assignment", "grader", "rubric", "device", "due_at")}
    lines = [_index_line(item.entry, item.record.key) for item in graded_class.graded]
    (out / INDEX).write_text(json.dumps({"format": FORMAT, **about, "entries": lines}))
    return out
