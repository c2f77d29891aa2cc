"""The modules for students: templates that compile and give nothing away, and edits of them."""

from __future__ import annotations

import ast

import pytest

from grader.errors import StaffError
from grader.intake.report import read_survey
from grader.intake.survey import survey
from grader.pipeline.handed_out import given_modules
from grader.pipeline.questions import wanted_names
from grader.release.modules import edit_modules
from grader.release.notebooks import notebook_bytes
from homework.answers import ANSWERS
from homework.homework import HOMEWORK
from homework.release.sources import module_sources, notebook_sources, solved_modules, solved_notebook, template_modules

GIVEN = ["notebook_tools.py", "self_check.py", "utils.py", "utils_reg.py", "utils_visualization.py"]
WRITTEN = ["utils_classification.py", "utils_classification_copypaste.py"]
WRITTEN_FUNCTIONS = {
    "meta_update_classification",
    "test_classification",
    "test_oracle_classification",
    "test_zero_classification",
    "meta_learning_classification",
}
# The signatures that the homework fixes.
SIGNATURES = {
    "utils.py": {
        "add_label_noise": "y, noise_prob",
        "featurize_fourier": "x, d, normalize=False",
        "featurize": "x, d, phi_type, normalize=True",
        "generate_x": "n, x_type, x_low=-1, x_high=1",
        "generate_y": "features, k_idx, k_val",
        "solve_ls": "phi, y, weights=None",
        "solve_ridge": "phi, y, lambda_ridge, weights=None",
        "solve_logistic": "phi, z, weights=None",
    },
    "utils_reg.py": {
        "closed_form_ls": "F_t, y_t",
        "meta_update_reg": "w_t, feature_weights_t, n_train_meta, phi_type, d, k_idx, k_val, noise_std",
        "test_reg": "data_dict, feature_weights, min_n_train_post=0",
        "test_oracle_reg": "data_dict, x_type, feature_weights, min_n_train_post=0",
        "test_zero_reg": "data_dict",
        "meta_learning_reg_closed_form": "params_dict",
        "meta_learning_reg_sgd": "params_dict",
    },
    "utils_classification.py": {
        "get_post_data_classification": (
            "x_type, phi_type, k_idx, num_tasks_test, d, n_train_post_range, n_test, noise_prob"
        ),
        "meta_update_classification": "w_t, feature_weights_t, n_train_meta, phi_type, d, k_idx, k_val, noise_prob",
        "test_classification": "data_dict, feature_weights, min_n_train_post=0",
        "test_oracle_classification": "data_dict, x_type, feature_weights, min_n_train_post=0",
        "test_zero_classification": "data_dict",
        "meta_learning_classification": "params_dict",
    },
}


def functions_of(text: str) -> dict[str, ast.FunctionDef]:
    """Return the functions of a module by name."""
    return {node.name: node for node in ast.parse(text).body if isinstance(node, ast.FunctionDef)}


def test_all_modules_are_there() -> None:
    """Seven modules are handed out, under the names that the notebooks import."""
    assert [source.name for source in module_sources()] == sorted(GIVEN + WRITTEN)


@pytest.mark.parametrize("name", GIVEN)
def test_given_modules_are_handed_out_as_they_are(name: str) -> None:
    """A module without a region is the same in both renderings."""
    assert template_modules()[name] == solved_modules()[name]


@pytest.mark.parametrize("name", WRITTEN)
def test_written_modules_leave_five_functions_open(name: str) -> None:
    """The template compiles, and the body of each written function is nothing but a NotImplementedError."""
    template, solved = template_modules()[name], solved_modules()[name]
    compile(template, name, "exec")
    functions = functions_of(template)

    assert functions.keys() == functions_of(solved).keys()
    stubs = {key for key, node in functions.items() if isinstance(node.body[-1], ast.Raise) and len(node.body) == 2}
    assert stubs == WRITTEN_FUNCTIONS
    assert "SOLUTION" not in template + solved


def test_classification_template_gives_nothing_away() -> None:
    """No telling line of the solutions of (g) and (h) is left in either template."""
    templates, solved = template_modules(), solved_modules()
    given = {line for name in WRITTEN for line in templates[name].splitlines()}

    for name in WRITTEN:
        kept = templates[name].splitlines()
        removed = [line for line in solved[name].splitlines() if line not in kept and len(line.strip()) > 30]
        assert len(removed) > 15
        assert not given.intersection(removed)


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in SIGNATURES.items() for name in names])
def test_signatures_are_those_of_the_homework(module: str, name: str) -> None:
    """A function's arguments have the names, order and defaults that submissions share."""
    node = functions_of(template_modules()[module])[name]

    assert ast.unparse(node.args) == SIGNATURES[module][name]


def test_modules_stand_alone() -> None:
    """A module imports nothing of this repository and no unmaintained package."""
    for text in solved_modules().values():
        names = {
            name
            for node in ast.walk(ast.parse(text))
            if isinstance(node, (ast.Import, ast.ImportFrom))
            for name in ([node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names])
        }
        assert not {str(name).split(".")[0] for name in names} & {"reference", "grader", "benchmarks", "higher"}


def test_edits_are_loud() -> None:
    """An edit replaces its text in one module, and is a StaffError where the text is not there once."""
    modules = {"a.py": "x = 1\n", "b.py": "x = 1\nx = 1\n"}

    assert edit_modules(modules, {"a.py": {"x = 1": "x = 2"}}) == {**modules, "a.py": "x = 2\n"}
    for name, count in (("b.py", 2), ("c.py", 0)):
        with pytest.raises(StaffError, match=f"stands {count} times in {name}"):
            edit_modules(modules, {name: {"x = 1": "x = 2"}})


def test_what_serves_the_notebooks_changes_nothing_of_what_is_graded() -> None:
    """With self_check.py and notebook_tools.py in the zip and without, workers get the same code and no remark."""
    files = {f"{source.stem}.ipynb": notebook_bytes(solved_notebook(source.stem)) for source in notebook_sources()}
    files |= {name: text.encode() for name, text in solved_modules().items()}

    bare = {name: data for name, data in files.items() if name not in ("self_check.py", "notebook_tools.py")}
    with_it = read_survey(survey(files, wanted_names(ANSWERS), HOMEWORK.files))
    without = read_survey(survey(bare, wanted_names(ANSWERS), HOMEWORK.files))

    assert with_it.parts == without.parts
    assert with_it.notes == without.notes
    assert len(bare) == len(files) - 2
    assert {"self_check", "notebook_tools"} <= given_modules(HOMEWORK).keys()
