"""Text that student code controls, made safe to show."""

from __future__ import annotations

import unicodedata

_MAX_CHARACTERS = 240


def plain(text: object, *, limit: int = _MAX_CHARACTERS) -> str:
    """
    Return one line without control characters, direction overrides or lone surrogates, cut to `limit`.

    Args:
        text: anything; what is no string becomes an empty one.
        limit: most characters that are kept.
    """
    if not isinstance(text, str):
        return ""
    shown = "".join(_visible(character) for character in text[: 4 * limit])
    shown = " ".join(shown.split())
    return shown if len(shown) <= limit else shown[: limit - 1] + "…"


def code(text: object, *, limit: int = _MAX_CHARACTERS) -> str:
    """Return the text as a Markdown code span that it cannot break out of; an empty one would open a longer one."""
    return f"`{plain(text, limit=limit).replace('`', 'ˋ') or ' '}`"


def _visible(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Cc", "Zl", "Zp"):
        return " "
    return "" if category.startswith("C") else character
