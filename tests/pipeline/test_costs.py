"""
What grading the example costs in things that can be counted: a change that costs more shows here, on any machine.

Where a number changes for a reason, the reason goes into the commit that changes it.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
_MIB = 2**20

# Grades the example in a process of its own, as `./run_autograder` does, and prints what was counted.
_COUNT = """
import json, sys
from pathlib import Path
from unittest import mock

from grader.feedback import results
from grader.pipeline import run
from grader.sandbox.host import Running, Sandbox
from homework.homework import HOMEWORK

counted = {"workers": 0, "cases": 0, "sent": 0, "received": 0, "validated": 0}
begin, outcome_of, validator = Sandbox.begin, Running.outcome, results._validator()

def size(message):
    return sum(array.nbytes for array in message.arrays.values())

def count_begin(self, task, request, **others):
    counted["workers"] += 1
    counted["cases"] += len(request.meta.get("cases", ()))
    counted["sent"] += size(request)
    return begin(self, task, request, **others)

def count_outcome(self):
    outcome = outcome_of(self)
    counted["received"] += size(outcome.message) if outcome.message is not None else 0
    return outcome

class Validator:
    def validate(self, content):
        counted["validated"] += len(content["tests"])
        validator.validate(content)

settings = run.Settings(HOMEWORK, HOMEWORK.rubric, Path(sys.argv[1]))
with (
    mock.patch.object(Sandbox, "begin", count_begin),
    mock.patch.object(Running, "outcome", count_outcome),
    mock.patch.object(results, "_validator", Validator),
):
    report = run.grade_submission(Path("examples/hw4_submission.zip"), settings)
counted["questions"] = len(report.judgements)
counted["imported"] = [name for name in ("torch._dynamo.eval_frame", "pandas", "IPython") if name in sys.modules]
print(json.dumps(counted))
"""


def test_what_grading_the_example_costs(tmp_path: Path) -> None:
    """Processes, calls of student code, bytes that travel, tests that are validated, libraries that nobody needs."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", _COUNT, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    counted = json.loads(done.stdout.splitlines()[-1])

    assert counted["questions"] == 54
    assert counted["workers"] == 64
    assert counted["cases"] == 118
    assert counted["validated"] == 2 * counted["questions"]  # once before grading, once with a verdict
    assert (counted["sent"] // _MIB, counted["received"] // _MIB) == (81, 54)
    assert counted["imported"] == []
