# ruff: noqa: PT028 - functions named test_* are the homework's own names, not tests.
"""
The meta-learning parts as a student's modules do them: one task at a time, NumPy's global seed, scikit-learn.

Names and signatures are those of the homework's `utils.py`, `utils_reg.py` and `utils_classification.py`. This is the
yardstick for the reference's numbers and speed, written for being read, not for being fast. Each run takes `observe`,
called as observe(iteration, feature_weights, (n_train_post_range, mean, high, low)) at every logged iteration.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

Observe = Callable[[int, np.ndarray, tuple[Any, ...]], None]
INVERSE_PENALTY = 10.0


# --- utils.py ---------------------------------------------------------------------------------------------------


def to_numpy(value: torch.Tensor) -> np.ndarray:
    """Tensor to array."""
    return value.detach().cpu().numpy()


def to_tensor(value: np.ndarray) -> torch.Tensor:
    """Array to float64 tensor."""
    return torch.as_tensor(value, dtype=torch.float64)


def my_sign(x: Any) -> Any:
    """Sign with 0 counted as +1, of an array or a tensor."""
    if isinstance(x, torch.Tensor):
        return torch.where(x >= 0, torch.ones_like(x), -torch.ones_like(x))
    return np.where(x >= 0, 1.0, -1.0)


def add_label_noise(y: np.ndarray, noise_prob: float) -> np.ndarray:
    """Flip each label with the given probability."""
    flipped = np.random.uniform(size=len(y)) < noise_prob
    return np.where(flipped, -y, y)


def featurize_fourier(x: np.ndarray, d: int, normalize: bool = False) -> np.ndarray:
    """Constant, then sine and cosine of each frequency: (n,) -> (n, d)."""
    assert d % 2 == 1, "d must be odd"
    columns = [np.ones(len(x))]
    for r in range(1, (d - 1) // 2 + 1):
        columns += [np.sin(np.pi * r * x), np.cos(np.pi * r * x)]
    features = np.stack(columns, axis=1)
    if normalize:
        features[:, 1:] *= np.sqrt(2)
    return features


def featurize(x: np.ndarray, d: int, phi_type: str, normalize: bool = True) -> np.ndarray:
    """Features of the named type."""
    return {"fourier": featurize_fourier}[phi_type](x, d, normalize)


def generate_x(n: int, x_type: str, x_low: float = -1, x_high: float = 1) -> np.ndarray:
    """Grid without its endpoint, or sorted uniform points."""
    if x_type == "grid":
        return np.linspace(x_low, x_high, n, endpoint=False)
    return np.sort(np.random.uniform(x_low, x_high, n))


def generate_y(features: np.ndarray, k_idx: np.ndarray, k_val: np.ndarray) -> np.ndarray:
    """Sum of the true features with their coefficients."""
    return features[:, k_idx] @ k_val


def draw_k_val(k_idx: np.ndarray) -> np.ndarray:
    """Coefficients of a random task, of unit length."""
    k_val = np.random.uniform(-1, 1, len(k_idx))
    return k_val / np.linalg.norm(k_val)


def solve_ls(phi: np.ndarray, y: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """Min-norm least squares on weighted features; coefficients for the unweighted ones, and the loss."""
    weights = np.ones(phi.shape[1]) if weights is None else weights
    fit = LinearRegression(fit_intercept=False).fit(phi * weights, y)
    alpha = fit.coef_ * weights
    return alpha, float(np.mean((phi @ alpha - y) ** 2))


def solve_ridge(
    phi: np.ndarray, y: np.ndarray, lambda_ridge: float, weights: np.ndarray | None = None
) -> tuple[np.ndarray, float]:
    """Ridge regression on weighted features; coefficients for the unweighted ones, and the loss."""
    weights = np.ones(phi.shape[1]) if weights is None else weights
    fit = Ridge(alpha=lambda_ridge, fit_intercept=False).fit(phi * weights, y)
    alpha = fit.coef_ * weights
    return alpha, float(np.mean((phi @ alpha - y) ** 2))


def solve_logistic(phi: np.ndarray, z: np.ndarray, weights: np.ndarray | None = None) -> tuple[np.ndarray, float]:
    """
    Weakly penalised logistic regression on weighted features; coefficients for the unweighted ones, and the loss.

    newton-cg is the fastest of scikit-learn's solvers that reaches the minimum to more than six digits, which
    error rates equal to the last label need.
    """
    weights = np.ones(phi.shape[1]) if weights is None else weights
    design, labels, inverse_penalty = phi * weights, z, INVERSE_PENALTY
    if len(np.unique(labels)) == 1:
        # scikit-learn refuses a single class. The loss of (−φ, −z) is that of (φ, z): doubling the points
        # that way and halving C leaves the objective as it is.
        design, labels = np.concatenate([design, -design]), np.concatenate([labels, -labels])
        inverse_penalty /= 2
    model = LogisticRegression(C=inverse_penalty, fit_intercept=False, solver="newton-cg", tol=1e-9, max_iter=1000)
    with warnings.catch_warnings():
        # At the minimum its line search finds nothing better than rounding error, and says so.
        warnings.simplefilter("ignore")
        fit = model.fit(design, labels)
    alpha = fit.coef_[0] * weights
    return alpha, float(np.mean(np.logaddexp(0, -z * (phi @ alpha))))


class DummyModel(torch.nn.Module):
    """Linear model on weighted features."""

    def __init__(self, d: int) -> None:
        super().__init__()
        self.feature_weights = torch.nn.Parameter(torch.ones(d, dtype=torch.float64))
        self.coeffs = torch.nn.Parameter(torch.zeros(d, dtype=torch.float64))

    def forward(self, F: torch.Tensor) -> torch.Tensor:
        """Predictions for rows of unweighted features."""
        return (F * self.feature_weights) @ self.coeffs


def n_train_post_range_of(params: dict[str, Any]) -> list[int]:
    """Numbers of points from 1 to 3d, with n_train_post among them."""
    spread = np.geomspace(1, 3 * params["d"], params["num_n_train_post_range"]).astype(int)
    return sorted({*spread.tolist(), params["n_train_post"]})


# --- utils_reg.py -----------------------------------------------------------------------------------------------


def closed_form_ls(F_t: torch.Tensor, y_t: torch.Tensor) -> torch.Tensor:
    """Min-norm solution for independent rows."""
    return F_t.T @ torch.linalg.solve(F_t @ F_t.T, y_t)


def meta_update_reg(
    w_t: torch.Tensor,
    feature_weights_t: torch.Tensor,
    n_train_meta: int,
    phi_type: str,
    d: int,
    k_idx: np.ndarray,
    k_val: np.ndarray,
    noise_std: float,
) -> torch.Tensor:
    """Sum of squared errors on fresh uniform points."""
    features = featurize(generate_x(n_train_meta, "uniform_random"), d, phi_type)
    y = generate_y(features, k_idx, k_val) + np.random.normal(0, noise_std, n_train_meta)
    predictions = (to_tensor(features) * feature_weights_t) @ w_t
    return torch.sum((predictions - to_tensor(y)) ** 2)


def get_post_data_reg(
    x_type: str,
    phi_type: str,
    k_idx: np.ndarray,
    num_tasks_test: int,
    d: int,
    n_train_post_range: list[int],
    n_test: int,
    noise_std: float,
) -> dict[str, Any]:
    """Test tasks with noisy training points of every number and clean test points."""
    data = _post_points(x_type, phi_type, d, n_train_post_range, n_test)
    for _ in range(num_tasks_test):
        k_val = draw_k_val(k_idx)
        data["test"]["y"].append(generate_y(data["test"]["features"], k_idx, k_val))
        for n in n_train_post_range:
            noise = np.random.normal(0, noise_std, n)
            data["train"][n]["y"].append(generate_y(data["train"][n]["features"], k_idx, k_val) + noise)
    return data


def _post_points(x_type: str, phi_type: str, d: int, n_train_post_range: list[int], n_test: int) -> dict[str, Any]:
    """Points and features of test tasks, targets still to come."""

    def block(n: int, kind: str) -> dict[str, Any]:
        x = generate_x(n, kind)
        return {"x": x, "features": featurize(x, d, phi_type), "y": []}

    test = block(n_test, "uniform_random")
    return {"test": test, "train": {n: block(n, x_type) for n in n_train_post_range}}


def _summarise(errors: list[list[float]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, 90th and 10th percentile over tasks, for each number of points."""
    table = np.array(errors)
    return table.mean(axis=1), np.percentile(table, 90, axis=1), np.percentile(table, 10, axis=1)


