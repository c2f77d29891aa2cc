"""
What reads bytes that a student may have made, each as a target: how to make an input, and what must hold of it.

Every target raises AssertionError, or the error itself, where an input gets an answer that the design does not
allow: anything but a value or a typed error, a report that breaks its schema, or more than the caps.
"""

from __future__ import annotations

import contextlib
import functools
import json
import socket
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, cast

import numpy as np
import torch

from grader import wire
from grader.checks.exam import CaseAnswer, Check, Exam
from grader.checks.lending import Lending
from grader.errors import SubmissionError
from grader.feedback.explain import explain_failure
from grader.feedback.results import build_results, validate_results
from grader.feedback.words import Judgement
from grader.intake.caps import Caps
from grader.intake.documents import read_documents
from grader.intake.holdings import Held
from grader.intake.kinds import Kind
from grader.intake.notebook import read_notebook
from grader.intake.report import SURVEY_CAPS, Note, read_survey
from grader.intake.survey import survey
from grader.intake.unpack import unpack
from grader.pipeline.ask import Asker, judge_answers
from grader.pipeline.questions import wanted_names
from grader.probes.saved import load_outputs
from grader.rubric import Question
from grader.sandbox.host import Sandbox
from grader.sandbox.limits import Limits
from grader.sandbox.outcome import Ending
from grader.verdicts import Evidence
from grader.wire import Arrays, Message
from homework.answers import ANSWERS
from homework.homework import HOMEWORK
from homework.inspections.claims import Claims
from tests.fuzz.mutate import any_array, any_json, damaged_json, mutated
from tests.known import CHECKS

CORPUS = Path(__file__).with_name("corpus")
_CAPS = Caps(entries=50, total_bytes=1 << 20, file_bytes=1 << 19, archives=4, archive_bytes=1 << 20)
# The functions whose checks are drawn in a moment; the judges are the same for all.
_QUICK = [key for key in CHECKS if not key.startswith(("meta_learning", "Masked"))] + [
    "MaskedAutoEncoder.forward_encoder.generality",
    "MaskedAutoEncoder.forward_encoder.gradient",
    "MaskedAutoEncoder.forward_encoder.behaviour",
    "ClassificationMAE.forward.behaviour",
]


@dataclass(frozen=True)
class Target:
    """
    Something that reads.

    Args:
        name: what it is called.
        make: draws an input.
        run: hands it over; raises where the answer is not allowed.
        share: how often it is tried, in relation to the others.
    """

    name: str
    make: Callable[[Random], Any]
    run: Callable[[Any], None]
    share: float = 1.0


@functools.cache
def seeds(kind: str) -> tuple[bytes, ...]:
    """Return the committed inputs of a kind: small honest ones, and those that once broke something."""
    return tuple(path.read_bytes() for path in sorted((CORPUS / kind).iterdir()))


# Bytes that workers read: a worker may end as it likes, but these parsers promise notes instead of exceptions.


def read_archive(data: bytes) -> None:
    """Unpack; whatever the bytes are, what comes out is under the caps."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # zipfile warns of names that are there twice
        into = unpack({"a.zip": data}, HOMEWORK.files, caps=_CAPS)
    assert sum(len(file.data) for file in into.files) <= _CAPS.total_bytes
    assert all(not file.path.startswith("/") and ".." not in file.path.split("/") for file in into.files)


def read_ipynb(data: bytes) -> None:
    """Read a notebook; every cell is text that can be encoded."""
    cells, _ = read_notebook("n.ipynb", data)
    for cell in cells:
        cell.source.encode()


def read_code(data: bytes) -> None:
    """Parse a cell with magics, and a module; a block's statements are those that its source parses to."""
    notes: list[Note] = []
    cell = {"cell_type": "code", "source": data.decode("utf-8", "replace")}
    notebook = json.dumps({"cells": [cell]}).encode()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = [Held("n.ipynb", notebook, Kind.NOTEBOOK), Held("m.py", data, Kind.MODULE)]
        documents = read_documents(files, notes)
        for document in documents:
            for block in document.blocks:
                compile(block.source, "x", "exec", flags=0x400, dont_inherit=True)  # to a tree alone


