"""What of a release comes out the same byte for byte, what does not, and why: for whoever compares two of them."""

from __future__ import annotations

import platform
from importlib.metadata import version
from pathlib import Path

_LIBRARIES = ("torch", "numpy", "scipy", "scikit-learn", "matplotlib", "nbconvert", "latex2mathml", "playwright")

_TEXT = Path(__file__).with_suffix(".md")


def describe_repeatability() -> str:
    """Return the text of REPRODUCIBILITY.md."""
    made_with = {"Python": platform.python_version(), "machine": platform.machine()}
    made_with |= {name: version(name) for name in _LIBRARIES}
    return _TEXT.read_text(encoding="utf-8") + "".join(f"| {name} | {value} |\n" for name, value in made_with.items())
