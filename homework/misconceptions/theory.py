"""
Mistakes with parts (a) to (d): `min_norm_solution` to `descend_feature_weights`.

Shapes: n equations, d unknowns; c are the two feature weights.
"""

from __future__ import annotations

import numpy as np

from grader.wire import Array
from homework.misconceptions.catalogue import choice, misconception
from reference.metalearning.theory import (
    aliased_coefficients,
    descend_feature_weights,
    expected_test_error,
    expected_test_error_gradient,
    min_norm_solution,
)

_OUTPUT = ("output",)


@misconception(
    "min_norm_solution.first-columns-only",
    happened="Your β solves the equations with the first unknowns alone and sets the others to zero.",
    right="Among all solutions the shortest one is asked for; it is a combination of the rows of `A`, and it should "
    "use all unknowns.",
    aspects=_OUTPUT,
    clues=("solve", "inv"),
)
def first_columns_only(A: Array, y: Array) -> Array:
    """A basic solution: the square system of the first n columns is solved."""
    n, d = A.shape
    return np.concatenate([np.linalg.solve(A[:, :n], y), np.zeros(d - n)])


@misconception(
    "min_norm_solution.not-solved",
    happened="Your β is the transpose of `A` times y: nothing was solved.",
    right="β should lie in the span of the rows of `A`, and its product with `A` should be y, so the equations for the "
    "factors of the rows have to be solved.",
)
def not_solved(A: Array, y: Array) -> Array:
    """Aᵀy without the inverse of AAᵀ."""
    return np.asarray(A.T @ y)


@misconception(
    "min_norm_solution.ridge-of-one",
    happened="Your β is that of ridge regression with a penalty of 1: it is shorter, but it does not solve the "
    "equations.",
    right="The equations should hold exactly; the norm is only what chooses among their solutions.",
    clues=("eye", "identity"),
)
def ridge_of_one(A: Array, y: Array) -> Array:
    """(AᵀA + 1)⁻¹Aᵀy."""
    return np.linalg.solve(A.T @ A + np.eye(A.shape[1]), A.T @ y)


@misconception(
    "min_norm_solution.sign",
    happened="Your β has the wrong sign.",
    right="The product of `A` and β should be y, not its negative; check the sign of the Lagrange multipliers.",
)
def wrong_sign(A: Array, y: Array) -> Array:
    """The negative of the solution."""
    return -min_norm_solution(A, y)


@misconception(
    "aliased_coefficients.divided-by-the-norm",
    happened="You divide c by its norm.",
    right="c should be divided by its squared norm, the sum of both squares, so that c times β is 1.",
    aspects=_OUTPUT,
)
def divided_by_the_norm(c: Array) -> Array:
    """c / ‖c‖."""
    return np.asarray(c / np.linalg.norm(c))


@misconception(
    "aliased_coefficients.divided-by-the-sum",
    happened="You divide c by the sum of both weights.",
    right="c should be divided by the sum of their squares, so that c times β is 1.",
    aspects=_OUTPUT,
)
def divided_by_the_sum(c: Array) -> Array:
    """c / (c₀ + c₁)."""
    return np.asarray(c / np.sum(c))


@misconception(
    "aliased_coefficients.not-divided",
    happened="You return c itself.",
    right="c should be divided by its squared norm, so that the prediction at the training point is right.",
    aspects=_OUTPUT,
)
def not_divided(c: Array) -> Array:
    """c."""
    return c


@misconception(
    "aliased_coefficients.multiplied-by-c",
    happened="Your values are β times c, what each feature contributes to the prediction.",
    right="β itself should come back, before it is multiplied by the feature weights.",
    aspects=_OUTPUT,
)
def multiplied_by_c(c: Array) -> Array:
    """c² / ‖c‖²."""
    return np.asarray(aliased_coefficients(c) * c)


@misconception(
    "aliased_coefficients.swapped",
    happened="The two coefficients are swapped.",
    right="The coefficient of the true feature should come first, then that of the alias.",
    aspects=_OUTPUT,
)
def swapped_coefficients(c: Array) -> Array:
    """(c₁, c₀) / ‖c‖²."""
    return aliased_coefficients(c)[::-1]


@misconception(
    "aliased_coefficients.half-each",
    happened="Each feature explains half of the training point: that is a solution, but not the shortest one.",
    right="The shortest β should be parallel to c, so the feature with the larger weight does more.",
    aspects=_OUTPUT,
)
def half_each(c: Array) -> Array:
    """(1 / 2c₀, 1 / 2c₁)."""
    return np.asarray(0.5 / c)


@misconception(
    "aliased_coefficients.true-feature-only",
    happened="The true feature explains the training point alone, and its alias gets a coefficient of 0.",
    right="At the training point both features look alike, so the shortest β should use both of them.",
    aspects=_OUTPUT,
)
def true_feature_only(c: Array) -> Array:
    """(1 / c₀, 0)."""
    return np.array([1 / c[0], 0.0])


