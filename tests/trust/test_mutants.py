"""Mutants: what is changed in a toy function, and what counts in the score."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from grader.contract import Function
from grader.errors import StaffError
from grader.trust.mutants import Mutant, find_function, mutants_of
from grader.trust.mutation import Fate, Judgements, Placed, Score, read_judgements
from homework.homework import HOMEWORK

TOY = '''import torch


def toy(x, y, k):
    """Docstrings, even with 1 + 1 in them, stay."""
    if x is None:
        x = y  # é: columns count bytes
    é, parts = 1.5, torch.cat([x, y[:, 1:k]], dim=1)
    parts = parts[:, :k] - é
    return parts.mean(dim=0), k


class Holder:
    def method(self, x):
        return self.encoder(x) * 2
'''


def changes(name: str = "toy") -> dict[str, str]:
    """Return the mutants of the toy, new text by kind and new lines."""
    return {mutant.after: mutant.operator for mutant in mutants_of(TOY, name)}


@pytest.mark.parametrize(
    ("after", "operator"),
    [
        ("if (x is not None):", "comparison"),
        ("if True:", "condition"),
        ("pass", "dropped statement"),
        ("x = k", "swapped name"),
        ("é, parts = 2.5, torch.cat([x, y[:, 1:k]], dim=1)", "constant"),
        ("é, parts = (-1.5), torch.cat([x, y[:, 1:k]], dim=1)", "constant"),
        ("é, parts = 1.5, torch.cat([y[:, 1:k], x], dim=1)", "swapped elements"),
        ("é, parts = 1.5, torch.cat([x, y[:, 1:k]], dim=-1)", "dimension"),
        ("é, parts = 1.5, torch.cat([x, y[:, 1:k]])", "dropped argument"),
        ("é, parts = 1.5, ([x, y[:, 1:k]])", "dropped call"),
        ("é, parts = 1.5, torch.cat([x, y[:, 2:k]], dim=1)", "constant"),
        ("parts = (parts[:, :k] + é)", "operator"),
        ("parts = parts[:, :k]", "dropped operand"),
        ("parts = (é - parts[:, :k])", "swapped operands"),
        ("parts = parts[:, k:] - é", "slice"),
        ("parts = parts[:, :k + 1] - é", "slice"),
        ("return parts.sum(dim=0), k", "other function"),
        ("return parts, k", "dropped call"),
        ("return (k, parts.mean(dim=0))", "swapped elements"),
    ],
)
def test_the_kinds_of_change(after: str, operator: str) -> None:
    """Each kind makes the line that it should, in the right place even after letters of two bytes."""
    assert changes().get(after) == operator


def test_methods_are_changed_too() -> None:
    """A method is found by its class; an attribute that has a twin is taken for it."""
    assert changes("Holder.method")["return self.decoder(x) * 2"] == "swapped attribute"


def test_a_mutant_is_the_text_with_one_change() -> None:
    """Every mutant compiles, is different from all others, and leaves the docstring and other functions alone."""
    mutants = mutants_of(TOY, "toy")

    assert len({mutant.source for mutant in mutants}) == len(mutants)
    for mutant in mutants:
        compile(mutant.source, "toy", "exec")
        assert '"""Docstrings, even with 1 + 1 in them, stay."""' in mutant.source
        assert mutant.source.endswith(TOY[TOY.index("class Holder") :])


def test_lines_that_read_the_same_are_counted() -> None:
    """The second of two mutants with the same lines has a number of its own."""
    diffs = [mutant.diff for mutant in mutants_of("def f(x):\n    x += 1\n    x += 1\n", "f")]

    assert "x += 1 → pass" in diffs
    assert "x += 1 → pass (no. 2)" in diffs


def test_a_function_that_is_not_there() -> None:
    """It has no mutants, and saying so is better than none."""
    assert find_function(TOY, "Holder.other") is None
    with pytest.raises(LookupError, match="other"):
        mutants_of(TOY, "other")


def fate(name: str, caught_by: str = "") -> Fate:
    """Return the fate of a mutant whose id is "f: <name> → b"."""
    return Fate(Placed(Function("f", "vision", "n.ipynb"), Mutant("f", "constant", name, "b", "")), caught_by)


def test_the_score_leaves_out_what_is_the_same() -> None:
    """Equivalent mutants do not count; unasked and unjudged ones count as missed."""
    judgements = Judgements({"f: same → b": "It is the same."}, {"f: unasked → b": "Nobody asks."}, {})
    fates = [fate("a", "x"), fate("c", "x"), fate("same"), fate("unasked"), fate("new")]

    score = Score(fates, judgements)

    assert score.share == 0.5
    assert [each.placed.id for each in score.survivors] == ["f: unasked → b", "f: new → b"]
    assert [each.placed.id for each in score.unjudged] == ["f: new → b"]


def test_a_caught_mutant_counts_even_if_called_equivalent() -> None:
    """What the grader tells apart is not the same, whatever the list says."""
    judgements = Judgements({"f: a → b": "It is the same."}, {}, {})

    assert Score([fate("a", "x")], judgements).equivalent == []


def test_the_committed_judgements_have_reasons() -> None:
    """Every entry of the list gives a sentence, and no mutant stands in it twice."""
    judgements = read_judgements(HOMEWORK)

    reasons = {*judgements.equivalent.values(), *judgements.unasked.values(), *judgements.not_mutated.values()}
    assert all(reason.endswith(".") and len(reason) > 20 for reason in reasons)


def test_a_judgement_twice_or_without_reason_is_refused(tmp_path: Path) -> None:
    """A list that contradicts itself is an error."""
    path = tmp_path / "mutants_judged.yaml"
    homework = replace(HOMEWORK, folder=tmp_path)
    path.write_text("equivalent:\n  - {reason: It is., mutants: [a]}\nunasked:\n  - {reason: No., mutants: [a]}\n")
    with pytest.raises(StaffError, match="'a' stands there twice"):
        read_judgements(homework)
    path.write_text("equivalent:\n  - {mutants: [a]}\n")
    with pytest.raises(StaffError, match="has no reason"):
        read_judgements(homework)
