# %% [markdown]
# # Meta-learning, part 1: regression
#
# Parts (e) and (f). There is no code to write: run the cells, look at the plots, and write down what you see where it
# says *Your answer*.
#
# A task is a function $f(x) = \sum_{k \in S} \alpha_k \phi_k(x)$ on $[-1, 1)$. The features are the first 501 Fourier
# features; the true ones, $S$ = `k_idx`, are the same six in every task, and each task draws its own $\alpha$. The
# *inner loop* learns one task from `n_train_inner` points. The *outer loop* learns the feature weights $c$, which all
# tasks share: after each batch of tasks it takes a step against the gradient of what the learned tasks cost on fresh
# points. Now and then the weights are tested on other tasks, learned from `n_train_post` points each.
#
# This notebook needs `utils.py`, `utils_reg.py` and `utils_visualization.py` beside it. Read `utils_reg.py`: in part 2
# you will adapt it. Each of the three runs takes a minute or two without a GPU. For a quick look lower
# `num_iterations` and `num_tasks_test`; your answers should come from the numbers as given.

# %% [markdown]
# ## Where the files are
#
# The next two cells go to the folder of the homework, on Colab in your Drive, and say which files are missing there.

# %% include="reference.notebooks.modules.notebook_tools:open_folder"

# %%
# On Colab your work lies in this folder of your Drive: put all files of the homework there.
open_folder("cs182/hw9", needed=["utils.py", "utils_reg.py", "utils_visualization.py"])

# %%
import numpy as np
from utils_reg import meta_learning_reg_closed_form, meta_learning_reg_sgd
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
    "noise_std": 1e-1,
    "x_type": "grid",  # training points; those of the outer loop and of the tests are uniform at random
    "optimizer_type": "SGD",  # of the outer loop, or "Adam"
    "stepsize_meta": 1e-2,
    "num_inner_tasks": 5,  # tasks for each step of the outer loop
    "num_tasks_test": num_tasks_test,
    "num_iterations": num_iterations,
    "num_stats": 10,  # how often the weights are tested
    "num_n_train_post_range": 40,  # how many values of n_train_post are tried
}

# %% [markdown]
# ## How to read the plots
#
# Two figures appear for each test of the weights.
#
# - The first shows one test task, learned from `n_train_post` points with all weights 1 and with the weights learned so
#   far; and these weights, one dot for each of the features.
# - The second shows the mean squared error of the test tasks against `n_train_post`, on the left for all numbers of
#   points, on the right near the number in the inner loop. Bands reach from the 10th to the 90th percentile of the
#   tasks. The *oracle* knows `k_idx` and uses these features only; *zero* predicts 0 everywhere.

# %% [markdown]
# ## (e) Closed form
#
# The inner loop takes the solution of smallest norm, part (a). Its points lie on a grid.


# %%
def print_weights(feature_weights):
    """Print the weights of the true features and what the others look like."""
    k_idx = params_dict["k_idx"]
    others = np.delete(feature_weights, k_idx)
    print("weights of the true features:", feature_weights[k_idx].round(2))
    print(f"of the others: smallest {others.min():.2f}, median {np.median(others):.2f}, largest {others.max():.2f}")


feature_weights, _ = meta_learning_reg_closed_form(params_dict)
print_weights(feature_weights)

# %% [markdown]
# **Question (e) 1.** In the plot of the test loss against `n_train_post`, how do the meta-learned feature weights perform
# compared to the case where all feature weights are 1? How do they perform compared to the oracle? Why is there a
# downward spike at `n_train_post` = 32?

# %% [markdown]
# BEGIN SOLUTION
# **Answer (e) 1.** Mean squared error at the last test:
#
# | `n_train_post` | 20 | 29 | 32 | 35 | 74 | 158 | 277 | 588 |
# |---|---|---|---|---|---|---|---|---|
# | all weights 1 | {{e.ones.20,29,32,35,74,158,277,588}} |
# | meta-learned | {{e.learned.20,29,32,35,74,158,277,588}} |
# | oracle | {{e.oracle.20,29,32,35,74,158,277,588}} |
# | meta-learned, without noise | {{e_without_noise.learned.20,29,32,35,74,158:.2g}} | 0 | 0 |
#
# With all weights 1 little is learned from up to 230 points: the error is still {{e.ones.230}} there, where predicting
# zero costs {{e.zero:.2f}}. The meta-learned weights are several times better.
#
# The oracle is better everywhere, for two reasons. Up to 230 points it is aliasing: waves that look like the true ones on
# the grid take a share of the signal, with learned weights too. The last row shows it: the same run without any noise
# errs by nearly as much, while the oracle, which has no aliases, then is exact. From 277 points on no frequency up to 250
# looks like one of the true ones (3, 4 and 5) on the grid. Without noise both sets of weights are exact there; with noise
# what is left is noise, which the oracle fits with 6 coefficients and the others with 501. All weights 1 and learned
# weights are then about equally good: there is nothing left to gain.
#
# At 32 points a test task is learned on the very grid that the inner loop used. On this grid each true feature has the
# same aliases as during meta-learning, and these have been weighed down. With 29 or 35 points other features are the
# aliases, which kept their weight of 1, and only the larger weights of the true features help.
# END SOLUTION

