"""The meta-learning probes: what they ask of student code, what they bring home, and what their stand-ins see."""

from __future__ import annotations

import ast
import socket
import sys
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pytest

from grader import wire
from grader.probes.task import ANSWER, FAILURE, probe
from grader.wire import Arrays
from homework.homework import HOMEWORK


@pytest.fixture(autouse=True)
def _clean_imports() -> Iterator[None]:
    """Take student code's finders and modules out of the import system again."""
    finders, modules = list(sys.meta_path), set(sys.modules)
    yield
    sys.meta_path[:] = finders
    for name in {"utils", "utils_visualization"} - modules:
        sys.modules.pop(name, None)


def ask(
    name: str,
    source: str,
    arrays: Arrays,
    *,
    settings: Mapping[str, Any] | None = None,
    modules: Mapping[str, str] | None = None,
) -> wire.Message:
    """Run a probe on one case, in this process."""
    source = textwrap.dedent(source)
    steps = [[0, index] for index in range(len(ast.parse(source).body))]
    request = {
        "probe": name,
        "code": {"cells": [["nb, code cell 1", source]], "statements": steps, "modules": dict(modules or {})},
        "given": {"cells": [], "statements": [], "modules": {}},
        "given_names": [],
        "lent": [],
        "settings": dict(settings or {}),
        "device": "cpu",
        "memory_mib": 256,
        "cases": [1],
    }
    inputs = {f"0/{key}": array for key, array in arrays.items()}
    near, far = socket.socketpair()
    with near, far:
        return probe(HOMEWORK.probes(), wire.Message("probe", request, inputs), near)


def answer(*args: Any, **kwargs: Any) -> Arrays:
    """Return what came home of the one case."""
    message = ask(*args, **kwargs)
    assert message.kind == ANSWER, message.meta
    return {name.removeprefix("0/"): array for name, array in message.arrays.items()}


C = {"c": np.array([0.6, -0.8])}


@pytest.mark.parametrize(
    "body",
    [
        "return c / np.sum(c**2)",
        "return torch.linalg.vector_norm(c) ** -2 * c",
        "return [c[0], c[1]]",
        "return tuple(torch.tensor(float(each)) for each in c)",
    ],
)
def test_theory_may_be_written_with_arrays_tensors_or_lists(body: str) -> None:
    """Arrays go in first, tensors where that raises; lists and tuples of numbers count as arrays."""
    found = answer("aliased_coefficients", f"import numpy as np, torch\ndef aliased_coefficients(c): {body}", C)

    np.testing.assert_allclose(found["beta"], C["c"])


def test_the_first_error_is_the_one_told() -> None:
    """Where arrays and tensors both raise, the student reads about the call that the homework makes."""
    message = ask("aliased_coefficients", "def aliased_coefficients(c): raise ValueError(type(c).__name__)", C)

    assert message.kind == FAILURE
    assert message.meta["message"] == "ndarray"


def test_a_stub_is_not_asked_twice() -> None:
    """NotImplementedError says at once that there is nothing yet."""
    message = ask("aliased_coefficients", "def aliased_coefficients(c): raise NotImplementedError", C)

    assert message.meta["kind"] == "not-implemented"


UPDATE: Arrays = {
    "w_t": np.ones(3),
    "feature_weights_t": np.ones(3),
    "points": np.array([0.1, 0.2, 0.4]),
    "k_val": np.ones(1),
}
UPDATE_SETTINGS = {"d": 3, "k_idx": [1], "many": 1000}
UTILS = "import numpy as np\ndef generate_x(n, x_type): return np.random.uniform(-1, 1, n)"
SIGNATURE = "def meta_update_classification(w, c, n, kind, d, k_idx, k_val, noise):"


@pytest.mark.parametrize("where", ["from utils import generate_x", "import utils\ngenerate_x = utils.generate_x"])
def test_hidden_points_are_handed_out(where: str) -> None:
    """generate_x gives the hidden points, wherever the student has it from."""
    source = f"{where}\n{SIGNATURE} return sum(generate_x(n, 'uniform_random')) * w[0]"

    found = answer("meta_update_classification", source, UPDATE, settings=UPDATE_SETTINGS, modules={"utils": UTILS})

    assert float(found["loss"]) == pytest.approx(0.7)
    assert found["hidden"] == 1


@pytest.mark.parametrize("points", ["np.random.uniform(-1, 1, n)", "np.random.uniform(high=1, low=-1, size=(n,))"])
def test_hidden_points_are_handed_out_for_uniform_ones_too(points: str) -> None:
    """Who writes generate_x out takes the hidden points, and NumPy's own function is back afterwards."""
    source = f"import numpy as np\n{SIGNATURE} return sum({points}) * w[0] + 0 * np.random.uniform(size=n)[0]"
    before = np.random.uniform

    found = answer("meta_update_classification", source, UPDATE, settings=UPDATE_SETTINGS)

    assert float(found["loss"]) == pytest.approx(0.7)
    assert found["hidden"] == 1
    assert np.random.uniform is before


