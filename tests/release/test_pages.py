"""Pages and PDF files: formulas are readable without a network, and the same page is printed in the same bytes."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import nbformat
import pytest

from grader.release.pages import markdown_body, markdown_page, notebook_page
from grader.release.printing import print_page, printer, without_dates

needs_chromium = pytest.mark.skipif(shutil.which("chromium") is None, reason="there is no Chromium to print with")


def small_notebook() -> nbformat.NotebookNode:
    """Return a notebook with a formula, code, text and a picture of one pixel."""
    pixel = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
    shown = nbformat.v4.new_output("display_data", data={"image/png": pixel, "text/plain": "<Figure>"})
    said = nbformat.v4.new_output("stream", name="stdout", text="costs $5 and $6\n")
    return nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("# A title\n\nWith $\\beta_0 < c_0$ and\n\n$$\\frac{1}{2}$$"),
            nbformat.v4.new_code_cell("price = '$1 and $2'", outputs=[said, shown], execution_count=1),
        ]
    )


def test_formulas_become_mathml() -> None:
    """Formulas in a line and displayed become MathML; no dollar and no backslash of them is left."""
    body = markdown_body("Let $\\hat\\beta = A^+ y$, so\n\n$$\\begin{bmatrix} c_0 \\\\ c_1 \\end{bmatrix}.$$\n")

    assert body.count("<math") == 2
    assert 'display="block"' in body
    assert "<mtable>" in body
    assert not re.search(r"[$\\]", re.sub(r"<[^>]*>", "", body))


def test_dollars_that_are_no_formula_stay() -> None:
    """A single dollar, an escaped one, and dollars in code are left alone."""
    body = markdown_body("It costs 5 $ or 6 $.\n\nCode: `$x$`.\n\n```\n$y$ and $z$\n```\n")

    assert "<math" not in body
    assert "5 $" in body
    assert "$x$" in body
    assert "$y$ and $z$" in body


def test_a_notebook_is_one_page_that_needs_no_network() -> None:
    """Title, code, outputs and pictures are inside; nothing is fetched and no script is run."""
    page = notebook_page(small_notebook())

    assert "<title>A title</title>" in page
    assert page.count("<math") == 2
    assert "costs $5 and $6" in page
    assert "data:image/png;base64," in page
    assert "<script" not in page
    assert not re.findall(r'(?:src|href)="(?!data:|#)', page)
    assert "@import" not in page


def test_markdown_is_a_page_with_its_heading_as_title() -> None:
    """Written answers become a page of the same kind."""
    page = markdown_page("# Written answers\n\n## (a)\n\n> Asked\n\n$A$\n")

    assert "<title>Written answers</title>" in page
    assert "<blockquote>" in page


def test_only_dates_of_a_pdf_change() -> None:
    """Dates are overwritten in as many bytes, so that the table of offsets stays right."""
    data = b"<</Title (a)\n/CreationDate (D:20261125101112+00'00')\n/ModDate (D:20261125101112+00'00')>> (D:2026)"

    fixed = without_dates(data)

    assert len(fixed) == len(data)
    assert fixed.count(b"D:20221122120000+00'00'") == 2
    assert fixed.endswith(b"(D:2026)")


@needs_chromium
def test_a_page_is_printed_in_the_same_bytes(tmp_path: Path) -> None:
    """Two prints of a page are equal, and are PDF files."""
    page = tmp_path / "page.html"
    page.write_text(notebook_page(small_notebook()), encoding="utf-8")
    with printer() as browser:
        for name in ("one.pdf", "two.pdf"):
            print_page(browser, page, tmp_path / name)

    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")
    assert (tmp_path / "one.pdf").read_bytes() == (tmp_path / "two.pdf").read_bytes()
