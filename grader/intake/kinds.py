"""What a file is, judged by its first bytes and, where these say nothing, by its name."""

from __future__ import annotations

import re
import struct
from enum import Enum

from grader.archives import is_compressed, is_readable
from grader.intake.caps import ARCHIVE_SUFFIX, TENSOR_SUFFIXES, suffix_of

HEAD_BYTES = 4096
_TEXT_LEAD = b" \t\r\n\xef\xbb\xbf"
_NOTEBOOK_KEYS = (b'"cells"', b'"cell_type"', b'"nbformat"', b'"worksheets"')
_LEGACY_TORCH = b"\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."
_HEADER_LENGTH = struct.Struct("<Q")
_LARGEST_SAFETENSORS_HEADER = 2**24
_MEMBER_NAME_AT = 30
_OFFICE_MEMBERS = (b"[Content_Types].xml", b"mimetype", b"_rels/")
_FOREIGN_MAGIC = (b"Rar!\x1a\x07", b"7z\xbc\xaf\x27\x1c", b"\x28\xb5\x2f\xfd", b"\x04\x22\x4d\x18")
_NOTEBOOK_NAME = re.compile(r"\.ipynb(?![a-z0-9])", re.IGNORECASE)
_MODULE_NAME = re.compile(r"\.py(?![a-z0-9])", re.IGNORECASE)
_SAVED_SUFFIXES = (*TENSOR_SUFFIXES, ".ckpt", ".safetensors")
_FOREIGN_SUFFIXES = (".rar", ".7z", ".zst", ".lz4")
_PACKED_SUFFIXES = (ARCHIVE_SUFFIX, ".tar", ".gz", ".tgz", ".bz2", ".tbz", ".xz", ".txz")
_PAGE_SUFFIXES = (".html", ".htm", ".mhtml")
_LINK_SUFFIXES = (".url", ".webloc", ".desktop", ".gdoc", ".gdrive", ".glink", ".gdlink", ".colab")
# Names under which there is never homework, so that nothing is read to find out.
_DULL = frozenset(
    [
        ".png",
        ".jpg",
        ".jpeg",
        ".gif",
        ".svg",
        ".bmp",
        ".webp",
        ".ico",
        ".mp4",
        ".mov",
        ".avi",
        ".mp3",
        ".wav",
        ".csv",
        ".tsv",
        ".npy",
        ".npz",
        ".mat",
        ".h5",
        ".hdf5",
        ".parquet",
        ".md",
        ".rst",
        ".yml",
        ".yaml",
        ".toml",
        ".cfg",
        ".ini",
        ".lock",
        ".log",
        ".css",
        ".js",
        ".ts",
        ".c",
        ".h",
        ".cpp",
        ".hpp",
        ".cu",
        ".java",
        ".so",
        ".dll",
        ".dylib",
        ".a",
        ".o",
        ".exe",
        ".pyc",
        ".pyd",
        ".pyo",
        ".whl",
        ".egg",
        ".jar",
        ".ttf",
        ".otf",
        ".woff",
        ".woff2",
        ".eps",
        ".ps",
        ".tex",
        ".bib",
        ".aux",
        ".sty",
        ".dat",
        ".db",
        ".sqlite",
        ".idx",
        ".pack",
        ".xml",
        ".xsl",
        ".map",
        ".lnk",
        ".ds_store",
    ]
)


class Kind(Enum):
    """What a file is; the value says it in the middle of a sentence."""

    NOTEBOOK = "a notebook"
    MODULE = "a Python file"
    SAVED = "a saved file"
    ARCHIVE = "an archive"
    FOREIGN = "an archive that the grader cannot unpack"
    OTHER_JSON = "JSON without cells, as Google Drive leaves in place of a notebook"
    LINK = "a link, not the file itself"
    PDF = "a PDF"
    PAGE = "a web page"
    OFFICE = "an office document"
    OTHER = "a file of another kind"


READ = frozenset({Kind.NOTEBOOK, Kind.MODULE, Kind.SAVED, Kind.ARCHIVE})
# What to do about a file that stands in place of one that was asked for.
ADVICE = {
    Kind.FOREIGN: "Pack your files as a .zip instead.",
    Kind.OTHER_JSON: "Download the notebook itself (File → Download → .ipynb) and hand that in.",
    Kind.LINK: "Download the file that it leads to and hand that in.",
    Kind.PDF: "Hand in the notebook itself (.ipynb).",
    Kind.PAGE: "Hand in the notebook itself (.ipynb).",
    Kind.OFFICE: "Hand in the notebook itself (.ipynb).",
    Kind.OTHER: "Hand in the file that was asked for.",
}


