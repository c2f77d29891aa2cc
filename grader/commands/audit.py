"""`audit`: execute a submission's notebooks again and say what differs."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from grader.audit.report import print_audit, write_audit
from grader.audit.run import Settings, audit_submission
from grader.commands.grade import choose_device, data_set_folder
from grader.errors import StaffError
from grader.intake.collect import require_submission
from grader.pipeline.homework import Homework

_MOST_THREADS = 4


def run_audit(
    homework: Homework,
    submission: Path,
    out: Path,
    *,
    budget_s: float,
    cell_limit_s: float,
    epochs: int | None,
    data: Path | None,
    device: str,
) -> None:
    """
    Audit a submission, print a table, write the report.

    Raises:
        StaffError: nothing could be audited.
    """
    if importlib.util.find_spec("nbclient") is None:
        raise StaffError(
            happened="What audits need is not installed.", try_next="Run ./setup.sh --dev once, then this again."
        )
    require_submission(submission)
    console = Console()
    chosen = choose_device(device)
    folder = _data_folder(homework, data)
    whole = chosen == "cuda" and folder is not None
    settings = Settings(
        homework=homework,
        epochs=None if epochs is None and whole else epochs or 1,
        data=folder,
        device=chosen,
        budget_s=budget_s,
        cell_limit_s=cell_limit_s,
        threads=min(os.cpu_count() or 1, _MOST_THREADS),
        on_step=lambda step: console.print(f"[dim]{escape(step)}[/dim]", highlight=False),
    )
    audit = audit_submission(submission, settings)
    written = write_audit(audit, out)
    print_audit(audit, console)
    for path in written:
        console.print(f"Written: {escape(str(path))}", highlight=False)


def _data_folder(homework: Homework, data: Path | None) -> Path | None:
    if data is not None and not data.is_dir():
        raise StaffError(
            happened=f"There is no folder {data}.", try_next="Name the one that the data set was unpacked to."
        )
    return data_set_folder(homework) if data is None else data.resolve()
