# %% [markdown]
# # Meta-learning, part 0: one point, one true feature, one alias
#
# Parts (a) to (d) of the meta-learning problem: you derive four small results on paper, then write each as a function
# and see whether paper and code agree. Everything is two-dimensional, and nothing here takes longer than a few seconds.
#
# - Write your code where it says `raise NotImplementedError(...)`, and keep all names and arguments. All arrays are
#   NumPy arrays of float64.
# - Under each function there is a self-check. It compares your values with numbers that were found in another way, and
#   says in words what differs. Your code is graded on other inputs.
# - Write your derivations where it says *Your answer*, or hand them in on paper.
#
# The feature weights $c_0, c_1$ multiply the features, the coefficients $\beta_0, \beta_1$ are learned from the training
# data: $\hat y = \beta_0 c_0 \phi_t(x) + \beta_1 c_1 \phi_a(x)$.

# %% [markdown]
# ## Where the files are
#
# The next two cells go to the folder of the homework, on Colab in your Drive, and say which files are missing there.

# %% include="reference.notebooks.modules.notebook_tools:open_folder"

# %%
# On Colab your work lies in this folder of your Drive: put all files of the homework there.
open_folder("cs182/hw9", needed=["self_check.py"])

# %%
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray

# %% include="reference.metalearning.theory:Floats"

# %% [markdown]
# ## The self-check
#
# `check_cases` compares what your code returns with what it should be, in the grader's words. Its code lies in
# `self_check.py`, which has to be beside this notebook; you need not look at it.

# %%
from self_check import check_cases

# %% [markdown]
# ## (a) The smallest solution
#
# Write the solution of $\operatorname{argmin}_\beta \|\beta\|$ such that $y = A\beta$ in terms of $A$ and $y$. Say what
# becomes of it where the rows of $A$ depend on each other: the function below has to be right there, too.

# %% [markdown]
# BEGIN SOLUTION
# **Answer (a).** Minimise $\tfrac12\|\beta\|^2 + \lambda^\top (y - A\beta)$. The derivative with respect to $\beta$ is
# zero where $\beta = A^\top\lambda$: the smallest solution lies in the span of the rows of $A$, since whatever is
# orthogonal to them lengthens $\beta$ and changes nothing in $A\beta$. The constraint then reads
# $AA^\top\lambda = y$, and for independent rows
#
# $$\hat\beta = A^\top (AA^\top)^{-1} y.$$
#
# Where rows depend on each other $AA^\top$ has no inverse. The equations $AA^\top\lambda = y$ still have solutions if
# $y$ is in the range of $A$; they differ by vectors that $A^\top$ sends to zero, so $\beta = A^\top\lambda$ is the same
# for all of them. That is the pseudo-inverse, $\hat\beta = A^+ y$: in terms of $A = U\Sigma V^\top$ it is
# $\sum_{\sigma_i > 0} v_i\, (u_i^\top y) / \sigma_i$. `np.linalg.lstsq` computes just that.
# END SOLUTION

# %% include="reference.metalearning.theory:min_norm_solution" write="min_norm_solution"

# %%
# Whatever is made of the rows of A is the smallest of all β with the same Aβ.
random = np.random.default_rng(0)
wide = random.normal(size=(3, 7))
repeated = wide[[0, 1, 1, 2]]
smallest = wide.T @ random.normal(size=3)
check_cases(
    "min_norm_solution",
    [
        ("The solution for independent rows", lambda: min_norm_solution(wide, wide @ smallest), smallest),
        ("The solution for a repeated row", lambda: min_norm_solution(repeated, repeated @ smallest), smallest),
    ],
)

# %% [markdown]
# ## (b) A true feature and its alias
#
# There is exactly one training point $(x, y)$. The true feature $\phi_t$ and its alias $\phi_a$ have the same value
# there, and the function to be learned is $y = \phi_t(x)$. Show that the solution of (a) is
# $\hat\beta = \frac{1}{c_0^2 + c_1^2} \begin{bmatrix} c_0 \\ c_1 \end{bmatrix}$.

# %% [markdown]
# BEGIN SOLUTION
# **Answer (b).** On the training point both features have the value $\phi := \phi_t(x) = \phi_a(x)$, so the one
# equation is $\phi = \beta_0 c_0 \phi + \beta_1 c_1 \phi$. Divided by $\phi \ne 0$ it is $c^\top\beta = 1$. That is (a)
# with $A = c^\top$, a single row, and $y = 1$:
#
# $$\hat\beta = A^\top (AA^\top)^{-1} y = c\,(c^\top c)^{-1} = \frac{1}{c_0^2 + c_1^2}\begin{bmatrix}c_0\\c_1\end{bmatrix}.$$
# END SOLUTION

