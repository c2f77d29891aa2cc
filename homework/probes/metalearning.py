"""
The meta-learning probes: how the functions of parts (e) to (h) are called.

Where student code draws at random it gets hidden points from a stand-in for `generate_x`, so that values can be
compared; where it draws in a way of its own the stand-in was not asked, and what comes home is for a comparison by
statistics. Everything that plots is a stand-in as well, and brings home the feature weights that it was to show.

Shapes: n points, d features, T tasks.
"""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from grader.probes.absent import Absent
from grader.probes.call import as_array, asked_for, call_with_either, present, scalar, stacked, to_numpy
from grader.probes.case import Case, Result
from grader.probes.lending import Lender
from grader.probes.student import MissingName, Student
from grader.probes.values import Problem, UnusableValue, split
from grader.wire import Array

POINT_SETS = ("inner_points", "meta_points")
_CURVE = ("n_train_post_range", "mean", "high", "low")
_BAND = ("mean", "high", "low")
_REGRESSION_TESTS = ("test_reg", "test_oracle_reg")
# The second name is that of the 2023 edition.
ORACLE_NAMES = ("test_oracle_classification", "test_classification_oracle")
ZERO_NAMES = ("test_zero_classification", "test_classification_zero")
_UPDATE = "meta_update_classification"
_MAX_ROWS = 400  # of the path of feature weights that is sent home


def _computes_in_single(student: Student) -> bool:
    """
    Whether a student's model or tensors are in single precision, where the template's are in double.

    Such features cannot be multiplied by doubles, nor have to be.
    """
    for space in student.namespaces():
        with contextlib.suppress(Exception):  # student code may raise anything; it has its own questions
            if "to_tensor" in space and space["to_tensor"](np.zeros(1)).dtype == torch.float32:
                return True
        with contextlib.suppress(Exception):
            if "DummyModel" in space and next(space["DummyModel"](3).parameters()).dtype == torch.float32:
                return True
    return False


def meta_update_classification(case: Case) -> Result:
    """
    Call meta_update_classification on hidden points.

    Output "hidden" says whether it took them. If not, `loss` is the mean over many points of its own.
    """
    settings = case.settings
    function = asked_for(case.student, _UPDATE)
    points = to_numpy(case.inputs["points"])
    hidden = _HiddenPoints([points])
    w_t, weights = case.inputs["w_t"].cpu(), case.inputs["feature_weights_t"].cpu()
    k_idx, k_val = np.array(settings["k_idx"]), to_numpy(case.inputs["k_val"])

    def loss_of(n_train_meta: int) -> Any:
        arguments = (n_train_meta, "fourier", settings["d"], k_idx.copy(), k_val.copy(), 0.0)
        kind = torch.float32 if _computes_in_single(case.student) else torch.float64
        return scalar(present(function(w_t.to(kind), weights.to(kind), *arguments), _UPDATE))

    with _instead_of_uniform(hidden), _Replaced(case.student, "generate_x", hidden):
        loss = loss_of(len(points))
    if not hidden.asked:
        loss = loss_of(settings["many"]) / settings["many"]
    return Result({"loss": loss, "hidden": float(bool(hidden.asked))})


def test_classification(case: Case) -> Result:
    """Call test_classification(data_dict, feature_weights, min_n_train_post)."""
    return _tested(case, ("test_classification",), ())


def test_oracle_classification(case: Case) -> Result:
    """Call test_oracle_classification(data_dict, x_type, feature_weights, min_n_train_post)."""
    return _tested(case, ORACLE_NAMES, ("uniform_random",))


def test_zero_classification(case: Case) -> Result:
    """Call test_zero_classification(data_dict)."""
    value = _first_of(case.student, ZERO_NAMES)(_data_dict(case))
    parts = split(value, _BAND, where="test_zero_classification")
    return Result({name: scalar(stacked(part)) for name, part in parts.items()})


