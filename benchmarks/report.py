"""Tables of what was measured, with what was to be reached beside it: as text, as Markdown and in the README."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table as RichTable

from benchmarks.clock import Cost
from benchmarks.contenders import FLOOR, OTTER, OURS
from benchmarks.figures import Spread, ratios, spread
from benchmarks.results import Batch, Classes, Contest, Results
from benchmarks.sections import START, WORKERS, class_name
from benchmarks.ten_checks import KEYS

MARKS = ("<!-- benchmarks -->", "<!-- /benchmarks -->")
_SHOWN_PHASES = 8
_REASON = 160  # characters


@dataclass(frozen=True)
class Table:
    """
    A table with words around it.

    Args:
        title: its heading.
        columns: the first is text, the others are numbers.
        rows: as many cells as columns.
        remark: what must be known to read it.
    """

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    remark: str = ""


@dataclass(frozen=True)
class Target:
    """
    A figure that was to be reached.

    Args:
        what: the figure.
        wanted: the limit.
        measured: the median, with its spread; None if it was not measured.
        at_least: whether more is better.
    """

    what: str
    wanted: float
    measured: Spread | None
    at_least: bool = False

    @property
    def verdict(self) -> str:
        """Met, missed, or not measured: a figure that is not there is never met."""
        if self.measured is None:
            return "not measured"
        met = self.measured.median >= self.wanted if self.at_least else self.measured.median <= self.wanted
        return "met" if met else "MISSED"

    def row(self) -> list[str]:
        """Return its row of the table."""
        measured = "–" if self.measured is None else self.measured.text()
        return [self.what, f"{'≥' if self.at_least else '≤'} {self.wanted:.2f}", measured, self.verdict]


def targets(results: Results) -> list[Target]:
    """Return every target that a section of these results is about, met or not."""
    found: list[Target] = []
    if results.cold is not None:
        found.append(Target("ten checks, cold: our time / otter-grader's", 1 / 3, _wall_ratio(results.cold, OTTER)))
    if results.whole is not None:
        found.append(Target("whole homework, cold: our time / the floor's", 1.5, _wall_ratio(results.whole, FLOOR)))
    if results.classes is not None:
        found += _class_targets(results.classes)
    for part in results.metalearning or ():
        once = Spread(part.speedup, part.speedup, part.speedup)
        found.append(
            Target(f"meta-learning ({part.name}): the literal version's time / ours", part.least_speedup, once, True)
        )
    return found


def _class_targets(classes: Classes) -> list[Target]:
    found = [
        Target(
            f"ten checks, class, {workers} at once: our submissions a minute / otter-grader's",
            10.0,
            _rate_ratio(classes, class_name(OURS, workers), class_name(OTTER, workers)),
            True,
        )
        for workers in WORKERS
    ]
    for clock in ("wall_s", "cpu_s"):
        what = f"whole homework, class: our {_CLOCKS[clock]} time / the student's own compute"
        found.append(Target(what, 1.1, _compute_ratio(classes, classes.calls, clock)))
    return found


_CLOCKS = {"wall_s": "wall", "cpu_s": "processor"}


def _wall_ratio(contest: Contest, base: str) -> Spread | None:
    if OURS not in contest.costs or base not in contest.costs:
        return None
    return ratios([cost.wall_s for cost in contest.costs[OURS]], [cost.wall_s for cost in contest.costs[base]])


def _rate_ratio(classes: Classes, ours: str, base: str) -> Spread | None:
    if ours not in classes.ten or base not in classes.ten:
        return None
    rates = [[batch.per_minute for batch in classes.ten[name]] for name in (ours, base)]
    return ratios(*rates)


def _compute_ratio(classes: Classes, base: Sequence[Cost], clock: str) -> Spread | None:
    if not classes.whole or len(classes.whole) != len(base):
        return None
    each = [getattr(batch, clock) / batch.submissions for batch in classes.whole]
    return ratios(each, [getattr(cost, clock) for cost in base])


def main_tables(results: Results) -> list[Table]:
    """Return the tables that the README shows: the ten checks, and the targets."""
    found = [_cold_table(results.cold)] if results.cold is not None else []
    if goals := targets(results):
        rows = [goal.row() for goal in goals]
        found.append(Table("Targets", ("Ratio", "Wanted", "Measured", ""), rows, _cost_of_forks(results.classes)))
    return found


def _cost_of_forks(classes: Classes | None) -> str:
    """Say what a process for each question costs before anything is isolated or judged, where that was measured."""
    if classes is None or not classes.apart or len(classes.apart) != len(classes.calls):
        return ""
    forks = ratios([cost.wall_s for cost in classes.apart], [cost.wall_s for cost in classes.calls])
    ours = [_compute_ratio(classes, classes.apart, clock) for clock in ("wall_s", "cpu_s")]
    wall, cpu = (ratio.text() if ratio else "–" for ratio in ours)
    return (
        f"Student's own compute is that of one process. With a fork for each question, and nothing else, the same "
        f"calls take {forks.text()} × that; grading takes {wall} × as long as these forks, and {cpu} × their "
        "processor time."
    )


def all_tables(results: Results) -> list[Table]:
    """Return all tables, the main ones first."""
    found = main_tables(results)
    if results.whole is not None:
        title = "The whole homework, cold"
        remark = "The floor makes the same calls of student code as the grading does, in one process."
        found.append(_contest_table(title, results.whole, remark))
    if results.classes is not None:
        found += [_class_table(results.classes), _whole_class_table(results.classes)]
    for name, rounds in (results.phases or {}).items():
        found.append(_phase_table(name, rounds))
    if results.growth is not None:
        found.append(_growth_table(results.growth))
    if results.metalearning is not None:
        found.append(_metalearning_table(results))
    return found


def _cold_table(contest: Contest) -> Table:
    remark = (
        "Start of the process included, disk cache warm, one thread for arrays everywhere. Passed: of the right "
        "notebook's ten checks, and of one with an inverted mask. The floor calls and judges nothing. As run here, "
        "only deepgrader isolates student code, draws inputs and computes the answers anew in each run, and lends a "
        "right helper to what a wrong one would break, so that one mistake costs one check."
    )
    return _contest_table("Ten checks, cold", contest, remark, judged=True)


def _contest_table(title: str, contest: Contest, remark: str, *, judged: bool = False) -> Table:
    columns = ["", "Wall, s", "× floor", "CPU, s", "× floor (CPU)", "Memory, MiB", *(["Passed"] if judged else [])]
    rows = []
    for name, costs in contest.costs.items():
        cells = [name]
        for clock in ("wall_s", "cpu_s"):
            values = [getattr(cost, clock) for cost in costs]
            floor = [getattr(cost, clock) for cost in contest.costs.get(FLOOR, ())]
            cells += [spread(values).text(), ratios(values, floor).text() if floor else "–"]
        cells.append(f"{contest.peak_mib[name]:.0f}" if name in contest.peak_mib else "–")
        if judged:
            right, broken = contest.passed.get(name, (None, None))
            cells.append("–" if right is None else f"{right}/{len(KEYS)}, {broken}/{len(KEYS)}")
        rows.append(cells)
    return Table(title, columns, [*rows, *_failed_rows(contest.failed, len(columns))], remark)


def _failed_rows(failed: dict[str, str], columns: int) -> list[list[str]]:
    return [[f"{name}: not measured, {_short(why)}", *["–"] * (columns - 1)] for name, why in failed.items()]


def _short(reason: str) -> str:
    """Return a reason in one line, without the machine's folders."""
    words = re.sub(r"(?:/[^\s/'\"`]+)+/", "", " ".join(reason.split()))
    return words if len(words) <= _REASON else f"{words[:_REASON]}…"


