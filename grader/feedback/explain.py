"""Explain what did not work: failures of student code and endings of a worker become evidence in plain words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from grader.feedback.text import code, plain
from grader.verdicts import Evidence, Verdict

_KEEP_NAMES = "Keep the names of the template."

# Exceptions of torch and Python that students meet most, and what usually causes them.
_CAUSES: tuple[tuple[str, str], ...] = (
    (
        r"Torch not compiled with CUDA|No CUDA GPUs|Found no NVIDIA driver",
        "The code asks for a GPU whatever the machine. Make new tensors on the device of your inputs: `device=x.device`, not `.cuda()`.",
    ),
    (
        r"Expected all tensors to be on the same device",
        "Two tensors are on different devices. Make new tensors on the device of your inputs: `device=x.device`.",
    ),
    (
        r"Boolean value of Tensor with more than one value",
        "`if` needs one True or False, but got a whole tensor. To ask whether an argument was given, write `if ids_shuffle is None`.",
    ),
    (
        r"Sizes of tensors must match except in dimension",
        "`torch.cat` was given tensors that differ in more than the dimension it joins. Print their shapes; `dim=1` joins along the patches.",
    ),
    (
        r"Tensors must have same number of dimensions",
        "`torch.cat` or `torch.stack` was given tensors with different numbers of dimensions. A token of shape (1, 1, D) has to be expanded to (B, 1, D) first.",
    ),
    (
        r"'NoneType' object",
        "Something that should be a value is None. A function that ends without `return` gives None.",
    ),
    (
        r"mat1 and mat2 shapes cannot be multiplied",
        "A linear layer got vectors of another length than it was built for. Print the shape that goes into it; the features belong in the last dimension.",
    ),
    (
        r"shape '.*' is invalid for input of size|view size is not compatible",
        "The sizes given to `reshape` or `view` do not multiply to the number of elements, or the memory is not contiguous. Write down the shape after each step; `reshape` in place of `view` copes with the second.",
    ),
    (
        r"must match the size of tensor b",
        "Two tensors that are added or multiplied have shapes that do not fit. Print both shapes just before.",
    ),
    (
        r"index .* is out of bounds|out of range",
        "An index is larger than the dimension it points into. Check which of `ids_shuffle` and `ids_restore` is used, and along which dimension.",
    ),
    (
        r"'tuple' object has no attribute|tuple indices must be",
        "A tuple stands where a tensor is wanted. Calling `mae(images)` returns a reconstruction and a mask; the representation comes from `forward_encoder_representation`.",
    ),
    (
        r"Can't call numpy\(\) on Tensor that requires grad",
        "A detour through numpy cuts the gradient. Stay with torch operations inside graded functions.",
    ),
    (
        r"a leaf Variable that requires grad .* in-place|modified by an inplace operation",
        "A tensor that the gradient needs is written to in place. Build a new tensor instead.",
    ),
    (
        r"missing \d+ required positional argument|takes \d+ positional argument|unexpected keyword argument",
        "The signature differs from the template's. Keep names, order and defaults of the arguments.",
    ),
)


def explain_failure(failure: Mapping[str, Any], *, function: str, not_run: Mapping[str, str]) -> Evidence:
    """
    Turn a worker's description of an exception into evidence.

    Args:
        failure: see `grader.probes.failures.describe`; it comes from a worker, so nothing in it is trusted.
        function: what was asked for.
        not_run: names that are made only where the grader does not run code -> that cell.
    """
    kind = failure.get("kind")
    if kind == "missing":
        return _missing(failure, function=function, not_run=not_run)
    if kind == "not-implemented":
        return _not_implemented(failure, function)
    if kind == "value":
        return _unusable_value(failure)
    return _exception(failure, not_run=not_run)


def not_found(name: str, near: str | None) -> Evidence:
    """Return the evidence for a name that is nowhere in the submission."""
    hint = f"You have {code(near)}: if that is it, rename it. {_KEEP_NAMES}" if near else _KEEP_NAMES
    return Evidence(Verdict.MISSING, (f"{code(name)} was not found in any notebook or module.",), hint)


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
        "Run the cell in Jupyter, mend the line it names, and hand in again.",
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
    name, problem, got = (plain(failure.get(key), limit=160) for key in ("name", "problem", "got"))
    if problem == "nothing returned":
        return Evidence(
            Verdict.MISSING,
            (
                f"{code(name)} returned nothing that could be graded: it is not implemented yet, or its result is not returned.",
            ),
            "A function that ends without `return` gives `None`: return the result at its end.",
        )
    return Evidence(
        Verdict.FAILED,
        (f"{code(name)}: {code(problem.replace('`', ''))}, but got {code(got)}.",),
        "Compare with the docstring in the template.",
    )


def _exception(failure: Mapping[str, Any], *, not_run: Mapping[str, str]) -> Evidence:
    kind, message = plain(failure.get("type"), limit=60), plain(failure.get("message"))
    finding = f"Your code raised {code(f'{kind}: {message}' if message else kind)}{_place(failure.get('where'))}."
    return Evidence(Verdict.ERROR, (finding,), _cause(kind, message, failure, not_run))


def _cause(kind: str, message: str, failure: Mapping[str, Any], not_run: Mapping[str, str]) -> str:
    name = plain(failure.get("name"), limit=100)
    if kind == "NameError" and name in not_run:
        return (
            f"{code(name)} is made in {code(not_run[name])}, in code that the grader does not run (training, loops, "
            "tests). Define it at the top level of a cell, or pass it as an argument."
        )
    if kind in ("NameError", "UnboundLocalError"):
        return "Restart the kernel and run all cells: a name that only an old cell defined is gone then."
    if kind == "ModuleNotFoundError":
        return "Graded functions need only torch and numpy; the grader does not have every library."
    if kind == "RecursionError":
        return "The function calls itself without end. Look for a method that calls its own name."
    if kind == "SystemExit":
        return "Take out calls such as `exit()` and `quit()`."
    for pattern, cause in _CAUSES:
        if re.search(pattern, message):
            return cause
    return "Call the function in a fresh kernel with inputs of the shapes in the docstring."


def _place(frames: object) -> str:
    if not isinstance(frames, list) or not frames or not isinstance(frames[-1], dict):
        return ""
    label, line = plain(frames[-1].get("label"), limit=120), frames[-1].get("line")
    within = plain(frames[-1].get("function"), limit=60)
    where = f", in {code(label)}" + (f", line {line}" if isinstance(line, int) else "")
    return where + (f" ({code(within)})" if within and not within.startswith("<") else "")
