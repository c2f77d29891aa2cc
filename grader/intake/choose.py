"""
Which file plays which role, judged by its name, and what a missing name may be called instead (worker side).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches

from grader.intake.caps import suffix_of
from grader.intake.holdings import Rank, bare_stem
from grader.intake.kinds import Kind
from grader.intake.names import display_name, quoted
from grader.intake.report import CLASSIFIERS, Note

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
SAVED_FILES: Mapping[str, str] = {"autograder": "autograder.pt", "saved_model": "mae_pretrained.pt"}
_TENSOR_HINTS = {"autograder": ("autograd", "grader"), "saved_model": ("pretrain", "mae", "autoencoder")}
_CLOSE = 0.75
_SHOWN = 4
_HANDED_OUT = frozenset({"publicvectors"})  # saved files that the course gives out come back, and say nothing
_SUFFIXES = {Kind.NOTEBOOK: ".ipynb", Kind.MODULE: ".py"}
_LATER: Mapping[Kind | None, int] = {Kind.MODULE: 4, Kind.SAVED: 5, Kind.ARCHIVE: 7}


def handed_out(templates: Mapping[str, Sequence[str]] = TEMPLATES) -> tuple[str, ...]:
    """Return the names of all files that the homework hands out to be worked on, or asks for."""
    return (*dict.fromkeys(name for names in templates.values() for name in names), *SAVED_FILES.values())


_PLACES = frozenset((bare_stem(name), suffix_of(name)) for name in handed_out())


def likelihood(path: str, kind: Kind | None, rank: Rank, size: int) -> Rank:
    """
    Return a key that sorts files by how likely they are what is asked for, so that no cap is spent on others first.

    Args:
        path: of the file.
        kind: what it is by its name; None where that says nothing.
        rank: where it lies.
        size: in bytes. Of two that differ in nothing else, the fuller one is taken for a notebook, and of modules and
            saved files that nobody asked for the small ones come first.
    """
    stem = bare_stem(path)
    if kind is Kind.NOTEBOOK or (kind is Kind.MODULE and (stem, ".py") in _PLACES):
        return 0 if (stem, _SUFFIXES[kind]) in _PLACES else 2, rank, -size, path
    if kind is Kind.SAVED and (stem, ".pt") in _PLACES:
        return 1, rank, -size, path
    if kind is Kind.SAVED and any(hint in stem for hints in _TENSOR_HINTS.values() for hint in hints):
        return 3, rank, size, path
    return _LATER.get(kind, 6), rank, size, path


def closeness(path: str, templates: Iterable[str]) -> float:
    """Return how much a file's name resembles the nearest of the names handed out, from 0 to 1 (the same)."""
    stem = bare_stem(path)
    return max((SequenceMatcher(None, stem, bare_stem(name)).ratio() for name in templates), default=0.0)


def choose_tensors(paths: Sequence[str], notes: list[Note]) -> tuple[dict[str, str], list[list[str]]]:
    """
    Return the saved-tensor file for each role, and the pairs for the survey's `used`.

    Args:
        paths: candidates, those first that lie where the rest of the work does.
        notes: says what was chosen under another name, and what was not used.
    """
    chosen: dict[str, str] = {}
    copies: list[str] = []
    for role, file in SAVED_FILES.items():
        expected = bare_stem(file)
        left = [path for path in paths if path not in chosen.values()]
        best = max(left, key=lambda path: _resemblance(path, role, expected), default=None)
        if best is not None and _resemblance(best, role, expected) > 0:
            chosen[role] = best
            others = [path for path in left if path != best and bare_stem(path) == bare_stem(best) == expected]
            if others:
                copies += others
                notes.append(Note("chosen", one_of_several([best], others, verb="used")))
    known = {*chosen.values(), *copies}
    idle = [path for path in paths if path not in known and bare_stem(path) not in _HANDED_OUT]
    chosen.update(zip(CLASSIFIERS, idle, strict=False))
    unused = idle[len(CLASSIFIERS) :]
    if unused:
        listed = ", ".join(quoted(path) for path in unused[:5])
        notes.append(Note("chosen", f"Saved files that no question asks for were not used: {listed}."))
    return chosen, [[role, display_name(path)] for role, path in chosen.items()]


def one_of_several(taken: Sequence[str], copies: Sequence[str], *, verb: str) -> str:
    """Return the sentences that say which of several files for one place were taken, and which were not."""
    first = ", ".join(map(quoted, taken[:_SHOWN]))
    listed = ", ".join(map(quoted, copies[:_SHOWN]))
    more = f" and {len(copies) - _SHOWN} more" if len(copies) > _SHOWN else ""
    was, were = ("was" if len(each) == 1 else "were" for each in (taken, copies))
    return f"Of several copies, {first} {was} {verb}. Not used {were}: {listed}{more}."


def _resemblance(path: str, role: str, expected: str) -> float:
    stem = bare_stem(path)
    if stem == expected:
        return 2.0
    ratio = SequenceMatcher(None, stem, expected).ratio()
    is_hinted = any(hint in stem for hint in _TENSOR_HINTS[role])
    return 1.0 + ratio if is_hinted else ratio if ratio >= _CLOSE else 0.0


def nearest(name: str, candidates: Iterable[str]) -> str | None:
    """
    Return the candidate that a student may have meant, or None.

    Tried in turn: another case or underscores; a slip of the pen; initials (MAE for MaskedAutoEncoder); a
    short form of a class name that is part of the long one (ViT for ClassificationViT).
    """
    pool = sorted({candidate for candidate in candidates if candidate != name})
    flat = {_flat(candidate): candidate for candidate in pool}
    wanted = _flat(name)
    if wanted in flat:
        return flat[wanted]
    close = get_close_matches(wanted, flat, n=1, cutoff=_CLOSE)
    if close:
        return flat[close[0]]
    if name[:1].isupper():
        initials = "".join(letter for letter in name if letter.isupper()).lower()
        classes = {short: full for short, full in flat.items() if full[:1].isupper()}
        if len(initials) >= 3 and initials in classes:
            return classes[initials]
        parts = [short for short in classes if len(short) >= 3 and (short in wanted or wanted in short)]
        if parts:
            return classes[max(parts, key=len)]
    return None


def _flat(name: str) -> str:
    return name.lower().replace("_", "")