# %% include="reference.metalearning.theory:aliased_coefficients" write="aliased_coefficients"


# %%
def prediction_and_detour(c):
    """Return the prediction on the training point, which should be 1, and what of β is across c, which should be 0."""
    beta = aliased_coefficients(c)
    return [c[0] * beta[0] + c[1] * beta[1], c[0] * beta[1] - c[1] * beta[0]]


public_weights = [np.array([0.6, 0.9]), np.array([-1.5, 0.4]), np.array([0.2, -0.1])]
check_cases(
    "aliased_coefficients",
    [(f"The pair [cᵀβ, c₀β₁ − c₁β₀] for c = {c}", lambda c=c: prediction_and_detour(c), [1, 0]) for c in public_weights],
)

# %% [markdown]
# ## (c) The expected test error and its gradient
#
# Away from the training point the two features are different functions, orthonormal under the test distribution. With
# the $\hat\beta$ of (b), calculate
#
# $$\mathbb{E}\left[\tfrac12\left(y - \hat\beta_0 c_0 \phi_t(x) - \hat\beta_1 c_1 \phi_a(x)\right)^2\right]$$
#
# and its gradient with respect to $c_0$ and $c_1$.

# %% [markdown]
# BEGIN SOLUTION
# **Answer (c).** With $y = \phi_t$ the error is $(1 - \hat\beta_0 c_0)\,\phi_t - \hat\beta_1 c_1\,\phi_a$. Its mean square
# is the sum of the squared coefficients, because $\mathbb{E}[\phi_t^2] = \mathbb{E}[\phi_a^2] = 1$ and
# $\mathbb{E}[\phi_t\phi_a] = 0$. From (b), $1 - \hat\beta_0 c_0 = 1 - \frac{c_0^2}{c_0^2+c_1^2} = \frac{c_1^2}{c_0^2+c_1^2}$, and
# $\hat\beta_1 c_1 = \frac{c_1^2}{c_0^2+c_1^2}$ as well, so
#
# $$\mathcal{L}(c) = \tfrac12\left[\frac{c_1^4}{(c_0^2+c_1^2)^2} + \frac{c_1^4}{(c_0^2+c_1^2)^2}\right]
# = \frac{c_1^4}{(c_0^2+c_1^2)^2}.$$
#
# The quotient rule gives
#
# $$\frac{\partial\mathcal{L}}{\partial c_0} = -\frac{4\,c_0\,c_1^4}{(c_0^2+c_1^2)^3}, \qquad
# \frac{\partial\mathcal{L}}{\partial c_1} = \frac{4c_1^3(c_0^2+c_1^2) - 4c_1^5}{(c_0^2+c_1^2)^3}
# = \frac{4\,c_0^2\,c_1^3}{(c_0^2+c_1^2)^3}.$$
#
# The gradient is orthogonal to $c$: $-4c_0^2c_1^4 + 4c_0^2c_1^4 = 0$. It has to be, for $\mathcal{L}$ depends on the
# direction of $c$ only, not on its length.
# END SOLUTION

# %% include="reference.metalearning.theory:expected_test_error" write="expected_test_error"


# %%
def brute_force_error(c):
    """Average the definition over a grid on which √2 sin(πx) and √2 cos(πx) are orthonormal."""
    x = np.linspace(-1, 1, 64, endpoint=False)
    true_feature, alias = np.sqrt(2) * np.sin(np.pi * x), np.sqrt(2) * np.cos(np.pi * x)
    beta = c / (c @ c)
    return np.mean((true_feature - beta[0] * c[0] * true_feature - beta[1] * c[1] * alias) ** 2) / 2


check_cases(
    "expected_test_error",
    [(f"The error for c = {c}", lambda c=c: expected_test_error(c), brute_force_error(c)) for c in public_weights],
)

# %% include="reference.metalearning.theory:expected_test_error_gradient" write="expected_test_error_gradient"


# %%
def brute_force_gradient(c, h=1e-5):
    """Return central differences of the averaged definition."""
    return np.array([(brute_force_error(c + h * e) - brute_force_error(c - h * e)) / (2 * h) for e in np.eye(2)])


