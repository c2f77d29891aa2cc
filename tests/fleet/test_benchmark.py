"""The simulation of many submissions, where its answer is known, and the made-up class."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.demo_class import make_class
from benchmarks.fleet import Cluster, Costs, simulate_class

COSTS = Costs([2.0], whole_cpu_s=10.0, start_s=5.0, scheduler_s=0.0, record_bytes=1, whole_record_bytes=1)


@pytest.mark.parametrize(
    ("nodes", "slots", "wall_s"), [(1, 1, 1005), (1, 4, 255), (5, 2, 105), (50, 2, 15), (99, 9, 15)]
)
def test_without_losses_time_is_work_over_slots(nodes: int, slots: int, wall_s: float) -> None:
    """A hundred submissions of ten seconds: the start, and as many rounds as the slots need."""
    outcome = simulate_class(100, Cluster(nodes, slots, losses_per_node_hour=0), COSTS)

    assert (outcome.wall_s, outcome.losses, outcome.again) == (wall_s, 0, 0)


def test_a_slow_scheduler_is_the_limit() -> None:
    """However many machines there are, submissions are sent out one after the other."""
    outcome = simulate_class(100, Cluster(100, 10, 0), replace(COSTS, scheduler_s=1.0))

    assert outcome.wall_s == pytest.approx(5 + 100 * 1 + 10)
    assert outcome.scheduler_share > 0.85


def test_lost_machines_cost_what_they_were_doing() -> None:
    """With losses everybody is still graded; it takes longer, and no more is begun again than was under way."""
    calm = simulate_class(2000, Cluster(4, 4, 0), COSTS)
    rough = simulate_class(2000, Cluster(4, 4, losses_per_node_hour=4), COSTS)

    assert rough.losses > 0
    assert rough.wall_s > calm.wall_s
    assert 0 < rough.again <= 4 * rough.losses


def test_the_same_seed_gives_the_same_class() -> None:
    """A class of 24 has two of each kind, copies are copies, and it can be made again."""
    made = make_class(24)

    kinds = [item.kind for item in made]
    assert {kind: kinds.count(kind) for kind in kinds} == {
        "ordinary": 16,
        "copy": 2,
        "near-copy": 2,
        "broken": 2,
        "hostile": 2,
    }
    for item in made:
        if item.of is not None:
            assert (item.files == made[item.of].files) == (item.kind == "copy")
    assert [item.files for item in make_class(24)] == [item.files for item in made]
