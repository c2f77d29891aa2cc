"""Comparing arrays: both sides of every tolerance, and the sentences that students read."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from grader.checks.compare import (
    INDEX,
    MASK,
    Tolerance,
    compare,
    compare_form,
    error_of,
    off_by,
    relative_error,
)
from homework.checks.reference import CALIBRATION

Array = np.ndarray[Any, np.dtype[Any]]
VALUES = Tolerance(1e-4)
RIGHT = np.linspace(-1, 1, 24).reshape(2, 3, 4)


def moved_by(share: float) -> Array:
    """Return the right array, moved so that its relative error is `share`."""
    direction = np.cos(np.arange(24.0)).reshape(RIGHT.shape)
    return RIGHT + direction * share * np.linalg.norm(RIGHT) / np.linalg.norm(direction)


@pytest.mark.parametrize("tolerance", [VALUES, Tolerance(1e-3), Tolerance(0.5)], ids=lambda each: str(each.relative))
def test_both_sides_of_a_tolerance(tolerance: Tolerance) -> None:
    """A norm-scaled error just below the tolerance passes, one just above fails."""
    assert compare(moved_by(0.99 * tolerance.relative), RIGHT, tolerance, name="x") == ""
    assert "differ" in compare(moved_by(1.01 * tolerance.relative), RIGHT, tolerance, name="x")


def test_the_floor_lets_zeros_be_met() -> None:
    """Where the right array is zero, what counts is the floor times the root of the number of elements."""
    zeros, tolerance = np.zeros(100), Tolerance(1e-4, floor=1e-3)

    assert compare(np.full(100, 0.99e-7), zeros, tolerance, name="x") == ""
    assert "all 100 elements differ" in compare(np.full(100, 1.01e-7), zeros, tolerance, name="x")


def test_elements_near_zero_do_not_blow_the_error_up() -> None:
    """A tiny absolute difference on a tiny element passes, though it is many times the element."""
    right = np.array([1.0, 1e-9])

    assert compare(np.array([1.0, 1e-6]), right, VALUES, name="x") == ""


def test_one_wrong_element_among_many_is_seen() -> None:
    """One element that is off by its own size fails an array of ten thousand."""
    right = np.random.default_rng(0).standard_normal(10_000)
    mine = right.copy()
    mine[1234] += 1

    sentence = compare(mine, right, VALUES, name="x")

    assert "1 of 10,000 elements differ" in sentence
    assert "at [1234]" in sentence


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("tolerance", [VALUES, MASK, INDEX], ids=["float", "mask", "index"])
def test_what_is_not_finite_fails(value: float, tolerance: Tolerance) -> None:
    """NaN passes every `error > tolerance`; here it is counted and named."""
    mine = np.ones((2, 3))
    mine[1, 2] = value

    assert compare(mine, np.ones((2, 3)), tolerance, name="x") == "`x` has 1 of 6 elements that are NaN or infinite."


def test_a_whole_array_of_nan_fails() -> None:
    """The sentence says that all elements are concerned."""
    assert compare(np.full(6, np.nan), np.ones(6), VALUES, name="x") == (
        "`x` has all 6 elements that are NaN or infinite."
    )


@pytest.mark.parametrize("shape", [(), (1,), (4,), (3, 4), (1, 3, 4), (2, 3, 1), (2, 4, 3), (24,), (0,)], ids=str)
def test_shapes_are_compared_before_values(shape: tuple[int, ...]) -> None:
    """Shapes that broadcast against the right one fail, and the sentence shows both."""
    mine = np.zeros(shape)

    assert compare(mine, np.zeros((2, 3, 4)), VALUES, name="x") == (f"`x` has shape {shape}; it should be (2, 3, 4).")


def test_nothing_is_an_answer_of_its_own() -> None:
    """An array that did not come back is named; an empty one of the right shape is right."""
    assert compare(None, RIGHT, VALUES, name="mask") == "`mask` did not come back."
    assert compare(np.zeros((0, 3)), np.zeros((0, 3)), VALUES, name="x") == ""


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_any_float_that_holds_the_values_is_taken(dtype: str) -> None:
    """The dtype is not what is asked for."""
    right = np.array([0.5, -2, 0.25])

    assert compare(right.astype(dtype), right.astype(np.float32), VALUES, name="x") == ""


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64", "float16", "float32", "float64"])
def test_a_mask_may_have_any_dtype(dtype: str) -> None:
    """Masks of truth values, integers or floats are the same mask; one wrong entry is wrong in each."""
    right = np.array([[0, 1, 1], [1, 0, 1]], dtype=np.float32)
    wrong = right.copy()
    wrong[0, 0] = 1

    assert compare(right.astype(dtype), right, MASK, name="mask") == ""
    assert "1 of 6 elements differ" in compare(wrong.astype(dtype), right, MASK, name="mask")


def test_a_mask_holds_zero_and_one_exactly() -> None:
    """Almost one is not one, and the sentence lists what was found."""
    right = np.array([0.0, 1, 1, 1, 1])

    assert compare(np.array([0, 1, 1, 1, 1 + 1e-12]), right, MASK, name="mask") != ""
    assert compare(np.array([0.0, 2, 3, 4, 1]), right, MASK, name="mask") == (
        "`mask` should hold only 0 and 1; it holds 0, 1, 2, …."
    )


def test_an_index_is_whole_and_exact() -> None:
    """Whole floats are taken, halves are not, and a neighbour is wrong."""
    right = np.array([3, 1, 2, 0])

    assert compare(right.astype(np.float32), right, INDEX, name="ids") == ""
    assert compare(right + 0.5, right, INDEX, name="ids").startswith("`ids` should hold whole numbers; it holds 0.5,")
    assert "2 of 4 elements differ" in compare(np.array([1, 3, 2, 0]), right, INDEX, name="ids")


def test_the_sentence_on_values_tells_all_that_helps() -> None:
    """How many differ, where the worst is, both values there, and how far apart the arrays are."""
    right = np.ones((2, 2))
    mine = np.array([[1, 1], [1, 3.5]])

    assert compare(mine, right, VALUES, name="patches") == (
        "`patches` has the right shape (2, 2), but 1 of 4 elements differ. The worst is at [1, 1] where yours is 3.5 "
        "and 1 is right. As a whole it is off by 125 %."
    )


@pytest.mark.parametrize(
    ("share", "words"),
    [
        (0.012, "1.2 %"),
        (0.38, "38 %"),
        (10.0, "1,000 %"),
        (10.01, "more than ten times its right size"),
        (1234567.89, "more than ten times its right size"),
        (np.inf, "more than ten times its right size"),
    ],
)
def test_how_far_something_is_off_is_a_percentage_only_where_that_says_something(share: float, words: str) -> None:
    """Up to ten times what is right it is a number; beyond, the number would only look absurd."""
    assert off_by(share) == words


def test_what_a_share_is_of_can_be_said() -> None:
    """Both sides of the bound name it."""
    assert off_by(0.47, of="its length") == "47 % of its length"
    assert off_by(1e9, of="its length") == "more than ten times its length"


def test_words_are_not_set_in_code_quotes() -> None:
    """Names in the student's code are code; what is said in words stands in the sentence as words."""
    for mine, ending in [
        (None, " did not come back."),
        (RIGHT[0], " has shape (3, 4); it should be (2, 3, 4)."),
        (RIGHT * np.nan, " has all 24 elements that are NaN or infinite."),
    ]:
        assert compare(mine, RIGHT, VALUES, name="x") == "`x`" + ending
        assert compare(mine, RIGHT, VALUES, name="The gradient of `x`", is_code=False) == "The gradient of `x`" + ending
    assert compare(RIGHT + 1, RIGHT, VALUES, name="The mean", is_code=False).startswith("The mean has the right shape")
    assert compare(np.array(2.0), np.array(1.0), VALUES, name="The mean", is_code=False) == "The mean is 2; 1 is right."
    assert compare(RIGHT, RIGHT, MASK, name="The mask", is_code=False).startswith("The mask should hold only 0 and 1")


