"""Write the submissions of rows, and what each question of them must get, for processes that know no answers."""

from __future__ import annotations

import functools
import io
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import nbformat
import torch
import yaml

from grader.release.notebooks import NotebookNode, edit_notebook, notebook_bytes
from grader.rubric import Question, Rubric, load_rubric
from grader.trust.cases import Case, body_edit, read_case, solved
from homework.homework import HOMEWORK
from homework.inspections.claims import PUBLIC_VECTORS
from homework.release.sources import solved_modules, template_notebook
from tests.hostile import honest, made
from tests.hostile.cases import ASKED, Row, place_of_case
from tests.known import CHECKS, VISION

ROOT = Path(__file__).parents[2]
_NOTEBOOK = "MAE_student"  # the one that is attacked
_ALSO_ALONE = "ABCE"  # what runs code of its own or is a file of its own; values and notebooks are judged inside


@dataclass(frozen=True)
class Job:
    """
    One submission to be graded.

    Args:
        name: the row, with the variant or case and whether it is alone.
        row: id of the row.
        alone: whether the attack is all that was handed in.
        submission: where it lies.
        out: where the report goes.
        rubric: a rubric file of the questions that are asked.
        expected: check -> verdict.
        points: check -> points.
        says: text that the report must hold.
        not_shown: texts that it must not hold.
        env: variables of the grader's.
    """

    name: str
    row: str
    alone: bool
    submission: str
    out: str
    rubric: str
    expected: Mapping[str, str]
    points: Mapping[str, float]
    says: str
    not_shown: Sequence[str]
    env: Mapping[str, str]


@functools.cache
def perfect_files() -> dict[str, bytes]:
    """Return the files of a submission in which everything is right."""
    vectors = torch.load(PUBLIC_VECTORS, weights_only=True)
    outputs = {name: tuple(vector["expected"].values()) for name, vector in vectors.items()}
    saved = io.BytesIO()
    accuracies = {"vit_acc": 0.7, "mae_linear_acc": 0.4, "mae_finetune_acc": 0.75}
    torch.save({"output": {**{k: v if len(v) > 1 else v[0] for k, v in outputs.items()}, **accuracies}}, saved)
    files = {
        name: notebook_bytes(solved(part.sources, Path(name).stem))
        for part in HOMEWORK.parts
        for name in part.notebooks
    }
    files |= {name: source.encode() for name, source in solved_modules().items()}
    return {**files, "autograder.pt": saved.getvalue()}


@functools.cache
def _rubric() -> Rubric:
    return load_rubric(HOMEWORK.rubric)


@functools.cache
def _template() -> NotebookNode:
    return template_notebook(_NOTEBOOK)


