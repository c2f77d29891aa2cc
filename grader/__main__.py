"""The command line: `python -m grader COMMAND`."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if not __package__:  # run as a file by run_autograder, with -I, which keeps the current folder off the path
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import click

from grader.errors import StaffError

if TYPE_CHECKING:
    from grader.pipeline.homework import Homework

_CLEAN_MARK = "GRADER_CLEAN_ENVIRONMENT"
_KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "LANG",
    "TERM",
    "COLUMNS",
    "NO_COLOR",
    "CUDA_VISIBLE_DEVICES",
    "GRADER_SECRET_FILE",
)


_jobs = click.option(
    "--jobs", type=click.IntRange(1), default=os.cpu_count() or 1, show_default=True, help="Processes that work."
)


@click.group()
@click.option("--homework", default=None, help="The package of the homework; `homework` if not given.")
def main(homework: str | None) -> None:
    """Grade deep-learning homework, and make what students and the platform get."""


def _homework() -> Homework:
    """
    Return the homework that the command line names: the one place where the harness meets it.

    Raises:
        StaffError: there is no such package, or it has no homework.
    """
    from grader.pipeline.homework import HOMEWORK_FILE, load_homework

    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))  # a course keeps its homework in a repository of its own
    named = click.get_current_context().find_root().params["homework"]
    of_zip = Path(__file__).parents[1] / HOMEWORK_FILE
    return load_homework(named or (of_zip.read_text().strip() if of_zip.exists() else "homework"))


@main.command()
@click.argument("submission", type=click.Path(path_type=Path))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("results"),
    show_default=True,
    help="Folder for results.json.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where student code computes.",
)
@click.option("--rubric", type=click.Path(path_type=Path), default=None, help="A rubric other than the homework's.")
@click.option(
    "--staff-questions",
    type=click.Path(path_type=Path),
    default=None,
    help="A file or folder of questions in the idiom of gradescope-utils.",
)
@click.option("--profile", is_flag=True, help="Print where time and memory went.")
def grade(
    submission: Path, out: Path, device: str, rubric: Path | None, staff_questions: Path | None, profile: bool
) -> None:
    """Grade SUBMISSION (a zip, a notebook or a folder), write results.json, print a table."""
    _restart_clean()
    from grader.commands.grade import run_grading

    run_grading(
        _homework(), submission, out, device=device, rubric=rubric, staff_questions=staff_questions, profile=profile
    )


@main.command(name="class")
@click.argument("export", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), required=True, help="Folder; resumable.")
@click.option("--workers", type=click.IntRange(min=1), default=None, help="At once; all processors if not given.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--rubric", type=click.Path(path_type=Path), default=None, help="A rubric other than the homework's.")
@click.option("--roster", type=click.Path(path_type=Path), default=None, help="CSV, or a Canvas gradebook.")
@click.option("--ray", default=None, help="Address of a Ray cluster, or local.")
@click.option("--gpus", type=click.FloatRange(min=0), default=0.0, help="Of a Ray node, for one submission: 0.25, say.")
@click.option(
    "--only", multiple=True, help="Grade again, and nobody else: a name, id, address or submission; repeatable."
)
@click.option("--due", default="", help='When it was due, for days late: "2026-11-20 23:59 -0800".')
def grade_class(
    export: Path,
    out: Path,
    workers: int | None,
    device: str,
    rubric: Path | None,
    roster: Path | None,
    ray: str | None,
    gpus: float,
    only: tuple[str, ...],
    due: str,
) -> None:
    """Grade a whole class: Gradescope's EXPORT, or a folder with one submission for each student."""
    _restart_clean()
    from grader.commands.fleet import run_class

    run_class(
        _homework(),
        export,
        out,
        workers=workers,
        device=device,
        rubric=rubric,
        roster=roster,
        ray=ray,
        gpus=gpus,
        only=only,
        due=due,
    )


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--anonymous", is_flag=True, help="Numbers in place of names, and no tables.")
def report(folder: Path, anonymous: bool) -> None:
    """Write the report and the grades of a class that was graded into FOLDER."""
    from grader.commands.fleet import write_report

    write_report(_homework(), folder, anonymous=anonymous)


