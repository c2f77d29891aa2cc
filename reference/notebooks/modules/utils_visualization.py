"""The plots of the meta-learning notebooks. Nothing is left to write here."""

import matplotlib.pyplot as plt
import numpy as np
from utils import solve_logistic, solve_ls

# The weights that were tested in the last run, by iteration: what `visualize_weight_history` shows.
WEIGHT_HISTORY = {}
_last_shown = []
COLOURS = {"all weights 1": "tab:orange", "meta-learned": "tab:blue", "oracle": "tab:green", "zero": "tab:gray"}


def visualize_prediction_reg(data_dict, feature_weights, n_train_post):
    """Plot the first test task as learned from n_train_post points by least squares, and the feature weights."""
    _plot_prediction(data_dict, feature_weights, n_train_post, solve_ls)


def visualize_prediction_classification(data_dict, feature_weights, n_train_post, solve=solve_logistic):
    """Plot the first test task as learned from n_train_post labels by `solve`, and the feature weights."""
    _plot_prediction(data_dict, feature_weights, n_train_post, solve)


def visualize_test_loss_reg(
    iteration,
    n_train_inner,
    n_train_post_range,
    avg_test_loss,
    top_10_loss,
    bot_10_loss,
    unweighted=None,
    oracle=None,
    zero=None,
):
    """
    Plot the test loss against the number of training points: all of them, and those near n_train_inner.

    Args:
        iteration: of the outer loop, for the title.
        n_train_inner: number of points in the inner loop, drawn as a line.
        n_train_post_range, avg_test_loss, top_10_loss, bot_10_loss: as `test_reg` returns them.
        unweighted, oracle: the same for weights of 1 and for the true features alone.
        zero: mean, 90th and 10th percentile of the loss of a guess that does not look at x.
    """
    learned = (n_train_post_range, avg_test_loss, top_10_loss, bot_10_loss)
    _plot_test_loss(iteration, n_train_inner, learned, unweighted, oracle, zero, "squared error")


def visualize_test_loss_classification(
    iteration,
    n_train_inner,
    n_train_post_range,
    avg_test_loss,
    top_10_loss,
    bot_10_loss,
    unweighted=None,
    oracle=None,
    zero=None,
    ylabel="classification error",
):
    """Do what `visualize_test_loss_reg` does for the results of `test_classification`."""
    learned = (n_train_post_range, avg_test_loss, top_10_loss, bot_10_loss)
    _plot_test_loss(iteration, n_train_inner, learned, unweighted, oracle, zero, ylabel)


def visualize_weight_history(k_idx, kinds):
    """
    Plot how the feature weights of the last run moved from test to test.

    Args:
        k_idx: the true features, one line for each.
        kinds: name -> indices of other features, shown by their median and a band from 10th to 90th percentile.
    """
    iterations, weights = list(WEIGHT_HISTORY), np.array(list(WEIGHT_HISTORY.values()))
    _, axes = plt.subplots(figsize=(7, 3.5), layout="constrained")
    for k in k_idx:
        axes.plot(iterations, weights[:, k], color="tab:blue", label="true features" if k == k_idx[0] else None)
    for (name, members), colour in zip(kinds.items(), ("tab:red", "tab:gray"), strict=False):
        if len(members) == 0:  # with few features there may be no alias
            continue
        low, middle, high = np.percentile(weights[:, members], [10, 50, 90], axis=1)
        axes.plot(iterations, middle, color=colour, label=f"{name}: median of {len(members)}")
        axes.fill_between(iterations, low, high, color=colour, alpha=0.2)
    axes.set_xlabel("iteration of the outer loop")
    axes.set_ylabel("feature weight")
    axes.legend(fontsize=8)
    plt.show()
    plt.close()


def _plot_prediction(data_dict, feature_weights, n_train_post, solve):
    _last_shown[:] = [np.array(feature_weights)]
    train, test = data_dict["train"][n_train_post], data_dict["test"]
    _, (left, right) = plt.subplots(1, 2, figsize=(12, 3.5), layout="constrained")
    left.plot(test["x"], test["y"][0], color="black", linewidth=2, label="truth")
    for name, weights in (("all weights 1", np.ones_like(feature_weights)), ("meta-learned", feature_weights)):
        alpha, _ = solve(train["features"], train["y"][0], weights)
        left.plot(test["x"], test["features"] @ alpha, color=COLOURS[name], linewidth=1, label=name)
    left.plot(train["x"], train["y"][0], "k.", label=f"{n_train_post} training points")
    left.set_ylim(1.8 * np.min(test["y"][0]), 1.8 * np.max(test["y"][0]))
    left.set_xlabel("x")
    left.legend(loc="upper right", fontsize=8)
    right.plot(feature_weights, ".", color=COLOURS["meta-learned"], markersize=4)
    right.set_xlabel("feature")
    right.set_ylabel("feature weight")
    plt.show()
    plt.close()


def _plot_test_loss(iteration, n_train_inner, learned, unweighted, oracle, zero, ylabel):
    if iteration == 0:
        WEIGHT_HISTORY.clear()
    if _last_shown:
        WEIGHT_HISTORY[iteration] = _last_shown[0]
    _, (whole, near) = plt.subplots(1, 2, figsize=(12, 3.5), layout="constrained")
    for axes in (whole, near):
        for name, curve in (("all weights 1", unweighted), ("meta-learned", learned), ("oracle", oracle)):
            if curve is not None:
                sizes, mean, high, low = curve
                axes.plot(sizes, mean, marker=".", color=COLOURS[name], label=name)
                axes.fill_between(sizes, low, high, color=COLOURS[name], alpha=0.2)
        if zero is not None:
            axes.axhline(zero[0], color=COLOURS["zero"], label="zero")
            axes.axhspan(zero[2], zero[1], color=COLOURS["zero"], alpha=0.1)
        axes.axvline(n_train_inner, color="black", linestyle=":", linewidth=1)
        axes.set_xscale("log")
        axes.set_xlabel("n_train_post")
        axes.set_ylabel(ylabel)
    # With about as many points as features least squares has no useful scale: end above what a blind guess costs.
    whole.set_ylim(0, 1.3 * (zero[1] if zero is not None else np.median(learned[2])))
    whole.set_title(f"iteration {iteration}")
    whole.legend(fontsize=8)
    near.set_xlim(n_train_inner / 2, 4 * n_train_inner)
    tops = [top for n, top in zip(learned[0], learned[2], strict=True) if n_train_inner / 2 <= n <= 4 * n_train_inner]
    near.set_ylim(0, 1.2 * max([*tops, 1e-3]))
    near.set_title(f"near the {n_train_inner} points of the inner loop (dotted)")
    plt.show()
    plt.close()
