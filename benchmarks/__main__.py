"""
Our grader beside its floor and its peers, measured in one run.

    python -m benchmarks [--rounds N] [--only SECTION] [--quick] [--full] [--write]

Everything that is compared is measured in turn, round by round, and compared within its round; tables show medians
with the least and the most. The peers get an environment of their own under build/benchmarks, once.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import click
import torch
from rich.console import Console
from rich.markup import escape

from benchmarks import sections
from benchmarks.clock import CommandFailed
from benchmarks.contenders import ROOT
from benchmarks.plots import write_plots
from benchmarks.report import all_tables, commit_tables, page, print_tables
from benchmarks.results import Results
from grader.errors import StaffError

OUT = ROOT / "build" / "benchmarks"
SECTIONS = ("cold", "whole", "class", "phases", "growth", "metalearning")
_WIDTH = 130
_BUSY = 0.5
_QUICK_CLASS = 2
_FULL_EVALUATIONS = 10


def machine_facts() -> dict[str, str]:
    """Return what the numbers depend on beside the code."""
    info = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    model = next((line.partition(":")[2].strip() for line in info.splitlines() if line.startswith("model name")), "")
    sources = [path for path in (ROOT / "grader").rglob("*.py") if "stand_in" not in path.parts]
    compiled = sum(any((path.parent / "__pycache__").glob(f"{path.stem}.*.pyc")) for path in sources)
    return {
        "processor": model or platform.machine(),
        "cores": str(os.cpu_count()),
        "Python": platform.python_version(),
        "torch": torch.__version__,
        "load before the run": f"{os.getloadavg()[0]:.1f}",
        "modules of the grader with bytecode": f"{compiled} of {len(sources)}",
    }


def measure_all(bench: sections.Bench, wanted: tuple[str, ...], *, class_size: int, evaluations: int) -> Results:
    """
    Measure the wanted sections, and write what there is after each; one that fails costs only itself.

    Args:
        bench: where and how often.
        wanted: of SECTIONS.
        class_size: submissions in a class, and the most in the section about growth.
        evaluations: of the test tasks in meta-learning, before the final one.
    """
    results = Results(machine_facts(), bench.rounds, evaluations=evaluations)
    sizes = [size for size in sections.GROWTH_SIZES if size <= class_size]

    def put(name: str, measured: Callable[[], object]) -> Callable[[], None]:
        return lambda: setattr(results, name, measured())

    work = {
        "cold": put("cold", lambda: sections.measure_cold(bench)),
        "whole": put("whole", lambda: sections.measure_whole(bench)),
        "class": put("classes", lambda: sections.measure_classes(bench, class_size)),
        "phases": put("phases", lambda: sections.measure_phases(bench)),
        "growth": put("growth", lambda: sections.measure_growth(bench, sizes)),
        "metalearning": put("metalearning", lambda: sections.measure_metalearning(bench, evaluations)),
    }
    for name in wanted:
        try:
            work[name]()
        except (CommandFailed, StaffError) as error:
            bench.say(f"{name} could not be measured: {error}")
            results.failed[name] = str(error)
        results.write(OUT / "results.json")
    return results


@click.command(help=__doc__)
@click.option("--rounds", type=click.IntRange(1), default=5, show_default=True, help="How often to measure.")
@click.option("--only", type=click.Choice(SECTIONS), multiple=True, help="These sections; all if not given.")
@click.option("--class-size", type=click.IntRange(1), default=8, show_default=True, help="Submissions in a class.")
@click.option("--quick", is_flag=True, help="One round, few submissions: to see that it works.")
@click.option("--full", is_flag=True, help="The handout's whole meta-learning: some minutes more.")
@click.option("--write", is_flag=True, help="Write the tables to benchmarks/RESULTS.md and the README, too.")
def main(rounds: int, only: tuple[str, ...], class_size: int, quick: bool, full: bool, write: bool) -> None:
    """Measure, print, write."""
    if write and (only or quick):
        raise click.UsageError("--write is for whole runs: what is committed was measured in one run.")
    console = Console(width=_WIDTH)
    OUT.mkdir(parents=True, exist_ok=True)

    def say(words: str) -> None:
        console.print(f"[dim]{escape(words)}[/dim]", highlight=False)

    if (load := os.getloadavg()[0]) > _BUSY:
        say(
            f"the machine is busy (load {load:.1f}): what others do is in the wall times, and little of it in CPU times"
        )
    with tempfile.TemporaryDirectory(prefix="benchmark-") as folder:
        bench = sections.Bench(Path(folder), OUT, 1 if quick else rounds, say)
        size, evaluations = _QUICK_CLASS if quick else class_size, _FULL_EVALUATIONS if full else 1
        results = measure_all(bench, only or SECTIONS, class_size=size, evaluations=evaluations)
    tables = all_tables(results)
    print_tables(tables, console)
    plots = write_plots(results, OUT)
    (OUT / "index.md").write_text(page(results, plots=plots), encoding="utf-8")
    written = [OUT / "results.json", OUT / "index.md", *(commit_tables(results, ROOT) if write else ())]
    console.print("Written: " + ", ".join(str(path.relative_to(ROOT)) for path in written), highlight=False)
    sys.exit(1 if results.failed else 0)


if __name__ == "__main__":
    main()