@main.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--csv", "csv_file", type=click.Path(path_type=Path), default=None, help="Write the changes here, too.")
def diff(old: Path, new: Path, csv_file: Path | None) -> None:
    """Say what changes between two gradings: folders of a class, or two results.json."""
    from grader.commands.fleet import run_diff

    run_diff(old, new, csv_file)


@main.command()
@click.argument("submission", type=click.Path(path_type=Path))
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), default=Path("audit"), show_default=True)
@click.option("--budget-s", type=click.FloatRange(min=1), default=900, show_default=True, help="For all cells.")
@click.option("--cell-limit-s", type=click.FloatRange(min=1), default=120, show_default=True, help="For one cell.")
@click.option("--epochs", type=click.IntRange(min=1), default=None, help="At most so many; usually 1 without a GPU.")
@click.option("--data", type=click.Path(path_type=Path), default=None, help="Folder with CIFAR-10.")
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
def audit(
    submission: Path,
    out: Path,
    budget_s: float,
    cell_limit_s: float,
    epochs: int | None,
    data: Path | None,
    device: str,
) -> None:
    """Execute SUBMISSION's notebooks again in the sandbox and say for staff what differs from what was handed in."""
    _restart_clean()
    from grader.commands.audit import run_audit

    run_audit(
        _homework(),
        submission,
        out,
        budget_s=budget_s,
        cell_limit_s=cell_limit_s,
        epochs=epochs,
        data=data,
        device=device,
    )


@main.command()
@click.argument("rubric", type=click.Path(path_type=Path), required=False)
def rubric(rubric: Path | None) -> None:
    """Check a rubric file and print its questions and points."""
    from grader.commands.rubric import print_rubric

    print_rubric(_homework(), rubric)


@main.command()
@click.argument("results", metavar="RESULTS_JSON|CLASS", type=click.Path(path_type=Path))
@click.option("--student", default=None, help="Of a class's folder: a name, id, address or submission.")
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), default=None, help="The page to write.")
@click.option("--metadata", type=click.Path(path_type=Path), default=None, help="A submission_metadata.json.")
@click.option("--after-due", "moment", flag_value="after-due", help="As students see it after the due date.")
@click.option("--published", "moment", flag_value="published", help="As students see it after grades are published.")
@click.option(
    "--view", type=click.Choice(["student", "staff", "both"]), default="both", show_default=True, help="Who looks."
)
def preview(
    results: Path, student: str | None, out: Path | None, metadata: Path | None, moment: str | None, view: str
) -> None:
    """Show RESULTS_JSON, or one student of a CLASS, as students and as staff would see it: one HTML page for each."""
    if student is not None or (results / "class.json").is_file():
        from grader.commands.students import write_student

        write_student(_homework(), results, student or "", out=out, moment=moment or "auto", view=view)
        return
    from grader.commands.preview import write_previews

    write_previews(_homework(), results, out=out, metadata=metadata, moment=moment or "auto", view=view)


@main.command()
@click.argument("submission", type=click.Path(path_type=Path))
def check(submission: Path) -> None:
    """For students: check SUBMISSION (a zip, a notebook or a folder) on the public inputs, in the grader's words."""
    from grader.commands.check import run_check

    run_check(_homework(), submission)


@main.command()
@click.argument("submission", type=click.Path(path_type=Path))
@click.option(
    "--zip", "autograder", type=click.Path(path_type=Path), default=Path("build/autograder.zip"), show_default=True
)
@click.option("--root", type=click.Path(path_type=Path), default=None, help="Lay out here, for example /autograder.")
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/simulation"), show_default=True)
@click.option("--memory-mib", type=click.FloatRange(min=1), default=768, show_default=True)
@click.option("--cpus", type=click.FloatRange(min=0.05), default=0.5, show_default=True)
@click.option("--limit-s", type=click.FloatRange(min=1), default=600, show_default=True)
def simulate(
    submission: Path, autograder: Path, root: Path | None, out: Path, memory_mib: float, cpus: float, limit_s: float
) -> None:
    """Do with SUBMISSION what the platform would, in its folders and under its limits, as far as this machine can."""
    from grader.commands.simulate import run_simulation

    run_simulation(submission, autograder, root, out, memory_mib=memory_mib, cpus=cpus, wall_s=limit_s)


