"""
Whether an output of a cell shows a figure (worker side): an image that decodes and is of a plausible size.

Anybody can write a figure into a notebook's file. What is asked is that there is one: eight bytes that are called a
PNG, or a picture below a cell that calls nothing, are none.
"""

from __future__ import annotations

import base64
import binascii
import re
import struct
import zlib
from collections.abc import Iterator
from typing import Any

_LEAST_PIXELS, _MOST_PIXELS = 32, 20_000  # in width and in height
_MOST_BYTES = 16 << 20  # of an image that is looked at
_MOST_INFLATED = 4 << 20  # of a PNG: what is past that is not looked at
_SMALLEST_WEBP = 100  # bytes
_PNG, _GIF = b"\x89PNG\r\n\x1a\n", (b"GIF87a", b"GIF89a")
_DRAWING = re.compile(r"<svg\b.*<(?:path|polyline|polygon|line|rect|circle|use|image)\b", re.IGNORECASE | re.DOTALL)
_EMBEDDED = re.compile(r"data:image/[a-z+]+;base64,([A-Za-z0-9+/=\s]+)")
_PAGE_THAT_DRAWS = re.compile(r"<(?:canvas|video|script)\b", re.IGNORECASE)
_SHORTEST_PAGE = 1_000  # characters; plotly and its like write thousands
_CALL = re.compile(r"\b([A-Za-z_]\w*)\s*\(")
_DRAWS_NOTHING = frozenset({"print", "len", "range", "input", "str", "int"})


def calls_something(source: str) -> bool:
    """Return whether a cell calls a function, or runs a file: another one cannot have drawn anything."""
    return any(name not in _DRAWS_NOTHING for name in _CALL.findall(source)) or "%run" in source


def is_figure(output: dict[str, Any]) -> bool:
    """Return whether an output shows an image, a page with one in it, or a widget that draws one."""
    content = output.get("data")
    shown = content if isinstance(content, dict) else output  # format 3 has the content beside the type
    return any(_is_picture(key, value) for key, value in shown.items() if isinstance(key, str))


def _is_picture(kind: str, value: Any) -> bool:
    if kind.startswith(("application/vnd.jupyter.widget-view", "application/vnd.plotly")):
        return isinstance(value, dict) and bool(value.get("model_id") or value.get("data"))
    text = "".join(part for part in value if isinstance(part, str)) if isinstance(value, list) else value
    if not isinstance(text, str) or len(text) > 2 * _MOST_BYTES:
        return False
    if "svg" in kind:
        return _DRAWING.search(text) is not None
    if kind in ("text/html", "html"):
        embedded = (_raster(match.group(1)) for match in _EMBEDDED.finditer(text))
        is_page = len(text) >= _SHORTEST_PAGE and _PAGE_THAT_DRAWS.search(text) is not None
        return is_page or _DRAWING.search(text) is not None or any(embedded)
    return (kind.startswith(("image/", "application/pdf")) or kind in ("png", "jpeg", "pdf")) and _raster(text)


def _raster(text: str) -> bool:
    try:
        data = base64.b64decode(text, validate=False)
        return _decodes(data)
    except (binascii.Error, ValueError, struct.error, zlib.error):
        return False


def _decodes(data: bytes) -> bool:
    if data.startswith(_PNG):
        return _is_png(data)
    if data.startswith(b"\xff\xd8"):
        return _is_plausible(*_jpeg_size(data)) and b"\xff\xd9" in data[-64:]
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return len(data) > _SMALLEST_WEBP
    if data.startswith(_GIF):
        return _is_plausible(*struct.unpack("<HH", data[6:10])) and data.rstrip(b"\0").endswith(b";")
    return data.startswith(b"%PDF-") and b"%%EOF" in data[-1024:] and b"/Page" in data


def _is_plausible(width: int, height: int) -> bool:
    return all(_LEAST_PIXELS <= side <= _MOST_PIXELS for side in (width, height))


def _is_png(data: bytes) -> bool:
    """Return whether a PNG has its size, pixels that can be inflated, and more than one value among them."""
    chunks = list(_png_chunks(data))
    if not chunks or chunks[0][0] != b"IHDR" or not _is_plausible(*struct.unpack(">II", chunks[0][1][:8])):
        return False
    width, height = struct.unpack(">II", chunks[0][1][:8])
    packed = b"".join(part for kind, part in chunks if kind == b"IDAT")
    pixels = zlib.decompressobj().decompress(packed, _MOST_INFLATED)
    least = min(height * (1 + width // 8), _MOST_INFLATED)  # of an image in black and white
    return len(pixels) >= least and len(set(pixels)) > 2


def _png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    place = len(_PNG)
    while place + 8 <= len(data):
        (length,) = struct.unpack(">I", data[place : place + 4])
        yield data[place + 4 : place + 8], data[place + 8 : place + 8 + length]
        place += 12 + length


def _jpeg_size(data: bytes) -> tuple[int, int]:
    """Return width and height from the frame header; zeros without one."""
    place = 2
    while place + 9 < len(data) and data[place] == 0xFF:
        marker, (length,) = data[place + 1], struct.unpack(">H", data[place + 2 : place + 4])
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = struct.unpack(">HH", data[place + 5 : place + 9])
            return width, height
        place += 2 + length
    return 0, 0
