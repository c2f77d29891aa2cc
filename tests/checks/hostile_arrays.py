"""
Hostile arrays, walked through every judge and every lent helper in a process of little memory.

    MALLOC_ARENA_MAX=1 python -m tests.checks.hostile_arrays [--memory-mib 256] [--every 1]

Everything goes over a real wire under the caps of its question, as if a worker had sent it. What must hold: nothing
but a refusal of the wire is raised, no judge needs the net that catches its exceptions, and the process stays within
what it may have over its start. The last line is JSON: how much was walked, and how much memory it took. With
`--every n`, only each n-th of the hostile arrays is tried.

Threads send here, and each would get 64 MiB of addresses for a heap of its own: hence MALLOC_ARENA_MAX.
"""

from __future__ import annotations

import argparse
import contextlib
import itertools
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
from grader.sandbox.limits import address_space_bytes
from grader.verdicts import Evidence, Verdict
from grader.wire import Array, Arrays, Message
from homework.answers import ANSWERS
from homework.checks.convergence import CONVERGENCE_CHECKS
from homework.checks.lending import HELPERS
from tests.checks.convergence_code import solved
from tests.checks.convergence_lab import train
from tests.known import CHECKS

_MIB = 2**20
DTYPES = ("bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64")
# What judges look at beside what is expected by name.
_FURTHER: dict[str, tuple[int, ...]] = {"hidden": (), "solver": ()}
_MANY_CALLS = 300
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
    if check.key in {each.key for each in CONVERGENCE_CHECKS}:
        return train(check, exam, solved()).arrays
    arrays: Arrays = {}
    for index, case in enumerate(exam.cases):
        named = {**case.expected, **{f"after/{name}": array for name, array in case.inputs.items()}}
        named |= {name: np.ones(shape) for name, shape in _FURTHER.items()}
        named |= {f"gradient/{name}": array for name, array in exam.state.items() if check.aspect == "gradient"}
        arrays |= {f"{index}/{name}": array for name, array in named.items()}
    return arrays


def chosen(check: Check, exam: Exam, names: Sequence[str]) -> list[str]:
    """Return the arrays of the first case that are made hostile one by one: a few of each kind."""
    first = [name for name in names if name.startswith("0/") and "/after/" not in name]
    if not exam.settings.get("looked_at"):
        return list(dict.fromkeys([*first[:_FEW], *first[-1:]]))
    step = f"/{exam.settings['looked_at'][0]}/"
    kinds = (f"{step}mask", f"{step}weights/", f"{step}gradient/")
    at_the_step = [next((name for name in first if kind in name), "") for kind in kinds]
    return [name for name in (first[-1], *at_the_step) if name]


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
            mistakes = ANSWERS.mistakes if diagnosing else None
            evidence, _ = judge_answers(check, exam, read_answers(message, len(exam.cases)), mistakes)
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


def walk_judge(walk: Walk, check: Check, exam: Exam, right: Arrays, every: int) -> None:
    """Make some arrays of an answer hostile, each by itself, and then all of them together."""
    for name in chosen(check, exam, list(right)):
        # A training that is looked at in full takes half a second.
        for what, array in itertools.islice(
            hostile(right[name]), 0, None, every * (4 if not exam.cases[0].expected else 1)
        ):
            walk.judge(check, exam, {**right, name: array}, f"{name}: {what}", diagnosing=False)
    everything = [(dtype, *filling) for dtype in DTYPES for filling in fillings(dtype).items()]
    for dtype, what, value in everything[::every]:
        arrays = {name: np.full(array.shape, value, dtype) for name, array in right.items()}
        walk.judge(check, exam, arrays, f"all {dtype} {what}", diagnosing=dtype in ("bool", "float16"))
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


def walk_helper(walk: Walk, name: str, settings: Any, arrays: Arrays, exam: Exam, every: int) -> None:
    """Make each argument of a helper hostile, then its settings, then ask for more than is allowed."""
    caps = caps_of(exam, [name])

    def forward(given: Any, sent: Arrays) -> Message:
        return Message("request", {"step": "forward", "name": name, "settings": given}, sent)

    generous = Allowance(calls=10**9, elements=10**12, image_elements=10**12)
    for key in list(arrays)[:_FEW]:
        lent = lending.Lending((name,), HELPERS, exam.settings, generous)
        for what, array in itertools.islice(hostile(arrays[key]), 0, None, every):
            walk.serve(lent, forward(settings, {**arrays, key: array}), caps, f"{name}, {key}: {what}")
            backward = {"step": "backward", "call": lent._requests - 1}
            walk.serve(lent, Message("request", backward, {"0": array}), caps, what)
    for odd in _SETTINGS:
        lent = lending.Lending((name,), HELPERS, exam.settings)
        walk.serve(lent, forward(odd, arrays), caps, f"{name}, settings {odd!r:.40}")
    walk_allowance(walk, forward(settings, arrays), name, exam)


def walk_allowance(walk: Walk, request: Message, name: str, exam: Exam) -> None:
    """Call as often as is allowed, with arguments in float64 and all graphs kept; once more is refused."""
    doubled = {key: a.astype(np.float64) if a.dtype.kind == "f" else a for key, a in request.arrays.items()}
    lent = lending.Lending((name,), HELPERS, exam.settings, exam.allowance)
    most = lent._most_calls(name)
    for _ in range(min(most, _MANY_CALLS)):
        walk.serve(lent, Message("request", request.meta, doubled), caps_of(exam, [name]), f"{name}, often")
    if most <= _MANY_CALLS and "refused" not in lent.answer(Message("request", request.meta, doubled)).meta:
        walk.wrong.append(f"{name}: more than {most} calls were served")


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
    parser.add_argument("--every", type=int, default=1)
    options = parser.parse_args(arguments)
    torch.set_num_threads(1)
    np.seterr(all="ignore")
    caught: list[str] = []
    handler = logging.Handler()
    handler.emit = lambda record: caught.append(f"{record.getMessage()} {record.exc_info}")  # type: ignore[method-assign] # no subclass for one line
    logging.getLogger("grader").addHandler(handler)
    exams = {key: check.prepare(torch.Generator().manual_seed(5)) for key, check in CHECKS.items()}
    answers = {key: plausible(CHECKS[key], exam) for key, exam in exams.items()}
    walk = Walk()
    before = peak_bytes()
    within(options.memory_mib)
    for key, exam in exams.items():
        walk_judge(walk, CHECKS[key], exam, answers[key], options.every)
    lenders = {name: exams[key] for key, check in CHECKS.items() for name in check.needs}
    right = requests(exams)
    for name in HELPERS:
        exam = exams["ClassificationMAE.forward.gradient"] if "." in name else lenders[name]
        walk_helper(walk, name, *right[name], exam, options.every)
    report = {"tried": walk.tried, "refused": walk.refused, "wrong": walk.wrong, "caught": caught}
    print(json.dumps({**report, "grew_mib": round((peak_bytes() - before) / _MIB)}))


if __name__ == "__main__":
    main()
