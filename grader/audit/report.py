"""Write an audit down: audit.json by its schema, audit.md and a table for people, and the executed notebooks."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from grader.audit.findings import CHANGED, LOOK, NOTE, Finding, conditions, findings_of, saved_findings
from grader.audit.record import VERDICTS, NotebookRecord
from grader.audit.run import Audit

SCHEMA = Path(__file__).parents[1] / "schemas" / "audit.schema.json"
_HEADINGS = {LOOK: "To look at", NOTE: "For the record", CHANGED: "What the audit changed before it executed"}
_PREAMBLE = (
    "Nothing in this report is proof of anything and nothing of it changes a score: outputs differ for honest reasons "
    "too, such as another version of a library, or a cell that was run again after an edit."
)


def write_audit(audit: Audit, out: Path) -> list[Path]:
    """Write audit.json, audit.md and the executed notebooks; return the paths."""
    executed = out / "executed"
    executed.mkdir(parents=True, exist_ok=True)
    paths = [out / "audit.json", out / "audit.md"]
    for index, record in enumerate(audit.notebooks):
        if record.executed:
            paths.append(executed / executed_name(record, index))
            paths[-1].write_bytes(record.executed)
    paths[0].write_text(json.dumps(as_json(audit), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")
    paths[1].write_text(as_markdown(audit), encoding="utf-8")
    return paths


def executed_name(record: NotebookRecord, index: int) -> str:
    """Return the name of an executed notebook's file: of a student's name only what any file system takes."""
    stem = re.sub(r"[^A-Za-z0-9_-]+", "_", record.name.removesuffix(".ipynb")).strip("_")
    return f"{index + 1}_{stem or 'notebook'}.ipynb"


def as_json(audit: Audit) -> dict[str, Any]:
    """Return an audit as the schema has it."""
    settings = audit.settings
    return {
        "schema_version": 1,
        "submission": audit.submission,
        "conditions": {
            "sentence": conditions(settings),
            "device": settings.device,
            "epochs": settings.epochs,
            "cifar10": settings.data is not None,
            "reduced": settings.reduced,
            "budget_s": settings.budget_s,
            "cell_limit_s": settings.cell_limit_s,
            "sandbox": audit.sandbox,
        },
        "notebooks": [_notebook_json(record, index, audit) for index, record in enumerate(audit.notebooks)],
        "saved_values": [asdict(value) for value in audit.saved],
        "notes": list(audit.notes),
        "seconds": round(audit.seconds, 1),
    }


def _notebook_json(record: NotebookRecord, index: int, audit: Audit) -> dict[str, Any]:
    cells = []
    for cell in record.cells:
        content = asdict(cell)
        content["needs"] = None if cell.needs is None else {"name": cell.needs[0], "cell": cell.needs[1]}
        content["changes"] = [asdict(change) for change in cell.changes]
        cells.append(content)
    return {
        "name": record.name,
        "executed": f"executed/{executed_name(record, index)}" if record.executed else None,
        "verdicts": tally(record),
        "never_run": record.never_run,
        "ended": record.ended,
        "uncompared": record.uncompared,
        "findings": [asdict(finding) for finding in findings_of(record, audit.settings)],
        "cells": cells,
    }


def tally(record: NotebookRecord) -> dict[str, int]:
    """Return how many cells got each verdict; cells with nothing in them do not count."""
    counted = [cell for cell in record.cells if cell.status != "EMPTY"]
    return {verdict: sum(cell.verdict == verdict for cell in counted) for verdict in VERDICTS}


def as_markdown(audit: Audit) -> str:
    """Return the report as a page for people."""
    lines = [
        f"# Audit of {_as_code(audit.submission)}",
        "",
        conditions(audit.settings),
        audit.sandbox,
        "",
        _PREAMBLE,
        "",
    ]
    lines += ["| Notebook | " + " | ".join(VERDICTS) + " |", "|---" * (len(VERDICTS) + 1) + "|"]
    for record in audit.notebooks:
        lines.append(
            f"| {_as_code(record.name)} | " + " | ".join(str(count) for count in tally(record).values()) + " |"
        )
    for record in audit.notebooks:
        lines += ["", f"## {_as_code(record.name)}", *_sections(findings_of(record, audit.settings))]
    lines += ["", "## autograder.pt", *_sections(saved_findings(audit))]
    if audit.notes:
        lines += ["", "## Files", "", *(f"- {note}" for note in audit.notes)]
    return "\n".join(lines) + "\n"


def _sections(findings: list[Finding]) -> list[str]:
    lines: list[str] = []
    for level, heading in _HEADINGS.items():
        chosen = [finding for finding in findings if finding.level == level]
        if chosen:
            lines += ["", f"**{heading}**", "", *(f"- {_markdown(finding.text)}" for finding in chosen)]
    return lines or ["", "Nothing to say."]


def _markdown(text: str) -> str:
    """Return text with what stands in “quotes” as code; students control parts of it, so nothing else is Markdown."""
    parts = re.split(r"“([^”]*)”", text)
    return "".join(_as_code(part) if index % 2 else _plain(part) for index, part in enumerate(parts))


def _as_code(text: str) -> str:
    return f"`{text.replace('`', chr(39)).replace('|', '¦') or ' '}`"


def _plain(text: str) -> str:
    return re.sub(r"([\\`*_{}\[\]<>#|~!])", r"\\\1", text)


def print_audit(audit: Audit, console: Console) -> None:
    """Print a table of the verdicts and what staff may want to look at."""
    table = Table(title=f"Audit of {escape(audit.submission)}")
    table.add_column("Notebook")
    for verdict in VERDICTS:
        table.add_column(verdict, justify="right")
    for record in audit.notebooks:
        table.add_row(escape(record.name), *(str(count) for count in tally(record).values()))
    console.print(table)
    console.print(conditions(audit.settings), highlight=False)
    groups = [(record.name, findings_of(record, audit.settings)) for record in audit.notebooks]
    for name, findings in [*groups, ("autograder.pt", saved_findings(audit))]:
        chosen = [finding for finding in findings if finding.level == LOOK]
        for finding in chosen:
            console.print(f"[bold]{escape(name)}[/bold]: {escape(finding.text)}", highlight=False)
    console.print("The report has more: what was not run, what was changed, what cannot be compared.")
