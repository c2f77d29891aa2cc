"""
Submissions that are the solved homework with changes, and what each must get.

A case is a file <verdict>/<name>.yaml; the folder's name is the verdict that what it loses must get:

    about: one sentence on what the student did
    bodies: {restore_masked: "return ..."}     # new function bodies; the docstring stays
    edits: [{old: "text", new: "text"}]        # old text stands once in the notebook's code
    cells_before: [...]                        # code cells at the top; cells_after: at the end
    files: {helper.py: "..."}                  # further files beside the notebook
    loses: [restore_masked.output]             # checks or whole functions that get the folder's verdict
    also: {restore_masked.gradient: ERROR}     # rare: a check with another verdict
    touches: [restore_masked]                  # right functions that are to be asked in full
    time_limit_s: 2                            # for code that hangs
    slow: true                                 # near to another case: asked only with --slow

A case called meta_<name> is one of the other half, the solved metalearning notebooks and modules. Its edits are

    modules: {utils_classification.py: [{old: "text", new: "text"}]}    # old text stands once in the module
    notebooks: {metalearning-part0: [{old: "text", new: "text"}]}       # or once in the notebook's code
    moved: {utils_classification.py: metalearning-part2}    # into the notebook's last cell; the module: as handed out
    as_handed_out: [utils_classification.py]                # modules without the student's code
    without: [utils.py]                                     # files that are not handed in
    not_run: [metalearning-part1]                           # notebooks without outputs
    no_figures: [metalearning-part0]                        # notebooks whose outputs are words

and files, loses, also, touches, time_limit_s and slow, as above.

Every other question of its half must be PASSED, with all its points. `asks` chooses what a quick run asks: in full what
a case touches, and little of the rest. A training (<function>.convergence) is asked where `loses`, `also` or `touches`
names it.
"""

from __future__ import annotations

import ast
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from functools import cache
from pathlib import Path
from typing import Any

import nbformat
import yaml

from grader.checks.convergence import CONVERGENCE_CHECKS
from grader.checks.metalearning import METALEARNING_CHECKS
from grader.checks.vision import VISION_CHECKS
from grader.errors import StaffError
from grader.release.modules import edit_modules, solved_modules, template_modules
from grader.release.notebooks import NotebookNode, edit_notebook, notebook_bytes, solved_notebook
from grader.rubric import Question, load_rubric
from grader.verdicts import Verdict

VISION_NOTEBOOK = "MAE_student"
META_NOTEBOOKS = ("metalearning-part0", "metalearning-part1", "metalearning-part2")
Replacements = Sequence[Mapping[str, str]]

_FOLDER = Path(__file__).parents[2] / "tests" / "submissions"
_VISION = (*VISION_CHECKS, *CONVERGENCE_CHECKS)
_NEEDS = {check.function: check.needs for check in _VISION}
_ASPECTS = tuple(sorted({check.aspect for check in _VISION}))
_TRAININGS = frozenset(check.key for check in CONVERGENCE_CHECKS)
_BYSTANDERS = {"unpatchify", "restore_masked"}
_META_NEEDS = {check.key: check.needs for check in METALEARNING_CHECKS}
_META_BYSTANDERS = {"aliased_coefficients.output", "test_zero_classification.output"}
_DEAR = "meta_learning_classification.convergence"  # a whole run of some seconds


