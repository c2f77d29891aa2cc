"""What the tests of a class share: a class that was graded on paper, and one that is really graded."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from benchmarks.demo_class import make_export_of_kinds
from grader.fleet.record import INFRASTRUCTURE, NOT_HANDED_IN, ungraded
from grader.fleet.schedule import ClassSettings, GradedClass, grade_class
from grader.rubric import load_rubric
from homework.homework import HOMEWORK
from tests.fleet.paper import a_class, a_graded, a_report, a_test, write_rubric


@pytest.fixture(scope="session")
def small_rubric(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two cheap questions."""
    return write_rubric(tmp_path_factory.mktemp("rubric") / "small.yaml")


@pytest.fixture(scope="session")
def paper_class() -> GradedClass:
    """Forty graded submissions of mixed quality, two that could not be graded, one that is not there."""
    numbers = random.Random(9)
    graded = []
    for index in range(40):
        skill = numbers.random()
        tests = []
        for question in range(6):
            is_right = numbers.random() < skill * (1 if question < 5 else 0.4)
            verdict = "PASSED" if is_right else numbers.choice(["FAILED", "FAILED", "ERROR", "MISSING"])
            diagnosis = ["masking.inverted"] if verdict == "FAILED" and question == 1 else []
            tests.append(a_test(f"1.{question}", verdict, points=question + 1.0, diagnosis=diagnosis))
        costs = {"cpu_s": 1 + numbers.random(), "wall_s": 2 + numbers.random(), "peak_mib": 300 + index}
        graded.append(
            a_graded(f"s{index}", a_report(*tests), fingerprints=tuple(range(index * 50, index * 50 + 30)), **costs)
        )
    rubric = load_rubric(HOMEWORK.rubric)
    for name, status in (("bad1", INFRASTRUCTURE), ("bad2", INFRASTRUCTURE), ("gone", NOT_HANDED_IN)):
        record = ungraded(rubric, key=f"key-{name}", content="", status=status, reason="the machine went away")
        results = {**record.results, "tests": graded[0].record.results["tests"], "score": 0.0}
        graded.append(a_graded(name, results, status=status, reason=record.reason))
    return a_class(*graded)


@pytest.fixture(scope="session")
def real_class(tmp_path_factory: pytest.TempPathFactory, small_rubric: Path) -> tuple[ClassSettings, GradedClass]:
    """A class that was really graded: right, wrong, copied, hostile and broken submissions, and one without any."""
    folder = tmp_path_factory.mktemp("class")
    export = make_export_of_kinds(folder / "export", where=str(folder))
    roster = folder / "roster.csv"
    roster.write_text("Name,SID,Email\nNina Nothing,999,nina@example.edu\nAda Abara,3034000000,other@example.edu\n")
    settings = ClassSettings(HOMEWORK, export, folder / "out", workers=2, rubric=small_rubric, roster=roster)
    return settings, grade_class(settings)
