"""Every misconception, in the solved homework, is caught in exactly the questions that it is about."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from grader.pipeline.homework import Part
from grader.trust.cases import Changes, parts_of, questions_of
from grader.trust.catalogue import WrongSubmission, right_variants, wrong_submissions
from grader.trust.harness import Bench
from grader.trust.rewrite import rewritten
from grader.trust.wrong import wrong_changes
from homework.homework import HOMEWORK
from tests.known import CATALOGUE, VISION
from tests.trust.affected import affected_checks
from tests.trust.diagnosing import Diagnosed, cases_of, diagnosed

# Those whose diagnosis is known: one for each misconception.
WRONG = [each for each in wrong_submissions(HOMEWORK) if each.hint_id]
# Asked in an ordinary run: small ones, of each kind of edit.
QUICK = {
    "unpatchify.transposed",
    "restore_masked.masked-first",
    "expected_test_error.half-forgotten",
    "meta_update_classification.weights-detached",
}
QUICK_DIAGNOSES = {
    "rewritten": ["restore_masked.inverse-permutation", "meta_update_classification.sign-in-the-exponent"],
    "by hand": ["random_masking.mask-inverted", "expected_test_error_gradient.half-forgotten"],
}


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    """Return a bench for all tests of this file."""
    with Bench(HOMEWORK) as bench:
        yield bench


def test_every_misconception_has_its_submission() -> None:
    """None is forgotten, each costs checks that there are, all of one part, and its own function's among them."""
    assert [each.id for each in WRONG] == [entry.id for entry in CATALOGUE]
    for wrong, entry in zip(WRONG, CATALOGUE, strict=True):
        part = {question.check for question in questions_of(HOMEWORK, part_of(wrong.changes))}
        assert wrong.fails, wrong.id
        assert wrong.fails <= part, wrong.id
        assert any(check.rpartition(".")[0] == entry.function for check in wrong.fails), wrong.id
        assert any(check == f"{entry.function}.{aspect}" for check in wrong.fails for aspect in entry.aspects), wrong.id


def part_of(changes: Changes) -> Part:
    """Return the one part that changes are about."""
    (part,) = parts_of(HOMEWORK, changes)
    return part


@pytest.mark.parametrize(
    "wrong",
    [pytest.param(each, marks=[pytest.mark.slow] * (each.id not in QUICK)) for each in WRONG],
    ids=lambda each: each.id,
)
def test_a_mistake_is_caught_in_exactly_its_questions(bench: Bench, wrong: WrongSubmission) -> None:
    """It fails what it must and nothing else, and the report names it and no other mistake."""
    reached = affected_checks(wrong.changes, part_of(wrong.changes))
    assert wrong.fails <= reached

    found = bench.grade(wrong.changes, keep=lambda question: question.check in reached)

    assert {check for check, outcome in found.items() if not outcome.passed} == wrong.fails
    named = {name for outcome in found.values() for name in outcome.diagnosis}
    assert named == {wrong.hint_id}


@pytest.mark.parametrize("way", QUICK_DIAGNOSES)
def test_a_mistake_is_named_in_code_that_looks_different(bench: Bench, way: str) -> None:
    """Names, order, idioms and layout do not matter, for values decide."""
    found = diagnosed(bench, QUICK_DIAGNOSES[way], way)

    assert all(each.is_right for each in found), found


@pytest.mark.slow
@pytest.mark.parametrize("way", QUICK_DIAGNOSES)
def test_at_least_nine_in_ten_are_named_and_none_is_named_wrongly(bench: Bench, way: str) -> None:
    """Over the whole catalogue, in code that looks different."""
    found: list[Diagnosed] = diagnosed(bench, cases_of(way), way)

    assert [each for each in found if each.is_wrong] == []
    assert [each for each in found if not each.lost] == []
    assert sum(each.is_right for each in found) >= 0.9 * len(found)


def test_rewriting_changes_names_order_and_idioms_and_keeps_values() -> None:
    """Arguments keep their names; what is computed stays the same."""
    lines = ("'Words.'", "a = x + 1", "b = y * 2", "c = abs(a) if a < b else b", "return c, [v for v in (a, b)]")
    source = "\n    ".join(["def f(x, y):", *lines])
    different = rewritten(source)
    spaces: list[dict[str, object]] = [{}, {}]
    for text, space in zip((source, different), spaces, strict=True):
        exec(text, space)

    assert "Words" not in different
    assert "my_a" in different
    assert different.index("my_b =") < different.index("my_a =")
    assert spaces[0]["f"](5, 1) == spaces[1]["f"](5, 1) == (2, [6, 2])  # type: ignore[operator]  # functions


def test_a_change_reaches_what_calls_it_and_nothing_else() -> None:
    """A method's questions, and those of what is built on it; a helper reaches all that use it."""
    decoder = wrong_changes(HOMEWORK)["MaskedAutoEncoder.forward_decoder.last-token-dropped"][0]
    masking = wrong_changes(HOMEWORK)["random_masking.mask-inverted"][0]

    assert {check.rpartition(".")[0] for check in affected_checks(decoder, VISION)} == {
        "MaskedAutoEncoder.forward_decoder"
    }
    assert {check.rpartition(".")[0] for check in affected_checks(masking, VISION)} == {
        "random_masking",
        "MaskedAutoEncoder.forward_encoder",
    }
    assert affected_checks(Changes(), VISION) == frozenset()


def test_there_are_forty_right_variants_and_more() -> None:
    """Their names are unique; what they lose is other sizes alone."""
    variants = right_variants(HOMEWORK)

    assert len(variants) >= 40
    assert len({each.id for each in variants}) == len(variants)
    assert all(check.endswith(".generality") for each in variants for check in each.loses)
