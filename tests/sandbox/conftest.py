"""A sandbox to attack, shared by the tests of a module."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest

from grader import wire
from grader.sandbox.host import Sandbox
from grader.sandbox.limits import Limits
from grader.sandbox.outcome import Outcome
from tests.sandbox.hostile_code import SECRET, Run, run_source


@pytest.fixture(scope="session")
def root() -> None:
    """Fail where isolation cannot be tested."""
    if os.geteuid() != 0:
        pytest.fail("only root can give a worker a uid of its own: run the tests as root, in a container")


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Return a sandbox whose parent has a secret in its environment and a file of root's open."""
    read_only = os.open("/etc/shadow", os.O_RDONLY)
    os.set_inheritable(read_only, True)
    os.environ["PLATFORM_TOKEN"] = SECRET
    try:
        with Sandbox({"source": run_source}) as started:
            yield started
    finally:
        del os.environ["PLATFORM_TOKEN"]
        os.close(read_only)


@pytest.fixture
def run(sandbox: Sandbox) -> Run:
    """Return a function that has a fresh worker run some source."""

    def run_it(source: str, *, given: object = None, wall_s: float = 5.0, **options: Any) -> Outcome:
        limits = Limits(wall_s=wall_s, memory_mib=options.pop("memory_mib", 256))
        meta = {"source": textwrap.dedent(source), "given": given}
        return sandbox.run("source", wire.Message("run", meta), limits=limits, **options)

    return run_it
