"""The trusted process's line to the zygote: orders, and what happens where the zygote does not carry them out."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from grader import wire
from grader.errors import StaffError
from grader.sandbox import sweep, zygote
from grader.sandbox.limits import Limits

# A worker that the kernel cannot end (it waits for a device) would keep the zygote, and with it the whole run.
_ORDER_S = 30.0


@dataclass
class Control:
    """
    Gives the zygote orders.

    Args:
        connection: the socket to it.
        pid: the zygote.
    """

    connection: socket.socket
    pid: int

    def import_early(self, libraries: Sequence[str]) -> None:
        """Have the zygote import libraries, so that no worker has to."""
        self._order(wire.Message("import", {"libraries": list(libraries)}))

    def start(self, task: str, theirs: socket.socket, *, uid: int, scratch: Path, limits: Limits) -> int:
        """Have a worker started that talks over a socket; return its pid."""
        meta = {"task": task, "uid": uid, "scratch": str(scratch), "limits": asdict(limits)}
        return int(self._order(wire.Message("start", meta), theirs).meta["pid"])

    def end(self, pid: int) -> wire.Message:
        """Have a worker ended with all that it started; return how it went."""
        return self._order(wire.Message("end", {"pid": pid}))

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

    def _order(self, order: wire.Message, theirs: socket.socket | None = None) -> wire.Message:
        deadline = time.monotonic() + _ORDER_S
        try:
            wire.send(self.connection, order, deadline=deadline)
            if theirs is not None:
                socket.send_fds(self.connection, [b"."], [theirs.fileno()])
            reply = wire.receive(self.connection, wire.Caps(), deadline=deadline)
        except (EOFError, OSError, wire.WireError) as error:  # also TimeoutError
            raise StaffError(
                happened=f"The sandbox's zygote does not answer ({type(error).__name__}).",
                try_next="Look for missing memory and for what may have ended it, and grade again.",
            ) from error
        if reply.kind == zygote.FAILED:
            raise StaffError(
                happened=f"The sandbox's zygote could not {order.kind} ({reply.meta['error']}).",
                try_next="Look for missing memory or too many processes, and grade again.",
            )
        return reply


def end_orphans(uid: int, *, sweeper_uid: int) -> None:
    """End, in the zygote's place, whatever has a worker's uid: the trusted process is the next in line for orphans."""
    if sweep.uids_in_use(uid, uid):
        sweep.end_processes(uid, session=0, sweeper_uid=sweeper_uid, spare=())
