"""What is found in a notebook's file and in what its cells showed, without executing anything."""

from __future__ import annotations

import json
import socket
from typing import Any

import numpy as np
import pytest

from grader import wire
from grader.audit.compare import compare_outputs
from grader.audit.findings import LOOK, NOTE, findings_of
from grader.audit.record import MalformedAnswer, NotebookRecord, read_plan, read_progress, read_records
from grader.audit.report import as_markdown
from grader.audit.run import Audit, SavedValue, Settings, _Auditor, _Told, compare_key
from grader.checks.compare import Calibration
from homework.homework import HOMEWORK

SETTINGS = Settings(HOMEWORK, epochs=1)
TOLERANCE = Calibration(HOMEWORK.calibration).widest_tolerance()


def stream(text: str) -> dict[str, Any]:
    """Return an output."""
    return {"output_type": "stream", "name": "stdout", "text": text}


def cell(source: str, count: int | None = None, *outputs: dict[str, Any]) -> dict[str, Any]:
    """Return a code cell of a file."""
    return {"cell_type": "code", "source": source, "execution_count": count, "outputs": list(outputs)}


def answer_for(notebook: bytes, executions: list[dict[str, Any]], arrays: wire.Arrays) -> NotebookRecord:
    """Return the record of a notebook's bytes."""
    rules = {"epochs": 1, "data": ""}
    meta = {"name": "a.ipynb", "rules": rules, "other_images": True, "executions": executions}
    request = wire.Message("compare", meta, {"notebook": np.frombuffer(notebook, np.uint8), **arrays})
    with socket.socket() as unused:
        return read_records(compare_outputs(request, unused), "a.ipynb", ended="")


def compared(
    cells: list[dict[str, Any]], shown: dict[int, list[dict[str, Any]]], statuses: dict[int, str] | None = None
) -> NotebookRecord:
    """Return the record of a notebook whose cells showed something now; what is not named ran and showed nothing."""
    executions = [
        {"number": number, "status": (statuses or {}).get(number, "OK"), "seconds": 0.1}
        for number in range(1, len(cells) + 1)
    ]
    arrays = {
        f"outputs/{number}": np.frombuffer(json.dumps(outputs).encode(), np.uint8) for number, outputs in shown.items()
    }
    return answer_for(json.dumps({"cells": cells, "nbformat": 4}).encode(), executions, arrays)


def sentences(record: NotebookRecord, level: str) -> list[str]:
    """Return the sentences of a level."""
    return [finding.text for finding in findings_of(record, SETTINGS) if finding.level == level]


def test_a_number_that_differs_is_shown_with_both_lines() -> None:
    """Staff read what was printed then and now."""
    record = compared([cell("print(1)", 1, stream("accuracy 0.71\n"))], {1: [stream("accuracy 0.13\n")]})

    assert sentences(record, LOOK) == ["Cell 1 showed “accuracy 0.71” when it was handed in, and “accuracy 0.13” now."]


def test_what_a_shortened_training_gives_is_not_comparable() -> None:
    """The same difference below fewer epochs is for the record, with the reason."""
    cells = [
        cell("vit_epochs = 10", 1),
        cell("acc = train(vit_epochs)\nprint(acc)", 2, stream("accuracy 0.71\n")),
    ]
    record = compared(cells, {2: [stream("accuracy 0.13\n")]})

    assert sentences(record, LOOK) == []
    assert (
        "Cell 2 showed “accuracy 0.71” when it was handed in, and “accuracy 0.13” now. Not comparable: at most 1 epoch "
        "on other images."
    ) in sentences(record, NOTE)


@pytest.mark.parametrize(
    "source", ["", "# the training was here", "acc = 0.71", "def f():\n    print(1)", "'a docstring';", "x = ("]
)
def test_outputs_that_no_code_can_show_are_pointed_at(source: str) -> None:
    """A cell that calls nothing cannot have printed; the sentence says what was seen and no more."""
    record = compared([cell("1", 1), cell(source, 2, stream("accuracy 0.71\n"))], {})

    text = "Cell 2 shows something in the file, but its code calls nothing that could show it."
    assert text in sentences(record, LOOK)


@pytest.mark.parametrize("source", ["print(1)", "x", "import this", "!ls", "%time x", "for a in b:\n    print(a)"])
def test_outputs_of_code_that_can_show_something_are_not(source: str) -> None:
    """A call, a last value, an import or a shell line can have printed."""
    record = compared([cell(source, 1, stream("x\n"))], {1: [stream("x\n")]})

    assert not record.cells[0].silent


def test_cells_that_were_run_out_of_order_are_named() -> None:
    """The execution numbers are the evidence."""
    record = compared([cell("a = 1", 5), cell("b = 1", 3), cell("c = 1", 4), cell("d = 1", 6)], {})

    assert sentences(record, LOOK) == [
        "Cell 2 was run before cell 1 (execution numbers 3 and 5). So it is with 1 more."
    ]
    assert compared([cell("a = 1", 1), cell("b = 1", 9)], {}).order == ()


