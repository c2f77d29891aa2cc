"""The trusted side of one task: wait for the worker's walls, hand over the task, answer requests, take the answer."""

from __future__ import annotations

import contextlib
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

# Whoever comes for an answer when its time is over, or almost, takes this much to fetch what may be there.
_LATE_S, _FETCH_S = 0.1, 1.0
_START_S = 60.0  # a loaded machine may take long to fork; student code is not running yet

_ENDS = (TimeoutError, LimitExceeded, wire.WireError, EOFError, ConnectionError)

# Answers a request of the worker's while its task runs: the lent helpers.
Answer = Callable[[wire.Message], wire.Message]


def assign(connection: socket.socket, assignment: wire.Message, walls: Walls, *, pid: int, uid: int) -> None:
    """
    Tell a worker what it will be for, and return when its walls stand: it says so, and so does the kernel.

    Raises:
        StaffError: they do not, or the worker did not start; nothing of the submission was run.
    """
    deadline = time.monotonic() + _START_S
    try:
        with contextlib.suppress(ConnectionError):  # one without walls has said so, and gone
            wire.send(connection, assignment, deadline=deadline)
        message = wire.receive(connection, wire.Caps(), deadline=deadline)
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


class Conversation:
    """
    One task's exchange with a worker whose walls stand.

    Args:
        connection: the socket to it.
        limits: what it may use; its time begins with the hand-over.
        caps: the most that is taken from it in one message.
        answer: answers its requests; None answers none.
        watch: looks at it while we wait.
    """

    def __init__(
        self, connection: socket.socket, limits: Limits, caps: wire.Caps, answer: Answer | None, watch: Watch
    ) -> None:
        self._connection = connection
        self._limits = limits
        self._caps = caps
        self._answer = answer
        self._watch = watch
        self._deadline = time.monotonic() + limits.wall_s
        self._broken: Exception | None = None

    def hand_over(self, request: wire.Message) -> None:
        """Send the task; where that already fails, `take_answer` says how."""
        try:
            wire.send(self._connection, request, deadline=self._deadline, tick=self._watch)
        except _ENDS as error:
            self._broken = error

    def take_answer(self) -> tuple[Ending, wire.Message | None, str]:
        """Answer the worker's requests and take its answer; return it with how the task ended, and a detail."""
        now = time.monotonic()
        if now > self._deadline - _LATE_S:
            self._deadline = now + _FETCH_S
        try:
            if self._broken is not None:
                raise self._broken
            self._watch()  # nobody did while something else was done
            return self._listen()
        except TimeoutError:
            return Ending.TIMEOUT, None, f"{self._limits.wall_s:g} s"
        except LimitExceeded as exceeded:
            return exceeded.ending, None, exceeded.detail
        except wire.WireError as error:
            return Ending.BAD_ANSWER, None, str(error)
        except (EOFError, ConnectionError):
            return Ending.NO_ANSWER, None, ""

    def _listen(self) -> tuple[Ending, wire.Message | None, str]:
        while True:
            message = wire.receive(self._connection, self._caps, deadline=self._deadline, tick=self._watch)
            if message.kind == worker.OUT_OF_MEMORY:
                return Ending.MEMORY, None, f"{self._limits.memory_mib} MiB"
            if message.kind != "request":
                return Ending.ANSWERED, message, ""
            if self._answer is None:
                return Ending.BAD_ANSWER, None, "it asked for help that this question does not lend"
            wire.send(self._connection, self._answer(message), deadline=self._deadline, tick=self._watch)
