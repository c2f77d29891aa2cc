"""The trusted process's line to the zygote: orders, and what happens where the zygote does not carry them out."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from grader import wire
from grader.errors import StaffError
from grader.sandbox import sweep, zygote

# A worker that the kernel cannot end (it waits for a device) would keep the zygote, and with it the whole run.
_ORDER_S = 30.0


@dataclass
class Order:
    """An order that the zygote was given, and its reply once that was read."""

    kind: str
    reply: wire.Message | None = None


@dataclass
class Control:
    """
    Gives the zygote orders; it carries them out one after the other, while we do something else.

    Args:
        connection: the socket to it.
        pid: the zygote.
    """

    connection: socket.socket
    pid: int
    _unanswered: deque[Order] = field(default_factory=deque)
    _silent: bool = False

    def import_early(self, libraries: Sequence[str]) -> bool:
        """Have the zygote import libraries, so that no worker has to; return whether there was one that it had not."""
        return bool(self.reply_to(self._give(wire.Message("import", {"libraries": list(libraries)}))).meta["new"])

    def start(self, theirs: socket.socket, *, uid: int, scratch: Path) -> Order:
        """Have a worker started that talks over a socket; the reply has its pid."""
        return self._give(wire.Message("start", {"uid": uid, "scratch": str(scratch)}), theirs)

    def end(self, pid: int) -> Order:
        """Have a worker ended with all that it started; the reply says how it went."""
        return self._give(wire.Message("end", {"pid": pid}))

    def reply_to(self, order: Order) -> wire.Message:
        """
        Wait until an order was carried out, and those before it.

        Raises:
            StaffError: it could not be, or the zygote is gone.
        """
        deadline = time.monotonic() + _ORDER_S
        while order.reply is None:
            with self._not_asked_twice():
                self._unanswered[0].reply = wire.receive(self.connection, wire.Caps(), deadline=deadline)
            self._unanswered.popleft()
        if order.reply.kind == zygote.FAILED:
            raise StaffError(
                happened=f"The sandbox's zygote could not {order.kind} ({order.reply.meta['error']}).",
                try_next="Look for missing memory or too many processes, and grade again.",
            )
        return order.reply

    def close(self) -> None:
        """Let the zygote end, as it does when nobody can give it orders any more, and wait for it."""
        self.connection.close()
        deadline = time.monotonic() + _ORDER_S
        try:
            while os.waitpid(self.pid, os.WNOHANG) == (0, 0):
                if time.monotonic() > deadline:
                    os.kill(self.pid, signal.SIGKILL)
                time.sleep(0.002)
        except ChildProcessError:
            return  # a sweep has reaped it

    def _give(self, message: wire.Message, theirs: socket.socket | None = None) -> Order:
        with self._not_asked_twice():
            wire.send(self.connection, message, deadline=time.monotonic() + _ORDER_S)
            if theirs is not None:
                socket.send_fds(self.connection, [b"."], [theirs.fileno()])
        order = Order(message.kind)
        self._unanswered.append(order)
        return order

    @contextlib.contextmanager
    def _not_asked_twice(self) -> Iterator[None]:
        """Have whoever gives an order to a silent zygote later hear at once that it does not answer any more."""
        try:
            if self._silent:
                raise EOFError
            yield
        except (EOFError, OSError, wire.WireError) as error:  # also TimeoutError
            self._silent = True
            raise StaffError(
                happened=f"The sandbox's zygote does not answer ({type(error).__name__}).",
                try_next="Look for missing memory and for what may have ended it, and grade again.",
            ) from error


def end_orphans(uid: int, *, sweeper_uid: int) -> None:
    """End, in the zygote's place, whatever has a worker's uid: the trusted process is the next in line for orphans."""
    if sweep.uids_in_use(uid, uid):
        sweep.end_processes(uid, session=0, sweeper_uid=sweeper_uid, spare=())
