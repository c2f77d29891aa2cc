"""
Whole submissions, graded: the name of the folder under tests/submissions is the verdict they must get.

To add a case, write tests/submissions/<verdict>/<name>.yaml, an edited solved notebook:

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

Every other question of its half must be PASSED, with all its points. A run asks in full what a case touches, and
little of the rest; with --slow it asks everything. A training (<function>.convergence) takes seconds and is asked only
of a case that names it.
"""

from __future__ import annotations

import ast
import json
import subprocess
import sys
import textwrap
import zipfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

import jsonschema
import nbformat
import pytest
import torch
import yaml

from grader.checks.convergence import CONVERGENCE_CHECKS
from grader.checks.metalearning import METALEARNING_CHECKS
from grader.checks.vision import VISION_CHECKS
from grader.feedback.results import SCHEMA
from grader.pipeline.run import Report, Settings, grade_submission
from grader.release.modules import edit_modules, solved_modules, template_modules
from grader.release.notebooks import NotebookNode, edit_notebook, notebook_bytes, solved_notebook
from grader.rubric import Question, Rubric, load_rubric
from grader.verdicts import Verdict

FOLDER = Path(__file__).parent / "submissions"
REPOSITORY = Path(__file__).parents[1]
ALL_VISION = (*VISION_CHECKS, *CONVERGENCE_CHECKS)
NEEDS = {check.function: check.needs for check in ALL_VISION}
ASPECTS = tuple(sorted({check.aspect for check in ALL_VISION}))
BYSTANDERS = {"unpatchify", "restore_masked"}
SOLVED = solved_notebook("MAE_student")

META_QUESTIONS = [question for question in load_rubric().questions if question.part == "metalearning"]
META_NEEDS = {check.key: check.needs for check in METALEARNING_CHECKS}
META_BYSTANDERS = {"aliased_coefficients.output", "test_zero_classification.output"}
META_NOTEBOOKS = {name: solved_notebook(name) for name in (f"metalearning-part{part}" for part in range(3))}
META_MODULES, META_TEMPLATES = solved_modules(), template_modules()
DEAR = "meta_learning_classification.convergence"  # a whole run of some seconds


@dataclass(frozen=True)
class Case:
    """One submission and what it must get; the fields are those of the file."""

    name: str
    verdict: Verdict
    about: str
    bodies: Mapping[str, str] = field(default_factory=dict)
    edits: Sequence[Mapping[str, str]] = ()
    cells_before: Sequence[str] = ()
    cells_after: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    loses: Sequence[str] = ()
    also: Mapping[str, str] = field(default_factory=dict)
    touches: Sequence[str] = ()
    time_limit_s: float | None = None
    slow: bool = False
    modules: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)
    notebooks: Mapping[str, Sequence[Mapping[str, str]]] = field(default_factory=dict)
    moved: Mapping[str, str] = field(default_factory=dict)
    as_handed_out: Sequence[str] = ()
    without: Sequence[str] = ()
    not_run: Sequence[str] = ()
    no_figures: Sequence[str] = ()

    @property
    def is_meta(self) -> bool:
        """Whether the case is one of the meta-learning half."""
        return self.name.startswith("meta_")

    def notebook(self) -> NotebookNode:
        """Return the edited notebook."""
        notebook = SOLVED
        for function, body in self.bodies.items():
            notebook = edit_notebook(notebook, dict([body_edit(notebook, function, body)]))
        notebook = edit_notebook(notebook, replacements(self.edits))
        before, after = (
            [nbformat.v4.new_code_cell(source) for source in cells] for cells in (self.cells_before, self.cells_after)
        )
        notebook.cells = [*before, *notebook.cells, *after]
        return notebook

    def write(self, folder: Path) -> Path:
        """Write the submission as a folder."""
        folder.mkdir()
        files = self.meta_files() if self.is_meta else {"MAE_student.ipynb": notebook_bytes(self.notebook())}
        for name, data in {**files, **{name: text.encode() for name, text in self.files.items()}}.items():
            (folder / name).write_bytes(data)
        return folder

    def meta_files(self) -> dict[str, bytes]:
        """Return the edited meta-learning notebooks, as if they had been run, and modules."""
        modules = edit_modules(META_MODULES, {name: replacements(edits) for name, edits in self.modules.items()})
        notebooks = dict(META_NOTEBOOKS)
        for name, edits in self.notebooks.items():
            notebooks[name] = edit_notebook(notebooks[name], replacements(edits))
        for module, name in self.moved.items():
            notebooks[name] = edit_notebook(notebooks[name], {})
            notebooks[name].cells.append(nbformat.v4.new_code_cell(modules[module]))
        modules.update({name: META_TEMPLATES[name] for name in (*self.as_handed_out, *self.moved)})
        files = {f"{name}.ipynb": notebook_bytes(self.as_run(name, book)) for name, book in notebooks.items()}
        files.update({name: text.encode() for name, text in modules.items()})
        for name in self.without:
            del files[name]
        return files

    def as_run(self, name: str, notebook: NotebookNode) -> NotebookNode:
        """Return a notebook whose first code cell shows a figure, or only words, or nothing."""
        shown = edit_notebook(notebook, {})
        cell = next(cell for cell in shown.cells if cell.cell_type == "code")
        if name not in self.not_run:
            figure = {} if name in self.no_figures else {"image/png": "aGVsbG8="}
            data = {"text/plain": "<Figure size 640x480 with 1 Axes>", **figure}
            cell.execution_count, cell.outputs = 1, [nbformat.v4.new_output("display_data", data=data)]
        return shown

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
            return self.asks_meta(question)
        named = {*self.loses, *self.also, *self.bodies, *self.touches}
        touched = {function for function in NEEDS if {function, *(f"{function}.{a}" for a in ASPECTS)} & named}
        near = {function for function in NEEDS if touched & closure(function)} | set().union(*map(closure, touched))
        if question.function in touched:
            return True
        return question.aspect == "generality" and (not touched or question.function in near | BYSTANDERS)

    def asks_meta(self, question: Question) -> bool:
        """Whether the quick run asks a question of the meta-learning half: the same, by check instead of function."""
        named = {*self.loses, *self.also, *self.touches}
        touched = [each for each in META_QUESTIONS if {each.check, each.function} & named]
        if not touched or question in touched or question.check in META_BYSTANDERS:
            return True
        needed = {need for each in touched for need in META_NEEDS.get(each.check, ())}
        builds_on = {each.function for each in touched}.intersection(META_NEEDS.get(question.check, ()))
        return question.function in needed or (bool(builds_on) and question.check != DEAR)


