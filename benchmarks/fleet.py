"""
A class of many: measured on this machine, and simulated for ten thousand submissions.

`python -m benchmarks.fleet measure --students 200` grades a made-up class with four cheap questions: with one worker
and with two, with SIGKILL half-way and again, and on a Ray cluster of two nodes of which one is killed half-way. All
must give the same table. It also grades one submission by the whole rubric, and writes what everything cost to
`build/fleet.json`. `python -m benchmarks.fleet simulate` reads that and plays ten thousand submissions through.
"""

from __future__ import annotations

import argparse
import heapq
import json
import random
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from rich.console import Console
from rich.table import Table

from benchmarks.demo_class import Made, make_class, write_export
from benchmarks.ray_nodes import RayNodes
from grader.fleet.nursery import Job
from grader.fleet.pool import Ended, grade_locally
from grader.fleet.ray_pool import RaySettings, grade_on_ray
from grader.fleet.schedule import ClassSettings, GradedClass, grade_class, load_class
from homework.homework import HOMEWORK
from homework.release.sources import notebook_sources, solved_modules, solved_notebook

ROOT = Path(__file__).parents[1]
MEASURED = ROOT / "build" / "fleet.json"
_CHECKS = ("patchify", "unpatchify", "random_masking", "restore_masked")
_TIME_LIMIT_S = 5
_WIDTH = 110


@dataclass(frozen=True)
class Costs:
    """
    What grading cost, as `simulate` needs it.

    Args:
        cpu_s: processor seconds of each submission, few questions.
        whole_cpu_s: of one right submission by the whole rubric.
        start_s: seconds until a nursery is ready to fork.
        scheduler_s: processor seconds of the scheduler for one submission.
        record_bytes: of one record, few questions.
        whole_record_bytes: of one record by the whole rubric.
    """

    cpu_s: Sequence[float]
    whole_cpu_s: float
    start_s: float
    scheduler_s: float
    record_bytes: float
    whole_record_bytes: float


def write_small_rubric(path: Path) -> Path:
    """Write the rubric with one cheap question for each of four functions."""
    content = yaml.safe_load(HOMEWORK.rubric.read_text(encoding="utf-8"))
    wanted = {f"{function}.generality" for function in _CHECKS}
    for part in content["parts"].values():
        for entry in part:
            entry.update(enabled=entry["check"] in wanted, time_limit_s=_TIME_LIMIT_S)
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return path


def table_of(graded_class: GradedClass) -> list[object]:
    """Return what must be the same however a class was graded: everything in the reports but times."""
    graded = graded_class.graded
    return [(item.entry.id, item.record.status, {**item.record.results, "execution_time": 0}) for item in graded]


@dataclass(frozen=True)
class Run:
    """One grading of the class: how long, how many submissions per hour, and whether the table is the first one's."""

    name: str
    wall_s: float
    graded: int
    is_same: bool
    remark: str = ""


