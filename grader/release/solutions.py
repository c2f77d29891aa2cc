"""The solutions: notebooks executed and printed, the written answers, the vectors, the solved submission."""

from __future__ import annotations

import base64
import hashlib
import re
import zipfile
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.release.answers import Answer, answers_markdown, figure_files, gather_answers
from grader.release.atomic import complete_folder
from grader.release.execute import Executed, OnText, execute
from grader.release.modules import solved_modules
from grader.release.notebooks import (
    Fill,
    NotebookNode,
    edit_notebook,
    notebook_bytes,
    notebook_sources,
    solved_notebook,
)
from grader.release.pages import markdown_page, notebook_page
from grader.release.printing import print_page, printer
from grader.release.progress import OnStep, Step, unheard
from grader.release.repeatable import describe_repeatability
from grader.release.workshop import NotebookRun, Numbers, Workshop, tensor_bytes

_AT_ONCE = 2
_SUMS = "SHA256SUMS"
SUBMISSION = "hw4_submission.zip"
_EPOCHS = re.compile(r"^\w+_epochs = (\d+)", re.MULTILINE)
_EPOCH = re.compile(r"^epoch \d+: ", re.MULTILINE)
_DONE_BEFORE = re.compile(r"(\d+) epochs were done before")


@dataclass(frozen=True)
class Released:
    """
    What came of writing the solutions.

    Attributes:
        folder: where they are.
        files: names of all files, in order.
        changed: of those that were in the folder before, which have other bytes now; None if there was no folder.
    """

    folder: Path
    files: tuple[str, ...]
    changed: tuple[str, ...] | None


def write_solutions(
    workshop: Workshop, out: Path, *, gpu: bool = False, full: bool = False, on_step: OnStep = unheard
) -> Released:
    """
    Make everything that the course keeps of the solved homework; the folder is replaced when all of it is there.

    Args:
        workshop: of the homework.
        out: the folder; what was in it before is gone afterwards.
        gpu: whether there is a GPU, on which CIFAR-10, where it is at hand, is trained on as handed out.
        full: train on CIFAR-10 as handed out, also without a GPU; an interrupted training goes on where it was.
        on_step: told how far it has come.

    Raises:
        StaffError: CIFAR-10 is not there to train on in full, a notebook failed, an answer is missing, or there is no
            browser to print with.
    """
    numbers = workshop.numbers
    measured = None if numbers is None else _measure(numbers, on_step)
    notebooks = {}
    for source in notebook_sources(workshop.sources):
        solved = solved_notebook(workshop.sources, source.stem, fill=_filled_with(numbers, measured))
        prepare = workshop.prepare.get(source.stem)
        notebooks[source.stem] = NotebookRun(solved) if prepare is None else prepare(solved, gpu, full)
    vectors = {name: tensor_bytes(content()) for name, content in workshop.vectors.items()}
    with complete_folder(out) as folder:
        executed = _execute_all(workshop, notebooks, vectors, folder, on_step)
        if numbers is not None:
            numbers.require_same(list(executed.values()), measured)
        answers = gather_answers(list(executed.values()))
        pages = {name: notebook_page(notebook) for name, notebook in executed.items()}
        _write_sources(workshop, folder, executed, vectors)
        pages["written_answers"] = _write_answers(folder, answers)
        _print_all(folder, pages, on_step)
        (folder / "REPRODUCIBILITY.md").write_text(describe_repeatability(), encoding="utf-8")
        sums = _sums(folder)
        (folder / _SUMS).write_text("".join(f"{digest}  {name}\n" for name, digest in sums.items()), encoding="utf-8")
        before = _sums(out) if out.is_dir() else None
    changed = None if before is None else tuple(name for name in sums if before.get(name, sums[name]) != sums[name])
    return Released(out, (*sums, _SUMS), changed)


def _measure(numbers: Numbers, on_step: OnStep) -> Any:
    """Return the numbers of the written answers, from runs of this release."""
    task = "numbers of the answers"
    on_step(Step(task, 0, 1))
    measured = numbers.measure()
    on_step(Step(task, 1, 1))
    return measured


def _filled_with(numbers: Numbers | None, measured: Any) -> Fill:
    return str if numbers is None else lambda text: numbers.fill(text, measured)