def kind_by_name(path: str) -> Kind | None:
    """Return what a file's name says that it is; None where only its content can tell."""
    name = path.rsplit("/", 1)[-1].strip()
    suffix = suffix_of(name)
    if suffix == ".ipynb":
        return Kind.NOTEBOOK
    if suffix == ".py":
        return Kind.MODULE
    if suffix in _SAVED_SUFFIXES:
        return Kind.SAVED
    if suffix == ARCHIVE_SUFFIX:
        return Kind.ARCHIVE
    return Kind.OTHER if suffix in _DULL and not _NOTEBOOK_NAME.search(name) else None


def kind_of(path: str, head: bytes) -> Kind:
    """
    Return what a file is.

    What begins as a notebook, an archive or a saved file is one under any name. A file that is called as something that
    is read stays that where its content says nothing better: whoever reads it says what is wrong with it.

    Args:
        path: its path.
        head: its first bytes, HEAD_BYTES of them where there are as many.
    """
    found, named = _kind_by_content(head), kind_by_name(path)
    if named is Kind.SAVED or found is None:
        return named or _kind_by_rest_of_name(path, head)
    keeps_name = (named is Kind.NOTEBOOK and found is Kind.OTHER_JSON) or (named is Kind.MODULE and found not in READ)
    return named if named is not None and keeps_name else found


def _kind_by_content(head: bytes) -> Kind | None:
    if head.startswith(b"PK\x03\x04"):
        return _kind_of_zip(head)
    if head.startswith(_LEGACY_TORCH) or is_safetensors(head):
        return Kind.SAVED
    if is_compressed(head) or is_readable(head):
        return Kind.ARCHIVE
    if head.startswith(_FOREIGN_MAGIC):
        return Kind.FOREIGN
    if head.startswith(b"%PDF-"):
        return Kind.PDF
    text = head.lstrip(_TEXT_LEAD)
    if text[:1] == b"{":
        return Kind.NOTEBOOK if any(key in text for key in _NOTEBOOK_KEYS) else Kind.OTHER_JSON
    if text[:60].lower().startswith((b"<!doctype html", b"<html")):
        return Kind.PAGE
    return Kind.LINK if text.startswith((b"[InternetShortcut]", b"[Desktop Entry]", b"https://", b"http://")) else None


def _kind_of_zip(head: bytes) -> Kind:
    """A zip is what its first member says: torch and office programs save their files as zips."""
    length = int.from_bytes(head[26:28], "little")
    first = head[_MEMBER_NAME_AT : _MEMBER_NAME_AT + length]
    if first.endswith(b"/data.pkl"):
        return Kind.SAVED
    if first.startswith(_OFFICE_MEMBERS):
        return Kind.OFFICE
    return Kind.OTHER if first.endswith(b".npy") else Kind.ARCHIVE


def is_safetensors(head: bytes) -> bool:
    """Return whether a file begins as safetensors do: the length of a header, and a header in JSON."""
    if len(head) < _HEADER_LENGTH.size + 2:
        return False
    (length,) = _HEADER_LENGTH.unpack(head[: _HEADER_LENGTH.size])
    return 2 <= length <= _LARGEST_SAFETENSORS_HEADER and head[_HEADER_LENGTH.size : _HEADER_LENGTH.size + 1] == b"{"


def _kind_by_rest_of_name(path: str, head: bytes) -> Kind:
    """Return what a file is whose first bytes and suffix say nothing, such as `utils_reg.py.txt`."""
    name = path.rsplit("/", 1)[-1]
    suffix = suffix_of(name)
    by_suffix = (
        (_LINK_SUFFIXES, Kind.LINK),
        (_FOREIGN_SUFFIXES, Kind.FOREIGN),
        (_PACKED_SUFFIXES, Kind.ARCHIVE),
        (_PAGE_SUFFIXES, Kind.PAGE),
        ((".pdf",), Kind.PDF),
    )
    for suffixes, kind in by_suffix:
        if suffix in suffixes:
            return kind
    if _NOTEBOOK_NAME.search(name):
        return Kind.NOTEBOOK
    return Kind.MODULE if _MODULE_NAME.search(name) and b"\0" not in head else Kind.OTHER