@dataclass(frozen=True)
class Changes:
    """What is different from the solved homework; the fields are those of a case's file."""

    bodies: Mapping[str, str] = field(default_factory=dict)
    edits: Replacements = ()
    cells_before: Sequence[str] = ()
    cells_after: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    modules: Mapping[str, Replacements] = field(default_factory=dict)
    notebooks: Mapping[str, Replacements] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)
    as_handed_out: Sequence[str] = ()
    without: Sequence[str] = ()
    not_run: Sequence[str] = ()
    no_figures: Sequence[str] = ()

    def vision_notebook(self) -> NotebookNode:
        """Return the edited vision notebook."""
        notebook = solved(VISION_NOTEBOOK)
        for function, body in self.bodies.items():
            notebook = edit_notebook(notebook, dict([body_edit(notebook, function, body)]))
        notebook = edit_notebook(notebook, _replacements(self.edits))
        before, after = (
            [nbformat.v4.new_code_cell(source) for source in cells] for cells in (self.cells_before, self.cells_after)
        )
        notebook.cells = [*before, *notebook.cells, *after]
        return notebook

    def vision_files(self) -> dict[str, bytes]:
        """Return the files of the vision half."""
        return {f"{VISION_NOTEBOOK}.ipynb": notebook_bytes(self.vision_notebook())}

    def meta_files(self) -> dict[str, bytes]:
        """Return the edited meta-learning notebooks, as if they had been run, and modules."""
        modules = edit_modules(solved_modules(), {name: _replacements(edits) for name, edits in self.modules.items()})
        notebooks = {name: solved(name) for name in META_NOTEBOOKS}
        for name, edits in self.notebooks.items():
            notebooks[name] = edit_notebook(notebooks[name], _replacements(edits))
        for module, name in self.moved.items():
            notebooks[name] = edit_notebook(notebooks[name], {})
            notebooks[name].cells.append(nbformat.v4.new_code_cell(modules[module]))
        handed_out = template_modules()
        modules.update({name: handed_out[name] for name in (*self.as_handed_out, *self.moved)})
        files = {f"{name}.ipynb": notebook_bytes(self._as_run(name, book)) for name, book in notebooks.items()}
        files.update({name: text.encode() for name, text in modules.items()})
        for name in self.without:
            del files[name]
        return files

    def _as_run(self, name: str, notebook: NotebookNode) -> NotebookNode:
        """Return a notebook whose first code cell shows a figure, or only words, or nothing."""
        shown = edit_notebook(notebook, {})
        cell = next(cell for cell in shown.cells if cell.cell_type == "code")
        if name not in self.not_run:
            figure = {} if name in self.no_figures else {"image/png": "aGVsbG8="}
            data = {"text/plain": "<Figure size 640x480 with 1 Axes>", **figure}
            cell.execution_count, cell.outputs = 1, [nbformat.v4.new_output("display_data", data=data)]
        return shown

    def write(self, folder: Path, *, vision: bool, metalearning: bool) -> Path:
        """Write the wanted halves as a folder that was not there before."""
        folder.mkdir()
        files = {**(self.vision_files() if vision else {}), **(self.meta_files() if metalearning else {})}
        for name, data in {**files, **{name: text.encode() for name, text in self.files.items()}}.items():
            (folder / name).write_bytes(data)
        return folder


@dataclass(frozen=True)
class Case:
    """
    One submission and what it must get; the fields are those of the file.

    Args:
        name: the file's name without suffix.
        verdict: what the questions that it loses must get.
        about: one sentence on what the student did.
        changes: what is different from the solved homework.
        loses: checks or whole functions.
        also: check or function -> the name of another verdict.
        touches: right functions that a quick run asks in full.
        time_limit_s: of each question; None leaves the rubric's.
        slow: whether it is near to another case.
    """

    name: str
    verdict: Verdict
    about: str
    changes: Changes = field(default_factory=Changes)
    loses: Sequence[str] = ()
    also: Mapping[str, str] = field(default_factory=dict)
    touches: Sequence[str] = ()
    time_limit_s: float | None = None
    slow: bool = False

    @property
    def is_meta(self) -> bool:
        """Whether the case is one of the meta-learning half."""
        return self.name.startswith("meta_")

    def write(self, folder: Path) -> Path:
        """Write the case's half as a folder that was not there before."""
        return self.changes.write(folder, vision=not self.is_meta, metalearning=self.is_meta)

    def expected(self, question: Question) -> Verdict:
        """Return the verdict that a question must get."""
        for key in (question.check, question.function):
            if key in self.also:
                return Verdict[self.also[key]]
            if key in self.loses:
                return self.verdict
        return Verdict.PASSED

    def asks(self, question: Question) -> bool:
        """
        Whether the quick run asks a question.

        What a case touches is asked in full; with their smallest question what that needs, what needs that, and
        two functions that no other needs. Where a case names nothing, it may touch everything.
        """
        if self.is_meta:
            return self._asks_meta(question)
        named = {*self.loses, *self.also, *self.changes.bodies, *self.touches}
        touched = {function for function in _NEEDS if {function, *(f"{function}.{a}" for a in _ASPECTS)} & named}
        near = {function for function in _NEEDS if touched & _closure(function)} | set().union(*map(_closure, touched))
        if question.function in touched:
            return True
        return question.aspect == "generality" and (not touched or question.function in near | _BYSTANDERS)

    def _asks_meta(self, question: Question) -> bool:
        """Whether the quick run asks a question of the meta-learning half: the same, by check instead of function."""
        named = {*self.loses, *self.also, *self.touches}
        touched = [each for each in half_questions(meta=True) if {each.check, each.function} & named]
        if not touched or question in touched or question.check in _META_BYSTANDERS:
            return True
        needed = {need for each in touched for need in _META_NEEDS.get(each.check, ())}
        builds_on = {each.function for each in touched}.intersection(_META_NEEDS.get(question.check, ()))
        return question.function in needed or (bool(builds_on) and question.check != _DEAR)


