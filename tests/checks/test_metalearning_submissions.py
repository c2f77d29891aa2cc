"""Whole submissions of the meta-learning half: right ones of other kinds pass, each mistake loses its own questions."""

from __future__ import annotations

import contextlib
import functools
import importlib
import json
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
import torch

from grader.feedback.words import Judgement
from grader.intake.figures import calls_something
from grader.intake.report import Intake, fingerprint, read_survey
from grader.intake.survey import survey
from grader.pipeline.ask import Asker
from grader.pipeline.budget import Budget
from grader.pipeline.questions import Questions, wanted_names
from grader.pipeline.turns import judged_in_turn
from grader.probes.task import probe
from grader.release.modules import edit_modules
from grader.release.notebooks import NotebookNode, edit_notebook, notebook_bytes
from grader.rubric import Question, load_rubric
from grader.sandbox.host import Sandbox
from grader.trust.cases import FIGURE_PNG
from grader.verdicts import Verdict
from homework.answers import ANSWERS
from homework.homework import HOMEWORK
from homework.release.sources import solved_modules, solved_notebook, template_modules, template_notebook

NOTEBOOKS = ("metalearning-part0", "metalearning-part1", "metalearning-part2")
QUESTIONS = [question for question in load_rubric(HOMEWORK.rubric).questions if question.part == "metalearning"]
THEORY = frozenset(question.check for question in QUESTIONS if question.number.startswith("7."))
GIVEN = frozenset(question.check for question in QUESTIONS if question.number.startswith("8."))
COPIED = frozenset({"meta_learning_classification.output"})
LOGISTIC = frozenset(question.check for question in QUESTIONS if question.number.startswith("10."))
EVERYTHING = frozenset(question.check for question in QUESTIONS)
FIGURE = {"output_type": "display_data", "metadata": {}, "data": {"image/png": FIGURE_PNG}}

LOSS = "meta_update_classification"
TEST, ORACLE, ZERO = "test_classification", "test_oracle_classification", "test_zero_classification"
LEARNS, PATH = "meta_learning_classification.convergence", "meta_learning_classification.gradient"


@pytest.fixture(scope="module")
def sandbox() -> Iterator[Sandbox]:
    """Return a sandbox for all submissions; one thread, and the interpreter's own stdout, as on the command line."""
    # What the command line imports before the fork too: else every worker would.
    for library in ("matplotlib.pyplot", "sklearn.linear_model", "torch._dynamo"):
        importlib.import_module(library)
    torch.set_num_threads(1)
    with contextlib.redirect_stdout(sys.__stdout__), contextlib.redirect_stderr(sys.__stderr__):
        opened = Sandbox({"probe": functools.partial(probe, HOMEWORK.probes())})
        with opened:
            yield opened


def as_run(notebook: NotebookNode) -> bytes:
    """Return a notebook whose first code cell shows a figure."""
    content: dict[str, Any] = json.loads(notebook_bytes(notebook))
    cell = next(
        cell for cell in content["cells"] if cell["cell_type"] == "code" and calls_something("".join(cell["source"]))
    )
    cell["execution_count"], cell["outputs"] = 1, [FIGURE]
    return json.dumps(content).encode()


@dataclass(frozen=True)
class Submission:
    """
    A changed solved submission.

    Args:
        edits: by module or notebook, old text to new text.
        without: files that are not handed in.
        more: files besides.
    """

    edits: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    without: frozenset[str] = frozenset()
    more: Mapping[str, str] = field(default_factory=dict)

    def files(self) -> dict[str, bytes]:
        """Return the files handed in."""
        edits = {name: changes for name, changes in self.edits.items() if name.endswith(".py")}
        modules = edit_modules(solved_modules(), edits)
        notebooks = {name: edit_notebook(solved_notebook(name), self.edits.get(name, {})) for name in NOTEBOOKS}
        files = {name: text.encode() for name, text in modules.items()}
        files |= {f"{name}.ipynb": as_run(notebook) for name, notebook in notebooks.items()}
        files |= {name: text.encode() for name, text in self.more.items()}
        return {name: data for name, data in files.items() if name not in self.without}


def intake_of(files: Mapping[str, bytes]) -> Intake:
    """Return what intake makes of files."""
    return read_survey(survey(files, wanted_names(ANSWERS), HOMEWORK.files))


