"""`grade`: one submission, with progress and a table."""

from __future__ import annotations

import logging
import os
import signal
import sys
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from grader.commands.beforehand import require_rubric
from grader.errors import StaffError
from grader.feedback.results import not_graded, write_results
from grader.feedback.terminal import print_report
from grader.intake.collect import require_submission
from grader.pipeline.homework import Homework
from grader.pipeline.profile import Profile
from grader.pipeline.run import SECRET_FILE, CutShort, Settings, grade_submission, usual_staff_tests

logger = logging.getLogger(__name__)

RELAYED = Path(__file__).parents[1] / "relayed"  # verdicts of a run on the staff's machines, in a zip that has some


def run_grading(
    homework: Homework,
    submission: Path,
    out: Path,
    *,
    device: str,
    rubric: Path | None,
    staff_questions: Path | None,
    profile: bool,
) -> None:
    """
    Grade a submission, print progress, the table and, if asked, the profile.

    From the first moment to the last a valid results.json stands in `out`: at first one that says that nothing was
    graded, which also replaces one of an earlier run.

    Raises:
        StaffError: nothing was judged. Where a report was written, this returns, whatever the report says.
    """
    require_submission(submission)
    if rubric is not None:
        require_rubric(homework, rubric)
    if staff_questions is not None and not staff_questions.exists():
        raise StaffError(
            happened=f"There are no staff questions at {staff_questions}.", try_next="Name a file or a folder."
        )
    console = Console()
    measured = Profile(sampling=profile)
    settings = Settings(
        homework=homework,
        rubric=rubric or homework.rubric,
        out=out,
        device=choose_device(device),
        secret_file=Path(os.environ.get("GRADER_SECRET_FILE", SECRET_FILE)),
        staff_tests=staff_questions or usual_staff_tests(),
        on_step=lambda step: console.print(f"[dim]{escape(step)}[/dim]", highlight=False),
        profile=measured,
        data_set=data_set_folder(homework),
    )
    results = out / "results.json"
    write_results(not_graded(), results)
    nothing_graded = results.read_bytes()
    signal.signal(signal.SIGTERM, _cut_short)
    if RELAYED.exists() and _relayed(submission, settings, console):
        return
    try:
        print_report(grade_submission(submission, settings).judgements, console)
    except CutShort:
        raise StaffError(happened="The run was ended before it began to grade.", try_next="Grade again.") from None
    except Exception as error:
        if results.read_bytes() == nothing_graded:
            raise
        if not isinstance(error, StaffError):
            logger.exception("the grader broke down")
        console.print(f"[red]{escape(str(error))}[/red] The report says what was not graded.", highlight=False)
    console.print(f"Written: {escape(str(results))}", highlight=False)
    if profile:
        _print_profile(measured, console)


def data_set_folder(homework: Homework) -> Path | None:
    """Return the folder beside the environments in which setup.sh keeps the homework's data set, or None."""
    folder = Path(sys.prefix).parent / homework.data_set
    return folder if homework.data_set and any(folder.glob("*/.complete")) else None


def _cut_short(*_: object) -> None:
    """End the run at SIGTERM, which the platform sends before it ends what is left by force."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    raise CutShort


def _relayed(submission: Path, settings: Settings, console: Console) -> bool:
    """Take the verdict that came with the release, if it is about these files and everything about it is right."""
    from grader.fleet.relay import relay_to

    assert isinstance(settings.rubric, Path)
    relayed = relay_to(settings.homework, submission, settings.rubric, settings.out, folder=RELAYED)
    if relayed.refused:
        console.print(f"The verdict that came with this release is not taken: {relayed.refused}.", highlight=False)
    if relayed.results is not None:
        console.print(f"Taken from the release: {escape(str(settings.out / 'results.json'))}", highlight=False)
    return relayed.results is not None


def choose_device(device: str) -> str:
    """
    Return "cpu" or "cuda" for "auto", "cpu" or "cuda".

    A GPU is looked for by its device file: asking torch would start CUDA in the process that workers are forked
    from, and a fork of it could not use CUDA any more.

    Raises:
        StaffError: "cuda" was asked for and there is none.
    """
    there = Path("/dev/nvidiactl").exists()
    if device == "cuda" and not there:
        raise StaffError(happened="There is no CUDA device here.", try_next="Grade with --device cpu.")
    return "cuda" if there and device != "cpu" else "cpu"


def _print_profile(profile: Profile, console: Console) -> None:
    profile.finish()
    console.print(f"CPU time {profile.cpu_s:.1f} s, peak memory of all processes {profile.peak_mib:.0f} MiB")
    for name, seconds in sorted(profile.phases.items(), key=lambda item: -item[1])[:12]:
        console.print(f"  {seconds:7.2f} s  {profile.phases_cpu_s[name]:7.2f} s of CPU  {name}")