class Demonstration:
    """The whole demonstration in one folder."""

    def __init__(self, folder: Path, students: int) -> None:
        self.folder = folder
        self.export = write_export(make_class(students, where=str(folder)), folder / "export")
        self.rubric = write_small_rubric(folder / "rubric.yaml")
        self.runs: list[Run] = []
        self.first: GradedClass | None = None
        self.scheduler_s = 0.0

    def settings(self, name: str, workers: int) -> ClassSettings:
        """Return settings for one grading."""
        return ClassSettings(HOMEWORK, self.export, self.folder / name, workers=workers, rubric=self.rubric)

    def record(self, name: str, began: float, graded_class: GradedClass, remark: str = "") -> None:
        """Note a grading that is over."""
        self.first = self.first or graded_class
        graded = len({item.record.key for item in graded_class.graded})
        is_same = table_of(graded_class) == table_of(self.first)
        self.runs.append(Run(name, time.monotonic() - began, graded, is_same, remark))

    def run_workers(self, workers: int) -> None:
        """Grade everybody with some workers at once."""
        began, processor = time.monotonic(), time.process_time()
        graded_class = grade_class(self.settings(f"workers-{workers}", workers))
        self.scheduler_s = time.process_time() - processor
        self.record(f"{workers} worker{'s' * (workers > 1)}", began, graded_class)

    def run_killed(self, workers: int) -> None:
        """Kill the command when half is graded, and run it again."""
        settings = self.settings("killed", workers)
        arguments = ["class", settings.export, "--out", settings.out, "--rubric", settings.rubric, "--device", "cpu"]
        command = [sys.executable, "-m", "grader", *map(str, arguments), "--workers", str(workers)]
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
        half = self.runs[0].graded // 2
        while len(before := _written(settings.out)) < half and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGKILL)
        process.wait()
        before = _written(settings.out)
        subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=True)
        after = _written(settings.out)
        twice = sum(after.get(name) != written for name, written in before.items())
        remark = f"killed with {len(before)} graded, of these graded again: {twice}"
        self.record("SIGKILL half-way, then again", began, load_class(settings.out), remark)

    def run_ray(self) -> None:
        """Grade everybody on two Ray nodes, and kill one of them when half is graded."""
        ended: list[str] = []
        with RayNodes(self.folder / "ray") as nodes:

            def pool(jobs: Iterable[Job]) -> Iterator[Ended]:
                for item in grade_on_ray(jobs, RaySettings(HOMEWORK.package, nodes.address, workers=2)):
                    ended.append(item.job.key)
                    if len(ended) == self.runs[0].graded // 2:
                        nodes.kill_second()
                    yield item

            began = time.monotonic()
            graded_class = grade_class(self.settings("ray", 2), pool)
            remark = f"nodes left: {nodes.living()}, stored twice: {len(ended) - len(set(ended))}"
        self.record("Ray, one of two nodes killed", began, graded_class, remark)


def _written(out: Path) -> dict[str, int]:
    """Return the records that are there, and when each was written."""
    return {path.name: path.stat().st_mtime_ns for path in (out / "records").glob("[!.]*.json")}


def measure(students: int) -> bool:
    """Do the demonstration, print it, keep what it cost; return whether all tables are the same."""
    console = Console(width=_WIDTH)
    folder = Path(tempfile.mkdtemp(prefix="fleet-"))
    try:
        demonstration = Demonstration(folder, students)
        steps: list[Callable[[], None]] = [
            lambda: demonstration.run_workers(1),
            lambda: demonstration.run_workers(2),
            lambda: demonstration.run_killed(2),
            demonstration.run_ray,
        ]
        for step in steps:
            step()
            run = demonstration.runs[-1]
            console.print(f"[dim]{run.name}: {run.wall_s:.0f} s[/dim]", highlight=False)
        costs = _costs(demonstration)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    _print_runs(demonstration.runs, students, console)
    _print_costs(costs, console)
    MEASURED.parent.mkdir(exist_ok=True)
    MEASURED.write_text(json.dumps(asdict(costs)), encoding="utf-8")
    console.print(f"Written: {MEASURED.relative_to(ROOT)}, for `python -m benchmarks.fleet simulate`", highlight=False)
    return all(run.is_same for run in demonstration.runs)


def _costs(demonstration: Demonstration) -> Costs:
    """Take the costs of the first grading, and grade one right submission by the whole rubric."""
    folder = demonstration.folder
    assert demonstration.first is not None
    records = {item.record.key: item.record for item in demonstration.first.graded}.values()
    began = time.monotonic()
    nothing, log = replace(_NO_JOB, record=str(folder / "none")), folder / "log"
    list(grade_locally([nothing], homework=HOMEWORK.package, workers=1, log=log))
    start_s = time.monotonic() - began
    one = write_export(_whole_homework(), folder / "one")
    whole = grade_class(ClassSettings(HOMEWORK, one, folder / "whole", workers=1)).graded[0].record
    sizes = [path.stat().st_size for path in (folder / "workers-1" / "records").iterdir()]
    return Costs(
        cpu_s=[record.cpu_s for record in records],
        whole_cpu_s=whole.cpu_s,
        start_s=round(start_s, 2),
        scheduler_s=demonstration.scheduler_s / len(records),
        record_bytes=statistics.fmean(sizes),
        whole_record_bytes=len(whole.to_bytes()),
    )


# Nothing to grade: what it takes is what a nursery takes to start.
_NO_JOB = Job("none", "", "/nowhere", "", "/nowhere/work", str(HOMEWORK.rubric), "")


