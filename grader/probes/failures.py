"""Describe, in the worker, an exception of student code: facts only, short enough to travel."""

from __future__ import annotations

import dis
import linecache
import traceback
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from grader.probes.lending import LendingRefused
from grader.probes.student import MissingName
from grader.probes.values import UnusableValue, type_name

_MAX_MESSAGE = 400
_MAX_FRAMES = 6


def describe(
    error: BaseException, labels: frozenset[str], failed: Mapping[str, BaseException] = MappingProxyType({})
) -> dict[str, Any]:
    """
    Return the facts of an exception as a JSON object.

    Args:
        error: what student code raised, or what was found wrong with its result.
        labels: file names of the student's code; frames of other files are left out.
        failed: names whose definition, or what completes them, raised before -> that exception.
    """
    facts: dict[str, Any] = {
        "type": type_name(error),
        "message": _message(error),
        "where": _frames(error, labels),
    }
    if isinstance(error, MissingName):
        facts["kind"] = "missing"
        facts["name"] = error.name
        if error.__cause__ is not None:
            facts["cause"] = describe(error.__cause__, labels)
    elif isinstance(error, UnusableValue):
        facts["kind"] = "value"
        facts.update(name=error.name, problem=error.problem.value, facts=error.facts)
    elif isinstance(error, LendingRefused):
        facts["kind"] = "lending"
    elif isinstance(error, NotImplementedError) and _is_stub(error, labels):
        facts["kind"] = "not-implemented"
    else:
        facts["kind"] = "exception"
        if isinstance(error, NameError):
            facts["name"] = str(getattr(error, "name", ""))[:100]
        if (name := _unfinished(error, labels, failed)) is not None:
            facts["name"] = name
            facts["cause"] = describe(failed[name], labels)
    return facts


def _unfinished(error: BaseException, labels: frozenset[str], failed: Mapping[str, BaseException]) -> str | None:
    """Return the name whose making failed before, and which the line of the student's that failed now uses."""
    trace, last = error.__traceback__, None
    while trace is not None:
        last = trace if trace.tb_frame.f_code.co_filename in labels else last
        trace = trace.tb_next
    if last is None:
        return None
    line = linecache.getline(last.tb_frame.f_code.co_filename, last.tb_lineno)
    used = [name for name in last.tb_frame.f_code.co_names if name in failed and name in line]
    if isinstance(error, NameError):
        used = [name for name in used if name == error.name]
    return used[0][:100] if used and failed[used[0]] is not error else None


def _is_stub(error: BaseException, labels: frozenset[str]) -> bool:
    """
    Whether a `raise` of the student's, or nn.Module's for a missing forward, raised it.

    torch raises NotImplementedError too, for a dtype that an operation does not take.
    """
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    if last is None:
        return False
    code = last.tb_frame.f_code
    by_raise = dis.opname[code.co_code[last.tb_lasti]] == "RAISE_VARARGS"
    return by_raise and (code.co_filename in labels or code.co_name == "_forward_unimplemented")


def _message(error: BaseException) -> str:
    try:
        return str(error)[:_MAX_MESSAGE].encode("utf-8", "backslashreplace").decode("utf-8")
    except Exception:  # __str__ is student code
        return ""


def _frames(error: BaseException, labels: frozenset[str]) -> list[dict[str, Any]]:
    """The innermost frames in the student's code, outermost first."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in labels]
    return [
        {"label": frame.filename, "line": frame.lineno or 0, "function": frame.name[:100]}
        for frame in frames[-_MAX_FRAMES:]
    ]
