"""The report's page: what stands in it, what does not, and how it looks in a browser."""

from __future__ import annotations

import html
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from grader.fleet.page import bars, page, write_page
from grader.fleet.record import GRADED
from grader.fleet.schedule import GradedClass
from grader.fleet.statistics import figures_of, names_in
from tests.fleet.paper import a_class, a_graded, a_report, a_test


def words_of(text: str) -> str:
    """Return a page as its words, without tags."""
    return " ".join(html.unescape(re.sub(r"<style>.*?</style>|<[^>]+>", " ", text, flags=re.DOTALL)).split())


def test_the_page_has_the_figures_of_the_records(paper_class: GradedClass) -> None:
    """Counts, mean, bars and each question's line are those that the records give."""
    shown = words_of(page(paper_class, figures_of(paper_class), anonymous=False))
    graded = [item.record.results for item in paper_class.graded if item.record.status == GRADED]
    scores = [report["score"] for report in graded]

    assert f"{len(scores)} graded 2 not graded 1 not handed in" in shown
    assert f"{sum(scores) / len(scores):.1f} mean of 21" in shown
    for index, test in enumerate(graded[0]["tests"]):
        earned = [report["tests"][index]["score"] / test["max_score"] for report in graded]
        assert f"{test['number']} Question {test['number']} {index + 1:g} {sum(earned) / len(earned):.2f}" in shown
    for low in range(10):
        count = sum(min(9, int(10 * score / 21)) == low for score in scores)
        assert f"{21 * low / 10:g} to {21 * (low + 1) / 10:g} points: {count}." in shown
    assert "S39 Person" in shown or "S3 Person" in shown
    assert "the machine went away" in shown


def test_bars_are_as_high_as_their_counts(paper_class: GradedClass) -> None:
    """Heights are proportional, and no bar leaves the drawing."""
    figures = figures_of(paper_class)
    drawn = bars(figures)
    most = max(figures.histogram)

    full = max(bar.height for bar in drawn)
    assert [bar.height for bar in drawn] == pytest.approx([full * count / most for count in figures.histogram], abs=0.1)
    assert all(bar.x >= 0 and bar.y >= 0 and bar.x + bar.width <= 640 for bar in drawn)


def test_the_anonymous_page_names_nobody(paper_class: GradedClass) -> None:
    """No name, address or id of anybody, no submission's id, and no groups of near copies."""
    shown = page(paper_class, figures_of(paper_class), anonymous=True).lower()

    # Pieces of names that are words of the page itself are no names.
    assert not [name for name in names_in(paper_class.graded) if re.search(rf"\b{re.escape(name.lower())}\b", shown)]
    assert not [item for item in paper_class.graded if item.entry.id in shown]
    assert "nearly equal" not in shown
    assert "submission 1" in shown


def test_the_page_needs_nothing_else(paper_class: GradedClass) -> None:
    """No script, no address, no other file: it can be mailed and opened anywhere."""
    shown = page(paper_class, figures_of(paper_class), anonymous=False)

    assert "<script" not in shown
    assert not re.findall(r"""(?:src|href)=["'](?!#)""", shown)
    assert "http" not in shown
    assert "url(" not in shown


def test_what_students_write_is_text() -> None:
    """A name or a message with HTML in it is shown as it is, and does nothing."""
    report = a_report(a_test("1", "FAILED", diagnosis=["<b>id</b>"], name="<script>alert(1)</script>"))
    item = a_graded("x", report)
    student = replace(item.entry.students[0], name="<img src=x onerror=alert(1)>")
    hostile = replace(item, entry=replace(item.entry, students=(student,)))

    shown = page(a_class(hostile), figures_of(a_class(hostile)), anonymous=False)

    assert "<script" not in shown
    assert "<img" not in shown
    assert "&lt;img src=x" in shown


def test_code_in_feedback_is_shown_as_code(paper_class: GradedClass) -> None:
    """Backticks of the feedback become code, and nothing inside them becomes HTML."""
    report = a_report(a_test("1", "FAILED", diagnosis=["x.y"], finding="Your `<b>mask</b>` & more."))
    alone = a_class(a_graded("x", report))

    shown = page(alone, figures_of(alone), anonymous=False)

    assert "Your <code>&lt;b&gt;mask&lt;/b&gt;</code> &amp; more." in shown


def test_an_empty_class_has_a_page(paper_class: GradedClass) -> None:
    """Nobody was graded: the page says so."""
    nobody = a_class(*(item for item in paper_class.graded if item.record.status != GRADED))

    assert "0 graded 2 not graded 1 not handed in" in words_of(page(nobody, figures_of(nobody), anonymous=False))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Start the browser once for all tests of this module."""
    chromium = shutil.which("chromium")
    if chromium is None:
        pytest.skip("there is no Chromium here")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.mark.parametrize(("width", "height"), [(1280, 900), (390, 844)], ids=["desktop", "phone"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_reads_on_a_screen(
    browser: Any, paper_class: GradedClass, tmp_path: Path, width: int, height: int, scheme: str
) -> None:
    """Nothing sticks out at the side, all sections are reached by their links, text stands out from its ground."""
    path = write_page(paper_class, figures_of(paper_class), tmp_path, anonymous=False)
    context = browser.new_context(
        viewport={"width": width, "height": height}, color_scheme=scheme, offline=True, java_script_enabled=True
    )
    requests: list[str] = []
    view = context.new_page()
    view.on("request", lambda request: requests.append(request.url))
    view.goto(path.as_uri())

    assert requests == [path.as_uri()]
    assert view.evaluate("document.documentElement.scrollWidth") <= width
    for link in view.locator("nav a").all():
        assert view.locator(str(link.get_attribute("href"))).count() == 1
    assert view.get_by_role("img", name="Distribution of scores").count() == 1
    assert view.locator("th:not([scope])").count() == 0
    assert view.locator("table:not(:has(caption))").count() == 0
    shown = "['body', '.soft', 'a', '.flag'].map(s => document.querySelector(s)).filter(e => e)"
    colours = view.evaluate(f"{shown}.map(e => getComputedStyle(e).color)")
    ground = view.evaluate("getComputedStyle(document.body).backgroundColor")
    assert all(contrast(colour, ground) >= 4.5 for colour in colours)
    context.close()


def contrast(first: str, second: str) -> float:
    """Return the contrast of two colours as WCAG 2 defines it."""

    def luminance(colour: str) -> float:
        parts = [int(part) / 255 for part in re.findall(r"\d+", colour)[:3]]
        linear = [part / 12.92 if part <= 0.03928 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    lighter, darker = sorted((luminance(first), luminance(second)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)