def _whole_homework() -> list[Made]:
    """Return one submission with all notebooks and modules, solved."""
    from grader.release.notebooks import notebook_bytes

    notebooks = {f"{path.stem}.ipynb": notebook_bytes(solved_notebook(path.stem)) for path in notebook_sources()}
    return [Made({**notebooks, **{name: text.encode() for name, text in solved_modules().items()}})]


def _print_runs(runs: Sequence[Run], students: int, console: Console) -> None:
    table = Table(title=f"{students} submissions, {runs[0].graded} of them different", header_style="bold")
    for column in ("Run", "Wall", "Per hour", "Same table", "Remark"):
        table.add_column(column, justify="right" if column in ("Wall", "Per hour") else "left")
    for run in runs:
        per_hour = f"{3600 * run.graded / run.wall_s:,.0f}"
        table.add_row(run.name, f"{run.wall_s:.1f} s", per_hour, "yes" if run.is_same else "NO", run.remark)
    console.print(table)
    console.print(f"One worker takes {runs[0].wall_s / runs[1].wall_s:.2f} times as long as two.", highlight=False)


def _print_costs(costs: Costs, console: Console) -> None:
    console.print(
        f"A submission takes {statistics.fmean(costs.cpu_s):.2f} s of a processor with four questions, "
        f"{costs.whole_cpu_s:.1f} s with all; the scheduler {1000 * costs.scheduler_s:.1f} ms; "
        f"its record {costs.record_bytes / 1024:.1f} KiB, {costs.whole_record_bytes / 1024:.1f} KiB with all. "
        f"A grading process is ready after {costs.start_s:.1f} s.",
        highlight=False,
    )


@dataclass(frozen=True)
class Cluster:
    """
    What is simulated.

    Args:
        nodes, slots: machines, and submissions that each grades at once.
        losses_per_node_hour: how often a machine is lost, as with the cheap ones that may be taken back.
        noticed_after_s: until its submissions are given to others; Ray waits for several missed heartbeats.
        back_after_s: until another one is there in its place; later than it is noticed.
    """

    nodes: int
    slots: int
    losses_per_node_hour: float
    noticed_after_s: float = 100.0
    back_after_s: float = 300.0


@dataclass(frozen=True)
class Outcome:
    """What came of a simulation: seconds, lost machines, submissions begun again, and how busy all were."""

    wall_s: float
    losses: int
    again: int
    slot_hours: float
    scheduler_share: float


def simulate_class(submissions: int, cluster: Cluster, costs: Costs, *, seed: int = 0) -> Outcome:
    """
    Play a class through, event by event.

    The scheduler sends out and stores one submission at a time; a slot grades one at a time; a lost machine's
    submissions go back into the queue; a machine that comes (back) needs its start first. Grading times are those
    measured, stretched to the whole rubric.
    """
    numbers = random.Random(seed)
    stretch = costs.whole_cpu_s / statistics.fmean(costs.cpu_s)
    waiting = submissions
    free_at, scheduler_busy_s, done, again, losses = 0.0, 0.0, 0, 0, 0
    generation = [0] * cluster.nodes
    at_work = [0] * cluster.nodes
    idle: list[tuple[int, int]] = []
    # (time, order, what, node, generation)
    events: list[tuple[float, int, str, int, int]] = []
    order = 0

    def at(moment: float, what: str, node: int) -> None:
        nonlocal order
        order += 1
        heapq.heappush(events, (moment, order, what, node, generation[node]))

    def lose(moment: float, node: int) -> None:
        if cluster.losses_per_node_hour:
            at(moment + 3600 * numbers.expovariate(cluster.losses_per_node_hour), "lost", node)

    for node in range(cluster.nodes):
        at(costs.start_s, "ready", node)
        lose(0.0, node)
    now = 0.0
    while done < submissions:
        now, _, what, node, born = heapq.heappop(events)
        if born != generation[node]:
            continue
        if what == "ready":
            idle += [(node, born)] * cluster.slots
        elif what == "done":
            done += 1
            at_work[node] -= 1
            idle.append((node, born))
        elif what == "noticed":
            again, waiting = again + at_work[node], waiting + at_work[node]
            at_work[node] = 0
        else:
            losses += 1
            generation[node] += 1
            at(now + cluster.noticed_after_s, "noticed", node)
            at(now + cluster.back_after_s + costs.start_s, "ready", node)
            lose(now + cluster.back_after_s, node)
        while waiting and idle:
            chosen, its_generation = idle.pop()
            if its_generation != generation[chosen]:
                continue
            waiting -= 1
            at_work[chosen] += 1
            free_at = max(free_at, now) + costs.scheduler_s
            scheduler_busy_s += costs.scheduler_s
            at(free_at + stretch * numbers.choice(costs.cpu_s), "done", chosen)
    return Outcome(now, losses, again, cluster.nodes * cluster.slots * now / 3600, scheduler_busy_s / now)


