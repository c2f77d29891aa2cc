"""
Make docs/images anew: the pages of the example submission, on a desktop and a phone.

    python docs/make_screenshots.py
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
# Name of the picture -> page, width and height of the screen, and the number of the question to show, if not the top.
SHOTS = {
    "student-desktop": ("student", 1100, 1000, ""),
    "staff-desktop": ("staff", 1100, 1000, "3.1"),
    "student-phone": ("student", 390, 844, "3.1"),
    "staff-phone": ("staff", 390, 844, "7.6"),
}
_COLOURS = 128  # enough for text and flat areas, at a third of the bytes


def main() -> None:
    """Grade the example, make its pages, take pictures of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for command in (
            ["grade", str(ROOT / "examples" / "hw4_submission.zip"), "--out", name],
            ["preview", str(folder / "results.json")],
        ):
            subprocess.run([sys.executable, "-m", "grader", *command], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu", "--no-first-run"]
            )
            IMAGES.mkdir(exist_ok=True)
            for image, (view, width, height, number) in SHOTS.items():
                path = IMAGES / f"{image}.png"
                path.write_bytes(_shoot(browser, folder / f"preview.{view}.html", width, height, number))
                print(f"Written: {path.relative_to(ROOT)} ({path.stat().st_size / 1000:.0f} kB)")
            browser.close()


def _shoot(browser: Browser, page_file: Path, width: int, height: int, number: str) -> bytes:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="light")
    page = context.new_page()
    page.goto(page_file.as_uri())
    if number:
        question = page.locator("details", has=page.locator(".number", has_text=number)).first
        question.evaluate("element => { element.open = true; element.scrollIntoView(); scrollBy(0, -24) }")
    shot = Image.open(io.BytesIO(page.screenshot()))
    context.close()
    packed = io.BytesIO()
    shot.convert("RGB").quantize(_COLOURS).save(packed, format="PNG", optimize=True)
    return packed.getvalue()


if __name__ == "__main__":
    main()
