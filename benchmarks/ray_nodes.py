"""A Ray cluster of two nodes on this machine, for tests and measurements: loopback only, no dashboard."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_START_S = 60.0
# Ray replaces 127.0.0.1 by the address of another interface; the rest of the loopback network it leaves alone.
_HEAD, _SECOND = "127.0.0.2", "127.0.0.3"


class RayNodes:
    """
    A head and a second node, each with one processor for grading. Use it as a context manager.

    Each node is a process group of its own, so that one can be killed as a power cut would.

    Args:
        folder: for logs.
        second: start the second node, too.
        cpus: processors of each node.
    """

    def __init__(self, folder: Path, *, second: bool = True, cpus: int = 1) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        # Ray's sockets have names of at most 107 characters.
        self._temporary = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))
        self._cpus = cpus
        self._with_second = second
        self._nodes: list[subprocess.Popen[bytes]] = []
        self.address = f"{_HEAD}:{_free_port()}"

    def __enter__(self) -> RayNodes:
        port = self.address.partition(":")[2]
        head = ("--head", f"--port={port}", "--include-dashboard=false", f"--temp-dir={self._temporary}")
        try:
            self._start(_HEAD, *head)
            self._await(1)
            if self._with_second:
                self._start(_SECOND, f"--address={self.address}")
                self._await(2)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        import ray

        ray.shutdown()
        for node in reversed(self._nodes):
            _kill(node)
        shutil.rmtree(self._temporary, ignore_errors=True)

    def kill_second(self) -> None:
        """Kill every process of the second node at once."""
        _kill(self._nodes[1])

    def living(self) -> int:
        """Return how many nodes the cluster still counts, after it had time to notice."""
        import ray

        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline:
            living = sum(node["Alive"] for node in ray.nodes())
            if living == sum(node.poll() is None for node in self._nodes):
                return living
            time.sleep(0.5)
        return living

    def _start(self, ip: str, *arguments: str) -> None:
        program = [str(Path(sys.executable).with_name("ray")), "start", "--block", f"--node-ip-address={ip}"]
        with (self._folder / f"{ip}.log").open("wb") as log:
            node = subprocess.Popen(
                [*program, f"--num-cpus={self._cpus}", "--object-store-memory=100000000", *arguments],
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
                env={**os.environ, "RAY_USAGE_STATS_ENABLED": "0"},
            )
        self._nodes.append(node)

    def _await(self, count: int) -> None:
        """Wait until the cluster has this many nodes."""
        deadline = time.monotonic() + _START_S
        while not self._is_listening() or self._nodes_alive() < count:
            if time.monotonic() > deadline:
                raise TimeoutError(f"Ray did not start: see {self._folder}")
            time.sleep(0.5)

    def _is_listening(self) -> bool:
        host, _, port = self.address.partition(":")
        with socket.socket() as probe:
            return probe.connect_ex((host, int(port))) == 0

    def _nodes_alive(self) -> int:
        from grader.errors import StaffError
        from grader.fleet.ray_pool import RaySettings, start_ray
        from homework.homework import HOMEWORK

        settings = RaySettings(HOMEWORK.package, self.address, workers=1)
        try:
            return sum(node["Alive"] for node in start_ray(settings).nodes())
        except StaffError:  # it listens before it answers
            return 0


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _kill(node: subprocess.Popen[bytes]) -> None:
    """Kill a node with all that it started, and wait until it is gone."""
    for pid in [node.pid, *_descendants(node.pid)]:
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            continue
    node.wait()


def _descendants(pid: int) -> list[int]:
    """Return the processes that Ray started for a node; those of a grader end by themselves when it is gone."""
    found = []
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except OSError:
        return []
    for child in map(int, children):
        found += [child, *_descendants(child)]
    return found
