"""The figures of a class, recomputed from the records in another way."""

from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from grader.fleet.record import GRADED, INFRASTRUCTURE
from grader.fleet.schedule import GradedClass
from grader.fleet.statistics import correlation, figures_of, histogram, names_in, pseudonyms, spread, without_names
from tests.fleet.paper import a_class, a_graded, a_report, a_test


def matrix(graded_class: GradedClass) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """Return points (submission, question), the points possible, and the questions' numbers."""
    reports = [item.record.results for item in graded_class.graded if item.record.status == GRADED]
    points = np.array([[test["score"] for test in report["tests"]] for report in reports])
    possible = np.array([test["max_score"] for test in reports[0]["tests"]])
    return points, possible, [test["number"] for test in reports[0]["tests"]]


def test_every_figure_agrees_with_the_records(paper_class: GradedClass) -> None:
    """Scores, difficulty, discrimination, verdicts and the watch, computed anew with numpy from the records."""
    figures = figures_of(paper_class)
    points, possible, numbers = matrix(paper_class)
    totals = points.sum(1)

    assert figures.scores == pytest.approx(totals.tolist())
    assert figures.possible == possible.sum()
    edges = np.linspace(0, possible.sum(), 11)
    assert list(figures.histogram) == np.histogram(totals, bins=edges)[0].tolist()
    assert [question.number for question in figures.questions] == numbers
    for index, question in enumerate(figures.questions):
        fraction = points[:, index] / possible[index]
        rest = totals - points[:, index]
        strong = rest >= 0.9 * (possible.sum() - possible[index])
        verdicts = Counter(
            item.record.results["tests"][index]["extra_data"]["verdict"]
            for item in paper_class.graded
            if item.record.status == GRADED
        )
        assert question.judged == len(points)
        assert question.mean_fraction == pytest.approx(fraction.mean())
        assert question.discrimination == pytest.approx(np.corrcoef(fraction, rest)[0, 1])
        assert question.verdicts == verdicts
        assert question.strong == strong.sum()
        assert question.strong_failed == (fraction[strong] < 1).sum()
    assert len(figures.watched) == sum(question.strong_failed >= 2 for question in figures.questions)


def test_mistakes_and_costs_agree_with_the_records(paper_class: GradedClass) -> None:
    """How often a mistake was found, and where time went."""
    figures = figures_of(paper_class)
    graded = [item for item in paper_class.graded if item.record.status == GRADED]
    found = [item for item in graded if item.record.results["tests"][1]["extra_data"]["diagnosis"]]

    assert [(mistake.id, mistake.submissions) for mistake in figures.mistakes] == [("masking.inverted", len(found))]
    assert figures.mistakes[0].excerpt == "Your `mask` is wrong, says 1.1."
    seconds = np.array([item.record.cpu_s for item in graded])
    assert figures.cpu_s.total == pytest.approx(seconds.sum())
    assert figures.cpu_s.median == pytest.approx(np.median(seconds))
    assert figures.cpu_s.high == pytest.approx(np.percentile(seconds, 90, method="inverted_cdf"))
    assert [item.record.status for item in figures.not_graded].count(INFRASTRUCTURE) == 2


def test_who_needs_help_is_who_has_less_than_half(paper_class: GradedClass) -> None:
    """Exactly those below half of the points, the lowest first, each with the first question that is not right."""
    figures = figures_of(paper_class)
    points, possible, _ = matrix(paper_class)
    totals = points.sum(1)

    assert [help_.score for help_ in figures.help_first] == sorted(totals[totals < possible.sum() / 2].tolist())
    for help_ in figures.help_first:
        wrong = [test for test in help_.graded.record.results["tests"] if test["status"] == "failed"]
        assert help_.first == f"{wrong[0]['number']} {wrong[0]['name']}"


