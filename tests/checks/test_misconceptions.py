"""Known mistakes: each is told apart from the right answer and from the others, and named where it was made."""

from __future__ import annotations

import contextlib
import itertools
import re
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from grader.checks.compare import relative_error
from grader.checks.diagnosis import diagnose, tolerance_of
from grader.checks.exam import CaseAnswer, Check, Exam
from grader.checks.misconceptions import Catalogue, Misconception, composed
from grader.checks.reference import OUT_OF_REACH
from grader.intake.report import Code
from grader.pipeline.ask import Asker
from grader.sandbox.outcome import Ending, Outcome
from grader.verdicts import Evidence, Verdict
from grader.wire import Array, Arrays, Message
from homework.answers import ANSWERS
from homework.checks.metalearning import METALEARNING_CHECKS
from homework.checks.reference import REFERENCE
from homework.checks.vision import VISION_CHECKS
from homework.homework import HOMEWORK
from homework.misconceptions.evaluation import curve_with, oracle_with, zero_with
from homework.misconceptions.runs import learn_with, path_distance, relative_distance
from homework.misconceptions.theory import descend_with, gradient_with
from homework.misconceptions.update import update_with
from tests.known import CATALOGUE

KNOWN = ANSWERS.mistakes
CHECKS = {check.key: check for check in (*VISION_CHECKS, *METALEARNING_CHECKS)}
RIGHT: dict[str, Callable[..., Any]] = {
    **REFERENCE.functions,
    "expected_test_error_gradient": gradient_with,
    "descend_feature_weights": descend_with,
    "meta_update_classification": update_with,
    "test_classification": curve_with,
    "test_oracle_classification": oracle_with,
    "test_zero_classification": zero_with,
    "meta_learning_classification": learn_with,
}
# Checks whose answers the catalogue predicts, and those whose answers it has a look at.
BY_VALUE = [
    key
    for key, check in CHECKS.items()
    if any(e.function == check.function and check.aspect in e.aspects and e.function_with_it for e in CATALOGUE)
]
BY_A_LOOK = sorted({f"{entry.function}.{entry.aspects[0]}" for entry in CATALOGUE if entry.recognise is not None})
# How near an answer is to what a mistake gives, if it is that mistake's.
SAME = 1e-4
# A wrong answer is a hundred tolerances from the right one, as a probe must be that is strong enough.
CLEAR = 100 * SAME
# Two mistakes need only be so far apart that no answer can be within the tolerance of both, with room to spare.
APART = 20 * SAME
# Of a whole run, 3 % of the path's length are tolerated, because the loop handed out in 2023 leaks.
RUNS_APART = 0.06


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Any:
    """Small products are slower on many threads, most of all where other tests run beside."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@cache
def prepared(key: str) -> Exam:
    """Return a check's exam; made once for all tests, which leave it as it is."""
    return CHECKS[key].prepare(torch.Generator().manual_seed(7))


def given_by(key: str, function: Callable[..., Any]) -> list[Arrays]:
    """Return what a function gives in every case of a check."""
    check, exam = CHECKS[key], prepared(key)
    module = REFERENCE.module_of(check.subject, exam)
    return [REFERENCE.call(check.subject, function, module, case.inputs, exam.settings) for case in exam.cases]


@cache
def wrong(key: str) -> dict[str, list[Arrays]]:
    """Return what each misconception of a check's function gives in every case, whatever its aspects."""
    found = {}
    for entry in entries(key, every_aspect=True):
        if entry.function_with_it is not None:
            with contextlib.suppress(*OUT_OF_REACH):  # some do not go with every size
                found[entry.id] = given_by(key, entry.function_with_it)
    return found


def entries(key: str, *, every_aspect: bool = False) -> list[Misconception]:
    """Return the misconceptions of a check's function that show in the check, or all of them."""
    check = CHECKS[key]
    return [
        entry
        for entry in CATALOGUE
        if entry.function == check.function and (every_aspect or check.aspect in entry.aspects)
    ]


def predicted(key: str) -> list[Misconception]:
    """Return the entries of a check that predict its answers."""
    return [entry for entry in entries(key) if entry.function_with_it is not None]


