"""
The platform's image from nothing: Debian is put into a folder, setup.sh builds there, run_autograder grades there.

    python -m tests.testbed.clean_room [--folder DIR] [--keep]

It takes several minutes, root, debootstrap, and a mirror of Debian and of the Python packages that pip is set up for.
Nothing of this machine's Python is in the room; grading runs with a container's privileges, and must come to the
verdicts that the same submission gets outside. Where the room cannot be made, this fails. Nothing else may grade
meanwhile: the room has the machine's processes in it, but not the locks of their uids.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlparse

from grader.feedback.results import validate_results
from grader.release.autograder import _contents
from homework.homework import HOMEWORK
from tests.testbed.container import ENVIRONMENT, run_in_container

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "hw4_submission.zip"
SUITE, MIRROR = "bookworm", "http://deb.debian.org/debian"
_CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")
# Under a name of its own: Debian's package of certificates writes the usual file anew in the middle of setup.sh.
_ROOM_CERTIFICATES = "/etc/ssl/this-machine.crt"
_ROOM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def main() -> int:
    """Make the room, build, grade, look at the report."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, help="where the room is made; one that is there already is used again")
    parser.add_argument("--keep", action="store_true", help="leave the room there")
    options = parser.parse_args()
    room: Path = options.folder or Path(tempfile.mkdtemp(prefix="clean-room-"))
    room.chmod(0o755)  # the room's / is for everybody, as a machine's is
    try:
        if not (room / "bin" / "sh").exists():
            told("debootstrap", ["debootstrap", "--variant=minbase", SUITE, str(room), MIRROR])
        lay_out(room)
        with furnished(room):
            told("setup.sh", ["chroot", str(room), *environment(), "bash", "/autograder/source/setup.sh"])
            return grade(room)
    finally:
        if not options.keep:
            shutil.rmtree(room, ignore_errors=True)


def told(what: str, command: list[str]) -> None:
    """Run a command and say how long it took; its failure is ours."""
    began = time.monotonic()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    print(f"{what}: {time.monotonic() - began:.0f} s", flush=True)


def environment() -> list[str]:
    """Return the prefix of a command that gets a container's variables, and those with which pip finds packages."""
    pip = {name: value for name, value in os.environ.items() if name.startswith("PIP_")}
    variables = {"PATH": _ROOM_PATH, **ENVIRONMENT, **pip, "PIP_CERT": _ROOM_CERTIFICATES}
    return ["env", "-i", *(f"{name}={value}" for name, value in variables.items())]


def lay_out(room: Path) -> None:
    """Put into the room what the platform puts there: the autograder's zip, run_autograder, a submission."""
    autograder = room / "autograder"
    shutil.rmtree(autograder, ignore_errors=True)
    for name, file in _contents(HOMEWORK, HOMEWORK.rubric):
        place = autograder / "source" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, place)
    shutil.copy(ROOT / "run_autograder", autograder / "run_autograder")
    with zipfile.ZipFile(EXAMPLE) as example:
        example.extractall(autograder / "submission")
    user = {"email": "grace@example.edu", "id": 7, "name": "Grace Hopper"}
    (autograder / "submission_metadata.json").write_text(json.dumps({"id": 1, "users": [user]}))


@contextlib.contextmanager
def furnished(room: Path) -> Iterator[None]:
    """Give the room names, certificates, /proc, and the folders from which pip takes packages; take them back."""
    for path in (Path("/etc/resolv.conf"), Path("/etc/hosts"), Path("/etc/pip.conf")):
        if path.exists():
            shutil.copy(path, room / path.relative_to("/"))
    (room / "etc" / "ssl").mkdir(parents=True, exist_ok=True)
    shutil.copy(_CERTIFICATES, room / _ROOM_CERTIFICATES.lstrip("/"))
    if Path("/etc/xdg/pip").exists():
        shutil.copytree("/etc/xdg/pip", room / "etc" / "xdg" / "pip", dirs_exist_ok=True)
    mounted = [_mount(["-t", "proc", "proc"], room / "proc")]
    mounted += [_offer(folder, room) for folder in _package_folders()]
    try:
        yield
    finally:
        for place in [place for place in reversed(mounted) if place is not None]:
            subprocess.run(["umount", str(place)], check=True)


def _package_folders() -> list[Path]:
    """Return the local folders that pip takes packages from."""
    listed = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    words = [word for line in listed.stdout.splitlines() for word in line.partition("=")[2].strip("'").split()]
    paths = [Path(urlparse(word).path) for word in words if word.startswith(("/", "file://"))]
    folders = [path.parent if path.name == "simple" else path for path in paths if path.is_dir()]
    return list(dict.fromkeys(folders))


def _offer(folder: Path, room: Path) -> Path | None:
    """Show a folder of this machine in the room; where it cannot be mounted, copy it."""
    place = room / folder.relative_to("/")
    mounted = _mount(["--bind", str(folder)], place)
    if mounted is None:
        shutil.copytree(folder, place, dirs_exist_ok=True)
    return mounted


def _mount(arguments: list[str], place: Path) -> Path | None:
    place.mkdir(parents=True, exist_ok=True)
    done = subprocess.run(["mount", *arguments, str(place)], check=False, capture_output=True)
    return place if done.returncode == 0 else None


def grade(room: Path) -> int:
    """Run the platform's command in the room, as a container's root; say what came of it."""
    began = time.monotonic()
    done = run_in_container(
        ["chroot", str(room), *environment(), "bash", "/autograder/run_autograder"],
        capture_output=True,
        env={"PATH": f"{os.environ['PATH']}:{_ROOM_PATH}"},
        check=False,
    )
    print(f"run_autograder: status {done.returncode}, {time.monotonic() - began:.0f} s")
    results = json.loads((room / "autograder" / "results" / "results.json").read_text())
    validate_results(results)
    verdicts, outside = verdicts_of(results), verdicts_of(graded_outside())
    print(results["extra_data"].get("sandbox"))
    print(f"score {results['score']}, {len(verdicts)} questions, {verdicts.count('PASSED')} passed")
    leaked = [word for word in ("Grace", "grace@", ENVIRONMENT["PLATFORM_TOKEN"]) if word in json.dumps(results)]
    is_well = (
        done.returncode == 0
        and verdicts == outside
        and not {"INFRASTRUCTURE", "NOT_RUN"} & set(verdicts)
        and "MISSING" not in results["extra_data"]["sandbox"]
        and not leaked
    )
    if not is_well:
        print(done.stdout[-3000:], done.stderr[-3000:], results["output"], leaked, sep="\n")
    return 0 if is_well else 1


def graded_outside() -> dict[str, Any]:
    """Grade the same submission on this machine."""
    with tempfile.TemporaryDirectory() as out:
        command = [sys.executable, "-m", "grader", "grade", str(EXAMPLE), "--out", out]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        results: dict[str, Any] = json.loads((Path(out) / "results.json").read_text())
        return results


def verdicts_of(results: dict[str, Any]) -> list[str]:
    """Return the verdicts of all questions, in order."""
    return [test["extra_data"]["verdict"] for test in results["tests"]]


if __name__ == "__main__":
    sys.exit(main())
