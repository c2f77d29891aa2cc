"""
Names and arguments of other ages of Python and its libraries, there while student code is graded.

Only what does exactly what its author's version did, each in a line. What was removed otherwise is told by its version
(see `grader/feedback/causes.py`).
"""

from __future__ import annotations

import collections
import collections.abc
import functools
import itertools
import math
import sys
import typing
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import typing_extensions

# Names that NumPy 2 and later no longer have -> what they stood for.
_NUMPY: dict[str, Any] = {
    "Inf": np.inf,
    "Infinity": np.inf,
    "NaN": np.nan,
    "alltrue": np.all,
    **{"int": int, "float": float, "object": object, "complex": complex, "str": str},
    "bool": bool,
    "cfloat": np.complex128,
    "complex_": np.complex128,
    "cumproduct": np.cumprod,
    "float_": np.float64,
    "in1d": np.isin,
    "infty": np.inf,
    "product": np.prod,
    "row_stack": np.vstack,
    "sometrue": np.any,
    "trapz": getattr(np, "trapezoid", None),
}
# Names of `typing` from Python 3.11 to 3.13, as typing_extensions has them. Not all that it has: with some of them in
# its place, `typing` is taken for a newer one.
_TYPING = (
    *("LiteralString", "Never", "NotRequired", "ReadOnly", "Required", "Self", "TypeIs", "Unpack"),
    *("assert_never", "assert_type", "dataclass_transform", "override", "reveal_type"),
)
# Arguments that were accepted so far in this process although today's library refuses them.
accepted: set[str] = set()
_COLLECTIONS = ("Callable", "Iterable", "Iterator", "Mapping", "MutableMapping", "Sequence", "Set", "Sized")


def _batched(iterable: Iterable[Any], n: int, *, strict: bool = False) -> Iterator[tuple[Any, ...]]:
    """Return tuples of n elements, the last one perhaps shorter: `itertools.batched` of Python 3.12."""
    iterator = iter(iterable)
    while batch := tuple(itertools.islice(iterator, n)):
        if strict and len(batch) != n:
            raise ValueError("batched(): incomplete batch")
        yield batch


def _sumprod(p: Iterable[Any], q: Iterable[Any]) -> Any:
    return sum(a * b for a, b in zip(p, q, strict=True))


@contextmanager
def names_of_other_ages() -> Iterator[None]:
    """Add the names to their modules, before student code is run and, for libraries that it imports, after."""
    missing: list[tuple[Any, str, Any]] = [(np, name, value) for name, value in _NUMPY.items()]
    missing += [(collections, name, getattr(collections.abc, name)) for name in _COLLECTIONS]
    missing += [(typing, name, getattr(typing_extensions, name, None)) for name in _TYPING]
    missing += [(itertools, "batched", _batched), (math, "sumprod", _sumprod)]
    for module, name, value in missing:
        if value is not None and name not in vars(module):
            setattr(module, name, value)
    accepted.clear()
    _accept_older_arguments()
    yield
    _accept_older_arguments()


def _accept_older_arguments() -> None:
    linear = sys.modules.get("sklearn.linear_model")
    for name, translate in _REGRESSIONS.items() if linear is not None else ():
        kind = getattr(linear, name)
        if not hasattr(kind.__init__, _MARK):
            kind.__init__ = _accepting(kind.__init__, translate)


def _with_none(arguments: dict[str, Any]) -> dict[str, Any]:
    """Say None for the penalty that was called "none" until scikit-learn 1.4."""
    return {**arguments, "penalty": None} if arguments.get("penalty") == "none" else arguments


def _without_normalize(arguments: dict[str, Any]) -> dict[str, Any]:
    """Leave out `normalize` of scikit-learn 1.1 where it did nothing: False, or without an intercept."""
    if "normalize" in arguments and (arguments["normalize"] is False or arguments.get("fit_intercept") is False):
        accepted.add("normalize")
        return {name: value for name, value in arguments.items() if name != "normalize"}
    return arguments


_MARK = "accepts_older_arguments"
_REGRESSIONS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "LogisticRegression": _with_none,
    **dict.fromkeys(("LinearRegression", "Ridge", "Lasso", "RidgeCV"), _without_normalize),
}


def _accepting(initialize: Callable[..., None], translate: Callable[[dict[str, Any]], dict[str, Any]]) -> Any:
    # scikit-learn reads the names of parameters from the signature, which `wraps` leaves as it is.
    @functools.wraps(initialize)
    def accepting(self: Any, *args: Any, **kwargs: Any) -> None:
        first = "none" if args and isinstance(args[0], str) and args[0] == "none" else None
        if first is not None:
            args, kwargs = args[1:], {**kwargs, "penalty": "none"}
        initialize(self, *args, **translate(kwargs))

    setattr(accepting, _MARK, True)
    return accepting
