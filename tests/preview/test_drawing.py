"""Pictures as SVG: what is in them, that text stays text, and that no arrays break them."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest
from PIL import Image

from grader.preview.drawing import draw
from grader.preview.png import png_address
from grader.verdicts import Picture
from tests.preview.samples import pictures

KINDS = {picture.kind: picture for picture in pictures()}


def tree_of(kind: str, arrays: Mapping[str, Any]) -> ET.Element:
    """Draw arrays and read the SVG."""
    svg = draw(Picture(kind, "A caption with <marks> & more.", arrays), name="it")
    assert svg is not None
    return ET.fromstring(svg)


def count(tree: ET.Element, name: str) -> int:
    """Return how many elements have a class."""
    return sum(element.get("class") == name for element in tree.iter())


@pytest.mark.parametrize("picture", KINDS.values(), ids=KINDS)
def test_every_kind_has_a_title_and_a_description(picture: Picture) -> None:
    """Both are named by the picture, so that a screen reader says them; the size fits a phone."""
    tree = tree_of(picture.kind, picture.arrays)
    ids = {element.get("id"): element.text for element in tree if element.get("id")}

    assert tree.get("role") == "img"
    named = str(tree.get("aria-labelledby")).split()
    assert named == ["it-title", "it-desc"]
    assert ids["it-title"] == "A caption with <marks> & more."
    assert len(str(ids["it-desc"])) > 20
    assert float(str(tree.get("width"))) <= 360


def test_a_mask_marks_what_differs() -> None:
    """Two grids for each image; a dot in the student's where they differ."""
    mask = np.zeros((1, 16), np.uint8)
    other = mask.copy()
    other[0, [2, 7, 9]] = 1
    tree = tree_of("mask", {"student": other, "reference": mask})

    # One of each is in the legend.
    assert count(tree, "removed") == 3 + 1
    assert count(tree, "kept") == 29 + 2
    assert (count(tree, "wrong-on-removed"), count(tree, "wrong")) == (3, 0 + 1)
    assert "3 of 16 patches differ" in "".join(tree.itertext())


def test_a_trajectory_that_leaves_the_picture_does_not_shrink_the_right_one() -> None:
    """The window holds what is right; what lies outside is counted in words."""
    right = KINDS["trajectory"].arrays["reference"]
    near = tree_of("trajectory", {"student": right, "reference": right})
    far = tree_of("trajectory", {"student": right * np.linspace(1, 1e6, len(right))[:, None], "reference": right})

    assert "outside" not in "".join(near.itertext())
    assert "of your 12 points lie outside the picture" in "".join(far.itertext())
    line = next(element for element in far.iter("polyline") if element.get("class") == "reference")
    x = [float(pair.partition(",")[0]) for pair in str(line.get("points")).split()]
    assert max(x) - min(x) > 60


def test_weights_have_a_mark_for_each_feature() -> None:
    """One of the student's and one of the reference's, and one of each in the legend."""
    tree = tree_of("weights", KINDS["weights"].arrays)

    assert count(tree, "student-dot") == count(tree, "reference-end") == 22


def test_a_reconstruction_shows_three_states_of_each_image() -> None:
    """Nine images whose pixels are those of the arrays."""
    picture = KINDS["reconstruction"]
    tree = tree_of("reconstruction", picture.arrays)
    images = [str(element.get("href")) for element in tree.iter("image")]

    assert len(images) == 9
    assert np.array_equal(_pixels(images[2]), picture.arrays["image"][2])
    assert np.array_equal(_pixels(images[3]), picture.arrays["seen"][0])
    assert {text.text for text in tree.iter("text")} == {"image", "what is seen", "painted in"}


def _pixels(address: str) -> np.ndarray[Any, np.dtype[np.uint8]]:
    data = base64.b64decode(address.removeprefix("data:image/png;base64,"))
    return np.asarray(Image.open(io.BytesIO(data)))


def test_pixels_survive_the_png() -> None:
    """A picture that is neither square nor smooth."""
    pixels = np.random.default_rng(1).integers(0, 256, (3, 5, 3)).astype(np.uint8)

    assert np.array_equal(_pixels(png_address(pixels)), pixels)


ODD: dict[str, tuple[str, dict[str, Any]]] = {
    "unknown kind": ("sculpture", {}),
    "nothing there": ("mask", {}),
    "no square": ("mask", {"student": np.zeros((1, 15)), "reference": np.zeros((1, 15))}),
    "other shapes": ("mask", {"student": np.zeros((1, 16)), "reference": np.zeros((2, 16))}),
    "too many patches": ("mask", {"student": np.zeros((1, 40_000)), "reference": np.zeros((1, 40_000))}),
    "empty": ("weights", {"student": np.zeros(0), "reference": np.zeros(0)}),
    "not finite": ("weights", {"student": np.array([np.nan]), "reference": np.zeros(1)}),
    "three columns": ("trajectory", {"student": np.zeros((4, 3)), "reference": np.zeros((4, 3))}),
    "floats for pixels": ("reconstruction", dict.fromkeys(("image", "seen", "painted"), np.zeros((1, 4, 4, 3)))),
    "no pixels": ("reconstruction", dict.fromkeys(("image", "seen", "painted"), np.zeros((1, 0, 4, 3), np.uint8))),
}


@pytest.mark.parametrize(("kind", "arrays"), ODD.values(), ids=ODD)
def test_what_cannot_be_drawn_is_left_to_its_caption(kind: str, arrays: dict[str, Any]) -> None:
    """Files come from anywhere: there is no picture, and no error."""
    assert draw(Picture(kind, "c", arrays), name="it") is None


@pytest.mark.parametrize("value", [0.0, 1.0, -3.4e38, 1e-30, 123456.78])
@pytest.mark.parametrize("kind", ["weights", "trajectory"])
def test_values_that_are_all_the_same_can_be_drawn(kind: str, value: float) -> None:
    """A range of no length, and the largest numbers that there are, give a picture of finite places."""
    shape = (3,) if kind == "weights" else (3, 2)
    svg = draw(
        Picture(kind, "c", dict.fromkeys(("student", "reference"), np.full(shape, value, np.float32))), name="it"
    )

    assert svg is not None
    assert "nan" not in svg
    assert "inf" not in svg.replace("points lie", "")
