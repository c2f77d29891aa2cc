"""
Execute the cells of one notebook with a kernel (worker side).

Request: meta has limits and settings, array "plan" is JSON with the cells as `plan` prepared them, arrays "file/<i>"
are what lies beside the notebook. After each cell a message "request" tells what came of it, so that whatever ends
this worker costs the cells that were not run yet and no more. The answer brings home what the cells wrote.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import socket
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import nbformat
import numpy as np
from jupyter_client.kernelspec import KernelSpec, KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient

from grader import wire
from grader.audit import kernel

KERNEL_SOURCE = Path(kernel.__file__).read_text(encoding="utf-8")  # workers cannot read our files
WRITTEN = "autograder.pt"
MAX_OUTPUT_BYTES = 4 * 2**20  # of one cell; a figure takes some 50 KB
MAX_WRITTEN_BYTES = 32 * 2**20
_GRACE_S = 5.0  # for a kernel to react to an interrupt, and for the smallest steps
_START_S = 60
_AGAIN_S = 2.0  # cells that took no longer are run again after a restart, for what they define


@dataclass(frozen=True)
class Settings:
    """
    How to execute.

    Args:
        cell_limit_s: seconds for one cell.
        budget_s: seconds for all cells together.
        filter: the strict seccomp filter for the kernel, in base64, or "".
        threads: processor threads for the kernel.
        device: "cpu" or "cuda".
        variables: further environment variables for the kernel.
    """

    cell_limit_s: float
    budget_s: float
    filter: str
    threads: int
    device: str
    variables: dict[str, str]


class _OneKernel(KernelSpecManager):
    """Knows one kernel, ours: no kernel that is installed on the machine is looked for."""

    arguments: Sequence[str] = ()

    def get_kernel_spec(self, kernel_name: str) -> KernelSpec:
        """Return the audit's kernel."""
        return KernelSpec(argv=list(self.arguments), display_name="audit", language="python")


def execute(request: wire.Message, connection: socket.socket) -> wire.Message:
    """Execute a notebook's cells in order and tell of each."""
    logging.disable(logging.CRITICAL)
    sys.path[:] = [path for path in sys.path if os.path.isabs(path)]  # cells write where this worker stands
    settings = Settings(**request.meta["settings"])
    cells = json.loads(request.arrays["plan"].tobytes())
    home = Path.cwd() / "notebook"
    stand_ins = _lay_out(request, home)
    run = _Run(settings, home, stand_ins, connection)
    asyncio.run(run.all_cells(cells))
    written = home / WRITTEN
    arrays = {}
    with contextlib.suppress(OSError):
        if written.is_file() and not written.is_symlink() and written.stat().st_size <= MAX_WRITTEN_BYTES:
            arrays["written"] = np.frombuffer(written.read_bytes(), dtype=np.uint8)
    return wire.Message("executed", {}, arrays)


def _lay_out(request: wire.Message, home: Path) -> str:
    """Write the files that lie beside the notebook and the stand-in packages; return the latter's folder or ""."""
    stand_ins = Path.cwd() / "stand_ins"
    for folder, names in ((home, request.meta["files"]), (stand_ins, request.meta["stand_ins"])):
        prefix = "file" if folder is home else "stand_in"
        folder.mkdir()
        for index, name in enumerate(names):
            place = folder / name
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_bytes(request.arrays[f"{prefix}/{index}"].tobytes())
    return str(stand_ins) if request.meta["stand_ins"] else ""


class _Client(NotebookClient):
    """A client that stops listening to a cell that shows too much."""

    def begin_cell(self, limit_s: float) -> None:
        """Set the next cell's limit and forget how much the last one showed."""
        self.timeout_func = lambda _: limit_s  # type: ignore[assignment, return-value] # parts of a second work too
        self._taken_bytes = 0

    @property
    def is_over(self) -> bool:
        """Whether the cell showed more than is kept."""
        return self._taken_bytes > MAX_OUTPUT_BYTES

    def process_message(self, message: dict[str, Any], cell: Any, cell_index: int) -> Any:
        """Take a message of the kernel's, unless it is one output too many."""
        if message["msg_type"] in ("stream", "display_data", "execute_result", "error", "update_display_data"):
            self._taken_bytes += len(str(message["content"]))
            if self.is_over:
                return None
        return super().process_message(message, cell, cell_index)