def judge(sandbox: Sandbox, files: Mapping[str, bytes], asked: frozenset[str]) -> dict[str, Judgement]:
    """Return the judgement of each question that is asked, by its check."""
    given = {name.removesuffix(".py"): text for name, text in template_modules().items()}
    intake = intake_of(files)
    secret = b"of these tests" + fingerprint(intake)
    questions = Questions(Asker(HOMEWORK, sandbox, intake, secret, "cpu", 1024, given, ANSWERS), ANSWERS)
    chosen: list[Question] = [question for question in QUESTIONS if question.check in asked]
    budget = Budget(3600.0, time.monotonic())
    return {item.question.check: item for _, item in judged_in_turn(chosen, questions, budget)}


def lost(judgements: Mapping[str, Judgement]) -> dict[str, Verdict]:
    """Return the verdicts of the questions that were not passed."""
    return {key: found.evidence.verdict for key, found in judgements.items() if not found.evidence.passed}


def words(judgements: Mapping[str, Judgement], check: str) -> str:
    """Return what the student reads about a question."""
    evidence = judgements[check].evidence
    return " ".join([*evidence.findings, evidence.try_next])


def test_the_solved_submission_gets_every_point(sandbox: Sandbox) -> None:
    """What the release room makes as the solution passes every question, without help and without remarks."""
    judgements = judge(sandbox, Submission().files(), EVERYTHING)

    assert not lost(judgements), [words(judgements, check) for check in lost(judgements)]
    assert sum(found.score for found in judgements.values()) == 40
    assert not any(found.lent or found.evidence.notes for found in judgements.values())


def test_the_template_gets_no_point(sandbox: Sandbox) -> None:
    """What is handed out, handed in as it is, counts as not done yet everywhere."""
    files = {name: text.encode() for name, text in template_modules().items()}
    files |= {f"{name}.ipynb": notebook_bytes(template_notebook(name)) for name in NOTEBOOKS}

    judgements = judge(sandbox, files, EVERYTHING)

    assert {found.evidence.verdict for found in judgements.values()} == {Verdict.MISSING}


H, G = "utils_classification.py", "utils_classification_copypaste.py"
INNER = "(slope,) = torch.autograd.grad(inner_loss, w_t, create_graph=True)"
H_UPDATE = "    return torch.sum(softplus(-to_tensor(z) * predictions))"
G_INNER = "inner_loss = torch.mean(((F_t * model.feature_weights) @ w_t - z_t) ** 2)"
H_INNER = "inner_loss = torch.mean(softplus(-z_t * ((F_t * model.feature_weights) @ w_t)))"
LABELS = "z = add_label_noise(my_sign(generate_y(features, k_idx, k_val)), noise_prob)"
H_DRAW = 'features = featurize(generate_x(n_train_meta, "uniform_random"), d, phi_type)'
DRAW = 'features = featurize(generate_x(params_dict["n_train_inner"], params_dict["x_type"]), d, phi_type)'
OWN_INNER = 'features = featurize(np.random.uniform(-1, 1, params_dict["n_train_inner"]), d, phi_type)'

