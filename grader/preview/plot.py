"""Two axes and what is drawn between them, as elements of an SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
Range = tuple[float, float]

_LEFT, _RIGHT, _TOP, _BOTTOM = 44.0, 12.0, 30.0, 40.0
_TICKS = 4  # about so many
_LEAST_RANGE = 1e-6  # as a share of the values, where all are the same


def window(right: Array, mine: Array) -> Range:
    """
    Return the range of an axis: all that is right, and what of the student's lies at most twice as far outside.

    A run that diverges would otherwise shrink everything else to a dot.
    """
    low, high = float(np.min(right)), float(np.max(right))
    reach = max(high - low, _LEAST_RANGE * max(1.0, abs(low), abs(high)))
    low = max(min(low, float(np.min(mine))), low - 2 * reach)
    high = min(max(high, float(np.max(mine))), high + 2 * reach)
    margin = 0.06 * max(high - low, reach)
    return low - margin, high + margin


def label(text: str, x: float, y: float, *, anchor: str = "middle", name: str = "label") -> ET.Element:
    """Return a line of text."""
    element = ET.Element("text", {"x": f"{x:g}", "y": f"{y:g}", "text-anchor": anchor, "class": name})
    element.text = text
    return element


class Plot:
    """A frame with two scales: data in, elements out."""

    def __init__(self, width: float, height: float, x: Range, y: Range, *, equal: bool = False) -> None:
        self.width, self.height = width, height
        across, down = width - _LEFT - _RIGHT, height - _TOP - _BOTTOM
        self.x, self.y = _equal_scales(x, y, across / down) if equal else (x, y)
        self._across, self._down = across, down

    def axes(self, x_name: str, y_name: str) -> list[ET.Element]:
        """Return the frame with its ticks and names."""
        bottom = _TOP + self._down
        drawn = []
        for value in _ticks(self.x):
            x = self._to_x(value)
            drawn += [_line(x, _TOP, x, bottom, "grid"), label(_number(value), x, bottom + 15, name="tick")]
        for value in _ticks(self.y):
            y = self._to_y(value)
            drawn.append(_line(_LEFT, y, _LEFT + self._across, y, "grid"))
            drawn.append(label(_number(value), _LEFT - 6, y + 4, anchor="end", name="tick"))
        drawn.append(label(x_name, _LEFT + self._across / 2, self.height - 6))
        drawn.append(label(y_name, 4, 16, anchor="start"))
        return drawn

    def clipped(self, *elements: ET.Element) -> list[ET.Element]:
        """Return elements of which only what lies within the frame is shown."""
        frame = {"x": f"{_LEFT:g}", "y": f"{_TOP:g}", "width": f"{self._across:g}", "height": f"{self._down:g}"}
        inner = ET.Element(
            "svg", {**frame, "viewBox": " ".join(frame.values()), "role": "presentation"}
        )  # a nested picture clips by itself
        inner.extend(elements)
        return [inner]

    def line(self, x: Array, y: Array, name: str) -> ET.Element:
        """Return a line through points."""
        return path_of([(self._to_x(a), self._to_y(b)) for a, b in zip(x, y, strict=True)], name)

    def mark(self, x: float, y: float, name: str) -> ET.Element:
        """Return a mark at a point."""
        return ET.Element("circle", {"cx": _px(self._to_x(x)), "cy": _px(self._to_y(y)), "r": "4", "class": name})

    def legend(self, *entries: tuple[str, str]) -> list[ET.Element]:
        """Return samples with their names, at the top right; a class that ends like a mark gets a mark."""
        drawn, x = [], self.width - _RIGHT
        for name, words in reversed(entries):
            drawn.append(label(words, x, 16, anchor="end"))
            x -= 7 * len(words) + 8
            if name in ("student", "reference"):
                drawn.append(path_of([(x - 22, 12), (x, 12)], name))
                x -= 38
            else:
                drawn.append(ET.Element("circle", {"cx": _px(x - 4), "cy": "12", "r": "4", "class": name}))
                x -= 24
        return drawn

    def outside(self, x: Array, y: Array) -> str:
        """Return a sentence if some of the points lie outside the frame."""
        count = int(np.sum((x < self.x[0]) | (x > self.x[1]) | (y < self.y[0]) | (y > self.y[1])))
        return f" {count} of your {len(x)} points lie outside the picture." if count else ""

    def _to_x(self, value: float) -> float:
        return _LEFT + (float(value) - self.x[0]) / (self.x[1] - self.x[0]) * self._across

    def _to_y(self, value: float) -> float:
        return _TOP + (self.y[1] - float(value)) / (self.y[1] - self.y[0]) * self._down


def path_of(points: Sequence[tuple[float, float]], name: str) -> ET.Element:
    """Return a line through points of the picture."""
    steps = " ".join(f"{_px(x)},{_px(y)}" for x, y in points)
    return ET.Element("polyline", {"points": steps, "class": name})


def _line(x1: float, y1: float, x2: float, y2: float, name: str) -> ET.Element:
    return ET.Element("line", {"x1": _px(x1), "y1": _px(y1), "x2": _px(x2), "y2": _px(y2), "class": name})


def _px(value: float) -> str:
    # Far outside the frame a place is no longer worth its digits, and browsers do not take any number.
    return f"{min(max(value, -1e5), 1e5):.2f}".rstrip("0").rstrip(".")


def _equal_scales(x: Range, y: Range, aspect: float) -> tuple[Range, Range]:
    """Widen one of two ranges so that a unit is as long across as down."""
    across, down = x[1] - x[0], y[1] - y[0]
    if across < aspect * down:
        return _widened(x, aspect * down), y
    return x, _widened(y, across / aspect)


def _widened(values: Range, length: float) -> Range:
    middle = (values[0] + values[1]) / 2
    return middle - length / 2, middle + length / 2


def _ticks(values: Range) -> list[float]:
    """Return round numbers within a range."""
    rough = (values[1] - values[0]) / _TICKS
    power = 10.0 ** np.floor(np.log10(rough))
    step = power * next(factor for factor in (1, 2, 5, 10) if factor * power >= rough * (1 - 1e-9))
    first = int(np.ceil(values[0] / step))
    return [index * step for index in range(first, int(np.floor(values[1] / step)) + 1)]


def _number(value: float) -> str:
    return f"{value:.3g}".replace("-", "−")
