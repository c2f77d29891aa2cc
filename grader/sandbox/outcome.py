"""What can come of a task in the sandbox."""

from __future__ import annotations

import enum
import signal
from dataclasses import dataclass

from grader import wire


class Ending(enum.Enum):
    """How a task ended."""

    ANSWERED = "an answer came"
    TIMEOUT = "it took longer than allowed"
    MEMORY = "it wanted more memory than allowed"
    DISK = "it wrote more files than allowed"
    CRASHED = "the process crashed"
    NO_ANSWER = "the process ended without an answer"
    BAD_ANSWER = "what it sent was not a message, or too large a one"


@dataclass(frozen=True)
class Outcome:
    """
    What came of one task.

    Args:
        ending: how it ended.
        message: the answer, where there is one.
        detail: a few words of the sandbox's own on the ending, never the student's.
        wall_s: seconds from start to end.
        cpu_s: processor seconds of the worker and the children it waited for.
        left_behind: processes that had to be ended after it; -1 if some could not be.
    """

    ending: Ending
    message: wire.Message | None
    detail: str = ""
    wall_s: float = 0.0
    cpu_s: float = 0.0
    left_behind: int = 0


def explain_signal(number: int, *, used_up: bool = False) -> tuple[Ending, str]:
    """
    Return what a signal that ended a worker says about its task.

    Args:
        number: the signal.
        used_up: whether the worker had used all the processor time that it may; whoever ignores SIGXCPU is killed.
    """
    if number == signal.SIGXCPU or (number == signal.SIGKILL and used_up):
        return Ending.TIMEOUT, "processor time"
    if number == signal.SIGXFSZ:
        return Ending.DISK, "one file was too large"
    if number == signal.SIGKILL:  # the kernel's choice where the machine, or its container, has less than our limit
        return Ending.MEMORY, "the machine has no more"
    known = {each.value: f", {each.name}" for each in signal.Signals}  # most real-time signals have no name
    return Ending.CRASHED, f"signal {number}{known.get(number, '')}"
