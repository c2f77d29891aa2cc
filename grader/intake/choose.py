"""
Which file plays which role, judged by its name, and what a missing name may be called instead (worker side).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher, get_close_matches

from grader.intake.names import display_name, quoted
from grader.intake.report import CLASSIFIERS, Note

_TENSOR_NAMES = {"autograder": "autograder", "saved_model": "maepretrained"}
_TENSOR_HINTS = {"autograder": ("autograd", "grader"), "saved_model": ("pretrain", "mae")}
_COPY_MARKS = re.compile(r"^copy[ _]of[ _]|[ _-]*\(\d+\)|[ _-]+copy(?:[ _]?\d+)?$", re.IGNORECASE)
_CLOSE = 0.75
_HANDED_OUT = frozenset({"publicvectors"})  # saved files that the course gives out come back, and say nothing


def bare_stem(path: str) -> str:
    """Return a file's name without suffix, marks of copies, case and punctuation."""
    name = path.rsplit("/", 1)[-1]
    stem = name.rsplit(".", 1)[0] if "." in name else name
    for _ in range(3):
        stem = _COPY_MARKS.sub("", stem.strip())
    return re.sub(r"[\W_]+", "", stem.lower())


def closeness(path: str, templates: Iterable[str]) -> float:
    """Return how much a file's name resembles the nearest of the names handed out, from 0 to 1 (the same)."""
    stem = bare_stem(path)
    return max((SequenceMatcher(None, stem, bare_stem(name)).ratio() for name in templates), default=0.0)


def choose_tensors(paths: Sequence[str], notes: list[Note]) -> tuple[dict[str, str], list[list[str]]]:
    """
    Return the saved-tensor file for each role, and the pairs for the survey's `used`.

    Args:
        paths: candidates, shallow ones first.
        notes: says what was chosen under another name, and what was not used.
    """
    chosen: dict[str, str] = {}
    for role, expected in _TENSOR_NAMES.items():
        left = [path for path in paths if path not in chosen.values()]
        best = max(left, key=lambda path: _resemblance(path, role, expected), default=None)
        if best is not None and _resemblance(best, role, expected) > 0:
            chosen[role] = best
    idle = [path for path in paths if path not in chosen.values() and bare_stem(path) not in _HANDED_OUT]
    chosen.update(zip(CLASSIFIERS, idle, strict=False))
    unused = idle[len(CLASSIFIERS) :]
    if unused:
        listed = ", ".join(quoted(path) for path in unused[:5])
        notes.append(Note("left-out", f"Saved files that no question asks for were not used: {listed}."))
    return chosen, [[role, display_name(path)] for role, path in chosen.items()]


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
