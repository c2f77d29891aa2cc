"""The trusted side of the sandbox: start it, give it tasks, get back what came of each."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import TracebackType

from grader import wire
from grader.errors import StaffError
from grader.sandbox import sweep, worker, zygote
from grader.sandbox.control import Control, Order, end_orphans
from grader.sandbox.conversation import Answer, Conversation, assign
from grader.sandbox.limits import Limits
from grader.sandbox.outcome import Ending, Outcome, explain_signal
from grader.sandbox.uids import UidBlock
from grader.sandbox.walls import Walls, survey_machine
from grader.sandbox.watch import Watch


@dataclass(eq=False)
class _Worker:
    """A worker from the order to start it until it is ended and its folder is gone."""

    uid: int
    scratch: Path
    connection: socket.socket
    started: Order
    ended: Order | None = None

    @property
    def pid(self) -> int:
        """Its process id; only once the order to start it was carried out."""
        assert self.started.reply is not None
        return int(self.started.reply.meta["pid"])


@dataclass(frozen=True)
class Running:
    """
    A worker at its task.

    Its time runs from the beginning, but what it writes and takes is watched only while `outcome` waits for it.
    """

    sandbox: Sandbox
    worker: _Worker
    conversation: Conversation
    limits: Limits
    began: float

    def outcome(self) -> Outcome:
        """
        Wait for the answer. Of an answer, what the worker used and left behind is not waited for, and not told.

        Raises:
            StaffError: the zygote is gone.
        """
        return self.sandbox._finish(self)

    def give_up(self) -> None:
        """End the worker, whose answer nobody needs any more."""
        with contextlib.suppress(StaffError):
            self.sandbox._end(self.worker)


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
    _workers: list[_Worker] = field(init=False, default_factory=list)  # all that are not gone; the last may be idle
    _idle: _Worker | None = field(init=False, default=None)
    workers_cpu_s: float = field(init=False, default=0.0)  # of all workers of whose end we were told

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
            stack.callback(self._end_orphans)
            stack.callback(self._control.close)
            stack.callback(self._hang_up)
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
        if self._control.import_early(libraries) and self._idle is not None:
            outdated, self._idle = self._idle, None  # it was forked before
            with contextlib.suppress(StaffError):  # nobody needs it
                self._told_nothing(outdated)

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
        running = self.begin(task, request, limits=limits, caps=caps, answer=answer)
        outcome = running.outcome()
        ended = self._reply_to_end(running.worker).meta
        self._settle(wait=True)
        return replace(outcome, cpu_s=ended["cpu_s"], left_behind=ended["left_behind"])

    def begin(
        self,
        task: str,
        request: wire.Message,
        *,
        limits: Limits,
        caps: wire.Caps | None = None,
        answer: Answer | None = None,
    ) -> Running:
        """
        Have a fresh worker begin a task; another one is forked meanwhile, for the next.

        Arguments and errors are those of `run`.
        """
        began = time.monotonic()
        self._settle()
        chosen = self._assigned(worker.assignment(task, limits))
        uid = chosen.uid if self.walls.own_uid else None
        watch = Watch(chosen.pid, uid, chosen.scratch, limits, self.zygote_pid)
        conversation = Conversation(chosen.connection, limits, caps or wire.Caps(), answer, watch)
        conversation.hand_over(request)
        with contextlib.suppress(StaffError, OSError):  # whoever needs the next one tries again, and says why not
            self._idle = self._fork()
        return Running(self, chosen, conversation, limits, began)

    def _assigned(self, told: wire.Message) -> _Worker:
        """Return a worker whose walls stand and that knows what it will be for: the idle one, if it is still there."""
        idle, self._idle = self._idle, None
        if idle is not None:
            with contextlib.suppress(StaffError):  # the kernel may have ended it for want of memory
                return self._told(idle, told)
        return self._told(self._fork(), told)

    def _told(self, ordered: _Worker, told: wire.Message) -> _Worker:
        with self._abandoning(ordered):
            self._control.reply_to(ordered.started)
            assign(ordered.connection, told, self.walls, pid=ordered.pid, uid=ordered.uid)
        return ordered

    def _told_nothing(self, ordered: _Worker) -> None:
        """End a worker that was not given a task."""
        with self._abandoning(ordered):
            self._control.reply_to(ordered.started)
            ordered.ended = self._control.end(ordered.pid)

    def _finish(self, running: Running) -> Outcome:
        try:
            ending, message, detail = running.conversation.take_answer()
        finally:
            self._end(running.worker)
        # A GPU's memory is free only then, and without a uid of its own its orphans look like those of the next one.
        if ending is Ending.NO_ANSWER or self.cuda or not self.walls.own_uid:
            ended = self._reply_to_end(running.worker).meta
            if ending is Ending.NO_ANSWER and ended["signal"]:
                used_up = ended["cpu_s"] >= running.limits.wall_s
                ending, detail = explain_signal(ended["signal"], used_up=used_up)
        return Outcome(ending, message, detail, wall_s=time.monotonic() - running.began)

    def _fork(self) -> _Worker:
        """Order a worker; it is there when the order was carried out."""
        self._started += 1
        uid = self._uids.worker(self._started, taken={each.uid for each in self._workers})
        scratch = self._folder / f"work-{self._started}"
        scratch.mkdir(mode=0o700)
        if self.walls.own_uid:
            os.chown(scratch, uid, uid)
        connection, theirs = socket.socketpair()
        with theirs:
            try:
                started = self._control.start(theirs, uid=uid, scratch=scratch)
            except StaffError:
                connection.close()
                raise
        ordered = _Worker(uid, scratch, connection, started)
        self._workers.append(ordered)
        return ordered

    def _end(self, ending: _Worker) -> None:
        """Order a worker's end; `_settle` sees to what is left of it."""
        with self._abandoning(ending):
            ending.ended = self._control.end(ending.pid)

    def _reply_to_end(self, ending: _Worker) -> wire.Message:
        assert ending.ended is not None
        with self._abandoning(ending):
            return self._control.reply_to(ending.ended)

    @contextlib.contextmanager
    def _abandoning(self, lost: _Worker) -> Iterator[None]:
        """End a worker ourselves where the zygote fails, or is not there any more."""
        try:
            yield
        except StaffError:
            with contextlib.suppress(StaffError):
                if lost.ended is None:
                    pid = self._control.reply_to(lost.started).meta["pid"]
                    self._control.reply_to(self._control.end(pid))
            try:
                if self.walls.own_uid:
                    end_orphans(lost.uid, sweeper_uid=self._uids.sweeper)
            except OSError:  # also TimeoutError
                self._uids.give_up(lost.uid)
            finally:
                self._forget(lost)
            raise

    def _settle(self, *, wait: bool = False) -> None:
        """Clear away the workers that have ended; where we do not wait, only those of which we have been told."""
        for each in list(self._workers):
            if each.ended is None or (each.ended.reply is None and not wait):
                continue
            reply = self._reply_to_end(each)
            self._forget(each)
            self.workers_cpu_s += reply.meta["cpu_s"]
            if reply.meta["left_behind"] == zygote.NOT_SWEPT:
                self._uids.give_up(each.uid)

    def _forget(self, gone: _Worker) -> None:
        self._workers.remove(gone)
        gone.connection.close()
        _remove(gone.scratch)

    def _hang_up(self) -> None:
        for each in self._workers:
            each.connection.close()

    def _end_orphans(self) -> None:
        """End what is left of workers whose end the zygote did not live to see to."""
        for each in self._workers if self.walls.own_uid else ():
            with contextlib.suppress(OSError):
                end_orphans(each.uid, sweeper_uid=self._uids.sweeper)


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
