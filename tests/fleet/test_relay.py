"""Verdicts from staff machines: taken if everything about them is right, refused with the reason if not."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from grader.commands import grade as grade_command
from grader.errors import StaffError
from grader.fleet.digests import ROOT, content_digest, grader_digest, rubric_digest
from grader.fleet.export import Entry
from grader.fleet.record import GRADED, INFRASTRUCTURE, Record, Records
from grader.fleet.relay import relay_to, verdict_files
from grader.fleet.schedule import INDEX
from grader.release import autograder as release_autograder
from grader.rubric import load_rubric
from homework.homework import HOMEWORK
from tests.fleet.paper import a_report, a_test, write_rubric

RESULTS = a_report(a_test("1.1", "PASSED"), a_test("1.2", "FAILED"))


class Platform:
    """A submission, the class it was graded in, and the files of a release with its verdict."""

    def __init__(self, folder: Path, rubric: Path) -> None:
        self.rubric = rubric
        self.submission = folder / "submission"
        self.submission.mkdir()
        (self.submission / "a.ipynb").write_text('{"cells": []}')
        self.content = content_digest(self.submission, HOMEWORK.files)
        self.graded = folder / "graded"
        self.key = folder / "verdicts.key"
        self.release = folder / "autograder"
        self.write_class(grader=grader_digest(HOMEWORK), rubric_name=rubric_digest(load_rubric(rubric)))

    def write_class(self, *, grader: str, rubric_name: str) -> None:
        """Write a graded class of one submission, and one that could not be graded."""
        records = Records(self.graded / "records")
        records.write(Record("k1", self.content, GRADED, RESULTS))
        records.write(Record("k2", "f" * 64, INFRASTRUCTURE, RESULTS))
        entries = [Entry(f"submission_{number}", (), Path("/x")) for number in (1, 2)]
        lines = [{"id": e.id, "key": f"k{n}", "students": [], "folder": "/x"} for n, e in enumerate(entries, 1)]
        rest = {"created_at": "", "notes": [], "problem": ""}
        index = {"format": 1, "assignment": "HW", "grader": grader, "rubric": rubric_name, "device": "cuda"}
        (self.graded / INDEX).write_text(json.dumps({**index, "entries": [{**line, **rest} for line in lines]}))

    def deploy(self) -> Path:
        """Write what a release embeds, and return the folder of verdicts."""
        for name, data in verdict_files(HOMEWORK, self.graded, self.rubric, key_file=self.key).items():
            path = self.release / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        return self.release / "grader" / "relayed"

    @property
    def verdict(self) -> Path:
        """The file of the verdict on the submission."""
        return self.release / "grader" / "relayed" / f"{self.content}.verdict"


@pytest.fixture
def platform(tmp_path: Path, small_rubric: Path) -> Platform:
    """A platform whose release has verdicts."""
    return Platform(tmp_path, small_rubric)


def test_exactly_these_files_get_the_embedded_verdict(platform: Platform, tmp_path: Path) -> None:
    """The report of the staff's run with a note, valid as any other; another copy of the same files gets it, too."""
    folder = platform.deploy()
    shutil.copytree(platform.submission, tmp_path / "copy")

    for submission in (platform.submission, tmp_path / "copy"):
        assert relay_to(HOMEWORK, submission, platform.rubric, tmp_path / "out", folder=folder).results is not None
        results = json.loads((tmp_path / "out" / "results.json").read_text())
        assert results["tests"] == RESULTS["tests"]
        assert results["score"] == RESULTS["score"]
        assert results["output"].endswith("a GPU of the staff's, over exactly the files that you handed in.*")
        assert results["extra_data"]["relayed"] == {"device": "cuda"}


def test_what_is_new_is_not_looked_up(platform: Platform, tmp_path: Path) -> None:
    """One byte more and there is no verdict and no complaint: grading goes on. The same without verdicts at all."""
    folder = platform.deploy()
    (platform.submission / "a.ipynb").write_text('{"cells": [] }')

    for place in (folder, tmp_path / "nothing"):
        found = relay_to(HOMEWORK, platform.submission, platform.rubric, tmp_path / "out", folder=place)
        assert (found.results, found.refused) == (None, "")
    assert not (tmp_path / "out").exists()


def signed_anew(platform: Platform) -> None:
    """Somebody signs the verdict with a key of their own."""
    payload = platform.verdict.read_bytes()[64:]
    platform.verdict.write_bytes(Ed25519PrivateKey.generate().sign(payload) + payload)


def more_points(platform: Platform) -> None:
    """Somebody changes the points and leaves the signature."""
    data = platform.verdict.read_bytes()
    platform.verdict.write_bytes(data[:64] + data[64:].replace(b'"score": 2.0', b'"score": 9.0'))


def cut_short(platform: Platform) -> None:
    """The file is not whole."""
    platform.verdict.write_bytes(platform.verdict.read_bytes()[:-10])


def of_somebody_else(platform: Platform) -> None:
    """Another submission's verdict, rightly signed, under this one's name."""
    other = platform.verdict.read_bytes()
    (platform.submission / "a.ipynb").write_text("another work")
    platform.content = content_digest(platform.submission, HOMEWORK.files)
    platform.verdict.write_bytes(other)


def resigned(platform: Platform, **changes: object) -> None:
    """The staff signed a verdict of another time."""
    key = Ed25519PrivateKey.from_private_bytes(platform.key.read_bytes())
    payload = json.dumps({**json.loads(platform.verdict.read_bytes()[64:]), **changes}).encode()
    platform.verdict.write_bytes(key.sign(payload) + payload)


