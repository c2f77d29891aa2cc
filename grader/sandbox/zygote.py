"""
The zygote: a process with the libraries imported and no secret in it, from which every worker is forked.

It takes three orders from the trusted process over a socket: start a worker, end a worker, and (when the
socket closes) end everything and go. It never runs student code and never reads what workers say.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from grader import wire
from grader.sandbox import sweep, worker
from grader.sandbox.limits import Limits
from grader.sandbox.walls import Walls

_NOT_SWEPT = -1
_EXIT_S = 1.0  # a process closes its descriptors a little before it can be waited for


@dataclass
class _Zygote:
    control: socket.socket
    walls: Walls
    tasks: Mapping[str, worker.Task]
    sweeper_uid: int
    folder: Path
    uids: dict[int, int] = field(default_factory=dict)  # pid of a living worker -> its uid


def serve(
    control: socket.socket, walls: Walls, tasks: Mapping[str, worker.Task], *, sweeper_uid: int, folder: Path
) -> NoReturn:
    """Be the zygote until the trusted process closes the control socket."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the trusted process decides when work ends
    sweep.become_subreaper()
    zygote = _Zygote(control, walls, tasks, sweeper_uid, folder)
    try:
        while True:
            order = wire.receive(control, wire.Caps())
            answer = {"start": _start, "end": _end}[order.kind](zygote, order)
            wire.send(control, answer)
    except (EOFError, OSError):
        for pid in list(zygote.uids):
            _end(zygote, wire.Message("end", {"pid": pid, "expect_gone": False}))
        # The trusted process removes the folder itself, unless it was killed.
        subprocess.run(["/bin/rm", "-rf", "--one-file-system", "--", str(zygote.folder)], check=False)
    os._exit(0)


def _start(zygote: _Zygote, order: wire.Message) -> wire.Message:
    _, descriptors, _, _ = socket.recv_fds(zygote.control, 1, 1)
    connection = socket.socket(fileno=descriptors[0])
    uid = order.meta["uid"]
    post = worker.Post(order.meta["task"], uid, Path(order.meta["scratch"]), Limits(**order.meta["limits"]))
    pid = os.fork()
    if pid == 0:
        worker.work(connection, post, zygote.walls, zygote.tasks)
    connection.close()
    zygote.uids[pid] = uid
    return wire.Message("started", {"pid": pid})


def _end(zygote: _Zygote, order: wire.Message) -> wire.Message:
    pid = order.meta["pid"]
    uid = zygote.uids.pop(pid)
    ended_itself = _has_ended(pid, patience_s=_EXIT_S if order.meta["expect_gone"] else 0.0)
    os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    try:
        left = sweep.end_processes(
            uid if zygote.walls.own_uid else None,
            session=pid,
            sweeper_uid=zygote.sweeper_uid,
            spare=zygote.uids,
        )
    except OSError:  # also TimeoutError: one uid that cannot be cleared must not cost the later questions
        left = _NOT_SWEPT
    return wire.Message(
        "ended",
        {
            "signal": os.WTERMSIG(status) if ended_itself and os.WIFSIGNALED(status) else 0,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "left_behind": left,
        },
    )


def _has_ended(pid: int, *, patience_s: float) -> bool:
    """Whether a worker has ended by itself; it stays to be waited for."""
    deadline = time.monotonic() + patience_s
    while os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() >= deadline:
            return False
        time.sleep(0.002)
    return True