class Builder:
    """
    Writes submissions and rubrics into a folder.

    Args:
        work: the folder.
        whole: ask every question of the rubric instead of a few.
    """

    def __init__(self, work: Path, *, whole: bool) -> None:
        self._work = work
        self._whole = whole
        self._names = {"@ROOT@": str(ROOT), "@WORK@": str(work / "open")}

    def controls(self) -> list[Job]:
        """Return the perfect submission, which must get everything, and one with a wrong function."""
        wrong = Row("wrong", "", "", bodies={"unpatchify": "return patches"}, expect={"unpatchify": "FAILED"})
        return [self._job(Row("perfect", "", ""), "", alone=False), self._job(wrong, "", alone=False)]

    def jobs(self, row: Row) -> list[Job]:
        """Return the jobs of a row: each variant or case, inside a perfect submission and, if it can be, alone."""
        if row.same_as:
            return [job for name in row.same_as for job in self._pointed_at(row, name)]
        alone = (False, True) if row.id[0] in _ALSO_ALONE or row.alone is not None else (False,)
        return [self._job(row, variant, alone=each) for variant in row.variants for each in alone]

    def _pointed_at(self, row: Row, name: str) -> list[Job]:
        case = read_case(HOMEWORK, place_of_case(name))
        loses = dict.fromkeys(case.loses, case.verdict.name) | dict(case.also)
        asked = [
            key
            for key in CHECKS
            if key in loses or key.rpartition(".")[0] in {*loses, *case.touches, *case.changes.bodies}
        ]
        limit = row.time_limit_s or case.time_limit_s
        label = f"{row.name}={name}"
        job = Row(label, row.folder, row.about, expect=loses, also_asked=asked, time_limit_s=limit)
        jobs = [self._job(job, "", alone=False, case=case)]
        if row.id[0] in _ALSO_ALONE and case.part == VISION and not case.changes.edits:
            same = Row(
                label,
                row.folder,
                row.about,
                bodies=case.changes.bodies,
                cells_before=case.changes.cells_before,
                cells_after=case.changes.cells_after,
                files=case.changes.files,
                expect=loses or dict.fromkeys(case.changes.bodies, "PASSED"),
                also_asked=asked,
                time_limit_s=limit,
            )
            jobs.append(self._job(same, "", alone=True))
        return jobs

    def _job(self, row: Row, variant: str, *, alone: bool, case: Case | None = None) -> Job:
        name = "".join(c if c.isalnum() or c in "_=" else "-" for c in f"{row.name}{'-' + variant if variant else ''}")
        name += " (alone)" if alone else ""
        folder = self._work / "jobs" / name
        (folder / "submission").mkdir(parents=True)
        self._names["@OUT@"] = str(folder / "out")
        self._write(folder / "submission", row, variant, alone=alone, case=case)
        questions = self._questions(row)
        expected = {question.check: _expected(row, question, alone=alone) for question in questions}
        rubric = folder / "rubric.yaml"
        rubric.write_text(yaml.safe_dump(self._rubric(row, questions), sort_keys=False), encoding="utf-8")
        return Job(
            name,
            row.id,
            alone,
            str(folder / "submission"),
            str(folder / "out"),
            str(rubric),
            expected,
            {question.check: question.points for question in questions},
            row.says,
            row.not_shown,
            row.env,
        )

    def _write(self, folder: Path, row: Row, variant: str, *, alone: bool, case: Case | None) -> None:
        files = {} if alone else dict(perfect_files())
        bodies, before, after = row.notebook_edits()
        if case is not None:
            files |= case.changes.files_of(case.part)
            files |= {name: text.encode() for name, text in case.changes.files.items()}
        elif bodies or before or after:
            notebook = _template() if alone else solved(VISION.sources, _NOTEBOOK)
            for function, body in bodies.items():
                notebook = edit_notebook(notebook, dict([body_edit(notebook, function, self._filled(body))]))
            notebook = edit_notebook(notebook, {})
            first, last = (
                [nbformat.v4.new_code_cell(self._filled(source)) for source in cells] for cells in (before, after)
            )
            notebook.cells = [*first, *notebook.cells, *last]
            files[f"{_NOTEBOOK}.ipynb"] = notebook_bytes(notebook)
        files |= {name: self._filled(text).encode() for name, text in row.files.items()}
        for name, data in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(data)
        if row.made_by:
            getattr(honest if hasattr(honest, row.made_by) else made, row.made_by)(folder, variant, perfect_files())

    def _questions(self, row: Row) -> list[Question]:
        every = _rubric().questions
        if self._whole:
            return [q for q in every if q.aspect != "completion" and q.function[:17] != "meta_learning_reg"]
        asked = {*ASKED, *row.also_asked}
        return [question for question in every if question.check in asked]

    def _rubric(self, row: Row, questions: Sequence[Question]) -> dict[str, Any]:
        parts: dict[str, list[dict[str, Any]]] = {}
        for question in questions:
            entry = {key: value for key, value in asdict(question).items() if key not in ("part", "tags")}
            if row.time_limit_s is not None:
                entry["time_limit_s"] = row.time_limit_s
            if row.hidden and {question.check, question.function} & row.expect.keys():
                entry["visibility"] = "hidden"
            parts.setdefault(question.part, []).append(entry)
        return {"assignment": "HW", "time_limit_s": 300, "parts": parts}

    def _filled(self, text: str) -> str:
        for mark, value in self._names.items():
            text = text.replace(mark, value)
        return text


def _expected(row: Row, question: Question, *, alone: bool) -> str:
    """Return the verdict that a question must get; alone, what the attack does not bring is missing."""
    wanted = row.alone if alone and row.alone is not None else row.expect
    for key in (question.check, question.function):
        if key in wanted:
            return wanted[key]
    return "MISSING" if alone else "PASSED"


def main() -> None:
    """Build what is described on standard input, and print the jobs."""
    order = json.load(sys.stdin)
    from tests.hostile.cases import all_rows

    chosen = [row for row in all_rows() if not order["rows"] or row.id in order["rows"] or row.name in order["rows"]]
    chosen = [row for row in chosen if row.quick or not order["quick"]]
    builder = Builder(Path(order["work"]), whole=order["whole"])
    jobs = builder.controls() + [job for row in chosen for job in builder.jobs(row)]
    json.dump([asdict(job) for job in jobs], sys.stdout)


if __name__ == "__main__":
    main()