def test_reg(data_dict: dict[str, Any], feature_weights: np.ndarray, min_n_train_post: int = 0) -> tuple[Any, ...]:
    """Mean squared test error against the number of points."""
    sizes = [n for n in data_dict["train"] if n >= min_n_train_post]
    test, errors = data_dict["test"], []
    for n in sizes:
        train, losses = data_dict["train"][n], []
        for y_train, y_test in zip(train["y"], test["y"], strict=True):
            alpha, _ = solve_ls(train["features"], y_train, feature_weights)
            losses.append(np.mean((test["features"] @ alpha - y_test) ** 2))
        errors.append(losses)
    return (sizes, *_summarise(errors))


def test_oracle_reg(
    data_dict: dict[str, Any], x_type: str, feature_weights: np.ndarray, min_n_train_post: int = 0
) -> tuple[Any, ...]:
    """The same with only the features whose oracle weight is not 0; the points of x_type are in data_dict already."""
    return test_reg(
        _only_true_features(data_dict, feature_weights), np.ones(np.count_nonzero(feature_weights)), min_n_train_post
    )


def _only_true_features(data_dict: dict[str, Any], feature_weights: np.ndarray) -> dict[str, Any]:
    """Test data with columns of weight 0 left out."""
    true = np.flatnonzero(feature_weights)
    train = {n: {**block, "features": block["features"][:, true]} for n, block in data_dict["train"].items()}
    return {"train": train, "test": {**data_dict["test"], "features": data_dict["test"]["features"][:, true]}}


