"""How well known mistakes are named in code that looks different: rewritten by rule, or by another hand."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from grader.trust.cases import Changes, parts_of, questions_of
from grader.trust.harness import Bench
from grader.trust.rewrite import rewritten_files
from grader.trust.wrong import changes_by_hand, wrong_changes
from homework.homework import HOMEWORK
from tests.known import CATALOGUE
from tests.trust.affected import helpers_to_ask

WAYS = ("rewritten", "by hand")


@dataclass(frozen=True)
class Diagnosed:
    """
    What was named for a mistake, in code that looks different.

    Args:
        id: of the misconception that the code has.
        way: one of WAYS.
        named: ids that the report names, over all questions that were asked.
        lost: whether a question was lost at all.
    """

    id: str
    way: str
    named: frozenset[str]
    lost: bool

    @property
    def is_right(self) -> bool:
        """Whether the mistake was named, and nothing else."""
        return self.named == {self.id}

    @property
    def is_wrong(self) -> bool:
        """Whether anything was named that the code does not have."""
        return not self.named <= {self.id}


def cases_of(way: str) -> Mapping[str, Changes]:
    """Return the changes whose diagnosis is looked at, by the id of the misconception."""
    if way == "by hand":
        return changes_by_hand(HOMEWORK)
    return {name: changes for name, (changes, _) in wrong_changes(HOMEWORK).items()}


def diagnosed(bench: Bench, names: Iterable[str], way: str) -> list[Diagnosed]:
    """Grade mistakes in code that looks different, each by the smallest question that it shows in."""
    with tempfile.TemporaryDirectory() as folder:
        return [_diagnosed(bench, Path(folder) / f"case-{number}", name, way) for number, name in enumerate(names)]


def _diagnosed(bench: Bench, folder: Path, name: str, way: str) -> Diagnosed:
    changes = cases_of(way)[name]
    entry = next(entry for entry in CATALOGUE if entry.id == name)
    (part,) = parts_of(HOMEWORK, changes)
    changes.write(folder, [part])
    if way == "rewritten":
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        for file, data in rewritten_files(files).items():
            (folder / file).write_bytes(data)
    smallest = [f"{entry.function}.{entry.aspects[-1]}", f"{entry.function}.{entry.aspects[0]}"]
    questions = questions_of(HOMEWORK, part)
    asked = [question for question in questions if question.check in smallest]
    asked = sorted(asked, key=lambda question: smallest.index(question.check))[:1]
    helpers = {helper for question in asked for helper in helpers_to_ask(question.check)}
    asked = [*(each for each in questions if each.check in helpers), *asked]
    found = bench.grade_folder(folder, asked)
    named = frozenset(each for outcome in found.values() for each in outcome.diagnosis)
    return Diagnosed(name, way, named, any(not outcome.passed for outcome in found.values()))
