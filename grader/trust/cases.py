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
    right: true                                # a right variant that does not work at every size

Bodies, edits and cells are of the first notebook of a part without modules. Of others, and of modules:

    modules: {helpers.py: [{old: "text", new: "text"}]}     # old text stands once in the module
    notebooks: {part1: [{old: "text", new: "text"}]}        # or once in the notebook's code
    moved: {helpers.py: part2}                              # into the notebook's last cell; the module: as handed out
    as_handed_out: [helpers.py]                             # modules without the student's code
    without: [utils.py]                                     # files that are not handed in
    not_run: [part1]                                        # notebooks without outputs
    no_figures: [part0]                                     # notebooks whose outputs are words

A case belongs to the part of the homework whose `cases` its name begins with. Every other question of that part must be
PASSED, with all its points. `asks` chooses what a quick run asks: in full what a case touches, and little of the rest.
A training is asked where `loses`, `also` or `touches` names it.
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

from grader.errors import StaffError
from grader.intake.figures import calls_something
from grader.pipeline.homework import Homework, Part
from grader.release.modules import edit_modules, solved_modules, template_modules
from grader.release.notebooks import NotebookNode, edit_notebook, notebook_bytes, solved_notebook
from grader.rubric import Question, load_rubric
from grader.verdicts import Verdict

Replacements = Sequence[Mapping[str, str]]

# The quickest question first, by which a function that a case should not have touched is looked at.
# A figure, as a notebook's file holds it: 48 by 48 pixels of a checkerboard with a gradient.
FIGURE_PNG = (
    "iVBORw0KGgoAAAANSUhEUgAAADAAAAAwCAAAAAByaaZbAAAAYklEQVR42mP4DwUaukbmNo5u3jB+RW1Te8/EabNh/BNnL12/8/DZa4ZR"
    "DTTRwMDKxS8iKacMkwgIjYpPycwrhvEXLF21fsvOfYdh/FENtNEwmlpH88OohtH8MJofRjVg0QAAH2aMm5U452IAAAAASUVORK5CYII="
)
_QUICK_FIRST = ("generality", "output", "gradient", "behaviour", "convergence")


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

    def files_of(self, part: Part) -> dict[str, bytes]:
        """Return the files of a part: edited notebooks, as if they had been run where that is asked, and modules."""
        notebooks = {Path(name).stem: solved(part.sources, Path(name).stem) for name in part.notebooks}
        first = next(iter(notebooks))
        if self.touches(part):
            notebooks[first] = self._edited(notebooks[first])
        for name, edits in self.notebooks.items():
            if name in notebooks:
                notebooks[name] = edit_notebook(notebooks[name], _replacements(edits))
        modules = self._modules(part.sources) if part.modules else {}
        for module, name in self.moved.items():
            if name in notebooks:
                notebooks[name] = edit_notebook(notebooks[name], {})
                notebooks[name].cells.append(nbformat.v4.new_code_cell(modules[module]))
                modules[module] = template_modules(part.sources)[module]
        if part.are_run:
            notebooks = {name: self._as_run(name, notebook) for name, notebook in notebooks.items()}
        files = {f"{name}.ipynb": notebook_bytes(notebook) for name, notebook in notebooks.items()}
        files.update({name: text.encode() for name, text in modules.items()})
        return {name: data for name, data in files.items() if name not in self.without}

    def _edited(self, notebook: NotebookNode) -> NotebookNode:
        """Return the first notebook of a part with new bodies, edits and cells."""
        for function, body in self.bodies.items():
            notebook = edit_notebook(notebook, dict([body_edit(notebook, function, body)]))
        notebook = edit_notebook(notebook, _replacements(self.edits))
        before, after = (
            [nbformat.v4.new_code_cell(source) for source in cells] for cells in (self.cells_before, self.cells_after)
        )
        notebook.cells = [*before, *notebook.cells, *after]
        return notebook

    def _modules(self, sources: Path) -> dict[str, str]:
        """Return the edited modules by file name, those as handed out that should be so."""
        modules = edit_modules(
            solved_modules(sources), {name: _replacements(edits) for name, edits in self.modules.items()}
        )
        handed_out = template_modules(sources)
        return {**modules, **{name: handed_out[name] for name in self.as_handed_out}}

    def touches(self, part: Part) -> bool:
        """Whether anything of a part is different."""
        if any((self.bodies, self.edits, self.cells_before, self.cells_after)):
            return not part.modules
        notebooks = {*self.notebooks, *self.moved.values(), *self.not_run, *self.no_figures}
        modules = any((self.modules, self.as_handed_out, self.without)) and bool(part.modules)
        return modules or bool(notebooks & {Path(name).stem for name in part.notebooks})

    def _as_run(self, name: str, notebook: NotebookNode) -> NotebookNode:
        """Return a notebook whose first code cell that calls something shows a figure, or only words, or nothing."""
        shown = edit_notebook(notebook, {})
        cell = next(cell for cell in shown.cells if cell.cell_type == "code" and calls_something(cell.source))
        if name not in self.not_run:
            figure = {} if name in self.no_figures else {"image/png": FIGURE_PNG}
            data = {"text/plain": "<Figure size 640x480 with 1 Axes>", **figure}
            cell.execution_count, cell.outputs = 1, [nbformat.v4.new_output("display_data", data=data)]
        return shown

    def write(self, folder: Path, parts: Sequence[Part]) -> Path:
        """Write the wanted parts as a folder that was not there before."""
        folder.mkdir()
        files = {name: data for part in parts for name, data in self.files_of(part).items()}
        for name, data in {**files, **{name: text.encode() for name, text in self.files.items()}}.items():
            (folder / name).write_bytes(data)
        return folder


