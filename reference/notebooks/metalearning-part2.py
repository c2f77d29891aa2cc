# %% [markdown]
# # Meta-learning, part 2: classification
#
# Parts (g) and (h). A task is a function $f$ as in part 1, but nobody tells its values any more, only labels
# $z = \operatorname{sign}(f(x))$. All points are uniform at random now.
#
# - In (g) you copy the regression code and make it run on labels: `utils_classification_copypaste.py`.
# - In (h) you write it with logistic regression: `utils_classification.py`.
#
# Both files lie beside this notebook with the names and arguments that you need; write your code there, where it says
# `raise NotImplementedError(...)`, and keep the names. (You may write the functions of (h) into this notebook instead.)
# `utils.py`, `utils_reg.py`, `utils_visualization.py` and `self_check.py` have to lie there, too. A run takes one to three minutes
# without a GPU; for a quick look lower `num_iterations` and `num_tasks_test`.

# %% [markdown]
# ## Where the files are
#
# The next two cells go to the folder of the homework, on Colab in your Drive, and say which files are missing there.

# %% include="reference.notebooks.modules.notebook_tools:open_folder"

# %%
# On Colab your work lies in this folder of your Drive: put all files of the homework there.
needed = ["notebook_tools.py", "self_check.py", "utils.py", "utils_reg.py", "utils_visualization.py"]
open_folder("cs182/hw9", needed)

# %%
import importlib

import numpy as np
import torch
from utils_visualization import visualize_weight_history

# %%
num_iterations = 100  # of the outer loop; 10 for a quick look
num_tasks_test = 10  # 2 for a quick look

params_dict = {
    "seed": 7,
    "n_train_inner": 32,  # points in the inner loop
    "n_train_meta": 64,  # fresh points that the outer loop judges by
    "n_train_post": 32,  # points of the plotted prediction
    "n_test_post": 1000,  # points that a test task is measured on
    "d": 501,  # features
    "phi_type": "fourier",
    "k_idx": np.arange(5, 11),  # true features
    "noise_prob": 0.0,  # labels are flipped with this probability
    "x_type": "uniform_random",  # training points
    "optimizer_type": "SGD",  # of the outer loop, or "Adam"
    "stepsize_meta": 1e-2,
    "num_inner_tasks": 5,  # tasks for each step of the outer loop
    "num_gd_steps": 5,  # steps of the inner loop
    "num_tasks_test": num_tasks_test,
    "num_iterations": num_iterations,
    "num_stats": 10,  # how often the weights are tested
    "num_n_train_post_range": 40,  # how many values of n_train_post are tried
}


def print_weights(feature_weights):
    """Print the weights of the true features and what the others look like."""
    k_idx = params_dict["k_idx"]
    others = np.delete(feature_weights, k_idx)
    print("weights of the true features:", feature_weights[k_idx].round(2))
    print(f"of the others: smallest {others.min():.2f}, median {np.median(others):.2f}, largest {others.max():.2f}")


# %% [markdown]
# ## (g) Copy and paste
#
# Fill `utils_classification_copypaste.py` from `utils_reg.py`:
#
# 1. copy `meta_update_reg`, `test_reg`, `test_oracle_reg`, `test_zero_reg` and `meta_learning_reg_sgd` (with the body of
#    `generate_task_reg`) under the names that stand there;
# 2. wherever a value is drawn, take its sign with `my_sign`, and flip labels with `add_label_noise` where noise was added;
# 3. leave everything else as it is: squared error, least squares, plots.
#
# It should run without an error. Whether it is a good idea is another question.
#
# After a change in a module run the cell below again: it loads the module anew.

# %%
import utils_classification_copypaste

importlib.reload(utils_classification_copypaste)

params_g = {**params_dict, "stepsize_inner": 1e-2}
feature_weights, _ = utils_classification_copypaste.meta_learning_classification(params_g)
print_weights(feature_weights)

# %% [markdown]
# **Question (g).** Does the copied code run, and does meta-learning still help? What does the squared error do to labels,
# and why can the oracle not bring it to zero, however many points it sees?

