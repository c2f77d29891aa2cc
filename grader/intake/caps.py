"""How much of a submission is looked at."""

from __future__ import annotations

import re
from dataclasses import dataclass

MIB = 2**20

CODE_SUFFIXES = (".ipynb", ".py")
TENSOR_SUFFIXES = (".pt", ".pth")
ARCHIVE_SUFFIX = ".zip"


@dataclass(frozen=True)
class Caps:
    """
    Upper bounds, well above what real submissions hold.

    A real submission is a few notebooks (each under 5 MiB with its plots), `mae_pretrained.pt` (about 16 MB)
    and `autograder.pt` (about 1 MB). A zip may be far larger than what is used of it: students pack their
    CIFAR-10 folder too, 170 MB that stay compressed because nothing in it looks like homework. No cap depends on how
    well something compresses: a warning that is printed 150,000 times is honest, and compresses 500 to 1.

    Args:
        entries: directory entries, or members of all archives, listed.
        file_bytes: one file, unpacked.
        total_bytes: all files taken out of archives together.
        collected_bytes: all loose files and archives together, as they cross the wire.
        archive_bytes: one archive, as it is; also all archives together that lie in others.
        stream_bytes: what a compressed tar holds, whatever of it is used.
        archives: archives opened.
        nesting: archives around a file.
        looks: files whose names say nothing and whose first bytes are looked at.
    """

    entries: int = 200_000
    file_bytes: int = 64 * MIB
    total_bytes: int = 128 * MIB
    collected_bytes: int = 256 * MIB
    archive_bytes: int = 200 * MIB
    stream_bytes: int = 400 * MIB
    archives: int = 16
    nesting: int = 4
    looks: int = 200


DEFAULT_CAPS = Caps()


def suffix_of(path: str) -> str:
    """Return the suffix of a path in lower case, "" if it has none."""
    name = path.rsplit("/", 1)[-1]
    return "." + name.rsplit(".", 1)[-1].lower() if "." in name else ""


def is_junk(path: str) -> bool:
    """Return whether a path belongs to an operating system, an editor, a cache or a data set, not to the homework."""
    pieces = path.split("/")
    return (
        pieces[-1].startswith("._")
        or any(piece in _JUNK_FOLDERS for piece in pieces)
        or _DATA_SET.match(pieces[-1]) is not None
    )


def is_checkpoint(path: str) -> bool:
    """Return whether a path is a copy that Jupyter saved by itself."""
    return CHECKPOINTS in path.split("/")[:-1]


CHECKPOINTS = ".ipynb_checkpoints"
_JUNK_FOLDERS = frozenset(
    {
        "__MACOSX",
        "__pycache__",
        ".git",
        "node_modules",
        "site-packages",
        ".venv",
        "venv",
    }
)
# The archives and batches of well-known data sets: large, never homework, and often packed with it.
_DATA_SET = re.compile(
    r"(?:cifar|mnist|imagenet|svhn|stl10).*\.(?:gz|tgz|tar|zip|bz2|xz)$|data_batch_\d|test_batch", re.I
)
