"""`calibrate`: measure every tolerance anew and write the table that the checks read."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from grader.errors import StaffError
from grader.pipeline.homework import Homework
from grader.release.workshop import workshop_of
from grader.trust.calibration import (
    Found,
    answered_right,
    answered_wrong,
    as_json,
    calibrated_checks,
    choose_all,
    exempt_checks,
    mistaken,
    mutated,
    recomputed,
    write_table,
)
from grader.trust.catalogue import RightVariant, WrongSubmission, right_variants, wrong_submissions
from grader.trust.crew import Crew, Station
from grader.trust.mutation import Placed, mutants_in, read_judgements
from grader.trust.plot import plot_calibration

_EVERY_GIVEN = 5  # mutants of functions that are handed out: nobody has to write them, but somebody may break them


def run_calibration(homework: Homework, out: Path | None, plot: Path, *, jobs: int) -> None:
    """
    Measure, print the table, write it and its picture.

    Args:
        homework: whose checks are measured.
        out: where the table goes; the homework's own place where None.
        plot: where its picture goes.
        jobs: processes that measure.

    Raises:
        StaffError: right and wrong are too near to each other somewhere; nothing is written then.
    """
    console = Console()
    rights, wrongs, checks = (
        _right_ways(homework),
        wrong_submissions(homework),
        [each.key for each in calibrated_checks(homework)],
    )
    with console.status("") as status, Crew(homework, jobs, status.update) as crew:
        found = crew.work(_recompute, checks, "Checks under other conditions")
        found += crew.work(_ask_right, rights, "Right ways")
        found += crew.work(_ask_mistakes, checks, "Checks with known mistakes")
        mutants = crew.work(_list_mutants, [None], "Lists of mutants")[0]
        found += crew.work(_ask_mutant, mutants, "Mutants")
        found += crew.work(_ask_wrong, wrongs, "Wrong submissions")
    table = choose_all(homework, itertools.chain.from_iterable(found))
    counts = {"right_variants": len(rights), "mutants": len(mutants), "wrong_submissions": len(wrongs)}
    content = as_json(table, exempt=exempt_checks(homework), counts=counts)
    print_calibration(content, console)
    for path in (write_table(content, out or homework.calibration), plot_calibration(content, plot)):
        console.print(f"Written: {escape(str(path))}", highlight=False)


def _recompute(station: Station, key: str) -> list[Found]:
    return recomputed(station.homework, station.homework.answers().by_key[key])


def _ask_right(station: Station, variant: RightVariant) -> list[Found]:
    return answered_right(station.interview, variant.id, variant.changes, variant.loses)


def _ask_mistakes(station: Station, key: str) -> list[Found]:
    return mistaken(station.interview, station.homework.answers().by_key[key])


def _list_mutants(station: Station, _: None) -> list[Placed]:
    homework, solved = station.homework, station.interview.solved
    equivalent = read_judgements(homework).equivalent
    asked = {check.subject.name for check in calibrated_checks(homework)}
    written, given = ([each for each in homework.contract if each.written is by] for by in (True, False))
    mutants = [each for each in mutants_in(homework, solved, written) if each.id not in equivalent]
    return mutants + mutants_in(homework, solved, [each for each in given if each.name in asked])[::_EVERY_GIVEN]


def _ask_mutant(station: Station, placed: Placed) -> list[Found]:
    return mutated(station.interview, placed)


def _ask_wrong(station: Station, wrong: WrongSubmission) -> list[Found]:
    return answered_wrong(station.interview, wrong.id, wrong.changes, wrong.fails)


def print_calibration(content: Mapping[str, Any], console: Console) -> None:
    """Print every measured tolerance with both of its sides."""
    shown = Table("Check", "Output", "Spread", "Tolerance", "Nearest wrong", "Separation")
    for key, names in content["checks"].items():
        for name, entry in names.items():
            if entry["kind"] != "float":
                shown.add_row(key, name, "", "exact", "", "")
                continue
            numbers = [f"{entry[column]:.2g}" for column in ("spread", "tolerance", "nearest", "separation")]
            shown.add_row(key, name, *numbers)
    console.print(shown)


def _right_ways(homework: Homework) -> list[RightVariant]:
    """Return every right submission that there is here."""
    precise = [RightVariant(name, "", changes) for name, changes in workshop_of(homework).also_right().items()]
    variants = right_variants(homework)
    if not variants:
        raise StaffError(
            happened="There are no right variants here to measure the spread with.",
            try_next="Put some under the homework's submissions/passed.",
        )
    return precise + variants
