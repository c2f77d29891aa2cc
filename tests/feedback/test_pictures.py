"""Pictures in results.json: the same bytes each time, bounded, read back as they were, never of hidden questions."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from typing import Any

import jsonschema
import numpy as np
import pytest

from grader.feedback import results as results_module
from grader.feedback.pictures import LIMIT_BYTES, picture_from_json, pictures_to_json
from grader.feedback.results import build_results
from grader.feedback.words import Judgement
from grader.rubric import Question
from grader.verdicts import Picture, failed

WEIGHTS = Picture("weights", "Weights.", {"student": np.array([1.5, -2]), "reference": np.array([1, 2])})
MASK = Picture("mask", "Masks.", {"student": np.eye(4, dtype=np.uint8), "reference": np.eye(4, dtype=bool)})
QUESTION = Question("vision", "3.1", "random_masking.output", 5, "values", "asked")


def results_with(*pictures: Picture, visibility: str = "visible") -> dict[str, Any]:
    """Return valid results of one question with pictures."""
    judgement = Judgement(replace(QUESTION, visibility=visibility), replace(failed("x"), pictures=pictures))
    results = build_results([judgement], used=[], notes=[], execution_time_s=1, extra_data={})
    jsonschema.validate(results, json.loads(results_module.SCHEMA.read_text(encoding="utf-8")))
    return results


def test_bytes_are_raw_and_little_endian() -> None:
    """Names in order, shape, dtype and the bytes themselves."""
    (content,) = results_with(WEIGHTS)["tests"][0]["extra_data"]["pictures"]
    first, second = content["arrays"]

    assert (content["kind"], content["caption"]) == ("weights", "Weights.")
    assert (first["name"], second["name"]) == ("reference", "student")
    assert (second["shape"], second["dtype"]) == ([2], "float32")
    assert base64.b64decode(second["data"]) == bytes.fromhex("0000c03f000000c0")


@pytest.mark.parametrize("picture", [WEIGHTS, MASK], ids=lambda picture: picture.kind)
def test_a_picture_is_read_back_as_it_was(picture: Picture) -> None:
    """Through JSON text and back; big-endian and integer arrays come back as the same numbers."""
    swapped = replace(
        picture, arrays={name: array.astype(array.dtype.newbyteorder(">")) for name, array in picture.arrays.items()}
    )
    (content,) = json.loads(json.dumps(pictures_to_json([picture])))

    assert pictures_to_json([swapped]) == [content]
    back = picture_from_json(content)
    assert (back.kind, back.caption) == (picture.kind, picture.caption)
    for name, array in picture.arrays.items():
        assert np.array_equal(back.arrays[name], array)


@pytest.mark.parametrize("visibility", ["hidden", "after_due_date", "after_published"])
def test_a_hidden_question_has_no_pictures(visibility: str) -> None:
    """Not even their captions."""
    results = results_with(WEIGHTS, MASK, visibility=visibility)

    assert "pictures" not in json.dumps(results)
    assert "Weights." not in json.dumps(results)


def test_without_pictures_nothing_is_said_of_them() -> None:
    """Results of a question that has none are as they always were."""
    assert "pictures" not in results_with()["tests"][0]["extra_data"]


def test_pictures_are_bounded() -> None:
    """At the limit all arrays are kept; past it the caption stays, and a small picture after it is still whole."""
    full = Picture("reconstruction", "Full.", {"image": np.zeros(LIMIT_BYTES, np.uint8)})
    over = Picture("reconstruction", "Over.", {"image": np.zeros(LIMIT_BYTES - 16, np.uint8)})

    assert len(pictures_to_json([full])[0]["arrays"]) == 1
    kept = pictures_to_json([over, full, WEIGHTS])
    assert [len(content["arrays"]) for content in kept] == [1, 0, 2]
    assert kept[1]["caption"] == "Full."
    assert len(json.dumps(kept)) < 1.4 * LIMIT_BYTES


ARRAY = pictures_to_json([WEIGHTS])[0]["arrays"][0]


@pytest.mark.parametrize(
    "content",
    [
        [],
        "x",
        {},
        {"kind": "mask", "caption": ""},
        {"kind": "mask", "caption": "", "arrays": 3},
        {"kind": "mask", "caption": "", "arrays": [3]},
        *(
            {"kind": "mask", "caption": "", "arrays": [{**ARRAY, **change}]}
            for change in (
                {"shape": [3]},
                {"shape": [-1]},
                {"shape": ["x"]},
                {"shape": [1] * 40},
                {"shape": 5},
                {"dtype": "object"},
                {"dtype": ["float32"]},
                {"data": "no base64!"},
                {"data": 5},
                {"data": "A" * (2 * LIMIT_BYTES)},
                {"data": "ä"},
            )
        ),
    ],
    ids=lambda content: json.dumps(content)[:60],
)
def test_what_is_no_picture_is_refused(content: Any) -> None:
    """One kind of error, whatever a file says."""
    with pytest.raises(ValueError, match="This is no picture"):
        picture_from_json(content)
