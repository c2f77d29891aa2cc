"""The ten checks judge: the right notebook passes all, one with a mistake does not, and every grader's words count."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import nbformat
import pytest
from click.testing import CliRunner

from benchmarks.__main__ import main
from benchmarks.clock import Command, CommandFailed, measure
from benchmarks.contenders import (
    FLOOR,
    UNITTEST,
    Contender,
    own_contenders,
    passed_in_gradebook,
    passed_in_results,
    passed_in_unittest,
    verify,
)
from benchmarks.peers import PEERS, REQUIREMENTS, write_nbgrader_notebook
from benchmarks.ten_checks import GRADIENT, KEYS, TenChecks, check_source, definitions_notebook, write_ten_checks
from grader.rubric import load_rubric

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def ten(tmp_path_factory: pytest.TempPathFactory) -> TenChecks:
    """What all graders are given."""
    return write_ten_checks(tmp_path_factory.mktemp("ten"))


def test_nine_values_and_one_gradient_are_asked_for(ten: TenChecks) -> None:
    """Our rubric with only these ten enabled asks the same questions as everybody's data."""
    assert len(KEYS) == 10
    assert [key for key in KEYS if not key.endswith(".output")] == [GRADIENT]
    assert {question.check for question in load_rubric(ten.rubric).questions} == set(KEYS)
    assert {path.stem for path in ten.data.iterdir()} == set(KEYS)


def test_the_notebook_only_defines() -> None:
    """Nothing of it trains, downloads or imports what a peer has not."""
    code = "\n".join(cell.source for cell in definitions_notebook().cells)

    assert "torchvision" not in code
    assert "self_check" not in code
    exec(compile(code, "notebook", "exec"), {"__name__": "notebook"})


def test_unittest_passes_the_right_notebook_and_fails_the_broken_one(ten: TenChecks, tmp_path: Path) -> None:
    """Two checks see an inverted mask: the function's own, and the encoder's."""
    contenders = {item.name: item for item in own_contenders(ten, tmp_path)}

    assert verify(contenders[UNITTEST], ten, tmp_path / "run") == (10, 8)


def test_who_does_not_judge_is_not_measured(ten: TenChecks, tmp_path: Path) -> None:
    """A grader that passes the broken notebook, or nothing, is refused with the numbers."""
    for passed in (10, 0):
        indifferent = Contender("indifferent", lambda _, out: Command(["true"], out), lambda *_, n=passed: n)
        with pytest.raises(CommandFailed, match=f"passed {passed} of the right .* and {passed} of the broken one's"):
            verify(indifferent, ten, tmp_path / "run")


def test_the_floor_makes_the_calls_and_judges_nothing(ten: TenChecks, tmp_path: Path) -> None:
    """It runs on the broken notebook as on the right one; every check is called and none compares."""
    floor = next(item for item in own_contenders(ten, tmp_path) if item.name == FLOOR)

    measure(floor.command(ten.broken, tmp_path), tmp_path / "log")
    calls = (tmp_path / "calls.py").read_text()
    assert all(key in calls for key in KEYS)
    assert "allclose" not in calls


def test_every_peer_asks_the_same_in_the_same_words(ten: TenChecks, tmp_path: Path) -> None:
    """nbgrader's notebook is the student's, with ten locked cells of a point each."""
    write_nbgrader_notebook(ten.solved, ten, tmp_path / "ten.ipynb")

    cells = nbformat.read(tmp_path / "ten.ipynb", as_version=4).cells
    tests = [cell for cell in cells if "nbgrader" in cell.metadata]
    assert [cell.source for cell in tests] == [check_source(key, ten.data) for key in KEYS]
    assert all(cell.metadata["nbgrader"]["points"] == 1 for cell in tests)


def test_points_are_read_from_what_graders_write(tmp_path: Path) -> None:
    """A results.json, a gradebook and the last lines of unittest: what was lost is not counted."""
    results, gradebook = tmp_path / "results.json", tmp_path / "gradebook.db"
    results.write_text('{"tests": [{"score": 1, "max_score": 1}, {"score": 0, "max_score": 2}, {"name": "summary"}]}')
    with sqlite3.connect(gradebook) as connection:
        connection.execute("CREATE TABLE grade (auto_score FLOAT)")
        connection.executemany("INSERT INTO grade VALUES (?)", [(1.0,), (0.0,), (1.0,)])
    connection.close()

    assert passed_in_results(results) == 1
    assert passed_in_gradebook(gradebook) == 2
    assert passed_in_unittest("Ran 10 tests in 1.2s\n\nFAILED (failures=2, errors=1)") == 7
    assert passed_in_unittest("Ran 10 tests in 1.2s\n\nOK") == 10
    assert passed_in_unittest("ModuleNotFoundError: torch") == 0


def test_peers_are_pinned_and_share_our_versions() -> None:
    """A peer is not slower or faster for another torch."""
    ours = "\n".join(path.read_text() for path in (ROOT / "requirements").glob("*.txt")).splitlines()
    lines = [line for line in REQUIREMENTS.read_text().splitlines() if line and not line.startswith("#")]

    assert all("==" in line for line in lines)
    assert [line for line in lines if line.partition("==")[0] not in PEERS and line not in ours] == []


def test_the_command_line_refuses_to_commit_a_part() -> None:
    """What stands in RESULTS.md was measured in one run."""
    done = CliRunner().invoke(main, ["--only", "cold", "--write"])

    assert done.exit_code == 2
    assert "measured in one run" in done.output