def _class_table(classes: Classes) -> Table:
    columns = ("Ten checks, a class", "Submissions a minute", "CPU of each, s", "Start, s", "× otter-grader")
    rows = []
    for grader, workers in itertools.product((OURS, OTTER), WORKERS):
        name, base = class_name(grader, workers), class_name(OTTER, workers)
        if name not in classes.ten:
            continue
        batches, ratio = classes.ten[name], _rate_ratio(classes, name, base)
        start = spread([batch.start_s for batch in batches])
        rows.append(
            [
                name,
                spread([batch.per_minute for batch in batches]).text(1),
                spread([batch.cpu_s / batch.submissions for batch in batches]).text(),
                start.text() if start.most else "in each",
                ratio.text() if ratio else "–",
            ]
        )
    remark = (
        "deepgrader imports torch once, before the first submission; that start is not counted. otter-grader starts "
        "a kernel for each submission."
    )
    return Table("A class", columns, [*rows, *_failed_rows(classes.failed, len(columns))], remark)


def _whole_class_table(classes: Classes) -> Table:
    columns = ("Whole homework, one worker", "Wall, s", "CPU, s")
    rows = []
    if classes.calls:
        rows.append(["student's own compute, in one process", *_clocks(classes.calls)])
    if classes.apart:
        rows.append(["the same, a fork for each question", *_clocks(classes.apart)])
    if classes.whole:
        each = [Cost(batch.wall_s / batch.submissions, batch.cpu_s / batch.submissions) for batch in classes.whole]
        rows.append(["deepgrader, each submission", *_clocks(each)])
        for words, base in (("× the first", classes.calls), ("× the second", classes.apart)):
            found = [_compute_ratio(classes, base, clock) for clock in ("wall_s", "cpu_s")]
            rows.append([words, *(ratio.text() if ratio else "–" for ratio in found)])
    remark = (
        "One process has each library path warm after its first use; a fresh one for each question, so that none can "
        "touch another, has not. Our wall time has the answers drawn and judged on the other core."
    )
    return Table("The whole homework in a class", columns, rows, remark)


