"""Code that is run for its effect has a budget of lines, so that a loop without end costs nothing but itself."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator

import pytest

from grader.probes.lines import MOST_LINES, TooManyLines, budget_of_lines
from grader.probes.student import Cell, Code, Student, load


@pytest.fixture(autouse=True)
def _clean_imports() -> Iterator[None]:
    """Take out of the process what a test's student code put into the import system."""
    finders, modules = list(sys.meta_path), dict(sys.modules)
    yield
    sys.meta_path[:] = finders
    for name in [name for name in sys.modules if name not in modules]:
        del sys.modules[name]


def student_of(source: str, modules: dict[str, str] | None = None) -> Student:
    """Run every statement of a cell."""
    steps = [(0, step) for step in range(len(ast.parse(source).body))]
    return load(Code([Cell("nb.ipynb, code cell 1", source)], steps, modules or {}), {})


def count(lines: int, *, budget: int) -> int:
    """Run a loop of so many turns under a budget, and return how many it took."""
    done = 0
    with budget_of_lines(lambda file: file == "<counted>", budget):
        space = {"seen": []}
        exec(compile(f"for i in range({lines}):\n    seen.append(i)", "<counted>", "exec"), space)
        done = len(space["seen"])
    return done


def test_what_fits_runs_whole_and_one_line_more_does_not() -> None:
    """Two lines for each turn, and one at the end."""
    assert count(10, budget=21) == 10
    with pytest.raises(TooManyLines, match="stopped after 20 lines"):
        count(10, budget=20)


def test_lines_of_libraries_are_not_counted() -> None:
    """A call is a line, whatever it does inside."""
    with budget_of_lines(lambda file: file == "<counted>", 3):
        exec(compile("import textwrap\ntextwrap.dedent('  a\\n' * 100)", "<counted>", "exec"), {})


def test_tracing_is_as_before_afterwards() -> None:
    """Whoever measures or debugs goes on doing so."""
    before = sys.gettrace()
    with pytest.raises(TooManyLines):
        count(10, budget=1)
    assert sys.gettrace() is before


@pytest.mark.parametrize(
    "loop",
    ["while T:\n    T[0] += 1", "for i in iter(int, 1):\n    T[0] += 1", "go(T)"],
    ids=["while", "for", "function"],
)
def test_a_loop_without_end_costs_its_own_table(loop: str) -> None:
    """It is stopped, also inside an own function, and whoever misses the table is told."""
    student = student_of(f"def go(t):\n    while True:\n        t[0] += 1\nT = [1]\n{loop}\ndef f(): return 1")

    assert student.get("f")() == 1
    assert isinstance(student.failures["T"], TooManyLines)


def test_a_module_runs_as_python_runs_it_under_the_same_budget() -> None:
    """Loops fill tables, prints print, and training without end stops."""
    loops = f"for i in range(3):\n    T.append(i)\nfor i in range({MOST_LINES}):\n    T[0] = i\n"
    source = f"T = []\n{loops}print('ready')\ndef g(): return T"
    student = student_of("from tools import g", {"tools": source})

    assert student.get("g")()[1:] == [1, 2]
    assert isinstance(student.failures["T"], TooManyLines)
