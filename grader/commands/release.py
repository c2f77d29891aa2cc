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
    from grader.pipeline.homework import Homework
    from grader.release.progress import OnStep, Step

ROOT = Path(__file__).parents[2]
_NEEDED = ("jupytext", "nbformat", "nbclient", "nbconvert", "ipykernel", "latex2mathml", "playwright")


def release_templates(homework: Homework) -> None:
    """Write the students' notebooks and what they load."""
    with _progress() as on_step:
        names = _make_templates(homework, on_step)
    _say(f"Written: {', '.join(names)} in {_shown(homework.templates)}")


def release_example(homework: Homework) -> None:
    """Write the example submission."""
    with _progress() as on_step:
        written = _make_example(homework, on_step)
    if written is None:
        raise StaffError(happened="This homework has no example submission.", try_next="Give its workshop one.")
    _say(f"Written: {_shown(written)}")


def release_solutions(homework: Homework, out: Path, *, full: bool = False) -> None:
    """Execute and print the solved notebooks, and write what goes with them."""
    with _progress() as on_step:
        said = _make_solutions(homework, out, on_step, full=full)
    _say(said)


def release_autograder(homework: Homework, path: Path, rubric: Path | None, verdicts: Path | None) -> None:
    """Write the zip that staff upload to Gradescope, with the verdicts of a class that was graded here, if any."""
    with _progress() as on_step:
        _make_autograder(homework, path, rubric, on_step, verdicts=verdicts)
    _say(f"Written: {_shown(path)}. Upload it on Gradescope under Configure Autograder.")


def release_all(homework: Homework, folder: Path, rubric: Path | None) -> None:
    """Write everything: first the autograder, whose gate compares with what students already have."""
    with _progress() as on_step:
        _make_autograder(homework, folder / "autograder.zip", rubric, on_step)
        _make_templates(homework, on_step)
        example = _make_example(homework, on_step)
        said = _make_solutions(homework, folder / "solutions", on_step)
    written = [folder / "autograder.zip", homework.templates, *([example] if example is not None else [])]
    _say(f"Written: {', '.join(map(_shown, written))}. {said}")


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


def _make_templates(homework: Homework, on_step: OnStep) -> list[str]:
    from grader.release.atomic import complete_folder
    from grader.release.progress import Step
    from grader.release.templates import write_templates
    from grader.release.workshop import workshop_of

    task = homework.templates.name
    on_step(Step(task, 0, 1))
    with complete_folder(homework.templates) as folder:
        written = write_templates(workshop_of(homework), folder)
    on_step(Step(task, 1, 1))
    return [path.name for path in written]


def _make_example(homework: Homework, on_step: OnStep) -> Path | None:
    from grader.release.progress import Step
    from grader.release.workshop import workshop_of

    workshop = workshop_of(homework)
    if workshop.write_example is None or workshop.example is None:
        return None
    on_step(Step("example submission", 0, 1))
    workshop.write_example(workshop.example)
    on_step(Step("example submission", 1, 1))
    return workshop.example


def _make_solutions(homework: Homework, out: Path, on_step: OnStep, *, full: bool = False) -> str:
    from grader.release.solutions import write_solutions
    from grader.release.workshop import workshop_of

    gpu = choose_device("auto") == "cuda"
    released = write_solutions(workshop_of(homework), out, gpu=gpu, full=full, on_step=on_step)
    written = f"Written: {len(released.files)} files in {_shown(out)}."
    if released.changed is None:
        return written
    if released.changed:
        return f"{written} Other bytes than before: {', '.join(released.changed)}."
    return f"{written} The same bytes as before in all of them."


def _make_autograder(
    homework: Homework, path: Path, rubric: Path | None, on_step: OnStep, *, verdicts: Path | None = None
) -> None:
    from grader.release.autograder import write_autograder
    from grader.rubric import load_rubric

    rubric = rubric or homework.rubric
    # A wrong path or option is told at once, not after the minutes of the trust suite.
    load_rubric(rubric, known_parts=homework.part_names)
    extra = _relayed_files(homework, verdicts, rubric)
    _require_trust(homework, on_step)
    write_autograder(homework, path, rubric=rubric, extra=extra, on_step=on_step)


def _require_trust(homework: Homework, on_step: OnStep) -> None:
    """Refuse to go on if known mistakes or right variants are judged wrong: a part of the trust report, in a minute."""
    from grader.commands.trust import measure, require_trust
    from grader.release.progress import Step

    on_step(Step("trust suite", 0, 1))
    require_trust(measure(homework, quick=True, jobs=os.cpu_count() or 1))
    on_step(Step("trust suite", 1, 1))


def _relayed_files(homework: Homework, verdicts: Path | None, rubric: Path) -> dict[str, bytes]:
    if verdicts is None:
        return {}
    from grader.fleet.relay import verdict_files

    return dict(verdict_files(homework, verdicts, rubric))


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
