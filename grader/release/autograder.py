"""autograder.zip: what staff upload to Gradescope, refused unless it grades right."""

from __future__ import annotations

import secrets
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from grader.errors import StaffError
from grader.pipeline.run import SECRET_FILE, TEMPLATES, Settings, grade_submission
from grader.release.submissions import write_solved_submission
from grader.rubric import DEFAULT_RUBRIC, Rubric, load_rubric

_ROOT = Path(__file__).parents[2]
_EXECUTABLES = ("setup.sh", "run_autograder")
_FOLDERS = ("requirements", "grader", "reference", "student_templates")
# Notebook sources are for releases, not for grading; the key that signs verdicts stays with the staff.
_LEFT_OUT = ("__pycache__", "notebooks", "verdicts.key", "relayed")
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say: the same source gives the same bytes


def write_autograder(
    path: Path,
    *,
    rubric: Path = DEFAULT_RUBRIC,
    extra: Mapping[str, bytes] | None = None,
    on_step: Callable[[str], None] = print,
) -> Path:
    """
    Write the zip, after the solved submission got every point and the untouched template none.

    Hidden inputs are drawn from `grader/secret.key`; it is made here once if it is not there, and stays.

    Args:
        path: where the zip goes; an older one is replaced only by a complete new one.
        rubric: the rubric that goes into the zip as grader/rubric.yaml.
        extra: files that go into it besides, by their names there.
        on_step: called with a few words when something begins.

    Raises:
        StaffError: the rubric is wrong, or the grader does not grade as it should.
    """
    loaded = load_rubric(rubric)
    if not SECRET_FILE.exists():
        on_step("Making grader/secret.key: keep it, it decides the hidden inputs")
        SECRET_FILE.write_bytes(secrets.token_bytes(32))
        SECRET_FILE.chmod(0o600)
    with tempfile.TemporaryDirectory() as folder:
        solved = write_solved_submission(Path(folder) / "solved.zip")
        on_step("Grading the solved submission: it has to get every point")
        _require(solved, loaded, sum(question.points for question in loaded.questions), Path(folder))
        on_step("Grading the untouched template: it has to get none")
        _require(TEMPLATES, loaded, 0.0, Path(folder))
    on_step(f"Writing {path}")
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_suffix(".unfinished")
    with zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as archive:
        contents = {name: file.read_bytes() for name, file in _contents(rubric)} | dict(extra or {})
        for name, data in sorted(contents.items()):
            mode = 0o755 if name in _EXECUTABLES else 0o644
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)
    return unfinished.replace(path)


def _require(submission: Path, rubric: Rubric, points: float, folder: Path) -> None:
    report = grade_submission(submission, Settings(rubric=rubric, out=folder / "results"))
    if report.score == points:
        return
    wrong = [item for item in report.judgements if item.evidence.passed != (points > 0) and item.question.points]
    named = ", ".join(f"{item.question.number} ({item.evidence.verdict.value})" for item in wrong)
    raise StaffError(
        happened=f"{submission.name} gets {report.score:g} points where {points:g} are right; look at {named}.",
        try_next="No zip was written. Run ./run_tests, and mend the reference, the check or the template.",
    )


def _contents(rubric: Path) -> Iterator[tuple[str, Path]]:
    for name in _EXECUTABLES:
        yield name, _ROOT / name
    for folder in _FOLDERS:
        for file in (_ROOT / folder).rglob("*"):
            inside = file.relative_to(_ROOT)
            if file.is_file() and not set(inside.parts) & set(_LEFT_OUT):
                yield str(inside), rubric if file == DEFAULT_RUBRIC else file