def read_submission(files: dict[str, bytes]) -> None:
    """Survey a submission; the trusted side can read what an honest survey of any bytes says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        message = survey(files, wanted_names(ANSWERS), HOMEWORK.files, caps=_CAPS)
    read_survey(transmitted(message, SURVEY_CAPS))


def a_submission(random: Random) -> dict[str, bytes]:
    """Return a few files, each near to an honest one of its kind, under any suffix."""
    kinds = {".ipynb": "notebook", ".py": "code", ".zip": "zip", ".pt": "pt"}
    found = {}
    for number in range(random.randint(1, 4)):
        suffix = random.choice(list(kinds))
        content = random.choice(list(kinds.values())) if random.random() < 0.1 else kinds[suffix]
        name = random.choice(("utils_classification", "MAE_student", "autograder", "torch", "ä b", f"n{number}"))
        found[name + suffix] = mutated(random, seeds(content))
    return found


@functools.cache
def _loader() -> tuple[Sandbox, contextlib.ExitStack]:
    stack = contextlib.ExitStack()
    torch.set_num_threads(1)
    return stack.enter_context(Sandbox({"load_outputs": load_outputs})), stack


def close() -> None:
    """End the sandbox in which saved files are loaded, if one was started."""
    if _loader.cache_info().currsize:
        _loader()[1].close()
        _loader.cache_clear()


def load_saved(data: bytes) -> None:
    """Load a saved file in a worker: it may end as it likes, the trusted process goes on, nothing is left."""
    file = np.frombuffer(data, np.uint8)
    outcome = _loader()[0].run(
        "load_outputs", Message("load", {}, {"file": file}), limits=Limits(wall_s=10.0, memory_mib=512)
    )
    assert outcome.ending in Ending
    assert outcome.left_behind == 0
    if outcome.message is not None and outcome.message.kind == "answer":
        judge_saved(outcome.message.arrays)


# What the trusted process reads itself.


def receive(data: bytes) -> None:
    """Read one message: it is a message or one of three errors."""
    near, far = socket.socketpair()
    with near, far:
        far.settimeout(1)
        with contextlib.suppress(TimeoutError):
            far.sendall(data[: 1 << 16])
        far.shutdown(socket.SHUT_WR)
        with contextlib.suppress(wire.WireError, EOFError, TimeoutError):
            message = wire.receive(near, wire.Caps(header_bytes=1 << 16, body_bytes=1 << 16))
            assert all(array.nbytes <= 1 << 16 for array in message.arrays.values())


def transmitted(message: Message, caps: wire.Caps) -> Message:
    """Return a message as it arrives."""
    near, far = socket.socketpair()
    with near, far:
        for end in (near, far):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 22)
        wire.send(near, message, deadline=None)
        return wire.receive(far, caps)


@functools.cache
def an_honest_survey() -> dict[str, Any]:
    """Return the meta of a real survey."""
    files = {f"{index}.ipynb": data for index, data in enumerate(seeds("notebook"))}
    wanted = {"vision": ("patchify", "MaskedAutoEncoder.forward_encoder")}
    return survey(files, wanted, HOMEWORK.files).meta


def believe(meta: Any) -> None:
    """Read a survey: an intake or a SubmissionError."""
    with contextlib.suppress(SubmissionError):
        read_survey(Message("survey", meta, {}))


def explain(meta: Any) -> None:
    """Put a worker's account of an exception into words: the report keeps to its schema."""
    if isinstance(meta, dict):
        check_report(explain_failure(meta, function="unpatchify", not_run={"a": "cell 1"}))


def check_report(evidence: Evidence) -> None:
    """Make results.json of a piece of evidence and validate it."""
    question = Question("vision", "1", "unpatchify.output", 2.0, "t", "a")
    results = build_results(
        [Judgement(question, evidence)], used=[], notes=[], execution_time_s=0.0, extra_data={"device": "cpu"}
    )
    validate_results(results)
    json.dumps(results, allow_nan=False).encode("ascii")
    assert 0.0 <= results["score"] <= 2.0


@functools.cache
def exam_of(key: str) -> tuple[Check, Exam]:
    """Return a check with an exam of it."""
    return CHECKS[key], CHECKS[key].prepare(torch.Generator().manual_seed(1))


