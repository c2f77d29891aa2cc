"""What a cell shows, as text that can be compared: words, numbers and how many figures (worker side)."""

from __future__ import annotations

import hashlib
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from grader.audit.saved import joined

MAX_LINES = 400  # of what differs, after the lines that agree at the beginning and at the end
MAX_CHARACTERS = 1_000_000
_LONGEST_NUMBER = 40  # digits; longer ones are compared as texts, in time that grows with their length and no faster
_LETTERS = str.maketrans("0123456789", "ghijklmnop")
_LONG_DIGITS = re.compile(rf"\d{{{_LONGEST_NUMBER + 1},}}")
_ANSI = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
_ADDRESS = re.compile(r"0x[0-9a-fA-F]{6,}")
# What differs from run to run by itself: times, speeds, dates.
_TIME = re.compile(
    r"\d+(?:\.\d+)?\s?(?:ms|µs|us|ns|s|sec|seconds|min|minutes|it/s|s/it)\b|\d{1,2}:\d{2}(?::\d{2})?(?:\.\d+)?"
)
_NUMBER = re.compile(r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?")
_PROGRESS = re.compile(r"\d+%\|")
_RELATIVE = 1e-3  # between runs on other machines, sums of float32 differ by far less
_ALIKE = 0.9


class Uncomparable(Exception):
    """Outputs are too much to compare; the message ends a sentence."""


@dataclass(frozen=True)
class Shown:
    """
    What a cell shows.

    Args:
        lines: of what was printed and of the value of the last line, without standard error.
        figures: number of images.
        error: the name of the exception that ended the cell, or "".
    """

    lines: tuple[str, ...]
    figures: int
    error: str

    @property
    def nothing(self) -> bool:
        """Whether there is nothing to compare."""
        return not self.lines and not self.figures and not self.error


@dataclass(frozen=True)
class Difference:
    """Where two outputs part: a line of each, or "" where one has no such line."""

    then: str
    now: str


def shown_by(outputs: Sequence[Mapping[str, Any]]) -> Shown:
    """
    Return what outputs in Jupyter's format show.

    Raises:
        Uncomparable: it is more text than is compared.
    """
    texts, figures, error = [], 0, ""
    for output in outputs:
        kind = output.get("output_type")
        data = output.get("data")
        if kind == "stream" and output.get("name") != "stderr":
            texts.append(joined(output.get("text")))
        elif kind == "error":
            error = str(output.get("ename"))[:100] or "error"
        elif isinstance(data, dict):
            if any(str(key).startswith("image/") for key in data):
                figures += 1
            else:
                texts.append(_text_of(data) + "\n")
    if sum(map(len, texts)) > MAX_CHARACTERS:
        raise Uncomparable(f"it shows more than {MAX_CHARACTERS:,} characters")
    text = _LONG_DIGITS.sub(_many_digits, _ANSI.sub("", "".join(texts)))
    lines = [_last_of_progress(line) for line in text.split("\n")]
    return Shown(tuple(line for line in lines if line and not _PROGRESS.search(line)), figures, error)


def _text_of(data: Mapping[str, Any]) -> str:
    """Return a value's plain text, or what stands in its place."""
    texts = [kind for kind in data if str(kind).startswith("text/")]
    kind = "text/plain" if "text/plain" in data else next(iter(texts), "")
    return joined(data.get(kind))


def _many_digits(match: re.Match[str]) -> str:
    """Return words in place of digits that are too many for a number, the same for the same digits only."""
    digits = match.group()
    name = hashlib.sha256(digits.encode()).hexdigest()[:16].translate(_LETTERS)
    return f"⟨very many digits, {name}⟩"


def _last_of_progress(line: str) -> str:
    """Return what is left to see of a line that was written over again and again."""
    return line.rstrip("\r").rsplit("\r", 1)[-1].strip()


def difference(then: Shown, now: Shown) -> Difference | None:
    """
    Return the first difference that matters, or None.

    What matters are words, numbers that differ by more than a thousandth, and figures of which none is left. That some
    figures were taken out of a file, to make it smaller, is common.

    Raises:
        Uncomparable: too much of it differs.
    """
    old, new = [_words(line) for line in then.lines], [_words(line) for line in now.lines]
    head = _agreeing(old, new)
    tail = _agreeing(old[head:][::-1], new[head:][::-1])
    middle, other = old[head : len(old) - tail], new[head : len(new) - tail]
    if max(len(middle), len(other)) > MAX_LINES:
        raise Uncomparable(f"more than {MAX_LINES} lines of it differ")
    matcher = SequenceMatcher(None, middle, other, autojunk=False)
    blocks = [(0, 0, head), *((head + i, head + j, size) for i, j, size in matcher.get_matching_blocks())]
    blocks.append((len(old) - tail, len(new) - tail, tail))
    for i, j, size in blocks:
        for before, after in zip(then.lines[i : i + size], now.lines[j : j + size], strict=True):
            if not _same_numbers(before, after):
                return Difference(before, after)
    alike = 2 * sum(size for _, _, size in blocks) / max(1, len(old) + len(new))
    if middle + other and alike < _ALIKE:
        return _first_stray(then.lines[head : len(old) - tail], now.lines[head : len(new) - tail], matcher)
    if then.figures and not now.figures:
        return Difference("a figure" if then.figures == 1 else f"{then.figures} figures", "no figure")
    return None


def _agreeing(one: Sequence[str], other: Sequence[str]) -> int:
    """Return how many items agree at the beginning."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((index for index, (left, right) in pairs if left != right), min(len(one), len(other)))


def _first_stray(old: Sequence[str], new: Sequence[str], matcher: SequenceMatcher[str]) -> Difference:
    """Return the first lines that have no counterpart."""
    codes = (code for code in matcher.get_opcodes() if code[0] != "equal")
    _, start, end, other, other_end = next(codes)
    return Difference(old[start] if end > start else "", new[other] if other_end > other else "")


def _plain(line: str) -> str:
    return _TIME.sub("~", _ADDRESS.sub("0x…", line))


def _words(line: str) -> str:
    return " ".join(_NUMBER.sub("#", _plain(line)).split())


def _same_numbers(before: str, after: str) -> bool:
    pairs = zip(_NUMBER.findall(_plain(before)), _NUMBER.findall(_plain(after)), strict=False)
    return all(_close(one, other) for one, other in pairs)


def _close(one: str, other: str) -> bool:
    """Whether numbers agree to a thousandth, or but for the rounding of the last digit that is printed."""
    if one == other:
        return True
    left, right = float(one), float(other)
    if not math.isfinite(left) or not math.isfinite(right):
        return False  # too large for a number, and other digits
    unit = max(_last_digit(one), _last_digit(other))
    return abs(left - right) <= max(_RELATIVE * max(abs(left), abs(right)), 1.01 * unit if unit < 1 else 0.0)


def _last_digit(number: str) -> float:
    mantissa, _, exponent = number.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    power = int(exponent or 0) - decimals
    return float(10.0 ** max(-300, min(power, 300))) if decimals or exponent else 1.0
