"""Names and arguments of other ages do what they did."""

from __future__ import annotations

import collections
import inspect
import itertools
import typing

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

from grader.probes import ages
from grader.probes.ages import names_of_other_ages


@pytest.fixture(autouse=True)
def _names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Add the names, as a worker does before student code runs; take back what it does for good to regressions."""
    for kind in (LinearRegression, LogisticRegression, Ridge):
        monkeypatch.setattr(kind, "__init__", kind.__init__)
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


X, Y = np.array([[1.0, 2.0], [3.0, 5.0], [0.5, -1.0]]), np.array([1.0, -1.0, 2.0])


def test_normalize_false_means_what_is_the_default_today() -> None:
    """The fit is that without the argument, also for a clone, and that it was used is noted."""
    plain = Ridge(alpha=0.1, fit_intercept=False).fit(X, Y)
    assert not ages.accepted
    old = clone(Ridge(alpha=0.1, fit_intercept=False, normalize=False)).fit(X, Y)

    np.testing.assert_array_equal(old.coef_, plain.coef_)
    assert ages.accepted == {"normalize"}
    assert list(inspect.signature(LinearRegression.__init__).parameters)[:2] == ["self", "fit_intercept"]


def test_what_changed_the_fit_is_still_refused() -> None:
    """With an intercept, normalize=True scaled the features; without one it was ignored."""
    with pytest.raises(TypeError):
        LinearRegression(normalize=True)
    assert LinearRegression(fit_intercept=False, normalize=True).fit(X, Y).coef_.shape == (2,)


def test_names_of_own_types_are_back() -> None:
    """np.int and its like were Python's own types."""
    assert vars(np)["int"] is int
    assert np.array([1.5]).astype(vars(np)["float"]).dtype == np.float64
