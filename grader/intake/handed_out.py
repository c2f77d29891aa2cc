"""The names of the files that a homework hands out to be worked on, or asks for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

from grader.intake.caps import suffix_of
from grader.intake.holdings import bare_stem


@dataclass(frozen=True)
class HandedOut:
    """
    Names of files; they break ties, and say which files are looked at first.

    Args:
        code: group of code -> its notebooks and modules.
        saved: role of a saved file, one of `report.ROLES` -> its name.
        saved_hints: role -> pieces of names, by which the file is known under another name.
        given: saved files that are handed out: they come back, and say nothing.
    """

    code: Mapping[str, Sequence[str]] = field(default_factory=dict)
    saved: Mapping[str, str] = field(default_factory=dict)
    saved_hints: Mapping[str, Sequence[str]] = field(default_factory=dict)
    given: Sequence[str] = ()

    @cached_property
    def names(self) -> tuple[str, ...]:
        """All names, but for those that only come back."""
        return (*dict.fromkeys(name for names in self.code.values() for name in names), *self.saved.values())

    @cached_property
    def stems(self) -> frozenset[str]:
        """The bare stems of all names."""
        return frozenset(map(bare_stem, self.names))

    @cached_property
    def places(self) -> frozenset[tuple[str, str]]:
        """Bare stem and suffix of all names."""
        return frozenset((bare_stem(name), suffix_of(name)) for name in self.names)

    def as_json(self) -> dict[str, Any]:
        """Return it for a message to a worker, as keyword arguments."""
        return asdict(self)
