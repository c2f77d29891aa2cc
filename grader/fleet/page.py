"""The report of a class as one page that needs nothing else: no script, no network, no other file."""

from __future__ import annotations

import re
import statistics
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from grader.feedback.text import plain
from grader.fleet.lateness import days_late
from grader.fleet.record import INFRASTRUCTURE, write_whole
from grader.fleet.schedule import Graded, GradedClass
from grader.fleet.statistics import BINS, HELP_RULE, WATCH_RULE, Figures, names_of, pseudonyms

_TEMPLATE = Path(__file__).with_name("page.html.j2")
NO_PAGES: Mapping[str, str] = MappingProxyType({})
_WIDTH, _HEIGHT = 640, 220
_LEFT, _BOTTOM, _TOP = 36, 34, 22


@dataclass(frozen=True)
class Bar:
    """One bar of the histogram, in the drawing's own units."""

    x: float
    y: float
    width: float
    height: float
    label: str
    count: int


def write_page(
    graded_class: GradedClass, figures: Figures, out: Path, *, anonymous: bool, pages: Mapping[str, str] = NO_PAGES
) -> Path:
    """
    Write the report.

    Args:
        graded_class: who was graded.
        figures: of this class.
        out: the folder.
        anonymous: numbers in place of names, and no groups of near copies: for eyes other than the staff's.
        pages: submission -> address of its own page.
    """
    path = out / ("report-anonymous.html" if anonymous else "report.html")
    write_whole(path, page(graded_class, figures, anonymous=anonymous, pages=pages).encode("utf-8", "backslashreplace"))
    return path


def page(graded_class: GradedClass, figures: Figures, *, anonymous: bool, pages: Mapping[str, str] = NO_PAGES) -> str:
    """Return the report as HTML; arguments as for `write_page`."""
    import jinja2  # torch brings it along

    environment = jinja2.Environment(
        autoescape=True, trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    environment.filters["code_spans"] = _code_spans
    environment.filters["plain"] = plain
    names = pseudonyms(graded_class) if anonymous else names_of(graded_class)
    failed = [item for item in figures.not_graded if item.record.status == INFRASTRUCTURE]
    return environment.from_string(_TEMPLATE.read_text(encoding="utf-8")).render(
        title=graded_class.assignment,
        device=graded_class.device,
        grader=graded_class.grader[:12],
        figures=figures,
        failed=failed,
        noted=[item for item in graded_class.graded if item.entry.notes],
        missing=[item for item in figures.not_graded if item.record.status != INFRASTRUCTURE],
        names=names,
        anonymous=anonymous,
        pages=pages,
        due=plain(graded_class.due_at),
        late={
            item.entry.id: _late(days_late(item.entry.created_at, graded_class.due_at)) for item in graded_class.graded
        },
        everybody=_in_order(graded_class, names),
        bars=bars(figures),
        width=_WIDTH,
        height=_HEIGHT,
        left=_LEFT,
        ground=_HEIGHT - _BOTTOM,
        help_rule=HELP_RULE,
        watch_rule=WATCH_RULE,
        median=statistics.median(figures.scores) if figures.scores else 0.0,
    )


def _late(days: int | None) -> str:
    if days is None:
        return ""
    return f"{days} day{'s' if days > 1 else ''} late" if days else "in time"


def _in_order(graded_class: GradedClass, names: Mapping[str, str]) -> list[Graded]:
    """Return everybody by the name that is shown, numbers in it by their value."""

    def key(item: Graded) -> list[tuple[int, int, str]]:
        pieces = re.findall(r"\d{1,18}|\D+", names[item.entry.id].lower())
        return [(0, int(piece), "") if piece.isascii() and piece.isdigit() else (1, 0, piece) for piece in pieces]

    return sorted(graded_class.graded, key=key)


def _code_spans(text: str) -> object:
    """Return feedback as safe HTML: Markdown's code spans as code, everything else as the text that it is."""
    import markupsafe  # comes with jinja2

    return markupsafe.Markup(re.sub(r"`([^`]+)`", r"<code>\1</code>", str(markupsafe.escape(text))))


def bars(figures: Figures) -> list[Bar]:
    """Lay out the histogram."""
    most = max(1, *figures.histogram)
    step = (_WIDTH - _LEFT) / BINS
    room = _HEIGHT - _BOTTOM - _TOP
    drawn = []
    for index, count in enumerate(figures.histogram):
        height = room * count / most
        low, high = (figures.possible * edge / BINS for edge in (index, index + 1))
        x = round(_LEFT + index * step + 3, 1)
        y = round(_HEIGHT - _BOTTOM - height, 1)
        drawn.append(Bar(x, y, round(step - 6, 1), round(height, 1), f"{low:g} to {high:g}", count))
    return drawn
