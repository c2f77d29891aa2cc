"""
The zygote: a process with the libraries imported and no secret in it, from which every worker is forked.

It takes three orders from the trusted process over a socket: start a worker, end a worker, and (when the
socket closes) end everything and go. It never runs student code and never reads what workers say.
"""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from grader import wire
from grader.sandbox import sweep, worker
from grader.sandbox.limits import Limits
from grader.sandbox.walls import Walls


@dataclass
class _Zygote:
    control: socket.socket
    walls: Walls
    tasks: Mapping[str, worker.Task]
    sweeper_uid: int
    uids: dict[int, int] = field(default_factory=dict)  # pid of a living worker -> its uid


def serve(control: socket.socket, walls: Walls, tasks: Mapping[str, worker.Task], *, sweeper_uid: int) -> NoReturn:
    """Be the zygote until the trusted process closes the control socket."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the trusted process decides when work ends
    sweep.become_subreaper()
    zygote = _Zygote(control, walls, tasks, sweeper_uid)
    try:
        while True:
            order = wire.receive(control, wire.Caps())
            answer = {"start": _start, "end": _end}[order.kind](zygote, order)
            wire.send(control, answer)
    except (EOFError, OSError):
        for pid in list(zygote.uids):
            _end(zygote, wire.Message("end", {"pid": pid}))
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
    os.kill(pid, signal.SIGKILL)
    _, status, usage = os.wait4(pid, 0)
    left = sweep.end_processes(
        uid if zygote.walls.own_uid else None,
        session=pid,
        sweeper_uid=zygote.sweeper_uid,
        spare=zygote.uids,
    )
    return wire.Message(
        "ended",
        {
            "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
            "exit_code": os.WEXITSTATUS(status) if os.WIFEXITED(status) else 0,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "left_behind": left,
        },
    )
