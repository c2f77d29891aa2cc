"""
A worker: a process forked for one task, shut in before it sees the task, gone after it.

It is forked ahead, while the worker before it computes, and waits behind its walls to be told what it will be for.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import NoReturn

from grader import wire
from grader.sandbox import limits
from grader.sandbox.heap import keep_freed_memory
from grader.sandbox.walls import Walls, raise_walls

# A task gets what it was asked and the connection (to call back for lent helpers); its answer is sent home.
Task = Callable[[wire.Message, socket.socket], wire.Message]

READY = "ready"
BROKEN_WALL = "broken-wall"
OUT_OF_MEMORY = "out-of-memory"
_REPEATABLE_SUMS = ":4096:8"  # without it cuBLAS may add in another order each time


@dataclass(frozen=True)
class Post:
    """Where one worker works."""

    uid: int
    scratch: Path
    zygote_pid: int


def assignment(task: str, allowed: limits.Limits) -> wire.Message:
    """Return what a waiting worker is told: which task it will be given, and what it may use."""
    return wire.Message("assignment", {"task": task, "limits": asdict(allowed)})


def work(connection: socket.socket, post: Post, walls: Walls, tasks: Mapping[str, Task]) -> NoReturn:
    """
    Be the worker: raise the walls, wait for the assignment, keep to its limits, say so, take the task, answer, end.

    Nothing of the submission is here before the walls stand: the trusted process sends it only after READY.
    The process leaves by os._exit, so nothing that student code registered to run at the end runs.
    """
    try:
        _detach(connection)
        _set_environment(post.scratch, cuda=not walls.limit_memory)
        held_bytes = limits.address_space_bytes() if walls.limit_memory else None
        keep_freed_memory()
        raise_walls(walls, uid=post.uid, scratch=post.scratch, zygote_pid=post.zygote_pid)
        assigned = wire.receive(connection, wire.TRUSTING).meta
        limits.apply(limits.Limits(**assigned["limits"]), held_bytes=held_bytes)
    except EOFError:  # nobody needs this worker any more
        os._exit(0)
    except BaseException as error:  # whatever it was: without walls this process must not go on
        with contextlib.suppress(OSError):  # nobody listens any more
            wire.send(connection, wire.Message(BROKEN_WALL, {"error": f"{type(error).__name__}: {error}"}))
        os._exit(1)
    try:
        wire.send(connection, wire.Message(READY))
        request = wire.receive(connection, wire.TRUSTING)
        wire.send(connection, tasks[assigned["task"]](request, connection))
    except MemoryError:
        with contextlib.suppress(OSError):
            wire.send(connection, wire.Message(OUT_OF_MEMORY))
    except BaseException:  # student code may raise SystemExit or worse; the missing answer says enough
        os._exit(1)
    os._exit(0)


def _detach(connection: socket.socket) -> None:
    """Leave the zygote's session, descriptors and signal handlers behind."""
    os.setsid()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    for standard in (0, 1, 2):
        os.dup2(null, standard)
    # Whoever started us may have put objects of their own here, over descriptors that are closed below.
    sys.stdin, sys.stdout, sys.stderr = os.fdopen(0), os.fdopen(1, "w"), os.fdopen(2, "w")
    keep = connection.fileno()
    os.closerange(3, keep)
    os.closerange(keep + 1, os.sysconf("SC_OPEN_MAX"))


def _set_environment(scratch: Path, *, cuda: bool) -> None:
    home = str(scratch)
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES")
    gpus = {"CUBLAS_WORKSPACE_CONFIG": _REPEATABLE_SUMS} if cuda else {}
    if cuda and chosen is not None:
        gpus["CUDA_VISIBLE_DEVICES"] = chosen
    os.environ.clear()
    os.environ.update(
        HOME=home,
        TMPDIR=home,
        PATH="/usr/local/bin:/usr/bin:/bin",
        LANG="C.UTF-8",
        MPLBACKEND="Agg",
        USER="student",
        **gpus,
    )
    tempfile.tempdir = None  # what it was in our parent is no place that a worker may write to