def test_a_question_that_strong_submissions_fail_stands_out() -> None:
    """A check that is wrong about right code shows: those who have everything else fail it."""
    strong = [
        a_graded(f"s{n}", a_report(*(a_test(f"1.{q}", "PASSED") for q in range(11)), a_test("2", "FAILED")))
        for n in range(3)
    ]
    weak = a_graded("w", a_report(*(a_test(f"1.{q}", "FAILED") for q in range(11)), a_test("2", "FAILED")))

    figures = figures_of(a_class(*strong, weak))

    assert [(question.number, question.strong, question.strong_failed) for question in figures.watched] == [("2", 3, 3)]


def test_what_was_not_judged_does_not_count_against_a_question() -> None:
    """A question that our deadline cut off is neither difficult nor failed by the strong."""
    late = a_graded("a", a_report(a_test("1", "PASSED"), a_test("2", "NOT_RUN")))
    whole = a_graded("b", a_report(a_test("1", "PASSED"), a_test("2", "PASSED")))

    question = figures_of(a_class(late, whole)).questions[1]

    assert (question.judged, question.mean_fraction, question.strong_failed) == (1, 1.0, 0)
    assert question.verdicts == {"NOT_RUN": 1, "PASSED": 1}


def test_the_empty_class_has_figures_too() -> None:
    """Nobody graded: zeros and empty lists, no error."""
    figures = figures_of(a_class(a_graded("a", a_report(a_test("1", "INFRASTRUCTURE")), status=INFRASTRUCTURE)))

    assert figures.scores == figures.questions == figures.mistakes == figures.help_first == ()
    assert figures.cpu_s == spread([])


@pytest.mark.parametrize(("score", "place"), [(0, 0), (0.99, 0), (1, 1), (9.99, 9), (10, 9), (11, 9), (-1, 0)])
def test_scores_at_the_edges_have_their_place(score: float, place: int) -> None:
    """A score on an edge belongs to the upper part, full marks to the last, and staff's extra points do no harm."""
    assert histogram([score], 10).index(1) == place


def test_no_variation_is_no_correlation() -> None:
    """Where everybody is alike, or there are two only, nothing is claimed."""
    assert correlation([1, 1, 1], [1, 2, 3]) is None
    assert correlation([1, 2, 3], [5, 5, 5]) is None
    assert correlation([0, 1], [0, 1]) is None
    assert correlation([0, 1, 1], [0, 2, 2]) == pytest.approx(1)


def test_equal_and_similar_submissions_are_told_apart() -> None:
    """One key is the same files; many shared fingerprints are similar code; their costs count once."""
    report = a_report(a_test("1", "PASSED"))
    equal = [a_graded(name, report, key="same", cpu_s=4.0, fingerprints=tuple(range(50))) for name in "ab"]
    similar = a_graded("c", report, cpu_s=1.0, fingerprints=tuple(range(48)))
    other = a_graded("d", report, cpu_s=1.0, fingerprints=tuple(range(100, 150)))

    figures = figures_of(a_class(*equal, similar, other))

    groups = [({item.entry.id[-1] for item in group.members}, group.is_equal) for group in figures.likenesses]
    assert groups == [({"a", "b"}, True), ({"a", "b", "c"}, False)]
    assert figures.cpu_s.total == 6.0


def test_names_are_taken_out_of_what_is_quoted(paper_class: GradedClass) -> None:
    """A name, a piece of one, an address or an id of anybody in the class goes, in any case of letters."""
    names = names_in(paper_class.graded)

    shown = without_names("S7 PERSON (s7@example.edu, sid-s7) returned 3 persons", names)

    assert not any(word in shown.lower() for word in ("person", "sid-s7", "example.edu"))
    assert "returned 3 " in shown


def test_numbers_in_place_of_names_say_nothing_about_the_order(paper_class: GradedClass) -> None:
    """Everybody has another number, always the same one, and not the place in the roster."""
    numbers = pseudonyms(paper_class)

    assert len(set(numbers.values())) == len(paper_class.graded)
    assert numbers == pseudonyms(a_class(*reversed(paper_class.graded)))
    shown = [numbers[item.entry.id] for item in paper_class.graded]
    assert shown != [f"Submission {n}" for n in range(1, len(numbers) + 1)]
