"""Grade jobs on this machine, several at once, whatever dies on the way."""

from __future__ import annotations

import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from grader.errors import StaffError
from grader.fleet.nursery import Job, Nursery, NurseryDied

ATTEMPTS = 2
_MOST_NURSERIES = 5


@dataclass(frozen=True)
class Ended:
    """A job that is over: `fault` says why there is no record of it, or is empty."""

    job: Job
    fault: str


def grade_locally(jobs: Iterable[Job], *, homework: str, workers: int, log: Path) -> Iterator[Ended]:
    """
    Grade jobs of a homework, `workers` at once, and yield each as it ends; one that dies is tried once more.

    Raises:
        StaffError: the process that graders are forked from died again and again.
    """
    waiting = deque(jobs)
    for _ in range(_MOST_NURSERIES):
        running: dict[str, Job] = {}
        try:
            with Nursery(log, homework) as nursery:
                while waiting or running:
                    while waiting and len(running) < workers:
                        job = waiting.popleft()
                        running[job.key] = job
                        nursery.start(job)
                    key, fault = nursery.wait()
                    yield from _after(running.pop(key), fault, waiting)
            return
        except NurseryDied:
            for job in running.values():
                yield from _after(job, "the process that graders are forked from died", waiting)
            if not waiting:
                return
    raise StaffError(
        happened=f"The grading process died {_MOST_NURSERIES} times.",
        try_next=f"Look into {log} and for missing memory; what is graded is kept, and the same command goes on.",
    )


def _after(job: Job, fault: str, waiting: deque[Job]) -> Iterator[Ended]:
    """Yield a job that is over; put one that may be tried again at the end of the queue."""
    if Path(job.record).exists():  # it was ready, and only then something died
        fault = ""
    if fault:
        shutil.rmtree(job.work, ignore_errors=True)
    if fault and job.attempt < ATTEMPTS:
        waiting.append(job.again)
    else:
        yield Ended(job, fault)
