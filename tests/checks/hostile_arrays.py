"""
Hostile arrays, walked through every judge and every lent helper in a process of little memory.

    python -m tests.checks.hostile_arrays [--memory-mib 256]

Everything goes over a real wire under the caps of its question, as if a worker had sent it. What must hold: nothing
but a refusal of the wire is raised, no judge needs the net that catches its exceptions, and the process stays within
what it may have over its start. The last line is JSON: how much was walked, and how much memory it took.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import resource
import socket
import threading
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from grader import wire
from grader.checks import lending
from grader.checks.exam import Allowance, Check, Exam
from grader.pipeline.ask import caps_of, judge_answers, read_answers
from grader.pipeline.questions import CHECKS
from grader.sandbox.limits import address_space_bytes
from grader.verdicts import Evidence, Verdict
from grader.wire import Array, Arrays, Message

_MIB = 2**20
DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
# What judges look at beside what is expected by name.
_FURTHER: dict[str, tuple[int, ...]] = {"hidden": (), "solver": ()}
_MODELS = ("autoencoder", "vit", "linear", "tuned")
_FEW = 6  # arrays of one answer that are made hostile one by one


def fillings(dtype: str) -> dict[str, Any]:
    """Return values to fill an array with, the odd ones of a dtype among them."""
    values: dict[str, Any] = {"zeros": 0, "ones": 1}
    if dtype.startswith("float"):
        numbers = np.finfo(dtype)
        odd = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf, "denormal": numbers.smallest_subnormal}
        values |= odd | {"max": numbers.max, "min": numbers.min}
    elif dtype != "bool":
        values |= {"max": np.iinfo(dtype).max, "min": np.iinfo(dtype).min}
    return values


def shapes_near(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Return shapes of another rank, empty ones, and such as broadcast or stand for gigabytes."""
    found = [(), (0,), (1,) * 8, (*shape, 1), (1, *shape), shape[1:], shape[::-1], (*shape, 0), (0, *shape)]
    found += [(0, 2**28, 1), (2**30, 0), (2**31, 0), (0, 2**39)]
    for axis, size in enumerate(shape):
        found += [(*shape[:axis], other, *shape[axis + 1 :]) for other in (0, 1, size + 1, 2 * size)]
    return [each for each in dict.fromkeys(found) if each != shape and len(each) <= 8]


def hostile(right: Array) -> Iterator[tuple[str, Array]]:
    """Yield arrays of the right shape with odd content, and of odd shapes."""
    for dtype in DTYPES:
        for name, value in fillings(dtype).items():
            yield f"{dtype} {name}", np.full(right.shape, value, dtype)
    for shape in shapes_near(right.shape):
        if np.prod([max(size, 1) for size in shape], dtype=float) < 1e7 or 0 in shape:
            yield str(shape), np.zeros(shape, "bool" if 0 in shape else "float64")


def plausible(check: Check, exam: Exam) -> Arrays:
    """Return an answer with everything in it that the check's judge may look at, by the wire's names."""
    arrays: Arrays = {}
    for index, case in enumerate(exam.cases):
        named = {**case.expected, **{f"after/{name}": array for name, array in case.inputs.items()}}
        named |= {name: np.ones(shape) for name, shape in _FURTHER.items()}
        named |= {f"gradient/{name}": array for name, array in exam.state.items() if "gradient" in check.aspect}
        if check.aspect == "convergence":
            named |= {f"{model}/{name}": array for model in _MODELS for name, array in exam.state.items()}
        arrays |= {f"{index}/{name}": array for name, array in named.items() if name not in ("sorted", "kept_length")}
    return arrays


def over_the_wire(message: Message, caps: wire.Caps) -> Message:
    """Return a message as the trusted process gets it from a worker."""
    near, far = socket.socketpair()
    with near, far:
        sender = threading.Thread(target=_send, args=(far, message))
        sender.start()
        try:
            return wire.receive(near, caps)
        finally:
            near.close()
            sender.join()


