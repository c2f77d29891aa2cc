"""Explain what did not work: failures of student code and endings of a worker become evidence in plain words."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from grader.feedback.causes import likely_cause
from grader.feedback.text import code, plain
from grader.feedback.words import PART_NOT_FOUND
from grader.verdicts import Evidence, Verdict

_MOST_DIMENSIONS = 64
_LAST_LINE = 1_000_000  # no cell has more lines
_NEEDS_NEWER = "needs Python"  # as `grader.intake.newer` says it
_KEEP_NAMES = "Keep the names of the template"
# Attributes of the template's models that students forget to take from `self`.
_ATTRIBUTES = frozenset(
    {
        "cls_token",
        "decoder",
        "decoder_input_projection",
        "decoder_output_projection",
        "decoder_position_encoding",
        "detach",
        "encoder",
        "encoder_input_projection",
        "encoder_position_encoding",
        "keep_length",
        "mae",
        "masked_length",
        "masked_tokens",
        "num_patches",
        "output_head",
        "patch_projection",
        "patch_size",
        "position_encoding",
        "transformer",
    }
)


def explain_failure(
    failure: Mapping[str, Any],
    *,
    function: str,
    not_run: Mapping[str, str],
    right: Collection[str] = (),
    unwritten: Collection[str] = (),
    misplaced: Mapping[str, str] = MappingProxyType({}),
) -> Evidence:
    """
    Turn a worker's description of an exception into evidence.

    Args:
        failure: see `grader.probes.failures.describe`; it comes from a worker, so nothing in it is trusted.
        function: what was asked for.
        not_run: names that are made only where the grader does not run code -> that cell.
        right: other functions that the student sees to be right.
        unwritten: functions that still hold what was handed out in place of an answer.
        misplaced: names -> a sentence in Markdown on where they stand, which is not read as code.
    """
    kind = failure.get("kind")
    if kind in ("exception", "value") and (name := _unwritten(failure, function, unwritten)) is not None:
        return _placeholder(name, function)
    if kind == "missing":
        return _missing(failure, function=function, not_run=not_run)
    if kind == "not-implemented":
        return _not_implemented(failure, function)
    lacked = plain(failure.get("name"), limit=100)
    if failure.get("type") == "NameError" and lacked in misplaced:
        return replace(_exception(failure, not_run=not_run), try_next=plain(misplaced[lacked], limit=500))
    if kind == "value":
        return _unusable_value(failure)
    evidence = _exception(failure, not_run=not_run)
    helper = _right_helper(failure.get("where"), right)
    return evidence if helper is None else _blamed_on_caller(evidence, failure, helper)


def _right_helper(frames: object, right: Collection[str]) -> str | None:
    """Return the function in which an error happened, if it is known to be right and somebody else called it."""
    names = (
        [str(frame.get("function")) for frame in frames if isinstance(frame, dict)] if isinstance(frames, list) else []
    )
    bare = {name.rpartition(".")[2]: name for name in right}
    return bare.get(names[-1]) if len(names) > 1 and any(name not in bare for name in names) else None


def _blamed_on_caller(evidence: Evidence, failure: Mapping[str, Any], helper: str) -> Evidence:
    """Name the line that calls a function that is right, and not the one inside it."""
    bare = helper.rpartition(".")[2]
    frames = [frame for frame in failure["where"] if isinstance(frame, dict)]
    while frames[-1].get("function") == bare:
        frames.pop()
    kind, message = plain(failure.get("type"), limit=60), plain(failure.get("message"))
    finding = (
        f"{code(helper)} is right, but raised {code(f'{kind}: {message}' if message else kind)} "
        f"when it was called{_place(frames)}."
    )
    advice = f"Compare that call with the signature of {code(bare)}: is an argument missing, or of another size?"
    return replace(evidence, findings=(finding, *evidence.findings[1:]), try_next=advice)


def not_found(name: str, near: str | None) -> Evidence:
    """Return the evidence for a name that is nowhere in the submission."""
    hint = (
        f"You have {code(near)}: if that is it, rename it. {_KEEP_NAMES}."
        if near
        else f"{_KEEP_NAMES}: if you wrote it under another name, rename it to {code(name)}."
    )
    return Evidence(Verdict.MISSING, (f"{code(name)} was not found in any notebook or module.",), hint)


def no_work(function: str) -> Evidence:
    """Return the evidence for a property of a function that returns nothing computed from its inputs."""
    return Evidence(
        Verdict.FAILED,
        (f"What {code(function)} returns does not follow its inputs, so this question earns no points yet.",),
        "Compute the values first: the question about them says what is wrong.",
    )


def not_a_code_cell(where: str) -> Evidence:
    """
    Return the evidence for a name that stands where nothing is read as code.

    Args:
        where: a sentence in Markdown that says it, from a worker.
    """
    try_next = "Change the cell's type to Code, run all cells, and hand in again."
    return Evidence(Verdict.MISSING, (plain(where, limit=500),), try_next)


def nothing_found(name: str) -> Evidence:
    """Return the evidence for a name of a part of the homework of which nothing was found at all."""
    return Evidence(
        Verdict.MISSING,
        (f"{code(name)} was not found, and nothing else of this part. The notes at the top say what was read.",),
        headline=PART_NOT_FOUND,
    )


def with_hint(evidence: Evidence, hint: str) -> Evidence:
    """
    Return evidence with what intake knows about why its question may fail.

    Args:
        evidence: of a question that was not answered right.
        hint: sentences in Markdown, which come from a worker.
    """
    return replace(evidence, notes=(*evidence.notes, plain(hint, limit=500)))


def only_once(name: str) -> Evidence:
    """Return the evidence for a function that two parts ask for and that was written once."""
    return Evidence(
        Verdict.MISSING,
        (
            f"Part (g) has no {code(name)} of its own: it is not implemented yet, or stands only where part (h) is graded.",
        ),
        "Put the functions of part (g) into `utils_classification_copypaste.py`.",
    )


def does_not_compile(name: str, reason: str) -> Evidence:
    """Return the evidence for a name whose cell cannot be compiled."""
    return Evidence(
        Verdict.ERROR,
        (f"The cell that defines {code(name)} does not compile: {code(reason, limit=400)}",),
        "Write that line so that the older Python understands it, too, and hand in again."
        if _NEEDS_NEWER in reason
        else "Run the cell in Jupyter, correct the line that is named, and hand in again.",
    )


def ended_early(ending: str, detail: str) -> Evidence:
    """
    Return the evidence for a worker that ended without an answer.

    Args:
        ending: name of the sandbox's Ending.
        detail: the sandbox's own words.
    """
    verdict, finding, try_next = {
        "TIMEOUT": (
            Verdict.TIMEOUT,
            f"Your code was still running when its time was over ({detail}).",
            "Look for a loop that never ends, for training at the top level, and for Python loops over every pixel.",
        ),
        "MEMORY": (
            Verdict.MEMORY,
            f"Your code wanted more memory than there is ({detail}).",
            "Look for a tensor that is much larger than it needs to be: print shapes before the line that allocates.",
        ),
        "DISK": (
            Verdict.CRASHED,
            f"Your code wrote more to disk than allowed ({detail}).",
            "Graded functions need no files.",
        ),
        "CRASHED": (
            Verdict.CRASHED,
            f"Your code crashed the Python interpreter ({detail}).",
            "This happens in native code or with endless recursion. Run the function alone in a fresh kernel.",
        ),
        "NO_ANSWER": (
            Verdict.CRASHED,
            "Your code ended the Python process before it gave an answer.",
            "Take out calls such as `exit()`, `quit()` and `os._exit()`.",
        ),
        "BAD_ANSWER": (
            Verdict.CRASHED,
            "What came back from your code could not be read, or was far too large.",
            "Compare the shape of what you return with the shape that is asked for.",
        ),
    }[ending]
    return Evidence(verdict, (finding,), try_next)


def _missing(failure: Mapping[str, Any], *, function: str, not_run: Mapping[str, str]) -> Evidence:
    name = plain(failure.get("name"), limit=100)
    cause = failure.get("cause")
    if isinstance(cause, dict):
        inner = _exception(cause, not_run=not_run)
        return Evidence(
            Verdict.ERROR,
            (f"The cell that defines {code(name)} stopped with an error.", *inner.findings),
            inner.try_next,
        )
    if name in not_run:
        return Evidence(
            Verdict.MISSING,
            (f"{code(name)} is made only in {code(not_run[name])}, in code that the grader does not run.",),
            "Define it at the top level of a cell, outside loops and training code.",
        )
    return not_found(name or function, None)


def _unwritten(failure: Mapping[str, Any], function: str, unwritten: Collection[str]) -> str | None:
    """Return the unwritten function in which a failure happened, if it is one that a placeholder explains."""
    message, kind = plain(failure.get("message")), plain(failure.get("type"), limit=60)
    is_telling = kind in ("NameError", "UnboundLocalError") or "NoneType" in message or "ellipsis" in message
    if failure.get("kind") == "exception" and not is_telling:
        return None
    frames = failure.get("where")
    innermost = ""
    if isinstance(frames, list) and frames and isinstance(frames[-1], dict):
        innermost = plain(frames[-1].get("function"), limit=100)
    inside = [name for name in unwritten if name.rpartition(".")[2] == innermost]
    if function in inside or (not innermost and function in unwritten):
        return function
    return inside[0] if inside else None


def _placeholder(name: str, function: str) -> Evidence:
    called = "" if name == function else f", which {code(function)} calls,"
    return Evidence(
        Verdict.MISSING,
        (f"{code(name)}{called} is not implemented yet: a placeholder of the handed-out code is still in it.",),
        "Replace the names that are `None` or have no value yet by your computation.",
    )


def _not_implemented(failure: Mapping[str, Any], function: str) -> Evidence:
    frames = failure.get("where")
    innermost = ""
    if isinstance(frames, list) and frames and isinstance(frames[-1], dict):
        innermost = plain(frames[-1].get("function"), limit=100)
    own = function.rpartition(".")[2]
    if innermost and innermost not in (own, "<module>") and own != "forward":
        return Evidence(Verdict.MISSING, (f"{code(innermost)}, which {code(function)} calls, is not implemented yet.",))
    return Evidence(Verdict.MISSING, (f"{code(function)} is not implemented yet.",))


def _unusable_value(failure: Mapping[str, Any]) -> Evidence:
    name, problem = plain(failure.get("name"), limit=160), failure.get("problem")
    if problem == "nothing-returned":
        return Evidence(
            Verdict.MISSING,
            (
                f"{code(name)} returned nothing that could be graded: it is not implemented yet, or its result is not returned.",
            ),
            "A function that ends without `return` gives `None`: return the result at its end.",
        )
    return Evidence(
        Verdict.FAILED,
        (f"{code(name)}: {in_words(problem, failure.get('facts'))}.",),
        "Compare with the docstring in the template.",
    )


# What a value should be and what it is, by the kind of problem (`grader.probes.values.Problem`).
WORDS = {
    "no-tuple": "{expected} values expected, but got one {type}",
    "other-count": "{expected} values expected, but got {got} values",
    "no-tensor": "a tensor expected, but got {type}",
    "no-numbers": "a tensor of numbers expected, but got an array of {dtype}",
    "not-real": "a tensor of real numbers expected, but got dtype {dtype}",
    "no-values": "a tensor with values expected, but got one on the meta device",
    "other-shape": "shape {expected} expected, but got shape {got}",
    "no-parameter": "a parameter {parameter} of shape {expected} expected, but got none",
    "other-parameter": "a parameter {parameter} of shape {expected} expected, but got shape {got}",
    "other-parameters": "the template's parameters expected, but got others",
    "neither-shown-nor-returned": "learned weights expected, but got none, neither shown nor returned",
    "too-large": "a tensor of homework size expected, but got {got} elements",
}


class _Facts(dict[str, str]):
    """Facts as they stand in a sentence; one that a worker left out is a question mark."""

    def __missing__(self, name: str) -> str:
        return "?"


def in_words(problem: object, facts: object) -> str:
    """
    Return what is wrong with a value.

    Args:
        problem: its kind, from a worker, so anything.
        facts: the values that belong to it: counts, shapes, and names, which are shown as code.
    """
    told = WORDS.get(problem, "another value expected") if isinstance(problem, str) else "another value expected"
    known = facts if isinstance(facts, dict) else {}
    return told.format_map(_Facts({str(name): _fact(value) for name, value in known.items()}))


def _fact(value: object) -> str:
    if type(value) is int and abs(value) < 2**63:
        return str(value)
    if isinstance(value, list) and len(value) <= _MOST_DIMENSIONS and all(map(_is_size, value)):
        return str(tuple(value))
    return code(value, limit=160)


def _is_size(value: object) -> bool:
    return type(value) is int and 0 <= value < 2**63


def _exception(failure: Mapping[str, Any], *, not_run: Mapping[str, str]) -> Evidence:
    kind, message = plain(failure.get("type"), limit=60), plain(failure.get("message"))
    raised = code(f"{kind}: {message}" if message else kind) if kind or message else "an exception"
    finding = f"Your code raised {raised}{_place(failure.get('where'))}."
    before = failure.get("cause")
    if isinstance(before, dict):
        inner = _exception({**before, "cause": None}, not_run=not_run)
        name = code(plain(failure.get("name"), limit=100))
        happened = inner.findings[0].replace("Your code raised", f"Making {name} failed before: your code raised")
        return Evidence(Verdict.ERROR, (finding, happened), inner.try_next)
    return Evidence(Verdict.ERROR, (finding,), _cause(kind, message, failure, not_run))


def _cause(kind: str, message: str, failure: Mapping[str, Any], not_run: Mapping[str, str]) -> str:
    name = plain(failure.get("name"), limit=100)
    if kind == "NameError" and name in not_run:
        return (
            f"{code(name)} is made in {code(not_run[name])}, in code that the grader does not run (training, loops, "
            "tests). Define it at the top level of a cell, or pass it as an argument."
        )
    if kind == "NameError":
        return _undefined(message)
    return likely_cause(kind, message)


def _undefined(message: str) -> str:
    """Return what to try where a name is not defined."""
    name = re.search(r"name '(\w+)'", message)
    if name is not None and name.group(1) == "self":
        return "`self` is known only inside methods that have it as their first argument."
    if name is not None and name.group(1) in _ATTRIBUTES:
        return (
            f"{code(name.group(1))} is an attribute of the model: inside a method write {code('self.' + name.group(1))}. "
            "In a notebook, a variable of that name from another cell can hide this."
        )
    return likely_cause("NameError", message)


def _place(frames: object) -> str:
    if not isinstance(frames, list) or not frames or not isinstance(frames[-1], dict):
        return ""
    label, line = plain(frames[-1].get("label"), limit=120), frames[-1].get("line")
    within = plain(frames[-1].get("function"), limit=60)
    where = f", in {code(label)}" if label else ""
    if type(line) is int and 0 < line <= _LAST_LINE:  # a worker may say anything, in thousands of digits
        where += f", line {line}"
    return where + (f" ({code(within)})" if within and not within.startswith("<") else "")