@misconception(
    "expected_test_error.half-forgotten",
    happened="Your error is twice the right one: the factor one half of the definition is missing.",
    right="The error is defined as one half of the expected square, and that half should stay in the result.",
    aspects=_OUTPUT,
)
def half_forgotten(c: Array) -> float:
    """Twice the error."""
    return 2 * expected_test_error(c)


@misconception(
    "expected_test_error.one-feature-only",
    happened="Your error is half the right one: it has the error of one feature alone.",
    right="Both should count: that the true feature comes out too small, and that the alias is there at all.",
    aspects=_OUTPUT,
)
def one_feature_only(c: Array) -> float:
    """Half the error."""
    return expected_test_error(c) / 2


@misconception(
    "expected_test_error.not-squared",
    happened="Your error is not squared: it is the share of the alias in the prediction.",
    right="The expected squared error is asked for, so that share should be squared.",
    aspects=_OUTPUT,
)
def not_squared(c: Array) -> float:
    """c₁² / ‖c‖²."""
    return float(np.sqrt(expected_test_error(c)))


@misconception(
    "expected_test_error.weights-swapped",
    happened="The two weights have swapped roles in your error.",
    right="The first weight belongs to the true feature: where it is large, the error should be small.",
    aspects=_OUTPUT,
)
def weights_swapped(c: Array) -> float:
    """c₀⁴ / ‖c‖⁴."""
    return expected_test_error(c[::-1])


@misconception(
    "expected_test_error.features-unweighted",
    happened="Your prediction is made of β times the features, without their weights.",
    right="The learned function should multiply each feature by its weight and by its coefficient.",
    aspects=_OUTPUT,
)
def features_unweighted(c: Array) -> float:
    """½[(1 − β₀)² + β₁²]."""
    beta = aliased_coefficients(c)
    return float(((1 - beta[0]) ** 2 + beta[1] ** 2) / 2)


@misconception(
    "expected_test_error.denominator-not-squared",
    happened="You divide by the squared norm of c once; your error then changes with the length of c.",
    right="The share of the alias should be squared as a whole, its denominator too.",
    aspects=_OUTPUT,
)
def denominator_not_squared(c: Array) -> float:
    """c₁⁴ / ‖c‖²."""
    return expected_test_error(c) * float(c @ c)


def gradient_with(
    c: Array, *, factor: float = 1.0, swapped: bool = False, power: int = 3, first_sign: int = 1
) -> Array:
    """The gradient of the expected test error, with choices."""
    slope = expected_test_error_gradient(c[::-1] if swapped else c) * float(c @ c) ** (3 - power)
    return np.asarray(factor * slope * np.array([first_sign, 1.0]))


_GRADIENT = "expected_test_error_gradient"
choice(
    gradient_with,
    f"{_GRADIENT}.half-forgotten",
    about="Twice the gradient.",
    happened="Your gradient is twice the right one: the factor one half of the error is missing.",
    right="The factor of one half in the error should be there before it is differentiated.",
    factor=2.0,
    aspects=_OUTPUT,
)
choice(
    gradient_with,
    f"{_GRADIENT}.one-feature-only",
    about="Half the gradient.",
    happened="Your gradient is half the right one: it is that of one of the two terms of the error.",
    right="The error of the true feature and that of the alias both depend on c and should both be differentiated.",
    factor=0.5,
    aspects=_OUTPUT,
)
choice(
    gradient_with,
    f"{_GRADIENT}.uphill",
    about="The negative gradient.",
    happened="Your gradient has the wrong sign: it points to where the error falls.",
    right="The gradient should point uphill; the minus sign belongs to gradient descent.",
    factor=-1.0,
    aspects=_OUTPUT,
)
choice(
    gradient_with,
    f"{_GRADIENT}.weights-swapped",
    about="The roles of c₀ and c₁ are swapped, in place and in value.",
    happened="The two weights have swapped roles in your gradient.",
    right="The first entry should be the derivative with respect to the weight of the true feature; it is negative "
    "where that weight is positive.",
    swapped=True,
    aspects=_OUTPUT,
)
choice(
    gradient_with,
    f"{_GRADIENT}.power-of-the-norm",
    about="The denominator is ‖c‖⁴ instead of ‖c‖⁶.",
    happened="The direction of your gradient is right, but not how it changes with the length of c.",
    right="The quotient rule should leave the squared norm of c to the third power in the denominator.",
    power=2,
    aspects=_OUTPUT,
)
choice(
    gradient_with,
    f"{_GRADIENT}.first-sign",
    about="∂/∂c₀ has the wrong sign.",
    happened="The derivative with respect to the first weight has the wrong sign.",
    right="A larger weight of the true feature should lower the error, so that derivative is negative where the weight "
    "is positive.",
    first_sign=-1,
    aspects=_OUTPUT,
)