@pytest.mark.parametrize("points", ["np.random.default_rng(1).uniform(-1, 1, n)", "generate_x(n + 1, 'x')[:n]"])
def test_own_points_bring_home_a_mean(points: str) -> None:
    """Where the hidden points were not taken, the loss is the mean over as many points as are asked for."""
    source = f"import numpy as np\nfrom utils import generate_x\n{SIGNATURE} return (2 + 0 * {points}).sum() * w[0]"

    found = answer("meta_update_classification", source, UPDATE, settings=UPDATE_SETTINGS, modules={"utils": UTILS})

    assert float(found["loss"]) == pytest.approx(2)
    assert found["hidden"] == 0


@pytest.mark.parametrize(
    "single",
    [
        "def to_tensor(value): return torch.tensor(value, dtype=torch.float32)",
        "def DummyModel(d): return torch.nn.Linear(d, 1)",
        "",
    ],
)
def test_an_update_in_single_precision_gets_its_own_kind_of_numbers(single: str) -> None:
    """Whose model or tensors are float32 cannot multiply doubles; the loss is the same, and gradients still flow."""
    modules = {"utils": UTILS}
    source = f"""
import torch
from utils import generate_x
{single}
{SIGNATURE}
    return (torch.tensor(generate_x(n, 'uniform_random'), dtype=torch.float32) @ w)
"""
    inputs = {**UPDATE, "cotangent/loss": np.ones(())}
    if not single:
        assert (
            ask("meta_update_classification", source, inputs, settings=UPDATE_SETTINGS, modules=modules).kind == FAILURE
        )
        return

    found = answer("meta_update_classification", source, inputs, settings=UPDATE_SETTINGS, modules=modules)

    assert float(found["loss"]) == pytest.approx(0.7)
    np.testing.assert_allclose(found["gradient/w_t"], UPDATE["points"], rtol=1e-6)


DATA: Arrays = {
    f"{block}/{key}": array
    for block, n in (("train/2", 2), ("train/4", 4), ("test", 3))
    for key, array in (("x", np.zeros(n)), ("features", np.ones((n, 2))), ("y", np.ones((5, n))))
} | {"feature_weights": np.array([1.0, 2.0]), "min_n_train_post": np.array(3)}
SOLVE = "def solve_logistic(phi, z, weights=None): return None\ndef solve_ls(phi, y, weights=None): return phi[0], 0"


@pytest.mark.parametrize(
    ("call", "solver"),
    [
        ("solve_logistic(train['features'], train['y'][0], weights)", 1),
        ("solve_ls(train['features'], train['y'][0], weights)", -1),
        ("weights, 0", 0),
    ],
)
def test_it_is_seen_which_solver_was_called(call: str, solver: int) -> None:
    """The stand-in for solve_logistic weighs features twice; least squares and own solvers are told apart."""
    source = f"""
from utils import *
def test_classification(data_dict, weights, least=0):
    train = data_dict["train"][4]
    alpha, _ = {call}
    assert len(data_dict["train"]) == 2 and len(train["y"]) == 5 and least == 3
    return [4], alpha[:1], alpha[1:], [0.5]
"""
    found = answer("test_classification", source, DATA, settings={"sizes": [2, 4]}, modules={"utils": SOLVE})

    assert found["solver"] == solver
    assert found["n_train_post_range"].tolist() == [4]
    if solver == 1:
        assert [*found["mean"], *found["high"]] == [4, 16]


@pytest.mark.parametrize("name", ["test_oracle_classification", "test_classification_oracle"])
def test_the_oracle_may_have_its_old_name(name: str) -> None:
    """Both names are called; one that is only imported from where it is not does not stand in the way."""
    source = f"from utils import test_oracle_classification\ndef {name}(data, x_type, c, least): return [1], c, c, c"

    found = answer("test_oracle_classification", source, DATA, settings={"sizes": [2, 4]}, modules={"utils": ""})

    assert found["mean"].tolist() == [1, 2]


RUN: dict[str, Any] = {
    "function": "learn",
    "updates": ["update"],
    "params": {"d": 3, "k_idx": [1], "n_train_inner": 2},
}
HELPERS = """
import numpy as np
def update(w_t, feature_weights_t): return 0
def visualize_prediction_classification(data_dict, feature_weights, n): raise RuntimeError("plots")
def test_classification(data_dict, feature_weights, least=0): raise RuntimeError("tests")
w = [i * np.ones(3) for i in range(5)]
"""


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ("return w[1], {}", [1]),
        ("return {}, w[1]", [1]),
        ("for i in (1, 2, 2, 3): visualize_prediction_classification({}, w[i], 1)", [1, 2, 3]),
        ("for i in (1, 2, 3): visualize_prediction_classification({}, feature_weights=w[i], n=1)", [1, 2, 3]),
        ("for i in (1, 1, 2): update(w[0], w[i])\n    return w[3], {}", [1, 2, 3]),
        ("for i in (1, 2, 3): update(feature_weights_t=w[i], w_t=w[0])", [1, 2, 3]),
        ("visualize_prediction_classification({}, w[1], 1); update(w[0], w[1]); update(w[0], w[2])", [1, 2]),
        ("update(w[0], w[1]); visualize_prediction_classification({}, w[2], 1)", [1, 2]),
        ("for i in (1, 2): test_classification({'train': {}}, w[i])", [2]),
    ],
    ids=["returned", "returned-second", "shown", "by-name", "updated", "updated-by-name", "old-row", "last", "tested"],
)
def test_feature_weights_are_seen_wherever_they_are_passed_on(body: str, path: list[int]) -> None:
    """Given to the update, shown, tested or returned: the path has each change once, in order."""
    found = answer("meta_learning", f"{HELPERS}\ndef learn(params):\n    {body}", {}, settings=RUN)

    assert found["path"][:, 0].tolist() == path


