"""
Wrong submissions: every misconception as a change of the solved homework, and exactly the checks that it must cost.

vision.yaml and metalearning.yaml have an entry for each id of the catalogue of misconceptions:

    restore_masked.masked-first:
      edits: [{old: "[kept_x, masked_x]", new: "[masked_x, kept_x]"}]
      fails: [restore_masked.output, restore_masked.gradient, restore_masked.generality]

The fields are those of `grader.trust.cases.Changes`; without `fails`, the mistake costs the questions of the
aspects in which the catalogue says that it shows, and those of gradients too where values are wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from grader.checks.metalearning import METALEARNING_CHECKS
from grader.checks.misconceptions import CATALOGUE, Misconception
from grader.checks.vision import VISION_CHECKS
from grader.errors import StaffError
from grader.trust.cases import Changes

_FOLDER = Path(__file__).parent
_FILES = ("vision.yaml", "metalearning.yaml")


@cache
def wrong_changes() -> Mapping[str, tuple[Changes, frozenset[str]]]:
    """
    Return, for each misconception, the changes that bring it into the solved homework and the checks that it costs.

    Raises:
        StaffError: an entry has no changes, or there are changes for an entry that there is not.
    """
    contents: dict[str, dict[str, Any]] = {}
    for name in _FILES:
        contents.update(yaml.safe_load((_FOLDER / name).read_text(encoding="utf-8")))
    entries = {entry.id: entry for entry in CATALOGUE}
    if different := sorted(entries.keys() ^ contents.keys()):
        raise StaffError(
            happened=f"The catalogue of misconceptions and grader/trust/wrong differ in {', '.join(different)}.",
            try_next="Add the change of the solved homework to vision.yaml or metalearning.yaml, or take it out.",
        )
    return {name: (_changes(contents[name]), _fails(entry, contents[name])) for name, entry in entries.items()}


@cache
def changes_by_hand() -> Mapping[str, Changes]:
    """Return, for some misconceptions, changes that bring them in with code of quite another hand."""
    contents = yaml.safe_load((_FOLDER / "by_hand.yaml").read_text(encoding="utf-8"))
    return {name: _changes(content) for name, content in contents.items()}


def _changes(content: Mapping[str, Any]) -> Changes:
    return Changes(**{key: value for key, value in content.items() if key != "fails"})


def _fails(entry: Misconception, content: Mapping[str, Any]) -> frozenset[str]:
    if "fails" in content:
        return frozenset(content["fails"])
    there = {check.key for check in (*VISION_CHECKS, *METALEARNING_CHECKS)}
    aspects = {*entry.aspects, *(["gradient"] if "output" in entry.aspects else [])}
    return frozenset({f"{entry.function}.{aspect}" for aspect in aspects} & there)