def answers(outputs: list[Arrays]) -> list[CaseAnswer]:
    """Return outputs as what a worker brought home."""
    return [CaseAnswer(arrays) for arrays in outputs]


def expected(key: str) -> list[Arrays]:
    """Return the right answers to a check."""
    return [case.expected for case in prepared(key).cases]


def distance(check: Check, some: Arrays, other: Arrays) -> float:
    """Return by how much two answers differ in the output that differs most; infinity by kind or shape."""
    if "path" in other:
        coefficients = relative_distance(np.abs(some["w_t"]), np.abs(other["w_t"]))
        return float("inf") if coefficients > 2e-3 else path_distance(some["path"], other["path"])
    largest = 0.0
    for name in sorted(some.keys() | other.keys(), key=lambda name: name):
        if name not in some or name not in other:
            if name.startswith("gradient/") and check.aspect != "output":
                return float("inf")
            continue
        one, two, tolerance = some[name], other[name], tolerance_of(check, name)
        if one.shape != two.shape:
            return float("inf")
        if tolerance.kind == "float":
            error = relative_error(one.astype(np.float64), two.astype(np.float64), tolerance.floor)
            largest = max(largest, error)
        elif not np.array_equal(one, two):
            return float("inf")
    return largest


def is_clear(key: str, apart: float, *, enough: float) -> bool:
    """Whether two answers differ by enough, or by more than the leak of a run could hide."""
    return apart >= (RUNS_APART if CHECKS[key].probe == "meta_learning" else enough)


def test_every_function_has_entries() -> None:
    """There are mistakes for each function that students write, two hundred in all."""
    counts = Counter(entry.function for entry in CATALOGUE)

    assert counts.keys() == RIGHT.keys()
    assert min(counts.values()) >= 4
    assert len(CATALOGUE) >= 200


