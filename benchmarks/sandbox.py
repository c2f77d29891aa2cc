"""
What the walls cost: full grading of the solved homework with all layers and with none, in turn.

    python -m benchmarks.sandbox [--pairs 5]

Without layers nothing of the sandbox but the fork is left: no uid, limits, filter, Landlock, watch or sweep. That
exists in this file only, in a fork of the measuring process; no option and no variable of the grader leads there.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from unittest import mock

from grader.pipeline import run as pipeline
from grader.sandbox.walls import Walls
from homework.homework import HOMEWORK

_BARE = Walls(own_uid=False, seccomp=None, landlock=False, chroot=False, limit_memory=False)


@dataclass(frozen=True)
class Cost:
    """Seconds of one grading: on the clock, and of all processors together."""

    wall_s: float
    cpu_s: float


def main() -> None:
    """Measure and print medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=int, default=5)
    pairs = parser.parse_args().pairs
    pipeline.worker_tasks(HOMEWORK)  # what every run would import is imported once, before the forks
    with tempfile.TemporaryDirectory() as folder:
        submission = _in_fork(_write_submission, Path(folder))[1]
        found: dict[str, list[Cost]] = {"all layers": [], "none": []}
        for pair in range(pairs):
            for name in list(found) if pair % 2 == 0 else reversed(found):
                cost, out = _in_fork(_grade_bare if name == "none" else _grade, submission)
                found[name].append(cost)
                print(f"{name:10} {cost.wall_s:6.2f} s wall, {cost.cpu_s:6.2f} s CPU", flush=True)
                assert (out / "points").exists(), "it was not graded in full"
                (out / "points").unlink()
    _report(found)


def _report(found: dict[str, list[Cost]]) -> None:
    for what in ("wall_s", "cpu_s"):
        medians = {name: statistics.median(getattr(cost, what) for cost in costs) for name, costs in found.items()}
        paired = [
            getattr(mine, what) / getattr(bare, what)
            for mine, bare in zip(found["all layers"], found["none"], strict=True)
        ]
        ratio = medians["all layers"] / medians["none"]
        print(
            f"{what}: median {medians['all layers']:.2f} with all layers, {medians['none']:.2f} with none: "
            f"{100 * (ratio - 1):+.1f} % (median of the pairs {100 * (statistics.median(paired) - 1):+.1f} %)"
        )


def _in_fork(work: object, folder: Path) -> tuple[Cost, Path]:
    """Do some work in a fork of this process; return what it cost."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.monotonic()
    pid = os.fork()
    if pid == 0:
        try:
            work(folder)  # type: ignore[operator] # a function of this module
            os._exit(0)
        finally:
            os._exit(1)
    _, status = os.waitpid(pid, 0)
    wall_s = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    assert status == 0, "it broke down"
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(wall_s, cpu_s), folder


def _write_submission(folder: Path) -> None:
    from homework.release.submissions import write_solved_submission

    write_solved_submission(folder / "solved.zip")


def _grade(folder: Path) -> None:
    report = pipeline.grade_submission(
        folder / "solved.zip", pipeline.Settings(HOMEWORK, HOMEWORK.rubric, folder / "out")
    )
    if all(item.score == item.question.points for item in report.judgements):
        (folder / "points").touch()


def _grade_bare(folder: Path) -> None:
    with (
        mock.patch("grader.sandbox.host.survey_machine", return_value=_BARE),
        mock.patch("grader.sandbox.worker.raise_walls", lambda *_, scratch, **__: os.chdir(scratch)),
        mock.patch("grader.sandbox.conversation.missing_around", return_value=[]),
        mock.patch("grader.sandbox.host.Watch", return_value=lambda: None),
        mock.patch("grader.sandbox.sweep.end_processes", return_value=0),
    ):
        _grade(folder)


if __name__ == "__main__":
    main()
