"""
Near copies, for staff eyes: token fingerprints of each submission's code, and groups that share most of them.

Winnowing (Schleimer, Wilkerson and Aiken 2003, section 3): of each window of consecutive k-gram hashes the smallest is
kept, so a shared run of `_GRAM + _WINDOW - 1` tokens always leaves a shared fingerprint. Names become one
token, numbers and texts another, comments and the template's own code nothing. The code is read as text and
never compiled.
"""

from __future__ import annotations

import hashlib
import json
import keyword
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from grader.intake.report import Intake

_GRAM = 12  # tokens that are hashed together: about two lines
_WINDOW = 8
_MAX_CHARACTERS = 400_000  # of one submission; real ones have a tenth
_MAX_FINGERPRINTS = 2_000

_LEAST_SHARED = 8
_LEAST_SIMILARITY = 0.8
# What more of the class than this has is how the homework is solved, not where it was copied from.
_COMMON_SHARE = 0.2
_COMMON_LEAST = 5

_TOKEN = re.compile(
    r"""(?P<comment>\#[^\n]*)
    |(?P<text>[rbfuRBFU]{0,2}(?:\"{3}(?:[^\\]|\\.)*?(?:\"{3}|\Z)|'{3}(?:[^\\]|\\.)*?(?:'{3}|\Z)|\"(?:[^\"\\\n]|\\.)*\"?|'(?:[^'\\\n]|\\.)*'?))
    |(?P<number>\d[\w.]*)
    |(?P<name>\w+)
    |(?P<sign>[^\s])""",
    re.VERBOSE | re.DOTALL,
)
_KEYWORDS = frozenset(keyword.kwlist)


def tokens(source: str) -> list[str]:
    """Return code as a row of tokens in which names, numbers and texts are all alike."""
    row = []
    for match in _TOKEN.finditer(source):
        kind = match.lastgroup
        if kind == "name" and match.group() not in _KEYWORDS:
            row.append("n")
        elif kind in ("number", "text"):
            row.append("0")
        elif kind != "comment":
            row.append(match.group())
    return row


def grams(source: str) -> list[int]:
    """Return the hashes of all runs of `_GRAM` tokens, in order; the same on every machine."""
    row = tokens(source)
    runs = (" ".join(row[start : start + _GRAM]) for start in range(len(row) - _GRAM + 1))
    return [int.from_bytes(hashlib.blake2b(run.encode(), digest_size=6).digest(), "big") for run in runs]


def winnowed(hashes: Sequence[int]) -> set[int]:
    """Return the smallest hash of each window."""
    last = max(1, len(hashes) - _WINDOW + 1)
    return {min(hashes[start : start + _WINDOW]) for start in range(last) if hashes}


def fingerprints(sources: Iterable[str], template: frozenset[int]) -> tuple[int, ...]:
    """Return the fingerprints of pieces of code, without what the template has, sorted."""
    found: set[int] = set()
    left = _MAX_CHARACTERS
    for source in sources:
        piece, left = source[:left], left - len(source[:left])
        found |= winnowed([gram for gram in grams(piece) if gram not in template])
    return tuple(sorted(found)[:_MAX_FINGERPRINTS])


def sources_of(intake: Intake) -> list[str]:
    """Return the code of a submission: the cells that questions need and the modules, each once, in a stable order."""
    cells = [cell.source for part in intake.parts.values() for cell in part.cells]
    return sorted({*cells, *intake.modules.values()})


def template_grams(folder: Path) -> frozenset[int]:
    """Return the hashes of all runs of tokens in the files that are handed out."""
    found: set[int] = set()
    for source in _template_sources(folder):
        found.update(grams(source))
    return frozenset(found)


def _template_sources(folder: Path) -> Iterator[str]:
    for path in sorted(folder.glob("*.py")):
        yield path.read_text(encoding="utf-8")
    for path in sorted(folder.glob("*.ipynb")):
        for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
            if cell["cell_type"] == "code":
                yield "".join(cell["source"])


def near_copies(prints: Mapping[str, Sequence[int]]) -> list[list[str]]:
    """
    Return groups of names whose code is nearly the same.

    Two belong together if, of the fingerprints that not everybody has, they share eight at least, and four fifths of
    those of the larger one; groups are what such pairs connect.

    Args:
        prints: name -> fingerprints; different content only, equal submissions need no likelihood.
    """
    counts = Counter(mark for marks in prints.values() for mark in set(marks))
    common = max(_COMMON_LEAST, _COMMON_SHARE * len(prints))
    rare = {name: {mark for mark in marks if 1 < counts[mark] <= common} for name, marks in prints.items()}
    own = {name: sum(counts[mark] <= common for mark in set(marks)) for name, marks in prints.items()}
    holders: dict[int, list[str]] = {}
    for name, marks in rare.items():
        for mark in marks:
            holders.setdefault(mark, []).append(name)
    shared: Counter[tuple[str, str]] = Counter()
    for names in holders.values():
        shared.update((first, second) for index, first in enumerate(names) for second in names[index + 1 :])
    leaders = {name: name for name in prints}
    for (first, second), count in sorted(shared.items()):
        if count >= max(_LEAST_SHARED, _LEAST_SIMILARITY * max(own[first], own[second])):
            leaders[_leader(leaders, first)] = _leader(leaders, second)
    groups: dict[str, list[str]] = {}
    for name in prints:
        groups.setdefault(_leader(leaders, name), []).append(name)
    return sorted(sorted(group) for group in groups.values() if len(group) > 1)


def _leader(leaders: Mapping[str, str], name: str) -> str:
    while leaders[name] != name:
        name = leaders[name]
    return name
