"""Whole audits: notebooks executed in the sandbox, honest ones, endless ones and hostile ones."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path
from typing import Any

import jsonschema
import nbformat
import pytest
import torch

from grader.audit.findings import CHANGED, LOOK, findings_of
from grader.audit.record import CellRecord, NotebookRecord
from grader.audit.report import SCHEMA, as_json, as_markdown, write_audit
from grader.audit.run import Audit, Settings, audit_submission
from grader.release.notebooks import notebook_bytes
from grader.sandbox import landlock
from homework.homework import HOMEWORK
from homework.release.sources import solved_notebook
from homework.release.submissions import write_solved_submission

ROOT = Path(__file__).parents[2]
pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a worker a uid of its own"),
    pytest.mark.skipif(landlock.abi() == 0, reason="without Landlock a notebook's kernel cannot be started"),
]

HONEST = [
    ("print('accuracy', 0.5)", "accuracy 0.5\n"),
    ("!pip install torchvision\nfrom google.colab import drive\ndrive.mount('/content/drive')", ""),
    ("started = 1\nprint('before')\nwhile True:\n    pass", "done\n"),
    ("print('still', started)", "still 1\n"),
    (
        "import time\nignoring = True\nwhile True:\n    try:\n        time.sleep(100)\n    except KeyboardInterrupt:\n"
        "        pass\nlate = 1",
        "done\n",
    ),
    ("from helper import y\nprint('again', y)", "again 7\n"),
    ("print(late)", "1\n"),
    ("import os\nos._exit(3)", ""),
    ("print('after a crash', 1)", "after a crash 1\n"),
    ("from pathlib import Path\nsize = Path('autograder.pt').write_bytes(Path('mine.pt').read_bytes())", ""),
    ("print(0.71)", "0.13\n"),
]
ATTEMPTS = {
    "read the grader": "open('{root}/homework/rubric.yaml').read()",
    "read the reference": "open('{root}/reference/vision/patches.py').read()",
    "read the password file": "open('/etc/passwd').read()",
    "read another process": "open('/proc/{parent}/environ', 'rb').read()",
    "list the checkout": "os.listdir('{root}')",
    "list other workers": "os.listdir('../..')",
    "write outside": "open('/tmp/audit-was-here', 'w').write('x')",
    "write into the checkout": "open('{root}/audit-was-here', 'w').write('x')",
    "reach the network": "socket.socket(socket.AF_INET)",
    "reach a local service": "socket.socket(socket.AF_UNIX)",
    "kill the grader": "os.kill({parent}, 9)",
    "become root": "os.setuid(0)",
    "read the worker's messages": "os.listdir('/proc/' + str(os.getppid()) + '/fd')",
}
DAEMON = """
import os, time
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        time.sleep(1000)
    os._exit(0)
os.wait()
print("uid", os.getuid())
"""

# Says where a socket can be made: what runs before the filter stands could speak to a service of the machine.
EAGER = """
import socket, pathlib
try:
    socket.socket(socket.AF_UNIX).close()
    pathlib.Path({evidence!r}).write_text(__file__)
except OSError:
    pass
"""
BESIDE = ("google.py", "torchvision.py", "sitecustomize.py", "usercustomize.py", "ipython_config.py", "ipykernel.py")
# Writes the same into every place that a kernel started later might read, goes on doing so, and ends this kernel.
PLANT = """
import os, pathlib, site, time
code = pathlib.Path("google.py").read_text()
user = pathlib.Path(site.getusersitepackages())
def plant():
    kernels = [*pathlib.Path("..").glob("kernel-*"), pathlib.Path(os.environ["HOME"]), pathlib.Path("..")]
    profiles = [os.environ["IPYTHONDIR"], *[f"{place}/{name}" for place in kernels for name in ("ipython", ".ipython")]]
    names = ("ipython_config.py", "ipython_kernel_config.py", "startup/00.py")
    places = [pathlib.Path(profile, "profile_default", name) for profile in profiles for name in names]
    places += [user / "usercustomize.py", user / "sitecustomize.py", pathlib.Path("..", "google.py")]
    places += [place / ".jupyter" / "jupyter_config.py" for place in kernels]
    for place in places:
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(code)
plant()
if os.fork():
    os._exit(3)
os.setsid()
while True:
    plant()
    time.sleep(0.01)
