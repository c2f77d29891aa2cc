"""What lies in place of a file that was asked for, and is not read: named, with what to do (worker side)."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping

from grader.intake.caps import suffix_of
from grader.intake.holdings import Held, bare_stem
from grader.intake.kinds import ADVICE, Kind
from grader.intake.names import quoted
from grader.intake.report import Note

_MOST_NOTES = 8


def say_what_was_not_read(
    unread: Mapping[str, Kind], read: Iterable[Held], handed_out: Collection[str], notes: list[Note]
) -> None:
    """
    Leave a note for each file that is not read and may be meant as homework.

    That is one with the name of a file that is not there otherwise (a PDF of the notebook), an archive that cannot be
    opened, and, where nothing was found at all, everything.

    Args:
        unread: path -> what it is.
        read: the files that are read.
        handed_out: names of the files handed out or asked for.
        notes: where to say it.
    """
    held = list(read)
    there = {bare_stem(file.path) for file in held}
    absent = {bare_stem(name): name for name in handed_out if bare_stem(name) not in there}
    is_empty = not any(file.kind in (Kind.NOTEBOOK, Kind.MODULE) for file in held)
    left = _MOST_NOTES
    for path, kind in sorted(unread.items(), key=lambda item: (bare_stem(item[0]) not in absent, item[0])):
        name = absent.get(bare_stem(path))
        if name is None and kind is not Kind.FOREIGN and not (is_empty and kind is not Kind.OTHER):
            continue
        if left == 0:
            notes.append(Note("left-out", "More files than these are of kinds that are not read."))
            return
        left -= 1
        meant = f" and was not used as {quoted(name)}" if name and suffix_of(name) != suffix_of(path) else ""
        notes.append(Note("left-out", f"{quoted(path)} is {kind.value}{meant}. {_advice(kind, name)}"))


def _advice(kind: Kind, name: str | None) -> str:
    is_saved = name is not None and suffix_of(name) not in (".ipynb", ".py")
    return f"Hand in {quoted(name)} as the notebook writes it." if is_saved and name else ADVICE[kind]
