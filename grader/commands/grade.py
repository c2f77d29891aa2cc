"""`grade`: one submission, with progress and a table."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from grader.errors import StaffError
from grader.feedback.terminal import print_report
from grader.pipeline.profile import Profile
from grader.pipeline.run import SECRET_FILE, Settings, grade_submission, usual_staff_tests
from grader.rubric import DEFAULT_RUBRIC


def run_grading(
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

    Raises:
        StaffError: no report could be written. Where one was, this returns, whatever the report says.
    """
    if not submission.exists():
        raise StaffError(happened=f"There is no {submission}.", try_next="Name a zip, a notebook or a folder.")
    console = Console()
    measured = Profile(sampling=profile)
    settings = Settings(
        rubric=rubric or DEFAULT_RUBRIC,
        out=out,
        device=choose_device(device),
        secret_file=Path(os.environ.get("GRADER_SECRET_FILE", SECRET_FILE)),
        staff_tests=staff_questions or usual_staff_tests(),
        on_step=lambda step: console.print(f"[dim]{escape(step)}[/dim]", highlight=False),
        profile=measured,
    )
    results = out / "results.json"
    results.unlink(missing_ok=True)  # one of an earlier run must not pass for this one's
    try:
        print_report(grade_submission(submission, settings).judgements, console)
    except StaffError as error:
        if not results.exists():
            raise
        console.print(f"[red]{escape(str(error))}[/red] The report says what was not graded.", highlight=False)
    console.print(f"Written: {escape(str(results))}", highlight=False)
    if profile:
        _print_profile(measured, console)


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