"""


def write_notebook(path: Path, cells: list[tuple[str, str]]) -> None:
    """Write a notebook whose cells were run in order and printed a text each."""
    notebook = nbformat.v4.new_notebook()
    for count, (source, printed) in enumerate(cells, start=1):
        outputs = [nbformat.v4.new_output("stream", name="stdout", text=printed)] if printed else []
        notebook.cells.append(nbformat.v4.new_code_cell(source, execution_count=count, outputs=outputs))
    path.write_text(nbformat.writes(notebook), encoding="utf-8")


def cells_of(audit: Audit, name: str) -> dict[int, CellRecord]:
    """Return the cells of a notebook by their number."""
    return {cell.number: cell for cell in record_of(audit, name).cells}


def record_of(audit: Audit, name: str) -> NotebookRecord:
    """Return a notebook's record."""
    return next(record for record in audit.notebooks if record.name == name)


def printed_now(record: NotebookRecord) -> dict[int, str]:
    """Return what each cell of an executed notebook printed."""
    cells: list[Any] = nbformat.reads(record.executed.decode(), as_version=4).cells
    return {
        number: "".join(output.text for output in cell.outputs if output.output_type == "stream")
        for number, cell in enumerate(cells, start=1)
    }


@pytest.fixture(scope="module")
def audit(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """Return the audit of a submission with an honest notebook, with endless cells in it, and a hostile one."""
    folder = tmp_path_factory.mktemp("submission")
    write_notebook(folder / "honest.ipynb", HONEST)
    (folder / "helper.py").write_text("y = 7")
    for name in ("mine.pt", "autograder.pt"):
        torch.save({"output": {"patchify": torch.ones(2), "vit_acc": 0.7}}, folder / name)
    places = {"root": ROOT, "parent": os.getpid()}
    hostile = [(f"import os, socket\n{code.format(**places)}", "done\n") for code in ATTEMPTS.values()]
    write_notebook(folder / "hostile.ipynb", [*hostile, (DAEMON, "")])
    return audit_submission(folder, Settings(HOMEWORK, cell_limit_s=2.0, budget_s=60.0))


def test_a_cell_that_loops_for_ever_costs_its_own_limit_only(audit: Audit) -> None:
    """It is interrupted, its output is kept, and the next cell finds every name that was there."""
    cells, printed = cells_of(audit, "honest.ipynb"), printed_now(record_of(audit, "honest.ipynb"))

    assert cells[3].status == "TIMEOUT"
    assert printed[3] == "before\n"
    assert (cells[4].status, printed[4]) == ("OK", "still 1\n")


def test_a_cell_that_ignores_its_interrupt_costs_the_kernel_and_quick_cells_are_run_again(audit: Audit) -> None:
    """The kernel is ended and started again; what needs the lost names is told from what is wrong."""
    cells, printed = cells_of(audit, "honest.ipynb"), printed_now(record_of(audit, "honest.ipynb"))

    assert cells[5].status == "TIMEOUT_KILLED"
    assert printed[6] == "again 7\n"
    assert (cells[7].status, cells[7].needs) == ("NEEDS_NAMES", ("late", 5))
    assert cells[8].status == "CRASHED"
    assert (cells[9].status, cells[9].verdict) == ("OK", "same")


def test_what_agrees_and_what_differs_is_said(audit: Audit) -> None:
    """The same line is the same; another number is one to look at, with both lines."""
    record = record_of(audit, "honest.ipynb")
    found = [finding.text for finding in findings_of(record, audit.settings) if finding.level == LOOK]

    assert cells_of(audit, "honest.ipynb")[1].verdict == "same"
    assert found == ["Cell 11 showed “0.13” when it was handed in, and “0.71” now."]


def test_shell_lines_are_not_run_and_colab_is_there(audit: Audit) -> None:
    """The line that was left out is named; mounting a drive does nothing."""
    record = record_of(audit, "honest.ipynb")
    changed = [finding.text for finding in findings_of(record, audit.settings) if finding.level == CHANGED]

    assert cells_of(audit, "honest.ipynb")[2].status == "OK"
    assert changed == ["Cell 2, line 1: “!pip install torchvision” was left out."]


def test_saved_values_come_home_and_are_compared(audit: Audit) -> None:
    """What the notebooks write now is held against what was handed in, accuracies apart."""
    assert {value.key: value.verdict for value in audit.saved} == {"patchify": "same", "vit_acc": "not comparable"}


@pytest.mark.parametrize("attempt", ATTEMPTS)
def test_a_hostile_notebook_reaches_nothing(audit: Audit, attempt: str) -> None:
    """Files, folders, sockets, signals and other processes are denied to its cells as to every other worker's code."""
    number = list(ATTEMPTS).index(attempt) + 1

    assert cells_of(audit, "hostile.ipynb")[number].error_now == "PermissionError"


def test_nothing_of_the_submission_runs_before_the_filter(tmp_path: Path) -> None:
    """Modules beside the notebook, and what a cell left for a later kernel, are read when no socket can be made."""
    write_notebook(
        tmp_path / "early.ipynb",
        [
            ("import google.colab\nimport os\nprint(os.listdir('.'))", ""),
            (PLANT, ""),
            ("import os, sitecustomize, google\nprint(os.path.exists('evidence'), google.__name__)", ""),
            ("import socket\nsocket.socket(socket.AF_UNIX)", ""),
        ],
    )
    for name in BESIDE:
        (tmp_path / name).write_text(EAGER.format(evidence="evidence"))

    (record,) = audit_submission(tmp_path, Settings(HOMEWORK, cell_limit_s=10.0, budget_s=60.0)).notebooks

    shown = printed_now(record)
    assert "google.py" in shown[1]  # the files lie there
    assert shown[3] == "False google\n"
    assert record.cells[3].error_now == "PermissionError"


def test_a_hostile_notebook_leaves_nothing(audit: Audit) -> None:
    """No file outside its folder, and no process of its uid, though one left its session and its parents."""
    said = printed_now(record_of(audit, "hostile.ipynb"))[len(ATTEMPTS) + 1]
    uid = int(said.split()[1])
    uids = set()
    for status in Path("/proc").glob("[0-9]*/status"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            uids.add(int(status.read_text().partition("Uid:")[2].split()[0]))

    assert uid >= 20_000
    assert uid not in uids
    assert not Path("/tmp/audit-was-here").exists()
    assert not (ROOT / "audit-was-here").exists()


def test_the_report_is_written_by_its_schema(audit: Audit, tmp_path: Path) -> None:
    """JSON for programs, a page for people, and the executed notebooks, which open in Jupyter."""
    written = write_audit(audit, tmp_path)
    content = json.loads((tmp_path / "audit.json").read_text(encoding="utf-8"))

    jsonschema.validate(content, json.loads(SCHEMA.read_text(encoding="utf-8")))
    assert content == as_json(audit)
    assert len(written) == 4
    for notebook in content["notebooks"]:
        nbformat.validate(nbformat.read(tmp_path / notebook["executed"], as_version=4))
    page = as_markdown(audit)
    assert "Nothing in this report is proof of anything" in page
    assert "at most 1 epoch: what is trained cannot be compared with what was handed in." in page


def test_the_time_for_all_cells_is_bounded(tmp_path: Path) -> None:
    """What is left when the time is used up is listed as not begun."""
    write_notebook(tmp_path / "slow.ipynb", [("while True: pass", ""), ("print(1)", "1\n"), ("print(2)", "2\n")])
    audit = audit_submission(tmp_path, Settings(HOMEWORK, cell_limit_s=30.0, budget_s=8.0))

    cells = cells_of(audit, "slow.ipynb")
    assert [cell.status for cell in cells.values()] == ["TIMEOUT", "OUT_OF_BUDGET", "OUT_OF_BUDGET"]
    assert "Not begun, because the time for all cells was used up: cells 2, 3." in [
        finding.text for finding in findings_of(record_of(audit, "slow.ipynb"), audit.settings)
    ]


@pytest.mark.slow
def test_the_solved_homework_agrees_with_itself(tmp_path: Path) -> None:
    """The whole solved homework is executed on stand-in images; what can be compared is the same."""
    audit = audit_submission(
        write_solved_submission(tmp_path / "solved.zip"),
        Settings(HOMEWORK, cell_limit_s=240.0, budget_s=1500.0, threads=2),
    )

    assert audit.notebooks[0].name == "MAE_student.ipynb"
    assert [record.ended for record in audit.notebooks] == [""] * 4
    assert not [cell for record in audit.notebooks for cell in record.cells if cell.verdict in ("differs", "not run")]
    verdicts = {value.key: value.verdict for value in audit.saved}
    assert verdicts["MaskedAutoEncoder.forward_decoder"] == "same"
    assert verdicts["vit_acc"] == "only now"


@pytest.mark.slow
def test_a_claimed_accuracy_is_held_against_a_shortened_training(tmp_path: Path) -> None:
    """The example of the report: what was printed then, what is printed now, and why that says nothing."""
    notebook = solved_notebook("MAE_student")
    cell = next(cell for cell in notebook.cells if 'output["vit_acc"] = ' in cell.source)
    printed = nbformat.v4.new_output("stream", name="stdout", text="vision transformer: test accuracy 0.712\n")
    cell.execution_count, cell.outputs = 27, [printed]
    (tmp_path / "MAE_student.ipynb").write_bytes(notebook_bytes(notebook))
    audit = audit_submission(tmp_path, Settings(HOMEWORK, cell_limit_s=240.0, budget_s=1500.0, threads=2))

    (found,) = [each for each in audit.notebooks[0].cells if each.then]
    assert found.then == "vision transformer: test accuracy 0.712"
    assert found.now.startswith("epoch 1: training loss") or found.now.startswith("vision transformer: test accuracy")
    assert found.verdict == "not comparable"