def _tested(case: Case, names: Sequence[str], before: tuple[Any, ...]) -> Result:
    """
    Call a function that tests feature weights.

    Output "solver" is 1 if it solved with the stand-in for `solve_logistic`, -1 if by least squares instead, else 0.
    """
    solvers = _seal_solvers(case.student)
    function = _first_of(case.student, names)
    weights, min_n = to_numpy(case.inputs["feature_weights"]), int(case.inputs["min_n_train_post"])
    value = call_with_either(
        lambda feature_weights: function(_data_dict(case), *before, feature_weights, min_n), (weights,), torch.as_tensor
    )
    parts = {name: stacked(part) for name, part in split(value, _CURVE, where=names[0]).items()}
    lent = "test_classification" in case.lent and names != ("test_classification",)
    solver = 1.0 if solvers.logistic or lent else -1.0 if solvers.least_squares else 0.0
    return Result({**parts, "solver": solver})


def run(case: Case) -> Result:
    """
    Call a whole meta-learning function with a small params_dict.

    Outputs: "path", the feature weights as they changed, (rows, d); "w_t", the coefficients of the first task that the
    meta update was asked about, (d,), where it was asked; "updates", how often it was asked; "hidden", whether hidden
    points were taken in every iteration.
    """
    settings = case.settings
    recorder = _Recorder(settings["params"]["d"])
    hidden = _HiddenPoints([to_numpy(case.inputs[name]) for name in POINT_SETS if name in case.inputs])
    _quieten(case.student, recorder)
    _stand_in_for_tests(case.student, recorder)
    if hidden.points:
        case.student.replace("generate_x", hidden)
    if "k_val" in case.inputs:
        case.student.wrap("generate_y", _of_task(to_numpy(case.inputs["k_val"])))
    for name in settings["updates"]:
        case.student.wrap(name, recorder.watch)
    params = {**settings["params"], "k_idx": np.array(settings["params"]["k_idx"])}
    with _instead_of_uniform(hidden):
        returned = asked_for(case.student, settings["function"])(params)
    if (path := recorder.path(returned)) is None:
        raise UnusableValue(settings["function"], Problem.NEITHER_SHOWN_NOR_RETURNED)
    least = int(params.get("num_iterations", 1))
    taken = all(hidden.asked[n] >= least for n in hidden.points)
    outputs: dict[str, Any] = {"path": path, "hidden": float(taken), "updates": float(recorder.updates)}
    if recorder.coefficients is not None:
        outputs["w_t"] = recorder.coefficients
    return Result(outputs)


PROBES = {
    "meta_update_classification": meta_update_classification,
    "test_classification": test_classification,
    "test_oracle_classification": test_oracle_classification,
    "test_zero_classification": test_zero_classification,
    "meta_learning": run,
}


# Stand-ins.


class _HiddenPoints:
    """Stands in for generate_x: hands out the hidden points that have the number asked for."""

    def __init__(self, point_sets: Sequence[Array]) -> None:
        self.points = {len(points): points for points in point_sets}
        self.asked: Counter[int] = Counter()
        self._draw = np.random.uniform

    def __call__(self, n: int, x_type: str = "uniform_random", x_low: float = -1, x_high: float = 1) -> Array:
        n = int(n)
        if x_type == "grid":
            # A grid has nothing to hide. Its points count as taken, or a run on grids would never do without chance.
            self.asked[n] += 1
            return np.linspace(x_low, x_high, n, endpoint=False)
        if n in self.points:
            self.asked[n] += 1
            return self.points[n].copy()
        return np.sort(self._draw(x_low, x_high, n))


