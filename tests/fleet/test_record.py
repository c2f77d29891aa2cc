"""Records: whole or not there."""

from __future__ import annotations

import json
import os
import signal
import stat
import time
from pathlib import Path

import jsonschema
import pytest

from grader.feedback.results import SCHEMA
from grader.fleet.record import (
    GRADED,
    INFRASTRUCTURE,
    NOT_HANDED_IN,
    Record,
    Records,
    is_report,
    record_of,
    ungraded,
    write_whole,
)
from grader.rubric import load_rubric
from homework.homework import HOMEWORK
from tests.fleet.paper import a_report, a_test

RECORD = Record("key", "content", GRADED, a_report(a_test("1.1", "PASSED")), fingerprints=(1, 2), cpu_s=1.5)


def test_a_record_is_found_as_it_was_written(tmp_path: Path) -> None:
    """What is read is what was written, and only its owner may read it."""
    records = Records(tmp_path / "records")
    records.write(RECORD)

    assert records.read("key") == RECORD
    assert records.read("another") is None
    assert stat.S_IMODE(records.path("key").stat().st_mode) == 0o600
    assert stat.S_IMODE(records.folder.stat().st_mode) == 0o700


@pytest.mark.parametrize("data", [b"", b"{", b"[]", b"null", b'{"format": 1}', RECORD.to_bytes()[:-1]])
def test_what_is_damaged_is_not_there(tmp_path: Path, data: bytes) -> None:
    """Half a record, or something else, does not pass for one."""
    records = Records(tmp_path)
    records.path("key").write_bytes(data)

    assert records.read("key") is None


@pytest.mark.parametrize(
    "results",
    [{}, [], {"score": 1}, {"score": "a", "tests": []}, {"score": 1, "tests": [1]}, {"score": 1, "tests": [{}]}],
)
def test_a_record_whose_report_is_damaged_is_not_there(results: object) -> None:
    """What figures and comparisons read of a report has to be in it, or they would break."""
    content = {**json.loads(RECORD.to_bytes()), "results": results}

    assert record_of(json.dumps(content).encode()) is None
    for key in ("number", "status", "extra_data", "max_score"):
        test = {name: value for name, value in a_test("1.1", "PASSED").items() if name != key}
        assert not is_report(a_report(test))
    for number in (10**400, float("nan"), float("inf"), "2"):
        assert not is_report({**a_report(a_test("1.1", "PASSED")), "score": number})
        assert not is_report(a_report(a_test("1.1", "FAILED", max_score=number)))
    assert is_report(a_report(a_test("1.1", "PASSED")))


def test_a_record_under_another_key_or_format_is_not_there(tmp_path: Path) -> None:
    """A record that was renamed, or of another version, is graded again."""
    records = Records(tmp_path)
    records.path("other").write_bytes(RECORD.to_bytes())

    assert records.read("other") is None
    assert record_of(RECORD.to_bytes().replace(b'"format": 1', b'"format": 0')) is None


def test_a_writer_that_is_killed_leaves_the_old_content(tmp_path: Path) -> None:
    """Wherever SIGKILL meets the writer, a reader sees the old file or the new one."""
    path = tmp_path / "file"
    write_whole(path, b"0" * 100_000)
    for delay_s in (0.0, 0.002, 0.01):
        pid = os.fork()
        if pid == 0:
            while True:
                for digit in b"123":
                    write_whole(path, bytes([digit]) * 100_000)
        time.sleep(delay_s)
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)

        content = path.read_bytes()
        assert len(content) == 100_000
        assert len(set(content)) == 1


@pytest.mark.parametrize(("status", "verdict"), [(INFRASTRUCTURE, "INFRASTRUCTURE"), (NOT_HANDED_IN, "MISSING")])
def test_who_was_not_graded_has_a_report_too(status: str, verdict: str) -> None:
    """Every question says that the grader failed, or that nothing was handed in; both are valid reports."""
    record = ungraded(load_rubric(HOMEWORK.rubric), key="k", content="", status=status, reason="r")

    assert {test["extra_data"]["verdict"] for test in record.results["tests"]} == {verdict}
    assert record.results["score"] == 0
    jsonschema.validate(record.results, json.loads(SCHEMA.read_text(encoding="utf-8")))
