"""The two families of error: one the student can act on, one the staff can act on."""

from __future__ import annotations


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