def test_the_first_tasks_coefficients_are_seen() -> None:
    """The first call of the update says what the inner loop found."""
    source = f"{HELPERS}\ndef learn(params):\n    update(w[4], w[1]); update(w[3], w[2])"

    assert answer("meta_learning", source, {}, settings=RUN)["w_t"].tolist() == [4, 4, 4]


def test_calls_of_the_update_are_counted() -> None:
    """How often the meta update was asked says how many iterations there were."""
    source = f"{HELPERS}\ndef learn(params):\n    for _ in range(6): update(w[0], w[1])"

    assert answer("meta_learning", source, {}, settings=RUN)["updates"] == 6


def test_hidden_points_have_to_be_taken_in_every_iteration() -> None:
    """Points that are drawn once for all iterations are not fresh."""
    source = f"{HELPERS}\ndef generate_x(n, kind): return None\ndef learn(params):\n    {{}}\n    return w[1]"
    settings = {**RUN, "params": {**RUN["params"], "num_iterations": 3}}
    inputs = {"inner_points": np.array([0.25, 0.5])}

    for times, hidden in ((1, 0), (2, 0), (3, 1), (9, 1)):
        code = source.format(f"for _ in range({times}): generate_x(2, 'uniform_random')")
        assert answer("meta_learning", code, inputs, settings=settings)["hidden"] == hidden


def test_a_run_without_weights_says_so() -> None:
    """Where nothing shows the weights there is nothing to judge."""
    message = ask("meta_learning", f"{HELPERS}\ndef learn(params): return 1, None, 'x', w", {}, settings=RUN)

    assert message.meta["kind"] == "value"


def test_plots_and_tests_do_not_run() -> None:
    """All of utils_visualization's own functions are quiet; what it only imports still works."""
    modules = {
        "utils": "def double(x): return 2 * x",
        "utils_visualization": "from utils import double\ndef draw(c): raise RuntimeError('plots')",
    }
    source = f"""
from utils_visualization import *
{HELPERS}
def learn(params):
    draw(w[1])
    sizes, mean, high, low = test_classification({{"train": {{2: 0, 7: 0}}}}, w[0], 5)
    assert sizes.tolist() == [7] and mean.tolist() == [0]
    return double(w[1])
"""
    found = answer("meta_learning", source, {}, settings=RUN, modules=modules)

    assert found["path"][-1].tolist() == [2, 2, 2]


@pytest.mark.parametrize(
    ("call", "hidden"),
    [
        ("generate_x(2, 'uniform_random')", 1),
        ("generate_x(n=2, x_type='grid')", 1),
        ("generate_x(3, 'uniform_random')", 0),
    ],
)
def test_a_run_says_whether_it_took_hidden_points(call: str, hidden: int) -> None:
    """Points of the right number count, on a grid too, which has nothing to hide."""
    source = f"{HELPERS}\ndef generate_x(n, x_type): return None\ndef learn(params): return w[1] + 0 * {call}[0]"

    found = answer("meta_learning", source, {"inner_points": np.array([0.25, 0.5])}, settings=RUN)

    assert found["hidden"] == hidden


@pytest.mark.parametrize("call", ["generate_y(f, [0, 1], {drawn})", "generate_y(f, k_idx=[0, 1], k_val={drawn})"])
@pytest.mark.parametrize(("drawn", "sign"), [("[0.6, 0.8]", 1), ("[0.6, -0.8]", -1), ("None", 7)])
def test_every_task_is_the_hidden_one_or_its_negative(call: str, drawn: str, sign: int) -> None:
    """generate_y gives the values of one task whatever was drawn; without coefficients it does what it does."""
    source = f"""
import numpy as np
{HELPERS}
def generate_y(features, k_idx, k_val=None): return 7 * 0.3 if k_val is None else features[:, k_idx] @ k_val
def learn(params):
    f = np.array([[1.0, 2.0]])
    return w[1] * {call.format(drawn=drawn)}
"""
    inputs = {"inner_points": np.array([0.25, 0.5]), "k_val": np.array([0.1, 0.1])}

    found = answer("meta_learning", source, inputs, settings=RUN)

    np.testing.assert_allclose(found["path"][-1], sign * 0.3)