class _Run:
    """One notebook's execution: a kernel that may have to be started again."""

    def __init__(self, settings: Settings, home: Path, stand_ins: str, connection: socket.socket) -> None:
        self._settings = settings
        self._home = home
        self._stand_ins = stand_ins
        self._connection = connection
        self._deadline = time.monotonic() + settings.budget_s
        self._client: _Client | None = None
        self._quick: list[str] = []  # sources of cells that a new kernel can be given again

    async def all_cells(self, cells: Sequence[dict[str, Any]]) -> None:
        """Run the cells in order, each within its limit, and tell of each."""
        for cell in cells:
            if time.monotonic() >= self._deadline:
                self._tell(cell["number"], "OUT_OF_BUDGET", 0.0, [])
            elif cell["source"].strip():
                await self._one_cell(cell)
        await self._end_kernel()

    async def _one_cell(self, cell: dict[str, Any]) -> None:
        began = time.monotonic()
        status, outputs = "CRASHED", list[Any]()
        try:
            if self._client is None:
                await self._start_kernel()
        except Exception:  # it did not start, or a cell that was run again ended it
            await self._end_kernel()
        else:
            began = time.monotonic()
            limit_s = min(self._settings.cell_limit_s, max(self._deadline - began, 1.0))
            status, outputs = await self._run_source(cell["source"], limit_s)
        seconds = time.monotonic() - began
        if status == "OK" and seconds <= _AGAIN_S:
            self._quick.append(cell["source"])
        self._tell(cell["number"], status, seconds, outputs)

    async def _run_source(self, source: str, limit_s: float) -> tuple[str, list[Any]]:
        """
        Run one source and return its status and outputs.

        A cell that ignores its interrupt costs the kernel as well, and so does one that crashes it: the next cell
        gets a new one.
        """
        assert self._client is not None
        cell = nbformat.v4.new_code_cell(source)
        self._client.nb.cells = [cell]
        self._client.begin_cell(limit_s)
        began = time.monotonic()
        try:
            await asyncio.wait_for(self._client.async_execute_cell(cell, 0), limit_s + _GRACE_S)
        except Exception:  # a kernel that student code has got at may answer anything: it costs this cell only
            await self._end_kernel()
            # nbclient says of a wait that we ended that the kernel died.
            is_late = time.monotonic() - began >= limit_s
            return "TIMEOUT_KILLED" if is_late else "CRASHED", list(cell.outputs)
        if self._client.is_over:
            return "TOO_MUCH_OUTPUT", []
        if time.monotonic() - began >= limit_s:
            return "TIMEOUT", list(cell.outputs)
        failed = any(output.output_type == "error" for output in cell.outputs)
        return "ERROR" if failed else "OK", list(cell.outputs)

    async def _start_kernel(self) -> None:
        arguments = {"stand_ins": self._stand_ins, "filter": self._settings.filter, "device": self._settings.device}
        specs = _OneKernel()
        specs.arguments = [
            *(sys.executable, "-I", "-B", "-c", KERNEL_SOURCE, json.dumps(arguments)),
            *("-f", "{connection_file}", "--HistoryManager.enabled=False"),
        ]
        # Cells could have written into the folders of the kernel before.
        folder = Path(tempfile.mkdtemp(prefix="kernel-", dir=self._home.parent))
        manager = AsyncKernelManager(
            transport="ipc",
            ip=str(folder / "k"),
            connection_file=str(folder / "kernel.json"),
            kernel_spec_manager=specs,
        )
        self._client = _Client(
            nbformat.v4.new_notebook(),
            km=manager,
            allow_errors=True,
            interrupt_on_timeout=True,
            startup_timeout=_START_S,
        )
        self._client.reset_execution_trackers()
        await self._client.async_start_new_kernel(cwd=str(self._home), env=self._environment(folder))
        await self._client.async_start_new_kernel_client()
        for source in self._quick:
            await self._run_source(source, _AGAIN_S * 2)
            if self._client is None:
                raise RuntimeError("a cell that was quick before ended the kernel")

    def _environment(self, folder: Path) -> dict[str, str]:
        threads = str(self._settings.threads)
        return {
            **os.environ,
            "MPLBACKEND": "module://matplotlib_inline.backend_inline",
            "OMP_NUM_THREADS": threads,
            "OPENBLAS_NUM_THREADS": threads,
            **self._settings.variables,
            "HOME": str(folder),
            "IPYTHONDIR": str(folder / "ipython"),
            **({} if self._settings.device == "cuda" else {"CUDA_VISIBLE_DEVICES": ""}),
        }

    async def _end_kernel(self) -> None:
        client, self._client = self._client, None
        if client is None or client.km is None:
            return
        with contextlib.suppress(Exception):  # what is left of it ends with this worker
            await cast(Any, client.km).shutdown_kernel(now=True)
            if client.kc is not None:
                client.kc.stop_channels()

    def _tell(self, number: int, status: str, seconds: float, outputs: Sequence[Any]) -> None:
        content = json.dumps(list(outputs)).encode()
        meta = {"number": number, "status": status, "seconds": round(seconds, 2)}
        arrays = {"outputs": np.frombuffer(content, dtype=np.uint8)}
        wire.send(self._connection, wire.Message("request", meta, arrays))
        wire.receive(self._connection, wire.TRUSTING)
