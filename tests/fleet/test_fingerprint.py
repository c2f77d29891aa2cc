"""Fingerprints of code: what is the same to them, what is not, and what they guarantee."""

from __future__ import annotations

import random
import time
from pathlib import Path

import pytest

from grader.fleet.fingerprint import (
    _GRAM,
    _WINDOW,
    fingerprints,
    grams,
    near_copies,
    template_grams,
    tokens,
    winnowed,
)

ROOT = Path(__file__).parents[2]
MASKING = """
def random_masking(x, keep_length, ids_shuffle):
    ids_restore = torch.argsort(ids_shuffle, dim=1)  # the inverse
    mask = torch.ones(x.shape[:2], device=x.device)
    mask[:, :keep_length] = 0
    return index_sequence(x, ids_shuffle[:, :keep_length]), mask.gather(1, ids_restore), ids_restore
"""


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("x = 1", "my_x  =  2.5e3"),
        ("x = 1  # why", "x = 1"),
        ('f("a")', "f(\n  r'''b\nc'''\n)"),
        ("für = σ", "a = b"),
    ],
)
def test_names_numbers_texts_and_comments_are_all_alike(one: str, other: str) -> None:
    """Renaming, reformatting and comments change nothing."""
    assert tokens(one) == tokens(other)


@pytest.mark.parametrize(("one", "other"), [("a + b", "a - b"), ("for a in b:", "while a in b:"), ("a[0]", "a(0)")])
def test_what_the_code_does_counts(one: str, other: str) -> None:
    """Signs and keywords stay."""
    assert tokens(one) != tokens(other)


def test_a_shared_run_leaves_a_shared_fingerprint() -> None:
    """Whatever stands around it, a run of `_GRAM + _WINDOW - 1` common tokens is always seen."""
    numbers = random.Random(3)
    signs = "+-*/%&|^~<>=!:,.;()[]{}"
    for _ in range(50):
        run = " ".join(numbers.choices(signs, k=_GRAM + _WINDOW - 1))
        around = [" ".join(numbers.choices(signs, k=60)) for _ in range(4)]
        first = winnowed(grams(f"{around[0]} {run} {around[1]}"))
        second = winnowed(grams(f"{around[2]} {run} {around[3]}"))

        assert first & second


def test_few_tokens_have_no_fingerprint_and_break_nothing() -> None:
    """Less code than a gram has none; a little more than that has one."""
    assert fingerprints(["x = 1"], frozenset()) == ()
    assert len(fingerprints([" ".join("+" * _GRAM)], frozenset())) == 1
    assert fingerprints([], frozenset()) == ()


def test_the_templates_own_code_is_nobodys() -> None:
    """Code that was handed out leaves no fingerprint; what a student writes between does."""
    templates = template_grams(ROOT / "student_templates")
    handed_out = (ROOT / "student_templates" / "utils_reg.py").read_text(encoding="utf-8")

    assert fingerprints([handed_out], templates) == ()
    assert fingerprints([handed_out + MASKING], templates)


def test_near_copies_are_found_and_others_are_not() -> None:
    """A renamed copy with comments belongs to its original; other ways to solve it do not, nor do equal habits."""
    numbers = random.Random(5)

    def work() -> str:
        lines = [f"v{i} = f({' + '.join(numbers.choices(['a', 'b(c)', '-d', 'e[0]', 'f.g'], k=6))})" for i in range(12)]
        return "\n".join(lines)

    works = {f"s{index}": work() for index in range(12)}
    works["thief"] = "# all mine\n" + works["s3"].replace("v1", "my_v").replace("\n", "  # see?\n", 3)
    prints = {name: fingerprints([text + MASKING], frozenset()) for name, text in works.items()}

    assert near_copies(prints) == [["s3", "thief"]]


def test_copies_of_copies_are_one_group() -> None:
    """Groups are what pairs connect."""
    base = list(range(100))
    prints = {"a": base, "b": [*base[10:], 200], "c": [*base[:80], 300], "d": list(range(1000, 1100))}

    assert near_copies(prints) == [["a", "b", "c"]]


@pytest.mark.parametrize("piece", ['"', "'''", "\\", "'\\", "0.", "r'", "#"])
def test_hostile_text_takes_no_time(piece: str) -> None:
    """Quotes without end and the like are read once from left to right."""
    began = time.process_time()

    fingerprints([piece * 50_000], frozenset())

    assert time.process_time() - began < 20  # quadratic time would be minutes