def _execute_all(
    workshop: Workshop,
    notebooks: Mapping[str, NotebookRun],
    vectors: Mapping[str, bytes],
    folder: Path,
    on_step: OnStep,
) -> dict[str, NotebookNode]:
    """Write the solved submission, then execute the notebooks beside its files, two at a time."""
    on_step(Step(SUBMISSION, 0, 1))
    beside = {**_files_of(workshop.write_solved(folder / SUBMISSION)), **vectors}
    beside.update((f"{name}.ipynb", _as_saved(notebooks[name].notebook)) for name in workshop.prepare)
    on_step(Step(SUBMISSION, 1, 1))

    def run(name: str) -> Executed:
        job, task = notebooks[name], f"{name}.ipynb"
        on_step(Step(task, 0, len(job.notebook.cells)))
        return execute(
            job.notebook,
            beside,
            environment=job.environment,
            limit_s=job.limit_s,
            on_cell=lambda done, total: on_step(Step(task, done, total)),
            on_text=epochs_heard(f"{task}: epochs", job.notebook, on_step),
            work=job.work,
        )

    order = [*workshop.slowest, *(name for name in notebooks if name not in workshop.slowest)]
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        jobs: dict[str, Future[Executed]] = {name: pool.submit(run, name) for name in order}
        try:
            results = {name: jobs[name].result().notebook for name in notebooks}
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)  # what has not begun is not begun
            raise
    return results


def _files_of(archive: Path) -> dict[str, bytes]:
    """Return the files of a zip of ours."""
    with zipfile.ZipFile(archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


def _as_saved(notebook: NotebookNode) -> bytes:
    """Return a notebook as its own last cell finds it: saved after its cells ran."""
    saved = edit_notebook(notebook, {})
    for count, cell in enumerate((cell for cell in saved.cells if cell.cell_type == "code"), start=1):
        cell.execution_count = count
    return notebook_bytes(saved)


def epochs_heard(task: str, notebook: NotebookNode, on_step: OnStep) -> OnText:
    """Return a listener that counts the epochs that a notebook prints; some were done before where it goes on."""
    code = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "code")
    total = sum(int(count) for count in _EPOCHS.findall(code))
    done = 0

    def listen(text: str) -> None:
        nonlocal done
        heard = len(_EPOCH.findall(text)) + sum(int(count) for count in _DONE_BEFORE.findall(text))
        if heard:
            done += heard
            on_step(Step(task, done, total))

    return listen


def _write_sources(
    workshop: Workshop, folder: Path, executed: Mapping[str, NotebookNode], vectors: Mapping[str, bytes]
) -> None:
    for name, notebook in executed.items():
        (folder / f"{name}.ipynb").write_bytes(notebook_bytes(notebook))
    for name, text in solved_modules(workshop.sources).items():
        (folder / name).write_text(text, encoding="utf-8")
    for name, data in vectors.items():
        (folder / name).write_bytes(data)


def _write_answers(folder: Path, answers: list[Answer]) -> str:
    """Write the answers as Markdown with their figures, and return them as a page."""
    figures = figure_files(answers)
    (folder / "figures").mkdir()
    for name, data in figures.items():
        (folder / "figures" / name).write_bytes(data)
    shown = answers_markdown(answers, figures={name: f"figures/{name}" for name in figures})
    (folder / "written_answers.md").write_text(shown, encoding="utf-8")
    inside = {name: f"data:image/png;base64,{base64.b64encode(data).decode()}" for name, data in figures.items()}
    return markdown_page(answers_markdown(answers, figures=inside))


def _print_all(folder: Path, pages: Mapping[str, str], on_step: OnStep) -> None:
    """Write each page as HTML and as PDF."""
    task = "HTML and PDF"
    on_step(Step(task, 0, len(pages)))
    with printer() as browser:
        for done, (name, page) in enumerate(pages.items(), start=1):
            path = folder / f"{name}.html"
            path.write_text(page, encoding="utf-8")
            print_page(browser, path, folder / f"{name}.pdf")
            on_step(Step(task, done, len(pages)))


def _sums(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name != _SUMS)
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}
