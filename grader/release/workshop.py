"""What releases of a homework, and the trust in it, need beyond what grading needs; it never goes to the platform."""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from grader.errors import StaffError
from grader.pipeline.homework import Homework
from grader.release.notebooks import NotebookNode

_CELL_LIMIT_S = 3600  # a cell takes minutes of an idle core; a busy machine must not end it


@dataclass(frozen=True)
class NotebookRun:
    """
    How a notebook is executed for the solutions.

    Attributes:
        notebook: as it is run.
        environment: variables for its kernel.
        limit_s: seconds that a cell may take.
        work: the folder that it is executed in, if that is to stay.
    """

    notebook: NotebookNode
    environment: Mapping[str, str] = field(default_factory=dict)
    limit_s: int = _CELL_LIMIT_S
    work: Path | None = None


@dataclass(frozen=True)
class Numbers:
    """
    Numbers in the text of written answers, which a release measures anew.

    Attributes:
        measure: returns them all.
        fill: puts measured ones into a text.
        require_same: raises StaffError where executed notebooks show others than those measured.
    """

    measure: Callable[[], Any]
    fill: Callable[[str, Any], str]
    require_same: Callable[[Sequence[NotebookNode], Any], None]


@dataclass(frozen=True)
class Trial:
    """
    A submission, and which questions it must lose.

    Attributes:
        name: what it is, for messages.
        submission: a zip or a folder.
        loses: checks that earn nothing; all others earn everything. None: every check earns nothing.
    """

    name: str
    submission: Path
    loses: frozenset[str] | None = frozenset()


@dataclass(frozen=True)
class Workshop:
    """
    How a homework's submissions, vectors and documents are made.

    Args:
        vectors: files of public vectors by name -> their content, computed by the reference now.
        sources: the folder that notebooks and modules are made from.
        prepare: notebook -> how it is executed for the solutions, from the solved notebook, whether there is a GPU, and
            whether all training is to be as handed out; notebooks that are not here run as they are.
        numbers: those in the written answers, if there are any.
        slowest: notebooks that take longest, which are begun first.
        write_solved: writes the zip of a student who solved everything.
        write_example: writes a realistic submission with mistakes in it, to `example`.
        example: where that lies.
        trials: returns, for the solved submission and an empty folder, submissions with a mistake for the gate.
        examples: returns the document that shows what students read about some mistakes.
        also_right: returns right ways to solve the homework that no student would take: name -> `Changes` of the
            solved one, for the spread of tolerances.
        repeated: known submissions that the trust report grades again and again.
    """

    sources: Path
    write_solved: Callable[[Path], Path]
    prepare: Mapping[str, Callable[[NotebookNode, bool, bool], NotebookRun]] = field(default_factory=dict)
    numbers: Numbers | None = None
    slowest: tuple[str, ...] = ()
    vectors: Mapping[str, Callable[[], Mapping[str, Any]]] = field(default_factory=dict)
    write_example: Callable[[Path], Path] | None = None
    example: Path | None = None
    trials: Callable[[Path, Path], Sequence[Trial]] = lambda _solved, _folder: ()
    examples: Callable[[], str] | None = None
    also_right: Callable[[], Mapping[str, Any]] = dict
    repeated: tuple[str, ...] = ()


def workshop_of(homework: Homework) -> Workshop:
    """
    Return a homework's workshop: the constant WORKSHOP of its module `workshop`.

    Raises:
        StaffError: it has none, as on the platform.
    """
    try:
        workshop: Workshop = importlib.import_module(f"{homework.package}.workshop").WORKSHOP
    except ModuleNotFoundError as error:
        raise StaffError(
            happened=f"The homework {homework.package!r} has no workshop ({error}).",
            try_next="Releases and the trust report are made in a checkout.",
        ) from None
    return workshop


def tensor_bytes(content: Mapping[str, Any]) -> bytes:
    """Return nested dictionaries of tensors as the bytes of their file, the same each time."""
    buffer = io.BytesIO()  # a path would put the file's name into the bytes
    torch.save(dict(content), buffer)
    return buffer.getvalue()
