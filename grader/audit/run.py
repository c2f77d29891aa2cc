"""Audit one submission: three kinds of workers do the reading, the executing and the comparing (trusted side)."""

from __future__ import annotations

import base64
import contextlib
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from grader.audit.record import (
    MalformedAnswer,
    NotebookRecord,
    PlannedNotebook,
    Progress,
    read_plan,
    read_progress,
    read_records,
)
from grader.errors import StaffError
from grader.intake.collect import collect
from grader.intake.names import safe_text
from grader.pipeline.homework import Homework
from grader.sandbox import syscalls
from grader.sandbox.host import Sandbox
from grader.sandbox.limits import Limits
from grader.sandbox.outcome import Ending
from grader.wire import Array, Arrays, Caps, Message

if TYPE_CHECKING:
    from grader.checks.compare import Tolerance

STAND_INS = Path(__file__).parents[1] / "stand_in"
_MIB = 2**20
_READING = Limits(wall_s=60.0, memory_mib=1024)
_PLAN_CAPS = Caps(header_bytes=_MIB, body_bytes=192 * _MIB)
_CELL_CAPS = Caps(body_bytes=33 * _MIB, arrays=1)
_RECORD_CAPS = Caps(header_bytes=8 * _MIB, body_bytes=160 * _MIB, arrays=1)
_MAX_OUTPUTS_BYTES = 48 * _MIB  # of one notebook: the worker that compares needs ten times as much memory
_STARTING_S = 90.0  # for the kernel to start and to end, on top of the cells' own time
_IMAGES_ON_CPU = 256  # two batches: an epoch of the largest network takes seconds
_SHOWN_NAME = 120  # characters
_TRAINED = "_acc"  # the end of the keys under which accuracies are saved


@dataclass(frozen=True)
class Settings:
    """
    How to audit.

    Args:
        homework: whose notebooks are executed.
        epochs: the most rounds of training; None for as many as the notebook says.
        data: the folder with CIFAR-10, or None: then small other images stand in.
        device: "cpu" or "cuda".
        budget_s: seconds for all cells of all notebooks.
        cell_limit_s: seconds for one cell.
        threads: processor threads for the notebooks' kernel.
        on_step: called with a few words when something begins.
    """

    homework: Homework
    epochs: int | None = 1
    data: Path | None = None
    device: str = "cpu"
    budget_s: float = 900.0
    cell_limit_s: float = 120.0
    threads: int = 1
    on_step: Callable[[str], None] = lambda _: None

    @property
    def other_images(self) -> bool:
        """Whether notebooks train on other images, or on fewer, than the homework's."""
        return self.data is None or self.device == "cpu"

    @property
    def reduced(self) -> bool:
        """Whether what was trained cannot be compared with what the student trained."""
        return self.other_images or self.epochs is not None


@dataclass(frozen=True)
class SavedValue:
    """
    One key of autograder.pt, as it was handed in and as the notebooks write it now.

    Args:
        key: its name.
        verdict: "same", "differs", "not comparable", "only handed in" or "only now".
        text: in words, what differs; empty for the same.
    """

    key: str
    verdict: str
    text: str = ""


@dataclass(frozen=True)
class Audit:
    """What an audit found: the notebooks in the order of execution, the saved values, and remarks."""

    submission: str
    settings: Settings
    sandbox: str
    notebooks: tuple[NotebookRecord, ...]
    saved: tuple[SavedValue, ...]
    notes: tuple[str, ...] = ()
    seconds: float = 0.0


@dataclass
class _Told:
    """What the worker that executes a notebook told of its cells; the first word on a cell counts."""

    cells: dict[int, Progress] = field(default_factory=dict)
    outputs: Arrays = field(default_factory=dict)
    held_bytes: int = 0

    def hear(self, message: Message) -> Message:
        """Take one message."""
        with contextlib.suppress(MalformedAnswer):
            progress = read_progress(message)
            outputs = message.arrays["outputs"]
            if progress.number in self.cells:
                return Message("go")
            if self.held_bytes + outputs.nbytes > _MAX_OUTPUTS_BYTES:
                progress, outputs = replace(progress, status="TOO_MUCH_OUTPUT"), outputs[:0]
            self.held_bytes += outputs.nbytes
            self.cells[progress.number] = progress
            self.outputs[f"outputs/{progress.number}"] = outputs
        return Message("go")


