"""Grading on a GPU: what can be shown without one, and what is shown only where there is one (marked `gpu`)."""

from __future__ import annotations

import ast
import json
import os
import socket
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from grader import wire
from grader.audit.run import Settings as AuditSettings
from grader.audit.run import audit_submission
from grader.pipeline.run import Settings, grade_submission
from grader.probes.device import prepare
from grader.release.notebooks import notebook_bytes
from grader.rubric import load_rubric
from grader.sandbox.host import Sandbox
from grader.sandbox.limits import Limits
from grader.sandbox.outcome import Ending
from grader.verdicts import Verdict
from homework.homework import HOMEWORK
from homework.release.sources import solved_notebook

ROOT = Path(__file__).parents[2]
# Where CUDA may be spoken to: in workers, after the fork.
SPEAKS_TO_CUDA = {"grader/probes/device.py"}
# Calibration grades nobody: it computes in its own process, and asks for a GPU there.
GRADES_NOBODY = {"grader/trust/calibration.py", "grader/trust/recompute.py"}
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a worker a uid of its own")


def run_source(request: wire.Message, _: socket.socket) -> wire.Message:
    """Run the request's source and send its `answer` home."""
    space: dict[str, Any] = {"answer": {}}
    exec(request.meta["source"], space)
    return wire.Message("answer", space["answer"])


def test_only_workers_speak_to_cuda() -> None:
    """The zygote must not start CUDA, so no source names torch.cuda but what runs after the fork."""
    found = set()
    for path in (path for room in ("grader", "homework") for path in (ROOT / room).rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Attribute) and node.attr == "cuda" and ast.unparse(node.value) == "torch":
                found.add(str(path.relative_to(ROOT)))

    assert found == SPEAKS_TO_CUDA | GRADES_NOBODY


def test_importing_all_that_workers_do_does_not_start_cuda() -> None:
    """Neither torch nor a library that is imported early starts it by itself."""
    source = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from grader.pipeline.run import worker_tasks\n"
        "from homework.homework import HOMEWORK\n"
        "import torch\n"
        "worker_tasks(HOMEWORK)\n"
        "assert not torch.cuda.is_initialized()\n"
    )
    done = subprocess.run([sys.executable, "-I", "-B", "-c", source, str(ROOT)], capture_output=True, text=True)

    assert done.returncode == 0, done.stderr


def test_on_the_cpu_nothing_is_set() -> None:
    """Deterministic algorithms fill uninitialised memory, which costs time and changes what students see."""
    before = torch.are_deterministic_algorithms_enabled()

    assert prepare("cpu", memory_mib=1).type == "cpu"
    assert torch.are_deterministic_algorithms_enabled() is before


def test_on_a_gpu_float32_is_float32_and_the_memory_is_shared_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """TF32 and benchmarks are off, operations repeatable, and a worker gets its limit's share of the memory."""
    shares = []

    class Properties:
        total_memory = 80 * 2**30

    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: Properties)
    monkeypatch.setattr(torch.cuda, "set_per_process_memory_fraction", lambda share, _: shares.append(share))
    for backend in (torch.backends.cuda.matmul, torch.backends.cudnn):
        monkeypatch.setattr(backend, "allow_tf32", True)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", True)
    try:
        prepare("cuda", memory_mib=1024)
        prepare("cuda", memory_mib=10**6)
        state = (
            torch.backends.cuda.matmul.allow_tf32,
            torch.backends.cudnn.allow_tf32,
            torch.backends.cudnn.benchmark,
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        )
    finally:
        torch.use_deterministic_algorithms(False)

    assert state == (False, False, False, True, True)
    assert shares == [1 / 80, 1.0]


