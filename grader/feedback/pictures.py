"""Pictures in results.json: arrays as base64 of raw little-endian bytes, and back."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np

from grader.verdicts import Picture

# All arrays of one question together. Four images in three states, the largest picture there is, are 36 KiB.
LIMIT_BYTES = 64 * 1024
# What a page needs to draw: pixels and marks in the one, everything that is measured in the other.
_DTYPES = {"uint8": "u1", "float32": "<f4"}
_MOST_DIMENSIONS = 4


def pictures_to_json(pictures: Iterable[Picture]) -> list[dict[str, Any]]:
    """Return pictures as they stand in results.json; of those past the limit only the caption is kept."""
    left = LIMIT_BYTES
    content: list[dict[str, Any]] = []
    for picture in pictures:
        arrays = {name: _storable(array) for name, array in sorted(picture.arrays.items())}
        size = sum(array.nbytes for array in arrays.values())
        fits = size <= left
        left -= size if fits else 0
        stored = [_array_to_json(name, array) for name, array in arrays.items()] if fits else []
        content.append({"kind": picture.kind, "caption": picture.caption, "arrays": stored})
    return content


def picture_from_json(content: Mapping[str, Any]) -> Picture:
    """
    Return a picture from what stands in results.json.

    Raises:
        ValueError: it is no picture; nothing large was made on the way.
    """
    try:
        arrays = {str(item["name"]): _array_from_json(item) for item in content["arrays"]}
        return Picture(str(content["kind"]), str(content["caption"]), arrays)
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"This is no picture: {error!r}.") from error


def _storable(array: np.ndarray[Any, np.dtype[Any]]) -> np.ndarray[Any, np.dtype[Any]]:
    return np.ascontiguousarray(array, dtype="u1" if array.dtype in (np.uint8, np.bool_) else "<f4")


def _array_to_json(name: str, array: np.ndarray[Any, np.dtype[Any]]) -> dict[str, Any]:
    return {
        "name": name,
        "shape": list(array.shape),
        "dtype": array.dtype.name,
        "data": base64.b64encode(array.tobytes()).decode("ascii"),
    }


def _array_from_json(item: Mapping[str, Any]) -> np.ndarray[Any, np.dtype[Any]]:
    shape, data = [int(length) for length in item["shape"]], base64.b64decode(item["data"], validate=True)
    if len(shape) > _MOST_DIMENSIONS or len(data) > LIMIT_BYTES or min(shape, default=1) < 0:
        raise ValueError("the array is too large")
    return np.frombuffer(data, dtype=_DTYPES[item["dtype"]]).reshape(shape)
