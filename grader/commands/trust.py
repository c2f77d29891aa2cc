"""`trust`: grade what is known, and say how far the grader can be trusted."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from grader.checks.compare import Calibration
from grader.errors import StaffError
from grader.pipeline.homework import Homework
from grader.trust.cases import Changes
from grader.trust.catalogue import right_variants, wrong_submissions
from grader.trust.crew import Crew, OnStep
from grader.trust.mutation import Score, read_judgements
from grader.trust.report import TrustReport, write_report
from grader.trust.report_measure import (
    Repetition,
    count_flips,
    find_fate,
    find_right,
    find_wrong,
    list_mutants,
    one_of_each_function,
    repeat,
    repeated_submissions,
)

_REPETITIONS = 20
_QUICK_REPETITIONS = 2
_QUICK_RIGHT = 12  # every so-manieth variant
_QUICK_MUTANTS = 40  # every so-manieth mutant


def run_trust(homework: Homework, out: Path, *, quick: bool, jobs: int) -> TrustReport:
    """
    Measure, print the figures, and write the report.

    Args:
        out: folder for trust.json, the page and its picture.
        quick: a subset in about a minute.
        jobs: processes that grade.
    """
    console = Console()
    with console.status("") as status:
        report = measure(homework, quick=quick, jobs=jobs, on_step=status.update)
    written = write_report(report, out)
    print_report(report, console)
    console.print(f"Written: {', '.join(escape(str(path)) for path in written)}", highlight=False)
    return report


def measure(homework: Homework, *, quick: bool, jobs: int, on_step: OnStep = lambda _: None) -> TrustReport:
    """Grade what is known, all of it or a subset; arguments are those of `run_trust`."""
    wrong, right, repeated = wrong_submissions(homework), right_variants(homework), repeated_submissions(homework)
    runs = _QUICK_REPETITIONS if quick else _REPETITIONS
    if quick:
        wrong, right, repeated = one_of_each_function(wrong), right[::_QUICK_RIGHT], {"solved": Changes()}
    repetitions = [Repetition(run, *each) for run in range(runs) for each in repeated.items()]
    with Crew(homework, jobs, on_step) as crew:
        return TrustReport(
            quick=quick,
            wrong=crew.work(find_wrong, wrong, "Mistakes"),
            right=crew.work(find_right, right, "Right variants"),
            repeats=count_flips(repetitions, crew.work(repeat, repetitions, "Repetitions")),
            mutants=_score(crew, every=_QUICK_MUTANTS if quick else 1),
            table=Calibration(homework.calibration).table,
        )


def _score(crew: Crew, *, every: int) -> Score:
    mutants = crew.work(list_mutants, [None], "Lists of mutants")[0][::every]
    return Score(crew.work(find_fate, mutants, "Mutants"), read_judgements(crew.homework))


def run_mutants(homework: Homework, *, jobs: int) -> Score:
    """Ask every mutant and print what survives, and whether anybody has judged it."""
    console = Console()
    with console.status("") as status, Crew(homework, jobs, status.update) as crew:
        score = _score(crew, every=1)
    for fate in score.survivors:
        judged = score.judgements.unasked.get(fate.placed.id, "nobody has judged it")
        console.print(f"{fate.placed.id}\n    {judged}", markup=False, highlight=False)
    console.print(_mutant_line(score), highlight=False)
    return score


def print_report(report: TrustReport, console: Console) -> None:
    """Print the figures, then what must not be."""
    numbers = report.as_json()
    wrong, right, repeats = numbers["wrong"], numbers["right"], numbers["repeats"]
    names = wrong["diagnosis"]
    lines = [
        f"Mistakes: {wrong['caught']} of {wrong['graded']} caught, {wrong['isolated']} cost their own questions alone",
        f"Diagnosis: {names['right']} right, {names['absent']} absent, {names['wrong']} wrong",
        f"Right variants: {len(right['wrongly_failed'])} of {right['graded']} lost points",
        f"Repetitions: {len(repeats['flips'])} of {repeats['verdicts']} verdicts changed over {repeats['runs']} runs",
        f"Tolerances: {len(report.separations)}, the smallest separation is {min(report.separations.values()):.0f}×",
        _mutant_line(report.mutants),
    ]
    for line in lines:
        console.print(line, highlight=False)
    for problem in report.problems:
        console.print(f"[red]{escape(problem)}[/red]", highlight=False)


def require_trust(report: TrustReport) -> None:
    """
    Make sure that nothing was found that must not be.

    Raises:
        StaffError: something was.
    """
    if report.problems:
        raise StaffError(
            happened=f"The grader cannot be trusted as it is: {len(report.problems)} findings, the first: "
            f"{report.problems[0]}",
            try_next="Look at the trust report (`python -m grader trust`), and mend the check or the catalogue.",
        )


def _mutant_line(score: Score) -> str:
    caught = sum(bool(fate.caught_by) for fate in score.fates)
    return (
        f"Mutants: {score.share:.1%}; {caught} of {len(score.fates)} caught, {len(score.equivalent)} equivalent, "
        f"{len(score.survivors)} survive, of which {len(score.unjudged)} are unjudged"
    )
