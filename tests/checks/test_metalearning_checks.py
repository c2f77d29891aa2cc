"""The judges of the meta-learning half: both sides of each bound, how often chance alone fails, lent helpers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from grader.checks.exam import Case, CaseAnswer, Exam
from grader.checks.lending import Lending
from grader.verdicts import Evidence, Verdict
from grader.wire import Array, Arrays, Message
from homework.checks import metalearning, metalearning_runs
from homework.checks.lending import HELPERS
from homework.checks.metalearning import METALEARNING_CHECKS
from reference.metalearning import theory
from reference.metalearning.experiment import meta_gradient
from reference.metalearning.features import fourier_features
from reference.metalearning.settings import Settings
from reference.metalearning.tasks import TaskBatch, clean_targets, draw_coefficients, draw_task_batch
from reference.metalearning.theory import descend_feature_weights

CHECKS = {check.key: check for check in METALEARNING_CHECKS}
RUN = "meta_learning_classification"
PATH, COPIED, LEARNS = f"{RUN}.gradient", f"{RUN}.output", f"{RUN}.convergence"
UPDATE, UPDATE_GRADIENT = "meta_update_classification.output", "meta_update_classification.gradient"
ZERO = "test_zero_classification.output"


@cache
def prepared(key: str, seed: int = 7) -> Exam:
    """Return a check's exam; tests leave it as it is."""
    return CHECKS[key].prepare(torch.Generator().manual_seed(seed))


def right_answers(key: str) -> list[Arrays]:
    """Return what a right solution would bring home, with the flags of a probe whose stand-ins were used."""
    flags = {"hidden": np.ones(()), "solver": np.ones(())}
    return [{**case.expected, **flags} for case in prepared(key).cases]


def judge(key: str, answers: list[Arrays]) -> Evidence:
    """Judge answers to the prepared exam."""
    return CHECKS[key].judge(CHECKS[key], prepared(key), [CaseAnswer(arrays) for arrays in answers])


def changed(key: str, **arrays: Any) -> list[Arrays]:
    """Return right answers with arrays of the last case replaced, or taken away where they are None."""
    *first, last = right_answers(key)
    merged = {**last, **arrays}
    return [*first, {name: array for name, array in merged.items() if array is not None}]


def test_keys_and_parts() -> None:
    """No key is there twice, only part (g) has a part of its own in intake, and needs are functions of the half."""
    assert len(CHECKS) == len(METALEARNING_CHECKS)
    assert {key for key, check in CHECKS.items() if check.part != "metalearning"} == {COPIED}
    functions = {check.function for check in METALEARNING_CHECKS}
    assert all(functions.issuperset(check.needs) for check in METALEARNING_CHECKS)


@pytest.mark.parametrize("key", [key for key in CHECKS if key != LEARNS])
def test_the_reference_passes_and_its_inputs_are_drawn(key: str) -> None:
    """What the reference gives is right; the same generator draws the same inputs and another one others."""
    again = CHECKS[key].prepare(torch.Generator().manual_seed(7))
    other = CHECKS[key].prepare(torch.Generator().manual_seed(8))

    assert judge(key, right_answers(key)).passed
    for mine, same, different in zip(prepared(key).cases, again.cases, other.cases, strict=True):
        assert all(np.array_equal(mine.inputs[name], same.inputs[name]) for name in mine.inputs)
        drawn = [name for name in mine.inputs if name not in {"n_iterations", "min_n_train_post", "cotangent/loss"}]
        assert any(not np.array_equal(mine.inputs[name], different.inputs[name]) for name in drawn)


@pytest.mark.parametrize("key", [key for key in CHECKS if key != LEARNS])
@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, None])
def test_nothing_that_is_not_finite_passes(key: str, value: float | None) -> None:
    """NaN, infinities and missing arrays never pass, whichever output they are in."""
    last = prepared(key).cases[-1].expected
    judged = {"path", "beta", "error", "gradient", "trajectory", "loss", "mean", "high", "low", "n_train_post_range"}
    names = set(last) & judged
    if key == UPDATE_GRADIENT:
        names = {"gradient/w_t", "gradient/feature_weights_t"}
    for name in names:
        wrong = None if value is None else np.full(last[name].shape, value)

        assert judge(key, changed(key, **{name: wrong})).verdict is Verdict.FAILED, name


def moved(key: str, factor: float) -> Array:
    """Return the right path with every movement scaled."""
    return np.asarray(1 + factor * (prepared(key).cases[0].expected["path"] - 1))


def aside(key: str, share: float) -> Array:
    """Return the right path, moved by a share of each movement's length in a direction in which nothing leaks."""
    expected = prepared(key).cases[0].expected
    path, leak = expected["path"], expected["leaking"] - expected["path"]
    across = np.cos(np.arange(path.shape[1])) * np.ones_like(path)
    across[1:] -= leak[1:] * np.sum(across * leak, axis=1)[1:, None] / np.sum(leak**2, axis=1)[1:, None]
    across /= np.linalg.norm(across, axis=1, keepdims=True)
    return np.asarray(path + share * across * np.linalg.norm(path - 1, axis=1, keepdims=True))


