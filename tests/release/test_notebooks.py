"""Notebooks from their source: includes, ids, edits, and templates that give nothing away."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import nbformat
import pytest

from grader.errors import StaffError
from grader.release.notebooks import edit_notebook, notebook_bytes, render
from grader.release.regions import ANSWER_PLACEHOLDER
from homework.release.sources import REPOSITORY, notebook_sources, solved_notebook, template_notebook

# Shorter lines, such as `return loss`, may well stand in given code, too.
SHORT_LINE = 30
THEORY = {
    "min_norm_solution",
    "aliased_coefficients",
    "expected_test_error",
    "expected_test_error_gradient",
    "descend_feature_weights",
}
NAMES = [source.stem for source in notebook_sources()]
# Images and training loops of the reference: the notebook loads its own images and takes the loops for its second part.
NOT_IN_THE_NOTEBOOK = ("checkpoint", "training", "images", "cifar10", "start")


def code_of(notebook: nbformat.NotebookNode) -> str:
    """Return the code of all cells as one text."""
    return "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")


def write_source(folder: Path, text: str) -> Path:
    """Write a percent source and return its path."""
    path = folder / "made.py"
    path.write_text(text)
    return path


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("make", [solved_notebook, template_notebook])
def test_rendering_repeats_byte_for_byte(name: str, make: object) -> None:
    """Twice the same source is twice the same valid notebook of format 4.5, with distinct cell ids."""
    assert callable(make)
    notebook = make(name)

    nbformat.validate(notebook)
    assert (notebook.nbformat, notebook.nbformat_minor) == (4, 5)
    assert len({cell.id for cell in notebook.cells}) == len(notebook.cells)
    assert notebook_bytes(notebook) == notebook_bytes(make(name))


@pytest.mark.parametrize("name", NAMES)
def test_templates_differ_from_solutions_by_whole_regions(name: str) -> None:
    """No telling line of a solution is left anywhere in the template, and cells line up one to one."""
    solved, template = solved_notebook(name), template_notebook(name)
    given = set(code_of(template).splitlines())

    assert [cell.id for cell in solved.cells] == [cell.id for cell in template.cells]
    for with_solution, without in zip(solved.cells, template.cells, strict=True):
        if with_solution.source == without.source:
            continue
        kept = without.source.splitlines()
        removed = [line for line in with_solution.source.splitlines() if line not in kept]
        assert ("NotImplementedError" if without.cell_type == "code" else ANSWER_PLACEHOLDER) in without.source
        assert removed
        assert not given.intersection(line for line in removed if len(line.strip()) > SHORT_LINE)


@pytest.mark.parametrize("name", NAMES)
def test_every_cell_compiles(name: str) -> None:
    """Each code cell of template and solved notebook compiles by itself, shell and magic lines aside."""
    for notebook in (solved_notebook(name), template_notebook(name)):
        for cell in notebook.cells:
            if cell.cell_type == "code":
                lines = [line for line in cell.source.splitlines() if not line.startswith(("%", "!"))]
                compile("\n".join(lines), cell.id, "exec")


@pytest.mark.parametrize("name", NAMES)
def test_notebooks_stand_alone(name: str) -> None:
    """A notebook that students get imports nothing of this repository and shows no marker."""
    code = code_of(template_notebook(name))

    assert not re.search(r"\b(from|import) +(reference|grader)\b", code)
    assert "SOLUTION" not in code


def test_solved_definitions_are_the_reference() -> None:
    """Each function and class of the reference stands in the vision notebook, node by node."""
    found = {
        node.name: ast.dump(node)
        for node in ast.parse(code_of(solved_notebook("MAE_student"))).body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef))
    }
    expected = {}
    for path in (REPOSITORY / "reference" / "vision").glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and path.stem not in NOT_IN_THE_NOTEBOOK:
                expected[node.name] = ast.dump(node)

    assert len(expected) == 9
    assert {name: found[name] for name in expected} == expected


def open_names(notebook: nbformat.NotebookNode) -> set[str]:
    """Return what a template says is not implemented yet."""
    return set(re.findall(r'raise NotImplementedError\("(.*) is not implemented yet"\)', code_of(notebook)))


def test_theory_definitions_are_the_reference() -> None:
    """The functions of parts (a) to (d) stand in the theory notebook as in the reference, docstrings included."""
    code = code_of(solved_notebook("metalearning-part0"))
    theory = (REPOSITORY / "reference" / "metalearning" / "theory.py").read_text()

    for name in THEORY:
        (found, expected) = (
            next(ast.dump(node) for node in ast.parse(text).body if getattr(node, "name", "") == name)
            for text in (code, theory)
        )
        assert found == expected, name


@pytest.mark.parametrize("formula", ["lstsq", "pinv", "AAᵀ", "** 4", "c₁⁴", "-4.0", "c_1^4", "A^\\top"])
def test_theory_template_gives_no_formula_away(formula: str) -> None:
    """Neither docstrings and comments nor the text around them hold what students are to derive."""
    text = "\n".join(cell.source for cell in template_notebook("metalearning-part0").cells)

    assert formula not in text


def test_theory_template_asks_for_what_the_homework_asks() -> None:
    """The theory template leaves its five functions and the plot open, and four derivations."""
    template = template_notebook("metalearning-part0")
    answers = [cell for cell in template.cells if cell.cell_type == "markdown" and ANSWER_PLACEHOLDER in cell.source]

    assert open_names(template) == {*THEORY, "this cell"}
    assert len(answers) == 4


@pytest.mark.parametrize(
    ("name", "questions"),
    [("metalearning-part1", ["(e) 1", "(e) 2", "(f)"]), ("metalearning-part2", ["(g)", "(h) 1", "(h) 2"])],
)
def test_every_question_has_an_answer_where_the_template_has_a_place_for_it(name: str, questions: list[str]) -> None:
    """Each question is followed by a placeholder in the template, by an answer in the solved notebook."""
    for cell, template_cell in zip(solved_notebook(name).cells, template_notebook(name).cells, strict=True):
        if cell.source.startswith("**Answer"):
            assert cell.source.startswith(f"**Answer {questions.pop(0)}.**")
            assert template_cell.source == ANSWER_PLACEHOLDER
    assert questions == []


def test_template_asks_for_what_the_homework_asks() -> None:
    """The vision template leaves exactly the written functions and methods open."""
    assert open_names(template_notebook("MAE_student")) == {
        "patchify",
        "unpatchify",
        "ClassificationViT.forward",
        "random_masking",
        "restore_masked",
        "MaskedAutoEncoder.forward_encoder",
        "MaskedAutoEncoder.forward_decoder",
        "MaskedAutoEncoder.forward_encoder_representation",
        "ClassificationMAE.forward",
    }


def test_include_takes_functions_with_their_decorators_and_constants(tmp_path: Path) -> None:
    """An include stands for the source of each name, decorators included, in the order given."""
    source = write_source(
        tmp_path, '# %% tags=["training"] include="reference.vision.training:VIT_SETTINGS,accuracy"\n'
    )

    (cell,) = render(source, solved=True).cells

    assert cell.source.startswith("VIT_SETTINGS = TrainingSettings(")
    assert "\n\n\n@torch.no_grad()\ndef accuracy(" in cell.source
    assert cell.metadata == {"tags": ["training"]}
    assert cell.id == "made-01"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('# %% include="reference.vision.nowhere:f"\n', "names no module"),
        ('# %% include="reference.vision.patches:nothing"\n', "'nothing'"),
        ('# %% include="reference.vision.patches"\n', "nothing"),
        ('# %% include="reference.vision.patches:patchify"\nx = 1\n', "text of its own"),
        ('# %% include="reference.vision.patches:patchify" write="unpatchify"\n', "'unpatchify'"),
        ("# %%\n# BEGIN SOLUTION\nx = 1\n", "made.py:2"),
    ],
    ids=["module", "name", "no name", "text", "write", "marker"],
)
def test_wrong_sources_are_staff_errors(tmp_path: Path, text: str, words: str) -> None:
    """What is wrong in a source stops the rendering with the source's name and the reason."""
    with pytest.raises(StaffError) as caught:
        render(write_source(tmp_path, text), solved=True)

    assert caught.value.happened.startswith("made.py:")
    assert words in caught.value.happened


def test_unknown_notebooks_are_staff_errors() -> None:
    """Asking for a notebook without a source names those that exist."""
    with pytest.raises(StaffError, match="MAE_student"):
        solved_notebook("MAE_teacher")


def test_edit_replaces_in_a_copy(tmp_path: Path) -> None:
    """An edit changes the code of a copy and leaves the notebook as it was."""
    notebook = render(write_source(tmp_path, "# %%\nx = 1\n\n# %%\ny = 2\n"), solved=True)

    edited = edit_notebook(notebook, {"x = 1": "x = 3", "y = 2": "y = 4"})

    assert code_of(edited) == "x = 3\ny = 4"
    assert code_of(notebook) == "x = 1\ny = 2"


@pytest.mark.parametrize(("old", "count"), [("z = 1", 0), (" = ", 2)])
def test_edit_is_loud_when_its_text_is_not_there_once(tmp_path: Path, old: str, count: int) -> None:
    """An edit that finds nothing, or more than one place, is a StaffError with the text and the count."""
    notebook = render(write_source(tmp_path, "# %%\nx = 1\n\n# %%\ny = 2\n"), solved=True)

    with pytest.raises(StaffError, match=f"stands {count} times .*{old!r}"):
        edit_notebook(notebook, {old: "new"})
