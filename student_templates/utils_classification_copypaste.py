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
    # Your solution: replace the line below.
    raise NotImplementedError("meta_update_classification is not implemented yet")


def test_classification(data_dict, feature_weights, min_n_train_post=0):
    """Learn every test task by least squares; results are mean squared errors, as those of `test_reg`."""
    # Your solution: replace the line below.
    raise NotImplementedError("test_classification is not implemented yet")


def test_oracle_classification(data_dict, x_type, feature_weights, min_n_train_post=0):
    """Do what `test_classification` does with nothing but the features whose weight is not 0."""
    # Your solution: replace the line below.
    raise NotImplementedError("test_oracle_classification is not implemented yet")


def test_zero_classification(data_dict):
    """Return mean, 90th and 10th percentile over tasks of the squared error of predicting 0 everywhere."""
    # Your solution: replace the line below.
    raise NotImplementedError("test_zero_classification is not implemented yet")


def meta_learning_classification(params_dict):
    """
    Learn feature weights; the inner loop takes num_gd_steps gradient steps on the mean squared error of the labels.

    Args:
        params_dict: the settings that the notebook lists.

    Returns:
        The feature weights, (d,) array, and the data of the test tasks.
    """
    # Your solution: replace the line below.
    raise NotImplementedError("meta_learning_classification is not implemented yet")