@dataclass(frozen=True)
class Case:
    """
    One submission and what it must get; the fields are those of the file.

    Args:
        name: the file's name without suffix.
        part: of the homework; the only one that is handed in.
        verdict: what the questions that it loses must get.
        about: one sentence on what the student did.
        changes: what is different from the solved homework.
        loses: checks or whole functions.
        also: check or function -> the name of another verdict.
        touches: right functions that a quick run asks in full.
        time_limit_s: of each question; None leaves the rubric's.
        slow: whether it is near to another case.
        right: whether it is a right way to solve the homework, though not at every size.
    """

    name: str
    part: Part
    verdict: Verdict
    about: str
    changes: Changes = field(default_factory=Changes)
    loses: Sequence[str] = ()
    also: Mapping[str, str] = field(default_factory=dict)
    touches: Sequence[str] = ()
    time_limit_s: float | None = None
    slow: bool = False
    right: bool = False

    def write(self, folder: Path) -> Path:
        """Write the case's part as a folder that was not there before."""
        return self.changes.write(folder, [self.part])

    def expected(self, question: Question) -> Verdict:
        """Return the verdict that a question must get."""
        for key in (question.check, question.function):
            if key in self.also:
                return Verdict[self.also[key]]
            if key in self.loses:
                return self.verdict
        return Verdict.PASSED

    def asks(self, homework: Homework, question: Question) -> bool:
        """
        Whether the quick run asks a question.

        What a case touches is asked in full; by their quickest question what that needs, what needs that, and
        functions that stand alone. Where a case names nothing, it may touch everything.
        """
        named = {*self.loses, *self.also, *self.changes.bodies, *self.touches}
        asked = questions_of(homework, self.part)
        touched = {each.function for each in asked if {each.check, each.function} & named}
        if question.function in touched:
            return True
        quickest = min(
            (each for each in asked if each.function == question.function),
            key=lambda each: (*_QUICK_FIRST, each.aspect).index(each.aspect),
        )
        if question != quickest:
            return False
        contract = homework.contract
        if not touched or question.function not in contract:
            return True
        closure = contract.closure(question.function)
        return (
            bool(closure & touched) or len(closure) == 1 or any(closure <= contract.closure(each) for each in touched)
        )


def parts_of(homework: Homework, changes: Changes) -> list[Part]:
    """Return the parts in which anything is different; all of them where nothing is."""
    return [part for part in homework.parts if changes.touches(part)] or list(homework.parts)


@cache
def questions_of(homework: Homework, part: Part) -> tuple[Question, ...]:
    """
    Return the rubric's questions of one part; without those about saved files, unless its notebooks are to be run.

    Training is apart: see `training_questions`.
    """
    answers = homework.answers()
    trains = {check.key for check in answers.checks if check.trains}
    left_out = trains if part.are_run else {*trains, *answers.inspected}
    questions = load_rubric(homework.rubric).questions
    return tuple(each for each in questions if each.part == part.name and each.check not in left_out)


@cache
def training_questions(homework: Homework, part: Part) -> tuple[Question, ...]:
    """
    Return the questions of a part that train modules: each takes seconds, and has a band instead of values.

    Where right and wrong code ends is measured for itself. Of a case they are asked where it names them.
    """
    trains = {check.key for check in homework.answers().checks if check.trains}
    questions = load_rubric(homework.rubric).questions
    return tuple(each for each in questions if each.part == part.name and each.check in trains)


def known_cases(homework: Homework, *verdicts: Verdict) -> list[Case]:
    """Return the cases of the homework's submissions with these verdicts, in the order of their files."""
    folders = [homework.folder / "submissions" / verdict.name.lower() for verdict in verdicts]
    return [read_case(homework, path) for folder in folders for path in sorted(folder.glob("*.yaml"))]


def read_case(homework: Homework, path: Path) -> Case:
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
    # The longest prefix that fits: a part without one takes the rest.
    part = max((each for each in homework.parts if path.stem.startswith(each.cases)), key=lambda each: len(each.cases))
    case = Case(path.stem, part, Verdict[path.parent.name.upper()], changes=changes, **rest)
    asked = questions_of(homework, part) + training_questions(homework, part)
    known = {name for each in asked for name in (each.check, each.function)}
    unknown = {*case.loses, *case.also, *case.touches} - known
    if unknown:
        problems.append(f"there is no check or function {sorted(unknown)}")
    if bool(case.loses) is (case.verdict is Verdict.PASSED):
        problems.append("it loses something exactly where the folder is not passed")
    if problems:
        raise StaffError(happened=f"The case {path.name} is wrong: {'; '.join(problems)}.", try_next="Mend the file.")
    return case


@cache
def solved(sources: Path, name: str) -> NotebookNode:
    """Return a solved notebook; not to be changed."""
    return solved_notebook(sources, name)


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
