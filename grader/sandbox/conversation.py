"""The trusted side of one task: wait for the worker's walls, hand over the task, answer requests, take the answer."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable

from grader import wire
from grader.errors import StaffError
from grader.sandbox import worker
from grader.sandbox.limits import Limits
from grader.sandbox.outcome import Ending
from grader.sandbox.walls import Walls, missing_around
from grader.sandbox.watch import LimitExceeded, Watch

_START_S = 60.0  # a loaded machine may take long to fork; student code is not running yet

# Answers a request of the worker's while its task runs: the lent helpers.
Answer = Callable[[wire.Message], wire.Message]


def await_walls(connection: socket.socket, walls: Walls, pid: int, uid: int) -> None:
    """
    Return when a worker's walls stand: it says so, and so does the kernel. Nothing was sent to it yet.

    Raises:
        StaffError: they do not, or the worker did not start; nothing of the submission was run.
    """
    try:
        message = wire.receive(connection, wire.Caps(), deadline=time.monotonic() + _START_S)
        problem = message.meta.get("error") if message.kind != worker.READY else None
        missing = [] if problem else missing_around(walls, pid, uid)
    except (EOFError, TimeoutError, ConnectionError, FileNotFoundError, ProcessLookupError) as error:
        raise StaffError(
            happened="A worker did not start.", try_next="Look for missing memory or too many processes."
        ) from error
    if problem or missing:
        raise StaffError(
            happened=f"A wall of the sandbox could not be raised ({problem or ', '.join(missing)}), "
            "so no student code was run.",
            try_next="Run setup.sh again and look at the sandbox line of the report.",
        )


def converse(
    connection: socket.socket,
    request: wire.Message,
    limits: Limits,
    caps: wire.Caps,
    answer: Answer | None,
    watch: Watch,
) -> tuple[Ending, wire.Message | None, str]:
    """Hand over the task, answer the worker's requests, take its answer; return it with how the task ended."""
    deadline = time.monotonic() + limits.wall_s
    try:
        wire.send(connection, request, deadline=deadline, tick=watch)
        while True:
            message = wire.receive(connection, caps, deadline=deadline, tick=watch)
            if message.kind == worker.OUT_OF_MEMORY:
                return Ending.MEMORY, None, f"{limits.memory_mib} MiB"
            if message.kind != "request":
                return Ending.ANSWERED, message, ""
            if answer is None:
                return Ending.BAD_ANSWER, None, "it asked for help that this question does not lend"
            wire.send(connection, answer(message), deadline=deadline, tick=watch)
    except TimeoutError:
        return Ending.TIMEOUT, None, f"{limits.wall_s:g} s"
    except LimitExceeded as exceeded:
        return exceeded.ending, None, exceeded.detail
    except wire.WireError as error:
        return Ending.BAD_ANSWER, None, str(error)
    except (EOFError, ConnectionError):
        return Ending.NO_ANSWER, None, ""
