"""What the trusted process believes of a survey: every field checked for type, range and size."""

from __future__ import annotations
import __future__

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

from grader.errors import SubmissionError
from grader.intake.names import safe_text
from grader.wire import Caps as WireCaps
from grader.wire import Message

Bytes = npt.NDArray[np.uint8]
_POSTPONED_HINTS = __future__.annotations.compiler_flag

MAX_CLASSIFIERS = 4
# Further saved files, which may be classifiers: they are known by what is in them, not by their names.
CLASSIFIERS = tuple(f"classifier-{number}" for number in range(1, MAX_CLASSIFIERS + 1))
ROLES = ("autograder", "saved_model", *CLASSIFIERS)
NOTE_KINDS = (
    "archive",  # a zip that could not be read, or only in part
    "broken-cell",  # code that does not compile
    "chosen",  # which of several files was used
    "damaged",  # a notebook or module that could not be read, or only in part
    "empty",  # nothing to grade
    "left-out",  # a file that was not looked at
    "not-run",  # a name that is made where the grader does not run code
    "shadowed",  # a module with the name of an installed one
    "skipped-cell",  # a cell in another language
)

_ABOUT_WHAT_WAS_NOT_READ = frozenset({"archive", "damaged", "left-out"})

MAX_NOTES = 60
MAX_NOTE_CHARACTERS = 500
MAX_LABEL_CHARACTERS = 100
MAX_NAME_CHARACTERS = 200
MAX_CELLS = 4_000  # of one part, needed ones only
MAX_CELL_CHARACTERS = 1_000_000
MAX_CODE_CHARACTERS = 4_000_000  # of all cells and modules together
MAX_NAMES = 2_000
MAX_PLAN_STEPS = 5_000
MAX_MODULES = 500
MAX_NOTEBOOKS = 200
MAX_RIVALS = 4
MAX_PATH = 2_000
MAX_FILE_BYTES = 64 * 2**20

# What to allow the surveying worker's answer on the wire: as JSON, a character takes up to twelve bytes.
SURVEY_CAPS = WireCaps(header_bytes=12 * MAX_CODE_CHARACTERS + 2**23, body_bytes=3 * MAX_FILE_BYTES, arrays=len(ROLES))


@dataclass(frozen=True)
class Note:
    """One or two sentences for the student; `kind` is one of NOTE_KINDS, `text` is safe as markdown."""

    kind: str
    text: str


@dataclass(frozen=True)
class Cell:
    """
    One notebook cell, or one whole .py file, exactly as it is to be compiled.

    `label` is for people: "MAE_student.ipynb, code cell 12" (counted over code cells from 1) or "helpers.py".
    Line numbers of `source` are those the student sees in the cell. `flags` are those of the compiler that are in force
    there: `from __future__ import annotations` of a cell above counts.
    """

    label: str
    source: str
    flags: int = 0


Plan = tuple[tuple[int, int], ...]


@dataclass(frozen=True)
class Code:
    """
    What one part of the homework needs from the submission.

    Args:
        cells: the cells that any plan refers to.
        plans: wanted name -> (cell, statement) pairs to run in this order in an empty namespace; a statement
            is an index into `ast.parse(cells[cell].source).body`. A dotted name has the plan of its class.
        missing: wanted name without a plan, or dotted name that its class lacks -> the nearest name found, if
            any.
        not_run: name -> label of the cell that makes it, where only code that the grader does not run does so
            (a loop, a `with` that trains, a test call). A later NameError about it is explained by this.
        broken: name -> where and why the code that defines it does not compile.
        unwritten: wanted names whose definition still holds what was handed out in place of an answer.
        hints: wanted name -> what the student should know of it where its question fails: where it stands, or what
            code changes it that is not run.
    """

    cells: tuple[Cell, ...]
    plans: Mapping[str, Plan]
    missing: Mapping[str, str | None]
    not_run: Mapping[str, str]
    broken: Mapping[str, str]
    unwritten: frozenset[str] = frozenset()
    hints: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))

    def as_request(
        self, names: Iterable[str], modules: Mapping[str, str], *, called: str = "cell"
    ) -> dict[str, object]:
        """
        Return what a worker needs to define names, as JSON: the cells that their plans refer to, renumbered.

        Their labels are neutral, because student code can read them: nothing reaches it that hidden inputs do not
        depend on (`fingerprint`). `labels` has the real ones.

        Args:
            names: wanted names; one without a plan is left out.
            modules: source of the modules that the cells may import.
            called: what the neutral labels begin with.
        """
        steps, cells = self._needed(names)
        numbers = {cell: index for index, cell in enumerate(cells)}
        return {
            "cells": [
                [f"{called} {numbers[cell] + 1}", self.cells[cell].source, self.cells[cell].flags] for cell in cells
            ],
            "statements": [[numbers[cell], statement] for cell, statement in steps],
            "modules": dict(modules),
        }

    def labels(self, names: Iterable[str]) -> dict[str, str]:
        """Return the neutral label of each cell in a request for the same names -> the label for people."""
        _, cells = self._needed(names)
        return {f"cell {index}": self.cells[cell].label for index, cell in enumerate(cells, start=1)}

    def _needed(self, names: Iterable[str]) -> tuple[list[tuple[int, int]], list[int]]:
        """Return the steps that define names, and the cells that these are in, both in order."""
        steps = sorted({step for name in names for step in self.plans.get(name, ())})
        return steps, sorted({cell for cell, _ in steps})


