"""The trusted side of the sandbox: start it, give it tasks, get back what came of each."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType

from grader import wire
from grader.errors import StaffError
from grader.sandbox import worker, zygote
from grader.sandbox.limits import Limits
from grader.sandbox.outcome import Ending, Outcome, explain_signal
from grader.sandbox.uids import UidBlock
from grader.sandbox.walls import Walls, survey_machine
from grader.sandbox.watch import LimitExceeded, Watch

_START_S = 60.0  # a loaded machine may take long to fork; student code is not running yet

# Answers a request of the worker's while its task runs: the lent helpers.
Answer = Callable[[wire.Message], wire.Message]


@dataclass
class Sandbox:
    """
    A zygote and the means to have it fork workers. Use it as a context manager.

    Start it before the process learns any secret: the zygote is a fork of the process as it is then.

    Args:
        tasks: what workers can be asked to do, by name.
        cuda: whether workers use CUDA; memory is then watched from outside.
    """

    tasks: Mapping[str, worker.Task]
    cuda: bool = False
    walls: Walls = field(init=False)
    _control: socket.socket = field(init=False)
    _zygote_pid: int = field(init=False)
    _folder: Path = field(init=False)
    _uids: UidBlock = field(init=False)
    _exit: contextlib.ExitStack = field(init=False)
    _started: int = field(init=False, default=0)
    workers_cpu_s: float = field(init=False, default=0.0)  # of all workers that have ended

    def __enter__(self) -> Sandbox:
        with contextlib.ExitStack() as stack:
            self.walls = survey_machine(cuda=self.cuda)
            self._uids = stack.enter_context(UidBlock())
            self._folder = Path(tempfile.mkdtemp(prefix="grader-"))
            stack.callback(_remove, self._folder)
            self._folder.chmod(0o711)  # a worker passes through to its own folder and sees no other
            self._control, theirs = socket.socketpair()
            self._zygote_pid = os.fork()
            if self._zygote_pid == 0:
                _close_all_but(theirs)
                zygote.serve(theirs, self.walls, self.tasks, sweeper_uid=self._uids.sweeper, folder=self._folder)
            theirs.close()
            stack.callback(self._end_zygote)
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    def _end_zygote(self) -> None:
        self._control.close()
        os.waitpid(self._zygote_pid, 0)

    @property
    def zygote_pid(self) -> int:
        """The zygote's process id, for whoever measures memory."""
        return self._zygote_pid

    def run(
        self,
        task: str,
        request: wire.Message,
        *,
        limits: Limits,
        caps: wire.Caps | None = None,
        answer: Answer | None = None,
    ) -> Outcome:
        """
        Have a fresh worker do one task, and end it and everything it started.

        Args:
            task: a name in `tasks`.
            request: what the worker is given.
            limits: what it may use.
            caps: the most that is taken from it in one message.
            answer: answers its requests (messages of kind "request") while it works; None answers none.

        Raises:
            StaffError: the walls could not be raised; nothing of the submission was run.
        """
        began = time.monotonic()
        scratch = self._new_scratch()
        connection, theirs = socket.socketpair()
        try:
            pid = self._start(task, theirs, scratch, limits)
            theirs.close()
            ending = Ending.TIMEOUT
            try:
                watch = Watch(pid, self._uid() if self.walls.own_uid else None, scratch, limits, self._zygote_pid)
                ending, message, detail = _converse(connection, request, limits, caps or wire.Caps(), answer, watch)
            finally:
                silent = ending is Ending.NO_ANSWER
                ended = self._order(wire.Message("end", {"pid": pid, "expect_gone": silent})).meta
        finally:
            connection.close()
            _remove(scratch)
        self.workers_cpu_s += ended["cpu_s"]
        if ending is Ending.NO_ANSWER and ended["signal"]:
            ending, detail = explain_signal(ended["signal"])
        return Outcome(
            ending,
            message,
            detail,
            wall_s=time.monotonic() - began,
            cpu_s=ended["cpu_s"],
            left_behind=ended["left_behind"],
        )

    def _start(self, task: str, theirs: socket.socket, scratch: Path, limits: Limits) -> int:
        meta = {"task": task, "uid": self._uid(), "scratch": str(scratch), "limits": asdict(limits)}
        wire.send(self._control, wire.Message("start", meta))
        socket.send_fds(self._control, [b"."], [theirs.fileno()])
        return int(wire.receive(self._control, wire.Caps()).meta["pid"])

    def _order(self, order: wire.Message) -> wire.Message:
        wire.send(self._control, order)
        return wire.receive(self._control, wire.Caps())

    def _new_scratch(self) -> Path:
        self._started += 1
        scratch = self._folder / f"work-{self._started}"
        scratch.mkdir(mode=0o700)
        if self.walls.own_uid:
            os.chown(scratch, self._uid(), self._uid())
        return scratch

    def _uid(self) -> int:
        return self._uids.worker(self._started)


def _converse(
    connection: socket.socket,
    request: wire.Message,
    limits: Limits,
    caps: wire.Caps,
    answer: Answer | None,
    watch: Watch,
) -> tuple[Ending, wire.Message | None, str]:
    """Hand over the task, answer the worker's requests, take its answer."""
    try:
        _await_ready(connection)
        deadline = time.monotonic() + limits.wall_s
        wire.send(connection, request, deadline=deadline)
        while True:
            message = wire.receive(connection, caps, deadline=deadline, tick=watch)
            if message.kind == worker.OUT_OF_MEMORY:
                return Ending.MEMORY, None, f"{limits.memory_mib} MiB"
            if message.kind != "request":
                return Ending.ANSWERED, message, ""
            if answer is None:
                return Ending.BAD_ANSWER, None, "it asked for help that this question does not lend"
            wire.send(connection, answer(message), deadline=deadline)
    except TimeoutError:
        return Ending.TIMEOUT, None, f"{limits.wall_s:g} s"
    except LimitExceeded as exceeded:
        return exceeded.ending, None, exceeded.detail
    except wire.WireError as error:
        return Ending.BAD_ANSWER, None, str(error)
    except (EOFError, ConnectionError):
        return Ending.NO_ANSWER, None, ""


def _await_ready(connection: socket.socket) -> None:
    try:
        message = wire.receive(connection, wire.Caps(), deadline=time.monotonic() + _START_S)
    except (EOFError, TimeoutError, ConnectionError) as error:
        raise StaffError(
            happened="A worker did not start.", try_next="Look for missing memory or too many processes."
        ) from error
    if message.kind != worker.READY:
        raise StaffError(
            happened=f"A wall of the sandbox could not be raised ({message.meta.get('error')}), "
            "so no student code was run.",
            try_next="Run setup.sh again and look at the sandbox line of the report.",
        )


def _close_all_but(kept: socket.socket) -> None:
    """Drop what the zygote must not hold: a descriptor would open a file whatever its mode."""
    keep = kept.fileno()
    os.closerange(3, keep)
    os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX"))


def _remove(folder: Path) -> None:
    """Remove a folder with whatever a worker made of it; rm copes with any depth and follows no link."""
    try:
        folder.rmdir()
    except OSError:
        subprocess.run(["/bin/rm", "-rf", "--one-file-system", "--", str(folder)], check=False)
