"""
The files of a submission, and which of two comes first where both could be the same thing.

Neither the alphabet nor the order in an archive decides. What was put aside (`old/`, `backup/`, Jupyter's own
checkpoints) comes last; then what lies in an archive within; then what has less company: a folder with the other
notebooks, the saved model and autograder.pt is the one that was worked in. Within a folder, the name that was handed
out beats a copy's.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from grader.intake.caps import is_checkpoint, suffix_of
from grader.intake.kinds import Kind

Rank = tuple[Any, ...]

# "Copy of", "Kopie von", "Copia de", "Cópia de", "Kopia av"; " - Copy (2)", "-Copy1", " 2" and "-checkpoint".
_MARKED_COPY = re.compile(
    r"^[ck][oó]p\w*[ _](?:of|von|van|di|de|da|do|av|af)[ _]|[ _-]*\(\d+\)|[ _-]+[ck][oó]p[a-z]{1,3}(?:[ _]?\d+)?$"
    r"|-checkpoint$| \d{1,2}$",
    re.IGNORECASE,
)
# A suffix that stands in the middle, as in `“MAE_student.ipynb”的副本` or `utils_reg.py.txt`.
_INNER_SUFFIX = re.compile(r"\.(?:ipynb|py|pt|pth|ckpt|safetensors)(?![A-Za-z0-9]).*$", re.IGNORECASE)
_ASIDE = frozenset(
    [
        "old",
        "older",
        "backup",
        "backups",
        "bak",
        "bkp",
        "previous",
        "prev",
        "archive",
        "archived",
        "obsolete",
        "deprecated",
        "draft",
        "drafts",
        "trash",
        "attic",
        "unused",
        "checkpoint",
        "checkpoints",
    ]
)
_WORDS = re.compile(r"[a-z]+")
_LONGEST_NAME = 300  # longer ones are nobody's, and are told apart by their beginnings


@lru_cache(maxsize=2**18)  # asked three times of each file, of which there may be a hundred thousand
def bare_stem(path: str) -> str:
    """Return a file's name without suffix, marks of copies, case and punctuation."""
    name = path.rsplit("/", 1)[-1][:_LONGEST_NAME].strip()
    inner = _INNER_SUFFIX.search(name)
    stem = name[: inner.start()] if inner and inner.start() else name.rsplit(".", 1)[0] if "." in name else name
    for _ in range(3):
        stem = _MARKED_COPY.sub("", stem.strip())
    return re.sub(r"[\W_]+", "", stem.lower())


def is_marked_copy(path: str) -> bool:
    """Return whether a file's name, or a folder's, says that it is a copy, or its suffix is not at the end."""
    *folders, name = (piece[:_LONGEST_NAME] for piece in path.split("/"))
    if any(map(_MARKED_COPY.search, folders)):
        return True
    inner = _INNER_SUFFIX.search(name)
    is_inside = inner is not None and inner.group().lower() != suffix_of(name)
    return is_inside or _MARKED_COPY.search(name.rsplit(".", 1)[0]) is not None


def is_put_aside(path: str) -> bool:
    """Return whether a folder's or the file's own name says that it is kept only in case of need."""
    return bool(_ASIDE & set(_WORDS.findall(path.lower())))


def module_path(path: str) -> str:
    """Return a module's path as it can be imported: `utils_reg.py` for `utils_reg.py.txt`."""
    folder, _, name = path.rpartition("/")
    inner = re.search(r"\.py(?![A-Za-z0-9])", name)
    bare = name[: inner.end()] if inner else name + ".py"
    return f"{folder}/{bare}" if folder else bare


@dataclass(frozen=True)
class Held:
    """
    A file of a submission.

    Args:
        path: inside the submission; an archive within counts as a folder.
        data: its bytes.
        kind: what it is.
        nesting: archives around it.
        rank: where it lies among the others, as `Places` has it.
    """

    path: str
    data: bytes | memoryview
    kind: Kind
    nesting: int = 0
    rank: Rank = ()


class Places:
    """
    Where the files of a submission lie, seen together.

    Args:
        paths: of all files.
        handed_out: names of the files that the homework hands out or asks for.
    """

    def __init__(self, paths: Iterable[str], handed_out: Iterable[str]) -> None:
        roles = {(bare_stem(name), suffix_of(name) == ".py") for name in handed_out}
        self._below: defaultdict[str, set[tuple[str, bool]]] = defaultdict(set)
        self._beside: defaultdict[str, set[tuple[str, bool]]] = defaultdict(set)
        for path in paths:
            role = (bare_stem(path), suffix_of(path) == ".py")
            if role in roles:
                folders = _folders(path)
                self._beside[folders[-1]].add(role)
                for folder in folders[1:]:
                    self._below[folder].add(role)

    def rank(self, path: str, *, nesting: int = 0) -> Rank:
        """Return a key that sorts the file to take before the one to leave."""
        folders = _folders(path)
        company = (*(-len(self._below[folder]) for folder in folders[1:]), -len(self._beside[folders[-1]]))
        return is_put_aside(path), nesting, company, is_marked_copy(path), len(folders)


def _folders(path: str) -> Sequence[str]:
    """Return the folders above a file from the root on, each with a slash at its end but for the root itself."""
    pieces = path.split("/")[:-1]
    return ["", *("/".join(pieces[: count + 1]) + "/" for count in range(len(pieces)))]


def without_covered_checkpoints(paths: Iterable[str]) -> list[str]:
    """Return paths without Jupyter's own copies of files that are there themselves."""
    listed = list(paths)
    own = {bare_stem(path) for path in listed if not is_checkpoint(path)}
    return [path for path in listed if not is_checkpoint(path) or bare_stem(path) not in own]
