"""The pages in a real browser, on a desktop and a phone, with and without JavaScript, in light and dark."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser

from grader.commands.preview import write_previews
from homework.homework import HOMEWORK
from tests.browsing import SIZES, Visit, launched
from tests.preview.samples import SECRETS, STAFF_ONLY, all_results, visible_results
from tests.preview.test_views import METADATA, write

VIEWS = ("student", "staff")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Return one browser for all tests."""
    with launched() as running:
        yield running


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with both pages of results with hidden tests ("some") and without ("all")."""
    made = tmp_path_factory.mktemp("pages")
    metadata = write(made / "metadata.json", METADATA)
    for name, results in (("some", all_results()), ("all", visible_results())):
        source = write(made / f"{name}.json", results)
        write_previews(HOMEWORK, source, out=made / f"{name}.html", metadata=metadata, moment="auto", view="both")
    return made


# In one go: everything that a look at the laid-out page can tell.
MEASURE = """() => {
  const wide = [...document.querySelectorAll('body *')].filter(element => {
    const box = element.getBoundingClientRect();
    return box.width && box.right > innerWidth + 0.5 && !element.closest('pre, table, .unseen, .skip, svg svg');
  }).map(element => element.tagName + ' ' + element.className + ' ' + element.textContent.slice(0, 40));
  const small = [...document.querySelectorAll('summary, .map a')].filter(element => {
    const box = element.getBoundingClientRect();
    return box.width < 24 || box.height < 24;
  }).length;
  return {
    scrollWidth: document.documentElement.scrollWidth,
    wide, small,
    headings: [...document.querySelectorAll('h1, h2, h3, h4, h5, h6')].map(element => Number(element.tagName[1])),
    ids: [...document.querySelectorAll('[id]')].map(element => element.id),
    landmarks: ['header', 'main', 'footer'].map(name => document.querySelectorAll('body > ' + name).length),
    lang: document.documentElement.lang,
    scripts: document.scripts.length,
  };
}"""


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize("size", SIZES)
def test_a_page_fits_its_screen(browser: Browser, folder: Path, size: str, view: str) -> None:
    """With everything open nothing is wider than the screen, headings step by one, and the console is silent."""
    with Visit(browser, folder / f"some.{view}.html", size=size) as visit:
        visit.page.evaluate("document.querySelectorAll('details').forEach(element => { element.open = true })")
        measured = visit.page.evaluate(MEASURE)

        assert measured["scrollWidth"] <= SIZES[size][0]
        assert measured["wide"] == []
        assert measured["small"] == 0
        levels = measured["headings"]
        assert levels[0] == 1
        assert levels.count(1) == 1
        assert all(after <= before + 1 for before, after in pairwise(levels))
        assert len(set(measured["ids"])) == len(measured["ids"])
        assert measured["landmarks"] == [1, 1, 1]
        assert (measured["lang"], measured["scripts"]) == ("en", 0)
        assert visit.problems == []
        assert visit.requests == [(folder / f"some.{view}.html").as_uri()]


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without JavaScript"])
@pytest.mark.parametrize("size", ["desktop", "phone"])
def test_questions_open_by_keyboard_and_by_link(browser: Browser, folder: Path, size: str, scripts: bool) -> None:
    """The first question that is not right is open; Enter opens another, and so does its number at the top."""
    with Visit(browser, folder / "some.student.html", size=size, java_script_enabled=scripts) as visit:
        page, questions = visit.page, visit.page.locator("details.question")
        assert page.locator("details[open]").count() == 1
        assert "2.1" in page.locator("details[open] summary").inner_text()

        questions.nth(0).locator("summary").focus()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        assert questions.nth(0).get_attribute("open") is not None
        assert questions.nth(0).locator(".output").is_visible()

        page.locator(".map a", has_text="7.2").click()
        page.locator("#question-6").wait_for(state="visible")
        assert questions.nth(5).get_attribute("open") is not None
        assert visit.problems == []


def test_the_first_tab_offers_to_skip_to_the_questions(browser: Browser, folder: Path) -> None:
    """The link is out of sight until it has the focus."""
    with Visit(browser, folder / "all.student.html") as visit:
        link = visit.page.locator(".skip")
        box = link.bounding_box()
        assert box is not None
        assert box["y"] < 0

        visit.page.keyboard.press("Tab")
        visit.page.wait_for_function("document.querySelector('.skip').getBoundingClientRect().top >= 0")
        visit.page.keyboard.press("Enter")

        assert visit.page.evaluate("document.activeElement.id") == "questions"


@pytest.mark.parametrize("scripts", [True, False], ids=["with JavaScript", "without JavaScript"])
def test_a_student_finds_nothing_hidden(browser: Browser, folder: Path, scripts: bool) -> None:
    """Neither in the text nor in any attribute of the document that the browser has made of the page."""
    with Visit(browser, folder / "some.student.html", java_script_enabled=scripts) as visit:
        content = visit.page.content()

    assert "patchify: values" in content
    assert [word for word in STAFF_ONLY if word in content] == []
    assert [word for words in SECRETS.values() for word in words if word in content] == []


def test_every_picture_is_drawn_and_named(browser: Browser, folder: Path) -> None:
    """Four pictures of some size; their names are what a screen reader says."""
    with Visit(browser, folder / "some.student.html", size="phone") as visit:
        pictures = visit.page.get_by_role("img")
        assert pictures.count() == 4
        for index in range(4):
            box = pictures.nth(index).bounding_box()
            assert box is not None
            assert box["width"] > 200
            assert box["x"] + box["width"] <= SIZES["phone"][0]
        assert visit.page.get_by_role("img", name="A trajectory picture.").count() == 1
        loaded = "[...document.querySelectorAll('figure image')].length"
        assert visit.page.evaluate(loaded) == 9


# The contrast of every text, from the colours as rendered; of marks in pictures against the sheet as well.
CONTRAST = """() => {
  const channels = colour => (colour.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => {
    const linear = [r, g, b].map(v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2];
  };
  const behind = element => {
    for (let at = element; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const ratio = (a, b) => {
    const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
    return (x + 0.05) / (y + 0.05);
  };
  const found = {};
  const note = (kind, element, colour) => {
    const value = ratio(channels(colour), behind(element.closest('svg')?.parentElement || element));
    if (!(kind in found) || value < found[kind]) found[kind] = value;
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const element = walker.currentNode.parentElement;
    if (!walker.currentNode.data.trim() || element.closest('title, desc')) continue;
    const style = getComputedStyle(element);
    const kind = element.closest('svg') ? 'picture text' : (element.className || element.tagName);
    note(kind, element, element.closest('svg') ? style.fill : style.color);
  }
  for (const name of ['student', 'reference', 'reference-end', 'circle'])
    for (const element of document.querySelectorAll('.picture .' + name))
      note('mark ' + name, element, getComputedStyle(element).stroke);
  for (const name of ['student-dot', 'removed', 'start'])
    for (const element of document.querySelectorAll('.picture .' + name))
      note('mark ' + name, element, getComputedStyle(element).fill);
  return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("view", VIEWS)
def test_contrast_is_enough_to_read(browser: Browser, folder: Path, scheme: Any, view: str) -> None:
    """Light and dark as the reader's system asks for; 4.5 for every text and 3 for every mark, as WCAG's AA has it."""
    with Visit(browser, folder / f"some.{view}.html", color_scheme=scheme) as visit:
        visit.page.evaluate("document.querySelectorAll('details').forEach(element => { element.open = true })")
        found = visit.page.evaluate(CONTRAST)
        paper = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")

    assert paper == {"light": "rgb(251, 250, 247)", "dark": "rgb(20, 23, 27)"}[scheme]
    assert len(found) > 20
    assert {kind: value for kind, value in found.items() if value < (3 if kind.startswith("mark") else 4.5)} == {}


@pytest.mark.parametrize(
    ("uid", "apt", "outcome", "said"),
    [
        (0, "/usr/bin/apt-get", pytest.fail.Exception, "run ./setup.sh --dev again"),
        (0, None, pytest.skip.Exception, "only for root on Debian or Ubuntu"),
        (1000, "/usr/bin/apt-get", pytest.skip.Exception, "only for root on Debian or Ubuntu"),
    ],
)
def test_without_chromium_these_tests_fail_only_where_it_was_installed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, uid: int, apt: str | None, outcome: Any, said: str
) -> None:
    """Root on Debian has it from setup.sh; for others a skip says why."""
    monkeypatch.setattr("os.geteuid", lambda: uid)
    monkeypatch.setattr("shutil.which", lambda _: apt)

    with pytest.raises(outcome, match=said), launched(tmp_path / "chromium"):
        pass
