"""
What the harness is told about a homework: one object, which the homework makes and the command line hands over.

Nothing that is imported together with it knows an answer: the trusted side comes from `answers()`, which is called only
after the zygote was forked off.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from grader.contract import Contract
from grader.errors import StaffError
from grader.verdicts import Evidence

if TYPE_CHECKING:
    from grader.checks.diagnosis import KnownMistakes
    from grader.checks.exam import Check, Judge
    from grader.checks.lending import Helper
    from grader.checks.reference import Reference
    from grader.pipeline.ask import Asker
    from grader.probes.task import Probes

# Beside the harness in the platform's zip: the package that it grades. In a checkout, the command line says.
HOMEWORK_FILE = "homework_package"

# Judges what was handed in as it lies there, within some seconds: no function of the student's is examined.
Inspection = Callable[[float], Evidence]


@dataclass(frozen=True)
class CodeGroup:
    """
    Files that answer for the same functions.

    Args:
        name: the part of the contract.
        title: for the report.
        files: names as they are handed out.
    """

    name: str
    title: str
    files: tuple[str, ...]


@dataclass(frozen=True)
class Part:
    """
    A part of the homework, as the rubric has it.

    Args:
        name: in the rubric.
        title: for students.
        groups: the code that its questions are about.
        notebooks: that are handed out, in order.
        sources: the folder that they are made from; not there on the platform.
        libraries: what its modules import, loaded once and not in every worker.
        cases: what the names of its known submissions begin with; see `grader.trust.cases`.
        are_run: whether its notebooks are asked to have been run.
    """

    name: str
    title: str
    groups: tuple[CodeGroup, ...]
    notebooks: tuple[str, ...]
    sources: Path
    libraries: tuple[str, ...] = ()
    cases: str = ""
    are_run: bool = False

    @property
    def modules(self) -> tuple[str, ...]:
        """The modules that are handed out."""
        return tuple(name for group in self.groups for name in group.files if name.endswith(".py"))


@dataclass(frozen=True)
class Answers:
    """
    The trusted side of a homework; no worker ever has it.

    Args:
        reference: the right classes and functions.
        checks: how questions are asked and judged.
        mistakes: what is known by name.
        helpers: how right functions serve calls of workers that borrow them.
        inspected: keys of the questions that are not asked of a function.
        inspections: returns how these are judged, for a submission and the folder with the homework's data set.
        agreement: counts the outputs that a student saved and that their code gives now.
    """

    reference: Reference
    checks: tuple[Check, ...]
    mistakes: KnownMistakes
    helpers: Mapping[str, Helper]
    inspected: tuple[str, ...] = ()
    inspections: Callable[[Asker, Path | None], Mapping[str, Inspection]] = lambda _asker, _data_set: {}
    agreement: Callable[[Asker], int] = lambda _asker: 0

    @property
    def by_key(self) -> Mapping[str, Check]:
        """The checks by their names in the rubric."""
        return {check.key: check for check in self.checks}

    @property
    def known(self) -> frozenset[str]:
        """All names that a rubric may have."""
        return frozenset({*self.by_key, *self.inspected})


@dataclass(frozen=True, eq=False)
class Homework:
    """
    A homework.

    Args:
        package: its dotted name; the module `homework` in it has this object as HOMEWORK.
        folder: with rubric.yaml and calibration.json.
        contract: its functions.
        parts: in the rubric's order.
        templates: the folder of what is handed out.
        given: names that a handed-out notebook defines, there for a student whose own copy is lost.
        given_in: that notebook; "" where nothing is given.
        saved: what intake calls the saved files that it takes -> titles for students.
        data_set: the folder beside the environments in which a site may keep the homework's data set.
        public_vectors: files in `templates` with inputs and right outputs that students check themselves against.
        judge_public: judges answers on those of a function that has cases; without it, outputs are compared.
        probes: returns what workers know.
        answers: returns the trusted side, which it imports.
        sources: folders beside its own that decide grades: those of the reference.
    """

    package: str
    folder: Path
    contract: Contract
    parts: tuple[Part, ...]
    templates: Path
    probes: Callable[[], Probes]
    answers: Callable[[], Answers]
    sources: tuple[Path, ...] = ()
    given: tuple[str, ...] = ()
    given_in: str = ""
    saved: Mapping[str, str] = field(default_factory=dict)
    data_set: str = ""
    public_vectors: tuple[str, ...] = ()
    judge_public: Judge | None = None

    @property
    def rubric(self) -> Path:
        """The questions as staff edit them."""
        return self.folder / "rubric.yaml"

    @property
    def calibration(self) -> Path:
        """The measured tolerances."""
        return self.folder / "calibration.json"

    @property
    def groups(self) -> Iterator[CodeGroup]:
        """All groups of code."""
        return (group for part in self.parts for group in part.groups)

    @property
    def part_names(self) -> tuple[str, ...]:
        """The parts as the rubric names them."""
        return tuple(part.name for part in self.parts)

    @property
    def titles(self) -> Mapping[str, str]:
        """What groups of code and saved files are called in a report."""
        return {**{group.name: group.title for group in self.groups}, **self.saved}

    @property
    def files(self) -> Mapping[str, tuple[str, ...]]:
        """The names of the files that are handed out for each group of code."""
        return {group.name: group.files for group in self.groups}

    def group_of(self, file: str) -> CodeGroup:
        """
        Return the group of code that a handed-out file belongs to.

        Raises:
            KeyError: it belongs to none.
        """
        return {name: group for group in self.groups for name in group.files}[file]

    def part(self, name: str) -> Part:
        """
        Return a part by its name.

        Raises:
            KeyError: there is none.
        """
        return {part.name: part for part in self.parts}[name]


def load_homework(package: str) -> Homework:
    """
    Return the homework of a package.

    Raises:
        StaffError: there is no such package, or it has no homework.
    """
    try:
        homework: Homework = importlib.import_module(f"{package}.homework").HOMEWORK
    except (ImportError, AttributeError) as error:
        raise StaffError(
            happened=f"There is no homework in the package {package!r} ({error}).",
            try_next="Name a package that has a module `homework` with the constant HOMEWORK.",
        ) from None
    return homework
