"""
The floor: a bare script that does the student's calls once, and nothing else.

    python floor.py ten NOTEBOOK CALLS     execute a notebook's code cells, then the calls
    python floor.py whole REQUESTS         make the calls that a grading of the whole homework makes

It isolates nothing, judges nothing and writes no report. It imports what the student's code imports, torch's compiler
among it, which optimizers import at their first step. `whole` prints how long the calls alone took, without start-up,
imports and the reading of inputs.
"""

from __future__ import annotations

import importlib
import json
import os
import pickle
import sys
import time
from pathlib import Path


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


def whole(requests_file: str) -> None:
    """Make recorded calls in this process, and print what they alone cost."""
    os.environ.setdefault("MPLBACKEND", "Agg")
    for library in ("torch", "torch._dynamo", "sklearn.linear_model", "matplotlib.pyplot"):
        importlib.import_module(library)
    import torch

    torch.set_num_threads(1)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
    from grader.probes.task import FAILURE, probe

    requests = pickle.loads(Path(requests_file).read_bytes())
    began, began_cpu = time.perf_counter(), time.process_time()
    answers = [probe(request, None) for request in requests]  # type: ignore[arg-type]  # nothing is lent
    cost = {"wall_s": time.perf_counter() - began, "cpu_s": time.process_time() - began_cpu}
    failures = [answer.meta for answer in answers if answer.kind == FAILURE]
    if failures:
        raise SystemExit(f"{len(failures)} calls raised: {failures[0]}")
    print(json.dumps(cost))


if __name__ == "__main__":
    if sys.argv[1] == "ten":
        ten(*sys.argv[2:])
    else:
        whole(*sys.argv[2:])
