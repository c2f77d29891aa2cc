"""Meta-learning of feature weights for regression: parts (e) and (f). Nothing is left to write here."""

import numpy as np
import torch
from utils import (
    DummyModel,
    featurize,
    generate_k_val,
    generate_post_points,
    generate_x,
    generate_y,
    make_log_stride,
    make_meta_optimizer,
    make_n_train_post_range,
    make_oracle,
    only_weighted_features,
    solve_ls,
    to_numpy,
    to_tensor,
)
from utils_visualization import visualize_prediction_reg, visualize_test_loss_reg


def closed_form_ls(F_t, y_t):
    """Return the smallest w with F_t @ w = y_t, for a matrix of independent rows: (n, d), (n,) -> (d,)."""
    return F_t.T @ torch.linalg.solve(F_t @ F_t.T, y_t)


def meta_update_reg(w_t, feature_weights_t, n_train_meta, phi_type, d, k_idx, k_val, noise_std):
    """
    Measure a task's coefficients on fresh points of the same task.

    Args:
        w_t: (d,) tensor, coefficients of the weighted features that the inner loop found.
        feature_weights_t: (d,) tensor.
        n_train_meta: number of fresh points, uniform on [-1, 1).
        phi_type, d: the features.
        k_idx, k_val: the task.
        noise_std: standard deviation of the noise on the values.

    Returns:
        The sum of squared errors, a scalar tensor that depends on w_t and feature_weights_t.
    """
    features = featurize(generate_x(n_train_meta, "uniform_random"), d, phi_type)
    y = generate_y(features, k_idx, k_val) + np.random.normal(0, noise_std, n_train_meta)
    predictions = (to_tensor(features) * feature_weights_t) @ w_t
    return torch.sum((predictions - to_tensor(y)) ** 2)


def get_post_data_reg(x_type, phi_type, k_idx, num_tasks_test, d, n_train_post_range, n_test, noise_std):
    """
    Draw test tasks: noisy values on training points of every number, clean ones on the test points.

    Returns:
        {'train': {n: {'x', 'features', 'y'}}, 'test': {'x', 'features', 'y'}}, where 'y' has one array for each task.
    """
    data_dict = generate_post_points(x_type, phi_type, d, n_train_post_range, n_test)
    for _ in range(num_tasks_test):
        k_val = generate_k_val(k_idx)
        data_dict["test"]["y"].append(generate_y(data_dict["test"]["features"], k_idx, k_val))
        for n, train in data_dict["train"].items():
            noise = np.random.normal(0, noise_std, n)
            train["y"].append(generate_y(train["features"], k_idx, k_val) + noise)
    return data_dict


def test_reg(data_dict, feature_weights, min_n_train_post=0):
    """
    Learn every test task from every number of points, and measure the mean squared error on its test points.

    Args:
        data_dict: from `get_post_data_reg`.
        feature_weights: (d,) array.
        min_n_train_post: smaller numbers of points are left out.

    Returns:
        The numbers of points, and for each the mean, the 90th and the 10th percentile of the error over tasks.
    """
    n_train_post_range = [n for n in data_dict["train"] if n >= min_n_train_post]
    test = data_dict["test"]
    avg_test_loss, top_10_loss, bot_10_loss = [], [], []
    for n in n_train_post_range:
        train, losses = data_dict["train"][n], []
        for y_train, y_test in zip(train["y"], test["y"], strict=True):
            alpha, _ = solve_ls(train["features"], y_train, feature_weights)
            losses.append(np.mean((test["features"] @ alpha - y_test) ** 2))
        avg_test_loss.append(np.mean(losses))
        top_10_loss.append(np.percentile(losses, 90))
        bot_10_loss.append(np.percentile(losses, 10))
    return n_train_post_range, np.array(avg_test_loss), np.array(top_10_loss), np.array(bot_10_loss)


def test_oracle_reg(data_dict, x_type, feature_weights, min_n_train_post=0):
    """
    Do what `test_reg` does with nothing but the features whose weight is not 0.

    Args:
        data_dict, min_n_train_post: as for `test_reg`.
        x_type: how the training points were placed; they lie in data_dict, so nothing here needs to know.
        feature_weights: (d,) array, 1 for the true features and 0 for all others.
    """
    true_features = only_weighted_features(data_dict, feature_weights)
    return test_reg(true_features, np.ones(np.count_nonzero(feature_weights)), min_n_train_post)


def test_zero_reg(data_dict):
    """Return mean, 90th and 10th percentile over tasks of the error of predicting 0 everywhere."""
    losses = [np.mean(y_test**2) for y_test in data_dict["test"]["y"]]
    return np.mean(losses), np.percentile(losses, 90), np.percentile(losses, 10)