def closure(function: str) -> set[str]:
    """Return a function with all that it builds on."""
    return {function}.union(*(closure(need) for need in NEEDS[function]))


def replacements(edits: Sequence[Mapping[str, str]]) -> dict[str, str]:
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


def read_case(path: Path) -> Case:
    """Read a case; an unknown key or check is an error."""
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content.keys() <= {each.name for each in fields(Case)}, path
    case = Case(path.stem, Verdict[path.parent.name.upper()], **content)
    known = {*NEEDS, *(check.key for check in ALL_VISION)}
    if case.is_meta:
        known = {name for question in META_QUESTIONS for name in (question.check, question.function)}
        vision_only = (case.bodies, case.edits, case.cells_before, case.cells_after)
        assert not any(vision_only), path
    assert known.issuperset([*case.loses, *case.also, *case.touches]), path
    assert bool(case.loses) is (case.verdict is not Verdict.PASSED), path
    return case


CASES = [read_case(path) for path in sorted(FOLDER.glob("*/*.yaml"))]


def graded_rubric(keep: Callable[[Question], bool]) -> Rubric:
    """Return the rubric with some of its vision questions, without the claims."""
    rubric = load_rubric()
    questions = [question for question in rubric.questions if question.function in NEEDS and keep(question)]
    return replace(rubric, questions=tuple(questions))


def rubric_of(case: Case, *, whole: bool) -> Rubric:
    """Return the rubric of a case's half, or what of it the case touches, with the case's time limit."""
    half = META_QUESTIONS if case.is_meta else graded_rubric(lambda _: True).questions
    limit = {} if case.time_limit_s is None else {"time_limit_s": case.time_limit_s}
    named = {*case.loses, *case.touches, *case.also}
    half = [each for each in half if case.is_meta or each.aspect != "convergence" or each.check in named]
    asked = [replace(question, **limit) for question in half if whole or case.asks(question)]
    return replace(load_rubric(), questions=tuple(asked))


def grade(path: Path, rubric: Rubric, out: Path) -> Report:
    """Grade in this process, with one thread."""
    torch.set_num_threads(1)
    return grade_submission(path, Settings(rubric=rubric, out=out))


def verdicts(report: Report) -> dict[str, str]:
    """Return the verdict of each check, and what was found, for a test that fails to show."""
    return {
        item.question.check: " ".join([item.evidence.verdict.name, *item.evidence.findings])
        for item in report.judgements
    }