@dataclass(frozen=True)
class NotebookRun:
    """
    What a notebook's file shows of having been run; the student wrote that file, so none of it is proof.

    Args:
        file: the notebook.
        code_cells: number of code cells.
        run_cells: those with an execution count or outputs.
        figures: outputs that are images.
        errors: outputs that are error reports.
        defines: wanted names that it defines itself.
        mentions: wanted names that its code reads or calls.
    """

    file: str
    code_cells: int
    run_cells: int
    figures: int
    errors: int
    defines: frozenset[str]
    mentions: frozenset[str]


@dataclass(frozen=True)
class Intake:
    """
    All that the later rooms know of a submission.

    Args:
        parts: part of the homework -> its code.
        modules: dotted module name -> source; every parent package of a dotted name is present, perhaps
            empty.
        tensors: "autograder", "saved_model" and the names of `CLASSIFIERS`, where handed in -> (bytes,) uint8, the
            file as it is.
        used: (part or role, file) pairs: what was taken from where.
        notes: what the student should know about how the submission was read.
        runs: what each notebook shows of having been run.
        rivals: paths of notebooks that could as well have been taken for one place, the taken one first; none where
            it is clear, or where there is no autograder.pt to tell.
    """

    parts: Mapping[str, Code]
    modules: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    tensors: Mapping[str, Bytes] = field(default_factory=lambda: MappingProxyType({}))
    used: tuple[tuple[str, str], ...] = ()
    notes: tuple[Note, ...] = ()
    runs: tuple[NotebookRun, ...] = ()
    rivals: tuple[str, ...] = ()

    @property
    def is_read_whole(self) -> bool:
        """Whether nothing of the submission was left out, so that what was not found is not there."""
        return not any(note.kind in _ABOUT_WHAT_WAS_NOT_READ for note in self.notes)

    def why_not_found(self, file: str) -> str:
        """Return why a file that was asked for was not found, as a sentence that is true whatever was left out."""
        stem = file.rpartition(".")[0]
        about = [note for note in self.notes if note.kind in _ABOUT_WHAT_WAS_NOT_READ]
        named = [note.text for note in about if stem.lower() in note.text.lower()]
        if named:
            return f"`{file}` was not read: {named[0]}"
        if about:
            return f"There is no `{file}` in what could be read of the submission; see the notes at the top."
        return f"There is no `{file}` in the submission."


def read_survey(message: Message, *, notes: Sequence[Note] = ()) -> Intake:
    """
    Turn a worker's survey into an Intake, believing nothing about it.

    Args:
        message: what the worker sent; its content is as untrusted as the submission.
        notes: what the trusted side has to say already (from `collect`); they come first.

    Raises:
        SubmissionError: the message is not a survey, or one of its fields is out of bounds.
    """
    try:
        return _intake(message, tuple(notes))
    except (_MalformedError, RecursionError):
        raise SubmissionError(
            happened="The submission could not be read.",
            try_next="Download your notebook again, check that it opens in Jupyter, and upload the zip anew.",
        ) from None