def test_zero_reg(data_dict: dict[str, Any]) -> tuple[float, float, float]:
    """Mean squared error of predicting 0: mean, 90th and 10th percentile."""
    losses = [np.mean(y**2) for y in data_dict["test"]["y"]]
    return float(np.mean(losses)), float(np.percentile(losses, 90)), float(np.percentile(losses, 10))


def meta_learning_reg_closed_form(
    params_dict: dict[str, Any], observe: Observe | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Meta-learning with the min-norm inner solution."""

    def inner(F: torch.Tensor, y: torch.Tensor, feature_weights: torch.Tensor) -> torch.Tensor:
        return closed_form_ls(F * feature_weights, y)

    return _meta_learning_reg(params_dict, inner, observe)


def meta_learning_reg_sgd(
    params_dict: dict[str, Any], observe: Observe | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Meta-learning with gradient descent as the inner loop."""

    def inner(F: torch.Tensor, y: torch.Tensor, feature_weights: torch.Tensor) -> torch.Tensor:
        return _descend(F, y, feature_weights, params_dict, lambda t, y: torch.mean((t - y) ** 2))

    return _meta_learning_reg(params_dict, inner, observe)


def _descend(
    F: torch.Tensor,
    y: torch.Tensor,
    feature_weights: torch.Tensor,
    params: dict[str, Any],
    loss: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
) -> torch.Tensor:
    """Differentiable gradient steps on coefficients that start at zero."""
    coeffs = torch.zeros(params["d"], dtype=torch.float64, requires_grad=True)
    for _ in range(params["num_gd_steps"]):
        value = loss((F * feature_weights) @ coeffs, y)
        (slope,) = torch.autograd.grad(value, coeffs, create_graph=True)
        coeffs = coeffs - params["stepsize_inner"] * slope
    return coeffs


def _optimizer_of(model: DummyModel, params: dict[str, Any]) -> torch.optim.Optimizer:
    """The meta optimizer."""
    kind = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam}[params["optimizer_type"]]
    return kind([model.feature_weights], lr=params["stepsize_meta"])


