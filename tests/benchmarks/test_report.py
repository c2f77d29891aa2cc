"""The tables: a miss is called a miss, who did not run says why, and README and RESULTS.md agree."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.clock import Cost
from benchmarks.contenders import FLOOR, OTTER, OURS
from benchmarks.figures import Spread
from benchmarks.metalearning import Comparison
from benchmarks.plots import write_plots
from benchmarks.report import (
    MARKS,
    Target,
    all_tables,
    between_marks,
    commit_tables,
    main_markdown,
    markdown,
    put_between_marks,
    targets,
)
from benchmarks.results import Batch, Classes, Contest, Results
from benchmarks.sections import START

ROOT = Path(__file__).parents[2]


def _costs(*walls: float) -> list[Cost]:
    return [Cost(wall_s, wall_s / 2) for wall_s in walls]


def _results() -> Results:
    """Invented numbers for every section."""
    cold = Contest(
        {FLOOR: _costs(1.0, 2.0), OURS: _costs(2.0, 4.0), OTTER: _costs(7.0, 14.0)},
        failed={"nbgrader": "no such file: /home/somebody/notes/grade.py"},
        passed={OURS: (10, 9), OTTER: (10, 8)},
        peak_mib={FLOOR: 250.0},
    )
    classes = Classes(
        ten={
            "deepgrader, 1 worker": [Batch(8, 8.0, 2.0, 7.0), Batch(8, 8.0, 2.0, 7.0)],
            "deepgrader, 2 workers": [Batch(8, 6.0, 2.0, 7.0), Batch(8, 6.0, 2.0, 7.0)],
            "otter-grader, 1 worker": [Batch(8, 80.0), Batch(8, 80.0)],
        },
        failed={"otter-grader, 2 workers": "no room"},
        calls=_costs(10.0, 10.0),
        apart=_costs(11.0, 11.0),
        whole=[Batch(2, 24.0, 2.0, 9.0), Batch(2, 24.0, 2.0, 9.0)],
    )
    return Results(
        {"cores": "2"},
        2,
        cold=cold,
        whole=Contest({FLOOR: _costs(10.0, 10.0), OURS: _costs(16.0, 16.0)}),
        classes=classes,
        phases={"ten checks": [{START: Cost(1.0, 1.0), "sandbox": Cost(3.0, 2.0)}]},
        growth={workers: [Batch(size, size / workers) for size in (1, 2)] for workers in (1, 2)},
        metalearning=[Comparison("e", 40.0, 1.0, 1, 2, 1e-12, 20.0)],
    )


def test_targets_say_met_and_missed() -> None:
    """Every target stands there with its figure, also those that were not reached or not measured."""
    verdicts = [target.verdict for target in targets(_results())]

    # ten checks; whole homework; class with one and with two; wall and processor time; meta-learning
    assert verdicts == ["met", "MISSED", "met", "not measured", "MISSED", "met", "met"]


@pytest.mark.parametrize(("measured", "verdict"), [(1.49, "met"), (1.5, "met"), (1.51, "MISSED")])
def test_a_limit_is_met_at_the_limit_and_not_past_it(measured: float, verdict: str) -> None:
    """Both sides of the comparison, with less and with more being better."""
    assert Target("time", 1.5, Spread(measured, measured, measured)).verdict == verdict
    assert Target("rate", -1.5, Spread(-measured, -measured, -measured), at_least=True).verdict == verdict


def test_a_missed_target_is_in_every_text() -> None:
    """The table that goes into the README does not leave it out."""
    assert "| whole homework, cold: our time / the floor's | ≤ 1.50 | 1.60 | MISSED |" in main_markdown(_results())


def test_who_did_not_run_has_a_row_with_the_reason_and_no_folder_of_the_machine() -> None:
    """The others are still there."""
    text = markdown(all_tables(_results()))

    assert "| nbgrader: not measured, no such file: grade.py |" in text
    assert "otter-grader, 2 workers: not measured, no room" in text
    assert "/home" not in text
    assert "| deepgrader | 3.00 (2.00–4.00) | 2.00 |" in text


def test_a_section_that_could_not_be_measured_is_named() -> None:
    """Nobody takes it for one that was not asked for."""
    results = Results({}, 1, whole=_results().whole, failed={"cold": "no torch in /opt/somewhere/lib"})

    assert "Could not be measured: cold, no torch in lib" in main_markdown(results)


def test_a_report_of_one_section_has_only_that() -> None:
    """What was not asked for has no table and no target."""
    results = Results({}, 1, whole=_results().whole)

    assert [table.title for table in all_tables(results)] == ["Targets", "The whole homework, cold"]


def test_the_same_table_goes_into_readme_and_results(tmp_path: Path) -> None:
    """Between the marks, and nothing else of the README changes; one without marks is left alone."""
    (tmp_path / "benchmarks").mkdir()
    readme = tmp_path / "README.md"
    readme.write_text(f"before\n{MARKS[0]}\nold\n{MARKS[1]}\nafter\n")

    commit_tables(_results(), tmp_path)

    inside = between_marks(readme.read_text())
    assert inside == between_marks((tmp_path / "benchmarks" / "RESULTS.md").read_text()) == main_markdown(_results())
    assert readme.read_text().startswith("before\n")
    assert readme.read_text().endswith("after\n")
    assert put_between_marks("no marks", "new") == "no marks"


def test_the_committed_tables_agree() -> None:
    """The README shows what RESULTS.md has, where both are there."""
    report = ROOT / "benchmarks" / "RESULTS.md"
    shown = between_marks((ROOT / "README.md").read_text(encoding="utf-8"))
    if not report.exists() or shown is None:
        pytest.skip("nothing was committed yet")

    assert shown == between_marks(report.read_text(encoding="utf-8"))


def test_pictures_are_drawn_for_what_was_measured(tmp_path: Path) -> None:
    """Bars of the ten checks and of a class, lines of growth."""
    assert write_plots(_results(), tmp_path) == ["cold.png", "class.png", "growth.png"]
    assert all((tmp_path / name).read_bytes().startswith(b"\x89PNG") for name in ("cold.png", "class.png"))
    assert write_plots(Results({}, 1), tmp_path) == []