def fingerprint(intake: Intake) -> bytes:
    """
    Return 32 bytes that depend on all that student code can see or that decides what it is asked, and on no more.

    That is what any request is made of: cells without their labels, statements, and modules with their names, which
    are imported by them. What is missing or broken decides which helpers are lent; saved files and traces of having
    been run decide what else is asked. File names of notebooks and the way of packing do not count.
    """
    digest = hashlib.sha256()
    for part, code in sorted(intake.parts.items()):
        _, cells = code._needed(code.plans)
        numbers = {cell: index for index, cell in enumerate(cells)}
        _feed(digest, "part", part)
        for cell in (code.cells[cell] for cell in cells):
            _feed(digest, cell.source, *([str(cell.flags)] if cell.flags else []))
        for name, plan in sorted(code.plans.items()):
            _feed(digest, "plan", name, str([(numbers[cell], statement) for cell, statement in plan]))
        _feed(digest, "without", *sorted(code.missing), "broken", *sorted(code.broken))
    for name, source in sorted(intake.modules.items()):
        _feed(digest, "module", name, source)
    for role, file in sorted(intake.tensors.items()):
        _feed(digest, "file", role, hashlib.sha256(file.data).hexdigest())
    for run in sorted({_traces(run) for run in intake.runs}):
        _feed(digest, "run", *run)
    return digest.digest()


def _traces(run: NotebookRun) -> tuple[str, ...]:
    """Return what decides whether a notebook counts as run: numbers matter only where they are 0."""
    return str((run.run_cells > 0, run.figures > 0, run.errors > 0)), *sorted(run.defines | run.mentions)


def _feed(digest: Any, *texts: str) -> None:
    for text in texts:
        data = text.encode("utf-8", "surrogatepass")
        digest.update(len(data).to_bytes(8, "little") + data)


class _MalformedError(Exception):
    """The message is not a survey."""


def _intake(message: Message, notes: tuple[Note, ...]) -> Intake:
    if message.kind != "survey":
        raise _MalformedError("kind")
    meta = _mapping(message.meta, limit=10)
    if set(meta) != {"parts", "modules", "used", "notes", "runs", "rivals"}:
        raise _MalformedError("fields")
    parts = {name: _code(value) for name, value in _mapping(meta["parts"], limit=20).items()}
    modules = {
        _module_name(name): _text(value, limit=MAX_CELL_CHARACTERS)
        for name, value in _mapping(meta["modules"], limit=MAX_MODULES).items()
    }
    characters = sum(len(source) for source in modules.values())
    characters += sum(len(cell.source) for code in parts.values() for cell in code.cells)
    if characters > MAX_CODE_CHARACTERS:
        raise _MalformedError("total")
    used = tuple(_pair_of_text(pair) for pair in _sequence(meta["used"], limit=MAX_NAMES))
    said = tuple(_note(value) for value in _sequence(meta["notes"], limit=MAX_NOTES))
    return Intake(
        parts=MappingProxyType(parts),
        modules=MappingProxyType(modules),
        tensors=MappingProxyType(_tensors(message.arrays)),
        used=used,
        notes=(notes + said)[:MAX_NOTES],
        runs=tuple(_notebook_run(value) for value in _sequence(meta["runs"], limit=MAX_NOTEBOOKS)),
        rivals=tuple(_text(path, limit=MAX_PATH) for path in _sequence(meta["rivals"], limit=MAX_RIVALS)),
    )


def _code(value: object) -> Code:
    meta = _mapping(value, limit=10)
    if set(meta) != {"cells", "plans", "missing", "not_run", "broken", "unwritten", "hints"}:
        raise _MalformedError("fields of a part")
    cells = tuple(_cell(value) for value in _sequence(meta["cells"], limit=MAX_CELLS))
    plans = {name: _plan(steps, cells) for name, steps in _mapping(meta["plans"], limit=MAX_NAMES).items()}
    missing = {
        name: None if near is None else _shown(near, limit=MAX_NAME_CHARACTERS)
        for name, near in _mapping(meta["missing"], limit=MAX_NAMES).items()
    }
    return Code(
        cells=cells,
        plans=MappingProxyType(plans),
        missing=MappingProxyType(missing),
        not_run=_labels(meta["not_run"], limit=MAX_LABEL_CHARACTERS),
        broken=_labels(meta["broken"], limit=MAX_NOTE_CHARACTERS),
        unwritten=frozenset(
            _text(name, limit=MAX_NAME_CHARACTERS) for name in _sequence(meta["unwritten"], limit=MAX_NAMES)
        ),
        hints=_labels(meta["hints"], limit=MAX_NOTE_CHARACTERS),
    )


