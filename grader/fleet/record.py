"""A record: what came of one submission. Written whole or not at all, and found again by what it depends on."""

from __future__ import annotations

import json
import math
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from grader.feedback.results import build_results
from grader.feedback.words import Judgement
from grader.rubric import Rubric
from grader.verdicts import Evidence, Verdict

FORMAT = 1  # part of every record's key: a record of another format is not found
GRADED = "graded"
NOT_HANDED_IN = "not handed in"
INFRASTRUCTURE = "infrastructure"


@dataclass(frozen=True)
class Record:
    """
    What came of one submission.

    Args:
        key: digest of everything that decides the grade.
        content: digest of the submission's files, "" where there are none.
        status: GRADED, NOT_HANDED_IN, or INFRASTRUCTURE, which is not final: the next run tries again.
        results: the content of results.json.
        reason: for staff, why it was not graded.
        attempts: how often grading was begun.
        cpu_s: processor seconds of the grader and all its workers.
        wall_s: seconds from beginning to end.
        peak_mib: resident memory of its largest process.
        fingerprints: of the code, for finding near copies; see `fingerprint`.
    """

    key: str
    content: str
    status: str
    results: dict[str, Any]
    reason: str = ""
    attempts: int = 1
    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mib: float = 0.0
    fingerprints: tuple[int, ...] = ()

    def to_bytes(self) -> bytes:
        """Return the record as the bytes of its file."""
        return json.dumps({"format": FORMAT, **asdict(self)}, allow_nan=False).encode()


def record_of(data: bytes) -> Record | None:
    """Return the record that bytes are, or None if they are no whole record."""
    try:
        content = json.loads(data)
        if content.pop("format") != FORMAT:
            return None
        record = Record(**{**content, "fingerprints": tuple(content["fingerprints"])})
        return record if is_report(record.results) else None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return None


def is_report(results: Any) -> bool:
    """Return whether results have all that the figures of a class and a comparison read."""
    try:
        if not math.isfinite(results["score"]):
            return False
        for test in results["tests"]:
            if not (math.isfinite(test["score"]) and math.isfinite(test["max_score"])):
                return False
            if not all(isinstance(test[name], str) for name in ("number", "name", "status")):
                return False
            if not all(isinstance(test["extra_data"][name], str) for name in ("verdict", "function", "aspect")):
                return False
    except (KeyError, TypeError, ValueError, OverflowError):
        return False
    return True


class Records:
    """The records of a class in one private folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)

    def path(self, key: str) -> Path:
        """Return where the record with a key is or will be."""
        return self.folder / f"{key}.json"

    def read(self, key: str) -> Record | None:
        """Return a record, or None if it is not there or was damaged."""
        try:
            record = record_of(self.path(key).read_bytes())
        except OSError:
            return None
        return record if record is not None and record.key == key else None

    def write(self, record: Record) -> None:
        """Write a record."""
        write_whole(self.path(record.key), record.to_bytes())


def write_whole(path: Path, data: bytes) -> None:
    """Write a private file in one step that a power cut cannot split: the old content, or the new."""
    descriptor, name = tempfile.mkstemp(dir=path.parent, prefix=".unfinished-")  # of mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def ungraded(rubric: Rubric, *, key: str, content: str, status: str, reason: str, attempts: int = 0) -> Record:
    """Return the record of a submission that was not graded: by our fault, or because there is none."""
    if status == NOT_HANDED_IN:
        evidence = Evidence(Verdict.MISSING, ("Nothing was handed in.",), "Hand in your notebooks as a zip.")
    else:
        evidence = Evidence(Verdict.INFRASTRUCTURE)
    judgements = [Judgement(question, evidence) for question in rubric.questions]
    results = build_results(judgements, used=(), notes=(), execution_time_s=0.0, extra_data={})
    return Record(key, content, status, results, reason=reason, attempts=attempts)
