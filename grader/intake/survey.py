"""
Everything a submission says, in one message: the entry point of the worker that reads submissions (worker
side).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
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
from grader.intake.report import MAX_CODE_CHARACTERS, MAX_NOTE_CHARACTERS, MAX_NOTES, MAX_RIVALS, NOTE_KINDS, Note
from grader.intake.runs import describe_runs
from grader.intake.unpack import unpack
from grader.intake.unread import say_what_was_not_read
from grader.wire import Message

Bytes = npt.NDArray[np.uint8]

Names = Mapping[str, Sequence[str]]


def ask(files: Mapping[str, Bytes], wanted: Names, templates: Names, *, prefer: str = "") -> Message:
    """
    Return the question that `answer` answers: the files' bytes, the wanted names of each part, the files that are
    handed out for it, and the one of several rivals to take first (trusted side).
    """
    meta = {"paths": list(files), "wanted": _as_lists(wanted), "templates": _as_lists(templates), "prefer": prefer}
    return Message("files", meta, {str(index): data for index, data in enumerate(files.values())})


def _as_lists(names: Names) -> dict[str, list[str]]:
    return {part: list(each) for part, each in names.items()}


def answer(message: Message) -> Message:
    """Return the survey of the files in a message from `ask` (worker side)."""
    files = {path: message.arrays[str(index)].data for index, path in enumerate(message.meta["paths"])}
    meta = message.meta
    return survey(files, meta["wanted"], meta["templates"], prefer=meta["prefer"])


def survey(
    files: Mapping[str, bytes | memoryview],
    wanted: Names,
    templates: Names,
    *,
    caps: Caps = DEFAULT_CAPS,
    prefer: str = "",
) -> Message:
    """
    Find the definitions that each part of the homework asks for.

    Which notebook or module answers a part is decided by what it defines, not by its name or place.

    Args:
        files: path inside the submission -> content; archives among them are unpacked.
        wanted: part -> names; "MaskedAutoEncoder.forward_encoder" asks for an attribute of a class.
        templates: part -> names of the files handed out, which break ties.
        caps: how much of archives is taken.
        prefer: the path of a notebook that is taken, with its folder, before others that are as likely.

    Returns:
        A message for `report.read_survey`.
    """
    notes: list[Note] = []
    contents, unread = contents_of(files, notes, caps, prefer=prefer)
    read = read_documents([held for held in contents.values() if held.kind in _CODE], notes)
    tensors, used = choose_tensors(distinct_saved(contents), notes)
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
        "rivals": _rivals(contents) if "autograder" in tensors else [],
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
    files: Mapping[str, bytes | memoryview], notes: list[Note], caps: Caps, *, prefer: str = ""
) -> tuple[dict[str, Held], dict[str, Kind]]:
    """
    Return loose files and those out of archives by path, those to take first; and what is there and is not read.
    """
    folder = prefer.rpartition("/")[0] + "/"
    kinds = {path: kind_of(path, bytes(data[:HEAD_BYTES])) for path, data in files.items()}
    archives = {path: files[path] for path in sorted(files) if kinds[path] is Kind.ARCHIVE}
    unpacked = unpack(archives, caps=caps)
    notes += unpacked.notes
    loose = [Held(path, files[path], kind) for path, kind in kinds.items() if kind in READ and path not in archives]
    unread = {path: kind for path, kind in kinds.items() if kind not in READ} | unpacked.unread
    every = _by_short_paths(loose, unpacked.files, unpacked.opened)
    places = Places([held.path for held in every], handed_out())

    ranked = [replace(held, rank=places.rank(held.path, nesting=held.nesting)) for held in every]

    def order(held: Held) -> Rank:
        is_preferred = held.path == prefer or held.path.startswith(folder)
        return likelihood(held.path, held.kind, (*held.rank, not is_preferred), len(held.data))

    return {held.path: held for held in sorted(ranked, key=order)}, unread


def distinct_saved(contents: Mapping[str, Held]) -> list[str]:
    """Return the paths of saved files, of equal ones with one name the first."""
    found: dict[tuple[str, bytes], str] = {}
    by_stem = Counter(bare_stem(path) for path, held in contents.items() if held.kind is Kind.SAVED)
    for path, held in contents.items():
        if held.kind is Kind.SAVED:
            stem = bare_stem(path)
            digest = sha256(held.data).digest() if by_stem[stem] > 1 else b""
            found.setdefault((stem, digest), path)
    return list(found.values())


def _rivals(contents: Mapping[str, Held]) -> list[str]:
    """Return notebooks of one place that nothing in how they lie tells apart, the taken one first."""
    for path, held in contents.items():
        if held.kind is not Kind.NOTEBOOK:
            continue
        same = [
            other.path
            for other in contents.values()
            if other.kind is Kind.NOTEBOOK
            and (bare_stem(other.path), other.rank) == (bare_stem(path), held.rank)
            and (other is held or bytes(other.data) != bytes(held.data))
        ]
        if len(same) > 1:
            return same[:MAX_RIVALS]
    return []


def _by_short_paths(loose: Sequence[Held], packed: Sequence[Held], archives: Collection[str]) -> list[Held]:
    """
    Return all files, those out of archives as if these had been unpacked where they lie.

    Where two files would have the same path then, the outer one gets it, and the other one keeps its archive's name.
    """
    found = list(loose)
    taken = {held.path for held in loose}
    for level in sorted({held.nesting for held in packed}):
        files = [held for held in packed if held.nesting == level]
        forms = [[_without(held.path, archives, keep=keep) for held in files] for keep in (0, 1)]
        counts = [Counter(form) for form in forms]
        for index, held in enumerate(files):
            fitting = (form[index] for form, count in zip(forms, counts, strict=True) if count[form[index]] == 1)
            path = next((path for path in fitting if path not in taken), held.path)
            found.append(replace(held, path=path))
        taken |= {held.path for held in found}
    return found


def _without(path: str, archives: Collection[str], *, keep: int) -> str:
    """Return a path without the names of the archives in it but for the `keep` innermost ones."""
    pieces = path.split("/")
    places = [count for count in range(1, len(pieces)) if "/".join(pieces[:count]) in archives]
    dropped = set(places[: len(places) - keep])
    return "/".join(piece for count, piece in enumerate(pieces, 1) if count not in dropped)


def _affordable(modules: dict[str, str], parts: Mapping[str, Any], notes: list[Note]) -> dict[str, str]:
    """Return the modules, small ones first, that fit into the message beside the cells."""
    left = MAX_CODE_CHARACTERS - sum(len(source) for part in parts.values() for _, source, _ in part["cells"])
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
