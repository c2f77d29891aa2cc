"""The two families of error: one the student can act on, one the staff can act on."""

from __future__ import annotations

import json


class _ActionableError(Exception):
    """An error that says what happened and what to do next."""

    def __init__(self, *, happened: str, try_next: str) -> None:
        super().__init__(f"{happened} {try_next}".strip())
        self.happened = happened
        self.try_next = try_next


class SubmissionError(_ActionableError):
    """Something in the submission is wrong: the student acts."""


class StaffError(_ActionableError):
    """Something in the grader, its configuration or its machine is wrong: the staff act."""


def why_unreadable(error: Exception) -> str:
    """Return why a file could not be read or is not what it should be, as the end of a sentence and in plain words."""
    for kind, words in _WHY_UNREADABLE:
        if isinstance(error, kind):
            return words
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:1].lower() + error.strerror[1:]
    return "it is damaged"


_WHY_UNREADABLE: tuple[tuple[type[Exception], str], ...] = (
    (FileNotFoundError, "it is not there"),
    (IsADirectoryError, "it is a folder"),
    (NotADirectoryError, "it is not there"),
    (PermissionError, "this user may not read it"),
    (UnicodeDecodeError, "it is not saved as UTF-8"),
    (json.JSONDecodeError, "it is not JSON, or not all of it is there"),
)
