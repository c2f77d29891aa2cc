"""Hostile code for a worker, and how to look at what came of it; shared by the tests of the sandbox."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from grader import wire
from grader.sandbox.outcome import Ending, Outcome

SECRET = "a token of the platform"  # it stands for one
# An isolation test that cannot run is a failure, not a skip: see the fixture in conftest.
needs_root = pytest.mark.usefixtures("root")

Run = Callable[..., Outcome]


def run_source(request: wire.Message, connection: socket.socket) -> wire.Message:
    """Be hostile code: run the request's source, send its `answer` home."""
    space: dict[str, Any] = {"connection": connection, "given": request.meta.get("given"), "answer": {}}
    exec(request.meta["source"], space)
    return wire.Message("answer", space["answer"], space.get("arrays", {}))


def answer_of(outcome: Outcome) -> dict[str, Any]:
    """Return what a worker that came to an answer said."""
    assert outcome.ending is Ending.ANSWERED, outcome
    assert outcome.message is not None
    return outcome.message.meta


def living_uids() -> set[int]:
    """Return the real uids of all living processes."""
    uids = set()
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            uids.add(int(status.read_text().partition("Uid:")[2].split()[0]))
    return uids


def gains(attempt: str) -> str:
    """Return source that answers {"error": <name>} for what an attempt raises, {"got": …} otherwise."""
    return (
        "import os, socket\ntry:\n"
        f"    answer['got'] = repr({attempt})\n"
        "except OSError as error:\n    answer['error'] = type(error).__name__\n"
    )