@pytest.mark.parametrize("key", [PATH, COPIED])
@pytest.mark.parametrize(("factor", "passes"), [(0.98, True), (-0.98, True), (1.02, False), (-1.02, False)])
def test_both_sides_of_the_paths_tolerance(key: str, factor: float, passes: bool) -> None:
    """A path just within the tolerance passes, one just outside does not."""
    allowed = CHECKS[key].tolerance("path").relative

    assert judge(key, changed(key, path=aside(key, factor * allowed))).passed is passes


@pytest.mark.parametrize("key", [PATH, COPIED])
@pytest.mark.parametrize(("share", "passes"), [(0.0, True), (0.3, True), (1.0, True), (-0.2, False), (1.2, False)])
def test_a_leak_of_the_inner_losses_counts_as_right(key: str, share: float, passes: bool) -> None:
    """All of it is the loop of 2023, a part of it another such loop; more of it, or its negative, is a mistake."""
    expected = prepared(key).cases[0].expected
    path = expected["path"] + share * (expected["leaking"] - expected["path"])

    assert judge(key, changed(key, path=path)).passed is passes


def iterations_and_tasks(key: str) -> tuple[int, int]:
    """Return how many iterations a prepared run takes, and how many tasks each has."""
    params = prepared(key).settings["params"]
    return params["num_iterations"], params["num_inner_tasks"]


