"""`release`: make what students and the platform get."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from grader.errors import StaffError

ROOT = Path(__file__).parents[2]


def release_templates() -> None:
    """Write the students' notebooks and what they load."""
    from grader.release.templates import write_templates

    _print_written(write_templates(ROOT / "student_templates"))


def release_example() -> None:
    """Write the example submission."""
    from grader.release.submissions import write_example_submission

    path = ROOT / "examples" / "hw4_submission.zip"
    path.parent.mkdir(exist_ok=True)
    write_example_submission(path)
    _print_written([path])


def release_autograder(path: Path, rubric: Path | None, verdicts: Path | None) -> None:
    """Write the zip that staff upload to Gradescope, with the verdicts of a class that was graded here, if any."""
    from grader.fleet.relay import verdict_files
    from grader.release.autograder import write_autograder
    from grader.rubric import DEFAULT_RUBRIC

    console = Console()
    extra = verdict_files(verdicts, rubric or DEFAULT_RUBRIC) if verdicts is not None else None
    write_autograder(
        path,
        rubric=rubric or DEFAULT_RUBRIC,
        extra=extra,
        on_step=lambda step: console.print(f"[dim]{escape(step)}[/dim]", highlight=False),
    )
    console.print(f"Written: {escape(str(path))}. Upload it on Gradescope under Configure Autograder.", highlight=False)


def need_release_tools() -> None:
    """
    Make sure that what releases need is installed; grading alone does without.

    Raises:
        StaffError: it is not.
    """
    if importlib.util.find_spec("jupytext") is None or importlib.util.find_spec("nbformat") is None:
        raise StaffError(
            happened="What releases need is not installed.", try_next="Run ./setup.sh --dev once, then this again."
        )


def _print_written(paths: list[Path]) -> None:
    console = Console()
    for path in paths:
        console.print(f"Written: {escape(str(path.relative_to(ROOT)))}", highlight=False)