# Other right ways, and what is asked about each.
LEAK = f"inner_loss.backward(retain_graph=True)\n                {INNER}"
OLD_NAMES = {
    "def test_oracle_classification(": "def test_classification_oracle(",
    "def test_zero_classification(": "def test_classification_zero(",
    "oracle = test_oracle_classification(": "oracle = test_classification_oracle(",
    '"zero": test_zero_classification(': '"zero": test_classification_zero(',
}
FUNCTIONAL = """
    def inner(coeffs, weights):
        return torch.mean(softplus(-z_t * ((F_t * weights) @ coeffs)))

    def after_inner_loop(weights):
        coeffs = torch.zeros(d, dtype=torch.float64)
        for _ in range(params_dict["num_gd_steps"]):
            coeffs = coeffs - params_dict["stepsize_inner"] * torch.func.grad(inner)(coeffs, weights)
        return coeffs

    w_t = after_inner_loop(model.feature_weights)
"""
HIGHER = """
    inner_optimizer = torch.optim.SGD([model.coeffs], lr=params_dict["stepsize_inner"])
    with higher.innerloop_ctx(model, inner_optimizer, copy_initial_weights=False) as (fast, optimizer):
        for _ in range(params_dict["num_gd_steps"]):
            inner_loss = torch.mean(softplus(-z_t * fast(F_t)))
            inner_loss.backward(retain_graph=True)
            optimizer.step(inner_loss)
    w_t = fast.coeffs
"""
UNROLLED = f"""            w_t = model.coeffs
            for _ in range(params_dict["num_gd_steps"]):
                {H_INNER}
                {INNER}
                w_t = w_t - params_dict["stepsize_inner"] * slope
"""
IMPORT = "from torch.nn.functional import softplus\n"
CALL = """            meta_loss = meta_update_classification(
                w_t, model.feature_weights, params_dict["n_train_meta"], phi_type, d, k_idx, k_val, noise_prob
            )
"""
INLINE = """            fresh = featurize(generate_x(params_dict["n_train_meta"], "uniform_random"), d, phi_type)
            labels = to_tensor(my_sign(generate_y(fresh, k_idx, k_val)))
            meta_loss = torch.sum(softplus(-labels * ((to_tensor(fresh) * model.feature_weights) @ w_t)))
"""


def indented(text: str) -> str:
    """Return code moved to the body of the loop over tasks."""
    return "".join(f"        {line}" if line.strip() else line for line in text.lstrip("\n").splitlines(keepends=True))


RIGHT: dict[str, tuple[Submission, frozenset[str]]] = {
    "leaking-backward": (Submission({H: {INNER: LEAK}, G: {INNER: LEAK}}), COPIED | {LEARNS, PATH}),
    "names-of-2023": (Submission({H: OLD_NAMES}), LOGISTIC),
    "torch-func": (Submission({H: {UNROLLED: indented(FUNCTIONAL)}}), frozenset({LEARNS, PATH})),
    "higher": (
        Submission({H: {UNROLLED: indented(HIGHER), IMPORT: IMPORT + "import higher\n"}}),
        frozenset({LEARNS, PATH}),
    ),
    "meta-loss-inline": (Submission({H: {CALL: INLINE}}), frozenset({LEARNS, PATH})),
    "nothing-returned": (
        Submission({H: {"    return feature_weights, data_dict\n": ""}}),
        frozenset({LEARNS, PATH}),
    ),
    "own-draws": (
        Submission(
            {
                H: {
                    H_DRAW: "features = featurize(np.random.uniform(-1, 1, n_train_meta), d, phi_type)",
                    DRAW: OWN_INNER,
                },
                G: {DRAW: OWN_INNER},
            }
        ),
        COPIED | {f"{LOSS}.output", f"{LOSS}.gradient", LEARNS, PATH},
    ),
    "own-solver": (
        Submission(
            {
                H: {
                    '            alpha, _ = solve_logistic(train["features"], z_train, feature_weights)\n': (
                        "            design = train['features'] * feature_weights\n"
                        "            from sklearn.linear_model import LogisticRegression\n"
                        "            model = LogisticRegression(fit_intercept=False).fit(design, z_train)\n"
                        "            alpha = model.coef_[0] * feature_weights\n"
                    )
                }
            }
        ),
        frozenset({f"{TEST}.output", f"{ORACLE}.output"}),
    ),
    "given-modules-lost": (
        Submission(without=frozenset({"utils.py", "utils_reg.py", "utils_visualization.py"})),
        EVERYTHING,
    ),
    "coin-for-zero": (
        Submission({H: {"my_sign(np.zeros_like(z_test))": "np.random.choice([-1.0, 1.0], len(z_test))"}}),
        frozenset({f"{ZERO}.output"}),
    ),
}


@pytest.mark.parametrize("name", RIGHT)
def test_other_right_ways_pass(sandbox: Sandbox, name: str) -> None:
    """The handed-out leak, the old names, other libraries, own draws and solvers, lost given files: all are right."""
    submission, asked = RIGHT[name]

    judgements = judge(sandbox, submission.files(), asked)

    assert not lost(judgements), [words(judgements, check) for check in lost(judgements)]


