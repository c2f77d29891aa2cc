"""
Features, tasks, solvers and the linear model that all meta-learning modules share.

Letters: n points, d features. Arrays are NumPy, tensors are torch, both in float64. Random numbers come from NumPy's
global state, so np.random.seed makes a run repeatable.
"""

import warnings

import numpy as np
import torch
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge

# How little solve_logistic is regularised (scikit-learn's C). Separable labels have no minimum without any; at
# scikit-learn's default of 1 the regularisation itself costs accuracy.
INVERSE_PENALTY = 10.0


def to_numpy(value):
    """Return a tensor as an array, cut off from its graph."""
    return value.detach().cpu().numpy()


def to_tensor(value):
    """Return an array as a float64 tensor."""
    return torch.as_tensor(value, dtype=torch.float64)


def my_sign(x):
    """Return the sign of each entry of an array or a tensor: -1 or +1, and +1 for 0."""
    if isinstance(x, torch.Tensor):
        return torch.where(x >= 0, torch.ones_like(x), -torch.ones_like(x))
    return np.where(x >= 0, 1.0, -1.0)


def add_label_noise(y, noise_prob):
    """Flip each label with the given probability."""
    flipped = np.random.uniform(size=len(y)) < noise_prob
    return np.where(flipped, -y, y)


