"""
What training reaches with right and with wrong code: the measurements behind convergence_bands.json.

    python -m tests.checks.convergence_lab RIGHT.jsonl --seeds 0 25     # one line for each variant and seed
    python -m tests.checks.convergence_lab --table RIGHT.jsonl WRONG.jsonl

The probes run in this process, without a sandbox, which changes no value.
"""

from __future__ import annotations

import argparse
import ast
import json
import math
import socket
import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from grader.checks.exam import CaseAnswer, Check, Exam
from grader.probes.task import ANSWER, probe
from grader.verdicts import Evidence
from grader.wire import Message
from homework.checks import convergence
from homework.probes import PROBES

CHECKS = {check.function: check for check in convergence.CONVERGENCE_CHECKS}
MEASURES = {
    "MaskedAutoEncoder.forward": ("autoencoder",),
    "ClassificationViT.forward": ("vit",),
    "ClassificationMAE.forward": ("linear", "tuned"),
}


def definitions(notebook: Any) -> list[str]:
    """Return the cells of a notebook that define something, with their imports, functions, classes and constants."""
    kinds = (ast.FunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom)
    cells = []
    for cell in notebook.cells:
        if cell.cell_type != "code" or "training" in cell.metadata.get("tags", []):
            continue
        nodes = [node for node in ast.parse(cell.source).body if isinstance(node, kinds)]
        if nodes:
            cells.append("\n".join(ast.unparse(node) for node in nodes))
    return cells


def train(check: Check, exam: Exam, cells: Sequence[str]) -> Message:
    """Run a training probe on some cells and return what it sends home."""
    statements = [[cell, index] for cell, source in enumerate(cells) for index in range(len(ast.parse(source).body))]
    arrays = {f"state/{name}": array for name, array in exam.state.items()}
    arrays.update({f"0/{name}": array for name, array in exam.cases[0].inputs.items()})
    nothing: dict[str, Any] = {"cells": [], "statements": [], "modules": {}}
    meta = {
        "probe": check.probe,
        "code": {**nothing, "cells": [["cell", source] for source in cells], "statements": statements},
        "given": nothing,
        "given_names": [],
        "lent": [],
        "settings": dict(exam.settings),
        "device": "cpu",
        "memory_mib": 1024,
        "cases": [exam.cases[0].seed],
    }
    near, far = socket.socketpair()
    finders = list(sys.meta_path)
    try:
        with near, far:
            return probe(PROBES, Message("probe", meta, arrays), near)
    finally:
        sys.meta_path[:] = finders


def answer_of(message: Message) -> CaseAnswer:
    """Return the arrays of the one case."""
    assert message.kind == ANSWER, message.meta
    return CaseAnswer({name.removeprefix("0/"): array for name, array in message.arrays.items()})


def judge(function: str, cells: Sequence[str], *, seed: int = 0) -> Evidence:
    """Train with hidden inputs of a seed and judge."""
    check = CHECKS[function]
    exam = check.prepare(torch.Generator().manual_seed(seed))
    return check.judge(check, exam, [answer_of(train(check, exam, cells))])


def measure(function: str, cells: Sequence[str], *, seed: int) -> tuple[dict[str, float], bool, float]:
    """Return each measure's value, whether the check was passed, and the probe's processor seconds."""
    check = CHECKS[function]
    exam = check.prepare(torch.Generator().manual_seed(seed))
    began = time.process_time()
    answer = answer_of(train(check, exam, cells))
    spent_s = time.process_time() - began
    values = {name: _value(name, exam, answer) for name in MEASURES[function]}
    return values, check.judge(check, exam, [answer]).passed, spent_s


def _value(name: str, exam: Exam, answer: CaseAnswer) -> float:
    weights = convergence.trained_weights(exam, answer, name)
    assert not isinstance(weights, Evidence), weights
    if name == "autoencoder":
        return convergence.reconstruction_share(exam, weights)
    return convergence.accuracy_of(convergence.build(name, exam.settings), exam, weights)


