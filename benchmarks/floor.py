"""
The floor: a bare script that does the student's calls once, and nothing else.

    python floor.py ten NOTEBOOK CALLS     execute a notebook's code cells, then the calls
    python floor.py whole REQUESTS         make the calls that a grading of the whole homework makes
    python floor.py apart REQUESTS         the same, each question in a fork of its own

It isolates nothing, judges nothing and writes no report. It imports what the student's code imports, torch's compiler
among it, which optimizers import at their first step. The last two print how long the calls alone took, without
start-up, imports and the reading of inputs; `apart` counts the forks and their ends.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any


def ten(notebook: str, calls: str) -> None:
    """Execute the cells of a notebook, then a file of calls in the same namespace."""
    import torch

    torch.set_num_threads(1)
    cells = json.loads(Path(notebook).read_text(encoding="utf-8"))["cells"]
    namespace = {"__name__": "__main__"}
    for cell in cells:
        if cell["cell_type"] == "code":
            exec("".join(cell["source"]), namespace)
    exec(Path(calls).read_text(encoding="utf-8"), namespace)


def whole(requests_file: str, *, apart: bool = False) -> None:
    """Make recorded calls, in this process or in a fork for each question, and print what they alone cost."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    for library in ("torch", "torch._dynamo", "sklearn.linear_model", "matplotlib.pyplot"):
        importlib.import_module(library)
    import torch

    torch.set_num_threads(1)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from grader.probes.task import FAILURE, probe
    from homework.homework import HOMEWORK

    probes = HOMEWORK.probes()
    requests = pickle.loads(Path(requests_file).read_bytes())

    def works(request: Any) -> bool:
        return probe(probes, request, None).kind != FAILURE  # type: ignore[arg-type]  # nothing is lent

    began, began_cpu = time.perf_counter(), _cpu_s()
    worked = [_in_a_fork(works, request) if apart else works(request) for request in requests]
    cost = {"wall_s": time.perf_counter() - began, "cpu_s": _cpu_s() - began_cpu}
    if not all(worked):
        raise SystemExit(f"{worked.count(False)} calls raised")
    print(json.dumps(cost))


def _cpu_s() -> float:
    usages = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


def _in_a_fork(works: Callable[[Any], bool], request: Any) -> bool:
    pid = os.fork()
    if pid == 0:
        os._exit(0 if works(request) else 1)
    return os.waitpid(pid, 0)[1] == 0


if __name__ == "__main__":
    if sys.argv[1] == "ten":
        ten(*sys.argv[2:])
    else:
        whole(*sys.argv[2:], apart=sys.argv[1] == "apart")