TAMPERING: list[tuple[Callable[[Platform], None], str]] = [
    (signed_anew, "its signature is wrong"),
    (more_points, "its signature is wrong"),
    (cut_short, "its signature is wrong"),
    (lambda platform: platform.verdict.write_bytes(b""), "its signature is wrong"),
    (of_somebody_else, "it is about another submission"),
    (lambda platform: resigned(platform, grader="0" * 64), "it comes from other sources of the grader"),
    (lambda platform: resigned(platform, rubric="0" * 64), "it comes from another rubric"),
    (lambda platform: resigned(platform, format=0), "it has another format"),
    (lambda platform: resigned(platform, results={**RESULTS, "tests": 3}), "it could not be taken (ValidationError)"),
    (lambda platform: resigned(platform, results=None), "it cannot be read (TypeError)"),
]


@pytest.mark.parametrize(("tamper", "reason"), TAMPERING, ids=[f"{n}" for n in range(len(TAMPERING))])
def test_a_verdict_that_is_not_right_is_refused(
    platform: Platform, tmp_path: Path, tamper: Callable[[Platform], None], reason: str
) -> None:
    """Changed, forged, cut, another's, or of another grader or rubric: the reason is said, and nothing is written."""
    folder = platform.deploy()
    tamper(platform)

    found = relay_to(HOMEWORK, platform.submission, platform.rubric, tmp_path / "out", folder=folder)

    assert found.results is None
    assert found.refused == reason
    assert not (tmp_path / "out" / "results.json").exists()


def test_the_zip_has_the_public_half_only(platform: Platform) -> None:
    """No file of the release holds the key that signs, which is the staff's alone."""
    platform.deploy()
    secret = platform.key.read_bytes()
    files = verdict_files(HOMEWORK, platform.graded, platform.rubric, key_file=platform.key)

    assert stat.S_IMODE(platform.key.stat().st_mode) == 0o600
    assert not any(secret in data for data in files.values())
    assert not any(name.endswith("verdicts.key") for name in files)
    public = Ed25519PrivateKey.from_private_bytes(secret).public_key().public_bytes_raw()
    assert files["grader/relayed/public.key"] == public
    assert sum(name.endswith(".verdict") for name in files) == 1  # none of what could not be graded


def test_a_class_of_another_grader_or_rubric_is_not_released(platform: Platform, tmp_path: Path) -> None:
    """What the platform would refuse is not even packed: staff are told to grade again."""
    with pytest.raises(StaffError, match="other sources or another rubric"):
        verdict_files(HOMEWORK, platform.graded, write_rubric(tmp_path / "r.yaml", points=9), key_file=platform.key)
    platform.write_class(grader="0" * 64, rubric_name=rubric_digest(load_rubric(platform.rubric)))
    with pytest.raises(StaffError, match="Grade the class again"):
        verdict_files(HOMEWORK, platform.graded, platform.rubric, key_file=platform.key)


@pytest.mark.parametrize("tampered", [False, True])
def test_grading_takes_it_or_goes_on(
    platform: Platform,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tampered: bool,
) -> None:
    """The command that the platform runs: the embedded report, or the reason on staff's output and a run as ever."""
    folder = platform.deploy()
    if tampered:
        more_points(platform)
    monkeypatch.setattr(grade_command, "RELAYED", folder)

    grade_command.run_grading(
        HOMEWORK,
        platform.submission,
        tmp_path / "out",
        device="cpu",
        rubric=platform.rubric,
        staff_questions=None,
        profile=False,
    )

    results = json.loads((tmp_path / "out" / "results.json").read_text())
    shown = capsys.readouterr().out
    if tampered:
        assert "is not taken: its signature is wrong" in " ".join(shown.split())
        assert {test["extra_data"]["verdict"] for test in results["tests"]} == {"MISSING"}
        assert "relayed" not in results["extra_data"]
    else:
        assert "Taken from the release" in shown
        assert results["tests"] == RESULTS["tests"]


def test_the_platform_needs_three_files_of_this_room(platform: Platform, tmp_path: Path) -> None:
    """With nothing of the fleet but what the release embeds, the verdict is found."""
    root = tmp_path / "root"
    for name in ("grader", "homework", "reference", "student_templates", "requirements"):
        leave = shutil.ignore_patterns("__pycache__", "notebooks", "fleet", "release", "trust", "workshop.py")
        shutil.copytree(ROOT / name, root / name, ignore=leave)
    for name, data in verdict_files(HOMEWORK, platform.graded, platform.rubric, key_file=platform.key).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(data)
    shutil.copy(platform.rubric, root / "homework" / "rubric.yaml")
    command = [sys.executable, "-I", "-B", str(root / "grader" / "__main__.py"), "grade", str(platform.submission)]

    subprocess.run([*command, "--out", str(tmp_path / "out"), "--device", "cpu"], check=True, capture_output=True)

    assert "relayed" in json.loads((tmp_path / "out" / "results.json").read_text())["extra_data"]


def test_the_release_leaves_the_signing_key_out(platform: Platform, tmp_path: Path) -> None:
    """What the release packs of the grader's own folder has neither the staff's key nor verdicts of another time."""
    left_out = {"grader/verdicts.key", "grader/relayed"}

    for name, _ in release_autograder._contents(HOMEWORK, platform.rubric):
        assert not any(name == each or name.startswith(f"{each}/") for each in left_out)
    assert left_out <= set(release_autograder._LEFT_OUT)
