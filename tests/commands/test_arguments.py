"""What is wrong with a call is said in two sentences, before a bar, a sandbox or a folder is there."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from grader.__main__ import main
from grader.errors import StaffError, why_unreadable
from grader.sandbox.host import Sandbox
from homework.homework import HOMEWORK

ROOT = Path(__file__).parents[2]
# What to call, with "{there}" for a folder that holds what `folder` makes -> the beginning of what is said.
WRONG = {
    "class {there}/text.md --out {out}": "{there}/text.md is no export: it is neither a zip nor a folder.",
    "class {there}/none --out {out}": "The export {there}/none cannot be read: it is not there.",
    "class {there} --out {out} --rubric {there}/none": "The rubric {there}/none cannot be read: it is not there.",
    "class {there} --out {out} --rubric {there}/wrong.yaml": "The rubric wrong.yaml is wrong in line ",
    "class {there} --out {out} --roster {there}/none": "The roster {there}/none cannot be read: it is not there.",
    "class {there} --out {out} --roster {there}/latin.csv": "The roster {there}/latin.csv cannot be read: it is not sa",
    "class {there} --out {out} --ray 127.0.0.1:1": "Nothing answers at 127.0.0.1:1 ",
    "class {there} --out {out} --due soon": "'soon' is no time with a zone.",
    "preview {there}/none --student ada": "{there}/none holds no graded class: ",
    "grade {there}/none --out {out}": "There is no {there}/none.",
    "grade {there}/text.md --out {out}": "The submission '{there}/text.md' is neither a zip nor a notebook.",
    "grade {there} --out {out} --rubric {there}/wrong.yaml": "The rubric wrong.yaml is wrong in line ",
    "audit {there}/text.md --out {out}": "The submission '{there}/text.md' is neither a zip nor a notebook.",
    "check {there}/none": "There is no {there}/none.",
    "check {there}/text.md": "The submission '{there}/text.md' is neither a zip nor a notebook.",
    "report {there}": "{there} holds no graded class: its class.json cannot be read, because it is not there.",
    "report {there}/none": "{there}/none holds no graded class: its class.json cannot be read, because it is not ",
    "report {there}/cut": "{there}/cut/class.json is damaged: ",
    "report {there}/odd": "{there}/odd/class.json is damaged: ",
    "diff {there} {there}/text.md": "{there} is no grading: there is neither a class.json nor a results.json in it.",
    "diff {there}/text.md {there}": "{there}/text.md is no grading: it is not JSON, or not all of it is there.",
    "diff {there}/none {there}": "{there}/none is no grading: it is not there.",
    "diff {there}/odd.json {there}": "{there}/odd.json is no results.json of this grader: ",
}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder of files that are not what they should be."""
    folder = tmp_path_factory.mktemp("there")
    (folder / "text.md").write_text("# Read me")
    (folder / "latin.csv").write_bytes("name,email\nJörg,j@example.edu\n".encode("latin-1"))
    rubric = HOMEWORK.rubric.read_text(encoding="utf-8")
    (folder / "wrong.yaml").write_text(rubric.replace("patchify.output", "patchfy.output"), encoding="utf-8")
    (folder / "odd.json").write_text('{"score": 1, "tests": [1]}')
    for name, index in (("cut", '{"entries": ['), ("odd", '{"entries": [{"id": 1, "key": 2, "students": ["Ada"]}]}')):
        (folder / name).mkdir()
        (folder / name / "class.json").write_text(index)
    return folder


@pytest.mark.parametrize("call", WRONG)
def test_a_wrong_call_is_told_before_anything_begins(
    call: str, there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing is printed or made before, and no words of an exception are among those that staff read."""

    def enter(_: Sandbox) -> None:
        pytest.fail("a sandbox was started")

    monkeypatch.setattr(Sandbox, "__enter__", enter)
    arguments = [piece.format(there=there, out=tmp_path / "out") for piece in call.split()]

    done = CliRunner(env={"GRADER_CLEAN_ENVIRONMENT": "1"}).invoke(main, arguments)

    assert isinstance(done.exception, StaffError), done.exception
    assert done.exception.happened.startswith(WRONG[call].format(there=there))
    assert done.exception.try_next.endswith(".")
    assert not any(word in str(done.exception) for word in ("Errno", "Error", "codec", "argument", "(char "))
    assert done.output == ""
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (FileNotFoundError(2, "No such file or directory", "x"), "it is not there"),
        (PermissionError(13, "Permission denied", "x"), "this user may not read it"),
        (OSError(5, "Input/output error", "x"), "input/output error"),
        (OSError("odd"), "it is damaged"),
        (KeyError("tests"), "it is damaged"),
        (UnicodeDecodeError("utf-8", b"\xff", 0, 1, "invalid start byte"), "it is not saved as UTF-8"),
    ],
)
def test_what_cannot_be_read_is_explained_without_an_exceptions_words(error: Exception, words: str) -> None:
    """The end of a sentence, also for errors that nobody thought of."""
    assert why_unreadable(error) == words


@pytest.mark.parametrize("call", [["none.zip"], ["README.md"], ["--unknown"]])
def test_run_autograder_adds_nothing_to_a_message_that_is_complete(call: list[str], tmp_path: Path) -> None:
    """The status is 2, and no report that says that the grader failed is left behind."""
    command = [str(ROOT / "run_autograder"), *call, "--out", str(tmp_path / "out")]

    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)

    assert done.returncode == 2
    assert done.stderr.strip()
    assert "ended with status" not in done.stderr
    assert not (tmp_path / "out").exists()


def test_run_autograder_says_that_a_grader_broke_down(tmp_path: Path) -> None:
    """Whatever else ends it has said nothing in words: a line says so, and a report is there."""
    (tmp_path / "run_autograder").write_bytes((ROOT / "run_autograder").read_bytes())
    (tmp_path / "setup.sh").write_text("exit 1\n")
    command = ["bash", str(tmp_path / "run_autograder"), "x.zip", "--out", str(tmp_path / "out")]

    done = subprocess.run(command, capture_output=True, text=True, check=False)

    assert done.returncode == 3
    assert "run_autograder: the grader ended with status 3." in done.stderr
    assert (tmp_path / "out" / "results.json").exists()


def test_check_says_that_it_takes_zips() -> None:
    """As `grade` does, in the same words."""
    for command in ("check", "grade"):
        assert "(a zip, a notebook or a folder)" in " ".join(
            CliRunner().invoke(main, [command, "--help"]).output.split()
        )