def featurize_fourier(x, d, normalize=False):
    """
    Evaluate 1, sin(πx), cos(πx), sin(2πx), cos(2πx), … at each point: (n,) -> (n, d), d odd.

    With `normalize` every wave is multiplied by √2: the features are then orthonormal for x uniform on [-1, 1).
    """
    assert d % 2 == 1, "d must be odd: a constant, and a sine and a cosine of each frequency."
    columns = [np.ones(len(x))]
    for r in range(1, (d - 1) // 2 + 1):
        columns += [np.sin(np.pi * r * x), np.cos(np.pi * r * x)]
    features = np.stack(columns, axis=1)
    if normalize:
        features[:, 1:] *= np.sqrt(2)
    return features


def featurize(x, d, phi_type, normalize=True):
    """Evaluate d features of the named type ('fourier') at each point: (n,) -> (n, d)."""
    return {"fourier": featurize_fourier}[phi_type](x, d, normalize)


def generate_x(n, x_type, x_low=-1, x_high=1):
    """Place n points: 'grid' is even and without the right end, 'uniform_random' is random and sorted."""
    if x_type == "grid":
        return np.linspace(x_low, x_high, n, endpoint=False)
    if x_type == "uniform_random":
        return np.sort(np.random.uniform(x_low, x_high, n))
    raise ValueError(f"{x_type!r} is no kind of points. Use 'grid' or 'uniform_random'.")


def generate_k_val(k_idx):
    """Draw the coefficients of a task on its true features, scaled to unit norm: (len(k_idx),)."""
    k_val = np.random.uniform(-1, 1, len(k_idx))
    return k_val / np.linalg.norm(k_val)


def generate_y(features, k_idx, k_val):
    """Return the values of a task, the sum of its true features times their coefficients: (n, d) -> (n,)."""
    return features[:, np.asarray(k_idx)] @ k_val


def solve_ls(phi, y, weights=None):
    """
    Solve least squares on weighted features, with the smallest norm where there is a choice.

    Args:
        phi: (n, d) unweighted features.
        y: (n,) values.
        weights: (d,) feature weights; all ones by default.

    Returns:
        alpha: (d,), to be used on UNweighted features: the prediction is phi @ alpha.
        loss: mean squared error on the given points.
    """
    weights = np.ones(phi.shape[1]) if weights is None else weights
    fit = LinearRegression(fit_intercept=False).fit(phi * weights, y)
    alpha = fit.coef_ * weights
    return alpha, np.mean((phi @ alpha - y) ** 2)


def solve_ridge(phi, y, lambda_ridge, weights=None):
    """Solve least squares plus lambda_ridge times the squared norm; otherwise like `solve_ls`."""
    weights = np.ones(phi.shape[1]) if weights is None else weights
    fit = Ridge(alpha=lambda_ridge, fit_intercept=False).fit(phi * weights, y)
    alpha = fit.coef_ * weights
    return alpha, np.mean((phi @ alpha - y) ** 2)


def solve_logistic(phi, z, weights=None):
    """
    Solve logistic regression, weakly regularised, on weighted features and labels -1 and +1.

    Args:
        phi: (n, d) unweighted features.
        z: (n,) labels; they may all be the same.
        weights: (d,) feature weights; all ones by default.

    Returns:
        alpha: (d,), to be used on UNweighted features: the predicted label is my_sign(phi @ alpha).
        loss: mean logistic loss on the given points.
    """
    weights = np.ones(phi.shape[1]) if weights is None else weights
    design, labels, inverse_penalty = phi * weights, z, INVERSE_PENALTY
    if len(np.unique(labels)) == 1:
        # scikit-learn refuses labels that are all the same. The loss of (-phi, -z) is that of (phi, z): with
        # every point there twice, once negated, and half of C, the problem is the same and has both labels.
        design, labels = np.concatenate([design, -design]), np.concatenate([labels, -labels])
        inverse_penalty /= 2
    model = LogisticRegression(C=inverse_penalty, fit_intercept=False, solver="newton-cg", tol=1e-9, max_iter=1000)
    with warnings.catch_warnings():
        # At the minimum its line search finds nothing better than rounding error, and says so.
        warnings.simplefilter("ignore")
        fit = model.fit(design, labels)
    alpha = fit.coef_[0] * weights
    return alpha, np.mean(np.logaddexp(0, -z * (phi @ alpha)))


class DummyModel(torch.nn.Module):
    """A linear model on weighted features. The outer loop learns `feature_weights`, the inner loop `coeffs`."""

    def __init__(self, d):
        super().__init__()
        self.feature_weights = torch.nn.Parameter(torch.ones(d, dtype=torch.float64))
        self.coeffs = torch.nn.Parameter(torch.zeros(d, dtype=torch.float64))

    def forward(self, F):
        """Predict from unweighted features: (n, d) -> (n,)."""
        return (F * self.feature_weights) @ self.coeffs


def make_meta_optimizer(model, params_dict):
    """Return the optimizer of the outer loop: 'SGD' or 'Adam' on the feature weights."""
    kind = {"SGD": torch.optim.SGD, "Adam": torch.optim.Adam}[params_dict["optimizer_type"]]
    return kind([model.feature_weights], lr=params_dict["stepsize_meta"])


def make_log_stride(params_dict):
    """Return after how many iterations the weights are tested and shown again: num_stats times in all."""
    return max(params_dict["num_iterations"] // params_dict["num_stats"], 1)


def make_n_train_post_range(params_dict):
    """Return the numbers of training points to try at test time: from 1 to 3d, n_train_post among them."""
    spread = np.geomspace(1, 3 * params_dict["d"], params_dict["num_n_train_post_range"]).astype(int)
    return sorted({*spread.tolist(), params_dict["n_train_post"]})


def make_oracle(k_idx, d):
    """
    Return what the oracle knows and needs.

    Returns:
        feature_weights: (d,), 1 for the true features and 0 for all others.
        min_n_train_post: how many points tell the true features apart on any grid.
    """
    feature_weights = np.zeros(d)
    feature_weights[np.asarray(k_idx)] = 1.0
    highest_frequency = (np.max(k_idx) + 1) // 2
    return feature_weights, int(2 * highest_frequency + 1)


def generate_post_points(x_type, phi_type, d, n_train_post_range, n_test):
    """
    Place the points of test time; the targets are still to come.

    Returns:
        {'train': {n: {'x', 'features', 'y'}}, 'test': {'x', 'features', 'y'}} with an empty list for each 'y'.
    """

    def block(n, kind):
        x = generate_x(n, kind)
        return {"x": x, "features": featurize(x, d, phi_type), "y": []}

    test = block(n_test, "uniform_random")
    return {"train": {n: block(n, x_type) for n in n_train_post_range}, "test": test}


def only_weighted_features(data_dict, feature_weights):
    """Return a copy of the data without the features whose weight is 0."""
    kept = np.flatnonzero(feature_weights)
    train = {n: {**block, "features": block["features"][:, kept]} for n, block in data_dict["train"].items()}
    return {"train": train, "test": {**data_dict["test"], "features": data_dict["test"]["features"][:, kept]}}
