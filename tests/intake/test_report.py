"""The trusted side believes nothing: every malformed survey is refused in one way."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from grader.errors import SubmissionError
from grader.intake import report
from grader.intake.report import Note, NotebookRun, read_survey
from grader.wire import Message

RUN: dict[str, Any] = {
    "file": "n.ipynb",
    "code_cells": 3,
    "run_cells": 2,
    "figures": 1,
    "errors": 0,
    "defines": ["f"],
    "mentions": ["g", "f"],
}


def honest() -> dict[str, Any]:
    """Return the meta of a survey in order."""
    code = {
        "cells": [["n.ipynb, code cell 1", "def f(): return 1", 0]],
        "plans": {"f": [[0, 0]]},
        "missing": {"g": None, "h": "hh"},
        "not_run": {"x": "n.ipynb, code cell 2"},
        "broken": {"k": "n.ipynb, code cell 3, line 2: invalid syntax"},
        "unwritten": ["f"],
        "hints": {"f": "It was changed."},
    }
    return {
        "parts": {"vision": code},
        "modules": {"a.b": "x = 1"},
        "used": [["vision", "n.ipynb"]],
        "notes": [],
        "runs": [RUN],
        "rivals": ["a/MAE_student.ipynb"],
    }


def test_an_honest_survey_is_read() -> None:
    """Every field arrives, and notes of the trusted side come first."""
    meta = honest() | {"notes": [["chosen", "second"]]}

    intake = read_survey(
        Message("survey", meta, {"autograder": np.zeros(3, np.uint8)}), notes=[Note("left-out", "first")]
    )

    code = intake.parts["vision"]
    assert code.plans == {"f": ((0, 0),)}
    assert code.missing == {"g": None, "h": "hh"}
    assert [note.text for note in intake.notes] == ["first", "second"]
    assert intake.runs == (NotebookRun("n.ipynb", 3, 2, 1, 0, frozenset("f"), frozenset("fg")),)
    assert intake.tensors["autograder"].size == 3


def in_code(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change of one field of the part."""
    return lambda meta: meta["parts"]["vision"].__setitem__(key, value)


def in_meta(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change of one field of the survey."""
    return lambda meta: meta.__setitem__(key, value)


def in_run(key: str, value: Any) -> Callable[[dict[str, Any]], None]:
    """Return a change of one field of a notebook's run."""
    return lambda meta: meta.__setitem__("runs", [{**RUN, key: value}])


@pytest.mark.parametrize(
    "change",
    [
        in_meta("parts", []),
        in_meta("parts", {"vision": None}),
        in_meta("parts", {str(i): {} for i in range(21)}),
        in_meta("modules", {"a b": "x"}),
        in_meta("modules", {"../a": "x"}),
        in_meta("modules", {"": "x"}),
        in_meta("modules", {"a": 3}),
        in_meta("modules", {"a": "x" * (report.MAX_CELL_CHARACTERS + 1)}),
        in_meta("modules", {f"m{i}": "x" * report.MAX_CELL_CHARACTERS for i in range(5)}),
        in_meta("modules", {f"m{i}": "" for i in range(report.MAX_MODULES + 1)}),
        in_meta("used", [["vision"]]),
        in_meta("used", "vision"),
        in_meta("notes", [["unheard of", "text"]]),
        in_meta("notes", [["chosen", "text"]] * (report.MAX_NOTES + 1)),
        in_meta("notes", [["chosen", None]]),
        in_meta("notes", [[["chosen"], "text"]]),
        in_meta("more", 1),
        in_meta("runs", {}),
        in_meta("rivals", [7]),
        in_meta("rivals", ["x"] * (report.MAX_RIVALS + 1)),
        in_meta("rivals", ["x" * (report.MAX_PATH + 1)]),
        in_meta("runs", [[]]),
        in_meta("runs", [RUN] * (report.MAX_NOTEBOOKS + 1)),
        in_run("more", 1),
        in_run("file", None),
        in_run("figures", -1),
        in_run("figures", True),
        in_run("errors", 1.0),
        in_run("run_cells", 2**31),
        in_run("defines", "f"),
        in_run("defines", ["f", 3]),
        in_run("mentions", ["f" * 201]),
        in_code("cells", {}),
        in_code("cells", [["label", "source"]]),
        in_code("cells", [["label", "source", "more"]]),
        in_code("cells", [["label", "source", 1]]),
        in_code("cells", [["label", "source", False]]),
        in_code("cells", [["label", "source", 0, 0]]),
        in_code("cells", [["label", b"source", 0]]),
        in_code("cells", [["label", "x" * (report.MAX_CELL_CHARACTERS + 1), 0]]),
        in_code("cells", [["label", "x", 0]] * (report.MAX_CELLS + 1)),
        in_code("plans", {"f": [[1, 0]]}),
        in_code("plans", {"f": [[-1, 0]]}),
        in_code("plans", {"f": [[0, -1]]}),
        in_code("plans", {"f": [[0, 10**9]]}),
        in_code("plans", {"f": [[0, 0.0]]}),
        in_code("plans", {"f": [[True, 0]]}),
        in_code("plans", {"f": [[0, 0]] * (report.MAX_PLAN_STEPS + 1)}),
        in_code("plans", {"f" * 201: [[0, 0]]}),
        in_code("plans", {3: [[0, 0]]}),
        in_code("missing", {"g": 3}),
        in_code("not_run", {"g": None}),
        in_code("broken", {"g": ["x"]}),
        in_code("unwritten", "f"),
        in_code("unwritten", [3]),
        in_code("hints", {"f": 3}),
        in_code("more", 1),
    ],
)
def test_a_malformed_survey_is_refused(change: Callable[[dict[str, Any]], None]) -> None:
    """Wrong types, ranges, counts and sizes all end in the same error for the student."""
    meta = copy.deepcopy(honest())
    change(meta)

    with pytest.raises(SubmissionError, match="could not be read"):
        read_survey(Message("survey", meta, {}))


@pytest.mark.parametrize(
    ("role", "array"),
    [
        ("other", np.zeros(3, np.uint8)),
        ("autograder", np.zeros(3, np.int64)),
        ("autograder", np.zeros((3, 1), np.uint8)),
        ("autograder", [1, 2]),
    ],
)
def test_malformed_files_are_refused(role: str, array: Any) -> None:
    """A file is a flat array of bytes under a known role."""
    with pytest.raises(SubmissionError):
        read_survey(Message("survey", honest(), {role: array}))


def test_another_kind_of_message_is_refused() -> None:
    """Only a survey is a survey."""
    with pytest.raises(SubmissionError):
        read_survey(Message("result", honest(), {}))


def test_text_is_made_safe_again() -> None:
    """Notes and labels cannot carry markup, links, controls or unbounded length past the trusted side."""
    meta = honest()
    meta["notes"] = [["chosen", "a\n# b <img> [x](http://y) \u202e \x1b[31m" + "z" * 1000]]

    text = read_survey(Message("survey", meta, {})).notes[0].text

    assert len(text) <= report.MAX_NOTE_CHARACTERS
    assert all(piece not in text for piece in ("\n", "<", ">", "](", "\u202e", "\x1b"))


@pytest.mark.parametrize("size", [report.MAX_CELL_CHARACTERS, 1])
def test_caps_are_inclusive(size: int) -> None:
    """A cell and a number of notes of exactly the cap are accepted."""
    meta = honest() | {"notes": [["chosen", "text"]] * report.MAX_NOTES}
    meta["parts"]["vision"]["cells"] = [["label", "x" * size, 0]]

    assert len(read_survey(Message("survey", meta, {})).notes) == report.MAX_NOTES
