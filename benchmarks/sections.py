"""The sections of the benchmark: what is measured, interleaved round by round."""

from __future__ import annotations

import json
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TypeVar
from unittest import mock

from benchmarks import metalearning
from benchmarks.clock import Command, CommandFailed, Cost, measure, measure_memory
from benchmarks.contenders import (
    FLOOR,
    OTTER,
    OURS,
    ROOT,
    Contender,
    floor_command,
    fresh,
    our_command,
    own_contenders,
    peer_contenders,
    run_once,
    variables,
    verify,
)
from benchmarks.peers import make_environment
from benchmarks.results import Batch, Classes, Contest
from benchmarks.ten_checks import KEYS, TenChecks, write_ten_checks
from grader.fleet.nursery import Job, Nursery
from grader.fleet.pool import grade_locally
from grader.fleet.record import record_of
from grader.pipeline.run import SECRET_FILE
from homework.homework import HOMEWORK
from homework.release.submissions import write_solved_submission

WORKERS = (1, 2)
GROWTH_SIZES = (1, 2, 4, 8)
_WHOLE_CLASS_SIZE = 2
START = "start of Python, imports"

Result = TypeVar("Result")
Say = Callable[[str], None]


def in_rounds(
    work: Mapping[str, Callable[[], Result]], rounds: int, say: Say
) -> tuple[dict[str, list[Result]], dict[str, str]]:
    """
    Do every piece of work once in each round, and begin each round with another one.

    Returns:
        The results of each, in the order of the rounds, and the reasons of those that failed, which have no results.
    """
    found: dict[str, list[Result]] = {name: [] for name in work}
    failed: dict[str, str] = {}
    names = list(work)
    for number in range(rounds):
        first = number % len(names) if names else 0
        for name in names[first:] + names[:first]:
            if name in failed:
                continue
            say(f"round {number + 1} of {rounds}: {name}")
            try:
                found[name].append(work[name]())
            except CommandFailed as error:
                failed[name] = str(error)
    return {name: results for name, results in found.items() if name not in failed}, failed


@dataclass(frozen=True)
class Bench:
    """
    Where and how often to measure.

    Args:
        folder: for everything that is written while measuring.
        cache: keeps what is made once: the peers' environment.
        rounds: how often.
        say: takes a few words about what is being done.
    """

    folder: Path
    cache: Path
    rounds: int
    say: Say

    @cached_property
    def ten(self) -> TenChecks:
        """What all graders are given."""
        self.say("drawing inputs and answers of the ten checks")
        return write_ten_checks(self.folder / "ten")

    @cached_property
    def contenders(self) -> tuple[list[Contender], dict[str, str]]:
        """All contenders that can be set up, and of the others why not."""
        environment = make_environment(self.cache, self.say)
        self.say("setting up the peers' assignments")
        peers, failed = peer_contenders(environment, self.ten, self.folder / "peers")
        return [*own_contenders(self.ten, self.folder), *peers], failed

    @cached_property
    def submission(self) -> Path:
        """The zip of a right homework."""
        self.say("doing the homework (half a minute)")
        return write_solved_submission(self.folder / "solved.zip")

    @cached_property
    def requests(self) -> Path:
        """What workers are asked when the whole homework is graded."""
        path, submission = self.folder / "requests.pickle", self.submission
        self.say("recording the calls of the whole homework")
        measure(self.program("requests", submission, path), self.folder / "requests.log")
        return path

    def program(self, name: str, *arguments: Path) -> Command:
        """Return a program of recording.py as a command."""
        words = (sys.executable, "-m", "benchmarks.recording", name, *map(str, arguments))
        return Command(words, ROOT, variables(self.folder / "home"))

    def whole_floor(self, what: str = "whole") -> Command:
        """Return the floor of the whole homework; "apart" is the one with a fork for each question."""
        return floor_command(what, self.requests, home=self.folder / "home")


