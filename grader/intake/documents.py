"""Notebooks and modules as parsed blocks of code, wherever they came from (worker side)."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from grader.intake.caps import suffix_of
from grader.intake.definitions import Block, misplaced_block, read_block
from grader.intake.holdings import Held, module_path
from grader.intake.kinds import ADVICE, Kind
from grader.intake.magics import plain, plain_module
from grader.intake.names import display_name, quoted
from grader.intake.notebook import CodeCell, clean_source, decode, read_cells
from grader.intake.report import MAX_CELL_CHARACTERS, Note

MAX_DOCUMENTS = 200
# Parsing takes two to three seconds for a million characters, and the whole survey has sixty. What was handed out is
# read first, so that a library that lies beside it costs nothing but itself.
MAX_NOTEBOOK_CHARACTERS = 5_000_000
MAX_MODULE_CHARACTERS = 2_000_000
MAX_STATEMENTS = 30_000
MOST_S = 30.0


@dataclass(frozen=True)
class Document:
    """
    One file of code.

    Args:
        path: inside the submission; for a `%%writefile` cell, where the cell writes.
        blocks: its cells, or for a module the whole of it.
        is_module: a .py file, or one that a cell writes.
        cells: a notebook's code cells, those included that are not Python.
        copies: paths of other files with the same content, which are not read again.
    """

    path: str
    blocks: tuple[Block, ...]
    is_module: bool
    cells: tuple[CodeCell, ...] = ()
    copies: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def folder(self) -> str:
        """The folder with a slash at its end, or ""."""
        return self.path[: len(self.path) - len(self.name)]


class _Budget:
    """What may still be read: characters, statements and time."""

    def __init__(self) -> None:
        self._characters = {False: MAX_NOTEBOOK_CHARACTERS, True: MAX_MODULE_CHARACTERS}
        self._statements = MAX_STATEMENTS
        self._ends_at = time.monotonic() + MOST_S

    def affordable(self, sources: Sequence[str], *, is_module: bool = False) -> set[int]:
        """Return which of some sources may be parsed, small ones first, and count their characters."""
        chosen = set()
        for index in sorted(range(len(sources)), key=lambda index: len(sources[index])):
            if len(sources[index]) <= self._characters[is_module]:
                self._characters[is_module] -= len(sources[index])
                chosen.add(index)
        return chosen

    def parse(self, label: str, source: str, above: Sequence[Block] | None = None) -> Block | None:
        """As `read_block`, and count the statements; None where there were too many, or they took too long."""
        if self._statements <= 0 or time.monotonic() > self._ends_at:
            return None
        block = read_block(label, source, above)
        self._statements -= len(block.statements)
        return block


class _TooMuchError(Exception):
    """A file would need more than the budget has left."""


def read_documents(files: Sequence[Held], notes: list[Note]) -> list[Document]:
    """
    Return the notebooks and modules among files, each content once, in the files' order.

    Args:
        files: notebooks and modules, those first that are to be read whatever happens.
        notes: says what could not be read, or not any more.
    """
    documents: list[Document] = []
    written: dict[str, str] = {}
    copies: dict[tuple[str, bytes], list[str]] = {}
    keys: list[tuple[str, bytes]] = []
    left_out: list[str] = []
    budget = _Budget()
    for held in files:
        content = bytes(held.data)
        path = module_path(held.path) if held.kind is Kind.MODULE else held.path
        # Two modules of one name and content are one; so are two notebooks of one content, whatever their
        # names.
        key = (path.rsplit("/", 1)[-1] if held.kind is Kind.MODULE else "", hashlib.sha256(content).digest())
        if key in copies:
            copies[key].append(path)
            continue
        copies[key] = []
        try:
            if len(documents) >= MAX_DOCUMENTS:
                raise _TooMuchError
            found = _read(replace(held, path=path, data=content), notes, written, budget)
        except _TooMuchError:
            left_out.append(path)
        else:
            documents += found
            keys += [key] * len(found)
    if left_out:
        notes.append(Note("left-out", _left_out(left_out)))
    documents = [replace(each, copies=tuple(copies[key])) for each, key in zip(documents, keys, strict=True)]
    return documents + _written(written, {document.path for document in documents}, notes, budget)


def _read(held: Held, notes: list[Note], written: dict[str, str], budget: _Budget) -> list[Document]:
    """Return a file as a document; none, and a note, where it cannot be read."""
    content = bytes(held.data)
    try:
        if held.kind is Kind.MODULE:
            return _module(held.path, clean_source(decode(content)), notes, budget)
        if not _is_other_json(content):
            return [_notebook(held.path, content, notes, written, budget)]
        text = f"{quoted(held.path)} is no notebook: {Kind.OTHER_JSON.value}. {ADVICE[Kind.OTHER_JSON]}"
    except (MemoryError, RecursionError):
        text = f"{quoted(held.path)} is too large to be read. Clear its outputs and save it again."
    notes.append(Note("damaged", text))
    return []


def _is_other_json(content: bytes) -> bool:
    """Return whether a file in UTF-8 is JSON in which no cell can be; one in UTF-16 has zeros between its letters."""
    return b"cell" not in content and b"\0" not in content and content.strip()[:1] == b"{"


def _left_out(paths: Sequence[str]) -> str:
    listed = ", ".join(quoted(path) for path in paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")
    return (
        f"Not read, because there is more code than the grader reads: {listed}. Hand in only your notebooks and the "
        "modules that they import."
    )


def _written(written: dict[str, str], present: Iterable[str], notes: list[Note], budget: _Budget) -> list[Document]:
    """Return the modules that cells write, but for those that were handed in themselves."""
    documents: list[Document] = []
    for path, source in written.items():
        if path not in present:
            try:
                documents += _module(path, source, notes, budget)
            except _TooMuchError:
                notes.append(Note("left-out", _left_out([path])))
    return documents


def _module(path: str, source: str, notes: list[Note], budget: _Budget) -> list[Document]:
    if len(source) > MAX_CELL_CHARACTERS:
        notes.append(Note("left-out", f"{quoted(path)} is too long to be code and was left out."))
        return []
    block = budget.parse(_label(path), plain_module(source)) if budget.affordable([source], is_module=True) else None
    if block is None:
        raise _TooMuchError
    return [Document(path, (block,), is_module=True)]


def _notebook(path: str, data: bytes, notes: list[Note], written: dict[str, str], budget: _Budget) -> Document:
    """Parse a notebook; the files that its cells write are added to `written`."""
    cells, elsewhere, read_notes = read_cells(path, data)
    notes += read_notes
    blocks: list[Block] = []
    skipped: dict[str, list[int]] = {}
    left_out: list[int] = []
    folder = path[: path.rfind("/") + 1]
    affordable = budget.affordable([cell.source for cell in cells])
    for index, cell in enumerate(cells):
        bare = plain(cell.source)
        if bare.skipped is not None:
            skipped.setdefault(bare.skipped, []).append(cell.number)
        elif bare.module is None:
            label = f"{_label(path)}, code cell {cell.number}"
            block = budget.parse(label, bare.source, blocks) if index in affordable else None
            if block is None:
                left_out.append(cell.number)
            else:
                blocks.append(block)
        elif suffix_of(bare.module) == ".py":
            target = folder + _written_path(bare.module)
            written[target] = (written.get(target, "") if bare.is_append else "") + bare.source + "\n"
    if left_out and not blocks:
        raise _TooMuchError
    if left_out:
        where = ", ".join(map(str, left_out[:10]))
        text = f"In {quoted(path)}, code cell {where} was left out: there is more code than the grader reads."
        notes.append(Note("left-out", text))
    blocks += [misplaced_block(f"{_label(path)}, {where}", source) for where, source in elsewhere]
    for magic, numbers in skipped.items():
        where = ", ".join(str(number) for number in numbers[:10])
        begin = f"In {quoted(path)}, code cell {where} begins with {quoted('%%' + magic)}"
        text = f"{begin} and was not read as Python."
        notes.append(Note("skipped-cell", text))
    return Document(path, tuple(blocks), is_module=False, cells=tuple(cells))


def _label(path: str) -> str:
    return display_name(path.rsplit("/", 1)[-1])


def _written_path(target: str) -> str:
    """Return where a cell writes, below the notebook's folder: Colab's own folder stands for that one."""
    pieces = [piece for piece in target.replace("\\", "/").split("/") if piece not in ("", ".", "..", "~")]
    if target.startswith(("/", "~")):
        pieces = pieces[1:] if pieces[:1] == ["content"] and len(pieces) > 1 else pieces[-1:]
    return "/".join(pieces)
