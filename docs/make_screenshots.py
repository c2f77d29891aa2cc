"""
Make docs/images anew: the pages of the example submission and a made-up class's report, on a desktop and a phone.

    python docs/make_screenshots.py
"""

from __future__ import annotations

import io
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml
from PIL import Image
from playwright.sync_api import Browser, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
IMAGES = ROOT / "docs" / "images"
# Name of the picture -> page, width and height of the screen, and what of the page to show, if not the top.
SHOTS = {
    "student-desktop": ("preview.student", 1100, 1000, ""),
    "staff-desktop": ("preview.staff", 1100, 1000, "details:has(.number:text-is('3.1'))"),
    "student-phone": ("preview.student", 390, 844, "details:has(.number:text-is('3.1'))"),
    "staff-phone": ("preview.staff", 390, 844, "details:has(.number:text-is('7.6'))"),
    "class-desktop": ("class/report", 1100, 1000, ""),
    "class-phone": ("class/report", 390, 844, "#mistakes"),
}
_STUDENTS = 16
_COLOURS = 128  # enough for text and flat areas, at a third of the bytes


def main() -> None:
    """Grade the example and a class, make their pages, take pictures of them."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rubric = _vision_rubric(folder / "rubric.yaml")
        for module, *arguments in (
            ("grader", "grade", str(ROOT / "examples" / "hw4_submission.zip"), "--out", name),
            ("grader", "preview", str(folder / "results.json")),
            ("benchmarks.demo_class", "--students", str(_STUDENTS), "--out", str(folder / "students")),
            (
                "grader",
                "class",
                str(folder / "students" / "export"),
                "--out",
                str(folder / "class"),
                "--rubric",
                rubric,
            ),
        ):
            subprocess.run([sys.executable, "-m", module, *arguments], cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(
                executable_path="/usr/bin/chromium", args=["--no-sandbox", "--disable-gpu", "--no-first-run"]
            )
            IMAGES.mkdir(exist_ok=True)
            for image, (view, width, height, shown) in SHOTS.items():
                path = IMAGES / f"{image}.png"
                path.write_bytes(_shoot(browser, folder / f"{view}.html", width, height, shown))
                print(f"Written: {path.relative_to(ROOT)} ({path.stat().st_size / 1000:.0f} kB)")
            browser.close()


def _vision_rubric(path: Path) -> str:
    """Write the rubric of the vision half, which is what the made-up students hand in."""
    content = yaml.safe_load((ROOT / "homework" / "rubric.yaml").read_text(encoding="utf-8"))
    for entry in content["parts"]["metalearning"]:
        entry["enabled"] = False
    path.write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    return str(path)


def _shoot(browser: Browser, page_file: Path, width: int, height: int, shown: str) -> bytes:
    context = browser.new_context(viewport={"width": width, "height": height}, color_scheme="light")
    page = context.new_page()
    page.goto(page_file.as_uri())
    if shown:
        place = page.locator(shown).first
        place.evaluate("element => { element.open = true; element.scrollIntoView(); scrollBy(0, -24) }")
    shot = Image.open(io.BytesIO(page.screenshot()))
    context.close()
    packed = io.BytesIO()
    shot.convert("RGB").quantize(_COLOURS).save(packed, format="PNG", optimize=True)
    return packed.getvalue()


if __name__ == "__main__":
    main()
