"""`preview`: pages of a results.json as students and staff see it."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from grader.errors import StaffError
from grader.pipeline.homework import Homework


def write_previews(
    homework: Homework, results: Path, *, out: Path | None, metadata: Path | None, moment: str, view: str
) -> list[Path]:
    """Write the pages and say where they are; arguments and errors as for `make_previews`."""
    written = make_previews(homework, results, out=out, metadata=metadata, moment=moment, view=view)
    console = Console()
    for path in written:
        console.print(f"Written: {escape(str(path))}", highlight=False)
    return written


def make_previews(
    homework: Homework, results: Path, *, out: Path | None, metadata: Path | None, moment: str, view: str
) -> list[Path]:
    """
    Write the pages.

    Args:
        homework: what was graded.
        results: a results.json, or the folder that holds it.
        out: the page; with both views, each page's name has its viewer before the suffix.
        metadata: a submission_metadata.json, or None.
        moment: "auto", "before-due", "after-due" or "published".
        view: "student", "staff" or "both".

    Returns:
        The pages written.

    Raises:
        StaffError: a file is not what it should be, or what pages are made with is not installed.
    """
    need_page_tools()
    from grader.preview.page import render_page
    from grader.preview.report import read_report, read_submission
    from grader.preview.views import Moment, Viewer, moment_of

    if results.is_dir():
        results = results / "results.json"
    report = read_report(results, {part.name: part.title for part in homework.parts})
    submission = read_submission(metadata) if metadata is not None else None
    when = moment_of(submission) if moment == "auto" else Moment[moment.replace("-", "_").upper()]
    page = out or results.with_name("preview.html")
    viewers = list(Viewer) if view == "both" else [Viewer(view)]
    written = []
    for viewer in viewers:
        # Two files: whoever is sent the student's page gets nothing else with it.
        path = page if len(viewers) == 1 and out is not None else page.with_suffix(f".{viewer.value}{page.suffix}")
        path.parent.mkdir(parents=True, exist_ok=True)
        rendered = render_page(report, viewer=viewer, moment=when, submission=submission)
        path.write_bytes(rendered.encode("utf-8", errors="replace"))  # JSON can hold half of a surrogate pair
        written.append(path)
    return written


def need_page_tools() -> None:
    """
    Make sure that what pages are made with is installed; grading does without.

    Raises:
        StaffError: it is not.
    """
    if importlib.util.find_spec("jinja2") is None or importlib.util.find_spec("markdown_it") is None:
        raise StaffError(
            happened="What previews need is not installed.", try_next="Run ./setup.sh --dev once, then this again."
        )
