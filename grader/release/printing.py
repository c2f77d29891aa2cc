"""PDF files of HTML pages, printed by Debian's Chromium: no TeX, no download, the same bytes each time."""

from __future__ import annotations

import contextlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from grader.errors import StaffError

if TYPE_CHECKING:
    from playwright.sync_api import Browser

_DATE = b"D:20221122120000+00'00'"  # the one date of everything that is released
_DATED = re.compile(rb"/(CreationDate|ModDate) ?\((D:[^)]*)\)")
_FOOTER = (
    '<div style="width: 100%; font-size: 7pt; text-align: center; color: #666">'
    '<span class="pageNumber"></span> / <span class="totalPages"></span></div>'
)


@contextlib.contextmanager
def printer() -> Iterator[Browser]:
    """
    Start the browser that prints, and end it afterwards.

    Raises:
        StaffError: there is none.
    """
    from playwright.sync_api import sync_playwright

    program = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if program is None:
        raise StaffError(
            happened="There is no Chromium, which prints the PDF files.",
            try_next="Run ./setup.sh --dev as root, or install the Debian package chromium.",
        )
    with sync_playwright() as playwright:
        # Root may not use Chromium's own sandbox; the pages are ours.
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox", "--disable-gpu"])
        try:
            yield browser
        finally:
            browser.close()


def print_page(browser: Browser, page: Path, pdf: Path) -> None:
    """Print an HTML file; anything that it would fetch from a network is not fetched."""
    context = browser.new_context(offline=True)
    try:
        tab = context.new_page()
        tab.goto(page.resolve().as_uri())
        data = tab.pdf(
            format="A4",
            margin={"top": "16mm", "bottom": "16mm", "left": "15mm", "right": "15mm"},
            print_background=True,
            display_header_footer=True,
            header_template="<span></span>",
            footer_template=_FOOTER,
        )
    finally:
        context.close()
    pdf.write_bytes(without_dates(data))


def without_dates(data: bytes) -> bytes:
    """Return a PDF in which the time of printing is a fixed one, written in as many bytes: offsets stay right."""

    def fixed(match: re.Match[bytes]) -> bytes:
        date = _DATE[: len(match[2])].ljust(len(match[2]))
        return match[0].replace(match[2], date)

    return _DATED.sub(fixed, data)
