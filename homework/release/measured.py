"""The numbers of this homework's written answers, and that the executed notebooks show the same."""

from __future__ import annotations

import re
from collections.abc import Sequence

from grader.errors import StaffError
from grader.release.notebooks import NotebookNode
from grader.release.workshop import Numbers
from reference.metalearning import answers

_WEIGHTS = re.compile(r"weights of the true features: \[(?P<weights>[^\]]+)\]")
_RUNS = ("e", "f5", "f1", "g", "h")  # in the order of the notebooks


def require_same_weights(notebooks: Sequence[NotebookNode], numbers: answers.Numbers) -> None:
    """
    Make sure that the executed notebooks learned the weights that their answers speak of.

    Raises:
        StaffError: the weights that a run printed are others.
    """
    printed = [
        [float(value) for value in line["weights"].split()]
        for notebook in notebooks
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        for line in _WEIGHTS.finditer(output.get("text", ""))
    ]
    measured = [numbers[part]["true"] for part in _RUNS]
    expected = [[round(true[end], 2) for end in ("smallest", "largest")] for true in measured]
    found = [[min(weights), max(weights)] for weights in printed]
    if found != expected:
        raise StaffError(
            happened=f"The notebooks' runs end with true weights between {found}, the answers speak of {expected}.",
            try_next="Make the handed-out modules and the reference draw and compute the same again.",
        )


NUMBERS = Numbers(answers.measure_answers, answers.fill, require_same_weights)