@misconception(
    f"{_GRADIENT}.entries-swapped",
    happened="The two derivatives are swapped.",
    right="The derivative with respect to the first weight should come first.",
    aspects=_OUTPUT,
)
def entries_swapped(c: Array) -> Array:
    """(∂/∂c₁, ∂/∂c₀)."""
    return expected_test_error_gradient(c)[::-1]


@misconception(
    f"{_GRADIENT}.coefficients-constant",
    happened="Your gradient treats β as a constant.",
    right="β depends on c as well, by part (b), and that should be differentiated too.",
    aspects=_OUTPUT,
)
def coefficients_constant(c: Array) -> Array:
    """The derivative with β held fixed."""
    beta = aliased_coefficients(c)
    return np.array([-(1 - beta[0] * c[0]) * beta[0], beta[1] ** 2 * c[1]])


_DESCENT = "descend_feature_weights"


def descend_with(
    c_init: Array,
    step_size: float,
    n_iterations: int,
    *,
    sign: int = 1,
    factor: float = 1.0,
    gradient_of_start: bool = False,
    normalised: bool = False,
    first: int = 0,
    more: int = 0,
) -> Array:
    """Gradient descent, with choices; `first` is the first row that is returned, `more` rows are added or left out."""
    rows = [c_init]
    for _ in range(n_iterations):
        slope = expected_test_error_gradient(c_init if gradient_of_start else rows[-1])
        rows.append(rows[-1] - sign * factor * step_size * (slope / np.linalg.norm(slope) if normalised else slope))
    rows = rows[: len(rows) + more] if more <= 0 else [*rows, rows[-1]]
    return np.stack(rows[first:])


choice(
    descend_with,
    f"{_DESCENT}.ascent",
    about="Every step goes uphill.",
    happened="Your trajectory climbs: every step goes along the gradient.",
    right="A step of gradient descent should go against the gradient.",
    sign=-1,
    aspects=("output",),
    clues=("step_size",),
)
choice(
    descend_with,
    f"{_DESCENT}.start-left-out",
    about="The start is not among the rows.",
    happened="Your trajectory begins after the first step.",
    right="The start should be the first row, so that there is one row more than steps.",
    first=1,
    aspects=("output",),
    clues=("return",),
)
choice(
    descend_with,
    f"{_DESCENT}.last-step-left-out",
    about="The last of n_iterations steps is missing.",
    happened="Your trajectory is right, but it has one step too few.",
    right="The start and every one of the `n_iterations` steps should be there, one row more than steps.",
    more=-1,
    aspects=("output",),
    clues=("range", "empty", "zeros"),
)
choice(
    descend_with,
    f"{_DESCENT}.gradient-of-the-start",
    about="The gradient at the start is used for all steps.",
    happened="Every one of your steps is the same: the gradient is that of the start.",
    right="The gradient should be taken anew at each point that is reached.",
    gradient_of_start=True,
    aspects=("output",),
    clues=("expected_test_error_gradient",),
)
choice(
    descend_with,
    f"{_DESCENT}.gradient-normalised",
    about="All steps have the same length.",
    happened="All of your steps have the same length: the gradient was divided by its norm.",
    right="A step should be `step_size` times the gradient as it is: steps become small where the slope is small.",
    normalised=True,
    aspects=("output",),
    clues=("norm",),
)
choice(
    descend_with,
    f"{_DESCENT}.step-twice-as-long",
    about="The step is twice step_size.",
    happened="Your steps are twice as long as they should be.",
    right="A step should be `step_size` times the gradient, without a further factor.",
    factor=2.0,
    aspects=("output",),
    clues=("step_size",),
)


@misconception(
    f"{_DESCENT}.same-array-in-every-row",
    happened="All rows of your trajectory are the end: the same array was stored again and again while it changed.",
    right="Each row should be a copy of its own, or a new array for each step instead of a change in place.",
    aspects=("output",),
    clues=("append",),
)
def same_array_in_every_row(c_init: Array, step_size: float, n_iterations: int) -> Array:
    """Weights are changed in place and stored without a copy."""
    right = descend_feature_weights(c_init, step_size, n_iterations)
    return np.broadcast_to(right[-1], right.shape).copy()


@misconception(
    f"{_DESCENT}.one-weight-after-the-other",
    happened="The second weight of each step already uses the new first one.",
    right="Both weights should move at once, by the gradient at the point where the step begins.",
    aspects=("output",),
)
def one_weight_after_the_other(c_init: Array, step_size: float, n_iterations: int) -> Array:
    """c₁ is updated with the gradient at the new c₀."""
    rows = [c_init]
    for _ in range(n_iterations):
        c = rows[-1].copy()
        for place in range(2):
            c[place] -= step_size * expected_test_error_gradient(c)[place]
        rows.append(c)
    return np.stack(rows)
