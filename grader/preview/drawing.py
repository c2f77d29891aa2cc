"""
Pictures as inline SVG, in the page's own colours.

Built as a tree, so that no text can become markup. Lengths are CSS pixels of a picture that is shown at full size.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from math import isqrt
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
from markupsafe import Markup

from grader.preview.plot import Plot, label, window
from grader.preview.png import png_address
from grader.verdicts import Picture

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = Mapping[str, Array]

_GRID = 160.0  # side of one mask
_GAP = 32.0
_MOST_ROWS = 4  # images or masks one above the other
_MOST_SIDE = 32  # patches along one side of a mask
_TILE = 104.0  # side of one reconstructed image
_STATES = (("image", "image"), ("seen", "what is seen"), ("painted", "painted in"))


class NotDrawable(Exception):
    """The arrays are not what the kind of picture needs."""


def draw(picture: Picture, *, name: str) -> Markup | None:
    """
    Return a picture as SVG, or None where its arrays cannot be drawn and the caption has to stand for them.

    Args:
        picture: what to draw.
        name: an id that the page has nowhere else.
    """
    try:
        artist = _ARTISTS[picture.kind]
        body, size, told = artist(picture.arrays)
    except (KeyError, NotDrawable):
        return None
    svg = ET.Element(
        "svg",
        {
            "viewBox": f"0 0 {size[0]:g} {size[1]:g}",
            "width": f"{size[0]:g}",
            "height": f"{size[1]:g}",
            "class": f"picture {picture.kind}",
            "role": "img",
            "aria-labelledby": f"{name}-title {name}-desc",
        },
    )
    ET.SubElement(svg, "title", {"id": f"{name}-title"}).text = picture.caption
    ET.SubElement(svg, "desc", {"id": f"{name}-desc"}).text = told
    svg.extend(body)
    return Markup(ET.tostring(svg, encoding="unicode"))  # a serialised tree: no text in it is markup


_Drawn = tuple[Sequence[ET.Element], tuple[float, float], str]


def _pair(arrays: Arrays, dimensions: int) -> tuple[Array, Array]:
    student, reference = arrays["student"], arrays["reference"]
    for array in (student, reference):
        if array.ndim != dimensions or array.size == 0 or not np.all(np.isfinite(array)):
            raise NotDrawable
    if student.shape[1:] != reference.shape[1:]:
        raise NotDrawable
    return student.astype(np.float64), reference.astype(np.float64)  # room for what is computed from the largest


def _mask(arrays: Arrays) -> _Drawn:
    """Rows of two grids: the student's mask, in which wrong patches carry a dot, and the right one."""
    student, reference = _pair(arrays, 2)
    rows, side = len(reference), isqrt(reference.shape[1])
    if student.shape != reference.shape or side**2 != reference.shape[1] or side > _MOST_SIDE or rows > _MOST_ROWS:
        raise NotDrawable
    body = [label("yours", _GRID / 2, 14), label("right", _GRID * 1.5 + _GAP, 14)]
    for row in range(rows):
        top = 24 + row * (_GRID + 16)
        for left, mask in ((0.0, student[row]), (_GRID + _GAP, reference[row])):
            body += _cells(mask, mask != reference[row], side=side, left=left, top=top)
    bottom = 24 + rows * (_GRID + 16)
    told = f"{int(np.sum(student != reference))} of {student.size} patches differ."
    return [*body, *_mask_legend(bottom)], (2 * _GRID + _GAP, bottom + 20), told


def _mask_legend(top: float) -> list[ET.Element]:
    """A patch that was removed, one that was kept, and one that differs, with their names."""
    drawn = []
    for x, value, differs, words in ((0, 1, 0, "1, removed"), (120, 0, 0, "0, kept"), (220, 0, 1, "differs")):
        drawn += _cells(np.array([value]), np.array([bool(differs)]), side=1, left=x, top=top, size=16)
        drawn.append(label(words, x + 22, top + 12.5, anchor="start"))
    return drawn


def _cells(mask: Array, wrong: Array, *, side: int, left: float, top: float, size: float = _GRID) -> list[ET.Element]:
    """Return a square of patches; a dot marks those that are wrong."""
    cell = size / side
    drawn = []
    for index, (value, differs) in enumerate(zip(mask, wrong, strict=True)):
        x, y = left + index % side * cell, top + index // side * cell
        place = {"x": f"{x + 0.75:g}", "y": f"{y + 0.75:g}", "width": f"{cell - 1.5:g}", "height": f"{cell - 1.5:g}"}
        drawn.append(ET.Element("rect", {**place, "rx": "2", "class": "removed" if value else "kept"}))
        if differs:
            dot = {"cx": f"{x + cell / 2:g}", "cy": f"{y + cell / 2:g}", "r": f"{cell / 6:g}"}
            drawn.append(ET.Element("circle", {**dot, "class": "wrong-on-removed" if value else "wrong"}))
    return drawn