# %% [markdown]
# The next figure shows the last run's weights over the iterations: each true feature, the features that look like one of
# them on the grid of `n_train_inner` points (their aliases), and all others with a band from the 10th to the 90th
# percentile.


# %%
def features_by_kind():
    """Return the indices of the features that are aliases of a true one on the inner grid, and of all others."""
    d, n, k_idx = params_dict["d"], params_dict["n_train_inner"], params_dict["k_idx"]
    frequencies = (np.arange(d) + 1) // 2
    folded = np.minimum(frequencies % n, -frequencies % n)  # what a frequency looks like on n grid points
    is_alias = np.isin(folded, folded[k_idx])
    is_alias[k_idx] = False
    return {"aliases": np.flatnonzero(is_alias), "others": np.setdiff1d(np.flatnonzero(~is_alias), k_idx)}


visualize_weight_history(params_dict["k_idx"], features_by_kind())

# %% [markdown]
# **Question (e) 2.** By looking at how the feature weights evolve as we perform meta-learning, can you justify the
# improvement in performance? In particular, can you explain why some feature weights are being sent towards zero?

# %% [markdown]
# BEGIN SOLUTION
# **Answer (e) 2.** The figure shows three kinds of features. The weights of the six true ones grow from 1 to between
# {{e.true.smallest:.2f}} and {{e.true.largest:.2f}}, the weights of their aliases on the 32-point grid fall to
# {{e.aliases:.2f}} (median), all others stay at {{e.rest:.2f}}.
#
# On 32 grid points frequencies $r$ and $s$ look the same when $r \equiv \pm s \pmod{32}$. A true feature and its 14
# aliases among 501 features therefore are part (d) with 15 features in place of 2. The smallest solution gives a
# feature a share of the signal that is proportional to its squared weight; whatever an alias gets is wrong on the
# uniform points of the outer loop. The gradient takes weight from aliases and gives it to the true feature. It is
# orthogonal to the weights of the group, whose norm stays near $\sqrt{15} = {{e.group_norm:.2f}}$: nearly all of it has
# gone to the true feature. Features in other groups never meet any signal, so their gradient is noise around zero.
# END SOLUTION

# %% [markdown]
# ## (f) Gradient descent
#
# The inner loop takes a few steps of gradient descent from coefficients of zero, 5 at first. The tests still solve
# for the coefficients in closed form.

# %%
feature_weights, _ = meta_learning_reg_sgd({**params_dict, "stepsize_inner": 1e-2, "num_gd_steps": 5})
print_weights(feature_weights)

# %% [markdown]
# Now with a single step.

# %%
feature_weights, _ = meta_learning_reg_sgd({**params_dict, "stepsize_inner": 1e-2, "num_gd_steps": 1})
print_weights(feature_weights)

# %% [markdown]
# **Question (f).** With `num_gd_steps` = 5, does meta-learning help improve performance during test time? What happens
# if instead we use `num_gd_steps` = 1? Does meta-learning still work?

# %% [markdown]
# BEGIN SOLUTION
# **Answer (f).** Mean squared error at the last test:
#
# | `n_train_post` | 20 | 29 | 32 | 35 | 74 | 158 |
# |---|---|---|---|---|---|---|
# | all weights 1 | {{e.ones.20,29,32,35,74,158}} |
# | closed form, from (e) | {{e.learned.20,29,32,35,74,158}} |
# | 5 steps | {{f5.learned.20,29,32,35,74,158}} |
# | 1 step | {{f1.learned.20,29,32,35,74,158}} |
#
# Five steps help, and away from the spike more than the closed form does. Gradient descent stops short of the solution,
# and larger weights of the true features bring it nearer: they grow to between {{f5.true.smallest:.2f}} and
# {{f5.true.largest:.2f}}, beyond those of (e). The aliases on the grid still fall, to {{f5.aliases:.2f}}.
#
# One step works, too. Now the true weights have to grow until one step of 0.01 lands on the solution: the derivative of
# the squared error in the direction of a feature of weight $w$ is $2w^2$ times what is missing, and $0.01 \cdot 2w^2 = 1$
# at $w = {{f1.landing:.2f}}$. They end between {{f1.true.smallest:.2f}} and {{f1.true.largest:.2f}}. Once a step leads
# there, an alias of weight 1 gets only {{f1.alias_share:.3f}} times what its true feature gets; there is little left to
# gain from shrinking aliases, and they stay at {{f1.aliases:.2f}}. Hence the spike at 32 is much shallower, and the rest of
# the curve is the best of the three. These weights suit this step size: what was learned is as much the length of the
# step as which features are true.
# END SOLUTION
