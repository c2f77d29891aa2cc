"""No graded path takes the CPU for granted: everything is asked on a second device, which will not mix with it."""

from __future__ import annotations

import functools
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from grader.release.notebooks import edit_notebook, notebook_bytes
from homework.release.sources import solved_modules, solved_notebook
from tests.known import CHECKS

PROGRAM = Path(__file__).with_name("second_device.py")
VISION = [key for key, check in CHECKS.items() if check.part == "vision"]
# Those of the other half whose inputs are tensors; whole runs of meta-learning take no device.
METALEARNING = [
    "meta_update_classification.output",
    "meta_update_classification.gradient",
    "test_classification.output",
]


def ask(checks: Sequence[str], edits: dict[str, str] | None = None, *, forgetful: Sequence[str] = ()) -> dict[str, Any]:
    """Ask checks about the solved notebook with edits; `forgetful` probes compute on the CPU."""
    notebook = edit_notebook(solved_notebook("MAE_student"), edits or {})
    files = {"MAE_student.ipynb": notebook_bytes(notebook).decode(), **solved_modules()}
    done = subprocess.run(
        [sys.executable, "-I", "-B", str(PROGRAM)],
        input=json.dumps({"files": files, "checks": list(checks), "forgetful": list(forgetful)}),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


@functools.cache
def solved() -> dict[str, Any]:
    """Return what comes of all checks for the solved notebook."""
    return ask([*VISION, *METALEARNING])


@pytest.mark.parametrize("key", [*VISION, *METALEARNING])
def test_the_solved_homework_passes_on_another_device(key: str) -> None:
    """Every probe, and every lent helper forward and backward, keeps to the device that it is asked on."""
    for name in (key, f"{key} lent"):
        if name in solved():
            assert solved()[name]["verdict"] == "PASSED", solved()[name]
            assert key in METALEARNING or solved()[name]["strays"] == []


def test_helpers_were_lent_on_the_other_device() -> None:
    """The runs with lent helpers are among them."""
    assert sum(name.endswith(" lent") for name in solved()) >= 10


@functools.cache
def forgetful() -> dict[str, Any]:
    """Return what comes of two probes that move their inputs to the CPU."""
    return ask(
        ["ClassificationViT.forward.output", "patchify.output"], forgetful=["ClassificationViT.forward", "patchify"]
    )


def test_a_probe_with_the_cpu_written_into_it_is_found() -> None:
    """It mixes devices, or brings home values from the wrong one: the tests above would fail for it."""
    assert forgetful()["ClassificationViT.forward.output"]["verdict"] == "ERROR"
    assert forgetful()["patchify.output"]["strays"] == ["patches", "patches"]


EDITS = {
    # a literal without its input's device
    "    shuffled_mask = torch.ones(x.shape[:2], dtype=x.dtype, device=x.device)\n": (
        "    shuffled_mask = torch.ones(x.shape[:2], dtype=x.dtype)\n"
    ),
    # a GPU whatever the machine
    "    shuffled = torch.cat([kept_x, masked_x], dim=1)\n": (
        "    shuffled = torch.cat([kept_x, masked_x], dim=1).cuda()\n"
    ),
    # the right values, built on the CPU
    "    return pixels.reshape(batch, rows * columns, channels * patch_size * patch_size)": (
        "    return pixels.reshape(batch, rows * columns, channels * patch_size * patch_size).cpu()"
    ),
}


@functools.cache
def edited() -> dict[str, Any]:
    """Return what comes of functions with a device written into them, and of one without."""
    return ask(["random_masking.output", "restore_masked.output", "patchify.output", "unpatchify.output"], EDITS)


@pytest.mark.parametrize("key", ["random_masking.output", "restore_masked.output"])
def test_student_code_with_a_device_written_into_it_is_found(key: str) -> None:
    """A literal on the CPU raises where there are two devices, as it does on a machine with a GPU; so does cuda()."""
    assert edited()[key]["verdict"] == "ERROR", edited()[key]
    assert edited()["unpatchify.output"]["verdict"] == "PASSED"


def test_right_values_on_the_cpu_are_right_values() -> None:
    """Who builds a result on the CPU and returns it there gave what was asked for."""
    assert edited()["patchify.output"]["verdict"] == "PASSED"
    assert edited()["patchify.output"]["strays"]
