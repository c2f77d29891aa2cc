"""
Programs that the benchmark runs in processes of their own, because they fork a sandbox.

    python -m benchmarks.recording requests SUBMISSION FILE          keep what workers are asked, for the floor
    python -m benchmarks.recording phases SUBMISSION RUBRIC FILE     grade, and write the seconds of each phase
"""

from __future__ import annotations

import json
import pickle
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from grader.pipeline.profile import Profile
from grader.pipeline.run import Settings, grade_submission
from grader.sandbox.host import Running, Sandbox
from grader.wire import Message
from homework.homework import HOMEWORK


def record_requests(submission: str, file: str) -> None:
    """
    Grade a submission and keep every request that makes a worker call student code.

    Raises:
        SystemExit: it did not earn every point, so that other calls were made than those of a right submission.
    """
    requests: list[Message] = []
    begin = Sandbox.begin

    def begin_and_keep(sandbox: Sandbox, task: str, request: Message, **others: Any) -> Running:
        if task == "probe":
            requests.append(request)
        return begin(sandbox, task, request, **others)

    with tempfile.TemporaryDirectory() as out, mock.patch.object(Sandbox, "begin", begin_and_keep):
        report = grade_submission(Path(submission), Settings(HOMEWORK, HOMEWORK.rubric, Path(out)))
    missed = [item.question.number for item in report.judgements if item.score < item.question.points]
    if missed or not requests:
        raise SystemExit(f"{len(requests)} requests; without all points: {', '.join(missed) or 'none'}")
    Path(file).write_bytes(pickle.dumps(requests))


def write_phases(submission: str, rubric: str, file: str) -> None:
    """Grade a submission and write wall and processor seconds of each phase."""
    profile = Profile()
    with tempfile.TemporaryDirectory() as out:
        grade_submission(Path(submission), Settings(HOMEWORK, Path(rubric), Path(out), profile=profile))
    phases = {name: [wall_s, profile.phases_cpu_s[name]] for name, wall_s in profile.phases.items()}
    Path(file).write_text(json.dumps(phases), encoding="utf-8")


if __name__ == "__main__":
    if sys.argv[1] == "requests":
        record_requests(*sys.argv[2:])
    else:
        write_phases(*sys.argv[2:])
