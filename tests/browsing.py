"""A browser for tests, and pages opened in it: what goes wrong on a page and what it asks for is written down."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
]
SIZES = {"desktop": (1280, 900), "phone": (390, 844), "narrow": (320, 640)}


@contextmanager
def launched(chromium: Path = CHROMIUM) -> Iterator[Browser]:
    """Start a browser; fail where setup.sh should have installed it, skip where it cannot."""
    if not chromium.exists():
        if os.geteuid() == 0 and shutil.which("apt-get"):
            pytest.fail(f"{chromium} is not there, though setup.sh --dev installs it: run ./setup.sh --dev again.")
        pytest.skip(f"{chromium} is not there, and setup.sh installs it only for root on Debian or Ubuntu.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        yield browser
        browser.close()


class Visit:
    """A page that is open, and what went wrong or was asked for while it was."""

    def __init__(self, browser: Browser, path: Path, *, size: str = "desktop", **options: Any) -> None:
        width, height = SIZES[size]
        self.context = browser.new_context(viewport={"width": width, "height": height}, **options)
        self.page: Page = self.context.new_page()
        self.problems: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.problems.append(message.text))
        self.page.on("pageerror", lambda error: self.problems.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.goto(path.as_uri())

    def __enter__(self) -> Visit:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()
