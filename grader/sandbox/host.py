"""The trusted side of the sandbox: start it, give it tasks, get back what came of each."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType

from grader import wire
from grader.errors import StaffError
from grader.sandbox import sweep, worker, zygote
from grader.sandbox.control import Control, end_orphans
from grader.sandbox.conversation import Answer, await_walls, converse
from grader.sandbox.limits import Limits
from grader.sandbox.outcome import Ending, Outcome, explain_signal
from grader.sandbox.uids import UidBlock
from grader.sandbox.walls import Walls, survey_machine
from grader.sandbox.watch import Watch


@dataclass
class Sandbox:
    """
    A zygote and the means to have it fork workers. Use it as a context manager.

    Start it before the process learns any secret: the zygote is a fork of the process as it is then.

    Args:
        tasks: what workers can be asked to do, by name.
        cuda: whether workers use CUDA; memory is then watched from outside.
        local_sockets: whether workers speak to processes of their own over AF_UNIX, as a notebook's client does.
        readable: what workers may read beside the libraries.
    """

    tasks: Mapping[str, worker.Task]
    cuda: bool = False
    local_sockets: bool = False
    readable: tuple[Path, ...] = ()
    walls: Walls = field(init=False)
    _control: Control = field(init=False)
    _folder: Path = field(init=False)
    _uids: UidBlock = field(init=False)
    _exit: contextlib.ExitStack = field(init=False)
    _started: int = field(init=False, default=0)
    workers_cpu_s: float = field(init=False, default=0.0)  # of all workers that have ended

    def __enter__(self) -> Sandbox:
        with contextlib.ExitStack() as stack:
            self.walls = survey_machine(cuda=self.cuda, local_sockets=self.local_sockets, readable=self.readable)
            self._uids = stack.enter_context(UidBlock())
            self._folder = Path(tempfile.mkdtemp(prefix="grader-"))
            stack.callback(_remove, self._folder)
            self._folder.chmod(0o711)  # a worker passes through to its own folder and sees no other
            sweep.become_subreaper()  # if the zygote is killed, its workers are ours to end
            ours, theirs = socket.socketpair()
            pid = os.fork()
            if pid == 0:
                _close_all_but(theirs)
                zygote.serve(theirs, self.walls, self.tasks, sweeper_uid=self._uids.sweeper, folder=self._folder)
            theirs.close()
            self._control = Control(ours, pid)
            stack.callback(self._control.close)
            self._exit = stack.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._exit.close()

    @property
    def zygote_pid(self) -> int:
        """The zygote's process id, for whoever measures memory."""
        return self._control.pid

    def import_early(self, libraries: Sequence[str]) -> None:
        """
        Import what workers need once, before they are forked; what is imported already costs nothing.

        Args:
            libraries: names of installed modules, chosen by the grader and never by a submission.

        Raises:
            StaffError: the zygote is gone.
        """
        self._control.import_early(libraries)

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
            StaffError: the walls could not be raised, so nothing of the submission was run; or the zygote is gone.
        """
        began = time.monotonic()
        self._started += 1
        uid = self._uids.worker(self._started)
        scratch = self._new_scratch(uid)
        connection, theirs = socket.socketpair()
        try:
            with theirs:
                pid = self._control.start(task, theirs, uid=uid, scratch=scratch, limits=limits)
            try:
                await_walls(connection, self.walls, pid, uid)
                watch = Watch(pid, uid if self.walls.own_uid else None, scratch, limits, self.zygote_pid)
                ending, message, detail = converse(connection, request, limits, caps or wire.Caps(), answer, watch)
            finally:
                ended = self._control.end(pid).meta
        except StaffError:
            if self.walls.own_uid:
                end_orphans(uid, sweeper_uid=self._uids.sweeper)
            raise
        finally:
            connection.close()
            _remove(scratch)
        if ended["left_behind"] == zygote.NOT_SWEPT:
            self._uids.give_up(uid)
        self.workers_cpu_s += ended["cpu_s"]
        if ending is Ending.NO_ANSWER and ended["signal"]:
            ending, detail = explain_signal(ended["signal"], used_up=ended["cpu_s"] >= limits.wall_s)
        return Outcome(
            ending,
            message,
            detail,
            wall_s=time.monotonic() - began,
            cpu_s=ended["cpu_s"],
            left_behind=ended["left_behind"],
        )

    def _new_scratch(self, uid: int) -> Path:
        scratch = self._folder / f"work-{self._started}"
        scratch.mkdir(mode=0o700)
        if self.walls.own_uid:
            os.chown(scratch, uid, uid)
        return scratch


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
        if os.geteuid() != 0:  # what it closed to its own user is closed to us
            subprocess.run(["/bin/chmod", "-R", "u+rwX", "--", str(folder)], check=False, stderr=subprocess.DEVNULL)
        subprocess.run(["/bin/rm", "-rf", "--one-file-system", "--", str(folder)], check=False)
