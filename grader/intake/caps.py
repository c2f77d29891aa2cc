"""How much of a submission is looked at."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 2**20

CODE_SUFFIXES = (".ipynb", ".py")
TENSOR_SUFFIXES = (".pt", ".pth")
ARCHIVE_SUFFIX = ".zip"
FOREIGN_ARCHIVES = (".rar", ".7z", ".tar", ".gz", ".tgz", ".bz2", ".xz")


@dataclass(frozen=True)
class Caps:
    """
    Upper bounds, well above what real submissions hold.

    A real submission is a few notebooks (each under 5 MiB with its plots), `mae_pretrained.pt` (about 16 MB)
    and `autograder.pt` (about 1 MB). A zip may be far larger than what is used of it: students pack their
    CIFAR-10 folder too, 170 MB that stay compressed because nothing in it has a suffix of interest.

    Args:
        entries: directory entries, or members of a zip, visited.
        depth: folders above a file.
        file_bytes: one file, uncompressed.
        total_bytes: all files taken out of zips together.
        collected_bytes: all loose files and zips together, as they cross the wire.
        archive_bytes: one zip, as it is.
        archives: zips opened.
        ratio: uncompressed over compressed size of one member; only asked above `ratio_floor_bytes`.
        ratio_floor_bytes: repetitive notebooks of up to this size may compress as well as they like.
    """

    entries: int = 20_000
    depth: int = 8
    file_bytes: int = 64 * MIB
    total_bytes: int = 128 * MIB
    collected_bytes: int = 256 * MIB
    archive_bytes: int = 200 * MIB
    archives: int = 16
    ratio: int = 200
    ratio_floor_bytes: int = 4 * MIB


DEFAULT_CAPS = Caps()


def suffix_of(path: str) -> str:
    """Return the suffix of a path in lower case, "" if it has none."""
    name = path.rsplit("/", 1)[-1]
    return "." + name.rsplit(".", 1)[-1].lower() if "." in name else ""


def is_junk(path: str) -> bool:
    """Return whether a path belongs to an operating system, an editor or a cache, not to the homework."""
    pieces = path.split("/")
    return pieces[-1].startswith("._") or any(piece in _JUNK_FOLDERS for piece in pieces)


_JUNK_FOLDERS = frozenset(
    {
        "__MACOSX",
        ".ipynb_checkpoints",
        "__pycache__",
        ".git",
        "node_modules",
        "site-packages",
        ".venv",
        "venv",
    }
)
