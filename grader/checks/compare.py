"""
Compare a student's array with the reference's: kind, shape, finiteness, then values.

In this order, because a later step would hide what an earlier one shows: a wrong shape may broadcast, and NaN
passes every `error > tolerance`. Values are compared by the norm of the difference relative to the norm of the
reference: element-wise relative error reaches 0.17 between two right implementations, because elements near
zero blow it up, while the norm-scaled error of right ones stays below 5e-7 in float32.

How far apart they may be stands in the homework's calibration.json, which `python -m grader calibrate` measures: for
each check and output what right implementations differ by, what the nearest wrong one differs by, and a tolerance
between.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from grader.wire import Array


@dataclass(frozen=True)
class Tolerance:
    """
    How far a student's array may be from the reference's.

    Args:
        relative: largest norm of the difference, as a share of the reference's norm.
        floor: the reference's norm counts as at least this times the square root of the number of elements, so
            that an array of zeros can be met.
        kind: "float" takes any real dtype that holds the values; "mask" takes bool, integers and floats of
            exactly 0 and 1; "index" takes integers, and floats that are whole.
    """

    relative: float
    floor: float = 1e-7
    kind: str = "float"


# What is no arithmetic has no rounding: right answers agree exactly.
MASK = Tolerance(relative=0.0, kind="mask")
INDEX = Tolerance(relative=0.0, kind="index")
EXACT = {each.kind: each for each in (MASK, INDEX)}

_TOO_FAR = 10.0  # times what is right: a larger percentage says nothing more


@dataclass(frozen=True)
class Calibration:
    """
    The measured tolerances of a homework.

    Args:
        path: its calibration.json.
    """

    path: Path

    @property
    def table(self) -> Mapping[str, Any]:
        """The committed table of spreads, distances and tolerances."""
        return _read_table(self.path)

    def tolerance(self, check: str, name: str) -> Tolerance:
        """
        Return the measured tolerance of one output of a check.

        Args:
            check: the check's key.
            name: of an output, or "gradient" for all gradients of the check together.

        Raises:
            LookupError: it was never measured.
        """
        entry = self.table["checks"].get(check, {}).get(name)
        if entry is None:
            raise LookupError(f"{self.path.name} has no `{name}` of {check}. Run `python -m grader calibrate`.")
        return Tolerance(entry["tolerance"], kind=entry["kind"])

    def widest_tolerance(self) -> Tolerance:
        """Return the widest of all measured tolerances of values, for values that belong to no one check."""
        entries = [entry for check in self.table["checks"].values() for entry in check.values()]
        return Tolerance(max(entry["tolerance"] for entry in entries if entry["kind"] == "float"))


@cache
def _read_table(path: Path) -> Mapping[str, Any]:
    table: Mapping[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return table


# A student's 1e300 is infinitely far off, and a float16 may hold a NaN that warns when it is copied: both are wrong.
@np.errstate(over="ignore", invalid="ignore")
def compare(student: Array | None, reference: Array, tolerance: Tolerance, *, name: str, is_code: bool = True) -> str:
    """
    Return what is wrong with a student's array as one or two sentences, or an empty string.

    Args:
        student: the array that the student's code gave; None if it gave none.
        reference: what is right.
        tolerance: how far they may be apart.
        name: how the student knows the array.
        is_code: whether that is a name in their code; otherwise words that a sentence can begin with.
    """
    if sentence := compare_form(student, reference, name=name, is_code=is_code):
        return sentence
    assert student is not None
    called = _called(name, is_code=is_code)
    if student.size == 0:
        return ""
    mine = student.astype(np.float64)
    right = reference.astype(np.float64)
    if tolerance.kind == "float":
        return _compare_values(mine, right, tolerance, called)
    if tolerance.kind == "mask" and not np.all((mine == 0) | (mine == 1)):
        return f"{called} should hold only 0 and 1; it holds {_some_values(mine)}."
    if tolerance.kind == "index" and not np.all(mine == np.round(mine)):
        return f"{called} should hold whole numbers; it holds {_some_values(mine)}."
    return _describe(mine, right, mine != right, called)


def compare_form(student: Array | None, reference: Array, *, name: str, is_code: bool = True) -> str:
    """Return what is wrong with an array before its values are looked at: not there, of another shape, not finite."""
    called = _called(name, is_code=is_code)
    if student is None:
        return f"{called} did not come back."
    if student.shape != reference.shape:
        return f"{called} has shape {_shape(student)}; it should be {_shape(reference)}."
    not_finite = int(np.sum(~np.isfinite(student.astype(np.float64))))
    return f"{called} has {_count(not_finite, student.size)} that are NaN or infinite." if not_finite else ""


def right_already(outputs: tuple[str, ...]) -> tuple[str, ...]:
    """
    Return a sentence that says which of several outputs are right beside wrong ones; none where none are.

    Args:
        outputs: names in code spans, or words such as "The mean error".
    """
    if not outputs:
        return ()
    *others, last = (output[:1].lower() + output[1:] for output in outputs)
    return (f"Right already: {', '.join(others)}{' and ' if others else ''}{last}.",)


def off_by(share: float, *, of: str = "") -> str:
    """Return how far something is off, as a share of what is right: a percentage, or words where it is huge."""
    if share > _TOO_FAR:
        return f"more than ten times {of or 'its right size'}"
    percent = f"{100 * share:,.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"
    return f"{percent} of {of}" if of else percent


@np.errstate(over="ignore")
def error_of(student: Array | None, reference: Array, *, floor: float = Tolerance.floor) -> float:
    """Return the relative error of an array, infinite where its form is wrong already."""
    if student is None or compare_form(student, reference, name=""):
        return float("inf")
    return relative_error(student.astype(np.float64), reference.astype(np.float64), floor)


def relative_error(student: Array, reference: Array, floor: float) -> float:
    """Return ‖student − reference‖ / max(‖reference‖, floor · √n), in float64."""
    scale = max(float(np.linalg.norm(reference)), floor * float(np.sqrt(reference.size)))
    return float(np.linalg.norm(student - reference)) / scale


def _compare_values(mine: Array, right: Array, tolerance: Tolerance, called: str) -> str:
    error = relative_error(mine, right, tolerance.floor)
    if error <= tolerance.relative:
        return ""
    typical = max(float(np.sqrt(np.mean(right**2))), tolerance.floor)
    wrong = np.abs(mine - right) > tolerance.relative * typical
    return _describe(mine, right, wrong, called, relative=error)


def _describe(mine: Array, right: Array, wrong: Array, called: str, *, relative: float | None = None) -> str:
    count = int(np.sum(wrong))
    if count == 0 and relative is None:
        return ""
    if mine.ndim == 0:
        return f"{called} is {_number(float(mine))}; {_number(float(right))} is right."
    worst = np.unravel_index(int(np.argmax(np.abs(mine - right))), mine.shape)
    place = ", ".join(str(int(index)) for index in worst)
    at = f"at [{place}] " if place else ""
    apart = "" if relative is None else f" As a whole it is off by {off_by(relative)}."
    return (
        f"{called} has the right shape {_shape(mine)}, but {_count(count, mine.size)} differ. "
        f"The worst is {at}where yours is {_number(mine[worst])} and {_number(right[worst])} is right.{apart}"
    )


def _called(name: str, *, is_code: bool) -> str:
    return f"`{name}`" if is_code else name


def _count(count: int, total: int) -> str:
    return f"all {total:,} elements" if count == total else f"{count:,} of {total:,} elements"


def _shape(array: Array) -> str:
    return str(tuple(array.shape))


def _number(value: float) -> str:
    return f"{value:.4g}"


def _some_values(array: Array) -> str:
    values = np.unique(array)
    listed = ", ".join(_number(value) for value in values[:3])
    return listed + (", …" if len(values) > 3 else "")