def audit_submission(path: Path, settings: Settings) -> Audit:
    """
    Execute a submission's notebooks in the sandbox and compare.

    Args:
        path: a zip, a notebook or a folder.
        settings: how to audit.

    Raises:
        StaffError: the sandbox cannot hold a kernel on this machine, or there is nothing to read.
    """
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        # Both are forked before this process reads anything of ours that a worker should not know.
        reading = stack.enter_context(Sandbox(_reading_tasks()))
        running = stack.enter_context(
            Sandbox(
                _running_tasks(),
                cuda=settings.device == "cuda",
                local_sockets=True,
                readable=(settings.data,) if settings.data else (),
            )
        )
        if running.walls.chroot:
            raise StaffError(
                happened="This kernel has no Landlock, and a notebook's kernel cannot be started without files.",
                try_next="Audit on Linux 5.13 or newer.",
            )
        settings.on_step(running.walls.describe())
        return _Auditor(reading, running, settings).audit(path, began)


def _reading_tasks() -> dict[str, Any]:
    from grader.audit.compare import compare_outputs
    from grader.audit.plan import plan
    from grader.probes.saved import load_outputs

    return {"plan": plan, "compare": compare_outputs, "load_outputs": load_outputs}


def _running_tasks() -> dict[str, Any]:
    from grader.audit.execute import execute

    return {"execute": execute}


class _Auditor:
    def __init__(self, reading: Sandbox, running: Sandbox, settings: Settings) -> None:
        self._reading = reading
        self._running = running
        self._settings = settings
        self._rules = {"epochs": settings.epochs, "data": str(settings.data or "")}
        self._files: dict[str, Array] = {}

    def audit(self, path: Path, began: float) -> Audit:
        collected = collect(path)
        meta = {"paths": list(collected.files), "rules": self._rules, "other_images": self._settings.other_images}
        arrays = {str(index): data for index, data in enumerate(collected.files.values())}
        outcome = self._reading.run("plan", Message("plan", meta, arrays), limits=_READING, caps=_PLAN_CAPS)
        if outcome.message is None:
            raise StaffError(
                happened=f"The submission could not be read: {outcome.ending.value}.",
                try_next="Grade it first: the report says what is wrong with its files.",
            )
        planned = outcome.message
        try:
            notebooks, files, notes = read_plan(planned)
        except MalformedAnswer as error:
            raise StaffError(
                happened=f"The worker that read the submission gave no plan ({error}).", try_next="Look at its files."
            ) from error
        self._files = {name: planned.arrays[f"file/{index}"] for index, name in enumerate(files)}
        records, written = self._execute_all(notebooks, planned.arrays)
        saved = self._compare_saved(planned.arrays.get("autograder"), written)
        return Audit(
            safe_text(path.name, limit=_SHOWN_NAME),
            self._settings,
            self._running.walls.describe(),
            tuple(records),
            tuple(saved),
            (*(note.text for note in collected.notes), *notes),
            time.monotonic() - began,
        )

    def _execute_all(
        self, notebooks: Sequence[PlannedNotebook], arrays: Arrays
    ) -> tuple[list[NotebookRecord], Array | None]:
        records, written = [], None
        deadline = time.monotonic() + self._settings.budget_s
        for index, notebook in enumerate(notebooks):
            self._settings.on_step(f"Executing {notebook.name}")
            budget_s = max(deadline - time.monotonic(), 0.0)
            told, wrote, ended = self._execute(arrays[f"plan/{index}"], budget_s)
            written = wrote if written is None else written
            records.append(self._compare(notebook, arrays[f"notebook/{index}"], told, ended))
        return records, written

    def _execute(self, plan: Array, budget_s: float) -> tuple[_Told, Array | None, str]:
        """Execute one notebook; return what was told of it, the autograder.pt it wrote, and how the worker ended."""
        settings, told = self._settings, _Told()
        files = {**_given_files(settings.homework), **self._files}
        stand_ins = _stand_in_files()
        strict = syscalls.compile_filter() if self._running.walls.seccomp is not None else b""
        variables = {"GRADER_CIFAR10": str(settings.data)} if settings.data else {}
        if settings.device == "cpu":
            variables["GRADER_STAND_IN_IMAGES"] = str(_IMAGES_ON_CPU)
        how = {
            "cell_limit_s": settings.cell_limit_s,
            "budget_s": budget_s,
            "filter": base64.b64encode(strict).decode(),
            "threads": settings.threads,
            "device": settings.device,
            "variables": variables,
        }
        meta = {"settings": how, "files": list(files), "stand_ins": list(stand_ins)}
        arrays = {"plan": plan, **_numbered("file", files), **_numbered("stand_in", stand_ins)}
        limits = Limits(
            wall_s=budget_s + _STARTING_S, memory_mib=4096, file_mib=64, scratch_mib=512, scratch_entries=5000
        )
        outcome = self._running.run(
            "execute", Message("execute", meta, arrays), limits=limits, caps=_CELL_CAPS, answer=told.hear
        )
        if outcome.ending is not Ending.ANSWERED or outcome.message is None:
            return told, None, f"{outcome.ending.value} {outcome.detail}".strip()
        return told, outcome.message.arrays.get("written"), ""

    def _compare(self, notebook: PlannedNotebook, data: Array, told: _Told, ended: str) -> NotebookRecord:
        meta = {
            "name": notebook.name,
            "rules": self._rules,
            "other_images": self._settings.other_images,
            "executions": [asdict(cell) for cell in told.cells.values()],
        }
        arrays = {"notebook": data, **told.outputs}
        outcome = self._reading.run("compare", Message("compare", meta, arrays), limits=_READING, caps=_RECORD_CAPS)
        try:
            if outcome.message is None:
                raise MalformedAnswer(outcome.ending.value)
            return read_records(outcome.message, notebook.name, ended=ended)
        except MalformedAnswer as error:
            return NotebookRecord(notebook.name, (), ended=ended, uncompared=str(error))

    def _compare_saved(self, handed_in: Array | None, written: Array | None) -> list[SavedValue]:
        if handed_in is None and written is None:
            return []
        then, now = self._load(handed_in), self._load(written)
        keys = dict.fromkeys([*then, *now])
        from grader.checks.compare import Calibration  # it may be imported only after the zygotes were forked

        tolerance, reduced = Calibration(self._settings.homework.calibration).widest_tolerance(), self._settings.reduced
        compared = (compare_key(key, then.get(key), now.get(key), tolerance, reduced=reduced) for key in keys)
        # Students choose the keys of their file.
        return [replace(value, key=safe_text(value.key, limit=_SHOWN_NAME)) for value in compared]

    def _load(self, file: Array | None) -> dict[str, list[Array]]:
        if file is None:
            return {}
        outcome = self._reading.run("load_outputs", Message("load", {}, {"file": file}), limits=_READING)
        values: dict[str, list[Array]] = {}
        for name, array in (outcome.message.arrays if outcome.message is not None else {}).items():
            values.setdefault(name.rpartition("/")[0], []).append(array)
        return values