@pytest.mark.parametrize("key", [PATH, LEARNS])
def test_more_or_fewer_steps_than_iterations_are_told(key: str) -> None:
    """Right steps hide neither that there is one too many nor that the last ones are missing."""
    path, (iterations, tasks) = moved(key, 1.0), iterations_and_tasks(key)
    longer = np.concatenate([path, path[-1:] + 0.01])

    def finding(path: Array, updates: int) -> tuple[str, ...]:
        return judge(key, changed(key, path=path, updates=np.asarray(float(updates)))).findings

    for found, steps in (
        (finding(longer, 0), iterations + 1),
        (finding(longer[:-1], (iterations + 1) * tasks), iterations + 1),
        (finding(path[: iterations // 2 + 1], iterations // 2 * tasks), iterations // 2),
        (finding(path[:-1], (iterations - 1) * tasks), iterations - 1),
        (finding(path[:-2], 0), iterations - 2),
    ):
        assert found == (f"The feature weights change {steps} times; `num_iterations` is {iterations}.",)


@pytest.mark.parametrize("key", [PATH, LEARNS])
def test_a_run_may_begin_to_log_late_or_end_before_its_last_step_shows(key: str) -> None:
    """Rows from after the first step on, or up to before the last; and the update may be asked for what is printed."""
    path, (iterations, tasks) = moved(key, 1.0), iterations_and_tasks(key)

    for shown, updates in (
        (path, iterations * tasks),
        (path, iterations * (tasks + 1)),
        (path, 0),
        (path[:-1], iterations * tasks),
        (path[1:], 0),
    ):
        assert judge(key, changed(key, path=shown, updates=np.asarray(float(updates)))).passed
    assert not judge(key, changed(key, path=path[2:])).passed


@pytest.mark.parametrize("key", [PATH, COPIED])
def test_coefficients_are_compared_up_to_their_sign(key: str) -> None:
    """A task may be the feature or its negative; where the coefficients were not seen the path decides."""
    right = prepared(key).cases[0].expected["w_t"]

    assert judge(key, changed(key, w_t=-right)).passed
    assert judge(key, changed(key, w_t=None)).passed
    assert not judge(key, changed(key, w_t=1.01 * right)).passed


@pytest.mark.parametrize("key", ["meta_learning_reg_closed_form.behaviour", "meta_learning_reg_sgd.behaviour"])
@pytest.mark.parametrize(("share", "passes"), [(0.98, True), (1.02, False)])
def test_both_sides_of_the_tolerance_for_given_functions(key: str, share: float, passes: bool) -> None:
    """What is handed out has to learn the same weights up to rounding."""
    factor = 1 + share * CHECKS[key].tolerance("path").relative

    assert judge(key, changed(key, path=moved(key, factor))).passed is passes


def learned(growth: float, others: float, aliases: float, *, hidden: bool = True) -> list[Arrays]:
    """Return a path that ends with true weights of a growth, aliases of a share of it, and others so far off."""
    case, params = prepared(LEARNS).cases[0], prepared(LEARNS).settings["params"]
    path = case.expected["path"].copy()
    true, alike = params["k_idx"], case.held_back["aliases"]
    path[-1] += others
    path[-1][true] = 1 + growth * (case.expected["path"][-1][true].mean() - 1)
    path[-1][alike] = 1 + aliases * (path[-1][true].mean() - 1)
    return [{"path": path, "hidden": np.asarray(float(hidden))}]


@pytest.mark.parametrize(
    ("growth", "others", "aliases", "passes"),
    [
        (1.0, 0.0, 1.0, True),
        (0.34, 0.0, 1.0, True),
        (0.32, 0.0, 1.0, False),
        (1.46, 0.0, 1.0, True),
        (1.48, 0.0, 1.0, False),
        (1.0, 0.49, 1.0, True),
        (1.0, 0.51, 1.0, False),
        (1.0, -0.49, 1.0, True),
        (1.0, -0.51, 1.0, False),
        (1.0, 0.0, 0.81, True),
        (1.0, 0.0, 0.79, False),
        (1.0, 0.0, 0.0, False),
        (np.nan, 0.0, 1.0, False),
        (1.0, np.inf, 1.0, False),
    ],
)
def test_both_sides_of_what_counts_as_learned(growth: float, others: float, aliases: float, passes: bool) -> None:
    """True weights have grown about as far as right ones, what looks like them has too, and others have not."""
    assert judge(LEARNS, learned(growth, others, aliases)).passed is passes


def test_raised_weights_are_told_from_learned_ones() -> None:
    """Who raises true weights by the right number has not learned them, with hidden points or without."""
    path = prepared(LEARNS).cases[0].expected["path"]
    raised = np.ones(path.shape)
    raised[:, prepared(LEARNS).settings["params"]["k_idx"]] = np.linspace(1, 4, len(path))[:, None]
    noisy = raised + 0.1 * np.random.default_rng(0).normal(size=raised.shape)
    own = metalearning_runs._path_of_own_draws(prepared(LEARNS))

    for answer in ({"hidden": np.ones(())}, {}):
        assert judge(LEARNS, [{"path": raised, **answer}]).findings == (metalearning_runs._NOT_FROM_POINTS,)
        assert not judge(LEARNS, [{"path": noisy, **answer}]).passed
    assert judge(LEARNS, [{"path": own}]).passed
    assert judge(LEARNS, [{"path": own}]).notes


def settings_of(exam: Exam) -> Settings:
    """Return the reference's settings of a check's run."""
    settings: Settings = metalearning_runs._settings(exam.settings["params"], exam.settings["loss"], "labels")
    return settings


def run_of(exam: Exam, seed: int, *, own: bool, share: float = 1.0) -> Array:
    """Return the path of a right run on tasks of a seed, with the hidden points or points of its own."""
    settings, draws, inputs = settings_of(exam), np.random.RandomState(seed), exam.cases[0].inputs
    path: list[Array] = [np.ones(settings.d)]
    for _ in range(settings.num_iterations):
        batch = draw_task_batch(settings, draws)
        if not own:
            columns = np.stack([draw_coefficients(len(settings.k_idx), draws) for _ in batch.inner_targets])[..., None]
            inner, meta = (fourier_features(inputs[name], settings.d)[None] for name in ("inner_points", "meta_points"))
            labels = [clean_targets(features, columns, settings)[..., 0] for features in (inner, meta)]
            batch = TaskBatch(inner, labels[0], meta, labels[1])
        path.append(path[-1] - share * settings.stepsize_meta * meta_gradient(path[-1], batch, settings).gradient)
    return np.stack(path)


@pytest.fixture
def _one_thread() -> Iterator[None]:
    """Let torch use one thread: on small tensors others only wait."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("own", [False, True])
@pytest.mark.parametrize("seeds", [3, pytest.param(40, marks=pytest.mark.slow)])
def test_odds_that_a_right_run_does_not_count_as_learned(seeds: int, own: bool) -> None:
    """Over draws of settings, points and tasks, right runs are more than 15 standard deviations inside every bound."""
    growths, apart, alike = [], [], []
    for seed in range(seeds):
        exam = prepared(LEARNS, seed)
        k_idx, aliases = exam.settings["params"]["k_idx"], exam.cases[0].held_back["aliases"]
        right = metalearning_runs._path_of_own_draws(exam) if own else exam.cases[0].expected["path"]
        path = run_of(exam, seed + 100, own=own)
        (true, others), (right_true, right_others) = (
            metalearning_runs._means(each[-1], k_idx, aliases[:0] if own else aliases) for each in (path, right)
        )
        growths.append((true - 1) / (right_true - 1))
        apart.append(others - right_others)
        alike.append(
            np.corrcoef(*(np.delete(each[-1], k_idx) for each in (path, right)))[0, 1]
            if own
            else np.min((path[-1][aliases] - 1) / (path[-1][k_idx] - 1))
        )

    low, high = metalearning_runs._GROWTH
    assert min(np.mean(growths) - low, high - np.mean(growths)) > 15 * max(np.std(growths, ddof=1), 0.005)
    assert metalearning_runs._OTHERS_APART - abs(np.mean(apart)) > 15 * max(np.std(apart, ddof=1), 0.01)
    if own:  # Fisher's z of a correlation is nearly normal
        assert np.mean(np.arctanh(alike)) - metalearning_runs._LEAST_CORRELATION > 4 * max(
            np.std(np.arctanh(alike)), 0.2
        )
    else:
        np.testing.assert_allclose(alike, 1)


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize("key", [PATH, COPIED])
@pytest.mark.parametrize("seeds", [12, pytest.param(300, marks=pytest.mark.slow)])
def test_odds_that_own_draws_leave_the_band(key: str, seeds: int) -> None:
    """First step and end of runs with points of their own stay in their bands by 4.5 standard deviations and more."""
    first, last = [], []
    for seed in range(seeds):
        exam = prepared(key, seed % 12)
        right, path = metalearning_runs._path_of_own_draws(exam), run_of(exam, seed, own=True)
        place = exam.settings["params"]["k_idx"][0]
        first.append((path[1][place] - 1) / (right[1][place] - 1))
        last.append((path[-1][place] - 1) / (right[-1][place] - 1))

    for found, band in ((first, metalearning_runs._OWN_DRAWS_BAND), (last, metalearning_runs._OWN_DRAWS_END)):
        assert band - abs(np.mean(found) - 1) > 4.5 * np.std(found, ddof=1)
    assert abs(np.mean(first) / 2 - 1) > metalearning_runs._OWN_DRAWS_BAND  # a first-order gradient is half as long


@pytest.mark.usefixtures("_one_thread")
@pytest.mark.parametrize(("share", "passes"), [(1.0, True), (0.5, False), (1.4, False), (np.nan, False)])
def test_both_sides_of_the_band_for_own_draws(share: float, passes: bool) -> None:
    """Without hidden points the lengths of the first step and of all steps decide, and a remark says so."""
    path = run_of(prepared(PATH), 3, own=True, share=share)

    evidence = judge(PATH, changed(PATH, path=path, hidden=np.zeros(())))

    assert evidence.passed is passes
    assert bool(evidence.notes) is passes
    assert not judge(PATH, changed(PATH, path=path[:4], hidden=np.zeros(()))).passed


@pytest.mark.parametrize("key", [PATH, COPIED, LEARNS])
def test_what_decides_how_far_weights_move_is_drawn(key: str) -> None:
    """Sizes, steps and features are other ones for other code, so nobody reads the right end off another run."""
    params = [prepared(key, seed).settings["params"] for seed in range(12)]

    for name in ("seed", "d", "k_idx", "n_train_inner", "n_train_meta", "stepsize_inner", "stepsize_meta"):
        assert len({str(each[name]) for each in params}) > 1, name
    sizes = {str(sorted((each["n_train_inner"], each["n_train_meta"], each["n_test_post"]))) for each in params}
    assert all(len(set(json.loads(each))) == 3 for each in sizes)


@pytest.mark.parametrize("key", [UPDATE, UPDATE_GRADIENT])
def test_meta_updates_on_own_points_are_judged_by_their_mean(key: str) -> None:
    """Means over 20,000 points pass for a hundred draws; half and double of them do not."""
    case = prepared(key).cases[-1]
    draws = np.random.default_rng(0)
    names = ("loss", "gradient/w_t", "gradient/feature_weights_t")
    for _ in range(100):
        points = draws.uniform(-1, 1, metalearning._MANY)
        means = {
            name: values.mean(axis=0)
            for name, values in metalearning._update_at_each(case.inputs, points).items()
            if name in names
        }
        own = {"hidden": np.zeros(())}

        evidence = judge(key, changed(key, **means, **own))

        assert evidence.passed
        assert evidence.notes
    for factor in (0.5, 2.0, np.nan):
        scaled = {name: factor * value for name, value in means.items()}
        assert not judge(key, changed(key, **scaled, **own)).passed


TESTS = ("test_classification.output", "test_oracle_classification.output")


def by_own_solver(key: str, prefix: str = "own/", seed: int = 7) -> list[Arrays]:
    """Return what a solver of the student's own brings home: logistic regression, or what the prefix says."""
    curve = ("mean", "high", "low")
    return [
        {**{name: case.expected[f"{prefix}{name}"] for name in curve}, "n_train_post_range": case.expected[COUNTS]}
        for case in prepared(key, seed).cases
    ]


COUNTS = "n_train_post_range"


@pytest.mark.parametrize(("aside", "passes"), [(0.085, True), (0.095, False)])
def test_own_solvers_are_judged_within_a_band(aside: float, passes: bool) -> None:
    """Without the stand-in solver the mean error may be 0.09 off; with it nothing may be off."""
    key = "test_classification.output"
    own, right = by_own_solver(key), right_answers(key)
    own[-1]["mean"] = own[-1]["mean"] + aside
    wrong, squares = right_answers(key), right_answers(key)
    wrong[-1]["mean"] = wrong[-1]["mean"] + 1e-3
    squares[-1]["solver"] = -np.ones(())

    assert judge(key, own).passed is passes
    assert judge(key, right).passed
    assert not judge(key, wrong).passed
    assert not judge(key, squares).passed


def solved_with(case: Case, solve: Any) -> Arrays:
    """Return the curves that a solver gives: (n, d) weighted features and (n,) labels to (d,)."""
    weights, errors = case.inputs["feature_weights"], []
    for n in case.expected[COUNTS]:
        features, rows = case.inputs[f"train/{n}/features"] * weights, case.inputs[f"train/{n}/y"]
        alphas = np.stack([weights * solve(features, labels) for labels in rows])
        predicted = np.where(alphas @ case.inputs["test/features"].T >= 0, 1.0, -1.0)
        errors.append(np.mean(predicted != case.inputs["test/y"], axis=1))
    high, low = np.percentile(errors, [90, 10], axis=1)
    return {COUNTS: case.expected[COUNTS], "mean": np.mean(errors, axis=1), "high": high, "low": low}


def ridge(penalty: float) -> Any:
    """Return a ridge regression on labels."""
    return lambda X, z: np.linalg.solve(X.T @ X + penalty * np.eye(X.shape[1]), X.T @ z)


def logistic(X: Array, z: Array) -> Array:
    """Return weakly regularised logistic regression, by gradient descent."""
    w = np.zeros(X.shape[1])
    for _ in range(300):
        w += 0.5 * (X.T @ (z / (1 + np.exp(np.clip(z * (X @ w), -50, 50)))) / len(z) - 1e-3 * w)
    return w


@pytest.mark.parametrize("key", TESTS)
def test_squared_errors_are_told_from_logistic_regression(key: str) -> None:
    """Over draws, own logistic regression passes, and least squares and ridge regressions do not."""
    for seed in range(3):
        cases = prepared(key, seed).cases

        def verdict(solve: Any, cases: Sequence[Case] = cases, seed: int = seed) -> Evidence:
            answers = [CaseAnswer(solved_with(case, solve)) for case in cases]
            return CHECKS[key].judge(CHECKS[key], prepared(key, seed), answers)

        assert verdict(logistic).passed
        for penalty in (1e-6, 0.1, 1.0, 10.0):
            assert not verdict(ridge(penalty)).passed, (seed, penalty)


@pytest.mark.parametrize("key", TESTS)
def test_errors_that_do_not_move_with_the_data_do_not_pass(key: str) -> None:
    """What was right for other data is wrong for these, over many draws."""
    for seed in range(20):
        answers = [CaseAnswer(arrays) for arrays in by_own_solver(key, seed=seed + 1)]

        assert not CHECKS[key].judge(CHECKS[key], prepared(key, seed), answers).passed


@pytest.mark.parametrize("key", ["test_classification.output", "test_oracle_classification.output"])
def test_of_the_curves_those_that_are_right_are_named(key: str) -> None:
    """One wrong curve is told beside the right ones; where all are wrong, only the numbers of points are right."""
    high = prepared(key).cases[-1].expected["high"]
    one = judge(key, changed(key, high=high + 0.1)).findings
    every = judge(key, changed(key, **dict.fromkeys(("mean", "high", "low"), high + 2))).findings
    swapped = judge(key, changed(key, solver=np.zeros(()), high=high * 0, low=high * 0 + 0.01)).findings

    assert one[0].startswith("The 90th percentile has the right shape")
    assert one[1:] == ("Right already: `n_train_post_range`, the mean error and the 10th percentile.",)
    assert [finding.split(" has ")[0] for finding in every] == [
        "The mean error",
        "The 90th percentile",
        "The 10th percentile",
        "Right already: `n_train_post_range`.",
    ]
    assert not any("`mean" in finding or "`90th" in finding for finding in (*one, *every, *swapped))


def test_of_the_gradients_those_that_are_right_are_named() -> None:
    """One of the two may be right while the other is not."""
    wrong = prepared(UPDATE_GRADIENT).cases[-1].expected["gradient/w_t"] * 2
    findings = judge(UPDATE_GRADIENT, changed(UPDATE_GRADIENT, **{"gradient/w_t": wrong})).findings

    assert findings[0].startswith("The gradient of `w_t` has the right shape")
    assert findings[1:] == ("Right already: the gradient of `feature_weights_t`.",)


def in_products(key: str) -> list[Arrays]:
    """Return what an update of the public editions brings home: plain features times `w_t`."""
    answers = []
    for case in prepared(key).cases:
        arrays = {name: case.expected[f"products/{name}"] for name in ("loss", "gradient/w_t")}
        answers.append({**arrays, "hidden": np.ones(())})
    return answers


@pytest.mark.parametrize("key", [UPDATE, UPDATE_GRADIENT])
def test_either_convention_of_the_coefficients_is_right(key: str) -> None:
    """Coefficients of weighted features, or products with plain ones: both pass, each in every case."""
    ours, products = right_answers(key), in_products(key)
    zero = {"gradient/feature_weights_t": np.zeros(21)}

    assert judge(key, products).passed
    assert judge(key, [{**arrays, **zero} for arrays in products]).passed
    assert CHECKS[key].errors is not None
    assert max(CHECKS[key].errors(prepared(key), [CaseAnswer(arrays) for arrays in products]).values()) == 0
    assert not judge(key, [ours[0], products[1]]).passed
    assert not judge(key, [products[0], ours[1]]).passed


def test_a_gradient_that_is_cut_is_told_in_the_convention_of_the_rest() -> None:
    """Right coefficients of weighted features without a gradient of the weights; products that are half too large."""
    cut = changed(UPDATE_GRADIENT, **{"gradient/feature_weights_t": None})
    larger = [{**arrays, "gradient/w_t": 1.5 * arrays["gradient/w_t"]} for arrays in in_products(UPDATE_GRADIENT)]
    mixed = [{**arrays, "gradient/feature_weights_t": np.ones(21)} for arrays in in_products(UPDATE_GRADIENT)]

    assert judge(UPDATE_GRADIENT, cut).findings == ("No gradient reaches `feature_weights_t`.",)
    assert judge(UPDATE_GRADIENT, larger).findings[0].startswith("The gradient of `w_t` has the right shape")
    assert "off by 50 %" in judge(UPDATE_GRADIENT, larger).findings[0]
    assert not judge(UPDATE_GRADIENT, mixed).passed


def test_products_on_own_points_are_judged_by_their_mean() -> None:
    """Without hidden points the mean decides, in either convention."""
    for key in (UPDATE, UPDATE_GRADIENT):
        means = [
            {name: case.expected[f"products/mean/{name}"] for name in ("loss", "gradient/w_t")}
            for case in prepared(key).cases
        ]
        assert judge(key, means).passed
        assert not judge(key, [{name: 1.5 * value for name, value in arrays.items()} for arrays in means]).passed


@pytest.mark.parametrize("key", [key for key in CHECKS if CHECKS[key].probe == "meta_learning"])
def test_runs_stay_inside_what_handed_out_parameters_can_say(key: str) -> None:
    """Handed-out modules test at len(k_idx) - 1 points, which have to be some, and log num_stats times."""
    params = prepared(key).settings["params"]

    assert len(params["k_idx"]) >= 2
    assert params["num_iterations"] >= params["num_stats"]
    assert max(params["k_idx"]) < params["d"]
    assert params["d"] % 2 == 1


@pytest.mark.parametrize("huge", [1e9, 1e200])
def test_absurd_numbers_do_not_fill_a_page(huge: float) -> None:
    """A path or an error that is far out is told in words or in short, not with hundreds of digits."""
    far = prepared(PATH).cases[0].expected["path"] * huge
    path = judge(PATH, changed(PATH, path=far)).findings[0]
    zero = judge(ZERO, [{name: np.asarray(huge) for name in ("mean", "high", "low")}]).findings[0]

    assert path.endswith("it is off by more than ten times its length.")
    assert f"{huge:.3g}" in zero
    assert len(zero) < 200


def guess(labels: Array, guessed: Array) -> Arrays:
    """Return what test_zero_classification gives for a guess."""
    errors = (labels != guessed).mean(axis=1)
    high, low = np.percentile(errors, [90, 10])
    return {"mean": errors.mean(), "high": np.asarray(high), "low": np.asarray(low)}


def test_every_guess_that_ignores_x_passes() -> None:
    """Either label, a coin for each task, or one for all tasks, in all of a thousand tries."""
    labels = [case.inputs["test/y"] for case in prepared(ZERO).cases]
    draws = np.random.default_rng(0)

    for constant in (1.0, -1.0):
        assert judge(ZERO, [guess(each, np.full(1, constant)) for each in labels]).passed
    for each, case in zip(labels, prepared(ZERO).cases, strict=True):
        for shape in (each.shape, each.shape[1:]):
            for _ in range(500):
                tossed = guess(each, draws.choice([-1.0, 1.0], shape))
                curve = np.array([tossed[name] for name in ("mean", "high", "low")])
                assert metalearning._is_of_coin(curve, case)


def test_a_coin_that_is_compared_with_other_labels_does_not_pass() -> None:
    """Labels of training points are other numbers of them, of one size or of all together."""
    draws = np.random.default_rng(0)
    sizes = [*metalearning._SIZES, sum(metalearning._SIZES)]
    for n in sizes * 20:
        answers = []
        for case in prepared(ZERO).cases:
            labels = np.ones((len(case.inputs["test/y"]), n))
            answers.append(guess(labels, draws.choice([-1.0, 1.0], labels.shape)))

        assert not judge(ZERO, answers).passed, n
    half = {name: np.asarray(0.5) for name in ("mean", "high", "low")}
    assert not judge(ZERO, [half, half]).passed


@pytest.mark.parametrize("share", [0.0, 0.25, 0.75, 1.0])
def test_a_guess_with_insight_does_not_pass(share: float) -> None:
    """Labels that are known in part are no guess that ignores x."""
    answers = []
    for case in prepared(ZERO).cases:
        labels = case.inputs["test/y"]
        known = np.random.default_rng(0).uniform(size=labels.shape) < share
        answers.append(guess(labels, np.where(known, -labels, labels)))

    assert not judge(ZERO, answers).passed


DESCENDS = "descend_feature_weights.convergence"


def ways_to_the_end(start: Array, rows: int) -> Iterator[Array]:
    """Yield ways from a start to where it should end that are none of gradient descent."""
    norm, share = np.linalg.norm(start), np.linspace(0, 1, rows)[:, None]
    yield start + share * (np.array([norm, 0.0]) - start)
    angle = np.arctan2(start[1], start[0]) * (1 - share[:, 0])
    yield norm * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    yield np.concatenate([start[None], np.tile([norm, 0.0], (rows - 1, 1))])


def test_where_descent_ends_counts_for_who_descended() -> None:
    """Half or twice the speed is a way of gradient descent; a line, an arc and a jump are none."""
    case = prepared(DESCENDS).cases[0]
    start, steps = case.inputs["c_init"], int(case.inputs["n_iterations"])
    for factor, passes in ((1.0, True), (0.7, True), (2.0, True)):
        trajectory = descend_feature_weights(start, factor * float(case.inputs["step_size"]), steps)
        assert judge(DESCENDS, [{"trajectory": trajectory}]).passed is passes
        single = trajectory.astype(np.float32).astype(np.float64)
        assert judge(DESCENDS, [{"trajectory": single}]).passed is passes
    for way in ways_to_the_end(start, steps + 1):
        found = judge(DESCENDS, [{"trajectory": way}])
        assert found.findings == (
            "The trajectory ends where it should, but the way there is not one of gradient descent.",
        )


THEORY_CALLS: dict[str, Arrays] = {
    "min_norm_solution": {"A": np.array([[1.0, 2.0, 0.5]]), "y": np.array([3.0])},
    "aliased_coefficients": {"c": np.array([0.6, -0.8])},
    "expected_test_error": {"c": np.array([0.6, -0.8])},
    "expected_test_error_gradient": {"c": np.array([0.6, -0.8])},
}


@pytest.mark.parametrize("name", THEORY_CALLS)
def test_each_part_of_the_theory_is_lent_to_those_after_it(name: str) -> None:
    """Lent values are the reference's, gradients flow back where others differentiate, and sizes are stated."""
    asked = {"step": "forward", "name": name, "settings": {}}
    lending = Lending({name}, HELPERS)

    reply = lending.answer(Message("request", asked, THEORY_CALLS[name]))
    expected = getattr(theory, name)(*THEORY_CALLS[name].values())
    back = lending.answer(Message("request", {"step": "backward", "call": 0}, {"0": np.ones(np.shape(expected))}))
    huge = {key: np.zeros((65, 65)) if array.ndim == 2 else np.zeros(65) for key, array in THEORY_CALLS[name].items()}

    np.testing.assert_allclose(reply.arrays["0"], expected)
    assert bool(back.arrays) is (name != "expected_test_error_gradient")
    assert "refused" in lending.answer(Message("request", asked, huge)).meta
    later = [check for check in METALEARNING_CHECKS if name in check.needs]
    assert {check.function for check in later} >= {"descend_feature_weights"}
    if name == "expected_test_error":
        np.testing.assert_allclose(back.arrays["c"], theory.expected_test_error_gradient(THEORY_CALLS[name]["c"]))


ASKED: dict[str, Any] = {"step": "forward", "name": "meta_update_classification", "settings": {"d": 5, "k_idx": [1, 3]}}
UPDATE_INPUTS: Arrays = {
    "w_t": np.linspace(-1, 1, 5),
    "feature_weights_t": np.linspace(0.5, 1.5, 5),
    "points": np.linspace(-0.9, 0.8, 7),
    "k_val": np.array([0.6, -0.8]),
}


def test_the_lent_meta_update_is_right_forward_and_backward() -> None:
    """Its loss and gradients are those of the formula, written out point by point."""
    lending = Lending({"meta_update_classification"}, HELPERS)

    forward = lending.answer(Message("request", ASKED, UPDATE_INPUTS))
    backward = lending.answer(Message("request", {"step": "backward", "call": 0}, {"0": np.array(2.0)}))

    w, c = (torch.tensor(UPDATE_INPUTS[name], requires_grad=True) for name in ("w_t", "feature_weights_t"))
    total = torch.zeros((), dtype=torch.float64)
    for x in UPDATE_INPUTS["points"]:
        waves = [np.sqrt(2) * wave(np.pi * r * x) for r in (1, 2) for wave in (np.sin, np.cos)]
        phi = torch.tensor([1.0, *waves])
        label = 1.0 if 0.6 * phi[1] - 0.8 * phi[3] >= 0 else -1.0
        total = total + torch.log1p(torch.exp(-label * torch.sum(phi * c * w)))
    (2 * total).backward()
    assert w.grad is not None
    assert c.grad is not None
    np.testing.assert_allclose(forward.arrays["0"], total.detach())
    np.testing.assert_allclose(backward.arrays["w_t"], w.grad)
    np.testing.assert_allclose(backward.arrays["feature_weights_t"], c.grad)


def test_the_lent_meta_update_follows_its_callers_convention() -> None:
    """Whose loop passes products gets the loss of plain features, and no gradient of the weights."""
    lending = Lending({"meta_update_classification"}, HELPERS)
    products = {**ASKED, "settings": {**ASKED["settings"], "w_t_is_weighted": True}}
    ones = {**UPDATE_INPUTS, "feature_weights_t": np.ones(5)}

    forward, plain = (
        lending.answer(Message("request", products, UPDATE_INPUTS)),
        lending.answer(Message("request", ASKED, ones)),
    )
    backward = lending.answer(Message("request", {"step": "backward", "call": 0}, {"0": np.array(1.0)}))

    np.testing.assert_allclose(forward.arrays["0"], plain.arrays["0"])
    assert set(backward.arrays) == {"w_t"}


@pytest.mark.parametrize(
    ("settings", "arrays"),
    [
        ({"d": 5}, {}),
        ({"d": 4, "k_idx": [1, 3]}, {}),
        ({"d": 0, "k_idx": [1, 3]}, {}),
        ({"d": 100_001, "k_idx": [1, 3]}, {}),
        ({"d": 5, "k_idx": [1, 9]}, {}),
        ({"d": 5, "k_idx": [1]}, {}),
        ({}, {"points": np.zeros(4001)}),
        ({}, {"w_t": np.zeros((5, 1000))}),
        ({}, {"w_t": np.zeros(6)}),
        ({}, {"feature_weights_t": np.zeros((5, 5))}),
        ({}, {"k_val": np.zeros(3)}),
    ],
)
def test_lent_meta_updates_refuse_what_makes_no_sense(settings: dict[str, Any], arrays: Arrays) -> None:
    """Wrong sizes, and sizes that would cost the grader memory, are refused."""
    asked = {**ASKED, "settings": settings or ASKED["settings"]}

    reply = Lending({"meta_update_classification"}, HELPERS).answer(
        Message("request", asked, {**UPDATE_INPUTS, **arrays})
    )

    assert "refused" in reply.meta


def test_only_the_latest_graphs_are_kept() -> None:
    """A run may ask hundreds of times; gradients are there for the last calls, so memory does not grow."""
    lending = Lending({"meta_update_classification"}, HELPERS)
    for _ in range(70):
        assert "refused" not in lending.answer(Message("request", ASKED, UPDATE_INPUTS)).meta

    def backward(call: int) -> Message:
        return lending.answer(Message("request", {"step": "backward", "call": call}, {"0": np.array(1.0)}))

    assert "refused" in backward(5).meta
    assert "refused" not in backward(69).meta


def lent_test_inputs() -> Arrays:
    """Return a small call of test_classification."""
    case = prepared("test_classification.output").cases[0].inputs
    names = ("train/9/features", "train/9/y", "test/features", "test/y", "feature_weights")
    return {name: case[name] for name in names}


def test_the_lent_test_is_the_one_that_is_expected() -> None:
    """It gives the numbers that a right function gives with the probe's stand-in solver."""
    asked = {"step": "forward", "name": "test_classification", "settings": {"sizes": [9]}}

    reply = Lending({"test_classification"}, HELPERS).answer(Message("request", asked, lent_test_inputs()))

    expected = prepared("test_classification.output").cases[0].expected
    for index, name in enumerate(("mean", "high", "low")):
        np.testing.assert_allclose(reply.arrays[str(index)], expected[name][:1])


@pytest.mark.parametrize(
    ("sizes", "arrays"),
    [
        ([9, 10], {}),
        ([9] * 101, {}),
        ([9], {"train/9/y": np.ones((100_000, 1))}),
        ([9], {"train/9/y": np.ones((3, 9))}),
        ([9], {"test/y": np.ones((11, 1))}),
        ([9], {"test/features": np.ones((30_000, 15)), "test/y": np.ones((11, 30_000))}),
        ([9], {"feature_weights": np.ones(4)}),
    ],
)
def test_lent_tests_refuse_what_makes_no_sense(sizes: list[int], arrays: Arrays) -> None:
    """Sizes that do not belong together, or would cost memory, are refused."""
    asked = {"step": "forward", "name": "test_classification", "settings": {"sizes": sizes}}

    reply = Lending({"test_classification"}, HELPERS).answer(
        Message("request", asked, {**lent_test_inputs(), **arrays})
    )

    assert "refused" in reply.meta