def set_up_reg(params_dict):
    """
    Seed the random numbers, draw the test tasks, and measure what the learned weights are compared with.

    Returns:
        data_dict: see `get_post_data_reg`.
        comparison: the results of `test_oracle_reg` and `test_zero_reg` by the names 'oracle' and 'zero'.
    """
    np.random.seed(params_dict["seed"])
    data_dict = get_post_data_reg(
        params_dict["x_type"],
        params_dict["phi_type"],
        params_dict["k_idx"],
        params_dict["num_tasks_test"],
        params_dict["d"],
        make_n_train_post_range(params_dict),
        params_dict["n_test_post"],
        params_dict["noise_std"],
    )
    oracle_weights, min_n_oracle = make_oracle(params_dict["k_idx"], params_dict["d"])
    oracle = test_oracle_reg(data_dict, params_dict["x_type"], oracle_weights, min_n_oracle)
    return data_dict, {"oracle": oracle, "zero": test_zero_reg(data_dict)}


def show_progress_reg(iteration, feature_weights, data_dict, comparison, params_dict):
    """Test the feature weights and plot the result; the first results, with weights of 1, are kept to compare."""
    losses = test_reg(data_dict, feature_weights)
    comparison.setdefault("unweighted", losses)
    visualize_prediction_reg(data_dict, feature_weights, params_dict["n_train_post"])
    visualize_test_loss_reg(iteration, params_dict["n_train_inner"], *losses, **comparison)


def generate_task_reg(params_dict):
    """Draw a task and its training points: coefficients k_val, features (n, d) and noisy values (n,) as tensors."""
    k_val = generate_k_val(params_dict["k_idx"])
    x = generate_x(params_dict["n_train_inner"], params_dict["x_type"])
    features = featurize(x, params_dict["d"], params_dict["phi_type"])
    y = generate_y(features, params_dict["k_idx"], k_val) + np.random.normal(0, params_dict["noise_std"], len(x))
    return k_val, to_tensor(features), to_tensor(y)


def meta_learning_reg_closed_form(params_dict):
    """
    Learn feature weights; the inner loop solves for the coefficients of smallest norm at once.

    Args:
        params_dict: the settings that the notebook lists.

    Returns:
        The feature weights, (d,) array, and the data of the test tasks.
    """
    data_dict, comparison = set_up_reg(params_dict)
    d, phi_type, k_idx, noise_std = (params_dict[name] for name in ("d", "phi_type", "k_idx", "noise_std"))
    model = DummyModel(d)
    meta_optimizer = make_meta_optimizer(model, params_dict)

    for iteration in range(params_dict["num_iterations"]):
        if iteration % make_log_stride(params_dict) == 0:
            show_progress_reg(iteration, to_numpy(model.feature_weights).copy(), data_dict, comparison, params_dict)
        meta_optimizer.zero_grad()
        for _ in range(params_dict["num_inner_tasks"]):
            k_val, F_t, y_t = generate_task_reg(params_dict)
            # Inner loop: coefficients of this task, as a function of the feature weights.
            w_t = closed_form_ls(F_t * model.feature_weights, y_t)
            # Outer loop: how good they are, differentiated with respect to the feature weights.
            meta_loss = meta_update_reg(
                w_t, model.feature_weights, params_dict["n_train_meta"], phi_type, d, k_idx, k_val, noise_std
            )
            meta_loss.backward()
        meta_optimizer.step()

    feature_weights = to_numpy(model.feature_weights).copy()
    show_progress_reg(params_dict["num_iterations"], feature_weights, data_dict, comparison, params_dict)
    return feature_weights, data_dict


def meta_learning_reg_sgd(params_dict):
    """
    Learn feature weights; the inner loop takes num_gd_steps steps of gradient descent from coefficients of 0.

    Args:
        params_dict: the settings that the notebook lists.

    Returns:
        The feature weights, (d,) array, and the data of the test tasks.
    """
    data_dict, comparison = set_up_reg(params_dict)
    d, phi_type, k_idx, noise_std = (params_dict[name] for name in ("d", "phi_type", "k_idx", "noise_std"))
    model = DummyModel(d)
    meta_optimizer = make_meta_optimizer(model, params_dict)

    for iteration in range(params_dict["num_iterations"]):
        if iteration % make_log_stride(params_dict) == 0:
            show_progress_reg(iteration, to_numpy(model.feature_weights).copy(), data_dict, comparison, params_dict)
        meta_optimizer.zero_grad()
        for _ in range(params_dict["num_inner_tasks"]):
            k_val, F_t, y_t = generate_task_reg(params_dict)
            # Inner loop. With create_graph=True the outer loop can differentiate through every step.
            w_t = model.coeffs
            for _ in range(params_dict["num_gd_steps"]):
                inner_loss = torch.mean(((F_t * model.feature_weights) @ w_t - y_t) ** 2)
                (slope,) = torch.autograd.grad(inner_loss, w_t, create_graph=True)
                w_t = w_t - params_dict["stepsize_inner"] * slope
            # Outer loop: how good w_t is, differentiated with respect to the feature weights.
            meta_loss = meta_update_reg(
                w_t, model.feature_weights, params_dict["n_train_meta"], phi_type, d, k_idx, k_val, noise_std
            )
            meta_loss.backward()
        meta_optimizer.step()

    feature_weights = to_numpy(model.feature_weights).copy()
    show_progress_reg(params_dict["num_iterations"], feature_weights, data_dict, comparison, params_dict)
    return feature_weights, data_dict