@contextlib.contextmanager
def _instead_of_uniform(hidden: _HiddenPoints) -> Iterator[None]:
    """Hand out hidden points also where np.random.uniform is asked for so many on [-1, 1), which is what they are."""
    draw = np.random.uniform

    def uniform(low: Any = 0.0, high: Any = 1.0, size: Any = None) -> Any:
        n = size[0] if isinstance(size, tuple) and len(size) == 1 else size
        whole = isinstance(n, (int, np.integer)) and np.ndim(low) == np.ndim(high) == 0
        return hidden(n) if whole and n in hidden.points and (low, high) == (-1, 1) else draw(low, high, size)

    np.random.uniform = uniform
    try:
        yield
    finally:
        np.random.uniform = draw


def _of_task(k_val: Array) -> Callable[[Any], Any]:
    """
    Return what makes generate_y give the values of one task, or its negative, whichever was drawn.

    Which of both depends on what was drawn: who learns from one task and measures on another one is still found out.
    """

    def of_drawn(drawn: Any) -> Array:
        return k_val * (1.0 if np.sum(as_array(drawn)) >= 0 else -1.0)

    def with_task(generate_y: Any) -> Any:
        def of_task(*args: Any, **kwargs: Any) -> Any:
            if kwargs.get("k_val") is not None:
                return generate_y(*args, **{**kwargs, "k_val": of_drawn(kwargs["k_val"])})
            if len(args) > 2 and args[2] is not None:
                return generate_y(*args[:2], of_drawn(args[2]), *args[3:], **kwargs)
            return generate_y(*args, **kwargs)

        return of_task

    return with_task