@pytest.mark.parametrize(
    "case",
    [
        pytest.param(case, id=f"{case.verdict.name.lower()}-{case.name}", marks=[pytest.mark.slow] * case.slow)
        for case in CASES
    ],
)
def test_folder_is_the_verdict(case: Case, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """The questions that a case names get its folder's verdict, and every other one all its points."""
    whole = bool(request.config.getoption("--slow"))
    rubric = rubric_of(case, whole=whole)

    report = grade(case.write(tmp_path / "submission"), rubric, tmp_path / "out")

    expected = {question.check: case.expected(question).name for question in rubric.questions}
    found = verdicts(report)
    wrong = {check: text for check, text in found.items() if text.partition(" ")[0] != expected[check]}
    assert not wrong, case.about
    for item in report.judgements:
        full, whole_or_none = item.question.points, item.question.check != "ClassificationMAE.forward.convergence"
        assert item.score == full if item.evidence.passed else item.score == 0 or not whole_or_none, item.question.check
    results = json.loads((tmp_path / "out" / "results.json").read_text(encoding="utf-8"))
    jsonschema.validate(results, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert [test["number"] for test in results["tests"]] == [question.number for question in rubric.questions]
    assert results["score"] == report.score


# One mistake and one lent helper: what a packing could change would show.
PACKED = Case(
    "packed",
    Verdict.FAILED,
    "The mask is inverted.",
    bodies={
        "random_masking": "kept = index_sequence(x, ids_shuffle[:, :keep_length])\n"
        "ids_restore = torch.argsort(ids_shuffle, dim=1)\n"
        "return kept, (ids_restore < keep_length).float(), ids_restore"
    },
)
PACKED_CHECKS = {
    "patchify.generality",
    "random_masking.output",
    "random_masking.generality",
    "MaskedAutoEncoder.forward_encoder.generality",
}


def zip_of(path: Path, members: Mapping[str, bytes]) -> Path:
    """Write a zip."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def test_packing_does_not_matter(tmp_path: Path) -> None:
    """Zip, folder, zip in a zip, nested and renamed with the traces of macOS: the same score and verdicts."""
    folder = PACKED.write(tmp_path / "folder")
    data = (folder / "MAE_student.ipynb").read_bytes()
    single = zip_of(tmp_path / "hw4_submission.zip", {"MAE_student.ipynb": data})
    double = zip_of(tmp_path / "double.zip", {"hw4_submission.zip": single.read_bytes()})
    nested = tmp_path / "nested" / "CS182 HW4" / "final"
    nested.mkdir(parents=True)
    (nested / "Copy of MAE_student (1).ipynb").write_bytes(data)
    traces = tmp_path / "nested" / "__MACOSX" / "CS182 HW4"
    traces.mkdir(parents=True)
    (traces / "._Copy of MAE_student (1).ipynb").write_bytes(bytes.fromhex("00051607000200004d6163204f532058"))
    checkpoint = nested / ".ipynb_checkpoints"
    checkpoint.mkdir()
    (checkpoint / "MAE_student-checkpoint.ipynb").write_bytes(notebook_bytes(SOLVED))
    rubric = graded_rubric(lambda question: question.check in PACKED_CHECKS)

    reports = [grade(path, rubric, tmp_path / "out") for path in (folder, single, double, tmp_path / "nested")]

    assert len({(report.score, tuple(verdicts(report).items())) for report in reports}) == 1
    assert reports[0].verdict_of("3.1") is Verdict.FAILED
    assert reports[0].verdict_of("4.4") is Verdict.PASSED


def test_same_submission_gets_the_same_results(tmp_path: Path) -> None:
    """Graded twice, results.json differs in its times alone."""
    folder = PACKED.write(tmp_path / "folder")
    rubric = graded_rubric(lambda question: question.check in PACKED_CHECKS)
    contents = []
    for out in (tmp_path / "first", tmp_path / "second"):
        grade(folder, rubric, out)
        content = json.loads((out / "results.json").read_text(encoding="utf-8"))
        del content["execution_time"]
        contents.append(content)

    assert contents[0] == contents[1]


# Tries every way to the answers that it can think of, by import and by path; {root} is the checkout.
THIEF = """
import glob, importlib, os, sys

found = []
for name in ("reference", "reference.vision.masking", "grader.checks.vision", "grader.release"):
    try:
        importlib.import_module(name)
        found.append(name)
    except BaseException:
        pass
for path in ("{root}/reference/vision/masking.py", "{root}/grader/secret.key", "{out}/results.json"):
    for mode in ("r", "r+"):
        try:
            open(path, mode).close()
            found.append(path)
        except OSError:
            pass
    found += glob.glob(os.path.dirname(path) + "/*")
assert not found, found
"""


def test_answers_are_out_of_reach(tmp_path: Path) -> None:
    """On the command line, where nothing knows the answers before the fork, student code finds none of them."""
    out = tmp_path / "results"
    body = (
        THIEF.format(root=REPOSITORY, out=out) + "return index_sequence(torch.cat([kept_x, masked_x], 1), ids_restore)"
    )
    thief = replace(PACKED, bodies={"restore_masked": body})
    content = yaml.safe_load((REPOSITORY / "grader" / "rubric.yaml").read_text(encoding="utf-8"))
    for entry in content["parts"]["vision"]:
        entry["enabled"] = entry["check"].startswith("restore_masked.")
    rubric = tmp_path / "rubric.yaml"
    rubric.write_text(yaml.safe_dump(content), encoding="utf-8")
    arguments = ["grade", thief.write(tmp_path / "submission"), "--out", out, "--rubric", rubric]

    subprocess.run(
        [sys.executable, "-m", "grader", *map(str, arguments)], cwd=REPOSITORY, check=True, capture_output=True
    )

    tests = json.loads((out / "results.json").read_text(encoding="utf-8"))["tests"]
    shown = [test["output"] for test in tests]
    asked = [test for test in tests if test["extra_data"]["function"] == "restore_masked"]
    assert len(asked) == 3
    assert all(test["extra_data"]["verdict"] == "PASSED" for test in asked), shown
