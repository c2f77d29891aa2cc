"""Code of earlier editions: what libraries have removed since is accepted, means what it meant, and is told."""

from __future__ import annotations

import inspect

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import LinearRegression, Ridge

from grader.probes import older_libraries
from grader.probes.older_libraries import accept_older_code


@pytest.fixture(autouse=True)
def _as_before(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take back what a worker does for good."""
    for kind in (LinearRegression, Ridge):
        monkeypatch.setattr(kind, "__init__", kind.__init__)


X, Y = np.array([[1.0, 2.0], [3.0, 5.0], [0.5, -1.0]]), np.array([1.0, -1.0, 2.0])


def test_normalize_false_means_what_is_the_default_today() -> None:
    """The fit is that without the argument, also for a clone, and that it was used is noted."""
    accept_older_code()
    accept_older_code()

    plain = Ridge(alpha=0.1, fit_intercept=False).fit(X, Y)
    assert not older_libraries.accepted
    old = clone(Ridge(alpha=0.1, fit_intercept=False, normalize=False)).fit(X, Y)

    np.testing.assert_array_equal(old.coef_, plain.coef_)
    assert older_libraries.accepted == {"normalize"}
    assert list(inspect.signature(LinearRegression.__init__).parameters)[:2] == ["self", "fit_intercept"]


def test_what_changed_the_fit_is_still_refused() -> None:
    """With an intercept, normalize=True scaled the features; without one it was ignored."""
    accept_older_code()

    with pytest.raises(TypeError):
        LinearRegression(normalize=True)
    assert LinearRegression(fit_intercept=False, normalize=True).fit(X, Y).coef_.shape == (2,)


def test_names_of_own_types_are_back() -> None:
    """np.int and its like were Python's own types."""
    accept_older_code()

    assert vars(np)["int"] is int
    assert np.array([1.5]).astype(vars(np)["float"]).dtype == np.float64