def measure_cold(bench: Bench) -> Contest:
    """Measure the ten checks, each grader started anew."""
    ten, (contenders, failed) = bench.ten, bench.contenders
    contest = Contest(failed=dict(failed))
    sound = []
    for contender in contenders:
        bench.say(f"making sure that it judges: {contender.name}")
        try:
            counts = verify(contender, ten, bench.folder / "runs" / contender.name)
        except CommandFailed as error:
            contest.failed[contender.name] = str(error)
            continue
        sound.append(contender)
        if counts:
            contest.passed[contender.name] = counts
    runs = {item.name: run_once(item, ten, bench.folder / "runs" / item.name) for item in sound}
    contest.costs, broke = in_rounds(runs, bench.rounds, bench.say)
    contest.failed.update(broke)
    for contender in sound:
        if contender.name in contest.costs:
            bench.say(f"memory: {contender.name}")
            out = fresh(bench.folder / "runs" / contender.name)
            contest.peak_mib[contender.name] = measure_memory(
                contender.command(ten.solved, out), out.with_suffix(".log")
            )
    return contest


def measure_whole(bench: Bench) -> Contest:
    """Measure the whole homework, our grader started anew, beside the floor."""
    submission, out = bench.submission, bench.folder / "whole"
    floor, ours = bench.whole_floor(), our_command(submission, out, bench.folder / "home")
    log = bench.folder / "whole.log"

    def run_ours() -> Cost:
        cost = measure(ours, log)
        _require_all_points(out / "results.json")
        return cost

    work: dict[str, Callable[[], Cost]] = {FLOOR: partial(measure, floor, log), OURS: run_ours}
    bench.say("the whole homework: once untimed")
    in_rounds(work, 1, bench.say)
    contest = Contest()
    contest.costs, contest.failed = in_rounds(work, bench.rounds, bench.say)
    for name, command in ((FLOOR, floor), (OURS, ours)):
        if name in contest.costs:
            bench.say(f"memory: {name}")
            contest.peak_mib[name] = measure_memory(command, log)
    return contest


def _require_all_points(results: Path) -> None:
    content = json.loads(results.read_text(encoding="utf-8"))
    missed = [test["name"] for test in content["tests"] if test["score"] < test.get("max_score", 0)]
    if missed:
        raise CommandFailed(f"the right homework lost points: {', '.join(missed)}")


def measure_classes(bench: Bench, size: int) -> Classes:
    """Measure submissions per minute beside otter-grader, and the whole homework beside the student's compute."""
    contenders, failed = bench.contenders
    classes = Classes()
    work: dict[str, Callable[[], Batch]] = {}
    for workers in WORKERS:
        work[class_name(OURS, workers)] = partial(_our_ten, bench, size, workers)
    otter = next((item for item in contenders if item.name == OTTER), None)
    for workers in WORKERS:
        if otter is None:
            classes.failed[class_name(OTTER, workers)] = failed[OTTER]
        else:
            work[class_name(OTTER, workers)] = partial(_peer_batch, bench, otter, size, workers)
    classes.ten, broke = in_rounds(work, bench.rounds, bench.say)
    classes.failed.update(broke)
    _measure_whole_class(bench, classes)
    return classes


def class_name(grader: str, workers: int) -> str:
    """Return how a batch is called in the tables."""
    return f"{grader}, {workers} worker{'s' * (workers > 1)}"


def _measure_whole_class(bench: Bench, classes: Classes) -> None:
    log, submission = bench.folder / "calls.log", bench.submission

    def cost_of(what: str) -> Cost:
        measure(bench.whole_floor(what), log)
        return Cost(**json.loads(log.read_text(encoding="utf-8").splitlines()[-1]))

    def calls() -> None:
        classes.calls.append(cost_of("whole"))

    def apart() -> None:
        classes.apart.append(cost_of("apart"))

    def ours() -> None:
        folder = fresh(bench.folder / "whole-class")
        classes.whole.append(grade_batch([submission] * _WHOLE_CLASS_SIZE, HOMEWORK.rubric, folder, workers=1))

    for number in range(bench.rounds):
        for measured in (calls, apart, ours) if number % 2 == 0 else (ours, apart, calls):
            bench.say(f"round {number + 1} of {bench.rounds}: the whole homework, {measured.__name__}")
            measured()


def _our_ten(bench: Bench, size: int, workers: int) -> Batch:
    return grade_batch([bench.ten.solved] * size, bench.ten.rubric, fresh(bench.folder / "class"), workers=workers)