def _clocks(costs: Sequence[Cost]) -> list[str]:
    return [spread([getattr(cost, clock) for cost in costs]).text() for clock in ("wall_s", "cpu_s")]


def _phase_table(name: str, rounds: Sequence[dict[str, Cost]]) -> Table:
    names = [name for name in rounds[0] if all(name in phases for phases in rounds)]
    total = spread([sum(cost.wall_s for cost in phases.values()) for phases in rounds])
    costs = {name: [phases[name] for phases in rounds] for name in names}
    by_time = sorted(names, key=lambda name: -spread([cost.wall_s for cost in costs[name]]).median)
    shown = [name for name in by_time if name == START or name in by_time[:_SHOWN_PHASES]]
    rows = []
    for phase in shown:
        wall, cpu = _clocks(costs[phase])
        share = spread([cost.wall_s for cost in costs[phase]]).median / total.median
        rows.append([phase, wall, cpu, f"{share:.0%}"])
    rows.append(["all", total.text(), "", "100%"])
    remark = (
        "While one question is judged, the next is asked already: some of its time counts for the one before it, and a "
        "worker's processor time for one of those after it."
    )
    return Table(f"Where the time goes: {name}", ("Phase", "Wall, s", "CPU, s", "Share"), rows, remark)


def _growth_table(growth: dict[int, list[Batch]]) -> Table:
    sizes = sorted({batch.submissions for batches in growth.values() for batch in batches})
    rows = [
        [str(size), *(spread([batch.wall_s for batch in _of_size(growth[workers], size)]).text() for workers in growth)]
        for size in sizes
    ]
    columns = ("Submissions", *(f"{workers} worker{'s' * (workers > 1)}, s" for workers in growth))
    return Table("Growth: ten checks", columns, rows, "Seconds on the clock, without the start.")


