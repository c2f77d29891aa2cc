"""
Code for a newer Python than the one that grades: rewritten where that is faithful, else called by its version (worker
side).

Colab and students' own computers are often ahead of the machine that grades. Each rewriting keeps every line in its
place.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass

_PREFIX = re.compile(r"(?i)(?:[rbuft]{0,2})(?P<quote>\"\"\"|'''|\"|')")
_NAME = re.compile(r"\w+")
# `def f[T](x: T)`, `class A[T]:` and `type Pair = tuple[int, int]` of Python 3.12. The parameters name types only, and
# hints cost nothing where they cannot be looked up.
_TYPE_PARAMETERS = re.compile(
    r"^([ \t]*(?:(?:async[ \t]+)?def|class)[ \t]+\w+)\[[^\[\]\n]*(?:\[[^\[\]\n]*\][^\[\]\n]*)*\]", re.M
)
_TYPE_STATEMENT = re.compile(r"^([ \t]*)type[ \t]+(\w+)(?:\[[^\[\]\n]*\])?[ \t]*=(?!=)", re.M)
# `except ValueError, TypeError:` of Python 3.14.
_BARE_EXCEPT = re.compile(r"^([ \t]*except[ \t]+)((?:[\w.]+[ \t]*,[ \t]*)+[\w.]+)([ \t]*:)", re.M)

# What a line looks like that needs a newer Python: (pattern, version, what it is).
_NEWER = (
    (re.compile(r"^\s*except\s*\*"), (3, 11), "`except*`"),
    (re.compile(r"\[[^\]\n]*\*\w"), (3, 11), "a star in an index"),
    (re.compile(r"^\s*(?:async\s+)?(?:def|class)\s+\w+\["), (3, 12), "a type parameter in brackets"),
    (re.compile(r"^\s*type\s+\w+.*="), (3, 12), "a `type` statement"),
    (re.compile(r"\b[rRbB]?[fF][rRbB]?[\"']"), (3, 12), "an f-string with the same quotes inside"),
    (re.compile(r"^\s*except\s+[\w.]+\s*,"), (3, 14), "`except` with several types and no brackets"),
    (re.compile(r"\b[rR]?[tT][rR]?[\"']"), (3, 14), "a template string"),
)


def version_needed(line: str) -> str | None:
    """Return in words what in a line that does not compile is newer than this Python, None if nothing seems to be."""
    for pattern, version, what in _NEWER:
        if pattern.search(line) and sys.version_info[:2] < version:
            ours = f"{sys.version_info[0]}.{sys.version_info[1]}"
            return f"if the line is right for you: {what} needs Python {version[0]}.{version[1]}, the grader has {ours}"
    return None


def for_this_python(source: str) -> str:
    """Return source that does not compile here with its newer syntax rewritten, as far as that can be done."""
    source = _TYPE_PARAMETERS.sub(r"\1", source)
    source = _TYPE_STATEMENT.sub(r"\1\2 =", source)
    source = _BARE_EXCEPT.sub(r"\1(\2)\3", source)
    try:
        return _with_formats(source)
    except (_NoStringError, RecursionError):
        return source


class _NoStringError(Exception):
    """What looked like a string has no end."""


@dataclass
class _Piece:
    """A string, or what stands between two; `depth` counts the brackets that are open at its end."""

    text: str
    is_string: bool
    depth: int
    is_changed: bool = False


def _with_formats(source: str) -> str:
    """
    Return source in which each f-string that reuses its quotes, as Python 3.12 allows, is a call of `str.format`.

    f"{d["k"]:>{n}}" becomes "{:>{}}".format((d["k"]), (n)): format takes the same conversions and specifications,
    nested ones too, in the order in which they stand.
    """
    pieces = list(_pieces(source))
    if not any(piece.is_changed for piece in pieces):
        return source
    out: list[str] = []
    index = 0
    while index < len(pieces):
        group = _adjacent(pieces, index)
        if len(group) > 1 and any(piece.is_changed for piece in group):
            # Neighboring strings are joined by standing there; a call among them has to be added.
            out.append("(" + "".join(piece.text if piece.is_string else f"{piece.text}+ " for piece in group) + ")")
        else:
            out += [piece.text for piece in group]
        index += len(group)
    return "".join(out)


def _adjacent(pieces: list[_Piece], index: int) -> list[_Piece]:
    """Return the strings from an index on that Python joins, with what is between them; else the one piece there."""
    group = [pieces[index]]
    while group[-1].is_string and index + len(group) + 1 < len(pieces):
        between, following = pieces[index + len(group)], pieces[index + len(group) + 1]
        text = re.sub(r"#[^\n]*", "", between.text) if between.depth else between.text.replace("\\\n", "")
        if not following.is_string or text.strip() or (not between.depth and "\n" in text):
            break
        group += [between, following]
    return group


def _pieces(source: str) -> Iterator[_Piece]:
    position = start = depth = 0
    while position < len(source):
        character = source[position]
        if character == "#":
            position = _end_of_line(source, position)
        elif (match := _PREFIX.match(source, position)) is not None:
            yield _Piece(source[start:position], is_string=False, depth=depth)
            end = _string_end(source, match)
            text = source[position:end]
            yield _formatted(text, depth)
            position = start = end
        elif (word := _NAME.match(source, position)) is not None:
            position = word.end()
        else:
            depth += (character in "([{") - (character in ")]}")
            position += 1
    yield _Piece(source[start:], is_string=False, depth=depth)


def _formatted(text: str, depth: int) -> _Piece:
    """Return a string as it is where this Python reads it, and as a call of `format` where it does not."""
    match = _PREFIX.match(text)
    if match is None or not _is_formatted(match):
        return _Piece(text, is_string=True, depth=depth)
    try:
        compile(f"({text})", "<string>", "eval", dont_inherit=True)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        quote = match["quote"]
        template, values = _template(text[match.end() : -len(quote)])
        prefix = match.group()[: -len(quote)].lower().replace("f", "")
        given = ", ".join(f"({_with_formats(value)})" for value in values)
        return _Piece(f"{prefix}{quote}{template}{quote}.format({given})", is_string=True, depth=depth, is_changed=True)
    return _Piece(text, is_string=True, depth=depth)


def _is_formatted(match: re.Match[str]) -> bool:
    return "f" in match.group().lower().rstrip("\"'")


def _template(body: str) -> tuple[str, list[str]]:
    """Take the expressions out of an f-string's text, that of a specification too."""
    out: list[str] = []
    values: list[str] = []
    position = 0
    while position < len(body):
        character = body[position]
        if body[position : position + 2] in ("{{", "}}"):
            out.append(body[position : position + 2])
            position += 2
        elif character == "{":
            end = _field_end(body, position + 1)
            expression, conversion, specification = _field(body[position + 1 : end - 1])
            if expression.rstrip().endswith("=") and expression.rstrip()[-2:-1] not in ("=", "!", "<", ">"):
                out.append("{}")
                values.append(repr(expression))
                expression = expression.rstrip()[:-1]
                conversion = conversion or ("" if specification else "!r")
            values.append(expression)
            inner, more = _template(specification)
            values += more
            out.append("{" + conversion + (":" + inner if specification else "") + "}")
            position = end
        else:
            out.append(character)
            position += 1
    return "".join(out), values


