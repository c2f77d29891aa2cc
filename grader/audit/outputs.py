"""What a cell shows, as text that can be compared: words, numbers and how many figures (worker side)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Any

from grader.audit.saved import joined

MAX_LINES = 400
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
    """Return what outputs in Jupyter's format show."""
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
                texts.append(joined(data.get("text/plain")) + "\n")
    lines = [_last_of_progress(line) for line in _ANSI.sub("", "".join(texts)).split("\n")]
    kept = [line for line in lines if line and not _PROGRESS.search(line)]
    return Shown(tuple(kept[:MAX_LINES]), figures, error)


def _last_of_progress(line: str) -> str:
    """Return what is left to see of a line that was written over again and again."""
    return line.rstrip("\r").rsplit("\r", 1)[-1].strip()


def difference(then: Shown, now: Shown) -> Difference | None:
    """
    Return the first difference that matters, or None.

    What matters are words, numbers that differ by more than a thousandth, and figures of which none is left. That some
    figures were taken out of a file, to make it smaller, is common.
    """
    old, new = [_words(line) for line in then.lines], [_words(line) for line in now.lines]
    matcher = SequenceMatcher(None, old, new, autojunk=False)
    strays: list[Difference] = []
    for tag, start, end, other, other_end in matcher.get_opcodes():
        if tag == "equal":
            for before, after in zip(then.lines[start:end], now.lines[other:other_end], strict=True):
                if not _same_numbers(before, after):
                    return Difference(before, after)
        else:
            before = then.lines[start] if end > start else ""
            after = now.lines[other] if other_end > other else ""
            strays.append(Difference(before, after))
    if strays and matcher.ratio() < _ALIKE:
        return strays[0]
    if then.figures and not now.figures:
        return Difference("a figure" if then.figures == 1 else f"{then.figures} figures", "no figure")
    return None


def _plain(line: str) -> str:
    return _TIME.sub("~", _ADDRESS.sub("0x…", line))


def _words(line: str) -> str:
    return " ".join(_NUMBER.sub("#", _plain(line)).split())


def _same_numbers(before: str, after: str) -> bool:
    pairs = zip(_NUMBER.findall(_plain(before)), _NUMBER.findall(_plain(after)), strict=False)
    return all(_close(one, other) for one, other in pairs)


def _close(one: str, other: str) -> bool:
    """Whether numbers agree to a thousandth, or but for the rounding of the last digit that is printed."""
    left, right = float(one), float(other)
    unit = max(_last_digit(one), _last_digit(other))
    return abs(left - right) <= max(_RELATIVE * max(abs(left), abs(right)), 1.01 * unit if unit < 1 else 0.0)


def _last_digit(number: str) -> float:
    mantissa, _, exponent = number.lower().partition("e")
    decimals = len(mantissa.partition(".")[2])
    return float(10.0 ** (int(exponent or 0) - decimals)) if decimals or exponent else 1.0
