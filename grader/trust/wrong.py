"""
Wrong submissions: every misconception as a change of the solved homework, and exactly the checks that it must cost.

The homework's misconceptions/changes_*.yaml have an entry for each id of its catalogue:

    restore_masked.masked-first:
      edits: [{old: "[kept_x, masked_x]", new: "[masked_x, kept_x]"}]
      fails: [restore_masked.output, restore_masked.gradient, restore_masked.generality]

The fields are those of `grader.trust.cases.Changes`; without `fails`, the mistake costs the questions of the
aspects in which the catalogue says that it shows, and those of gradients too where values are wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import yaml

from grader.checks.misconceptions import Misconception
from grader.errors import StaffError
from grader.pipeline.homework import Homework
from grader.trust.cases import Changes


@cache
def wrong_changes(homework: Homework) -> Mapping[str, tuple[Changes, frozenset[str]]]:
    """
    Return, for each misconception, the changes that bring it into the solved homework and the checks that it costs.

    Raises:
        StaffError: an entry has no changes, or there are changes for an entry that there is not.
    """
    answers = homework.answers()
    contents: dict[str, dict[str, Any]] = {}
    for path in sorted((homework.folder / "misconceptions").glob("changes_*.yaml")):
        contents.update(yaml.safe_load(path.read_text(encoding="utf-8")))
    entries = {entry.id: entry for entry in answers.mistakes.entries}
    if different := sorted(entries.keys() ^ contents.keys()):
        raise StaffError(
            happened=f"The catalogue of misconceptions and their changes differ in {', '.join(different)}.",
            try_next=f"Add the change of the solved homework to {homework.folder / 'misconceptions'}, or take it out.",
        )
    there = frozenset(answers.by_key)
    return {name: (_changes(contents[name]), _fails(entry, contents[name], there)) for name, entry in entries.items()}


@cache
def changes_by_hand(homework: Homework) -> Mapping[str, Changes]:
    """Return, for some misconceptions, changes that bring them in with code of quite another hand."""
    path = homework.folder / "misconceptions" / "by_hand.yaml"
    contents = yaml.safe_load(path.read_text(encoding="utf-8")) if path.exists() else {}
    return {name: _changes(content) for name, content in contents.items()}


def _changes(content: Mapping[str, Any]) -> Changes:
    return Changes(**{key: value for key, value in content.items() if key != "fails"})


def _fails(entry: Misconception, content: Mapping[str, Any], there: frozenset[str]) -> frozenset[str]:
    if "fails" in content:
        return frozenset(content["fails"])
    aspects = {*entry.aspects, *(["gradient"] if "output" in entry.aspects else [])}
    return frozenset({f"{entry.function}.{aspect}" for aspect in aspects} & there)
