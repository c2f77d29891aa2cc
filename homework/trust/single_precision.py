"""The meta-learning half solved in single precision: right ways to compute that round more than the template's."""

from __future__ import annotations

from grader.trust.cases import Changes

_INNER = "F_t, z_t = to_tensor(features), to_tensor(z)"
_START = "w_t = model.coeffs\n"
_WEIGHTED = "(F_t * model.feature_weights)"
_TO_UPDATE = "w_t, model.feature_weights, params_dict"


def _edits(*pairs: tuple[str, str]) -> list[dict[str, str]]:
    return [{"old": old, "new": new} for old, new in pairs]


_LOOP = _edits(
    (_INNER, "F_t, z_t = to_tensor(features).float(), to_tensor(z).float()"),
    (_START, "w_t = model.coeffs.float()\n"),
    (_WEIGHTED, "(F_t * model.feature_weights.float())"),
    (_TO_UPDATE, "w_t.double(), model.feature_weights, params_dict"),
)
SINGLE_PRECISION = {
    "theory in single precision": Changes(
        notebooks={
            "metalearning-part0": _edits(
                # Rows that depend on each other do so up to rounding, which single precision has to be told.
                ("np.linalg.lstsq(A, y, rcond=None)", "np.linalg.lstsq(np.float32(A), np.float32(y), rcond=1e-5)"),
                ("np.asarray(c / np.sum(np.square(c)))", "np.float32(c) / np.sum(np.square(np.float32(c)))"),
                ("return float(c[1] ** 4", "c = np.float32(c)\n    return float(c[1] ** 4"),
                ("slope = np.array([-4.0", "c = np.float32(c)\n    slope = np.array([-4.0"),
                ("np.empty((n_iterations + 1, 2))", "np.empty((n_iterations + 1, 2), dtype=np.float32)"),
            )
        }
    ),
    "classification in single precision": Changes(
        modules={
            "utils_classification.py": _edits(
                (
                    "(to_tensor(features) * feature_weights_t) @ w_t",
                    "(to_tensor(features).float() * feature_weights_t.float()) @ w_t.float()",
                ),
                ("softplus(-to_tensor(z) * predictions)", "softplus(-to_tensor(z).float() * predictions)"),
                (
                    "np.array(avg_test_loss), np.array(top_10_loss)",
                    "np.float32(avg_test_loss), np.float32(top_10_loss)",
                ),
                ("np.array(bot_10_loss)", "np.float32(bot_10_loss)"),
                ("return np.mean(losses), np.perc", "losses = np.float32(losses)\n    return np.mean(losses), np.perc"),
            )
        }
    ),
    "inner loops in single precision": Changes(
        modules={
            "utils_classification.py": _LOOP,
            "utils_classification_copypaste.py": _LOOP,
            "utils_reg.py": _edits(
                (
                    "w_t = closed_form_ls(F_t * model.feature_weights, y_t)",
                    "w_t = closed_form_ls((F_t * model.feature_weights).float(), y_t.float()).double()",
                ),
                (
                    'w_t = w_t - params_dict["stepsize_inner"] * slope',
                    'w_t = (w_t - params_dict["stepsize_inner"] * slope).float().double()',
                ),
            ),
        }
    ),
}