def some_answers(random: Random) -> tuple[str, list[Arrays]]:
    """Return a check and, for each of its cases, arrays of which some are right, some damaged, some missing."""
    key = random.choice(_QUICK)
    _, exam = exam_of(key)
    answers = []
    for case in exam.cases:
        right = {**case.expected, **{f"after/{name}": array for name, array in case.inputs.items()}}
        kept = {name: array for name, array in right.items() if random.random() < 0.95}
        answers.append({n: any_array(random, a) if random.random() < 0.6 else a for n, a in kept.items()})
    return key, answers


def judge(given: tuple[str, list[Arrays]]) -> None:
    """Judge and diagnose; arrays of any kind give evidence, never an exception or a warning."""
    key, arrays = given
    check, exam = exam_of(key)
    answers = [CaseAnswer(each) for each in arrays]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        evidence, _ = judge_answers(check, exam, answers, ANSWERS.mistakes)
    check_report(evidence)


class _NothingElse:
    """An asker whose code gives nothing, so that only the saved file is looked at."""

    def fetch(self, *_: object) -> None:
        """Return nothing."""


def judge_saved(arrays: Arrays) -> None:
    """Judge what a saved file holds."""
    claims = Claims(cast(Asker, _NothingElse()))
    claims._saved = arrays
    check_report(claims.judge_accuracies(1.0))
    check_report(claims.judge_outputs(1.0))


def saved_arrays(random: Random) -> Arrays:
    """Return arrays under the names that a saved file's have."""
    keys = ("vit_acc", "mae_linear_acc", "patchify", "random_masking", "restore_masked", "x")
    return {f"{random.choice(keys)}/{random.randint(0, 3)}": any_array(random) for _ in range(random.randint(0, 6))}


_HELPERS = ("patchify", "random_masking", "restore_masked", "MaskedAutoEncoder.forward_encoder_representation")
_SIZES = {"embedding_dim": 8, "n_heads": 2, "n_layers": 1, "feedforward_dim": 12}


def a_request(random: Random) -> list[tuple[dict[str, Any], Arrays]]:
    """Return a few calls of lent helpers, most of them nonsense."""
    images = np.zeros((2, 3, 4, 4), np.float32)
    honest = {"step": "forward", "name": random.choice(_HELPERS), "settings": {"patch_size": 2, "keep_length": 1}}
    calls: list[tuple[dict[str, Any], Arrays]] = []
    for _ in range(random.randint(1, 3)):
        meta = honest if random.random() < 0.4 else damaged_json(random, random.choice((honest, {"call": 0})))
        names = ("images", "x", "ids_shuffle", "ids_restore", "kept_x", "masked_x", "0", "1", "state/cls_token")
        arrays = {random.choice(names): any_array(random, images) for _ in range(random.randint(0, 4))}
        calls.append((meta if isinstance(meta, dict) else {}, arrays))
    return calls


def lend(calls: list[tuple[dict[str, Any], Arrays]]) -> None:
    """Answer calls of lent helpers: each gets a reply that can travel."""
    settings = {"encoder": _SIZES, "decoder": _SIZES, "patch_size": 2, "num_patches": 2}
    lending = Lending(_HELPERS, ANSWERS.helpers, settings)
    for meta, arrays in calls:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            reply = lending.answer(Message("request", meta, arrays))
        assert reply.kind == "reply"
        json.dumps(reply.meta, allow_nan=False)


def _of(kind: str) -> Callable[[Random], bytes]:
    return lambda random: mutated(random, seeds(kind))


TARGETS = (
    Target("zip", _of("zip"), read_archive),
    Target("tar", _of("tar"), read_archive),
    Target("notebook", _of("notebook"), read_ipynb),
    Target("code", _of("code"), read_code, share=0.4),
    Target("submission", a_submission, read_submission, share=0.2),
    Target("pt", _of("pt"), load_saved, share=0.2),
    Target("wire", _of("wire"), receive),
    Target("survey", lambda random: damaged_json(random, an_honest_survey()), believe),
    Target("failure", lambda random: any_json(random, depth=4), explain),
    Target("judge", some_answers, judge, share=0.4),
    Target("saved", saved_arrays, judge_saved, share=0.4),
    Target("lending", a_request, lend, share=0.4),
)