class _Recorder:
    """Sees the feature weights that a run learns, wherever it passes them on."""

    def __init__(self, d: int) -> None:
        self.coefficients: Array | None = None
        self.updates = 0
        self._d = d
        self._updated: list[Array] = []
        self._shown: list[Array] = []
        self._tested: list[Array] = []

    def watch(self, update: Any) -> Any:
        """Return a meta update that is the given one, and whose first two arguments are seen."""

        def watched(*args: Any, **kwargs: Any) -> Any:
            self.updates += 1
            w_t, weights = (
                self._vector(kwargs.get(name, args[place] if place < len(args) else None))
                for place, name in enumerate(("w_t", "feature_weights_t"))
            )
            if self.coefficients is None and w_t is not None:
                self.coefficients = w_t
            if weights is not None:
                self._updated.append(weights)
            return update(*args, **kwargs)

        return watched

    def show(self, *args: Any, **kwargs: Any) -> None:
        """Stand in for a function that plots."""
        self._shown += self._vectors((*args, *kwargs.values()))

    def test(self, *args: Any, **kwargs: Any) -> None:
        """See what a stand-in for a test was called with; weights that are all 1 are what others are compared with."""
        found = self._vectors((*args, *kwargs.values()))
        self._tested += [weights for weights in found if not np.all(weights == 1)]

    def path(self, returned: Any) -> Array | None:
        """Return the weights as they changed: (rows, d), equal neighbours as one row."""
        rows = list(self._updated or self._shown or self._tested)
        given = self._vectors(returned if issubclass(type(returned), (tuple, list)) else (returned,))
        last = given[:1] or self._shown[-1:]
        if last and not any(np.array_equal(row, last[0]) for row in rows):
            rows += last
        changed = [row for index, row in enumerate(rows) if index == 0 or not np.array_equal(row, rows[index - 1])]
        return np.stack(changed[: _MAX_ROWS // 2] + changed[_MAX_ROWS // 2 :][-_MAX_ROWS // 2 :]) if changed else None

    def _vectors(self, values: Sequence[Any]) -> list[Array]:
        return [vector for value in values if (vector := self._vector(value)) is not None]

    def _vector(self, value: Any) -> Array | None:
        """Return a tensor or an array of d numbers as an array of its own."""
        if issubclass(type(value), torch.Tensor):
            value = value.detach().cpu().numpy()
        if not isinstance(value, np.ndarray) or value.size != self._d or value.dtype.kind not in "fiu":
            return None
        return np.array(value, dtype=np.float64).reshape(-1)


def _quieten(student: Student, recorder: _Recorder) -> None:
    """Let nothing be plotted: what is called visualize_…, and all functions of utils_visualization, only record."""
    names = {name for space in student.namespaces() for name in space if name.startswith("visualize_")}
    plots = student.module_named("utils_visualization")
    names |= {name for name, value in plots.items() if getattr(value, "__module__", "") == "utils_visualization"}
    for name in names:
        student.wrap(name, lambda _: recorder.show)


def _stand_in_for_tests(student: Student, recorder: _Recorder) -> None:
    """
    Let the tests along the way return zeros of the right shapes.

    What they find is only logged, they have questions of their own, and they would take most of the time.
    """

    def curve(data_dict: Any, *args: Any, **kwargs: Any) -> tuple[Array, ...]:
        recorder.test(*args, **kwargs)
        least = kwargs.get("min_n_train_post", args[-1] if args and isinstance(args[-1], (int, np.integer)) else 0)
        sizes = np.array([n for n in data_dict["train"] if n >= least])
        return sizes, np.zeros(len(sizes)), np.zeros(len(sizes)), np.zeros(len(sizes))

    stand_ins: dict[str, Any] = dict.fromkeys(("test_classification", *ORACLE_NAMES, *_REGRESSION_TESTS), curve)
    stand_ins |= dict.fromkeys((*ZERO_NAMES, "test_zero_reg"), lambda *_args, **_kwargs: (0.5, 0.5, 0.5))
    for name, stand_in in stand_ins.items():
        student.replace(name, stand_in)


@dataclass
class _Solvers:
    """Which solvers were called."""

    logistic: bool = False
    least_squares: bool = False

    def solve_logistic(self, phi: Any, z: Any, weights: Any = None) -> tuple[Array, float]:
        """
        Stand in for solve_logistic with something quicker that also takes weights: sums of labelled features.

        Coefficients for unweighted features are w ∘ (φ ∘ w)ᵀz. As with the real solver, leaving a feature out is the
        same as giving it weight 0, and weighting the features beforehand the same as weighting them here.
        """
        self.logistic = True
        phi, labels = np.asarray(phi, dtype=np.float64), np.where(np.asarray(z) > 0, 1.0, -1.0)
        scale = np.ones(phi.shape[1]) if weights is None else as_array(weights)
        alpha = scale * ((phi * scale).T @ labels)
        return alpha, float(np.mean(np.logaddexp(0, -labels * (phi @ alpha))))

    def note_least_squares(self, solve: Any) -> Any:
        """Return the given least-squares solver, whose calls are noted."""

        def noted(*args: Any, **kwargs: Any) -> Any:
            self.least_squares = True
            return solve(*args, **kwargs)

        return noted


def _seal_solvers(student: Student) -> _Solvers:
    solvers = _Solvers()
    student.replace("solve_logistic", solvers.solve_logistic)
    for name in ("solve_ls", "solve_ridge"):
        student.wrap(name, solvers.note_least_squares)
    return solvers


@dataclass
class _Replaced:
    """Bind a name anew while a block runs."""

    student: Student
    name: str
    value: object
    _before: list[tuple[dict[str, Any], object]] = field(default_factory=list)

    def __enter__(self) -> None:
        self._before = [(space, space.get(self.name, self)) for space in self.student.namespaces()]
        self.student.replace(self.name, self.value)

    def __exit__(self, *_: object) -> None:
        for space, value in self._before:
            if value is self:
                space.pop(self.name, None)
            else:
                space[self.name] = value


# Lent helpers, on the worker's side: arguments go out, values come back.


def lent_functions(lender: Lender, student: Student, settings: Mapping[str, Any]) -> dict[str, Any]:
    """
    Return stand-ins, with the contract's signatures, for every function of this part that can be lent.

    Setting "w_t_is_weighted" says that callers pass the products of coefficients and feature weights as `w_t`.
    """

    def of_arrays(name: str, *arguments: str) -> Callable[..., Any]:
        """Return a stand-in that takes arrays, lists or tensors, and gives back what it was given."""

        def lent(*args: Any, **kwargs: Any) -> Any:
            values = {**dict(zip(arguments, args, strict=False)), **kwargs}
            tensors = {key: _double(values[key]) for key in arguments}
            found = lender.call(name, {}, tensors)[0]
            if any(isinstance(value, torch.Tensor) or _holds_tensors(value) for value in values.values()):
                return found
            return float(found) if found.dim() == 0 else to_numpy(found)

        return lent

    def lent_meta_update(
        w_t: Any,
        feature_weights_t: Any,
        n_train_meta: int,
        phi_type: str,
        d: int,
        k_idx: Any,
        k_val: Any,
        noise_prob: float = 0.0,
    ) -> Any:
        inputs = {
            "w_t": torch.as_tensor(w_t),
            "feature_weights_t": torch.as_tensor(feature_weights_t),
            "points": torch.as_tensor(_points_of(student)(int(n_train_meta), "uniform_random")),
            "k_val": torch.as_tensor(as_array(k_val)),
        }
        task = {"d": int(d), "k_idx": [int(k) for k in as_array(k_idx)]}
        convention = {"w_t_is_weighted": bool(settings.get("w_t_is_weighted"))}
        return lender.call(_UPDATE, {**task, **convention}, inputs)[0]

    def lent_test(data_dict: Any, feature_weights: Any, min_n_train_post: int = 0) -> Any:
        sizes = [n for n in data_dict["train"] if n >= min_n_train_post]
        blocks = {**{f"train/{n}": data_dict["train"][n] for n in sizes}, "test": data_dict["test"]}
        inputs = {"feature_weights": torch.as_tensor(as_array(feature_weights))}
        for name, block in blocks.items():
            inputs[f"{name}/features"] = torch.as_tensor(as_array(block["features"]))
            inputs[f"{name}/y"] = torch.as_tensor(np.stack([as_array(y) for y in block["y"]]))
        found = lender.call("test_classification", {"sizes": [int(n) for n in sizes]}, inputs)
        return (np.array(sizes), *(to_numpy(part) for part in found))

    return {
        "min_norm_solution": of_arrays("min_norm_solution", "A", "y"),
        "aliased_coefficients": of_arrays("aliased_coefficients", "c"),
        "expected_test_error": of_arrays("expected_test_error", "c"),
        "expected_test_error_gradient": of_arrays("expected_test_error_gradient", "c"),
        "meta_update_classification": lent_meta_update,
        "test_classification": lent_test,
    }


def _holds_tensors(value: Any) -> bool:
    return isinstance(value, (list, tuple)) and any(isinstance(each, torch.Tensor) for each in value)


def _double(value: Any) -> torch.Tensor:
    if _holds_tensors(value):
        return torch.stack([torch.as_tensor(each, dtype=torch.float64) for each in value])
    return torch.as_tensor(np.asarray(value) if isinstance(value, (list, tuple)) else value, dtype=torch.float64)


def _points_of(student: Student) -> Any:
    try:
        return student.get("generate_x")
    except MissingName:
        return _HiddenPoints([])


# Values.


def _data_dict(case: Case) -> dict[str, Any]:
    """Build the contract's data_dict from inputs "train/<n>/x", "train/<n>/features", "train/<n>/y" and "test/…"."""

    def block(name: str) -> dict[str, Any]:
        arrays = {key: to_numpy(case.inputs[f"{name}/{key}"]) for key in ("x", "features", "y")}
        return {**arrays, "y": list(arrays["y"])}

    return {"train": {n: block(f"train/{n}") for n in case.settings["sizes"]}, "test": block("test")}


def _first_of(student: Student, names: Sequence[str]) -> Any:
    """Return what the first of several names stands for; one that is imported from where it is not, stands for none."""
    space = vars(student.module)
    for name in names:
        if name in space and not isinstance(space[name], Absent):
            return space[name]
    return asked_for(student, names[0])
