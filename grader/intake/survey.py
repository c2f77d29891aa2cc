"""
Everything a submission says, in one message: the entry point of the worker that reads submissions (worker
side).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from grader.intake.caps import DEFAULT_CAPS, Caps
from grader.intake.choose import choose_tensors, handed_out, likelihood
from grader.intake.documents import Document, read_documents
from grader.intake.duplicates import one_for_each_place
from grader.intake.holdings import Held, Places, Rank, bare_stem
from grader.intake.kinds import HEAD_BYTES, READ, Kind, kind_of
from grader.intake.modules import importable
from grader.intake.parts import survey_part
from grader.intake.report import MAX_CODE_CHARACTERS, MAX_NOTE_CHARACTERS, MAX_NOTES, NOTE_KINDS, Note
from grader.intake.runs import describe_runs
from grader.intake.unpack import unpack
from grader.intake.unread import say_what_was_not_read
from grader.wire import Message

Bytes = npt.NDArray[np.uint8]

Names = Mapping[str, Sequence[str]]


def ask(files: Mapping[str, Bytes], wanted: Names, templates: Names) -> Message:
    """
    Return the question that `answer` answers: the files' bytes, the wanted names of each part, and the files that are
    handed out for it (trusted side).
    """
    meta = {"paths": list(files), "wanted": _as_lists(wanted), "templates": _as_lists(templates)}
    return Message("files", meta, {str(index): data for index, data in enumerate(files.values())})


def _as_lists(names: Names) -> dict[str, list[str]]:
    return {part: list(each) for part, each in names.items()}


def answer(message: Message) -> Message:
    """Return the survey of the files in a message from `ask` (worker side)."""
    files = {path: message.arrays[str(index)].data for index, path in enumerate(message.meta["paths"])}
    return survey(files, message.meta["wanted"], message.meta["templates"])


def survey(
    files: Mapping[str, bytes | memoryview],
    wanted: Names,
    templates: Names,
    *,
    caps: Caps = DEFAULT_CAPS,
) -> Message:
    """
    Find the definitions that each part of the homework asks for.

    Which notebook or module answers a part is decided by what it defines, not by its name or place.

    Args:
        files: path inside the submission -> content; archives among them are unpacked.
        wanted: part -> names; "MaskedAutoEncoder.forward_encoder" asks for an attribute of a class.
        templates: part -> names of the files handed out, which break ties.
        caps: how much of archives is taken.

    Returns:
        A message for `report.read_survey`.
    """
    notes: list[Note] = []
    contents, unread = contents_of(files, notes, caps)
    read = read_documents([held for held in contents.values() if held.kind in _CODE], notes)
    tensors, used = choose_tensors([path for path, held in contents.items() if held.kind is Kind.SAVED], notes)
    documents = one_for_each_place(read, wanted, handed_out(templates), notes)
    say_what_was_not_read(unread, contents.values(), handed_out(templates), notes)
    parts = {}
    for part, names in wanted.items():
        parts[part], part_used = survey_part(
            part,
            names,
            _open_to(part, documents, templates),
            templates.get(part, ()),
            notes,
            characters=MAX_CODE_CHARACTERS // len(wanted),
        )
        used = [*used, *part_used]
    modules = _affordable(importable(documents, notes), parts, notes)
    if not documents and not tensors and not notes:
        text = "No notebook, no .py file and no saved model was found. Upload the zip that the notebook makes."
        notes.append(Note("empty", text))
    meta = {
        "parts": parts,
        "modules": modules,
        "used": used,
        "notes": [[note.kind, note.text[:MAX_NOTE_CHARACTERS]] for note in _foremost(notes)],
        "runs": describe_runs(read, {name for names in wanted.values() for name in names}),
    }
    arrays = {role: np.frombuffer(contents[path].data, dtype=np.uint8) for role, path in tensors.items()}
    return Message("survey", meta, arrays)


def _open_to(part: str, documents: Sequence[Document], templates: Mapping[str, Sequence[str]]) -> list[Document]:
    """
    Return the documents that may answer a part: not the modules that were handed out for another one.

    The two classification modules define the same names. Where one of them is not written yet, the other would
    answer for it.
    """
    own = {bare_stem(name) for name in templates.get(part, ())}
    others = {bare_stem(name) for names in templates.values() for name in names} - own
    return [document for document in documents if not (document.is_module and bare_stem(document.path) in others)]


_CODE = (Kind.NOTEBOOK, Kind.MODULE)


def contents_of(
    files: Mapping[str, bytes | memoryview], notes: list[Note], caps: Caps
) -> tuple[dict[str, Held], dict[str, Kind]]:
    """
    Return loose files and those out of archives by path, those to take first; and what is there and is not read.
    """
    kinds = {path: kind_of(path, bytes(data[:HEAD_BYTES])) for path, data in files.items()}
    archives = {path: files[path] for path in sorted(files) if kinds[path] is Kind.ARCHIVE}
    unpacked = unpack(archives, caps=caps)
    notes += unpacked.notes
    loose = [Held(path, files[path], kind) for path, kind in kinds.items() if kind in READ and path not in archives]
    unread = {path: kind for path, kind in kinds.items() if kind not in READ} | unpacked.unread
    every = _by_short_paths(loose, unpacked.files, unpacked.opened)
    places = Places([held.path for held in every], handed_out())

    def order(held: Held) -> Rank:
        return likelihood(held.path, held.kind, places.rank(held.path, nesting=held.nesting), len(held.data))

    return {held.path: held for held in sorted(every, key=order)}, unread


def _by_short_paths(loose: Sequence[Held], packed: Sequence[Held], archives: Collection[str]) -> list[Held]:
    """
    Return all files, those out of archives as if these had been unpacked where they lie.

    Where two files would have the same path then, those out of archives keep the archive's name in it.
    """
    short = [_without(held.path, archives) for held in packed]
    claims = Counter([*(held.path for held in loose), *short])
    return [
        *loose,
        *(replace(held, path=path) if claims[path] == 1 else held for held, path in zip(packed, short, strict=True)),
    ]


def _without(path: str, archives: Collection[str]) -> str:
    pieces = path.split("/")
    return "/".join(piece for count, piece in enumerate(pieces, 1) if "/".join(pieces[:count]) not in archives)


def _affordable(modules: dict[str, str], parts: Mapping[str, Any], notes: list[Note]) -> dict[str, str]:
    """Return the modules, small ones first, that fit into the message beside the cells."""
    left = MAX_CODE_CHARACTERS - sum(len(source) for part in parts.values() for _, source in part["cells"])
    taken = {}
    for name in sorted(modules, key=lambda name: (len(modules[name]), name)):
        left -= len(modules[name])
        if left < 0:
            notes.append(Note("left-out", "Some .py files were left out: there is too much code in the submission."))
            break
        taken[name] = modules[name]
    return dict(sorted(taken.items()))


def _foremost(notes: Sequence[Note]) -> list[Note]:
    """Return each note once, those about files first, as many as a survey may hold."""
    unique = list(dict.fromkeys(notes))
    first = (
        "empty",
        "archive",
        "damaged",
        "chosen",
        "broken-cell",
        "not-run",
        "shadowed",
        "skipped-cell",
        "left-out",
    )
    rank = {kind: position for position, kind in enumerate(first)}
    return sorted(unique, key=lambda note: rank.get(note.kind, len(NOTE_KINDS)))[:MAX_NOTES]