# %% [markdown]
# BEGIN SOLUTION
# **Answer (g).** It runs without an error, since labels are numbers, too: it does regression on values that happen to
# be $-1$ and $+1$. Mean squared error on the labels at the last test (predicting zero costs exactly 1):
#
# | `n_train_post` | 20 | 32 | 74 | 108 | 158 | 1503 |
# |---|---|---|---|---|---|---|
# | all weights 1 | {{g.ones.20,32,74,108,158,1503}} |
# | meta-learned | {{g.learned.20,32,74,108,158,1503}} |
# | oracle | {{g.oracle.20,32,74,108,158,1503}} |
#
# Meta-learning helps: the weights of the true features grow to between {{g.true.smallest:.2f}} and
# {{g.true.largest:.2f}}, the median of the others sinks to {{g.others.median:.2f}}. But the squared error asks for the
# wrong thing. It punishes a prediction of 3 for the label 1 as much as one of $-1$, though only the latter is on the wrong
# side. The label $\operatorname{sign}(f(x))$ jumps where $f$ crosses zero; no sum of six waves does, so the oracle stays at
# {{g.oracle.1503}} however many points it gets. The meta-learned weights keep all 501 waves and can follow the jumps: of
# the numbers of points that were tried they are better than the oracle at each one from {{g.better_from}} to
# {{g.better_to}}, and at {{g.better_after}}.
#
# At {{g.huge}} points least squares on 501 features is ill-conditioned, with any weights: single errors become huge, in this run up to the order of $10^{ {{g.worst_exponent}} }$. As a classifier, by the sign of its
# predictions, it is not bad at all: with the learned weights {{g.wrong_learned.32:percent}} of the labels are wrong at 32
# points and {{g.wrong_learned.108:percent}} at 108, with all weights 1 {{g.wrong_ones.32:percent}} and
# {{g.wrong_ones.108:percent}}.
# END SOLUTION

# %% [markdown]
# ## (h) Logistic regression
#
# Now write `utils_classification.py`. With the predicted value $t$ and the label $z$ the loss of a point is
# $\log(1 + e^{-zt})$.
#
# - In the inner loop, descend its *mean* over the training points. In the outer loop, `meta_update_classification`
#   returns its *sum* over the fresh points.
# - At test time, learn a task with `solve_logistic` (in `utils.py`). What counts then is the classification error, the
#   share of test points whose label `my_sign` of the prediction gets wrong.
#
# `torch.nn.functional.softplus(u)` is $\log(1 + e^u)$ without overflow.
#
# Your functions are looked for in the module; if you write them here, put them into the next cell, and leave out the line
# that imports them.

# %%
import utils_classification

importlib.reload(utils_classification)
from utils_classification import (
    meta_learning_classification,
    meta_update_classification,
    test_classification,
    test_oracle_classification,
    test_zero_classification,
)

# %% [markdown]
# A self-check on numbers that are known without a computer. Coefficients of zero predict 0 and cost $\log 2$ at every
# point. Three tasks whose labels are all $+1$, all $-1$, and half of each; a constant feature learns the first two
# without an error from any number of points.


# %%
from self_check import check_numbers


def constant_tasks(n):
    """Return n points of three tasks and a constant feature, beside one that says nothing."""
    x = np.linspace(-1, 1, n, endpoint=False)
    labels = [np.ones(n), -np.ones(n), np.where(np.arange(n) % 2 == 0, 1.0, -1.0)]
    return {"x": x, "features": np.stack([np.ones(n), np.zeros(n)], axis=1), "y": labels}


public_data = {"train": {n: constant_tasks(n) for n in (1, 3, 5)}, "test": constant_tasks(10)}
nothing = torch.zeros(5, dtype=torch.float64)
task = {"n_train_meta": 64, "phi_type": "fourier", "d": 5, "k_idx": [1], "k_val": np.ones(1), "noise_prob": 0.0}
# Errors of the three tasks are 0, 0 and 0.5 (learned), and 0, 1 and 0.5 (zero): mean, 90th and 10th percentile.
learned, sizes = [1 / 6, 0.4, 0.0], [3, 5]
check_numbers(
    "meta_update_classification",
    lambda: [meta_update_classification(nothing, torch.ones_like(nothing), **task).item()],
    [64 * np.log(2)],
)
check_numbers(
    "test_classification",
    lambda: test_classification(public_data, np.ones(2), min_n_train_post=2),
    [*sizes, *np.repeat(learned, len(sizes))],
)
check_numbers(
    "test_oracle_classification",
    lambda: test_oracle_classification(public_data, "grid", np.array([1.0, 0.0]), min_n_train_post=2),
    [*sizes, *np.repeat(learned, len(sizes))],
)
check_numbers("test_zero_classification", lambda: test_zero_classification(public_data), [0.5, 0.9, 0.1])

# %%
params_h = {**params_dict, "stepsize_inner": 3e-1}
feature_weights, _ = meta_learning_classification(params_h)
print_weights(feature_weights)

# %% [markdown]
# **Question (h) 1.** In the plot of the classification error against `n_train_post`, how do the meta-learned feature
# weights perform compared to the case where all feature weights are 1? How do they perform compared to the oracle (that
# performs logistic regression only using the features present in the data)?