def test_cells_without_a_number_were_not_run() -> None:
    """Some cells are listed; a notebook in which none was run gets one sentence."""
    some = compared([cell("a = 1", 1), cell("b = 1"), cell("")], {})
    none = compared([cell("a = 1"), cell("b = 1")], {})

    assert "Without an execution number and without outputs in the file: cell 2." in sentences(some, NOTE)
    assert some.cells[1].verdict == "never run"
    assert sentences(none, LOOK) == [
        "No cell has an execution number or an output: the file does not show that it was ever run."
    ]


def test_a_missing_name_is_traced_to_the_cell_that_did_not_end() -> None:
    """A NameError that follows from our own limit is no difference."""
    lost = {"output_type": "error", "ename": "NameError", "evalue": "name 'vit' is not defined"}
    other = {**lost, "evalue": "name 'other' is not defined"}
    cells = [cell("vit = train()", 1), cell("print(vit)", 2, stream("x\n")), cell("print(other)", 3, stream("x\n"))]
    record = compared(cells, {2: [lost], 3: [other]}, {1: "TIMEOUT", 2: "ERROR", 3: "ERROR"})

    assert "Cell 2 was not run: it needs “vit”, which cell 1 did not come to make." in sentences(record, NOTE)
    assert sentences(record, LOOK) == ["Cell 3 ends with NameError now; it showed no error when it was handed in."]


HUGE = "x" * 1_000_001
BLINDING = {
    "overflow": stream("1e99999\n"),
    "digits": stream("9" * 400_000),
    "exponent": stream("1e" + "9" * 5000),
    "huge": stream(HUGE),
    "many lines": stream("\n".join("ab"[index % 2] * (index % 7) for index in range(3000))),
    "no text": {"output_type": "stream", "name": 1, "text": {"a": 1}},
    "error": {"output_type": "error", "ename": 10**11, "evalue": None},
    "data": {"output_type": "display_data", "data": {"text/plain": 1e300, "": None}},
}


@pytest.mark.parametrize("output", BLINDING.values(), ids=list(BLINDING))
@pytest.mark.parametrize("when", ["then", "now"])
def test_no_output_ends_the_comparison_of_another_cell(output: dict[str, Any], when: str) -> None:
    """Whatever one cell shows, in the file or now, the next one's numbers are compared."""
    cells = [cell("print(0)", 1, *([output] if when == "then" else [])), cell("print(1)", 2, stream("accuracy 0.71\n"))]
    record = compared(cells, {1: [output] if when == "now" else [], 2: [stream("accuracy 0.13\n")]})

    assert "Cell 2 showed “accuracy 0.71” when it was handed in, and “accuracy 0.13” now." in sentences(record, LOOK)
    assert record.cells[0].verdict in ("differs", "could not be compared", "nothing shown")


def test_what_could_not_be_compared_is_to_be_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Too much, too slow, unreadable or cut off: a sentence says which cell and why; the rest is compared."""
    cells = [cell(f"print({number})", number, stream("1\n")) for number in range(1, 5)]
    broken = wire.Message("compare", {}, {"outputs/3": np.frombuffer(b"[{", np.uint8)}).arrays
    plain = {number: np.frombuffer(json.dumps([stream("1\n")]).encode(), np.uint8) for number in (2, 4)}
    huge = np.frombuffer(json.dumps([stream(HUGE)]).encode(), np.uint8)
    executions = [
        {"number": number, "status": "TOO_MUCH_OUTPUT" if number == 4 else "OK", "seconds": 0.1}
        for number in range(1, 5)
    ]
    arrays = {"outputs/1": huge, **broken, **{f"outputs/{number}": array for number, array in plain.items()}}
    record = answer_for(json.dumps({"cells": cells, "nbformat": 4}).encode(), executions, arrays)

    assert sentences(record, LOOK) == [
        "What cell 1 shows could not be compared: it shows more than 1,000,000 characters.",
        "What cell 3 shows could not be compared: what it shows now cannot be read.",
        "What cell 4 shows could not be compared: it shows more now than can be kept.",
    ]
    monkeypatch.setattr("grader.audit.compare.NOTEBOOK_S", 0.0)
    late = answer_for(json.dumps({"cells": cells, "nbformat": 4}).encode(), executions, arrays)
    assert sum("the time for comparing was used up" in text for text in sentences(late, LOOK)) == 3


def test_a_slow_comparison_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that would never end costs its own cell's seconds."""

    def endless(*_: object) -> None:
        while True:
            pass

    monkeypatch.setattr("grader.audit.compare.CELL_S", 0.05)
    monkeypatch.setattr("grader.audit.compare.difference", endless)
    record = compared([cell("print(1)", 1, stream("1\n"))], {1: [stream("2\n")]})

    assert sentences(record, LOOK) == ["What cell 1 shows could not be compared: comparing it takes too long."]


