"""The container's limits, emulated: each is held, and nothing outlives its program."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path

ROOT = Path(__file__).parents[2]
# A program of its own: the envelope looks after everything below the process that it runs in.
RUNNER = """
import json, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from grader.simulate.envelope import Envelope, run_inside
usage = run_inside(Envelope(*{limits!r}), [sys.executable, "-c", {code!r}], cwd=Path({folder!r}),
                   environment={{"PATH": "/usr/bin:/bin"}}, output=Path({folder!r}) / "printed")
print(json.dumps(usage.__dict__))
"""


def run(
    folder: Path, code: str, *, memory_mib: float = 500, cpus: float = 1.0, wall_s: float = 20
) -> dict[str, object]:
    """Run Python code in an envelope and return its usage."""
    text = RUNNER.format(
        root=str(ROOT), limits=(memory_mib, cpus, wall_s), code=textwrap.dedent(code), folder=str(folder)
    )
    done = subprocess.run([sys.executable, "-B", "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    usage: dict[str, object] = json.loads(done.stdout)
    return usage


def is_alive(pid: int) -> bool:
    """Return whether a process is there and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_program_that_keeps_to_its_limits(tmp_path: Path) -> None:
    """It ends by itself, its status and output come home, and its environment is the one given."""
    usage = run(tmp_path, "import os; print(sorted(os.environ)); raise SystemExit(3)")

    assert usage["returncode"] == 3
    assert usage["exceeded"] == ""
    assert usage["left_behind"] == 0
    assert "HOME" not in (tmp_path / "printed").read_text()


def test_memory_counts_all_processes_together(tmp_path: Path) -> None:
    """Two children under the cap each, above it together, end the run; one of them alone does not."""
    child = "import time; x = bytearray(60 << 20); time.sleep({})"
    both = f"""
        import subprocess, sys
        code = {child.format(30)!r}
        [p.wait() for p in [subprocess.Popen([sys.executable, "-c", code]) for _ in range(2)]]
    """

    assert run(tmp_path, both, memory_mib=110)["exceeded"] == "memory"
    assert run(tmp_path, child.format(1.5), memory_mib=110)["exceeded"] == ""


def test_the_clock_ends_what_hangs_with_all_its_processes(tmp_path: Path) -> None:
    """After the limit the program is dead, and so is a daemon that left its session and its parent."""
    usage = run(
        tmp_path,
        """
        import os, time
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                open("daemon", "w").write(str(os.getpid()))
                time.sleep(600)
            os._exit(0)
        time.sleep(600)
        """,
        wall_s=2,
    )

    assert usage["exceeded"] == "time"
    assert usage["returncode"] == -9
    assert not is_alive(int((tmp_path / "daemon").read_text()))


def test_what_is_left_behind_is_counted_and_killed(tmp_path: Path) -> None:
    """A program that ends and leaves a daemon is told on, and the daemon is gone."""
    usage = run(
        tmp_path,
        """
        import os, time
        if os.fork() == 0:
            os.setsid()
            open("daemon", "w").write(str(os.getpid()))
            time.sleep(600)
        while not os.path.exists("daemon") or not open("daemon").read():
            time.sleep(0.01)
        """,
    )

    assert usage["left_behind"] == 1
    assert not is_alive(int((tmp_path / "daemon").read_text()))


def test_a_share_of_a_core_is_all_that_two_busy_processes_get(tmp_path: Path) -> None:
    """Stopped for half of each period, and bound to one core, they compute for no more than about half the time."""
    usage = run(
        tmp_path,
        """
        import os, time
        os.fork()
        end = time.monotonic() + 3
        while time.monotonic() < end:
            pass
        """,
        cpus=0.5,
    )

    assert isinstance(usage["cpu_s"], float)
    assert isinstance(usage["wall_s"], float)
    assert usage["cpu_s"] < 0.75 * usage["wall_s"]