def _of_size(batches: Sequence[Batch], size: int) -> list[Batch]:
    return [batch for batch in batches if batch.submissions == size]


def _metalearning_table(results: Results) -> Table:
    columns = ("Part", "Literal, s", "Reference, s", "Speed-up", "Largest difference")
    rows = [
        [
            f"({part.name})",
            f"{part.literal_s:.1f} ({part.threads} threads)",
            f"{part.fast_s:.2f} ({part.workers} workers)",
            f"{part.speedup:.1f}",
            f"{part.difference:.0e}",
        ]
        for part in results.metalearning or ()
    ]
    count = results.evaluations + 1
    remark = (
        f"Once, each side with its best number of threads; {count} evaluations of the test tasks on both sides. The "
        "targets are those of the whole handout (--full); with fewer evaluations our fixed costs weigh more."
    )
    return Table("Meta-learning, beside the literal version", columns, rows, remark)


def print_tables(tables: Sequence[Table], console: Console) -> None:
    """Print tables to the terminal."""
    for table in tables:
        shown = RichTable(title=table.title, caption=table.remark or None, header_style="bold", caption_justify="left")
        for index, column in enumerate(table.columns):
            shown.add_column(column, justify="left" if index == 0 else "right")
        for row in table.rows:
            shown.add_row(*(f"[red]{cell}[/red]" if cell == "MISSED" else escape(cell) for cell in row))
        console.print(shown)


def markdown(tables: Sequence[Table], *, level: int = 2) -> str:
    """Return tables as Markdown."""
    parts = []
    for table in tables:
        lines = [_row(table.columns), _row(["---", *["---:"] * (len(table.columns) - 1)]), *map(_row, table.rows)]
        parts += [f"{'#' * level} {table.title}", "\n".join(lines), *([table.remark] if table.remark else [])]
    return "\n\n".join(parts) + "\n"


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def main_markdown(results: Results) -> str:
    """Return what stands between the marks, in the README and in RESULTS.md alike."""
    body = markdown(main_tables(results), level=3)
    facts = ", ".join(f"{name} {value}" for name, value in results.machine.items())
    failed = "".join(f"\n\nCould not be measured: {name}, {_short(why)}" for name, why in results.failed.items())
    return f"{body}\nMedian (least–most) of {results.rounds} interleaved rounds; {facts}.{failed}\n"


def page(results: Results, *, plots: Sequence[str] = ()) -> str:
    """Return the whole report; plots are files beside it."""
    rest = [table for table in all_tables(results) if table not in main_tables(results)]
    pictures = "".join(f"\n![{name.partition('.')[0]}]({name})\n" for name in plots)
    head = "# What grading costs\n\nWritten by `python -m benchmarks`."
    return f"{head}\n\n{MARKS[0]}\n{main_markdown(results)}{MARKS[1]}\n{pictures}\n{markdown(rest)}"


def between_marks(text: str) -> str | None:
    """Return what stands between the marks of a text, or None if it has none."""
    found = re.search(f"{re.escape(MARKS[0])}\n(.*?){re.escape(MARKS[1])}", text, re.DOTALL)
    return found[1] if found else None


def put_between_marks(text: str, content: str) -> str:
    """Return a text with other content between its marks; one without marks stays as it is."""
    old = between_marks(text)
    return text if old is None else text.replace(f"{MARKS[0]}\n{old}{MARKS[1]}", f"{MARKS[0]}\n{content}{MARKS[1]}")


def commit_tables(results: Results, root: Path) -> list[Path]:
    """Write benchmarks/RESULTS.md, and the main tables into the README if it has the marks; return what was written."""
    report, readme = root / "benchmarks" / "RESULTS.md", root / "README.md"
    report.write_text(page(results), encoding="utf-8")
    text = readme.read_text(encoding="utf-8")
    if between_marks(text) is None:
        return [report]
    readme.write_text(put_between_marks(text, main_markdown(results)), encoding="utf-8")
    return [report, readme]
