"""
Meta-learning of feature weights for classification with logistic regression: part (h).

A task is a function f of part (e), but only the labels z = sign(f(x)) are seen, -1 or +1. With the predicted value
t the loss of a point is log(1 + exp(-z t)). Start from the functions of utils_reg.py.
"""

import numpy as np
import torch
from torch.nn.functional import softplus
from utils import (
    DummyModel,
    add_label_noise,
    featurize,
    generate_k_val,
    generate_post_points,
    generate_x,
    generate_y,
    make_log_stride,
    make_meta_optimizer,
    make_n_train_post_range,
    make_oracle,
    my_sign,
    only_weighted_features,
    solve_logistic,
    to_numpy,
    to_tensor,
)
from utils_visualization import visualize_prediction_classification, visualize_test_loss_classification


def get_post_data_classification(x_type, phi_type, k_idx, num_tasks_test, d, n_train_post_range, n_test, noise_prob):
    """
    Draw test tasks: labels, flipped with probability noise_prob, on training points; true ones on the test points.

    Returns:
        {'train': {n: {'x', 'features', 'y'}}, 'test': {'x', 'features', 'y'}}, where 'y' has one array of labels for
        each task.
    """
    data_dict = generate_post_points(x_type, phi_type, d, n_train_post_range, n_test)
    for _ in range(num_tasks_test):
        k_val = generate_k_val(k_idx)
        data_dict["test"]["y"].append(my_sign(generate_y(data_dict["test"]["features"], k_idx, k_val)))
        for train in data_dict["train"].values():
            z = my_sign(generate_y(train["features"], k_idx, k_val))
            train["y"].append(add_label_noise(z, noise_prob))
    return data_dict


def set_up_classification(params_dict):
    """
    Seed the random numbers, draw the test tasks, and measure what the learned weights are compared with.

    Returns:
        data_dict: see `get_post_data_classification`.
        comparison: the results of `test_oracle_classification` and `test_zero_classification`.
    """
    np.random.seed(params_dict["seed"])
    data_dict = get_post_data_classification(
        params_dict["x_type"],
        params_dict["phi_type"],
        params_dict["k_idx"],
        params_dict["num_tasks_test"],
        params_dict["d"],
        make_n_train_post_range(params_dict),
        params_dict["n_test_post"],
        params_dict["noise_prob"],
    )
    oracle_weights, min_n_oracle = make_oracle(params_dict["k_idx"], params_dict["d"])
    oracle = test_oracle_classification(data_dict, params_dict["x_type"], oracle_weights, min_n_oracle)
    return data_dict, {"oracle": oracle, "zero": test_zero_classification(data_dict)}


def show_progress_classification(iteration, feature_weights, data_dict, comparison, params_dict):
    """Test the feature weights and plot the result; the first results, with weights of 1, are kept to compare."""
    losses = test_classification(data_dict, feature_weights)
    comparison.setdefault("unweighted", losses)
    visualize_prediction_classification(data_dict, feature_weights, params_dict["n_train_post"])
    visualize_test_loss_classification(iteration, params_dict["n_train_inner"], *losses, **comparison)


def meta_update_classification(w_t, feature_weights_t, n_train_meta, phi_type, d, k_idx, k_val, noise_prob):
    """
    Measure a task's coefficients on fresh points of the same task.

    Args:
        w_t: (d,) tensor, coefficients of the weighted features that the inner loop found.
        feature_weights_t: (d,) tensor.
        n_train_meta: number of fresh points, uniform on [-1, 1).
        phi_type, d: the features.
        k_idx, k_val: the task.
        noise_prob: each label is flipped with this probability (`add_label_noise`).

    Returns:
        The sum of logistic losses, a scalar tensor that depends on w_t and feature_weights_t.
    """
    # BEGIN SOLUTION
    features = featurize(generate_x(n_train_meta, "uniform_random"), d, phi_type)
    z = add_label_noise(my_sign(generate_y(features, k_idx, k_val)), noise_prob)
    predictions = (to_tensor(features) * feature_weights_t) @ w_t
    return torch.sum(softplus(-to_tensor(z) * predictions))
    # END SOLUTION


