"""
Meta-learning for classification with copy-pasted regression code: part (g).

Copy each function below from its counterpart in utils_reg.py, and change only what makes it run on labels -1 and +1
in place of real values: the data, the noise, the names. Keep the squared error everywhere, in the inner loop, in the
outer loop and in the tests, and keep solving by least squares: the labels are treated as if they were values.
"""

import numpy as np
import torch
from utils import (
    DummyModel,
    add_label_noise,
    featurize,
    generate_k_val,
    generate_x,
    generate_y,
    make_log_stride,
    make_meta_optimizer,
    make_n_train_post_range,
    make_oracle,
    my_sign,
    only_weighted_features,
    solve_ls,
    to_numpy,
    to_tensor,
)
from utils_classification import get_post_data_classification
from utils_visualization import visualize_prediction_classification, visualize_test_loss_classification


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
    visualize_prediction_classification(data_dict, feature_weights, params_dict["n_train_post"], solve=solve_ls)
    visualize_test_loss_classification(
        iteration, params_dict["n_train_inner"], *losses, **comparison, ylabel="squared error on labels"
    )


def meta_update_classification(w_t, feature_weights_t, n_train_meta, phi_type, d, k_idx, k_val, noise_prob):
    """Measure a task's coefficients on fresh labels: the sum of squared errors, as `meta_update_reg` has it."""
    # BEGIN SOLUTION
    features = featurize(generate_x(n_train_meta, "uniform_random"), d, phi_type)
    z = add_label_noise(my_sign(generate_y(features, k_idx, k_val)), noise_prob)
    predictions = (to_tensor(features) * feature_weights_t) @ w_t
    return torch.sum((predictions - to_tensor(z)) ** 2)
    # END SOLUTION


def test_classification(data_dict, feature_weights, min_n_train_post=0):
    """Learn every test task by least squares; results are mean squared errors, as those of `test_reg`."""
    # BEGIN SOLUTION
    n_train_post_range = [n for n in data_dict["train"] if n >= min_n_train_post]
    test = data_dict["test"]
    avg_test_loss, top_10_loss, bot_10_loss = [], [], []
    for n in n_train_post_range:
        train, losses = data_dict["train"][n], []
        for z_train, z_test in zip(train["y"], test["y"], strict=True):
            alpha, _ = solve_ls(train["features"], z_train, feature_weights)
            losses.append(np.mean((test["features"] @ alpha - z_test) ** 2))
        avg_test_loss.append(np.mean(losses))
        top_10_loss.append(np.percentile(losses, 90))
        bot_10_loss.append(np.percentile(losses, 10))
    return n_train_post_range, np.array(avg_test_loss), np.array(top_10_loss), np.array(bot_10_loss)
    # END SOLUTION


def test_oracle_classification(data_dict, x_type, feature_weights, min_n_train_post=0):
    """Do what `test_classification` does with nothing but the features whose weight is not 0."""
    # BEGIN SOLUTION
    true_features = only_weighted_features(data_dict, feature_weights)
    return test_classification(true_features, np.ones(np.count_nonzero(feature_weights)), min_n_train_post)
    # END SOLUTION


def test_zero_classification(data_dict):
    """Return mean, 90th and 10th percentile over tasks of the squared error of predicting 0 everywhere."""
    # BEGIN SOLUTION
    losses = [np.mean(z_test**2) for z_test in data_dict["test"]["y"]]
    return np.mean(losses), np.percentile(losses, 90), np.percentile(losses, 10)
    # END SOLUTION


def meta_learning_classification(params_dict):
    """
    Learn feature weights; the inner loop takes num_gd_steps gradient steps on the mean squared error of the labels.

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
                inner_loss = torch.mean(((F_t * model.feature_weights) @ w_t - z_t) ** 2)
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