def test_functions_in_the_notebook_count(sandbox: Sandbox) -> None:
    """Part (h) written in a cell of the notebook instead of the module is found there."""
    files = Submission(without=frozenset({H, G})).files()
    content = json.loads(files["metalearning-part2.ipynb"])
    source = solved_modules()[H]
    content["cells"].append({"cell_type": "code", "metadata": {}, "outputs": [], "source": source})
    files["metalearning-part2.ipynb"] = json.dumps(content).encode()

    judgements = judge(sandbox, files, LOGISTIC | COPIED)

    assert lost(judgements) == dict.fromkeys(COPIED, Verdict.MISSING)
    assert "utils_classification_copypaste.py" in words(judgements, "meta_learning_classification.output")


# Mistakes: what is changed, what is asked, what is lost, and a piece of what the student reads about the first of it.
Wrong = tuple[Submission, frozenset[str], set[str], str]
BOTH = {LEARNS, PATH}
UPDATES = {f"{LOSS}.output", f"{LOSS}.gradient"}
BUILT_ON = {
    LEARNS: {f"{LOSS}.output", f"{LOSS}.gradient"},
    f"{LOSS}.output": {PATH},
    f"{LOSS}.gradient": {f"{LOSS}.output", PATH},
    f"{TEST}.output": {f"{ORACLE}.output"},
    f"{ORACLE}.output": {f"{TEST}.output"},
}
ERRORS = 'losses.append(np.mean(my_sign(test["features"] @ alpha) != z_test))'
KEPT = 'n_train_post_range = [n for n in data_dict["train"] if n >= min_n_train_post]'
BETA = "    return np.asarray(np.linalg.lstsq(A, y, rcond=None)[0], dtype=np.float64)"
SLOPE = "slope = np.array([-4.0 * c[0] * c[1] ** 4, 4.0 * c[0] ** 2 * c[1] ** 3])"
DESCENT = "trajectory[i] - step_size * expected_test_error_gradient(trajectory[i])"
PART0 = "metalearning-part0"


def in_h(old: str, new: str) -> Submission:
    """Return a submission with a mistake in part (h)."""
    return Submission({H: {old: new}})


def in_theory(old: str, new: str) -> Submission:
    """Return a submission with a mistake in parts (a) to (d)."""
    return Submission({PART0: {old: new}})


