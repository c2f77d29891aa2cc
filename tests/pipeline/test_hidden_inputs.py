"""Hidden inputs depend on exactly what student code can see: nothing else of a submission reaches a worker."""

from __future__ import annotations

import hashlib
import json
import linecache
from collections.abc import Mapping
from pathlib import Path

import pytest

from grader.intake.report import Intake, fingerprint, read_survey
from grader.intake.survey import survey
from grader.pipeline.ask import with_labels
from grader.pipeline.run import Settings, grade_submission
from grader.rubric import Question, Rubric
from homework.homework import HOMEWORK

WANTED = {"vision": ("patchify", "unpatchify")}
SPY = """
def patchify(images, patch_size=4):
    import linecache, os, sys
    seen = [*linecache.cache, *sys.modules, *sys.argv, *os.environ.values(), patchify.__code__.co_filename]
    seen += [str(getattr(module, "__file__", "")) for module in list(sys.modules.values())]
    named = sorted({name for name in seen if "student_of" in name or "MAE_" in name or ".ipynb" in name})
    raise ValueError(f"{patchify.__code__.co_filename} {named} {float(images.sum()):.6f}")
"""


def notebook(*sources: str) -> bytes:
    """Return a notebook of these cells."""
    cells = [{"cell_type": "code", "metadata": {}, "source": source} for source in sources]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def output_of(folder: Path, name: str, *sources: str) -> str:
    """Grade a notebook of this name and return what the student reads of the one question."""
    (folder / "in").mkdir(parents=True)
    (folder / "in" / name).write_bytes(notebook(*sources))
    question = Question("vision", "1.1", "patchify.output", 2, "t", "a", time_limit_s=20)
    grade_submission(folder / "in", Settings(HOMEWORK, Rubric("HW", 60, (question,)), folder / "out"))
    results = json.loads((folder / "out" / "results.json").read_text())
    return str(results["tests"][0]["output"])


def test_student_code_sees_no_file_name_and_the_student_reads_it(tmp_path: Path) -> None:
    """Files of two names show the code the same label and the same inputs; feedback names the file and the cell."""
    linecache.clearcache()  # code that other tests loaded in this process
    first = output_of(tmp_path / "a", "MAE_student_of_a.ipynb", "import torch", SPY)
    second = output_of(tmp_path / "b", "MAE_student_of_b.ipynb", "import torch", SPY)

    assert "`ValueError: cell 1 [] " in first
    assert "MAE_student_of_a.ipynb, code cell 2" in first
    assert first.replace("student_of_a", "student_of_b") == second


def taken(**files: bytes) -> Intake:
    """Return the intake of files; in a name, two underscores stand for a point."""
    named = {name.replace("__", "."): content for name, content in files.items()}
    return read_survey(survey(named, WANTED, HOMEWORK.files))


BASE = {"a__ipynb": notebook("def patchify(x): return x", "def unpatchify(x): return x"), "tool__py": b"A = 1\n"}


@pytest.mark.parametrize(
    ("change", "counts"),
    [
        ({"b__ipynb": BASE["a__ipynb"], "a__ipynb": None}, False),
        ({"t_e_0_0p01068700__py": b""}, True),
        ({"tool__py": None, "other__py": b"A = 1\n"}, True),
        ({"tool__py": b"A = 2\n"}, True),
        ({"a__ipynb": notebook("def unpatchify(x): return x", "def patchify(x): return x")}, True),
        ({"a__ipynb": notebook("print()", "def patchify(x): return x", "def unpatchify(x): return x")}, False),
        ({"a__ipynb": notebook("def patchify(x): return x", "def unpatchify(")}, True),
        ({"autograder__pt": b"one"}, True),
    ],
    ids=["another notebook's name", "an empty module", "a module's name", "a module", "the order of cells",
         "a cell that nobody needs", "broken code", "a saved file"],
)  # fmt: skip
def test_the_fingerprint_is_of_what_can_be_seen(change: Mapping[str, bytes | None], counts: bool) -> None:
    """Whatever a worker is sent, or decides what it is sent, gives other inputs; a name that stays here does not."""
    changed = {name: content for name, content in {**BASE, **change}.items() if content is not None}

    assert (fingerprint(taken(**changed)) != fingerprint(taken(**BASE))) is counts


def test_saved_files_count_by_their_content() -> None:
    """Two that differ in a byte give other inputs; the same one gives the same."""
    one, again, other = (fingerprint(taken(**BASE, autograder__pt=data)) for data in (b"one", b"one", b"two"))

    assert one == again != other


def test_no_text_passes_for_the_structure_around_it() -> None:
    """A module that is called as a file's role is, with its digest for a source, is not that file."""
    digest = hashlib.sha256(b"one").hexdigest()

    assert len({fingerprint(taken(**BASE, **{"file__py": digest.encode()})), fingerprint(taken(**BASE)),
                fingerprint(taken(**BASE, autograder__pt=b"one"))}) == 3  # fmt: skip


def test_requests_hold_no_label_of_the_students() -> None:
    """Cells are numbered as they are sent; their real labels stay here, by number."""
    code = taken(**{"a__ipynb": notebook("print()", "import torch", "def patchify(x): return torch.x")}).parts["vision"]
    request = code.as_request(["patchify"], {})

    assert request["cells"] == [["cell 1", "import torch", 0], ["cell 2", "def patchify(x): return torch.x", 0]]
    assert code.labels(["patchify"]) == {"cell 1": "a.ipynb, code cell 2", "cell 2": "a.ipynb, code cell 3"}


LABELS = {"cell 1": "a.ipynb, code cell 7"}


@pytest.mark.parametrize(
    ("sent", "told"),
    [
        ({"where": [{"label": "cell 1", "line": 3}]}, {"where": [{"label": LABELS["cell 1"], "line": 3}]}),
        ({"where": [{"label": "tool.py"}]}, {"where": [{"label": "tool.py"}]}),
        ({"cause": {"where": [{"label": "cell 1"}]}}, {"cause": {"where": [{"label": LABELS["cell 1"]}]}}),
        ({"message": "'return' outside function (cell 1, line 2)"},
         {"message": "'return' outside function (a.ipynb, code cell 7, line 2)"}),
        ({"message": "row (cell 9, line 2)"}, {"message": "row (cell 9, line 2)"}),
        ({"where": [1, [], {"label": []}, {"label": {}}], "cause": [], "message": 5},
         {"where": [{"label": []}, {"label": {}}], "cause": [], "message": 5}),
        ({"cause": {"cause": {"cause": {}}}}, {"cause": {"cause": {"cause": {}}}}),
    ],
)  # fmt: skip
def test_failures_are_told_with_the_labels_that_people_know(sent: dict[str, object], told: dict[str, object]) -> None:
    """Frames, causes and places in messages are translated; whatever else a worker sends is passed on as it is."""
    assert with_labels(sent, LABELS) == told
