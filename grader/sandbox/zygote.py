"""
The zygote: a process with the libraries imported and no secret in it, from which every worker is forked.

It takes four orders from the trusted process over a socket: import libraries, start a worker, end a worker, and (when
the socket closes) end everything and go. It never runs student code and never reads what workers say.
"""

from __future__ import annotations

import contextlib
import importlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from grader import wire
from grader.sandbox import sweep, worker
from grader.sandbox.walls import Walls

NOT_SWEPT = -1
FAILED = "failed"
_EXITING = 0x4  # PF_EXITING of the kernel's flags in /proc/<pid>/stat


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
            wire.send(control, _carry_out(zygote, order))
    except (EOFError, OSError):
        for pid in list(zygote.uids):
            _carry_out(zygote, wire.Message("end", {"pid": pid}))
        # The trusted process removes the folder itself, unless it was killed.
        subprocess.run(["/bin/rm", "-rf", "--one-file-system", "--", str(zygote.folder)], check=False)
    os._exit(0)


def _carry_out(zygote: _Zygote, order: wire.Message) -> wire.Message:
    """Do as ordered; where the machine has no process or memory left for one order, the next may find some."""
    try:
        return {"import": _import, "start": _start, "end": _end}[order.kind](zygote, order)
    except (OSError, MemoryError) as error:
        return wire.Message(FAILED, {"error": f"{type(error).__name__}: {error}"})


def _import(_: _Zygote, order: wire.Message) -> wire.Message:
    """Import libraries whose names the grader chose; where one is missing, student code finds that out by itself."""
    new = [library for library in order.meta["libraries"] if library not in sys.modules]
    for library in new:
        with contextlib.suppress(ImportError):
            importlib.import_module(library)
    return wire.Message("imported", {"new": new})


def _start(zygote: _Zygote, order: wire.Message) -> wire.Message:
    _, descriptors, _, _ = socket.recv_fds(zygote.control, 1, 1)
    uid = order.meta["uid"]
    post = worker.Post(uid, Path(order.meta["scratch"]), os.getpid())
    with socket.socket(fileno=descriptors[0]) as connection:
        pid = os.fork()
        if pid == 0:
            worker.work(connection, post, zygote.walls, zygote.tasks)
    zygote.uids[pid] = uid
    return wire.Message("started", {"pid": pid})


def _end(zygote: _Zygote, order: wire.Message) -> wire.Message:
    pid = order.meta["pid"]
    uid = zygote.uids.pop(pid)
    ended_itself = _is_ending(pid)
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
        left = NOT_SWEPT
    return wire.Message(
        "ended",
        {
            "signal": os.WTERMSIG(status) if ended_itself and os.WIFSIGNALED(status) else 0,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "left_behind": left,
        },
    )


def _is_ending(pid: int) -> bool:
    """
    Whether a worker has ended, or is about to, without our doing: a signal says something about it only then.

    A process closes its descriptors a little before it can be waited for. One that closed them by hand is not
    ending, and gets no time to go on.
    """
    state, *fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return state in "ZX" or bool(int(fields[5]) & _EXITING)
