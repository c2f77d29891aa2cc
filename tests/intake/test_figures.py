"""A figure is an image that decodes, of a plausible size, below a cell that calls something."""

from __future__ import annotations

import base64
import io
import struct
import zlib

import pytest

from grader.intake.figures import calls_something, is_figure
from grader.trust.cases import FIGURE_PNG

PNG = base64.b64decode(FIGURE_PNG)
PLOTLY = {"data": [{"type": "scatter"}], "layout": {}}


def drawn(kind: str) -> str:
    """Return what matplotlib writes of a figure."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3, 2))
    figure.subplots().plot([1, 3, 2])
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind)
    return buffer.getvalue().decode() if kind == "svg" else base64.encodebytes(buffer.getvalue()).decode()


@pytest.mark.parametrize(("key", "kind"), [("image/png", "png"), ("image/svg+xml", "svg"), ("application/pdf", "pdf")])
def test_what_matplotlib_draws_is_a_figure(key: str, kind: str) -> None:
    """As text, and as the lines that a notebook's file has."""
    text = drawn(kind)

    assert is_figure({"data": {key: text}})
    assert is_figure({"data": {key: text.splitlines(keepends=True)}})


def png(width: int, height: int, pixels: bytes) -> str:
    """Return a PNG of gray pixels, with whatever size it claims."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = {b"IHDR": header, b"IDAT": zlib.compress(pixels), b"IEND": b""}
    chunks = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts.items()
    )
    return base64.b64encode(PNG[:8] + b"".join(chunks)).decode()


MANY = bytes(range(256)) * 40


@pytest.mark.parametrize(
    "data",
    [
        "iVBORw0KGgo=",
        "aGVsbG8=",
        "",
        "no base64!",
        base64.b64encode(PNG[:60]).decode(),
        png(1, 1, b"\0\5"),
        png(64, 64, b""),
        png(64, 64, bytes(64 * 65)),
        png(2**31 - 1, 2**31 - 1, MANY),
        base64.b64encode(b"\xff\xd8\xff\xe0").decode(),
        base64.b64encode(b"GIF89a").decode(),
        base64.b64encode(b"%PDF-1.7").decode(),
    ],
)
def test_what_is_called_an_image_and_is_none_is_no_figure(data: str) -> None:
    """Eight bytes, a part, one pixel, no pixels, pixels all alike, absurd sizes, headers alone."""
    assert not is_figure({"data": {"image/png": data}})
    assert not is_figure({"png": data})


def test_a_picture_of_enough_pixels_is_a_figure() -> None:
    """In format 4, in format 3, and embedded in a page."""
    assert is_figure({"data": {"image/png": png(64, 64, MANY)}})
    assert is_figure({"png": FIGURE_PNG})
    assert is_figure({"data": {"text/html": f"<img src='data:image/png;base64,{FIGURE_PNG}'>"}})


def test_widgets_and_pages_that_draw_are_figures() -> None:
    """With something in them."""
    assert is_figure({"data": {"application/vnd.jupyter.widget-view+json": {"model_id": "x"}}})
    assert is_figure({"data": {"application/vnd.plotly.v1+json": PLOTLY}})
    assert is_figure({"data": {"text/html": "<canvas>" + "x" * 2_000}})
    assert not is_figure({"data": {"application/vnd.plotly.v1+json": {}, "text/html": "<canvas></canvas>"}})
    assert not is_figure({"data": {"text/html": "<svg></svg>", "image/svg+xml": [3, None]}})


@pytest.mark.parametrize(
    ("source", "calls"),
    [
        ("plt.plot(x)", True),
        ("meta_learning_reg_sgd(params_dict)", True),
        ("%run part1.py", True),
        ("result = meta_learning_reg_sgd", False),
        ("print('done')", False),
        ("import utils_reg", False),
        ("", False),
    ],
)
def test_a_cell_that_calls_nothing_cannot_have_drawn_anything(source: str, calls: bool) -> None:
    """Whatever its file shows below it."""
    assert calls_something(source) is calls