def _send(connection: socket.socket, message: Message) -> None:
    with contextlib.suppress(OSError), connection:  # whoever refuses hangs up
        wire.send(connection, message)


class Walk:
    """Counts what was tried, what the wire refused, and what went wrong."""

    def __init__(self) -> None:
        self.tried = self.refused = 0
        self.wrong: list[str] = []

    def judge(self, check: Check, exam: Exam, arrays: Arrays, what: str, *, diagnosing: bool) -> None:
        """Judge one hostile answer."""
        self.tried += 1
        try:
            message = over_the_wire(Message("answer", {}, arrays), caps_of(exam))
        except wire.WireError:
            self.refused += 1
            return
        try:
            evidence, _ = judge_answers(check, exam, read_answers(message, len(exam.cases)), diagnosing=diagnosing)
        except Exception as error:
            self.wrong.append(f"{check.key}, {what}: {type(error).__name__}: {error}")
            return
        if not isinstance(evidence, Evidence) or evidence.verdict not in (Verdict.FAILED, Verdict.PASSED):
            self.wrong.append(f"{check.key}, {what}: {evidence}")

    def serve(self, lent: lending.Lending, message: Message, caps: wire.Caps, what: str) -> None:
        """Answer one hostile request."""
        self.tried += 1
        try:
            reply = lent.answer(over_the_wire(message, caps))
        except wire.WireError:
            self.refused += 1
            return
        except Exception as error:
            self.wrong.append(f"{what}: {type(error).__name__}: {error}")
            return
        self.refused += "refused" in reply.meta


def walk_judge(walk: Walk, check: Check, exam: Exam) -> None:
    """Make each of the first arrays of an answer hostile by itself, and all of them together."""
    right = plausible(check, exam)
    first = [name for name in right if not name.startswith(("1/", "2/", "3/", "4/", "5/"))]
    outputs = [name for name in first if "/after/" not in name]
    chosen = outputs[:_FEW] + outputs[-1:]
    for name in dict.fromkeys(chosen):
        for what, array in hostile(right[name]):
            walk.judge(check, exam, {**right, name: array}, f"{name}: {what}", diagnosing=False)
    for dtype in DTYPES:
        for filling, value in fillings(dtype).items():
            everything = {name: np.full(array.shape, value, dtype) for name, array in right.items()}
            diagnosing = dtype in ("bool", "float16")
            walk.judge(check, exam, everything, f"all {dtype} {filling}", diagnosing=diagnosing)
    walk.judge(check, exam, {}, "nothing", diagnosing=True)


_SETTINGS: tuple[Any, ...] = (
    {}, [], "x", None, {"patch_size": 0}, {"patch_size": 10**400}, {"patch_size": -1}, {"keep_length": 2**63},
    {"keep_length": -5}, {"d": 2**40, "k_idx": [0]}, {"d": 5, "k_idx": [2**70]}, {"d": 5, "k_idx": [0] * 60_000},
    {"d": [], "k_idx": {}}, {"sizes": [0]}, {"sizes": [3] * 60_000}, {"sizes": [2**63]}, {"sizes": "333"},
)  # fmt: skip


def requests(exams: Mapping[str, Exam]) -> dict[str, tuple[dict[str, Any], Arrays]]:
    """Return a right request to every helper that can be lent: settings and arguments."""
    mae = exams["ClassificationMAE.forward.output"]
    images, rows = np.zeros((3, 3, 32, 32), np.float32), np.tile(np.arange(64), (3, 1))
    patches = np.zeros((3, 64, 256), np.float32)
    state = {f"state/{name.removeprefix('mae.')}": a for name, a in mae.state.items() if name.startswith("mae.")}
    test = {name: np.ones(shape) for name, shape in
            (("feature_weights", 4), ("test/features", (5, 4)), ("test/y", (2, 5)), ("train/3/features", (3, 4)),
             ("train/3/y", (2, 3)))}  # fmt: skip
    update = {"w_t": np.ones(5), "feature_weights_t": np.ones(5), "points": np.zeros(9), "k_val": np.ones(2)}
    restored = {"kept_x": patches[:, :16], "masked_x": patches[:, 16:], "ids_restore": rows}
    return {
        "patchify": ({"patch_size": 4}, {"images": images}),
        "random_masking": ({"keep_length": 16}, {"x": patches, "ids_shuffle": rows}),
        "restore_masked": ({}, restored),
        "MaskedAutoEncoder.forward_encoder_representation": ({}, {"images": images, **state}),
        "expected_test_error_gradient": ({}, {"c": np.ones(2)}),
        "meta_update_classification": ({"d": 5, "k_idx": [0, 3]}, update),
        "test_classification": ({"sizes": [3]}, test),
    }


