"""The page: one report for one viewer as a single HTML file that needs nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from grader.preview.drawing import draw
from grader.preview.formats import name_to_text, to_html
from grader.preview.report import Entry, Report, State, Submission
from grader.preview.views import SEEN_WORDS, Moment, Viewer, student_report

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True)
class Figure:
    """A picture as SVG, or None where only the caption can be shown."""

    svg: Markup | None
    caption: str


@dataclass(frozen=True)
class Item:
    """
    A test as the template shows it.

    Args:
        anchor: the id of its text.
        state: how it ended, which gives its colour, and in the value its words.
        points: "2 / 3", or empty.
        seen: for staff, when students see it.
    """

    anchor: str
    number: str
    name: str
    state: State
    points: str
    output: Markup
    figures: tuple[Figure, ...]
    broken_pictures: int
    facts: tuple[tuple[str, str], ...]
    seen: str


@dataclass(frozen=True)
class Part:
    """A heading, the tests under it, and what they sum to."""

    title: str
    items: tuple[Item, ...]
    right: int
    score: float
    max_score: float

    @property
    def percent(self) -> float:
        """Share of the points, 0 to 100; extra points do not make a bar longer than its frame."""
        return min(100.0, 100 * self.score / self.max_score) if self.max_score else 0.0


def render_page(report: Report, *, viewer: Viewer, moment: Moment, submission: Submission | None = None) -> str:
    """
    Return the page that a viewer would see at a moment.

    Args:
        report: the whole results.json; what a student may not see is taken out here, before anything is drawn.
        viewer: who looks.
        moment: when students look; the staff's page says of each test whether they see it then.
        submission: who handed in, if that is known.
    """
    shown = student_report(report, moment) if viewer is Viewer.STUDENT else report
    parts = _parts(shown, staff=viewer is Viewer.STAFF)
    items = [item for part in parts for item in part.items]
    return (
        _environment()
        .get_template("page.html")
        .render(
            staff=viewer is Viewer.STAFF,
            moment=moment.value,
            submission=submission or Submission(),
            report=shown,
            style=Markup((_TEMPLATES / "page.css").read_text(encoding="utf-8")),
            output=to_html(shown.output, shown.output_format),
            parts=parts,
            items=items,
            first_open=next((item.anchor for item in items if item.state in (State.FAILED, State.PARTIAL)), None),
            stdout_seen=SEEN_WORDS[shown.stdout_visibility],
            report_seen=SEEN_WORDS[shown.visibility],
        )
    )


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    return environment


def _parts(report: Report, *, staff: bool) -> list[Part]:
    """Group the tests by the part that they name, in the order of the report."""
    titles = list(dict.fromkeys(entry.part for entry in report.entries))
    numbered = list(enumerate(report.entries, start=1))
    return [_part(title, [pair for pair in numbered if pair[1].part == title], staff=staff) for title in titles]


def _part(title: str, numbered: list[tuple[int, Entry]], *, staff: bool) -> Part:
    counted = [entry for _, entry in numbered if entry.max_score != 0]
    return Part(
        title=title or "Questions",
        items=tuple(_item(entry, f"question-{index}", staff=staff) for index, entry in numbered),
        right=sum(entry.state is State.PASSED for entry in counted),
        score=sum(entry.score or 0 for entry in counted),
        max_score=sum(entry.max_score or 0 for entry in counted),
    )


def _item(entry: Entry, anchor: str, *, staff: bool) -> Item:
    pictures = enumerate(entry.pictures, start=1)
    return Item(
        anchor=anchor,
        number=entry.number,
        name=name_to_text(entry.name),
        state=entry.state,
        points=_points(entry),
        output=to_html(entry.output, entry.output_format),
        figures=tuple(Figure(draw(each, name=f"{anchor}-{index}"), each.caption) for index, each in pictures),
        broken_pictures=entry.broken_pictures,
        facts=entry.facts,
        seen=SEEN_WORDS[entry.visibility] if staff else "",
    )


def _points(entry: Entry) -> str:
    if not entry.max_score:
        return ""
    return f"{_number(entry.score or 0)} / {_number(entry.max_score)}"


def _number(value: float) -> str:
    return f"{round(value, 2):g}"
