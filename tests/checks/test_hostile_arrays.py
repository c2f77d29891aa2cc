"""No array that a student sends can end the run: every judge and every lent helper, in 256 MiB over the start."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


@pytest.mark.parametrize("every", [30, pytest.param(1, marks=pytest.mark.slow)])
def test_hostile_arrays_cost_a_question_and_no_more(every: int) -> None:
    """All of them are refused or judged, by judges that look before they compute, and memory does not run out."""
    walked = subprocess.run(
        [sys.executable, "-m", "tests.checks.hostile_arrays", "--every", str(every)],
        cwd=ROOT,
        env={**os.environ, "MALLOC_ARENA_MAX": "1", "OPENBLAS_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert walked.returncode == 0, walked.stderr[-2000:]
    report = json.loads(walked.stdout.splitlines()[-1])

    assert report["wrong"] == []
    assert report["caught"] == []
    assert report["tried"] > 500
    assert report["grew_mib"] < 256