def test_outputs_beyond_what_is_kept_are_named_cell_by_cell(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cells after those that filled the room for outputs were run, and are said to be uncompared."""
    monkeypatch.setattr("grader.audit.run._MAX_OUTPUTS_BYTES", 10)
    told = _Told()
    for number, size in ((1, 8), (2, 3), (1, 1), (3, 2)):
        meta = {"number": number, "status": "OK", "seconds": 0.1}
        told.hear(wire.Message("request", meta, {"outputs": np.zeros(size, np.uint8)}))

    assert {number: told.cells[number].status for number in told.cells} == {1: "OK", 2: "TOO_MUCH_OUTPUT", 3: "OK"}
    assert [array.size for array in told.outputs.values()] == [8, 0, 2]


def test_a_notebook_that_could_not_be_compared_is_to_be_looked_at() -> None:
    """A worker that dies over a notebook is no silence."""
    record = NotebookRecord("a.ipynb", (), uncompared="out of memory")

    assert sentences(record, LOOK) == ["Nothing of what it shows could be compared: out of memory."]


def test_numbers_of_a_file_that_nobody_writes_do_no_harm() -> None:
    """Negative, huge and broken execution numbers are none."""
    for count in (-5, 10**13, 1.5, True):
        record = compared([{**cell("print(1)", None, stream("1\n")), "execution_count": count}], {1: [stream("2\n")]})
        assert record.cells[0].verdict == "differs"


def test_a_notebook_that_is_no_json_is_still_compared() -> None:
    """Of a broken file the sources are executed, and nothing is said of outputs."""
    record = answer_for(b'{"cells": [{"cell_type": "code", "source": "x = 1", "outputs": []}, {"cell_', [], {})

    assert [found.status for found in record.cells] == ["NOT_REACHED"]


@pytest.mark.parametrize(
    ("then", "now", "verdict"),
    [
        ([1.0], [1.0 + 1e-6], "same"),
        ([1.0], [1.1], "differs"),
        ([1.0], None, "only handed in"),
        (None, [1.0], "only now"),
        ([float("nan")], [1.0], "differs"),
    ],
)
def test_saved_values_are_compared_key_by_key(then: list[float] | None, now: list[float] | None, verdict: str) -> None:
    """Values are compared as the grader compares."""
    one, other = (None if values is None else [np.array(values)] for values in (then, now))

    assert compare_key("patchify", one, other, TOLERANCE, reduced=True).verdict == verdict


def test_keys_of_a_saved_file_do_nothing_where_they_are_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    """Students choose the keys of autograder.pt: they are told as one line of letters, and compared as they are."""
    values = {"\x1b[2J\u202ea": [np.array(1.0)], "patchify": [np.array(1.0)]}
    monkeypatch.setattr(_Auditor, "_load", lambda *_: values)
    unused: Any = None

    found = _Auditor(unused, unused, SETTINGS)._compare_saved(np.zeros(1, np.uint8), np.zeros(1, np.uint8))

    assert [(value.key, value.verdict) for value in found] == [("\\u001b[2J\\u202ea", "same"), ("patchify", "same")]


def test_trained_values_are_compared_only_where_nothing_was_cut() -> None:
    """Accuracies of a shortened training say nothing about those of the whole one."""
    then, now = [np.array(0.71)], [np.array(0.13)]
    cut, whole = (compare_key("vit_acc", then, now, TOLERANCE, reduced=each) for each in (True, False))

    assert cut == SavedValue("vit_acc", "not comparable", "0.710 when it was handed in, 0.130 now.")
    assert whole.verdict == "differs"


def test_students_cannot_write_markdown_or_html_into_the_report() -> None:
    """What they printed stands in code spans, on one line, without angle brackets."""
    hostile = "](http://x) `</code><img src=x> | **bold**\u202e\x1b[31m"
    record = compared([cell("print(1)", 1, stream(hostile + "\n"))], {1: [stream("x\n")]})

    page = as_markdown(Audit("a`b|c.zip", SETTINGS, "Sandbox.", (record,), ()))

    line = next(line for line in page.splitlines() if "bold" in line)
    assert line.count("`") == 4
    assert "<" not in page
    assert "\u202e" not in page
    assert "\x1b" not in page


@pytest.mark.parametrize(
    "meta",
    [
        {},
        {"notebooks": [], "files": ["../x"], "notes": []},
        {"notebooks": [{"name": "a", "cells": 10**9}], "files": [], "notes": []},
        {"notebooks": [{"name": "a", "cells": 1}], "files": [], "notes": []},
        {"notebooks": 3, "files": [], "notes": []},
    ],
)
def test_a_plan_that_is_none_is_not_believed(meta: dict[str, Any]) -> None:
    """Wrong fields, names with folders in them, missing arrays."""
    with pytest.raises(MalformedAnswer):
        read_plan(wire.Message("plan", meta))


@pytest.mark.parametrize(
    "meta",
    [
        {"number": -1, "status": "OK", "seconds": 1.0},
        {"number": 1, "status": "PERFECT", "seconds": 1.0},
        {"number": 1, "status": "OK", "seconds": float("nan")},
        {"number": True, "status": "OK", "seconds": 1.0},
    ],
)
def test_progress_that_is_none_is_not_believed(meta: dict[str, Any]) -> None:
    """Every field is checked."""
    with pytest.raises(MalformedAnswer):
        read_progress(wire.Message("request", meta, {"outputs": np.zeros(0, np.uint8)}))