check_cases(
    "expected_test_error_gradient",
    [
        (f"The gradient for c = {c}", lambda c=c: expected_test_error_gradient(c), brute_force_gradient(c))
        for c in public_weights
    ],
)

# %% [markdown]
# ## (d) Where gradient descent takes the weights
#
# Follow the negative gradient with a fixed step size, and keep every point on the way.

# %% include="reference.metalearning.theory:descend_feature_weights" write="descend_feature_weights"

# %%
first_steps = [public_weights[0]]
for _ in range(20):
    first_steps.append(first_steps[-1] - 0.1 * brute_force_gradient(first_steps[-1]))
check_cases(
    "descend_feature_weights",
    [("The trajectory", lambda: descend_feature_weights(public_weights[0], 0.1, 20), np.array(first_steps))],
)

# %% [markdown]
# Now the plot. For an initialisation of your choice, and a step that is small enough, show that the weights converge to
# $c_0 = \|c^{(0)}\|$, $c_1 = 0$:
#
# - draw the trajectory in the plane of $c_0$ and $c_1$, with its start, the circle of vectors that are as long as the
#   start, and the limit;
# - print the initialisation, its norm and the final weights, and what $\beta$ has become.
#
# What will $\beta$ go to?

# %%
c_init = np.array([0.6, 0.9])
step_size = 0.01
n_iterations = 100_000

# BEGIN SOLUTION
trajectory = descend_feature_weights(c_init, step_size, n_iterations)
norm, c_final = np.linalg.norm(c_init), trajectory[-1]
betas = np.array([aliased_coefficients(c) for c in trajectory])

figure, (plane, time) = plt.subplots(1, 2, figsize=(12, 4.5), layout="constrained")
angles = np.linspace(0, np.pi / 2, 200)
plane.plot(norm * np.cos(angles), norm * np.sin(angles), ":", color="gray", label=f"‖c‖ = {norm:.4f}")
plane.plot(trajectory[:, 0], trajectory[:, 1], color="tab:blue", label="trajectory")
plane.plot(c_init[0], c_init[1], "o", color="tab:orange", label="start")
plane.plot(norm, 0, "s", color="tab:green", label="limit")
plane.set_aspect("equal")
plane.set_xlabel("$c_0$")
plane.set_ylabel("$c_1$")
plane.legend()
iterations = np.arange(len(trajectory)) + 1
for k, style in enumerate(("-", "--")):
    time.plot(iterations, trajectory[:, k], style, color="tab:blue", label=f"$c_{k}$")
    time.plot(iterations, betas[:, k], style, color="tab:red", label=f"$\\beta_{k}$")
time.axhline(norm, linestyle=":", color="tab:blue")
time.axhline(1 / norm, linestyle=":", color="tab:red")
time.set_xscale("log")
time.set_xlabel("iteration + 1")
time.set_title("dotted: ‖c‖ and 1 / ‖c‖ of the start")
time.legend()
plt.show()

print(f"initialisation {c_init}, norm {norm:.4f}")
print(f"final weights {c_final.round(4)}, norm {np.linalg.norm(c_final):.4f}")
print(f"final coefficients {betas[-1].round(4)}; 1 / norm of the initialisation {1 / norm:.4f}")
# END SOLUTION

# %% [markdown]
# BEGIN SOLUTION
# **Answer (d).** From $c^{(0)} = (0.6, 0.9)$ with norm ${{d.start_norm:.4f}}$, a step size of $0.01$ and 100,000
# iterations the weights go to $c = ({{d.end_0:.4f}}, {{d.end_1:.4f}})$. Every step is orthogonal to $c$ (part c), so an
# infinitely small step would keep $\|c\|$, and $c$ would slide along the dotted circle until $c_1 = 0$, where the gradient
# vanishes: to $(\|c^{(0)}\|, 0)$. A step of finite size goes along the tangent and adds its squared length to $\|c\|^2$;
# that is the difference between {{d.start_norm:.4f}} and the final norm of {{d.end_norm:.4f}}, and it shrinks with the step
# size. Near the end $\dot c_1 \approx -4c_1^3/\|c\|^4$, so $c_1$ falls like one over the square root of the number of
# iterations.
#
# By (b), $\beta = c/\|c\|^2$, so $\beta \to (1/\|c^{(0)}\|, 0) = ({{d.limit_of_beta:.4f}}, 0)$; here it has come to
# $({{d.beta_0:.4f}}, {{d.beta_1:.4f}})$. The product $\beta_0 c_0$ goes to 1: the true feature is used as it is and the
# alias not at all.
# END SOLUTION
