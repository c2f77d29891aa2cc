"""What the benchmark found, as it stands in results.json."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

from benchmarks.clock import Cost
from benchmarks.metalearning import Comparison


@dataclass
class Contest:
    """
    Several contenders, each measured once in every round.

    Attributes:
        costs: of each contender, in the order of the rounds.
        failed: of contenders that did not run, or judged wrongly, the reason.
        passed: how many checks each said were passed, of the right notebook and of the broken one.
        peak_mib: memory of all processes of each together.
    """

    costs: dict[str, list[Cost]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    passed: dict[str, tuple[int, int]] = field(default_factory=dict)
    peak_mib: dict[str, float] = field(default_factory=dict)


@dataclass
class Batch:
    """
    Several submissions graded one after the other, or some at once.

    Attributes:
        submissions: how many.
        wall_s: seconds on the clock until all were graded, without the start of the process they are forked from.
        start_s: that start.
        cpu_s: processor seconds of all of them; 0 where they were not taken.
    """

    submissions: int
    wall_s: float
    start_s: float = 0.0
    cpu_s: float = 0.0

    @property
    def per_minute(self) -> float:
        """Submissions in a minute."""
        return 60 * self.submissions / self.wall_s


@dataclass
class Classes:
    """
    A class, with torch imported once.

    Attributes:
        ten: batches of the ten checks by "<grader>, <number of workers>", in the order of the rounds.
        failed: of those that did not run, the reason.
        calls: the student's own compute for the whole homework, in the order of the rounds.
        apart: the same with a fork for each question, in the same order.
        whole: batches of the whole homework with one worker, in the same order.
    """

    ten: dict[str, list[Batch]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    calls: list[Cost] = field(default_factory=list)
    apart: list[Cost] = field(default_factory=list)
    whole: list[Batch] = field(default_factory=list)


@dataclass
class Results:
    """
    Everything that one run of the benchmark found; what it was not asked for is None.

    Attributes:
        machine: facts about the machine and the versions, by name.
        rounds: how often everything was measured.
        cold: the ten checks, start of the processes included.
        whole: the whole homework, start of the processes included.
        classes: many submissions.
        phases: for "ten checks" and "whole homework", the seconds of each phase in each round.
        growth: batches of the ten checks by number of workers, in the order of the rounds.
        metalearning: the literal version beside the reference.
        evaluations: of the test tasks, in that.
        failed: sections that could not be measured, with the reason.
    """

    machine: dict[str, str]
    rounds: int
    cold: Contest | None = None
    whole: Contest | None = None
    classes: Classes | None = None
    phases: dict[str, list[dict[str, Cost]]] | None = None
    growth: dict[int, list[Batch]] | None = None
    metalearning: list[Comparison] | None = None
    evaluations: int = 1
    failed: dict[str, str] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write every raw number."""
        path.write_text(json.dumps(asdict(self), indent=1), encoding="utf-8")