def walk_helper(walk: Walk, name: str, settings: Any, arrays: Arrays, exam: Exam) -> None:
    """Make each argument of a helper hostile, then its settings, then ask for more than is allowed."""
    caps = caps_of(exam, [name])
    model = exam.settings.get("mae", {})

    def forward(given: Any, sent: Arrays) -> Message:
        return Message("request", {"step": "forward", "name": name, "settings": given}, sent)

    generous = Allowance(calls=10**9, elements=10**12, image_elements=10**12)
    for key in list(arrays)[:_FEW]:
        lent = lending.Lending((name,), model, generous)
        for what, array in hostile(arrays[key]):
            walk.serve(lent, forward(settings, {**arrays, key: array}), caps, f"{name}, {key}: {what}")
            cotangents = {"0": array}
            walk.serve(lent, Message("request", {"step": "backward", "call": lent._requests}, cotangents), caps, what)
    for odd in _SETTINGS:
        walk.serve(lending.Lending((name,), model), forward(odd, arrays), caps, f"{name}, settings {odd!r:.40}")
    walk_allowance(walk, forward(settings, arrays), name, exam)


def walk_allowance(walk: Walk, request: Message, name: str, exam: Exam) -> None:
    """Call as often as is allowed, and once more, with arguments in float64 and all graphs kept."""
    doubled = {key: a.astype(np.float64) if a.dtype.kind == "f" else a for key, a in request.arrays.items()}
    lent = lending.Lending((name,), exam.settings.get("mae", {}), exam.allowance)
    for _ in range(exam.allowance.calls + 1):
        walk.serve(lent, Message("request", request.meta, doubled), caps_of(exam, [name]), f"{name}, often")
    if "refused" not in lent.answer(Message("request", request.meta, doubled)).meta and exam.allowance.calls < 100:
        walk.wrong.append(f"{name}: {exam.allowance.calls + 2} calls were served")


def within(memory_mib: int) -> None:
    """Hold this process to so much address space over what it has now."""
    resource.setrlimit(resource.RLIMIT_AS, (address_space_bytes() + memory_mib * _MIB, resource.RLIM_INFINITY))


def peak_bytes() -> int:
    """Return the largest resident memory so far."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(arguments: Sequence[str] | None = None) -> None:
    """Walk, and say what came of it."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--memory-mib", type=int, default=256)
    memory_mib = parser.parse_args(arguments).memory_mib
    torch.set_num_threads(1)
    complaints: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: complaints.append(record.getMessage())  # type: ignore[method-assign] # no subclass for one line
    logging.getLogger("grader").addHandler(handler)
    exams = {key: check.prepare(torch.Generator().manual_seed(5)) for key, check in CHECKS.items()}
    walk = Walk()
    before = peak_bytes()
    within(memory_mib)
    for key, exam in exams.items():
        walk_judge(walk, CHECKS[key], exam)
    lenders = {name: exams[key] for key, check in CHECKS.items() for name in check.needs}
    right = requests(exams)
    for name in lending._HELPERS:
        chosen = exams["ClassificationMAE.forward.gradient"] if "." in name else lenders[name]
        walk_helper(walk, name, *right[name], chosen)
    report = {"tried": walk.tried, "refused": walk.refused, "wrong": walk.wrong, "caught": complaints}
    print(json.dumps({**report, "grew_mib": round((peak_bytes() - before) / _MIB)}))


if __name__ == "__main__":
    main()
