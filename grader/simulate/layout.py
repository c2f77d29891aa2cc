"""The platform's folders: the zip as the grader's source, a submission as it arrives, and its metadata."""

from __future__ import annotations

import json
import os
import shutil
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from grader.archives import Refused, Window, open_archive
from grader.errors import StaffError

_MOST_ENTRIES = 20_000
_MOST_BYTES = 2 << 30


@dataclass(frozen=True)
class Layout:
    """Where things lie; the platform's root is /autograder."""

    root: Path

    @property
    def source(self) -> Path:
        """What the zip holds."""
        return self.root / "source"

    @property
    def submission(self) -> Path:
        """What the student handed in, unpacked."""
        return self.root / "submission"

    @property
    def results(self) -> Path:
        """Where results.json goes."""
        return self.root / "results"

    @property
    def program(self) -> Path:
        """What the platform runs."""
        return self.root / "run_autograder"

    @property
    def metadata(self) -> Path:
        """Who handed in, and when."""
        return self.root / "submission_metadata.json"


def lay_out(root: Path, autograder: Path, submission: Path) -> Layout:
    """
    Make the platform's folders.

    Args:
        root: an empty or absent folder, or one that has nothing of the layout in it.
        autograder: autograder.zip.
        submission: a zip, which arrives unpacked, a folder, or any other file.

    Raises:
        StaffError: something is there already, or the zip is none that the platform would take.
    """
    layout = Layout(root)
    for path in (layout.source, layout.submission, layout.results, layout.program, layout.metadata):
        if path.exists():
            raise StaffError(
                happened=f"{path} is there already, and nothing is overwritten.",
                try_next="Move it away if it is not needed, or leave --root out: a folder of its own is made then.",
            )
    if not autograder.exists():
        raise StaffError(
            happened=f"There is no autograder.zip at {autograder}.",
            try_next="Make it with `python -m grader release autograder`, or name one with --zip.",
        )
    if not submission.exists():
        raise StaffError(happened=f"There is no submission at {submission}.", try_next="Name a file that exists.")
    for folder in (root, layout.source, layout.submission, layout.results):
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    _unpack_autograder(autograder, layout)
    _hand_in(submission, layout.submission)
    layout.metadata.write_text(json.dumps(_metadata(), indent=1), encoding="utf-8")
    return layout


def _unpack_autograder(path: Path, layout: Layout) -> None:
    if not zipfile.is_zipfile(path):
        raise StaffError(happened=f"{path} is no zip.", try_next="Make one with `python -m grader release autograder`.")
    unpack(path, layout.source)
    for name in ("setup.sh", "run_autograder"):
        if not (layout.source / name).is_file():
            raise StaffError(
                happened=f"{path} has no {name} at its root, which the platform needs there.",
                try_next="Pack the files themselves, not the folder that they are in.",
            )
        (layout.source / name).chmod(0o755)
    shutil.copy(layout.source / "run_autograder", layout.program)


def _hand_in(submission: Path, folder: Path) -> None:
    if submission.is_dir():
        shutil.copytree(submission, folder, symlinks=True, dirs_exist_ok=True)
    elif zipfile.is_zipfile(submission):
        unpack(submission, folder)
    else:
        shutil.copy(submission, folder)


def unpack(path: Path, folder: Path) -> None:
    """
    Unpack the plain files of a zip, never outside the folder.

    Raises:
        StaffError: it is damaged, or holds more than a machine should have to take.
    """
    left = _MOST_BYTES
    try:
        with path.open("rb") as file:
            source = Window(lambda offset, length: os.pread(file.fileno(), length, offset), path.stat().st_size)
            archive = open_archive(source, path.name, most_members=_MOST_ENTRIES, most_bytes=_MOST_BYTES)
            plain = [member for member in archive.members if not member.is_folder and not member.problem]
            for member, chunks in archive.read(plain):
                target = folder / member.path
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("wb") as out:
                    for chunk in chunks:
                        left -= len(chunk)
                        if left < 0:
                            raise _too_much(path)
                        out.write(chunk)
    except (Refused, OSError) as error:
        raise StaffError(
            happened=f"{path.name} could not be unpacked: it {error}",
            try_next="The platform would refuse it, too, or hand it on as it is; download it again.",
        ) from None


def _too_much(path: Path) -> StaffError:
    return StaffError(
        happened=f"{path.name} holds more than {_MOST_ENTRIES:,} files or {_MOST_BYTES >> 30} GiB.",
        try_next="If it is meant to, unpack it and name the folder.",
    )


def _metadata() -> Mapping[str, Any]:
    """Return metadata with every field that the platform's documentation lists."""
    day = "2022-11-22T22:59:00.000000-08:00"
    return {
        "id": 123456,
        "created_at": "2022-11-21T20:15:00.000000-08:00",
        "assignment": {
            "due_date": day,
            "group_size": 1,
            "group_submission": False,
            "id": 25828,
            "course_id": 1234,
            "late_due_date": None,
            "release_date": "2022-11-08T00:00:00.000000-08:00",
            "title": "Homework 9",
            "total_points": "100.0",
        },
        "submission_method": "upload",
        "users": [{"email": "student@example.com", "id": 1234, "name": "A. Student"}],
        "previous_submissions": [],
    }
