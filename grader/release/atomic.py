"""Write files and folders beside their places, and move them there only when they are complete."""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


@contextlib.contextmanager
def complete_folder(place: Path) -> Iterator[Path]:
    """
    Give an empty folder to fill; it takes its place when the block ends, and is thrown away where that raises.

    What was at the place is gone then, all at once: nobody finds a mixture of old and new.
    """
    with _beside(place) as folder:
        filled = folder / place.name
        filled.mkdir()
        yield filled
        if place.exists():
            _exchange(filled, place)  # what was there is now in the folder that is thrown away
        else:
            filled.rename(place)


@contextlib.contextmanager
def complete_file(place: Path) -> Iterator[Path]:
    """Give a path to write a file to; the file takes its place when the block ends, unless that raises."""
    with _beside(place) as folder:
        written = folder / place.name
        yield written
        written.replace(place)


@contextlib.contextmanager
def _beside(place: Path) -> Iterator[Path]:
    """Give a folder on the same file system as the place, since only there a move is one step."""
    place.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{place.name}.", suffix=".unfinished", dir=place.parent))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _exchange(one: Path, other: Path) -> None:
    """Let two paths trade places in one step, or in two where the file system cannot."""
    libc = ctypes.CDLL(None, use_errno=True)
    if hasattr(libc, "renameat2") and (
        libc.renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0
    ):
        return
    aside = one.with_name(f"{one.name}.old")
    other.rename(aside)
    one.rename(other)
