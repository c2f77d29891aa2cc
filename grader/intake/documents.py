"""Notebooks and modules as parsed blocks of code, wherever they came from (worker side)."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from grader.intake.caps import suffix_of
from grader.intake.definitions import Block, misplaced_block, read_block
from grader.intake.magics import plain, plain_module
from grader.intake.names import display_name, quoted
from grader.intake.notebook import CodeCell, clean_source, decode, read_cells
from grader.intake.report import MAX_CELL_CHARACTERS, Note

MAX_DOCUMENTS = 200


@dataclass(frozen=True)
class Document:
    """
    One file of code.

    Args:
        path: inside the submission; for a `%%writefile` cell, where the cell writes.
        blocks: its cells, or for a module the whole of it.
        is_module: a .py file, or one that a cell writes.
        cells: a notebook's code cells, those included that are not Python.
    """

    path: str
    blocks: tuple[Block, ...]
    is_module: bool
    cells: tuple[CodeCell, ...] = ()

    @property
    def name(self) -> str:
        """The file's own name."""
        return self.path.rsplit("/", 1)[-1]

    @property
    def folder(self) -> str:
        """The folder with a slash at its end, or ""."""
        return self.path[: len(self.path) - len(self.name)]


def read_documents(files: Mapping[str, bytes | memoryview], notes: list[Note]) -> list[Document]:
    """Return the notebooks and modules among the files, each content once, in the files' order."""
    documents: list[Document] = []
    written: dict[str, str] = {}
    seen: set[tuple[str, bytes]] = set()
    for path, data in list(files.items())[:MAX_DOCUMENTS]:
        content = bytes(data)
        name = path.rsplit("/", 1)[-1]
        is_module = suffix_of(path) == ".py"
        # Two modules of one name and content are one; so are two notebooks of one content, whatever their
        # names.
        key = (name if is_module else "", hashlib.sha256(content).digest())
        if key in seen:
            continue
        seen.add(key)
        if is_module:
            documents += _module(path, clean_source(decode(content)), notes)
        else:
            documents.append(_notebook(path, content, notes, written))
    if len(files) > MAX_DOCUMENTS:
        notes.append(Note("left-out", f"Only the first {MAX_DOCUMENTS} notebooks and .py files were read."))
    present = {document.path for document in documents}
    for path, source in written.items():
        if path not in present:
            documents += _module(path, source, notes)
    return documents


def _module(path: str, source: str, notes: list[Note]) -> list[Document]:
    if len(source) > MAX_CELL_CHARACTERS:
        notes.append(Note("left-out", f"{quoted(path)} is too long to be code and was left out."))
        return []
    return [Document(path, (read_block(_label(path), plain_module(source)),), is_module=True)]


def _notebook(path: str, data: bytes, notes: list[Note], written: dict[str, str]) -> Document:
    """Parse a notebook; the files that its cells write are added to `written`."""
    cells, elsewhere, read_notes = read_cells(path, data)
    notes += read_notes
    blocks: list[Block] = []
    skipped: dict[str, list[int]] = {}
    folder = path[: path.rfind("/") + 1]
    for cell in cells:
        bare = plain(cell.source)
        if bare.skipped is not None:
            skipped.setdefault(bare.skipped, []).append(cell.number)
        elif bare.module is None:
            blocks.append(read_block(f"{_label(path)}, code cell {cell.number}", bare.source, blocks))
        elif suffix_of(bare.module) == ".py":
            target = folder + _written_path(bare.module)
            written[target] = (written.get(target, "") if bare.is_append else "") + bare.source + "\n"
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
