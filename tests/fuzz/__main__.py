"""
Fuzz everything that reads student bytes for as long as asked: `python -m tests.fuzz --minutes 30`.

Each target gets rounds of hypothesis in turn. What breaks is shrunk and kept in tests/fuzz/found, with the seed.
"""

from __future__ import annotations

import argparse
import pickle
import sys
import time
import traceback
from collections import Counter
from pathlib import Path
from random import Random

import hypothesis
from hypothesis import strategies as st

from tests.fuzz.targets import TARGETS, Target, close

FOUND = Path(__file__).with_name("found")


def one_round(target: Target, seed: int, examples: int) -> tuple[int, str]:
    """Try a target some times; return how often, and the account of what broke, if anything did."""
    tried = 0
    last: object = None

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=examples,
        deadline=None,
        database=None,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(st.randoms(use_true_random=True))
    def attempt(random: Random) -> None:
        nonlocal tried, last
        tried += 1
        last = target.make(random)
        target.run(last)

    try:
        attempt()
    except Exception:  # whatever it is, it is what we look for
        FOUND.mkdir(exist_ok=True)
        (FOUND / f"{target.name}-{seed}.pickle").write_bytes(pickle.dumps(last))
        return tried, traceback.format_exc(limit=-6)
    return tried, ""


def main() -> int:
    """Run until the time is over; the exit status says whether something broke."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--only", nargs="*", default=[], help="names of targets")
    parser.add_argument("--seed", type=int, default=0, help="of the first round")
    parser.add_argument("--examples", type=int, default=300, help="in one round")
    options = parser.parse_args()
    end = time.monotonic() + 60 * options.minutes
    tried: Counter[str] = Counter()
    broken: dict[str, str] = {}
    chosen = [target for target in TARGETS if not options.only or target.name in options.only]
    seed = options.seed
    while time.monotonic() < end:
        for target in chosen:
            if time.monotonic() >= end:
                break
            count, account = one_round(target, seed, max(5, int(options.examples * target.share)))
            tried[target.name] += count
            last_line = account.strip().rpartition("\n")[2]
            if account and f"{target.name}: {last_line}" not in broken:
                broken[f"{target.name}: {last_line}"] = account
                print(f"seed {seed}, target {target.name}:\n{account}", flush=True)
        seed += 1
    close()
    for target in chosen:
        print(f"{target.name:12} {tried[target.name]:9} inputs")
    print(f"{sum(tried.values())} inputs in {options.minutes:g} minutes, {len(broken)} ways to break something")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
