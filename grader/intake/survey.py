"""
Everything a submission says, in one message: the entry point of the worker that reads submissions (worker
side).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from grader.intake.caps import (
    ARCHIVE_SUFFIX,
    CODE_SUFFIXES,
    DEFAULT_CAPS,
    TENSOR_SUFFIXES,
    Caps,
    suffix_of,
)
from grader.intake.choose import bare_stem, choose_tensors
from grader.intake.documents import Document, read_documents
from grader.intake.modules import importable
from grader.intake.parts import survey_part
from grader.intake.report import MAX_CODE_CHARACTERS, MAX_NOTE_CHARACTERS, MAX_NOTES, NOTE_KINDS, Note
from grader.intake.runs import describe_runs
from grader.intake.unpack import Unpacked, unpack
from grader.wire import Message

Bytes = npt.NDArray[np.uint8]

# File names as they are handed out, for each part of the homework.
TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "vision": ("MAE_student.ipynb",),
    "metalearning": (
        "utils_classification.py",
        "utils_reg.py",
        "metalearning-part0.ipynb",
        "metalearning-part1.ipynb",
        "metalearning-part2.ipynb",
    ),
    "metalearning-copypaste": ("utils_classification_copypaste.py",),
}


def ask(files: Mapping[str, Bytes], wanted: Mapping[str, Sequence[str]]) -> Message:
    """
    Return the question that `answer` answers: the files' bytes and the wanted names of each part (trusted
    side).
    """
    meta = {"paths": list(files), "wanted": {part: list(names) for part, names in wanted.items()}}
    return Message("files", meta, {str(index): data for index, data in enumerate(files.values())})


def answer(message: Message) -> Message:
    """Return the survey of the files in a message from `ask` (worker side)."""
    files = {path: message.arrays[str(index)].data for index, path in enumerate(message.meta["paths"])}
    return survey(files, message.meta["wanted"])


def survey(
    files: Mapping[str, bytes | memoryview],
    wanted: Mapping[str, Sequence[str]],
    *,
    templates: Mapping[str, Sequence[str]] = TEMPLATES,
    caps: Caps = DEFAULT_CAPS,
) -> Message:
    """
    Find the definitions that each part of the homework asks for.

    Which notebook or module answers a part is decided by what it defines, not by its name or place.

    Args:
        files: path inside the submission -> content; zips among them are unpacked.
        wanted: part -> names; "MaskedAutoEncoder.forward_encoder" asks for an attribute of a class.
        templates: part -> names of the files handed out, which break ties.
        caps: how much of zips is taken.

    Returns:
        A message for `report.read_survey`.
    """
    notes: list[Note] = []
    contents = contents_of(files, notes, caps)
    documents = read_documents({path: data for path, data in contents.items() if _is_code(path)}, notes)
    tensors, used = choose_tensors([path for path in contents if suffix_of(path) in TENSOR_SUFFIXES], notes)
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
        "runs": describe_runs(documents, {name for names in wanted.values() for name in names}),
    }
    arrays = {role: np.frombuffer(contents[path], dtype=np.uint8) for role, path in tensors.items()}
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


def _is_code(path: str) -> bool:
    return suffix_of(path) in CODE_SUFFIXES


def contents_of(
    files: Mapping[str, bytes | memoryview], notes: list[Note], caps: Caps
) -> dict[str, bytes | memoryview]:
    """Return loose files and those out of zips, in a stable order; a loose file wins over one in a zip."""
    unpacked = Unpacked()
    for path in sorted(files):
        if suffix_of(path) == ARCHIVE_SUFFIX:
            unpack(path, memoryview(files[path]), unpacked, caps=caps)
    notes += unpacked.notes
    loose = {path: data for path, data in files.items() if suffix_of(path) != ARCHIVE_SUFFIX}
    merged = {**unpacked.files, **loose}
    return dict(sorted(merged.items(), key=lambda item: (item[0].count("/"), item[0])))


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
