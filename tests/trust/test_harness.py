"""The bench: changed solutions, graded in one sandbox."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from grader.errors import StaffError
from grader.trust.cases import Changes, read_case
from grader.trust.harness import Bench, of
from grader.verdicts import Verdict
from homework.homework import HOMEWORK


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """Return a bench for all tests of this file."""
    with Bench(HOMEWORK) as bench:
        yield bench


def test_a_mistake_is_found_in_the_questions_that_are_kept(bench: Bench) -> None:
    """Only kept questions are asked, and a changed body is what they are asked of."""
    wrong = Changes(bodies={"restore_masked": "return index_sequence(torch.cat([masked_x, kept_x], 1), ids_restore)"})

    found = bench.grade(wrong, keep=of("restore_masked.generality", "unpatchify.generality"))

    assert found.keys() == {"restore_masked.generality", "unpatchify.generality"}
    assert found["restore_masked.generality"].verdict is Verdict.FAILED
    assert found["restore_masked.generality"].fraction == 0
    assert found["restore_masked.generality"].diagnosis == ("restore_masked.masked-first",)
    assert found["unpatchify.generality"].passed


def test_one_sandbox_takes_submission_after_submission(bench: Bench) -> None:
    """What one submission changed is not there in the next, in either half."""
    small = of("restore_masked.generality", "aliased_coefficients.output")

    first = bench.grade(Changes(bodies={"restore_masked": "return kept_x"}), keep=small)
    second = bench.grade(Changes(), keep=small)

    assert [outcome.passed for outcome in first.values()] == [False, True]
    assert [outcome.passed for outcome in second.values()] == [True, True]


def test_a_time_limit_holds_for_every_question(bench: Bench) -> None:
    """Code that hangs is given up after the limit asked for."""
    endless = Changes(bodies={"restore_masked": "while True:\n    pass"})

    found = bench.grade(endless, keep=of("restore_masked.generality"), time_limit_s=1.0)

    assert found["restore_masked.generality"].verdict is Verdict.TIMEOUT


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("about: x\nlooses: [patchify]\n", "unknown keys"),
        ("about: x\nloses: [patchyfy]\n", "no check or function"),
        ("about: x\n", "loses something exactly where"),
    ],
)
def test_a_case_with_a_slip_in_it_is_refused(tmp_path: Path, text: str, complaint: str) -> None:
    """Unknown keys and checks, and a failed case that loses nothing, are errors and not silence."""
    path = tmp_path / "failed" / "case.yaml"
    path.parent.mkdir()
    path.write_text(text, encoding="utf-8")

    with pytest.raises(StaffError, match=complaint):
        read_case(HOMEWORK, path)
