"""Several files in one place: which is read, and that the student is told (worker side)."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence

from grader.intake.caps import suffix_of
from grader.intake.choose import one_of_several
from grader.intake.documents import Document
from grader.intake.holdings import bare_stem
from grader.intake.placeholders import is_stub
from grader.intake.report import Note


def one_for_each_place(
    documents: Sequence[Document], wanted: Mapping[str, Sequence[str]], handed_out: Collection[str], notes: list[Note]
) -> list[Document]:
    """
    Return documents without older copies of those that were handed out.

    A copy goes only where the file that comes before it has all that the copy answers: an untouched template beside a
    solved copy must not win. Without this, functions of an old copy stand in for what the new one lacks.

    Args:
        documents: those first that are to be taken.
        wanted: part -> names that questions ask for.
        handed_out: names of the files handed out.
        notes: says which file was taken, and which were not.
    """
    names = {name.partition(".")[0] for part in wanted.values() for name in part}
    places = {(bare_stem(name), suffix_of(name) == ".py") for name in handed_out}
    taken: dict[tuple[str, bool], Document] = {}
    dropped: dict[tuple[str, bool], list[Document]] = defaultdict(list)
    kept = []
    for document in documents:
        place = (bare_stem(document.path), document.is_module)
        if place in places and place in taken and _written(document, names) <= _written(taken[place], names):
            dropped[place].append(document)
            continue
        if place in places:
            taken.setdefault(place, document)
        kept.append(document)
    if dropped:
        copies = [path for others in dropped.values() for copy in others for path in (copy.path, *copy.copies)]
        notes.append(Note("chosen", one_of_several([taken[place].path for place in dropped], copies, verb="graded")))
    return kept


def _written(document: Document, names: Collection[str]) -> set[str]:
    """Return the wanted names that a document defines itself, with more than a stub at the end."""
    found: set[str] = set()
    for block in document.blocks:
        for statement in block.statements:
            bound = statement.binds & set(names)
            if bound and not statement.is_import:
                found = found - bound if is_stub(statement.node) else found | bound
    return found
