"""The numbers of the written answers: each comes out of a run, and each claim in words holds of them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from reference.metalearning import answers, summary
from reference.metalearning.answers import fill, load_numbers, measure_answers, places, without_places
from reference.metalearning.features import aliases_on_grid, feature_frequencies
from reference.metalearning.regression import run_regression
from reference.metalearning.settings import PART_E, PART_F_ONE_STEP, PART_G, PART_H

SOURCES = [Path(answers.NUMBERS).parent / f"metalearning-part{part}.py" for part in range(3)]
_ANSWER = re.compile(
    r"^# \*\*Answer \((?P<part>[a-h])\)(?: (?P<number>\d))?\.\*\*(?P<text>.*?)^# END SOLUTION", re.M | re.S
)
ANSWERS = {
    f"{answer['part']}{answer['number'] or ''}": re.sub(r"^# ?", "", answer["text"], flags=re.MULTILINE)
    for source in SOURCES
    for answer in _ANSWER.finditer(source.read_text(encoding="utf-8"))
}
# Parts (a) to (c) are derivations: their numbers are exponents and factors, which the graded functions check.
MEASURED = ["d", "e1", "e2", "f", "g", "h1", "h2"]

TRUE = sorted({int(r) for r in feature_frequencies(PART_E.d)[list(PART_E.k_idx)]})
ALIASES = len(aliases_on_grid(PART_E.d, PART_E.k_idx, PART_E.n_train_inner)) // len(PART_E.k_idx)
# Every number that stands in an answer as it is: what it is, and where it comes from.
GIVEN: dict[str, tuple[float, str]] = {
    "0.6": (summary.DESCENT_START[0], "the start of (d)"),
    "0.9": (summary.DESCENT_START[1], "the start of (d)"),
    "100,000": (summary.DESCENT_ITERATIONS, "the iterations of (d)"),
    "0.01": (summary.DESCENT_STEP_SIZE, "the step size of (d), and of the inner loop of (f)"),
    "32": (PART_E.n_train_inner, "points of the inner loop"),
    "501": (PART_E.d, "features"),
    "500": (PART_E.d - 1, "about as many"),
    "250": (int(feature_frequencies(PART_E.d).max()), "the highest frequency"),
    "14": (ALIASES, "aliases of a true feature on the inner grid"),
    "15": (ALIASES + 1, "the features of such a group; also three times the true frequency 5"),
    "7": (PART_H.seed, "the seed"),
    "100": (PART_H.num_iterations, "iterations of the outer loop"),
    "9": (3 * TRUE[0], "the overtone of the lowest true frequency"),
    "12": (sum(TRUE), "a combination tone"),
    "6": (TRUE[1] + TRUE[2] - TRUE[0], "a combination tone; also the number of true features"),
    "2": (TRUE[0] + TRUE[1] - TRUE[2], "a combination tone; also small numbers of formulas"),
    "3": (TRUE[0], "a true frequency; also a prediction in an example"),
    "4": (TRUE[1], "a true frequency; also a factor of the gradient"),
    "5": (TRUE[2], "a true frequency; also the steps of (f)"),
    "0": (0, "zero"),
    "1": (1, "one"),
    "10": (10, "the base of an order of magnitude"),
}
SIZES = {str(n) for n in PART_E.training_sizes}


def numbers_in(text: str) -> Iterator[str]:
    """Yield the numbers of a text that are written out."""
    yield from re.findall(r"(?<![\w.])\d+(?:,\d{3})*(?:\.\d+)?(?!\w)", without_places(text))


def leaves(numbers: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every number with its path."""
    for name, value in numbers.items():
        inside = f"{path}.{name}".lstrip(".")
        if isinstance(value, Mapping):
            yield from leaves(value, inside)
        else:
            yield inside, value


def test_every_answer_is_there() -> None:
    """The list of answers that the tests below look at is whole."""
    assert sorted(ANSWERS) == ["a", "b", "c", *MEASURED]


@pytest.mark.parametrize("part", MEASURED)
def test_every_number_comes_from_a_run_or_from_the_settings(part: str) -> None:
    """What an answer names was measured; what is written out is a setting, a number of points, or follows from them."""
    written = set(numbers_in(ANSWERS[part]))

    assert written <= GIVEN.keys() | SIZES, written - GIVEN.keys() - SIZES
    assert places(ANSWERS[part])
    assert "{{" not in fill(ANSWERS[part], load_numbers())


@pytest.mark.parametrize("token", GIVEN)
def test_what_is_written_out_is_what_the_settings_say(token: str) -> None:
    """The list above derives each number from the code."""
    assert float(token.replace(",", "")) == GIVEN[token][0]


def test_a_number_that_was_not_measured_is_loud() -> None:
    """A slip in a name stops the rendering, with the name."""
    with pytest.raises(LookupError, match=r"e\.learnt\.32"):
        fill("{{e.learnt.32}}", load_numbers())


