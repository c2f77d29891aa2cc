"""autograder.zip: what staff upload to Gradescope, refused unless it grades right."""

from __future__ import annotations

import secrets
import tempfile
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from grader.pipeline.homework import HOMEWORK_FILE, Homework
from grader.pipeline.run import SECRET_FILE
from grader.release.atomic import complete_file
from grader.release.gate import release_gate
from grader.release.progress import OnStep, Step, unheard
from grader.release.workshop import workshop_of
from grader.rubric import load_rubric

_ROOT = Path(__file__).parents[2]
_EXECUTABLES = ("setup.sh", "run_autograder")
# What is for releases, for trying the grader out and for whole classes; the platform grades one submission. The key
# that signs verdicts stays with the staff.
_LEFT_OUT = (
    "grader/release",
    "grader/trust",
    "grader/fleet",
    "grader/stand_in",
    "grader/commands/release.py",
    "grader/verdicts.key",
    "grader/relayed",
)
# Of a homework's own folders, what its workshop needs.
_LEFT_OUT_OF_HOMEWORKS = ("notebooks", "release", "trust", "submissions", "workshop.py", "mutants_judged.yaml")
_CHANGES = "misconceptions/*.yaml"  # which bring mistakes into the solved homework
_DATE = (1980, 1, 1, 0, 0, 0)  # the earliest that a zip can say: the same source gives the same bytes


def write_autograder(
    homework: Homework,
    path: Path,
    *,
    rubric: Path | None = None,
    extra: Mapping[str, bytes] | None = None,
    on_step: OnStep = unheard,
) -> Path:
    """
    Write the zip, after it has gone through `release_gate`.

    Hidden inputs are drawn from `grader/secret.key`; it is made here once if it is not there, and stays.

    Args:
        homework: what the zip grades.
        path: where the zip goes; an older one is replaced only by a complete new one.
        rubric: the rubric that goes into the zip in place of the homework's own; that one where None.
        extra: files that go into it besides, by their names there.
        on_step: told how far it has come.

    Raises:
        StaffError: the rubric is wrong, or the grader does not grade as it should.
    """
    workshop = workshop_of(homework)
    loaded = load_rubric(rubric or homework.rubric)
    _make_secret()
    on_step(Step("autograder.zip", 0, 1))
    with complete_file(path) as candidate, tempfile.TemporaryDirectory() as name:
        _write(homework, candidate, rubric or homework.rubric, extra or {})
        root, work = Path(name) / "source", Path(name) / "work"
        work.mkdir()
        with zipfile.ZipFile(candidate) as archive:
            archive.extractall(root)
        release_gate(homework, workshop, root, work, rubric=loaded, on_step=on_step)
    on_step(Step("autograder.zip", 1, 1))
    return path


def _make_secret() -> None:
    """Make the file that hidden inputs are drawn from, if there is none; only its owner reads it from the first."""
    if not SECRET_FILE.exists():
        with complete_file(SECRET_FILE) as path:
            path.touch(mode=0o600)
            path.write_bytes(secrets.token_bytes(32))


def _write(homework: Homework, path: Path, rubric: Path, extra: Mapping[str, bytes]) -> None:
    contents = {name: file.read_bytes() for name, file in _contents(homework, rubric)} | dict(extra)
    contents[HOMEWORK_FILE] = f"{homework.package}\n".encode()
    secret = str(SECRET_FILE.relative_to(_ROOT))
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in sorted(contents.items()):
            mode = 0o755 if name in _EXECUTABLES else 0o600 if name == secret else 0o644
            entry = zipfile.ZipInfo(name, _DATE)
            entry.external_attr = (0o100000 | mode) << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, data)


def _contents(homework: Homework, rubric: Path) -> Iterator[tuple[str, Path]]:
    for name in _EXECUTABLES:
        yield name, _ROOT / name
    own = (_ROOT / "requirements", _ROOT / "grader")
    for folder in dict.fromkeys((*own, homework.folder, *homework.sources, homework.templates)):
        for file in folder.rglob("*"):
            inside = file.relative_to(_ROOT)
            left_out = _is_below(inside, _LEFT_OUT) or _is_below(file.relative_to(folder), _LEFT_OUT_OF_HOMEWORKS)
            if file.is_file() and "__pycache__" not in inside.parts and not left_out and not file.match(_CHANGES):
                yield str(inside), rubric if file == homework.rubric else file


def _is_below(path: Path, names: Sequence[str]) -> bool:
    return any(path == Path(name) or Path(name) in path.parents for name in names)
