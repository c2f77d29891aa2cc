"""`release`: make what students, the platform and the staff get."""

from __future__ import annotations

import contextlib
import importlib.util
import os
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from grader.commands.grade import choose_device
from grader.errors import StaffError

if TYPE_CHECKING:
    from grader.release.progress import OnStep, Step

ROOT = Path(__file__).parents[2]
TEMPLATES = ROOT / "student_templates"
EXAMPLE = ROOT / "examples" / "hw4_submission.zip"
_NEEDED = ("jupytext", "nbformat", "nbclient", "nbconvert", "ipykernel", "latex2mathml", "playwright")


def release_templates() -> None:
    """Write the students' notebooks and what they load."""
    with _progress() as on_step:
        names = _make_templates(on_step)
    _say(f"Written: {', '.join(names)} in {_shown(TEMPLATES)}")


def release_example() -> None:
    """Write the example submission."""
    with _progress() as on_step:
        _make_example(on_step)
    _say(f"Written: {_shown(EXAMPLE)}")


def release_solutions(out: Path, *, full: bool = False) -> None:
    """Execute and print the solved notebooks, and write what goes with them."""
    with _progress() as on_step:
        said = _make_solutions(out, on_step, full=full)
    _say(said)


def release_autograder(path: Path, rubric: Path | None, verdicts: Path | None) -> None:
    """Write the zip that staff upload to Gradescope, with the verdicts of a class that was graded here, if any."""
    with _progress() as on_step:
        _make_autograder(path, rubric, on_step, verdicts=verdicts)
    _say(f"Written: {_shown(path)}. Upload it on Gradescope under Configure Autograder.")


def release_all(folder: Path, rubric: Path | None) -> None:
    """Write everything: first the autograder, whose gate compares with what students already have."""
    with _progress() as on_step:
        _make_autograder(folder / "autograder.zip", rubric, on_step)
        _make_templates(on_step)
        _make_example(on_step)
        said = _make_solutions(folder / "solutions", on_step)
    _say(f"Written: {_shown(folder / 'autograder.zip')}, {_shown(TEMPLATES)}, {_shown(EXAMPLE)}. {said}")


def need_release_tools() -> None:
    """
    Make sure that what releases need is installed; grading alone does without.

    Raises:
        StaffError: it is not.
    """
    if any(importlib.util.find_spec(name) is None for name in _NEEDED):
        raise StaffError(
            happened="What releases need is not installed.", try_next="Run ./setup.sh --dev once, then this again."
        )


def _make_templates(on_step: OnStep) -> list[str]:
    from grader.release.atomic import complete_folder
    from grader.release.progress import Step
    from grader.release.templates import write_templates

    on_step(Step("student_templates", 0, 1))
    with complete_folder(TEMPLATES) as folder:
        written = write_templates(folder)
    on_step(Step("student_templates", 1, 1))
    return [path.name for path in written]


def _make_example(on_step: OnStep) -> None:
    from grader.release.progress import Step
    from grader.release.submissions import write_example_submission

    on_step(Step("example submission", 0, 1))
    write_example_submission(EXAMPLE)
    on_step(Step("example submission", 1, 1))


def _make_solutions(out: Path, on_step: OnStep, *, full: bool = False) -> str:
    from grader.release.solutions import write_solutions

    released = write_solutions(out, gpu=choose_device("auto") == "cuda", full=full, on_step=on_step)
    written = f"Written: {len(released.files)} files in {_shown(out)}."
    if released.changed is None:
        return written
    if released.changed:
        return f"{written} Other bytes than before: {', '.join(released.changed)}."
    return f"{written} The same bytes as before in all of them."


def _make_autograder(path: Path, rubric: Path | None, on_step: OnStep, *, verdicts: Path | None = None) -> None:
    from grader.release.autograder import write_autograder
    from grader.rubric import DEFAULT_RUBRIC, load_rubric

    rubric = rubric or DEFAULT_RUBRIC
    load_rubric(rubric)  # a wrong path or option is told at once, not after the minutes of the trust suite
    extra = _relayed_files(verdicts, rubric)
    _require_trust(on_step)
    write_autograder(path, rubric=rubric, extra=extra, on_step=on_step)


def _require_trust(on_step: OnStep) -> None:
    """Refuse to go on if known mistakes or right variants are judged wrong: a part of the trust report, in a minute."""
    from grader.commands.trust import measure, require_trust
    from grader.release.progress import Step

    on_step(Step("trust suite", 0, 1))
    require_trust(measure(quick=True, jobs=os.cpu_count() or 1))
    on_step(Step("trust suite", 1, 1))


def _relayed_files(verdicts: Path | None, rubric: Path) -> dict[str, bytes]:
    if verdicts is None:
        return {}
    from grader.fleet.relay import verdict_files

    return dict(verdict_files(verdicts, rubric))


@contextlib.contextmanager
def _progress() -> Iterator[OnStep]:
    """Show a line with a bar for every task that is spoken of; where nobody watches, only their beginnings."""
    console = Console()
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        tasks: dict[str, TaskID] = {}

        def on_step(step: Step) -> None:
            if step.task not in tasks:
                tasks[step.task] = progress.add_task(step.task, total=step.total)
                if not console.is_terminal:
                    console.print(f"[dim]{escape(step.task)}[/dim]", highlight=False)
            progress.update(tasks[step.task], completed=step.done, total=step.total)

        yield on_step


def _shown(path: Path) -> str:
    return str(path.relative_to(ROOT)) if path.is_relative_to(ROOT) else str(path)


def _say(text: str) -> None:
    Console().print(escape(text), highlight=False, soft_wrap=True)