def test_classification(data_dict, feature_weights, min_n_train_post=0):
    """
    Learn every test task from every number of points by logistic regression, and measure the classification error.

    Args:
        data_dict: from `get_post_data_classification`.
        feature_weights: (d,) array.
        min_n_train_post: smaller numbers of points are left out.

    Returns:
        The numbers of points, and for each the mean, the 90th and the 10th percentile over tasks of the share of
        test points with a wrong label.
    """
    # BEGIN SOLUTION
    n_train_post_range = [n for n in data_dict["train"] if n >= min_n_train_post]
    test = data_dict["test"]
    avg_test_loss, top_10_loss, bot_10_loss = [], [], []
    for n in n_train_post_range:
        train, losses = data_dict["train"][n], []
        for z_train, z_test in zip(train["y"], test["y"], strict=True):
            alpha, _ = solve_logistic(train["features"], z_train, feature_weights)
            losses.append(np.mean(my_sign(test["features"] @ alpha) != z_test))
        avg_test_loss.append(np.mean(losses))
        top_10_loss.append(np.percentile(losses, 90))
        bot_10_loss.append(np.percentile(losses, 10))
    return n_train_post_range, np.array(avg_test_loss), np.array(top_10_loss), np.array(bot_10_loss)
    # END SOLUTION


def test_oracle_classification(data_dict, x_type, feature_weights, min_n_train_post=0):
    """
    Do what `test_classification` does with nothing but the features whose weight is not 0.

    Args:
        data_dict, min_n_train_post: as for `test_classification`.
        x_type: how the training points were placed; they lie in data_dict, so nothing here needs to know.
        feature_weights: (d,) array, 1 for the true features and 0 for all others.
    """
    # BEGIN SOLUTION
    true_features = only_weighted_features(data_dict, feature_weights)
    return test_classification(true_features, np.ones(np.count_nonzero(feature_weights)), min_n_train_post)
    # END SOLUTION


def test_zero_classification(data_dict):
    """
    Measure a guess that does not look at x: the label of the value 0, which is +1.

    Returns:
        Mean, 90th and 10th percentile over tasks of the classification error on the test points.
    """
    # BEGIN SOLUTION
    losses = [np.mean(my_sign(np.zeros_like(z_test)) != z_test) for z_test in data_dict["test"]["y"]]
    return np.mean(losses), np.percentile(losses, 90), np.percentile(losses, 10)
    # END SOLUTION


def meta_learning_classification(params_dict):
    """
    Learn feature weights; the inner loop takes num_gd_steps gradient steps on the mean logistic loss.

    Use `set_up_classification` before the first iteration and `show_progress_classification` as
    `meta_learning_reg_sgd` uses their counterparts: every make_log_stride(params_dict) iterations and at the end.

    Args:
        params_dict: the settings that the notebook lists.

    Returns:
        The feature weights, (d,) array, and the data of the test tasks.
    """
    # BEGIN SOLUTION
    data_dict, comparison = set_up_classification(params_dict)
    d, phi_type, k_idx, noise_prob = (params_dict[name] for name in ("d", "phi_type", "k_idx", "noise_prob"))
    model = DummyModel(d)
    meta_optimizer = make_meta_optimizer(model, params_dict)

    for iteration in range(params_dict["num_iterations"]):
        if iteration % make_log_stride(params_dict) == 0:
            feature_weights = to_numpy(model.feature_weights).copy()
            show_progress_classification(iteration, feature_weights, data_dict, comparison, params_dict)
        meta_optimizer.zero_grad()
        for _ in range(params_dict["num_inner_tasks"]):
            # A task, its training points and their labels.
            k_val = generate_k_val(k_idx)
            features = featurize(generate_x(params_dict["n_train_inner"], params_dict["x_type"]), d, phi_type)
            z = add_label_noise(my_sign(generate_y(features, k_idx, k_val)), noise_prob)
            F_t, z_t = to_tensor(features), to_tensor(z)
            # Inner loop. With create_graph=True the outer loop can differentiate through every step.
            w_t = model.coeffs
            for _ in range(params_dict["num_gd_steps"]):
                inner_loss = torch.mean(softplus(-z_t * ((F_t * model.feature_weights) @ w_t)))
                (slope,) = torch.autograd.grad(inner_loss, w_t, create_graph=True)
                w_t = w_t - params_dict["stepsize_inner"] * slope
            # Outer loop: how good w_t is, differentiated with respect to the feature weights.
            meta_loss = meta_update_classification(
                w_t, model.feature_weights, params_dict["n_train_meta"], phi_type, d, k_idx, k_val, noise_prob
            )
            meta_loss.backward()
        meta_optimizer.step()

    feature_weights = to_numpy(model.feature_weights).copy()
    show_progress_classification(params_dict["num_iterations"], feature_weights, data_dict, comparison, params_dict)
    return feature_weights, data_dict
    # END SOLUTION
