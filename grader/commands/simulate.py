"""`simulate`: what the platform would do with autograder.zip and a submission."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from grader.errors import StaffError
from grader.simulate.envelope import Envelope, Usage, run_inside
from grader.simulate.layout import Layout, lay_out

# Nothing of the caller's: on the platform there is none of it.
_ENVIRONMENT = {
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "HOME": "/root",
    "HOSTNAME": "3f2a9c1d7b60",
}


def run_simulation(
    submission: Path, autograder: Path, root: Path | None, out: Path, *, memory_mib: float, cpus: float, wall_s: float
) -> None:
    """
    Lay out the platform's folders, run the autograder in them under its limits, and print what came of it.

    Args:
        submission: what a student hands in.
        autograder: autograder.zip.
        root: where to lay out; None for a folder of its own that is removed afterwards.
        out: where results.json and what was printed are copied to, if root is None.
        memory_mib, cpus, wall_s: the container's size and time limit.

    Raises:
        StaffError: the layout could not be made, or there is no valid results.json.
    """
    console, envelope = Console(), Envelope(memory_mib, cpus, wall_s)
    with _root(root) as place:
        layout = lay_out(place, autograder, submission)
        console.print(f"[dim]{escape(_conditions(envelope))}[/dim]", highlight=False)
        # The platform does this once, when it builds the image, without these limits.
        subprocess.run(["bash", str(layout.source / "setup.sh")], check=True)
        printed = layout.results / "stdout.txt"
        usage = run_inside(envelope, [str(layout.program)], cwd=layout.root, environment=_ENVIRONMENT, output=printed)
        kept = layout.results if root is not None else _keep(layout, out)
    _print_outcome(console, usage, kept, envelope)


@contextmanager
def _root(root: Path | None) -> Iterator[Path]:
    if root is not None:
        yield root.resolve()
        return
    with tempfile.TemporaryDirectory(prefix="autograder-") as name:
        # As open as /autograder is: what keeps students out has to be done by run_autograder.
        Path(name).chmod(0o755)
        yield Path(name)


def _keep(layout: Layout, out: Path) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    for name in ("results.json", "stdout.txt"):
        (out / name).unlink(missing_ok=True)
        if (layout.results / name).exists():
            shutil.copy(layout.results / name, out / name)
    return out


def _conditions(envelope: Envelope) -> str:
    root = "as root" if os.geteuid() == 0 else "not as root: modes and uids separate nothing"
    return (
        f"Playing the platform {root}, with {envelope.memory_mib:g} MiB for all processes together (looked at twice a "
        f"second), {envelope.cpus:g} of a core (by stopping them in turn) and {envelope.wall_s:g} s."
    )


def _print_outcome(console: Console, usage: Usage, kept: Path, envelope: Envelope) -> None:
    console.print(
        f"{usage.wall_s:.0f} s, {usage.cpu_s:.0f} s of them computing, peak {usage.peak_mib:.0f} of "
        f"{envelope.memory_mib:g} MiB; {usage.left_behind} processes left behind.",
        highlight=False,
    )
    if usage.exceeded:
        raise StaffError(
            happened=f"The autograder was killed: it used more {usage.exceeded} than there is. On the platform: score "
            "0, and no tests shown.",
            try_next=f"What it printed is in {kept / 'stdout.txt'}; choose a larger container, or lower its limits.",
        )
    results = kept / "results.json"
    if usage.returncode != 0 or not results.exists():
        raise StaffError(
            happened=f"The autograder ended with status {usage.returncode}"
            f"{'' if results.exists() else ' and without results.json'}. On the platform: failed to execute.",
            try_next=f"What it printed is in {kept / 'stdout.txt'}.",
        )
    _print_table(console, json.loads(results.read_text(encoding="utf-8")))
    console.print(f"Written: {escape(str(results))}", highlight=False)


def _print_table(console: Console, results: dict[str, Any]) -> None:
    """Print what the platform would show to staff."""
    possible = sum(test["max_score"] for test in results["tests"])
    table = Table(show_footer=True, header_style="bold")
    table.add_column("No.")
    table.add_column("Question", footer="Total")
    table.add_column("Points", justify="right", footer=f"{results['score']:g} / {possible:g}")
    table.add_column("Verdict")
    table.add_column("Students see")
    for test in results["tests"]:
        points = f"{test['score']:g} / {test['max_score']:g}"
        table.add_row(test["number"], escape(test["name"]), points, test["extra_data"]["verdict"], test["visibility"])
    console.print(table)