@main.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("docs/feedback_examples.md"),
    show_default=True,
)
def examples(out: Path) -> None:
    """Write the document that shows what students read about ten mistakes."""
    from grader.commands.examples import write_examples
    from grader.commands.release import need_release_tools

    need_release_tools()
    write_examples(_homework(), out)


@main.group()
def release() -> None:
    """Make what students and the platform get, from the one source."""
    from grader.commands.release import need_release_tools

    need_release_tools()


@release.command()
def templates() -> None:
    """Write student_templates/ from reference/notebooks/."""
    from grader.commands.release import release_templates

    release_templates(_homework())


@release.command()
def example() -> None:
    """Write examples/hw4_submission.zip, a realistic submission with three mistakes in it."""
    from grader.commands.release import release_example

    release_example(_homework())


_RUBRIC = click.option(
    "--rubric", type=click.Path(path_type=Path), default=None, help="A rubric other than the homework's."
)


@release.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/solutions"), show_default=True)
@click.option(
    "--full", is_flag=True, help="Train on CIFAR-10 (GRADER_CIFAR10) as handed out: a day of a CPU, and it resumes."
)
def solutions(out: Path, full: bool) -> None:
    """Execute the solved notebooks; write them, HTML, PDF, the written answers and the solved submission."""
    from grader.commands.release import release_solutions

    release_solutions(_homework(), out, full=full)


@release.command()
@click.option("--out", type=click.Path(path_type=Path), default=Path("build/autograder.zip"), show_default=True)
@_RUBRIC
@click.option(
    "--verdicts", type=click.Path(path_type=Path), default=None, help="A class graded on a GPU: embed its verdicts."
)
def autograder(out: Path, rubric: Path | None, verdicts: Path | None) -> None:
    """Write the zip for Gradescope, if it grades what is right and what is wrong as it should."""
    from grader.commands.release import release_autograder

    release_autograder(_homework(), out, rubric, verdicts)


@release.command(name="all")
@click.option("--out", type=click.Path(path_type=Path), default=Path("build"), show_default=True, help="Folder.")
@_RUBRIC
def everything(out: Path, rubric: Path | None) -> None:
    """Write the autograder, the templates, the example and the solutions."""
    from grader.commands.release import release_all

    release_all(_homework(), out, rubric)


@main.command()
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default=None,
    help="Where the table goes; the homework's own place if not given.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("build/calibration.svg"),
    show_default=True,
    help="Where its picture goes.",
)
@_jobs
def calibrate(out: Path | None, plot: Path, jobs: int) -> None:
    """Measure every tolerance anew and write the table that the checks read."""
    from grader.commands.calibrate import run_calibration

    run_calibration(_homework(), out, plot, jobs=jobs)


@main.group(invoke_without_command=True)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("build/trust"),
    show_default=True,
    help="Folder for the report.",
)
@click.option("--quick", is_flag=True, help="A subset, in about a minute.")
@_jobs
@click.pass_context
def trust(context: click.Context, out: Path, quick: bool, jobs: int) -> None:
    """Grade submissions whose judgement is known, and report how far the grader can be trusted."""
    if context.invoked_subcommand is None:
        from grader.commands.trust import require_trust, run_trust

        require_trust(run_trust(_homework(), out, quick=quick, jobs=jobs))


@trust.command()
@_jobs
def mutants(jobs: int) -> None:
    """Ask every mutant of the solved functions its questions, and list what survives."""
    from grader.commands.trust import run_mutants

    run_mutants(_homework(), jobs=jobs)


def _restart_clean() -> None:
    """
    Start this program anew with a clean environment.

    Workers are forks of this process and can read the environment that it was started with; it may hold tokens
    of the platform or of the staff.
    """
    if os.environ.get(_CLEAN_MARK):
        return
    kept = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
    # A second thread before the fork would be one too many: OpenBLAS starts its own at import.
    environment = {**kept, _CLEAN_MARK: "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    sys.stdout.flush()
    os.execve(sys.executable, [sys.executable, "-I", "-B", __file__, *sys.argv[1:]], environment)


def run() -> None:
    """Run the command line; an error that the staff can act on is shown in two sentences, without a traceback."""
    try:
        main(prog_name="python -m grader")
    except StaffError as error:
        click.echo(f"Error: {error.happened}\n{error.try_next}", err=True)
        sys.exit(2)


if __name__ == "__main__":
    run()