def simulate(submissions: int, losses_per_node_hour: float, slots: int, price: float) -> None:
    """Print what a class costs on more and more machines, where more of them stop to help, and what to order."""
    console = Console(width=_WIDTH)
    if not MEASURED.exists():
        raise SystemExit("Run `python -m benchmarks.fleet measure` first: the simulation uses what it measured.")
    costs = Costs(**json.loads(MEASURED.read_text(encoding="utf-8")))
    table = Table(
        title=f"{submissions:,} submissions, the whole rubric, {slots} processors in a node, "
        f"{losses_per_node_hour:g} losses per node and hour",
        header_style="bold",
    )
    for column in (
        "Nodes",
        "Wall",
        "Speed-up",
        "Of ideal",
        "Lost nodes",
        "Graded again",
        "Core hours",
        "Cost",
        "Scheduler",
    ):
        table.add_column(column, justify="right")
    rows = _rows(submissions, losses_per_node_hour, slots, costs)
    base = rows[0]
    for nodes, outcome in rows:
        speed_up = base[1].wall_s / outcome.wall_s
        table.add_row(
            str(nodes),
            f"{outcome.wall_s / 60:,.1f} min",
            f"{speed_up:.1f}",
            f"{speed_up * base[0] / nodes:.0%}",
            str(outcome.losses),
            str(outcome.again),
            f"{outcome.slot_hours:,.1f}",
            f"{price * outcome.slot_hours:,.2f}",
            f"{outcome.scheduler_share:.0%}",
        )
    console.print(table)
    _print_advice(rows, submissions, slots, costs, console)


def _rows(submissions: int, losses: float, slots: int, costs: Costs) -> list[tuple[int, Outcome]]:
    return [
        (nodes, simulate_class(submissions, Cluster(nodes, slots, losses), costs))
        for nodes in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
    ]


def _print_advice(
    rows: Sequence[tuple[int, Outcome]], submissions: int, slots: int, costs: Costs, console: Console
) -> None:
    base_nodes, base = rows[0]
    good = [item for item in rows if base.wall_s * base_nodes / (item[1].wall_s * item[0]) >= 0.8]
    most = costs.whole_cpu_s / costs.scheduler_s
    within_an_hour = next((item for item in rows if item[1].wall_s <= 3600), rows[-1])
    console.print(
        f"Storage: {submissions * costs.whole_record_bytes / 2**20:,.0f} MiB of records. "
        f"One scheduler keeps {most:,.0f} processors busy ({most / slots:,.0f} nodes); past that, more do not help. "
        f"Up to {good[-1][0]} nodes, four fifths of what is ordered is used.\n"
        f"To have it within an hour, order {within_an_hour[0]} nodes of {slots} processors: "
        f"{within_an_hour[1].wall_s / 60:.0f} min, {within_an_hour[1].slot_hours:,.0f} core hours.",
        highlight=False,
    )


def main() -> None:
    """Do what the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    measuring = commands.add_parser("measure", help="grade a made-up class in four ways")
    measuring.add_argument("--students", type=int, default=200)
    simulating = commands.add_parser("simulate", help="play ten thousand submissions through")
    simulating.add_argument("--submissions", type=int, default=10_000)
    simulating.add_argument("--losses", type=float, default=0.05, help="per node and hour")
    simulating.add_argument("--slots", type=int, default=8, help="processors of a node")
    simulating.add_argument("--price", type=float, default=0.04, help="of a processor for an hour")
    arguments: Any = parser.parse_args()
    if arguments.command == "measure":
        sys.exit(0 if measure(arguments.students) else 1)
    simulate(arguments.submissions, arguments.losses, arguments.slots, arguments.price)


if __name__ == "__main__":
    main()