def _meta_learning_reg(
    params: dict[str, Any],
    inner: Callable[[torch.Tensor, torch.Tensor, torch.Tensor], torch.Tensor],
    observe: Observe | None,
) -> tuple[np.ndarray, dict[str, Any]]:
    """The regression loop around an inner solver."""
    np.random.seed(params["seed"])
    d, k_idx, phi_type = params["d"], np.asarray(params["k_idx"]), params["phi_type"]
    data_dict = get_post_data_reg(
        params["x_type"], phi_type, k_idx, params["num_tasks_test"], d, n_train_post_range_of(params),
        params["n_test_post"], params["noise_std"],
    )  # fmt: skip
    model = DummyModel(d)
    optimizer = _optimizer_of(model, params)
    stride = max(params["num_iterations"] // params["num_stats"], 1)
    for iteration in range(params["num_iterations"] + 1):
        weights = to_numpy(model.feature_weights)
        if observe and (iteration % stride == 0 or iteration == params["num_iterations"]):
            observe(iteration, weights.copy(), test_reg(data_dict, weights))
        if iteration == params["num_iterations"]:
            break
        optimizer.zero_grad()
        for _ in range(params["num_inner_tasks"]):
            k_val = draw_k_val(k_idx)
            features = featurize(generate_x(params["n_train_inner"], params["x_type"]), d, phi_type)
            y = generate_y(features, k_idx, k_val) + np.random.normal(0, params["noise_std"], len(features))
            w_t = inner(to_tensor(features), to_tensor(y), model.feature_weights)
            meta_update_reg(
                w_t, model.feature_weights, params["n_train_meta"], phi_type, d, k_idx, k_val, params["noise_std"]
            ).backward()
        optimizer.step()
    return to_numpy(model.feature_weights), data_dict


# --- utils_classification.py ------------------------------------------------------------------------------------


def get_post_data_classification(
    x_type: str,
    phi_type: str,
    k_idx: np.ndarray,
    num_tasks_test: int,
    d: int,
    n_train_post_range: list[int],
    n_test: int,
    noise_prob: float,
) -> dict[str, Any]:
    """Test tasks with labels, flipped at random in training."""
    data = _post_points(x_type, phi_type, d, n_train_post_range, n_test)
    for _ in range(num_tasks_test):
        k_val = draw_k_val(k_idx)
        data["test"]["y"].append(my_sign(generate_y(data["test"]["features"], k_idx, k_val)))
        for n in n_train_post_range:
            labels = my_sign(generate_y(data["train"][n]["features"], k_idx, k_val))
            data["train"][n]["y"].append(add_label_noise(labels, noise_prob))
    return data


def meta_update_classification(
    w_t: torch.Tensor,
    feature_weights_t: torch.Tensor,
    n_train_meta: int,
    phi_type: str,
    d: int,
    k_idx: np.ndarray,
    k_val: np.ndarray,
    noise_prob: float,
) -> torch.Tensor:
    """Sum of logistic losses on fresh uniform points."""
    features = featurize(generate_x(n_train_meta, "uniform_random"), d, phi_type)
    z = add_label_noise(my_sign(generate_y(features, k_idx, k_val)), noise_prob)
    predictions = (to_tensor(features) * feature_weights_t) @ w_t
    return torch.sum(torch.nn.functional.softplus(-to_tensor(z) * predictions))


def test_classification(
    data_dict: dict[str, Any], feature_weights: np.ndarray, min_n_train_post: int = 0
) -> tuple[Any, ...]:
    """Classification error against the number of points."""
    sizes = [n for n in data_dict["train"] if n >= min_n_train_post]
    test, errors = data_dict["test"], []
    for n in sizes:
        train, rates = data_dict["train"][n], []
        for z_train, z_test in zip(train["y"], test["y"], strict=True):
            alpha, _ = solve_logistic(train["features"], z_train, feature_weights)
            rates.append(np.mean(my_sign(test["features"] @ alpha) != z_test))
        errors.append(rates)
    return (sizes, *_summarise(errors))


def test_oracle_classification(
    data_dict: dict[str, Any], x_type: str, feature_weights: np.ndarray, min_n_train_post: int = 0
) -> tuple[Any, ...]:
    """The same with only the features whose oracle weight is not 0; the points of x_type are in data_dict already."""
    return test_classification(
        _only_true_features(data_dict, feature_weights), np.ones(np.count_nonzero(feature_weights)), min_n_train_post
    )


def test_zero_classification(data_dict: dict[str, Any]) -> tuple[float, float, float]:
    """Classification error of the label of 0, which is +1: mean, 90th and 10th percentile."""
    rates = [np.mean(my_sign(np.zeros_like(z)) != z) for z in data_dict["test"]["y"]]
    return float(np.mean(rates)), float(np.percentile(rates, 90)), float(np.percentile(rates, 10))


def meta_learning_classification(
    params_dict: dict[str, Any], observe: Observe | None = None
) -> tuple[np.ndarray, dict[str, Any]]:
    """Meta-learning with gradient descent on the logistic loss as the inner loop."""
    params = params_dict
    np.random.seed(params["seed"])
    d, k_idx, phi_type = params["d"], np.asarray(params["k_idx"]), params["phi_type"]
    data_dict = get_post_data_classification(
        params["x_type"], phi_type, k_idx, params["num_tasks_test"], d, n_train_post_range_of(params),
        params["n_test_post"], params["noise_prob"],
    )  # fmt: skip
    model = DummyModel(d)
    optimizer = _optimizer_of(model, params)
    stride = max(params["num_iterations"] // params["num_stats"], 1)
    for iteration in range(params["num_iterations"] + 1):
        weights = to_numpy(model.feature_weights)
        if observe and (iteration % stride == 0 or iteration == params["num_iterations"]):
            observe(iteration, weights.copy(), test_classification(data_dict, weights))
        if iteration == params["num_iterations"]:
            break
        optimizer.zero_grad()
        for _ in range(params["num_inner_tasks"]):
            k_val = draw_k_val(k_idx)
            features = featurize(generate_x(params["n_train_inner"], params["x_type"]), d, phi_type)
            z = add_label_noise(my_sign(generate_y(features, k_idx, k_val)), params["noise_prob"])
            w_t = _descend(
                to_tensor(features), to_tensor(z), model.feature_weights, params,
                lambda t, z: torch.mean(torch.nn.functional.softplus(-z * t)),
            )  # fmt: skip
            meta_update_classification(
                w_t, model.feature_weights, params["n_train_meta"], phi_type, d, k_idx, k_val, params["noise_prob"]
            ).backward()
        optimizer.step()
    return to_numpy(model.feature_weights), data_dict
