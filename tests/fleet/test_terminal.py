"""What the commands for a class print."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

from grader.commands.fleet import _print_changes, _print_class
from grader.fleet.compare import Change, Comparison
from grader.fleet.page import page
from grader.fleet.roster import Student
from grader.fleet.statistics import figures_of
from tests.fleet.paper import a_class, a_graded, a_report, a_test

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202eAda\u200b[bold]\r\n\x9b1A 李"


def test_names_do_nothing_to_the_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """No escape sequence, line break or direction override of a name, id, note or reason is printed; letters are."""
    item = a_graded("x", a_report(a_test("1", "FAILED")), status="INFRASTRUCTURE", reason=HOSTILE)
    entry = replace(item.entry, id=HOSTILE, students=(Student(name=HOSTILE),), notes=(HOSTILE,))
    change = Change(HOSTILE, HOSTILE, "1", "Question", 0.0, 1.0, HOSTILE)
    console = Console(width=400)

    _print_class(a_class(replace(item, entry=entry)), console)
    _print_changes(Comparison((change,), 1, 0, 0, 1.0, (HOSTILE,), (HOSTILE,)), console)
    shown = capsys.readouterr().out

    assert not [character for character in shown if character != "\n" and not character.isprintable()]
    assert shown.count("Ada[bold] 1A 李") >= 8


def test_names_do_nothing_to_the_page() -> None:
    """The report shows a name as one line of letters."""
    item = a_graded("x", a_report(a_test("1", "FAILED")), status="INFRASTRUCTURE", reason=HOSTILE)
    entry = replace(item.entry, id=HOSTILE, students=(Student(name=HOSTILE),), notes=(HOSTILE,))
    hostile = a_class(replace(item, entry=entry))

    shown = page(hostile, figures_of(hostile), anonymous=False)

    assert not [character for character in shown if character != "\n" and not character.isprintable()]
    assert "Ada[bold] 1A 李" in shown