@pytest.mark.parametrize("key", BY_VALUE)
def test_calls_follow_the_contract(key: str) -> None:
    """Called as a misconception is called, the reference itself gives the right answer."""
    check = CHECKS[key]
    for mine, right in zip(given_by(key, RIGHT[check.function]), expected(key), strict=True):
        assert mine.keys() & right.keys()
        assert check.part != "vision" or mine.keys() >= right.keys()
        for name in mine.keys() & right.keys():
            np.testing.assert_allclose(mine[name], right[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("key", BY_VALUE)
def test_each_differs_clearly_from_the_right_answer(key: str) -> None:
    """In every case, in one output at least, and by a hundred times what is tolerated."""
    for entry in predicted(key):
        if entry.id.endswith(BY_CALL):
            continue
        apart = [
            distance(CHECKS[key], mine, right) for mine, right in zip(wrong(key)[entry.id], expected(key), strict=True)
        ]
        # Nine in ten cases: a task may have the labels that make a mistake small.
        assert is_clear(key, max(apart), enough=CLEAR), entry.id
        assert all(is_clear(key, each, enough=CLEAR) for each in apart) or CHECKS[key].part != "vision", entry.id


@pytest.mark.parametrize(
    "key", [key for key in BY_VALUE if key.endswith(("output", "generality")) and CHECKS[key].probe != "meta_learning"]
)
def test_an_aspect_is_left_out_only_where_the_mistake_is_right(key: str) -> None:
    """An entry that does not apply to a check gives the right answer there."""
    applying = {entry.id for entry in entries(key)}
    for entry in entries(key, every_aspect=True):
        if entry.id not in applying and entry.id in wrong(key):
            for mine, right in zip(wrong(key)[entry.id], expected(key), strict=True):
                assert distance(CHECKS[key], mine, right) == 0, entry.id


@pytest.mark.parametrize("key", BY_VALUE)
def test_no_two_give_the_same_values(key: str) -> None:
    """No answer can be within the tolerance of two entries, so a diagnosis is never between two."""
    for one, two in itertools.combinations(predicted(key), 2):
        apart = [distance(CHECKS[key], *pair) for pair in zip(wrong(key)[one.id], wrong(key)[two.id], strict=True)]
        assert one.id.endswith(BY_CALL) or two.id.endswith(BY_CALL) or is_clear(key, max(apart), enough=APART), (
            one.id,
            two.id,
        )


def smallest_check(entry: Misconception) -> str:
    """Return the check with the smaller sizes, where the entry shows there."""
    return f"{entry.function}.{entry.aspects[-1]}"


PREDICTED = [entry for entry in CATALOGUE if entry.function_with_it is not None]


@pytest.mark.parametrize("entry", PREDICTED, ids=lambda entry: entry.id)
def test_diagnosis_names_exactly_the_mistake(entry: Misconception) -> None:
    """Who gives a misconception's values, in other dtypes and with rounding of their own, is told that one."""
    key = smallest_check(entry)
    rounded = [as_a_student_would_return(arrays) for arrays in wrong(key)[entry.id]]

    assert diagnose(KNOWN, CHECKS[key], prepared(key), answers(rounded)) == (entry,)


def as_a_student_would_return(arrays: Arrays) -> Arrays:
    """Return a boolean mask, and floats in double precision that differ in the sixth digit."""
    changed = {}
    for name, array in arrays.items():
        is_mask = name == "mask"
        exact = array.dtype == np.int64 or name in ("n_train_post_range", "hidden", "solver")
        changed[name] = array.astype(bool) if is_mask else array if exact else array * (1 + 2e-6)
    return changed


@pytest.mark.slow
@pytest.mark.parametrize("entry", PREDICTED, ids=lambda entry: entry.id)
def test_diagnosis_names_it_at_the_homeworks_sizes(entry: Misconception) -> None:
    """The same where the models have their full depth."""
    key = f"{entry.function}.{entry.aspects[0]}"

    assert diagnose(KNOWN, CHECKS[key], prepared(key), answers(wrong(key)[entry.id])) == (entry,)


@pytest.mark.parametrize("key", [*BY_VALUE, *BY_A_LOOK])
def test_a_right_answer_has_no_diagnosis(key: str) -> None:
    """Not even where a mistake that does not show at these inputs gives the same values."""
    right = [
        {**arrays, **{f"after/{name}": array for name, array in case.inputs.items()}, "hidden": np.array(1.0)}
        for arrays, case in zip(expected(key), prepared(key).cases, strict=True)
    ]
    if "behaviour" in key:  # three permutations, one of each call
        rng = np.random.default_rng(5)
        for arrays in right:
            if "ids_restore" in arrays and "sorted" in arrays:
                arrays["ids_restore"] = rng.permuted(arrays["ids_restore"], axis=1)

    assert diagnose(KNOWN, CHECKS[key], prepared(key), answers(right)) == ()


@pytest.mark.parametrize("key", [key for key in BY_VALUE if key.endswith("generality")])
@pytest.mark.parametrize("fill", ["noise", "zeros", "nan", "nothing"])
def test_other_answers_have_no_diagnosis(key: str, fill: str) -> None:
    """Noise, zeros, NaN or no arrays at all are no known mistake."""
    rng = np.random.default_rng(3)
    makers: dict[str, Callable[[Array], Array]] = {
        "noise": lambda array: rng.standard_normal(array.shape),
        "zeros": np.zeros_like,
        "nan": lambda array: np.full(array.shape, np.nan),
    }
    made = [
        {name: makers[fill](array) for name, array in arrays.items()} if fill in makers else {}
        for arrays in expected(key)
    ]

    assert diagnose(KNOWN, CHECKS[key], prepared(key), answers(made)) == ()


def test_a_mistake_in_one_case_alone_has_no_diagnosis() -> None:
    """All cases must match: right in the first and wrong in the second is another mistake."""
    key = "random_masking.generality"
    made = [expected(key)[0], wrong(key)["random_masking.mask-inverted"][1]]

    assert diagnose(KNOWN, CHECKS[key], prepared(key), answers(made)) == ()


def test_between_two_there_is_no_diagnosis() -> None:
    """Where two entries give the student's values, neither is named: a guess may send them the wrong way."""
    key, name = "random_masking.generality", "random_masking.mask-inverted"
    entry = next(entry for entry in CATALOGUE if entry.id == name)
    known = replace(KNOWN, entries=(*CATALOGUE, replace(entry, id=f"{name}-again")))

    assert diagnose(known, CHECKS[key], prepared(key), answers(wrong(key)[name])) == ()


@pytest.mark.parametrize("key", BY_VALUE)
def test_no_arrays_at_all_are_no_known_mistake(key: str) -> None:
    """Nor does what a worker leaves out count as a gradient that is cut."""
    assert diagnose(KNOWN, CHECKS[key], prepared(key), [CaseAnswer({}) for _ in prepared(key).cases]) == ()


# Told by the solver that was called, whatever values it gave.
BY_CALL = ".least-squares"
# The smallest questions whose mistakes can come in twos.
IN_TWOS = [
    "patchify.output",
    "unpatchify.generality",
    "random_masking.generality",
    "restore_masked.generality",
    "MaskedAutoEncoder.forward_decoder.generality",
    "meta_update_classification.output",
]


@pytest.mark.parametrize(
    "key",
    [
        pytest.param(key, marks=[pytest.mark.slow] * (key not in IN_TWOS))
        for key in BY_VALUE
        if "forward.output" not in key
    ],
)
def test_two_mistakes_at_once_are_both_named_or_none_is(key: str) -> None:
    """Of two that go together, the student reads both; never another pair, nor one alone whose values they are not."""
    check, exam = CHECKS[key], prepared(key)
    module = REFERENCE.module_of(check.subject, exam)
    named = 0
    for pair in itertools.islice(itertools.combinations(predicted(key), 2), 0, None, 1 if key not in IN_TWOS else 3):
        function = composed(*pair)
        if function is None:
            continue
        try:
            both = [REFERENCE.call(check.subject, function, module, case.inputs, exam.settings) for case in exam.cases]
        except OUT_OF_REACH:
            continue
        found = diagnose(KNOWN, check, exam, answers(both))
        single = found[0].id if len(found) == 1 else ""
        assert found in ((), pair) or same_values(key, both, wrong(key).get(single)), [pair, found]
        named += found == pair
    assert named or not any(composed(*pair) for pair in itertools.combinations(predicted(key), 2))


def same_values(key: str, some: list[Arrays], other: list[Arrays] | None) -> bool:
    """Return whether two sets of answers cannot be told apart."""
    if other is None:
        return False
    return all(distance(CHECKS[key], *pair) <= 20 * SAME for pair in zip(some, other, strict=True))


def test_two_wrong_outputs_are_both_named() -> None:
    """A mask of one mistake and patches of another are told apart by output."""
    key = "random_masking.generality"
    mask, kept = (wrong(key)[f"random_masking.{name}"] for name in ("mask-inverted", "kept-in-image-order"))
    made = [{**arrays, "kept": other["kept"]} for arrays, other in zip(mask, kept, strict=True)]

    found = diagnose(KNOWN, CHECKS[key], prepared(key), answers(made))

    assert {entry.id for entry in found} == {"random_masking.mask-inverted", "random_masking.kept-in-image-order"}


def test_an_id_is_taken_once() -> None:
    """A second entry with the same id is refused, and the message names it."""
    catalogue = Catalogue()
    add = catalogue.misconception("random_masking.mask-inverted", happened="", right="")
    add(RIGHT["random_masking"])

    with pytest.raises(ValueError, match=re.escape("'random_masking.mask-inverted'")):
        add(RIGHT["random_masking"])


@pytest.mark.parametrize("entry", CATALOGUE, ids=lambda entry: entry.id)
def test_words_are_hints_and_no_solutions(entry: Misconception) -> None:
    """What happened and what is right, in sentences; a name is the longest piece of code in them."""
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", entry.id.removeprefix(f"{entry.function}."))
    assert entry.hint == f"{entry.happened} {entry.right}"
    assert re.fullmatch(r"\S.*\.", entry.about)
    for sentence in (entry.happened, entry.right):
        assert re.match(r"[A-Z`βc]", sentence)
        assert sentence.endswith(".")
        assert len(sentence) <= 200
        assert not re.search(r"[\[\]()=\n]|  |torch|einops", re.sub(r"[Pp]art \([a-h]\)", "part", sentence))
        assert all(piece.isidentifier() for piece in re.findall(r"`([^`]*)`", sentence))
        assert sentence.count("`") % 2 == 0
    assert " should " in entry.right  # nobody is left with what went wrong alone
    assert not re.match(r"(It|Its|They|This|That|These|Those)\b", entry.right)  # it stands on its own under "Try"


@dataclass(frozen=True)
class Answering:
    """Stands in for the sandbox: brings home the same arrays whatever is asked."""

    outputs: list[Arrays]

    def run(self, *_: object, **__: object) -> Outcome:
        """Return an answer."""
        arrays = {f"{index}/{name}": array for index, each in enumerate(self.outputs) for name, array in each.items()}
        return Outcome(Ending.ANSWERED, Message("answer", {}, arrays))


@dataclass(frozen=True)
class HandedIn:
    """Stands in for the intake: a notebook without anything in it."""

    parts: Mapping[str, Code]
    modules: Mapping[str, str]


def examined(key: str, outputs: list[Arrays], *, lent: tuple[str, ...] = ()) -> Evidence:
    """Return the evidence of a run that brings home given outputs."""
    code = Code(cells=(), plans={}, missing={}, not_run={}, broken={})
    asker = Asker(
        HOMEWORK,
        sandbox=Answering(outputs),  # type: ignore[arg-type]  # a stand-in
        intake=HandedIn({"vision": code}, {}),  # type: ignore[arg-type]  # a stand-in
        secret=b"",
        device="cpu",
        memory_mib=1024,
        answers=ANSWERS,
    )
    return asker.examine(CHECKS[key], prepared(key), 1.0, lent=lent)


def test_a_failed_question_says_what_happened() -> None:
    """The diagnosis comes first, the findings stay, and what is right is what to try."""
    key = "random_masking.generality"
    evidence = examined(key, wrong(key)["random_masking.mask-inverted"])

    assert evidence.verdict is Verdict.FAILED
    assert evidence.diagnosis == ("random_masking.mask-inverted",)
    assert evidence.findings[0] == "Your `mask` is inverted: it is 1 where a patch was kept."
    assert evidence.findings[1].startswith("`mask` has the right shape (3, 30), but all 90 elements differ.")
    assert evidence.try_next == "`mask` should be 1 exactly where a patch was removed, and 0 where it was kept."
    assert evidence.fraction == 0


def test_a_wrong_shape_is_diagnosed_too() -> None:
    """A misconception may predict another shape than the right one."""
    key = "ClassificationMAE.forward.generality"
    evidence = examined(key, wrong(key)["ClassificationMAE.forward.head-on-every-token"])

    assert evidence.diagnosis == ("ClassificationMAE.forward.head-on-every-token",)
    assert evidence.findings[1] == "`logits` has shape (3, 26, 7); it should be (3, 7)."


def test_of_a_lent_run_only_names_are_told() -> None:
    """What a run with our helpers gave could say something about their answers: no value of it is shown."""
    key = "MaskedAutoEncoder.forward_decoder.generality"
    outputs = wrong(key)["MaskedAutoEncoder.forward_decoder.no-positions"]
    alone, helped = examined(key, outputs), examined(key, outputs, lent=("restore_masked",))

    assert alone.diagnosis == helped.diagnosis == ("MaskedAutoEncoder.forward_decoder.no-positions",)
    assert any("elements differ" in finding for finding in alone.findings)
    assert not any("differ" in finding for finding in helped.findings)
    assert helped.notes == helped.pictures == ()
    assert examined(key, [{} for _ in outputs], lent=("restore_masked",)).findings == ()


def test_a_pass_and_an_unknown_mistake_stay_as_judged() -> None:
    """Without a match, nothing is added to what the judge said."""
    key = "restore_masked.generality"
    unchanged = [
        {**right, **{f"after/{name}": array for name, array in case.inputs.items()}}
        for right, case in zip(expected(key), prepared(key).cases, strict=True)
    ]
    unknown = [{"x": 2 * right["x"]} for right in expected(key)]

    assert examined(key, unchanged) == Evidence(Verdict.PASSED, fraction=1.0)
    assert examined(key, unknown).diagnosis == ()
    assert examined(key, unknown).try_next.startswith("Run the notebook's self-check")
