"""Names and arguments of other ages do what they did."""

from __future__ import annotations

import collections
import itertools
import typing

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from grader.probes.ages import names_of_other_ages


@pytest.fixture(autouse=True)
def _names() -> None:
    """Add the names, as a worker does before student code runs."""
    with names_of_other_ages():
        pass


def test_names_of_numpy_1_are_what_they_were() -> None:
    """Aliases of types, constants and functions; what NumPy has today stays as it is."""
    old: typing.Any = np

    assert old.product([2, 3]) == 6
    assert old.float_ is np.float64
    assert np.isnan(old.NaN)
    assert old.alltrue([True, True])
    assert np.sum is old.sum


def test_names_of_newer_pythons_are_there() -> None:
    """Those of `typing` by typing_extensions, and two small functions."""
    new: typing.Any = itertools

    assert [*new.batched("abcde", 2)] == [("a", "b"), ("c", "d"), ("e",)]
    with pytest.raises(ValueError, match="incomplete"):
        [*new.batched("abc", 2, strict=True)]
    assert all(hasattr(typing, name) for name in ("override", "Self", "TypeIs", "assert_never"))
    assert vars(collections)["Iterable"] is collections.abc.Iterable


def test_typing_is_not_taken_for_a_newer_one() -> None:
    """typing_extensions, and torch with it, go on as before."""
    import typing_extensions

    assert typing_extensions.ParamSpec("P").__name__ == "P"
    assert typing_extensions.TypeVar("T", default=int).__name__ == "T"


@pytest.mark.parametrize("arguments", [{"penalty": "none"}, {"penalty": None}])
def test_a_penalty_that_is_called_none_is_none(arguments: dict[str, typing.Any]) -> None:
    """As scikit-learn had it until 1.4; by position too, and with the other arguments as they are."""
    model = LogisticRegression(**arguments, C=3.0)

    assert (model.penalty, model.C) == (None, 3.0)
    assert LogisticRegression("none", fit_intercept=False).penalty is None  # type: ignore[arg-type]
    assert "penalty" in model.get_params()


def test_what_never_was_is_still_refused() -> None:
    """Only what an older version took is taken."""
    with pytest.raises(ValueError, match="penalty"):
        LogisticRegression(penalty="l3").fit([[0.0], [1.0]], [0, 1])