@needs_root
def test_memory_is_watched_from_outside_where_cuda_wants_its_address_space() -> None:
    """Without a limit on the address space, what a worker really holds is looked at, and ends it."""
    hog = "kept = [b'x' * (1 << 20) for _ in range(2000)]\nimport time; time.sleep(20)"
    with Sandbox({"source": run_source}, cuda=True) as sandbox:
        assert not sandbox.walls.limit_memory
        limits = Limits(wall_s=30.0, memory_mib=256)
        # As CUDA does it: reserved without being backed by memory (MAP_NORESERVE).
        kind = "mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x4000"
        reserve = (
            f"import mmap; space = mmap.mmap(-1, 64 << 30, flags={kind}, prot=mmap.PROT_READ); answer['ok'] = True"
        )
        reserved = sandbox.run("source", wire.Message("run", {"source": reserve}), limits=limits)
        held = sandbox.run("source", wire.Message("run", {"source": hog}), limits=limits)

    assert reserved.ending is Ending.ANSWERED
    assert held.ending is Ending.MEMORY


@needs_root
def test_workers_see_the_gpus_that_the_grader_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    """With CUDA, what chooses the GPU is handed on, and sums are made repeatable; without, neither is there."""
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    source = "import os; answer.update({name: value for name, value in os.environ.items() if name.startswith('CU')})"
    seen = []
    for cuda in (True, False):
        with Sandbox({"source": run_source}, cuda=cuda) as sandbox:
            outcome = sandbox.run("source", wire.Message("run", {"source": source}), limits=Limits())
        assert outcome.message is not None
        seen.append(outcome.message.meta)

    assert seen == [{"CUDA_VISIBLE_DEVICES": "3", "CUBLAS_WORKSPACE_CONFIG": ":4096:8"}, {}]


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    """Return the solved vision notebook in a folder."""
    folder = tmp_path / "submission"
    folder.mkdir()
    (folder / "MAE_student.ipynb").write_bytes(notebook_bytes(solved_notebook("MAE_student")))
    return folder


@pytest.mark.gpu
def test_the_solved_homework_passes_on_a_gpu(submission: Path, tmp_path: Path) -> None:
    """Every vision question with points passes there, and twice with the same verdicts."""
    rubric = load_rubric(HOMEWORK.rubric)
    asked = tuple(question for question in rubric.questions if question.part == "vision" and question.points)
    settings = Settings(homework=HOMEWORK, rubric=replace(rubric, questions=asked), out=tmp_path / "out", device="cuda")

    for _ in range(2):
        report = grade_submission(submission, settings)
        assert {item.evidence.verdict for item in report.judgements} == {Verdict.PASSED}
    assert not torch.cuda.is_initialized()


@pytest.mark.gpu
def test_a_worker_cannot_take_more_of_a_gpu_than_its_limit() -> None:
    """So that several workers fit on one."""
    source = """
from grader.probes.device import prepare
import torch
device = prepare("cuda", memory_mib=512)
torch.ones(64 << 20, device=device)
try:
    torch.ones(256 << 20, device=device)
except torch.OutOfMemoryError:
    answer["refused"] = True
"""
    with Sandbox({"source": run_source}, cuda=True) as sandbox:
        outcome = sandbox.run("source", wire.Message("run", {"source": source}), limits=Limits(wall_s=60.0))

    assert outcome.message is not None
    assert outcome.message.meta == {"refused": True}


@pytest.mark.gpu
def test_an_audit_computes_on_a_gpu(tmp_path: Path) -> None:
    """The notebook's kernel has the GPU inside its walls."""
    source = "import torch\nprint(torch.ones(3).cuda().sum().item(), torch.backends.cuda.matmul.allow_tf32)"
    outputs = [{"output_type": "stream", "name": "stdout", "text": "3.0 False\n"}]
    cell = {"cell_type": "code", "source": source, "execution_count": 1, "outputs": outputs}
    (tmp_path / "a.ipynb").write_text(json.dumps({"cells": [cell], "nbformat": 4}))

    audit = audit_submission(tmp_path, AuditSettings(HOMEWORK, device="cuda"))

    assert audit.notebooks[0].cells[0].verdict == "same"