WRONG: dict[str, Wrong] = {
    "squared-inner-loss": (in_h(H_INNER, G_INNER), LOGISTIC, BOTH, "inner loss"),
    "inner-loss-summed": (in_h(H_INNER, H_INNER.replace("mean", "sum")), LOGISTIC, BOTH, "the inner loss"),
    "inner-loss-on-real-values": (
        in_h(
            f"            {LABELS}",
            "            z = generate_y(features, k_idx, k_val)",
        ),
        LOGISTIC,
        {PATH},
        "real values of the function",
    ),
    "one-inner-step-too-many": (
        in_h('range(params_dict["num_gd_steps"])', 'range(params_dict["num_gd_steps"] + 1)'),
        LOGISTIC,
        {PATH},
        "one step more",
    ),
    "first-order": (in_h(INNER, INNER.replace("True", "False")), LOGISTIC, {PATH}, "`create_graph`"),
    "no-meta-step": (in_h("        meta_optimizer.step()\n", ""), LOGISTIC, BOTH, "never change"),
    "gradients-pile-up": (
        in_h("        meta_optimizer.zero_grad()\n", ""),
        LOGISTIC,
        BOTH,
        "set to zero",
    ),
    "mean-over-tasks": (
        in_h("meta_loss.backward()", '(meta_loss / params_dict["num_inner_tasks"]).backward()'),
        LOGISTIC,
        {PATH},
        "mean over the tasks",
    ),
    "meta-labels-real": (
        in_h(
            f"    {LABELS}\n    predictions",
            "    z = generate_y(features, k_idx, k_val)\n    predictions",
        ),
        LOGISTIC,
        UPDATES,
        "`my_sign`",
    ),
    "mean-for-sum": (in_h(H_UPDATE, H_UPDATE.replace("torch.sum", "torch.mean")), LOGISTIC, UPDATES, "The sum"),
    "sign-of-the-exponent": (in_h(H_UPDATE, H_UPDATE.replace("-to_", "to_")), LOGISTIC, UPDATES, "exponent"),
    "weights-never-used": (
        in_h("(to_tensor(features) * feature_weights_t) @ w_t", "to_tensor(features) @ w_t"),
        frozenset({*UPDATES, PATH}),
        {PATH},
        "the feature weights are missing from the meta loss",
    ),
    "weights-twice": (
        in_h("# Outer loop: how good w_t is", "w_t = w_t * model.feature_weights  # "),
        frozenset({*UPDATES, PATH}),
        {PATH},
        "the feature weights count twice in the meta loss",
    ),
    "weights-detached": (
        in_h("(to_tensor(features) * feature_weights_t) @ w_t", "(to_tensor(features) * feature_weights_t.data) @ w_t"),
        LOGISTIC,
        {f"{LOSS}.gradient"},
        "No gradient reaches `feature_weights_t`",
    ),
    "grid-for-uniform": (in_h(H_DRAW, H_DRAW.replace("uniform_random", "grid")), LOGISTIC, UPDATES, "on a grid"),
    "accuracy": (in_h(ERRORS, ERRORS.replace("!=", "==")), LOGISTIC, {f"{TEST}.output"}, "accuracy"),
    "sign-forgotten": (
        in_h(ERRORS, ERRORS.replace('my_sign(test["features"] @ alpha)', 'test["features"] @ alpha')),
        LOGISTIC,
        {f"{TEST}.output"},
        "The sign of the prediction",
    ),
    "percentiles-swapped": (
        in_h(
            "return n_train_post_range, np.array(avg_test_loss), np.array(top_10_loss), np.array(bot_10_loss)",
            "return n_train_post_range, np.array(avg_test_loss), np.array(bot_10_loss), np.array(top_10_loss)",
        ),
        LOGISTIC,
        {f"{TEST}.output"},
        "swapped",
    ),
    "least-number-ignored": (
        in_h(KEPT, 'n_train_post_range = list(data_dict["train"])'),
        LOGISTIC,
        {f"{TEST}.output"},
        "min_n_train_post",
    ),
    "weights-unused-in-test": (
        in_h(
            'solve_logistic(train["features"], z_train, feature_weights)', 'solve_logistic(train["features"], z_train)'
        ),
        LOGISTIC,
        {f"{TEST}.output"},
        "without the feature weights",
    ),
    "least-squares-test": (
        in_h("alpha, _ = solve_logistic(", "from utils import solve_ls\n            alpha, _ = solve_ls("),
        LOGISTIC,
        {f"{TEST}.output"},
        "least squares",
    ),
    "oracle-on-all-features": (
        in_h(
            "return test_classification(true_features, np.ones(np.count_nonzero(feature_weights)), min_n_train_post)",
            "return test_classification(data_dict, np.ones(len(feature_weights)), min_n_train_post)",
        ),
        LOGISTIC,
        {f"{ORACLE}.output"},
        "all features",
    ),
    "zero-is-no-label": (
        in_h("my_sign(np.zeros_like(z_test))", "np.zeros_like(z_test)"),
        LOGISTIC,
        {f"{ZERO}.output"},
        "no label",
    ),
    "zero-percentiles-swapped": (
        in_h(
            "np.percentile(losses, 90), np.percentile(losses, 10)\n",
            "np.percentile(losses, 10), np.percentile(losses, 90)\n",
        ),
        LOGISTIC,
        {f"{ZERO}.output"},
        "swapped",
    ),
    "g-is-logistic": (
        Submission(
            {
                G: {
                    G_INNER: H_INNER.replace("softplus", "torch.nn.functional.softplus"),
                }
            }
        ),
        COPIED | LOGISTIC,
        set(COPIED),
        "inner loop",
    ),
    "g-on-real-values": (
        Submission(
            {
                G: {
                    f"            {LABELS}": ("            z = generate_y(features, k_idx, k_val)"),
                    f"    {LABELS}\n    predictions": ("    z = generate_y(features, k_idx, k_val)\n    predictions"),
                }
            }
        ),
        COPIED,
        set(COPIED),
        "real values of the function",
    ),
    "given-function-broken": (
        Submission(
            {"utils_reg.py": {"    return F_t.T @ torch.linalg.solve(": "    return 2 * F_t.T @ torch.linalg.solve("}}
        ),
        GIVEN,
        {"meta_learning_reg_closed_form.behaviour"},
        "handed-out `utils.py` and `utils_reg.py`",
    ),
    "normal-equations": (
        in_theory(BETA, "    return np.linalg.inv(A.T @ A) @ A.T @ y"),
        THEORY,
        {"min_norm_solution.output", "min_norm_solution.generality"},
        "",
    ),
    "independent-rows-only": (
        in_theory(BETA, "    return A.T @ np.linalg.inv(A @ A.T) @ y"),
        THEORY,
        {"min_norm_solution.generality"},
        "",
    ),
    "divided-by-the-norm": (
        in_theory("c / np.sum(np.square(c))", "c / np.sqrt(np.sum(np.square(c)))"),
        THEORY,
        {"aliased_coefficients.output"},
        "beta",
    ),
    "half-left-out": (
        in_theory("float(c[1] ** 4 / np.sum(np.square(c)) ** 2)", "float(2 * c[1] ** 4 / np.sum(np.square(c)) ** 2)"),
        THEORY,
        {"expected_test_error.output"},
        "error",
    ),
    "weights-swapped-in-the-gradient": (
        in_theory(SLOPE, "slope = np.array([4.0 * c[1] ** 2 * c[0] ** 3, -4.0 * c[1] * c[0] ** 4])"),
        THEORY,
        {"expected_test_error_gradient.output"},
        "gradient",
    ),
    "uphill": (
        in_theory(DESCENT, DESCENT.replace(" - ", " + ")),
        THEORY,
        {"descend_feature_weights.output", "descend_feature_weights.convergence"},
        "from row 1 on",
    ),
    "start-left-out": (
        in_theory("    return trajectory", "    return trajectory[1:]"),
        THEORY,
        {"descend_feature_weights.output", "descend_feature_weights.convergence"},
        "The start should be the first row",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_mistake_loses_its_own_questions(sandbox: Sandbox, name: str, request: pytest.FixtureRequest) -> None:
    """
    Each mistake costs the questions it is about, no others, and the student reads what it is.

    A quick run asks of part (h) what is to be lost and what builds on it; with --slow it asks everything.
    """
    submission, asked, expected, hint = WRONG[name]
    if asked == LOGISTIC and not request.config.getoption("--slow"):
        asked = frozenset(expected).union(*(BUILT_ON.get(check, ()) for check in expected))

    judgements = judge(sandbox, submission.files(), asked)

    assert set(lost(judgements)) == expected, {check: words(judgements, check) for check in lost(judgements)}
    first = next(check for check in judgements if check in expected)
    assert hint in words(judgements, first)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (PART0, {"descend_feature_weights.completion"}),
        ("metalearning-part1", set(GIVEN)),
        ("metalearning-part2", {"meta_learning_classification.completion"}),
    ],
)
def test_a_notebook_that_was_not_run_loses_what_asks_for_it(sandbox: Sandbox, name: str, expected: set[str]) -> None:
    """Without outputs the plot, part 1 with the given functions, or part 2 have nothing to show."""
    files = {**Submission().files(), f"{name}.ipynb": notebook_bytes(solved_notebook(name))}

    judgements = judge(sandbox, files, GIVEN | {key for key in EVERYTHING if key.endswith(".completion")})

    assert lost(judgements) == dict.fromkeys(expected, Verdict.MISSING)


def test_the_copied_module_does_not_answer_for_the_logistic_one(sandbox: Sandbox) -> None:
    """With part (g) done and part (h) left as handed out, (g) has its points and nothing of (h) any."""
    files = {**Submission().files(), H: template_modules()[H].encode()}

    judgements = judge(sandbox, files, LOGISTIC | COPIED)

    assert lost(judgements) == dict.fromkeys(LOGISTIC, Verdict.MISSING)
    assert judgements["meta_learning_classification.output"].evidence.passed


def test_lent_helpers_are_named(sandbox: Sandbox) -> None:
    """What was judged with our meta update says so."""
    submission = in_h(H_UPDATE, H_UPDATE.replace("torch.sum", "torch.mean"))

    judgements = judge(sandbox, submission.files(), frozenset({*UPDATES, PATH}))

    assert judgements[PATH].lent == (LOSS,)