def _notebook_run(value: object) -> NotebookRun:
    meta = _mapping(value, limit=10)
    counts = ("code_cells", "run_cells", "figures", "errors")
    if set(meta) != {"file", *counts, "defines", "mentions"}:
        raise _MalformedError("fields of a run")
    if any(type(meta[name]) is not int or not 0 <= meta[name] < 2**31 for name in counts):
        raise _MalformedError("count")
    defines, mentions = (
        frozenset(_text(name, limit=MAX_NAME_CHARACTERS) for name in _sequence(meta[key], limit=MAX_NAMES))
        for key in ("defines", "mentions")
    )
    file = _shown(meta["file"], limit=MAX_LABEL_CHARACTERS)
    code_cells, run_cells, figures, errors = (int(meta[name]) for name in counts)
    return NotebookRun(file, code_cells, run_cells, figures, errors, defines, mentions)


def _labels(value: object, *, limit: int) -> Mapping[str, str]:
    labels = {name: _shown(label, limit=limit) for name, label in _mapping(value, limit=MAX_NAMES).items()}
    return MappingProxyType(labels)


def _cell(value: object) -> Cell:
    cell = _sequence(value, limit=3)
    if len(cell) != 3 or type(cell[2]) is not int or cell[2] not in (0, _POSTPONED_HINTS):
        raise _MalformedError("cell")
    label, source, flags = cell
    return Cell(_shown(label, limit=MAX_LABEL_CHARACTERS), _text(source, limit=MAX_CELL_CHARACTERS), flags)


def _plan(value: object, cells: Sequence[Cell]) -> Plan:
    steps = []
    for step in _sequence(value, limit=MAX_PLAN_STEPS):
        cell, statement = _exactly_two(step)
        if type(cell) is not int or type(statement) is not int:
            raise _MalformedError("plan")
        if not 0 <= cell < len(cells) or not 0 <= statement < len(cells[cell].source):
            raise _MalformedError("plan")  # a statement takes a character of source at least
        steps.append((cell, statement))
    return tuple(steps)


def _note(value: object) -> Note:
    kind, text = _exactly_two(value)
    if kind not in NOTE_KINDS:
        raise _MalformedError("note")
    return Note(str(kind), _shown(text, limit=MAX_NOTE_CHARACTERS))


def _tensors(arrays: object) -> dict[str, Bytes]:
    tensors = _mapping(arrays, limit=len(ROLES))
    for role, array in tensors.items():
        if role not in ROLES or type(array) is not np.ndarray or array.dtype != np.uint8 or array.ndim != 1:
            raise _MalformedError("file")
        if array.size > MAX_FILE_BYTES:
            raise _MalformedError("file")
    return tensors


def _module_name(name: str) -> str:
    if not all(piece.isidentifier() for piece in name.split(".")):
        raise _MalformedError("module")
    return name


def _pair_of_text(value: object) -> tuple[str, str]:
    role, file = _exactly_two(value)
    return _shown(role, limit=MAX_NAME_CHARACTERS), _shown(file, limit=MAX_LABEL_CHARACTERS)


def _shown(value: object, *, limit: int) -> str:
    return safe_text(_text(value, limit=10 * limit), limit=limit)


def _text(value: object, *, limit: int) -> str:
    if type(value) is not str or len(value) > limit:
        raise _MalformedError("text")
    return value


def _exactly_two(value: object) -> Sequence[Any]:
    pair = _sequence(value, limit=2)
    if len(pair) != 2:
        raise _MalformedError("pair")
    return pair


def _sequence(value: object, *, limit: int) -> Sequence[Any]:
    if not isinstance(value, list | tuple) or len(value) > limit:
        raise _MalformedError("list")
    return value


def _mapping(value: object, *, limit: int) -> dict[str, Any]:
    if type(value) is not dict or len(value) > limit:
        raise _MalformedError("object")
    if not all(type(key) is str and len(key) <= MAX_NAME_CHARACTERS for key in value):
        raise _MalformedError("object")
    return value