@cache
def half_questions(*, meta: bool) -> tuple[Question, ...]:
    """
    Return the rubric's questions of one half; without the claims, which are about files and not about code.

    Training the modules of the vision half is apart: see `training_questions`.
    """
    questions = load_rubric().questions
    if meta:
        return tuple(question for question in questions if question.part == "metalearning")
    return tuple(each for each in questions if each.function in _NEEDS and each.check not in _TRAININGS)


@cache
def training_questions() -> tuple[Question, ...]:
    """
    Return the questions that train modules of the vision half: each takes seconds, and has a band instead of values.

    Where right and wrong code ends is measured for itself, in tests/checks/convergence_lab.py. Of a case they are asked
    where it names them.
    """
    return tuple(question for question in load_rubric().questions if question.check in _TRAININGS)


def known_cases(*verdicts: Verdict) -> list[Case]:
    """Return the cases of tests/submissions with these verdicts; none where this is no checkout."""
    paths = [path for verdict in verdicts for path in sorted((_FOLDER / verdict.name.lower()).glob("*.yaml"))]
    return [read_case(path) for path in paths]


def read_case(path: Path) -> Case:
    """
    Read a case.

    Raises:
        StaffError: a key or a check is unknown, or it loses something that its folder does not say.
    """
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    of_changes, of_case = ({each.name for each in fields(kind)} for kind in (Changes, Case))
    problems = [f"unknown keys {sorted(content.keys() - of_changes - of_case)}"] * bool(
        content.keys() - of_changes - of_case
    )
    changes = Changes(**{key: value for key, value in content.items() if key in of_changes})
    rest = {key: value for key, value in content.items() if key in of_case}
    case = Case(path.stem, Verdict[path.parent.name.upper()], changes=changes, **rest)
    asked = half_questions(meta=case.is_meta) + (() if case.is_meta else training_questions())
    known = {name for each in asked for name in (each.check, each.function)}
    unknown = {*case.loses, *case.also, *case.touches} - known
    if unknown:
        problems.append(f"there is no check or function {sorted(unknown)}")
    if bool(case.loses) is (case.verdict is Verdict.PASSED):
        problems.append("it loses something exactly where the folder is not passed")
    if case.is_meta and any((changes.bodies, changes.edits, changes.cells_before, changes.cells_after)):
        problems.append("bodies, edits and cells are for the vision notebook")
    if problems:
        raise StaffError(happened=f"The case {path.name} is wrong: {'; '.join(problems)}.", try_next="Mend the file.")
    return case


def _closure(function: str) -> set[str]:
    """Return a function with all that it builds on."""
    return {function}.union(*(_closure(need) for need in _NEEDS[function]))


@cache
def solved(name: str) -> NotebookNode:
    """Return a solved notebook; not to be changed."""
    return solved_notebook(name)


def _replacements(edits: Replacements) -> dict[str, str]:
    """Return old text to new text."""
    return {edit["old"]: edit["new"] for edit in edits}


def body_edit(notebook: NotebookNode, function: str, body: str) -> tuple[str, str]:
    """Return the text of a function's body, without its docstring, and the new text for it."""
    for cell in notebook.cells:
        if cell.cell_type != "code" or f"def {function.rpartition('.')[2]}(" not in cell.source:
            continue
        nodes: list[ast.stmt] = ast.parse(cell.source).body
        for name in function.split("."):
            node = next((node for node in nodes if getattr(node, "name", None) == name), None)
            nodes = getattr(node, "body", [])
        if isinstance(node, ast.FunctionDef):
            first = node.body[1].lineno if ast.get_docstring(node) else node.body[0].lineno
            old = "\n".join(cell.source.splitlines()[first - 1 : node.end_lineno])
            return old, textwrap.indent(body.rstrip("\n"), " " * (node.col_offset + 4))
    raise LookupError(f"the notebook has no function {function}")
