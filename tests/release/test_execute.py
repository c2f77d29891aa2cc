"""Executing notebooks as Jupyter does: outputs stay, what differs from run to run does not."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest

from grader.errors import StaffError
from grader.release.execute import execute
from grader.release.notebooks import notebook_bytes
from grader.release.progress import Step
from grader.release.solutions import epochs_heard

SHOWS = """\
import os
import matplotlib.pyplot as plt
plt.plot([1, 2])
plt.show()
print("threads", os.environ["OMP_NUM_THREADS"])
open("written.txt", "w").write(open("given.txt").read() + os.environ["MINE"])
"""


def notebook(*sources: str) -> nbformat.NotebookNode:
    """Return a notebook of code cells."""
    return nbformat.v4.new_notebook(
        cells=[nbformat.v4.new_code_cell(source, id=f"cell-{number}") for number, source in enumerate(sources)]
    )


def test_outputs_are_kept_and_repeat() -> None:
    """Text, pictures with words for them, and written files come home, in the same bytes twice."""
    runs, told = [], []
    for _ in range(2):
        runs.append(
            execute(
                notebook("x = 1", SHOWS),
                {"given.txt": b"given "},
                environment={"MINE": "mine"},
                limit_s=120,
                on_cell=lambda done, total: told.append((done, total)),
            )
        )

    assert notebook_bytes(runs[0].notebook) == notebook_bytes(runs[1].notebook)
    assert runs[0].written == {"written.txt": b"given mine"}
    outputs = runs[0].notebook.cells[1].outputs
    assert {"display_data", "stream"} <= {output.output_type for output in outputs}
    (figure,) = [output for output in outputs if output.output_type == "display_data"]
    assert figure.metadata["image/png"]["alt"] == "Figure 1 of this notebook"
    assert told == [(1, 2), (2, 2)] * 2


@pytest.mark.parametrize(
    ("source", "limit_s", "words"),
    [("1 / 0", 60, "ZeroDivisionError: division by zero"), ("import time; time.sleep(60)", 1, "within 1 s")],
)
def test_a_cell_that_fails_stops_the_release(source: str, limit_s: int, words: str) -> None:
    """A cell that raises or hangs is a StaffError that says so."""
    with pytest.raises(StaffError, match=words):
        execute(notebook(source), {}, environment={}, limit_s=limit_s)


def test_what_a_cell_prints_is_heard_and_a_named_folder_stays(tmp_path: Path) -> None:
    """Epochs are counted as they are printed, and a second run finds what the first one kept."""
    source = "print('epoch 1: training loss 0.5'); open('kept', 'a').write('x')"
    heard: list[str] = []

    for _ in range(2):
        execute(notebook(source), {}, environment={}, limit_s=60, on_text=heard.append, work=tmp_path / "work")

    assert "".join(heard).count("epoch 1: training loss 0.5") == 2
    assert (tmp_path / "work" / "kept").read_text() == "xx"


def test_epochs_are_counted_also_where_training_goes_on() -> None:
    """Of 30 epochs two were done before; the ones that are printed come on top."""
    steps: list[Step] = []
    listen = epochs_heard("epochs", notebook("vit_epochs = 10", "mae_epochs = 20"), steps.append)

    for text in ("vit.checkpoint: 2 epochs were done before. Delete", "epoch 3: training loss 1\n", "something else"):
        listen(text)

    assert steps == [Step("epochs", 2, 30), Step("epochs", 3, 30)]