def grade_batch(submissions: Sequence[Path], rubric: Path, folder: Path, *, workers: int) -> Batch:
    """
    Grade submissions as `python -m grader class` does, and count from the moment the forking process is ready.

    Raises:
        CommandFailed: one of them was not graded, or did not earn every point.
    """
    ready: list[float] = []

    class TimedNursery(Nursery):
        def __init__(self, log: Path, homework: str) -> None:
            super().__init__(log, homework)
            ready.append(time.monotonic())

    jobs = [_job(number, path, rubric, folder) for number, path in enumerate(submissions)]
    began = time.monotonic()
    with mock.patch("grader.fleet.pool.Nursery", TimedNursery):
        ended = list(grade_locally(jobs, homework=HOMEWORK.package, workers=workers, log=folder / "log"))
    over = time.monotonic()
    if faults := [item.fault for item in ended if item.fault]:
        raise CommandFailed(faults[0])
    cpu_s = 0.0
    for job in jobs:
        record = record_of(Path(job.record).read_bytes())
        assert record is not None
        lost = [test["name"] for test in record.results["tests"] if test["score"] < test.get("max_score", 0)]
        if lost or not record.results["tests"]:
            raise CommandFailed(f"a right submission lost points: {', '.join(lost)} {record.reason}")
        cpu_s += record.cpu_s
    return Batch(len(jobs), over - ready[0], ready[0] - began, cpu_s)


def _job(number: int, submission: Path, rubric: Path, folder: Path) -> Job:
    own = folder / f"submission-{number}"
    own.mkdir()
    shutil.copy(submission, own)
    key = f"record-{number}"
    record, work = folder / f"{key}.json", folder / f"work-{number}"
    return Job(key, "", str(own), str(record), str(work), str(rubric), str(SECRET_FILE))


def _peer_batch(bench: Bench, contender: Contender, size: int, workers: int) -> Batch:
    """Grade submissions with a peer: a process for each, so many at once."""
    folder = fresh(bench.folder / "peer-class")
    assert contender.passed is not None
    passed = contender.passed

    def one(number: int) -> Cost:
        out, log = fresh(folder / str(number)), folder / f"{number}.log"
        cost = measure(contender.command(bench.ten.solved, out), log)
        if passed(out, log) != len(KEYS):
            raise CommandFailed("a right submission did not pass every check")
        return cost

    began = time.monotonic()
    with ThreadPoolExecutor(workers) as pool:
        costs = list(pool.map(one, range(size)))
    return Batch(size, time.monotonic() - began, cpu_s=sum(cost.cpu_s for cost in costs))


def measure_phases(bench: Bench) -> dict[str, list[dict[str, Cost]]]:
    """Measure where our grader's time goes, by phase, for the ten checks and for the whole homework."""
    ten, submission = bench.ten, bench.submission
    inputs = {"ten checks": (ten.solved, ten.rubric), "whole homework": (submission, HOMEWORK.rubric)}

    def run(path: Path, rubric: Path) -> dict[str, Cost]:
        file = bench.folder / "phases.json"
        total = measure(bench.program("phases", path, rubric, file), bench.folder / "phases.log")
        phases = {name: Cost(*seconds) for name, seconds in json.loads(file.read_text(encoding="utf-8")).items()}
        rest = Cost(
            total.wall_s - sum(cost.wall_s for cost in phases.values()),
            total.cpu_s - sum(cost.cpu_s for cost in phases.values()),
        )
        return {START: rest, **phases}

    found, failed = in_rounds({name: partial(run, *given) for name, given in inputs.items()}, bench.rounds, bench.say)
    if failed:
        raise CommandFailed("; ".join(failed.values()))
    return found


def measure_growth(bench: Bench, sizes: Sequence[int]) -> dict[int, list[Batch]]:
    """Measure more and more submissions of the ten checks, with each number of workers."""
    work = {
        f"{size} submissions, {workers} workers": partial(_our_ten, bench, size, workers)
        for size in sizes
        for workers in WORKERS
    }
    found, failed = in_rounds(work, bench.rounds, bench.say)
    if failed:
        raise CommandFailed("; ".join(failed.values()))
    return {
        workers: [batch for size in sizes for batch in found[f"{size} submissions, {workers} workers"]]
        for workers in WORKERS
    }


def measure_metalearning(bench: Bench, evaluations: int) -> list[metalearning.Comparison]:
    """Measure the literal meta-learning beside the reference."""
    comparisons = []
    for name in sorted(metalearning.PARTS):
        bench.say(f"meta-learning, part ({name})")
        comparisons.append(metalearning.compare(name, metalearning.with_evaluations(name, evaluations)))
    return comparisons
