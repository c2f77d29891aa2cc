"""Notebooks and Markdown as one HTML file that needs no network: formulas as MathML, pictures and styles inside."""

from __future__ import annotations

import functools
import html
import re
from pathlib import Path

import latex2mathml.converter
from nbconvert import HTMLExporter
from nbconvert.filters.markdown_mistune import markdown2html_mistune
from pygments.formatters import HtmlFormatter

from grader.release.notebooks import NotebookNode

_VERBATIM = re.compile(r"(<pre.*?</pre>|<code.*?</code>)", re.DOTALL)
_FORMULA = re.compile(r"\$\$(?P<display>.+?)\$\$|(?<![\\$])\$(?P<inline>[^\s$](?:[^$]*[^\s$\\])?)\$", re.DOTALL)
_FIRST_HEADING = re.compile(r"^# (.+)$", re.MULTILINE)

_STYLE = Path(__file__).with_name("page.css")


def notebook_page(notebook: NotebookNode) -> str:
    """Return a notebook with its outputs as the text of one HTML file."""
    exporter = HTMLExporter(template_name="basic")
    exporter.register_filter("markdown2html", markdown_body)
    body, _ = exporter.from_notebook_node(notebook)
    return _page(body, title=_title(notebook))


def markdown_page(text: str) -> str:
    """Return Markdown with formulas as the text of one HTML file."""
    heading = _FIRST_HEADING.search(text)
    return _page(markdown_body(text), title=heading[1] if heading else "")


def markdown_body(text: str) -> str:
    """Return Markdown as a piece of HTML, with LaTeX formulas as MathML."""
    pieces = _VERBATIM.split(str(markdown2html_mistune(text)))
    # Every other piece is code, where a dollar is a dollar.
    return "".join(piece if index % 2 else _FORMULA.sub(_to_mathml, piece) for index, piece in enumerate(pieces))


def _to_mathml(formula: re.Match[str]) -> str:
    display = formula["display"] is not None
    latex = html.unescape(formula["display"] if display else formula["inline"]).strip()
    return latex2mathml.converter.convert(latex, display="block" if display else "inline")


def _page(body: str, *, title: str) -> str:
    return (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{html.escape(title)}</title>\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>{_style()}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


@functools.cache
def _style() -> str:
    code = HtmlFormatter(style="friendly").get_style_defs(".highlight")
    return f"{_STYLE.read_text(encoding='utf-8')}{code}"


def _title(notebook: NotebookNode) -> str:
    headings = (_FIRST_HEADING.search(cell.source) for cell in notebook.cells if cell.cell_type == "markdown")
    return next((heading[1] for heading in headings if heading), "")