def table(right: Sequence[dict[str, Any]], wrong: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """
    Return both sides of each limit; it lies between, two thirds of the way (geometrically, in errors) from right.

    Beyond the middle: a false alarm costs an honest student points, while wrong code that slips through here is caught
    by the questions on its values and gradients.
    """
    measures = {}
    for name in ("autoencoder", "vit", "linear", "tuned"):
        is_error = name == "autoencoder"
        errors = {
            side: [
                (line["variant"], _error(line["values"][name], is_error)) for line in lines if name in line["values"]
            ]
            for side, lines in (("right", right), ("wrong", wrong))
        }
        values = [error for _, error in errors["right"]]
        worst, nearest = max(values), min(error for _, error in errors["wrong"])
        limit = (worst * nearest**2) ** (1 / 3)
        mean, deviation = statistics.mean(values), statistics.pstdev(values)
        reference = [error for variant, error in errors["right"] if variant == "reference"]
        measures[name] = {
            "limit": round(limit if is_error else 1 - limit, 3),
            "reference_mean": round(_error(statistics.mean(reference), is_error), 3),
            "repetitions": len(values),
            "mean": round(_error(mean, is_error), 4),
            "standard_deviation": round(deviation, 4),
            "worst_right": round(_error(worst, is_error), 4),
            "best_wrong": round(_error(nearest, is_error), 4),
            "deviations_to_limit": round((limit - mean) / deviation, 1),
            "false_alarm_odds": float(f"{tail_odds(values, limit):.1e}"),
            "right": _by_variant(errors["right"], is_error),
            "wrong": _by_variant(errors["wrong"], is_error, worst=min),
        }
    about = (
        "Errors (autoencoder) and accuracies of trained weights on unseen images, of right and of wrong code, from "
        "tests/checks/convergence_lab.py. A limit lies two thirds of the way, geometrically in errors, from the worst "
        "right to the best wrong; false_alarm_odds extrapolate the upper fifth of the right ones."
    )
    return {"about": about, "measures": measures}


def tail_odds(errors: Sequence[float], limit: float) -> float:
    """Estimate the odds of an error over the limit: beyond the 80th percentile, errors thin out exponentially."""
    ordered = sorted(errors)
    start = ordered[int(0.8 * len(ordered))]
    excess = statistics.mean(error - start for error in ordered if error > start)
    return 0.2 * math.exp(-(limit - start) / excess)


def _error(value: float, is_error: bool) -> float:
    return value if is_error else 1 - value


def _by_variant(lines: Sequence[tuple[str, float]], is_error: bool, worst: Any = max) -> dict[str, Any]:
    found: dict[str, list[float]] = {}
    for variant, error in lines:
        found.setdefault(variant, []).append(error)
    key = "worst" if worst is max else "best"
    return {
        name: {"repetitions": len(errors), key: round(_error(worst(errors), is_error), 4)}
        for name, errors in sorted(found.items())
    }


def _write_lines(path: Path, variants: dict[str, dict[str, list[str]]], seeds: range) -> None:
    torch.set_num_threads(1)
    for seed in seeds:
        for variant, functions in variants.items():
            values: dict[str, float] = {}
            right, spent_s = True, 0.0
            for function, cells in functions.items():
                found, is_right, seconds = measure(function, cells, seed=1000 * (hash_of(variant) % 1000) + seed)
                values.update(found)
                right, spent_s = right and is_right, spent_s + seconds
            line = {"variant": variant, "seed": seed, "values": values, "passed": right, "cpu_s": round(spent_s, 2)}
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(line) + "\n")


def hash_of(text: str) -> int:
    """Return a number that is the same in every process, so that variants get seeds of their own."""
    return sum((index + 1) * ord(letter) for index, letter in enumerate(text))


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the measurements in a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    """Measure, or make the table of what was measured."""
    from tests.checks.convergence_code import right_variants, wrong_variants

    parser = argparse.ArgumentParser()
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--seeds", nargs=2, type=int, default=(0, 25))
    parser.add_argument("--wrong", action="store_true")
    parser.add_argument("--table", action="store_true")
    arguments = parser.parse_args()
    if arguments.table:
        content = table(*map(read_lines, arguments.files))
        convergence.BANDS_FILE.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")
    else:
        _write_lines(
            arguments.files[0],
            wrong_variants() if arguments.wrong else right_variants(),
            range(*arguments.seeds),
        )


if __name__ == "__main__":
    main()