@pytest.mark.parametrize(
    ("place", "value", "written"),
    [
        ("{{x}}", 0.7, "0.70"),
        ("{{x}}", 0.00009327, "0.000093"),
        ("{{x}}", 0.004344, "0.0043"),
        ("{{x:.2f}}", 3.861, "3.86"),
        ("{{x:percent}}", 0.094, "9 %"),
        ("{{x}}", "2, 6 and 12", "2, 6 and 12"),
    ],
)
def test_numbers_are_written_with_two_digits_or_as_asked(place: str, value: object, written: str) -> None:
    """Two digits without an exponent by default."""
    assert fill(place, {"x": value}) == written


def test_several_numbers_are_cells_of_a_table() -> None:
    """A list of names fills a row."""
    assert fill("| {{e.20,32}} |", {"e": {"20": 0.5, "32": 0.25}}) == "| 0.50 | 0.25 |"


def assert_same(found: Mapping[str, Any], committed: Mapping[str, Any]) -> None:
    """Compare numbers: to 1e-4, errors of ill-conditioned least squares by order of magnitude only."""
    found, committed = dict(leaves(found)), dict(leaves(committed))
    assert found.keys() == committed.keys()
    for path, value in committed.items():
        if path.endswith("worst_exponent"):
            assert abs(int(found[path]) - int(value)) <= 3
        elif isinstance(value, str):
            assert found[path] == value, path
        elif not (path.startswith("g.") and value > 2.0) and not (path.startswith("e_without") and value < 1e-20):
            assert found[path] == pytest.approx(value, rel=1e-4), path


def test_the_numbers_of_the_first_run_are_measured_again() -> None:
    """Part (e) gives the committed numbers."""
    again = answers._part(run_regression(replace(PART_E, num_stats=1)))

    assert_same(again, load_numbers()["e"])


@pytest.mark.slow
def test_all_numbers_are_measured_again() -> None:
    """Every part gives the committed numbers."""
    assert_same(measure_answers(), load_numbers())


def test_what_is_said_of_e_holds() -> None:
    """Aliasing below 277 points, noise above; the oracle is better everywhere; the spike is at 32."""
    numbers = load_numbers()
    noisy, clean = numbers["e"], numbers["e_without_noise"]

    assert all(noisy["oracle"][n] < min(noisy["ones"][n], noisy["learned"][n]) for n in noisy["oracle"])
    below = [n for n in noisy["learned"] if int(n) < 277 and n != "32"]
    assert all(clean["learned"][n] > 0.7 * noisy["learned"][n] for n in below)
    assert all(clean["oracle"][n] < 1e-20 for n in clean["oracle"])
    assert all(error < 1e-20 for kind in ("ones", "learned") for n, error in clean[kind].items() if int(n) >= 277)
    assert noisy["ones"]["230"] > 0.5 > 3 * noisy["learned"]["29"] / 2
    assert noisy["learned"]["32"] < 0.1 * min(noisy["learned"]["29"], noisy["learned"]["35"])


def test_what_is_said_of_f_holds() -> None:
    """Away from the spike more steps learn less well; at the spike it is the other way round."""
    numbers = load_numbers()
    closed, five, one = (numbers[part]["learned"] for part in ("e", "f5", "f1"))

    for n in ("20", "29", "35", "74", "158"):
        assert one[n] < five[n] < closed[n]
    assert closed["32"] < five["32"] < one["32"]
    assert numbers["f1"]["landing"] == pytest.approx(1 / np.sqrt(2 * PART_F_ONE_STEP.stepsize_inner), rel=1e-5)


def test_what_is_said_of_g_holds() -> None:
    """Learned weights beat the oracle where the answer says so, and errors are huge where it says so."""
    g = load_numbers()["g"]
    huge, better = g["huge"].split(", "), g["better_after"].split(", ")

    for n, error in g["learned"].items():
        between = int(g["better_from"]) <= int(n) <= int(g["better_to"])
        assert (error > 2.0) == (n in huge)
        if int(n) >= PART_G.n_train_inner:
            assert (error < 0.98 * g["oracle"][n]) == (between or n in better), n


def test_what_is_said_of_h_holds() -> None:
    """The oracle leads until there is much data, seed 7 is a hard one, and what rises is where labels have power."""
    h = load_numbers()["h"]

    assert h["learned"]["20"] / h["ones"]["20"] == pytest.approx(0.25, abs=0.03)
    for n in ("74", "108", "277", "588"):
        assert h["learned"][n] / h["ones"][n] == pytest.approx(0.1, abs=0.02)
        assert h["oracle"][n] < h["learned"][n]
    assert h["learned"]["1503"] < h["oracle"]["1503"]
    assert all(h[name]["32"] > h[f"{name}_elsewhere"]["largest"] for name in ("learned", "oracle"))
    power = {r: share for r, share in h["spectrum"].items() if int(r) not in TRUE}
    strongest = sorted(power, key=lambda r: -power[r])[:3]
    assert h["rising"] == f"{strongest[0]}, {strongest[1]} and {strongest[2]}" == "2, 6 and 12"
    assert max(power["9"], power["15"]) < 0.5 * min(power[r] for r in strongest)
    assert max(h["weight_of"]["9"], h["weight_of"]["15"]) < 1.15
