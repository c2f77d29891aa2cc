"""What a grade depends on, as digests: the submission's bytes, the grader's sources, the rubric, the secret."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from grader.intake.collect import collect
from grader.intake.handed_out import HandedOut
from grader.pipeline.homework import Homework
from grader.rubric import Rubric

ROOT = Path(__file__).parents[2]
# Rooms that stand on the pipeline, what a homework's workshop needs, and what a release adds: no grade depends on them.
_NO_GRADE_DEPENDS_ON = frozenset(
    {
        "fleet",
        "release",
        "commands",
        "trust",
        "audit",
        "preview",
        "simulate",
        "stand_in",
        "relayed",
        "submissions",
        "workshop.py",
        "__main__.py",
        "notebooks",
        "__pycache__",
    }
)
_SUFFIXES = frozenset({".py", ".json"})


def content_digest(folder: Path, handed_out: HandedOut) -> str:
    """
    Return a digest of everything in a folder that grading looks at: names, bytes, and what was left out and why.

    The same files give the same digest wherever they lie; clutter that grading ignores (`__MACOSX`, caches, data
    sets) does not count. Nothing is parsed.

    Raises:
        StaffError: there is no such folder, or it may not be read.
    """
    collected = collect(folder, handed_out=handed_out)
    digest = hashlib.sha256(b"submission 1")
    for name, data in collected.files.items():
        _feed(digest, name.encode())
        _feed(digest, hashlib.sha256(data.data).digest())
    for note in collected.notes:
        _feed(digest, note.text.encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def grader_digest(homework: Homework, root: Path = ROOT) -> str:
    """Return a digest of the sources that decide a grade, the same in a checkout and in the platform's zip."""
    digest = hashlib.sha256(b"grader 1")
    for name, path in sorted(_sources(homework, root)):
        _feed(digest, name.encode())
        _feed(digest, path.read_bytes())
    return digest.hexdigest()


def rubric_digest(rubric: Rubric) -> str:
    """Return a digest of what a rubric says, whatever its file looks like."""
    return hashlib.sha256(json.dumps(asdict(rubric), sort_keys=True).encode()).hexdigest()


def secret_digest(path: Path) -> str:
    """Return a digest that changes with the secret; of a file that is not there, too."""
    content = path.read_bytes() if path.exists() else b""
    return hashlib.sha256(b"secret 1" + content).hexdigest()


def combined(*digests: str) -> str:
    """Return one digest of several texts."""
    digest = hashlib.sha256()
    for text in digests:
        _feed(digest, text.encode())
    return digest.hexdigest()


def _sources(homework: Homework, root: Path) -> Iterator[tuple[str, Path]]:
    yield "requirements/grade.txt", root / "requirements" / "grade.txt"
    for folder in (root / "grader", homework.folder, *homework.sources, homework.templates):
        for path in folder.rglob("*"):
            inside = path.relative_to(folder.parent)
            is_source = path.suffix in _SUFFIXES or folder == homework.templates
            if is_source and path.is_file() and not _NO_GRADE_DEPENDS_ON.intersection(inside.parts):
                yield inside.as_posix(), path


def _feed(digest: hashlib._Hash, data: bytes) -> None:
    digest.update(len(data).to_bytes(8, "little") + data)