def _field(text: str) -> tuple[str, str, str]:
    """Split the inside of a replacement field into expression, conversion (`!r`) and specification."""
    depth = position = 0
    while position < len(text):
        if (match := _PREFIX.match(text, position)) is not None:
            position = _string_end(text, match)
            continue
        if (word := _NAME.match(text, position)) is not None:
            position = word.end()
            continue
        character = text[position]
        depth += (character in "([{") - (character in ")]}")
        if not depth and character == ":":
            return text[:position], "", text[position + 1 :]
        if not depth and character == "!" and re.fullmatch(r"![rsa](:.*)?", text[position:], re.S):
            return text[:position], text[position : position + 2], text[position + 3 :]
        position += 1
    return text, "", ""


def _field_end(text: str, position: int) -> int:
    """Return the place after the bracket that closes a replacement field which begins at `position`."""
    depth = 1
    in_specification = False
    while position < len(text):
        character = text[position]
        if not in_specification and (match := _PREFIX.match(text, position)) is not None:
            position = _string_end(text, match)
            continue
        if not in_specification and (word := _NAME.match(text, position)) is not None:
            position = word.end()
            continue
        opening, closing = ("{", "}") if in_specification else ("([{", ")]}")
        depth += (character in opening) - (character in closing)
        position += 1
        if depth == 0:
            return position
        if depth == 1 and character == ":":
            in_specification = True
        elif in_specification and character == "{":
            position = _field_end(text, position)
            depth -= 1
    raise _NoStringError


def _string_end(source: str, match: re.Match[str]) -> int:
    """Return the place after a string, in whose replacement fields any quotes may stand."""
    quote, position, is_formatted = match["quote"], match.end(), _is_formatted(match)
    while position < len(source):
        character = source[position]
        if source.startswith(quote, position):
            return position + len(quote)
        if character == "\\":
            position += 1 if is_formatted and source.startswith("{", position + 1) else 2
        elif character == "\n" and len(quote) == 1:
            raise _NoStringError
        elif is_formatted and source.startswith("{{", position):
            position += 2
        elif is_formatted and character == "{":
            position = _field_end(source, position + 1)
        else:
            position += 1
    raise _NoStringError


def _end_of_line(source: str, position: int) -> int:
    end = source.find("\n", position)
    return len(source) if end < 0 else end
