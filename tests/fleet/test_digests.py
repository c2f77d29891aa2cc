"""What a grade depends on, and what not."""

from __future__ import annotations

import shutil
import zipfile
from dataclasses import replace
from pathlib import Path

import pytest

from grader.fleet.digests import ROOT, content_digest, grader_digest, rubric_digest, secret_digest
from grader.fleet.unpack import unpacker
from grader.pipeline.homework import Homework
from grader.release import autograder
from grader.rubric import load_rubric
from homework.homework import HOMEWORK


@pytest.fixture
def submission(tmp_path: Path) -> Path:
    """A folder as the platform unpacks it."""
    folder = tmp_path / "submission"
    (folder / "sub").mkdir(parents=True)
    (folder / "a.ipynb").write_text("{}")
    (folder / "sub" / "helper.py").write_text("x = 1")
    (folder / "model.pt").write_bytes(bytes(100))
    return folder


def test_folder_and_original_zip_agree(submission: Path, tmp_path: Path) -> None:
    """The files as handed in, as unpacked by the platform, and as unpacked here have one digest."""
    packed = tmp_path / "hw4_submission.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        archive.write(submission / "model.pt", "model.pt")
        for name in ("sub/helper.py", "a.ipynb"):
            archive.write(submission / name, name)
        archive.writestr("__MACOSX/._a.ipynb", b"clutter")
    with unpacker() as unpack:
        unpack(packed, tmp_path / "unpacked")

    assert content_digest(tmp_path / "unpacked", HOMEWORK.files) == content_digest(submission, HOMEWORK.files)


def test_clutter_does_not_count(submission: Path) -> None:
    """What grading does not look at changes nothing: caches, checkpoints, macOS, data sets, times."""
    before = content_digest(submission, HOMEWORK.files)
    for name in ("__MACOSX/._a.ipynb", ".ipynb_checkpoints/a.ipynb", "__pycache__/x.py", "data/batch.bin", ".DS_Store"):
        path = submission / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"clutter")
    (submission / "a.ipynb").touch()

    assert content_digest(submission, HOMEWORK.files) == before


def test_everything_else_counts(submission: Path) -> None:
    """A byte, a name, a further file or a link in place of a file gives another digest."""
    digests = {content_digest(submission, HOMEWORK.files)}
    (submission / "model.pt").write_bytes(bytes(99) + b"\1")
    digests.add(content_digest(submission, HOMEWORK.files))
    (submission / "model.pt").rename(submission / "other.pt")
    digests.add(content_digest(submission, HOMEWORK.files))
    (submission / "sub" / "more.py").write_text("")
    digests.add(content_digest(submission, HOMEWORK.files))
    (submission / "a.ipynb").unlink()
    (submission / "a.ipynb").symlink_to("/etc/hostname")
    digests.add(content_digest(submission, HOMEWORK.files))

    assert len(digests) == 5


def test_names_and_contents_cannot_be_exchanged(tmp_path: Path) -> None:
    """No two different folders run together to the same text."""
    for name, content in (("one", ("ab.py", "c")), ("two", ("a.py", "b.pyc"))):
        (tmp_path / name).mkdir()
        (tmp_path / name / content[0]).write_text(content[1])

    assert content_digest(tmp_path / "one", HOMEWORK.files) != content_digest(tmp_path / "two", HOMEWORK.files)


def test_sources_that_decide_a_grade_count_and_others_do_not(tmp_path: Path) -> None:
    """A changed check or template gives another digest; the fleet's own code, keys and verdicts do not."""
    root = tmp_path / "checkout"
    for folder in ("grader", "homework", "reference", "student_templates", "requirements"):
        shutil.copytree(ROOT / folder, root / folder, ignore=shutil.ignore_patterns("__pycache__", "notebooks"))
    there = homework_in(root)
    before = grader_digest(there, root)
    assert before == grader_digest(HOMEWORK)

    (root / "grader" / "fleet" / "page.py").write_text("x = 1")
    (root / "grader" / "secret.key").write_bytes(b"secret")
    (root / "grader" / "verdicts.key").write_bytes(b"secret")
    (root / "grader" / "relayed").mkdir()
    (root / "grader" / "relayed" / "x.json").write_text("{}")
    shutil.rmtree(root / "grader" / "release")
    shutil.rmtree(root / "homework" / "release")
    (root / "homework" / "workshop.py").unlink()
    assert grader_digest(there, root) == before

    for name in (
        "grader/checks/compare.py",
        "homework/checks/vision.py",
        "homework/calibration.json",
        "reference/vision/masking.py",
        "student_templates/utils.py",
    ):
        path = root / name
        path.write_text(path.read_text() + "\n# changed\n")
        assert grader_digest(there, root) != before
        before = grader_digest(there, root)


def homework_in(root: Path) -> Homework:
    """Return the homework as it would be loaded from another root."""
    return replace(
        HOMEWORK,
        folder=root / "homework",
        sources=(root / "reference",),
        templates=root / HOMEWORK.templates.name,
    )


def test_the_platforms_zip_has_the_digest_of_the_checkout(tmp_path: Path) -> None:
    """What a release packs decides grades alike, so that verdicts of the staff's machines are taken there."""
    for name, path in autograder._contents(HOMEWORK, HOMEWORK.rubric):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, tmp_path / name)

    assert grader_digest(homework_in(tmp_path), tmp_path) == grader_digest(HOMEWORK)


def test_a_rubric_counts_by_what_it_says() -> None:
    """Other points or words give another digest; the same rubric read twice does not."""
    rubric = load_rubric(HOMEWORK.rubric)
    first, *rest = rubric.questions

    assert rubric_digest(rubric) == rubric_digest(load_rubric(HOMEWORK.rubric))
    assert rubric_digest(rubric) != rubric_digest(replace(rubric, questions=(replace(first, points=99.0), *rest)))


def test_another_secret_gives_another_digest(tmp_path: Path) -> None:
    """With another secret the hidden inputs are others, so a grade is not the same."""
    (tmp_path / "a").write_bytes(b"one")
    (tmp_path / "b").write_bytes(b"two")

    assert len({secret_digest(tmp_path / name) for name in ("a", "b", "absent")}) == 3
