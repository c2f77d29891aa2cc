"""Text that students control, made safe to show."""

from __future__ import annotations

import unicodedata

# Categories that change how the text around them looks, or that no terminal or browser can show:
# control, format (right-to-left overrides, zero width), surrogate, private use, line and paragraph
# separators.
_UNSHOWABLE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})

# A code span of markdown ends at a backtick; angle brackets start HTML; a backslash would look like our own
# escapes.
_LOOKALIKES = str.maketrans({"`": "'", "<": "‹", ">": "›", "\\": "/"})


def safe_text(text: str, *, limit: int) -> str:
    """
    Return `text` on one line, with unshowable characters escaped, no HTML and no link, `limit` characters at
    most.
    """
    head = text[: limit + 1]
    shown = "".join(_escape(character) for character in head).replace("](", "] (")
    if len(text) > limit or len(shown) > limit:
        return shown[: limit - 1] + "…"
    return shown


def display_name(path: str, *, limit: int = 60) -> str:
    """
    Return a path or a name as it may stand inside a markdown code span.

    A long path keeps its end, where the file's own name is.
    """
    shown = "".join(_escape(character) for character in path[-4 * limit :].translate(_LOOKALIKES))
    return shown if len(shown) <= limit else "…" + shown[1 - limit :]


def quoted(path: str) -> str:
    """Return `display_name` as a markdown code span."""
    return f"`{display_name(path) or ' '}`"


def _escape(character: str) -> str:
    if character == " ":
        return character
    if unicodedata.category(character) in _UNSHOWABLE:
        return f"\\u{ord(character):04x}"
    return {"<": "‹", ">": "›"}.get(character, character)