def _trajectory(arrays: Arrays) -> _Drawn:
    """The plane of both feature weights, equal scales, with the circle that small steps stay on."""
    student, reference = _pair(arrays, 2)
    if reference.shape[1] != 2:
        raise NotDrawable
    seen = np.concatenate([reference, np.zeros((1, 2))])
    x, y = window(seen[:, 0], student[:, 0]), window(seen[:, 1], student[:, 1])
    plot = Plot(352, 300, x, y, equal=True)
    start, end = reference[0], reference[-1]
    radius = float(np.linalg.norm(start))
    angles = np.linspace(0, 2 * np.pi, 181)
    circle = plot.line(radius * np.cos(angles), radius * np.sin(angles), "circle")
    body = [
        *plot.axes("c₀", "c₁"),
        *plot.clipped(
            circle,
            plot.line(student[:, 0], student[:, 1], "student"),
            plot.line(reference[:, 0], reference[:, 1], "reference"),
            plot.mark(start[0], start[1], "start"),
            plot.mark(student[-1][0], student[-1][1], "student-end"),
            plot.mark(end[0], end[1], "reference-end"),
        ),
        *plot.legend(("student", "yours"), ("reference", "right")),
    ]
    told = (
        f"From ({start[0]:.3g}, {start[1]:.3g}) yours goes to ({student[-1][0]:.3g}, {student[-1][1]:.3g}), "
        f"the right one to ({end[0]:.3g}, {end[1]:.3g}). The dotted circle is where the norm of the start is kept."
    )
    return body, (plot.width, plot.height), told + plot.outside(student[:, 0], student[:, 1])


def _weights(arrays: Arrays) -> _Drawn:
    """A mark for each feature; all weights began at 1, which is a line across."""
    student, reference = _pair(arrays, 1)
    if student.shape != reference.shape:
        raise NotDrawable
    index = np.arange(len(reference), dtype=np.float64)
    plot = Plot(352, 220, (-1.0, float(len(reference))), window(np.append(reference, [0.0, 1.0]), student))
    body = [
        *plot.axes("feature", "weight"),
        *plot.clipped(
            plot.line(np.array(plot.x), np.array([1.0, 1.0]), "circle"),
            *(plot.mark(k, value, "reference-end") for k, value in zip(index, reference, strict=True)),
            *(plot.mark(k, value, "student-dot") for k, value in zip(index, student, strict=True)),
        ),
        *plot.legend(("student-dot", "yours"), ("reference-end", "right")),
    ]
    apart = int(np.argmax(np.abs(student - reference)))
    told = (
        f"{len(reference)} features. The largest difference is at feature {apart}: yours is {student[apart]:.3g}, "
        f"{reference[apart]:.3g} is right."
    )
    return body, (plot.width, plot.height), told + plot.outside(index, student)


def _reconstruction(arrays: Arrays) -> _Drawn:
    """A row for each image: the whole, what the encoder saw, what came back."""
    images = [arrays[name] for name, _ in _STATES]
    shape = images[0].shape
    if any(image.shape != shape or image.dtype != np.uint8 for image in images):
        raise NotDrawable
    if len(shape) != 4 or shape[3] != 3 or 0 in shape:
        raise NotDrawable
    rows, step = min(shape[0], _MOST_ROWS), _TILE + 12
    body = []
    for column, ((_, words), stack) in enumerate(zip(_STATES, images, strict=True)):
        body.append(label(words, column * step + _TILE / 2, 14))
        for row in range(rows):
            place = {
                "x": f"{column * step:g}",
                "y": f"{24 + row * step:g}",
                "width": f"{_TILE:g}",
                "height": f"{_TILE:g}",
            }
            body.append(ET.Element("image", {**place, "href": png_address(stack[row])}))
    error = np.mean(np.abs(images[2].astype(np.float64) - images[0]), axis=(1, 2, 3))
    told = (
        f"{rows} images of {shape[1]} by {shape[2]} pixels; painted and true ones are {error.mean():.0f} of 255 apart."
    )
    return body, (2 * step + _TILE, 24 + rows * step - 12), told


_ARTISTS: dict[str, Callable[[Arrays], _Drawn]] = {
    "mask": _mask,
    "trajectory": _trajectory,
    "weights": _weights,
    "reconstruction": _reconstruction,
}
