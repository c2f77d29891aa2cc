"""
The platform's output formats as HTML that is safe to show.

Whoever wrote the text: no script, no style, no address that a browser would fetch, no headings (the page has its own).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from html import escape
from html.parser import HTMLParser

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markupsafe import Markup

_BLOCKS = frozenset(
    {
        "p",
        "pre",
        "blockquote",
        "ul",
        "ol",
        "li",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
        "dl",
        "dt",
        "dd",
        "div",
        "hr",
    }
)
_ALLOWED = _BLOCKS | frozenset(
    {"a", "b", "strong", "i", "em", "u", "s", "code", "kbd", "samp", "sub", "sup", "small", "span", "br", "del", "ins"}
)
_VOID = frozenset({"br", "hr"})
_DROPPED = frozenset({"script", "style", "template", "iframe", "title", "textarea", "select"})
_HEADINGS = frozenset(f"h{level}" for level in range(1, 7))
_SAFE_LINK = re.compile(r"(https?://|mailto:|#)", re.IGNORECASE)
_SGR = re.compile(r"\x1b\[([0-9;]*)m")
_OTHER_ESCAPES = re.compile(r"\x1b(\[[0-9;?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)?|.)?")
_LONGEST_CODE = 3  # digits; Python refuses to read thousands of them, and no longer one means anything
_COLOURS = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")


@lru_cache(maxsize=2048)  # a class reads the same words again and again
def to_html(text: str, output_format: str) -> Markup:
    """Return a text in one of the platform's formats as safe HTML."""
    return Markup(_RENDERERS[output_format](text))  # each renderer escapes what it does not build


def name_to_text(text: str) -> str:
    """Return a test's name in one line."""
    return " ".join(text.split())


def _markdown() -> MarkdownIt:
    # "image" would make a browser fetch an address; raw HTML is shown as the text that it is.
    parser = MarkdownIt("commonmark", {"html": False, "linkify": False}).enable("table").disable("image")
    parser.add_render_rule("heading_open", _heading_open)
    parser.add_render_rule("heading_close", _heading_close)
    return parser


def _heading_open(_: RendererHTML, *__: object) -> str:
    return '<p class="heading"><strong>'


def _heading_close(_: RendererHTML, *__: object) -> str:
    return "</strong></p>\n"


_PARSER = _markdown()


def _from_markdown(text: str) -> str:
    return str(_PARSER.render(text))


def _from_text(text: str) -> str:
    return f"<pre>{escape(text)}</pre>" if text.strip() else ""


class _Sanitiser(HTMLParser):
    """Keeps the text and the harmless tags, closes what was left open."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.parts: list[str] = []
        self._open: list[str] = []
        self._dropped = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep an allowed tag, of whose attributes only a link's address stays."""
        if tag in _DROPPED:
            self._dropped += 1
        if self._dropped or (tag not in _ALLOWED and tag not in _HEADINGS):
            return
        if tag in _HEADINGS:
            self.parts.append('<p class="heading">')
            self._open.append(tag)
            return
        address = dict(attrs).get("href") or ""
        link = f' href="{escape(address)}"' if tag == "a" and _SAFE_LINK.match(address) else ""
        self.parts.append(f"<{tag}{link}>")
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Close what is open inside, so that the result nests."""
        if tag in _DROPPED:
            self._dropped = max(self._dropped - 1, 0)
        elif not self._dropped and tag in self._open:
            while (inner := self._open.pop()) != tag:
                self.parts.append(_closing(inner))
            self.parts.append(_closing(tag))

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        if not self._dropped:
            self.parts.append(escape(data))

    def result(self) -> str:
        """Return the sanitised HTML."""
        self.close()
        return "".join(self.parts) + "".join(map(_closing, reversed(self._open)))


def _closing(tag: str) -> str:
    return "</p>" if tag in _HEADINGS else f"</{tag}>"


def _from_html(text: str) -> str:
    sanitiser = _Sanitiser()
    sanitiser.feed(text)
    return sanitiser.result()


def _from_simple(text: str) -> str:
    """Blank lines separate paragraphs, other line ends break lines; tags are sanitised within each paragraph."""
    paragraphs = re.split(r"\n\s*\n", text.replace("\r\n", "\n").strip())
    return "\n".join(f"<p>{_from_html(part).replace(chr(10), '<br>')}</p>" for part in paragraphs if part)


def _from_ansi(text: str) -> str:
    parts, begin, state = [], 0, _Ansi()
    for match in _SGR.finditer(text):
        parts.append(state.wrap(text[begin : match.start()]))
        state = state.after(match.group(1))
        begin = match.end()
    parts.append(state.wrap(text[begin:]))
    return f"<pre>{''.join(parts)}</pre>"


class _Ansi:
    """Colour and weight of terminal text; what a page cannot show, such as moving the cursor, is left out."""

    def __init__(self, colour: str = "", *, bold: bool = False) -> None:
        self.colour, self.bold = colour, bold

    def after(self, codes: str) -> _Ansi:
        """Return the state after a sequence such as "1;31"."""
        colour, bold = self.colour, self.bold
        for code in (int(part or 0) for part in codes.split(";") if len(part) <= _LONGEST_CODE):
            if code == 0:
                colour, bold = "", False
            elif code in (1, 22):
                bold = code == 1
            elif code == 39:
                colour = ""
            elif 30 <= code <= 37 or 90 <= code <= 97:
                colour = _COLOURS[code % 10]
        return _Ansi(colour, bold=bold)

    def wrap(self, text: str) -> str:
        """Return a piece of text in this state."""
        shown = escape(_OTHER_ESCAPES.sub("", text))
        names = [f"ansi-{self.colour}"] * bool(self.colour) + ["ansi-bold"] * self.bold
        return f'<span class="{" ".join(names)}">{shown}</span>' if names and shown else shown


_RENDERERS: dict[str, Callable[[str], str]] = {
    "text": _from_text,
    "html": _from_html,
    "simple_format": _from_simple,
    "md": _from_markdown,
    "ansi": _from_ansi,
}
