"""
Arguments and names that handed-out code of earlier editions uses, and that today's libraries no longer have.

What was removed meant what is the default today, so it is accepted again and nothing is computed in another way. That
handed-out code is older than a library is not the student's doing.
"""

from __future__ import annotations

import functools
import inspect
import sys
from typing import Any

import numpy as np

# Regressions that took `normalize` up to scikit-learn 1.1. False was its default; without an intercept it was ignored.
_NORMALIZING = ("LinearRegression", "Ridge", "Lasso", "RidgeCV")
_MARK = "accepts_normalize"
# Names that NumPy had up to 1.23 for Python's own types.
_OWN_TYPES = {"int": int, "float": float, "object": object, "complex": complex, "str": str}


# What was accepted so far in this process.
accepted: set[str] = set()


def accept_older_code() -> None:
    """Make the libraries that are imported by now accept what they accepted when earlier editions were handed out."""
    accepted.clear()
    linear = sys.modules.get("sklearn.linear_model")
    for name in _NORMALIZING if linear is not None else ():
        kind = getattr(linear, name)
        takes_it = "normalize" in inspect.signature(kind.__init__).parameters
        if not takes_it and not hasattr(kind.__init__, _MARK):
            kind.__init__ = _accepting_normalize(kind.__init__)
    for name, own in _OWN_TYPES.items():
        if name not in vars(np):
            setattr(np, name, own)


def _accepting_normalize(initialise: Any) -> Any:
    # scikit-learn reads the names of parameters from the signature, which `wraps` leaves as it is.
    @functools.wraps(initialise)
    def accepting(self: Any, *args: Any, **kwargs: Any) -> None:
        if "normalize" in kwargs and (kwargs["normalize"] is False or kwargs.get("fit_intercept") is False):
            kwargs.pop("normalize")
            accepted.add("normalize")
        initialise(self, *args, **kwargs)

    setattr(accepting, _MARK, True)
    return accepting