# %% [markdown]
# BEGIN SOLUTION
# **Answer (h) 1.** Share of wrong labels at the last test:
#
# | `n_train_post` | 20 | 32 | 74 | 108 | 277 | 588 |
# |---|---|---|---|---|---|---|
# | all weights 1 | {{h.ones.20,32,74,108,277,588}} |
# | meta-learned | {{h.learned.20,32,74,108,277,588}} |
# | oracle | {{h.oracle.20,32,74,108,277,588}} |
#
# With all weights 1 and few points the labels are guessed: a guess that ignores $x$ is wrong for {{h.zero:.2f}} of them.
# The meta-learned weights leave a quarter of the errors at 20 points and about a tenth from 74 to 588. The oracle is
# better still; it has six coefficients to find instead of 501. With much more data than features, at 1503 points, the
# order is turned round ({{h.learned.1503:.4f}} against {{h.oracle.1503:.4f}}).
#
# Ten test tasks leave a large uncertainty, and seed 7 draws hard ones: at 32 points five other seeds gave
# {{h.learned_elsewhere.mean:.3f}} on average ({{h.learned_elsewhere.smallest:.3f}} to {{h.learned_elsewhere.largest:.3f}})
# with learned weights and {{h.oracle_elsewhere.mean:.3f}} ({{h.oracle_elsewhere.smallest:.3f}} to
# {{h.oracle_elsewhere.largest:.3f}}) for the oracle, where this run shows {{h.learned.32:.3f}} and {{h.oracle.32:.3f}}.
# END SOLUTION

# %% [markdown]
# The next figure shows the last run's weights over the iterations: each true feature, the features of neighbouring
# frequencies that may rise with them, and all others with a band from the 10th to the 90th percentile.


# %%
def features_by_kind():
    """Return the indices of the features whose frequency is at most thrice the highest true one, and of all others."""
    d, k_idx = params_dict["d"], params_dict["k_idx"]
    frequencies = (np.arange(d) + 1) // 2
    low = np.setdiff1d(np.flatnonzero(frequencies <= 3 * frequencies[k_idx].max()), k_idx)
    return {"low frequencies": low, "others": np.setdiff1d(np.arange(d), [*low, *k_idx])}


visualize_weight_history(params_dict["k_idx"], features_by_kind())

# %% [markdown]
# **Question (h) 2.** By looking at how the feature weights evolve as we perform meta-learning, can you justify the
# improvement in performance? In particular, can you explain why some feature weights are being sent towards zero?

# %% [markdown]
# BEGIN SOLUTION
# **Answer (h) 2.** The figure shows the weights of the true features growing from 1 to between
# {{h.true.smallest:.2f}} and {{h.true.largest:.2f}}: a regularised fit prefers features that need small coefficients, so
# these are used first. Nearly all others sink a little together: {{h.others_below_one:percent}} of them end below 1, their
# median at {{h.others.median:.2f}}, the smallest at {{h.others.smallest:.2f}}. The training points are drawn anew for
# every task, so no feature is an alias of a true one every time, as on the grid of (e); every feature agrees with it by
# chance on some of the points, takes a share of the signal there, and errs elsewhere. The gradient pushes each of them
# down, but shares the push among some 500, and none gets to zero in 100 iterations.
#
# Some low frequencies rise instead, most of all {{h.rising}}, single features to {{h.largest_other:.2f}}. They are the
# combination tones of the sign, an odd function: from frequencies $r$, $s$ and $t$ it makes $r \pm s \pm t$, and
# $3 + 4 - 5 = 2$, $4 + 5 - 3 = 6$ and $3 + 4 + 5 = 12$. Over many tasks the labels have
# {{h.spectrum.2:.3f}}, {{h.spectrum.6:.3f}} and {{h.spectrum.12:.3f}} of their power there, which is signal that these
# features really help to predict. The overtone $3r$ of a single wave matters less: {{h.spectrum.9:.3f}} at frequency 9,
# {{h.spectrum.15:.3f}} at 15, and these weights hardly rise.
#
# The logistic loss has no reason to keep the norm of the weights: larger true weights make larger margins in five inner
# steps, and a correct label costs less the larger its margin is.
# END SOLUTION

# %% [markdown]
# # Homework process and study group
#
# Question 3 of the handout. Everybody answers it, in this cell or on paper, and it is never graded.
#
# - (a) What sources (if any) did you use as you worked through the homework?
#
#   **Sources:**
# - (b) If you worked with someone on this homework, who did you work with? List names and student IDs. (In case of a
#   homework party, you can also just describe the group.)
#
#   **Collaborators:**
# - (c) Roughly how many total hours did you work on this homework? You need the number again for the self-grade form.
#
#   **Hours:**

# %% [markdown]
# # Hand in
#
# Save all notebooks first, then run the next cell. It packs what lies in this folder into `hw4_submission.zip`:
# notebooks, modules, and from the vision notebook `autograder.pt` and `mae_pretrained.pt`.

# %%
from pathlib import Path

from notebook_tools import pack_submission

pack_submission(Path("."), notebook="metalearning-part2.ipynb")
