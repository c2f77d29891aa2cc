"""The compiler's stand-in: optimizers are content with it, and whoever compiles gets the compiler."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
_ASLEEP = """
import sys
import torch
from grader.probes.compiler import put_compiler_to_sleep

put_compiler_to_sleep()
"""
_TRAIN = """
layer = torch.nn.Linear(2, 2)
optimizer = torch.optim.AdamW(layer.parameters())
for _ in range(2):
    optimizer.zero_grad()
    layer(torch.ones(1, 2)).sum().backward()
    optimizer.step()
"""
_IS_IMPORTED = "'torch._dynamo.eval_frame' in sys.modules"


@pytest.mark.parametrize(
    ("code", "imported"),
    [
        (_TRAIN + "torch.optim.lr_scheduler.StepLR(optimizer, 1).step()", False),
        ("import torch._dynamo", False),
        ("print(torch.compile(lambda x: 2 * x, backend='eager')(torch.ones(1)).item())" + _TRAIN, True),
        ("import torch._dynamo.config as config\nassert config.recompile_limit > 0" + _TRAIN, True),
        ("torch.func.grad(lambda x: x.sum())(torch.ones(2))" + _TRAIN, True),
    ],
    ids=["training", "importing", "compiling", "its configuration", "torch.func"],
)
def test_the_compiler_comes_in_only_for_who_compiles(code: str, imported: bool) -> None:
    """Training works without it, and what needs it finds the whole of it."""
    program = f"{_ASLEEP}\n{code}\nassert ({_IS_IMPORTED}) is {imported}"

    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