def compare_key(
    key: str, then: Sequence[Array] | None, now: Sequence[Array] | None, tolerance: Tolerance, *, reduced: bool
) -> SavedValue:
    """Return how a saved value compares with the one written now; `reduced` as in `Settings`."""
    from grader.checks.compare import compare  # it may be imported only after the zygotes were forked

    if now is None:
        return SavedValue(key, "only handed in", "The notebooks do not write it now.")
    if then is None:
        return SavedValue(key, "only now", "It was not handed in.")
    if len(then) != len(now):
        return SavedValue(key, "differs", f"{len(then)} values when it was handed in, {len(now)} now.")
    if key.endswith(_TRAINED):
        numbers = [float(values[0].reshape(-1)[0]) if values[0].size else float("nan") for values in (then, now)]
        if reduced:
            return SavedValue(key, "not comparable", f"{numbers[0]:.3f} when it was handed in, {numbers[1]:.3f} now.")
    pairs = [(one.astype(np.float64), other.astype(np.float64)) for one, other in zip(then, now, strict=True)]
    sentences = [
        sentence
        for one, other in pairs
        if (sentence := compare(one, other, tolerance, name="What was handed in", is_code=False))
    ]
    return SavedValue(key, "differs", sentences[0]) if sentences else SavedValue(key, "same")


def _given_files(homework: Homework) -> dict[str, Array]:
    """Return what the homework hands out beside the notebooks; a student's own file of that name wins."""
    vectors = [homework.templates / name for name in homework.public_vectors]
    paths = [*sorted(homework.templates.glob("*.py")), *vectors]
    return {path.name: np.frombuffer(path.read_bytes(), dtype=np.uint8) for path in paths}


def _stand_in_files() -> dict[str, Array]:
    """Return the stand-in packages' modules: our files cannot be read where notebooks are executed."""
    paths = [path for path in sorted(STAND_INS.rglob("*.py")) if path.parent != STAND_INS]
    return {str(path.relative_to(STAND_INS)): np.frombuffer(path.read_bytes(), dtype=np.uint8) for path in paths}


def _numbered(prefix: str, files: Mapping[str, Array]) -> Arrays:
    return {f"{prefix}/{index}": data for index, data in enumerate(files.values())}
