"""
The grader where the platform runs it: in a container's root. A test that cannot run here fails, it is not skipped.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.testbed.container import DENIED, ENVIRONMENT, KEPT, run_in_container

ROOT = Path(__file__).parents[2]
LOOK = """
import ctypes, errno, json, os, subprocess
import pyseccomp
status = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
libc = ctypes.CDLL(None, use_errno=True)
def refused(name, *arguments):
    number = pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name)
    if number < 0:
        return True
    ctypes.set_errno(0)
    return libc.syscall(number, *arguments, 0, 0, 0, 0, 0) == -1 and ctypes.get_errno() in (errno.EPERM, errno.ENOSYS)
child = subprocess.Popen(["/bin/sleep", "60"], user=20001, group=20001, extra_groups=[])
try:
    os.stat(f"/proc/{child.pid}/fd/0"); sees = True
except PermissionError:
    sees = False
child.kill(); child.wait()
print(json.dumps({
    "capabilities": [int(status[name], 16) for name in ("CapPrm", "CapEff", "CapBnd")],
    "refused": [name for name in DENIED if refused(name)],
    "clone": refused("clone", 0x10000000 | 17),
    "clone3": refused("clone3"),
    "sees_others": sees,
    "landlock": libc.syscall(444, None, 0, 1),
}))
""".replace("DENIED", repr(DENIED))


def look(**options: Any) -> dict[str, Any]:
    """Return what a process in the bed finds it may do."""
    done = run_in_container([sys.executable, "-c", LOOK], capture_output=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_the_bed_has_what_a_container_has_and_no_more() -> None:
    """Docker's capabilities exactly, its denied calls denied, and no way to look into processes of others."""
    found = look()

    assert found["capabilities"] == [sum(1 << number for number in KEPT.values())] * 3
    assert found["refused"] == DENIED
    assert (found["clone"], found["clone3"], found["sees_others"]) == (True, True, False)
    assert look(has_landlock=False)["landlock"] == -1


ATTACKS = """
import mmap, shutil, sys  # in an empty root nothing can be imported later
sys.path.insert(0, sys.argv[1])
import json
from grader import wire
from grader.sandbox.host import Sandbox
from grader.sandbox.limits import Limits
from tests.sandbox.hostile_code import run_source
REMOVED = '''
import mmap, os, time
kept = []
for number in range(12):
    file = open("f", "w+b")
    file.write(bytes(10 << 20)); file.flush()
    os.unlink("f")
    kept.append(MAP)
time.sleep(4)
'''
HIDING = '''
import os, shutil, time
shutil.copy("/usr/bin/sleep", "hidden"); os.chmod("hidden", 0o111)
if os.fork() == 0: os.execv("hidden", ["hidden", "9"])
time.sleep(4)
'''
SOURCES = {
    "open": REMOVED.replace("MAP", "file"),
    "mapped": REMOVED.replace("MAP", "mmap.mmap(file.fileno(), 0)"),
    "hiding": HIDING,
    "daemon": "import os, time\\nif os.fork() == 0:\\n    os.setsid()\\n    time.sleep(100)",
    "files": "answer['read'] = []\\nfor p in ('/etc/passwd', '/proc/self/status', '..'):\\n"
             "    try: open(p).read() if p != '..' else __import__('os').listdir(p); answer['read'].append(p)\\n"
             "    except OSError: pass",
}
found = {}
with Sandbox({"source": run_source}) as sandbox:
    found["line"] = sandbox.walls.describe()
    for name, source in SOURCES.items():
        outcome = sandbox.run("source", wire.Message("run", {"source": source}), limits=Limits(wall_s=6.0))
        read = outcome.message.meta.get("read") if outcome.message else None
        found[name] = [outcome.ending.name, outcome.detail, outcome.left_behind, read]
print(json.dumps(found))
"""


@pytest.mark.parametrize("has_landlock", [True, False], ids=["Landlock", "chroot"])
def test_the_walls_stand_in_a_container(has_landlock: bool) -> None:
    """Every wall of root stands; removed files are counted and hiding is noticed without CAP_SYS_PTRACE."""
    done = run_in_container(
        [sys.executable, "-B", "-c", ATTACKS, str(ROOT)], has_landlock=has_landlock, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)

    assert "MISSING" not in found["line"]
    assert ("Landlock" in found["line"], "chroot" in found["line"]) == (has_landlock, not has_landlock)
    assert found["open"][:2] == found["mapped"][:2] == ["DISK", "more than 64 MiB of files"]
    assert found["daemon"] == ["ANSWERED", "", 1, None]
    if has_landlock:  # in an empty root there is nothing to copy
        assert found["hiding"][:2] == ["DISK", "a process that hides which files it holds"]
    assert found["files"][3] == ([] if has_landlock else [".."])


@pytest.mark.slow
@pytest.mark.parametrize("has_landlock", [True, False], ids=["Landlock", "chroot"])
def test_every_row_in_a_container(has_landlock: bool) -> None:
    """The whole table of hostile and malformed submissions comes out the same there."""
    done = run_in_container(
        [sys.executable, "-B", "-m", "tests.hostile", *([] if has_landlock else ["--quick"])],
        has_landlock=has_landlock,
        capture_output=True,
        cwd=ROOT,
        check=False,
    )

    assert done.returncode == 0, done.stdout[-4000:]


@pytest.mark.slow
def test_the_platforms_own_command_in_a_container(tmp_path: Path) -> None:
    """/autograder as the platform lays it out, run with no arguments: the example gets its report, nothing leaks."""
    autograder = tmp_path / "autograder"
    for room in ("grader", "homework", "reference", "student_templates", "requirements"):
        shutil.copytree(
            ROOT / room, autograder / "source" / room, ignore=shutil.ignore_patterns("__pycache__", "notebooks")
        )
    shutil.copy(ROOT / "setup.sh", autograder / "source")
    shutil.copy(ROOT / "run_autograder", autograder)
    (autograder / "submission").mkdir()
    subprocess.run(
        [sys.executable, "-m", "zipfile", "-e", str(ROOT / "examples" / "hw4_submission.zip"), "submission"],
        cwd=autograder,
        check=True,
    )
    done = run_in_container(["bash", str(autograder / "run_autograder")], capture_output=True, cwd="/", check=False)

    assert done.returncode == 0, done.stderr
    results = json.loads((autograder / "results" / "results.json").read_text())
    verdicts = [test["extra_data"]["verdict"] for test in results["tests"]]
    assert "INFRASTRUCTURE" not in verdicts
    assert "NOT_RUN" not in verdicts
    assert verdicts.count("PASSED") > 30
    assert "MISSING" not in results["extra_data"]["sandbox"]
    assert ENVIRONMENT["PLATFORM_TOKEN"] not in json.dumps(results) + done.stdout + done.stderr