def test_a_single_number_has_no_place() -> None:
    """For a 0-d array there is no worst place and no share of wrong elements."""
    sentence = compare(np.array(2.0), np.array(1.0), VALUES, name="loss")

    assert sentence == "`loss` is 2; 1 is right."


@pytest.mark.parametrize("huge", [1e300, -1.7e308])
def test_huge_values_fail_without_a_warning(huge: float) -> None:
    """Values whose square is beyond float64 are wrong like others."""
    assert "all 3 elements differ" in compare(np.full(3, huge), np.ones(3), VALUES, name="x")


def test_the_relative_error_is_scaled_by_the_reference() -> None:
    """‖student − reference‖ over the larger of ‖reference‖ and the floor."""
    assert relative_error(np.array([3.0, 5.0]), np.array([3.0, 4.0]), 0.0) == pytest.approx(0.2)
    assert relative_error(np.array([1.0, 0.0]), np.zeros(2), 0.5) == pytest.approx(2**0.5)


def test_the_form_comes_before_the_values() -> None:
    """What is missing, of another shape or not finite is told without a tolerance; a right form says nothing."""
    assert compare_form(None, RIGHT, name="x") == "`x` did not come back."
    assert compare_form(RIGHT[0], RIGHT, name="x") == "`x` has shape (3, 4); it should be (2, 3, 4)."
    assert compare_form(np.full_like(RIGHT, np.nan), RIGHT, name="x").endswith("NaN or infinite.")
    assert compare_form(RIGHT + 1, RIGHT, name="x") == ""


def test_an_error_is_what_compare_holds_against_the_tolerance() -> None:
    """The same number as in the comparison, and infinite where that stops before the values."""
    assert error_of(moved_by(0.3), RIGHT) == pytest.approx(0.3)
    assert error_of(np.full(4, 1e-8), np.zeros(4)) == pytest.approx(0.1)
    assert [error_of(each, RIGHT) for each in (None, RIGHT[0], RIGHT * np.inf)] == [np.inf] * 3


def test_what_was_never_measured_has_no_tolerance() -> None:
    """An unknown check or output is an error that says what to do, and not some number."""
    with pytest.raises(LookupError, match="python -m grader calibrate"):
        CALIBRATION.tolerance("patchify.output", "images")
    with pytest.raises(LookupError, match=r"`x` of no\.such"):
        CALIBRATION.tolerance("no.such", "x")
