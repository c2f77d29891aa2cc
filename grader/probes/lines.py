"""A budget of lines for code at the top level of a notebook that is run for its effect only."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

# A table of a value for each pixel of a homework image, or for each pair of its patches, takes a tenth of this.
# Counting lines and not seconds, so that the same submission has the same results on every machine.
MOST_LINES = 300_000


class TooManyLines(BaseException):
    """Code was still running after as many lines as it may take; no `except Exception` of it hides that."""


@contextmanager
def budget_of_lines(is_counted: Callable[[str], bool], most: int = MOST_LINES) -> Iterator[None]:
    """
    Count the lines of code that run meanwhile.

    Args:
        is_counted: whether lines of a file name count; those of libraries need not.
        most: lines that may run.

    Raises:
        TooManyLines: there were more.
    """
    left = most

    def count(_frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal left
        left -= event == "line"
        if left < 0:
            raise TooManyLines(f"stopped after {most:,} lines: too long for code outside functions")
        return count

    def enter(frame: FrameType, _event: str, _argument: Any) -> Any:
        return count if is_counted(frame.f_code.co_filename) else None

    before = sys.gettrace()
    sys.settrace(enter)
    try:
        yield
    finally:
        sys.settrace(before)
