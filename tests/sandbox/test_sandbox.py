"""One adversarial task for each promise in the docstring of `grader.sandbox`."""

from __future__ import annotations

import errno
import fcntl
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grader import wire
from grader.errors import StaffError
from grader.sandbox import landlock, syscalls
from grader.sandbox.host import Sandbox
from grader.sandbox.limits import Limits
from grader.sandbox.outcome import Ending, explain_signal
from grader.sandbox.walls import survey_machine
from tests.sandbox.hostile_code import Run, answer_of, gains, living_uids, needs_root, run_source

ROOT = Path(__file__).parents[2]
pytestmark = needs_root


# Its own uid.


def test_each_task_has_a_uid_of_its_own_and_no_group(run: Run) -> None:
    """Two tasks of a run share neither uid nor gid, and neither is root's in any of its forms."""
    source = "import os; answer.update(uids=os.getresuid(), gids=os.getresgid(), groups=os.getgroups())"
    first, second = answer_of(run(source)), answer_of(run(source))

    assert first["uids"] != second["uids"]
    for mine in (first, second):
        assert len({*mine["uids"], *mine["gids"]}) == 1
        assert mine["uids"][0] >= 20_000
        assert mine["groups"] == []


def test_it_cannot_become_root_again(run: Run) -> None:
    """setuid is denied and programs with the set-uid bit gain nothing."""
    source = """
        import ctypes, os
        try:
            os.setuid(0)
        except PermissionError:
            answer["denied"] = True
        answer["no_new_privileges"] = ctypes.CDLL(None).prctl(39, 0, 0, 0, 0)
        """

    assert answer_of(run(source)) == {"denied": True, "no_new_privileges": 1}


def test_it_can_signal_no_other_process(run: Run, sandbox: Sandbox) -> None:
    """The grader, the zygote and init are out of reach, kill(-1) and its own group included."""
    source = """
        import os, signal
        answer["denied"] = []
        for pid in given:
            try:
                os.kill(pid, signal.SIGKILL)
            except PermissionError:
                answer["denied"].append(pid)
        for everybody in (lambda: os.kill(-1, signal.SIGKILL), lambda: os.killpg(os.getppid(), signal.SIGKILL)):
            try:
                everybody()
            except OSError:
                pass
        """
    others = [os.getpid(), sandbox.zygote_pid, 1]

    assert answer_of(run(source, given=others))["denied"] == others
    assert answer_of(run("answer['alive'] = True"))["alive"]


# No secret and no file in reach.


def test_the_environment_is_built_from_scratch(run: Run) -> None:
    """Nothing of the grader's environment is left, neither in os.environ nor for the C library."""
    source = "import ctypes, os; answer.update(environ=dict(os.environ), c=ctypes.CDLL(None).getenv(b'PLATFORM_TOKEN'))"
    answer = answer_of(run(source))

    assert set(answer["environ"]) == {"HOME", "TMPDIR", "PATH", "LANG", "MPLBACKEND", "USER"}
    assert answer["c"] == 0


def test_no_descriptor_is_inherited(run: Run) -> None:
    """Beside the standard three, which lead nowhere, only the connection is open."""
    source = """
        import os
        answer["open"] = []
        for number in range(os.sysconf("SC_OPEN_MAX")):
            try:
                os.fstat(number)
                answer["open"].append(number)
            except OSError:
                pass
        answer["connection"] = connection.fileno()
        answer["null"] = [os.fstat(number).st_rdev == os.stat(os.devnull).st_rdev for number in (0, 1, 2)]
        """
    answer = answer_of(run(source))

    assert answer["open"] == [0, 1, 2, answer["connection"]]
    assert answer["null"] == [True, True, True]


@pytest.mark.parametrize(
    "path",
    [
        "/etc/passwd",
        "/etc/shadow",
        "/proc/self/environ",
        "/proc/{parent}/environ",
        "/proc/{parent}/mem",
        "/proc/{parent}/maps",
        "/proc/{parent}/cmdline",
        "/proc/{zygote}/environ",
        "/proc/1/cmdline",
        "{root}/reference/vision/patches.py",
        "{root}/homework/rubric.yaml",
        "{readable}",
        "/proc/{parent}/root{readable}",
        "/proc/{parent}/cwd/pyproject.toml",
    ],
)
def test_files_are_out_of_reach(run: Run, sandbox: Sandbox, tmp_path: Path, path: str) -> None:
    """Neither the grader's files nor world-readable ones off the list can be read, by any path."""
    readable = tmp_path / "readable"
    readable.write_text("everybody may read this")
    readable.chmod(0o644)
    names = {"parent": os.getpid(), "zygote": sandbox.zygote_pid, "root": ROOT, "readable": readable}
    place = path.format(**names)

    assert Path(place).exists()
    assert answer_of(run(gains(f"open({place!r}, 'rb').read(1)"))) == {"error": "PermissionError"}


@pytest.mark.parametrize("folder", ["/", "/root", "/home", "/tmp", "/proc", "/etc", "{root}", ".."])
def test_folders_cannot_be_listed(run: Run, folder: str) -> None:
    """What is there cannot even be listed; '..' is where other workers' scratch folders are."""
    assert answer_of(run(gains(f"os.listdir({folder.format(root=ROOT)!r})"))) == {"error": "PermissionError"}


@pytest.mark.parametrize(
    "place",
    [
        "/tmp/not-mine",
        "/var/tmp/not-mine",
        "/dev/shm/not-mine",
        "../not-mine",
        "{root}/not-mine",
        "/proc/self/oom_score_adj",
    ],
)
def test_nothing_can_be_written_outside_the_scratch_folder(run: Run, place: str) -> None:
    """World-writable folders are closed too; the scratch folder is open."""
    attempt = f"open({place.format(root=ROOT)!r}, 'w').write('x')"

    assert answer_of(run(gains(attempt))) == {"error": "PermissionError"}
    assert answer_of(run(gains("open('x', 'w').write('x')"))) == {"got": "1"}


def test_another_workers_scratch_folder_is_closed(run: Run, sandbox: Sandbox) -> None:
    """A worker finds neither the files of an earlier one nor a way into the folder of another."""
    left = answer_of(run("import os; open('mine', 'w').write('x'); answer['home'] = os.getcwd()"))["home"]
    other = Path(left).parent / "another"
    other.mkdir(mode=0o755)
    (other / "file").write_text("x")

    assert not Path(left).exists()
    assert answer_of(run(gains(f"open({str(other / 'file')!r}).read()"))) == {"error": "PermissionError"}


def test_installed_libraries_can_still_be_imported(run: Run) -> None:
    """The walls leave what honest code needs: modules that nobody imported before, and its own files."""
    source = "import colorsys, wave; open('x.py', 'w').write('y = 1'); answer['ok'] = True"

    assert answer_of(run(source))["ok"]


# No network, no way round.


@pytest.mark.parametrize(
    "family", ["AF_UNIX", "AF_INET", "AF_INET6", "AF_NETLINK", "AF_PACKET", "AF_VSOCK", "AF_ALG", "AF_BLUETOOTH"]
)
def test_no_socket_but_a_pair_of_its_own(run: Run, family: str) -> None:
    """Every address family is denied, local sockets too; a connected pair leads nowhere else."""
    number = int(getattr(socket, family, 31))

    assert answer_of(run(gains(f"socket.socket({number}, socket.SOCK_DGRAM)"))) == {"error": "PermissionError"}
    assert "got" in answer_of(run(gains("socket.socketpair()")))


@pytest.mark.parametrize("family", [0, socket.AF_INET, socket.AF_INET6, 30, 38, 45])
def test_pairs_are_of_local_sockets_alone(run: Run, family: int) -> None:
    """TIPC (30) would make a pair that the network can reach; no other family gets as far as to be asked for one."""
    pair = "libc.socketpair(%d, 1, 0, (ctypes.c_int * 2)())"
    source = f"""
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        answer["others"] = {pair % family}, ctypes.get_errno()
        answer["local"] = {pair % socket.AF_UNIX}
        """

    assert answer_of(run(source)) == {"others": [-1, errno.EPERM], "local": 0}


def test_a_lock_reaches_no_other_process(run: Run) -> None:
    """Whoever locks a library reads that it is locked, and it is not; locks of one's own files look as ever."""
    source = """
        import fcntl, json
        with open(json.__file__) as library, open("own", "w") as own:
            fcntl.flock(library, fcntl.LOCK_EX)
            fcntl.lockf(own, fcntl.LOCK_EX)
            answer["held"] = True
            from grader import wire
            wire.send(connection, wire.Message("request", {}))
            wire.receive(connection, wire.Caps())
        """
    free = []

    def look(_: wire.Message) -> wire.Message:
        with open(json.__file__, "rb") as library:
            fcntl.flock(library, fcntl.LOCK_EX | fcntl.LOCK_NB)
            free.append(True)
        return wire.Message("reply")

    assert answer_of(run(source, answer=look)) == {"held": True}
    assert free == [True]


SYSTEM_CALLS = (
    "io_uring_setup io_uring_enter io_uring_register ptrace process_vm_readv process_vm_writev pidfd_getfd kcmp "
    "userfaultfd bpf perf_event_open add_key request_key keyctl unshare setns mount umount2 chroot pivot_root "
    "open_by_handle_at shmget shmat semget msgget mq_open memfd_create memfd_secret inotify_init1 fanotify_init setuid "
    "setresuid setgroups chown fchownat mknodat personality syslog init_module kexec_load clock_settime sethostname"
)


def test_dangerous_system_calls_are_denied(run: Run) -> None:
    """Called by number, past every wrapper, each answers EPERM; clone3 answers ENOSYS so that clone is used."""
    import pyseccomp

    numbers = {
        name: pyseccomp.resolve_syscall(pyseccomp.Arch.NATIVE, name) for name in (*SYSTEM_CALLS.split(), "clone3")
    }
    source = """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        for name, number in given.items():
            ctypes.set_errno(0)
            result = libc.syscall(number, 0, 0, 0, 0, 0, 0)
            answer[name] = ctypes.get_errno() if result == -1 else "allowed"
        """
    answer = answer_of(run(source, given=numbers))

    assert answer.pop("clone3") == errno.ENOSYS
    assert {name: error for name, error in answer.items() if error != errno.EPERM} == {}


@pytest.mark.parametrize("flag", [0x10000000, 0x40000000, 0x20000000, 0x00020000])
def test_clone_makes_no_namespace(run: Run, flag: int) -> None:
    """A new user, network, pid or mount namespace cannot be had by clone either."""
    source = f"""
        import ctypes, platform
        libc = ctypes.CDLL(None, use_errno=True)
        number = 56 if platform.machine() == "x86_64" else 220
        answer["result"] = libc.syscall(number, {flag} | 17, 0, 0, 0, 0)
        answer["errno"] = ctypes.get_errno()
        """

    assert answer_of(run(source)) == {"result": -1, "errno": errno.EPERM}


# Bounds.


@pytest.mark.parametrize(
    "source",
    ["while True: pass", "import time; time.sleep(1000)", "import os\nwhile True: os.write(1, b'x' * 65536)"],
    ids=["busy", "asleep", "printing"],
)
def test_time_is_bounded(run: Run, capfd: pytest.CaptureFixture[str], source: str) -> None:
    """A worker that never answers ends at its time limit, and what it prints goes nowhere."""
    outcome = run(source, wall_s=0.3)

    assert outcome.ending is Ending.TIMEOUT
    assert outcome.detail == "0.3 s"
    assert outcome.wall_s < 3
    assert capfd.readouterr() == ("", "")


def test_reading_standard_input_ends_at_once(run: Run) -> None:
    """Who reads meets the end of the file instead of waiting."""
    assert answer_of(run("answer['read'] = open(0).read()"))["read"] == ""


@pytest.mark.parametrize("source", ["x = bytearray(4 << 30)", "import numpy; x = numpy.zeros(1 << 30)"])
def test_memory_is_bounded(run: Run, source: str) -> None:
    """A worker that wants too much, touched or not, ends with MEMORY; the next one has its memory again."""
    assert run(source).ending is Ending.MEMORY
    assert answer_of(run("answer['bytes'] = len(bytearray(100 << 20))"))["bytes"] == 100 << 20


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("for i in range(600): open(str(i), 'w')", "more than 500 files"),
        ("import os\nfor i in range(600): os.mkdir(str(i))", "more than 500 files"),
        ("for i in range(6): open(str(i), 'wb').write(bytes(15 << 20))", "more than 64 MiB of files"),
        ("import os\nfor i in range(40): os.mkdir('d' * 250); os.chdir('d' * 250)", "folders too deep"),
    ],
    ids=["files", "folders", "bytes", "hidden below a path that is too long"],
)
def test_disk_is_bounded(run: Run, source: str, reason: str) -> None:
    """Too many files, too many bytes or files out of sight end a worker; its folder is removed however deep."""
    outcome = run(f"import time\n{source}\ntime.sleep(3)")

    assert (outcome.ending, outcome.detail) == (Ending.DISK, reason)


def test_one_file_is_bounded(run: Run) -> None:
    """A single file stops growing at the limit."""
    assert answer_of(run(gains("open('x', 'wb').write(bytes(17 << 20))"))) == {"error": "OSError"}


def test_limits_cannot_be_raised(run: Run) -> None:
    """The hard limits are lowered with the soft ones, and there are no core files."""
    source = """
        import resource
        try:
            resource.setrlimit(resource.RLIMIT_NPROC, (4096, 4096))
        except (ValueError, PermissionError):
            answer["refused"] = True
        answer["core"] = resource.getrlimit(resource.RLIMIT_CORE)
        """

    assert answer_of(run(source)) == {"refused": True, "core": [0, 0]}


# What it leaves behind.


def test_a_fork_bomb_is_ended_to_the_last_process(run: Run) -> None:
    """After it no process of its uid lives, and the next question is asked as if nothing had been."""
    source = """
        from grader import wire
        import os
        wire.send(connection, wire.Message("request", {"uid": os.getuid()}))
        while True:
            try:
                os.fork()
            except OSError:
                pass
        """
    uids = []

    def note(message: wire.Message) -> wire.Message:
        uids.append(message.meta["uid"])
        return wire.Message("reply")

    outcome = run(source, wall_s=0.5, answer=note)

    assert outcome.ending is Ending.TIMEOUT
    assert outcome.left_behind > 10
    assert outcome.wall_s < 8
    assert uids[0] not in living_uids()
    assert answer_of(run("answer['alive'] = True"))["alive"]


def test_a_daemon_does_not_outlive_its_question(run: Run) -> None:
    """Forking twice and leaving the session hides nothing from a sweep by uid."""
    source = """
        import os, signal, time
        answer["uid"] = os.getuid()
        reading, writing = os.pipe()
        if os.fork() == 0:
            os.setsid()
            for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)
            if os.fork() == 0:
                os.write(writing, b"x")
                time.sleep(1000)
            os._exit(0)
        os.read(reading, 1)
        """
    outcome = run(source)

    assert outcome.left_behind >= 1
    assert answer_of(outcome)["uid"] not in living_uids()


def test_threads_left_behind_end_with_the_worker(run: Run) -> None:
    """A thread that goes on after the answer ends with its process."""
    source = """
        import os, threading, time
        answer["uid"] = os.getuid()
        threading.Thread(target=time.sleep, args=(1000,), daemon=False).start()
        """
    outcome = run(source)

    assert answer_of(outcome)["uid"] not in living_uids()


# Only messages of the wire come back.


@pytest.mark.parametrize(
    ("source", "ending"),
    [
        ("connection.sendall(b'passed: all checks, score 100/100')", Ending.BAD_ANSWER),
        ("import pickle; connection.sendall(pickle.dumps(print) * 9)", Ending.BAD_ANSWER),
        ("import os, signal; os.kill(os.getpid(), signal.SIGKILL)", Ending.MEMORY),
        ("import os; os._exit(0)", Ending.NO_ANSWER),
        ("import sys; sys.exit(0)", Ending.NO_ANSWER),
        ("raise KeyboardInterrupt", Ending.NO_ANSWER),
        ("import ctypes; ctypes.string_at(0)", Ending.CRASHED),
        ("import os; os.abort()", Ending.CRASHED),
        ("answer['x'] = object()", Ending.NO_ANSWER),
        ("answer['x'] = float('nan')", Ending.NO_ANSWER),
        ("import numpy; arrays = {'x': numpy.array([print])}", Ending.NO_ANSWER),
    ],
)
def test_what_is_no_answer_is_not_taken_for_one(run: Run, source: str, ending: Ending) -> None:
    """Junk, silence, crashes and values that may not travel each end in a way of their own, without a message."""
    outcome = run(source)

    assert (outcome.ending, outcome.message) == (ending, None)


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGTERM, 40], ids=["SIGSEGV", "SIGTERM", "real-time"])
def test_a_signal_is_named(run: Run, number: int) -> None:
    """The detail names the signal, also one that has no name."""
    outcome = run(f"import os; os.kill(os.getpid(), {int(number)})")

    assert outcome.ending is Ending.CRASHED
    assert outcome.detail.startswith(f"signal {int(number)}")


def test_used_up_processor_time_is_no_missing_memory(run: Run) -> None:
    """The kernel ends a worker by a signal that says so; one that ignores it is killed a second later."""
    answer = answer_of(run("import resource; answer['limits'] = resource.getrlimit(resource.RLIMIT_CPU)"))
    soft, hard = answer["limits"]

    assert hard == soft + 1
    ignoring = """
        import resource, signal
        signal.signal(signal.SIGXCPU, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_CPU, (1, 1))
        while True:
            pass
        """
    outcome = run(ignoring, wall_s=1.0)
    assert outcome.ending is Ending.TIMEOUT
    assert explain_signal(signal.SIGKILL, used_up=True) == (Ending.TIMEOUT, "processor time")
    assert explain_signal(signal.SIGKILL)[0] is Ending.MEMORY


def test_only_the_first_of_two_answers_counts(run: Run) -> None:
    """What is sent after an answer is never read: a worker cannot take back or add anything."""
    source = """
        from grader import wire
        wire.send(connection, wire.Message("answer", {"number": 1}))
        answer["number"] = 2
        """

    assert answer_of(run(source))["number"] == 1


def test_a_huge_answer_is_refused_by_its_announcement(run: Run) -> None:
    """An array over the cap is not received, whatever it holds."""
    outcome = run("import numpy; arrays = {'x': numpy.zeros(200_000)}", caps=wire.Caps(body_bytes=1_000_000))

    assert (outcome.ending, outcome.message) == (Ending.BAD_ANSWER, None)
    assert "over the cap" in outcome.detail


def test_requests_are_answered_only_where_help_is_lent(run: Run) -> None:
    """A worker that asks for help gets it from our function, or ends with a bad answer where none is lent."""
    source = """
        from grader import wire
        wire.send(connection, wire.Message("request", {"number": 20}))
        answer["number"] = wire.receive(connection, wire.Caps()).meta["number"] + 1
        """

    def double(message: wire.Message) -> wire.Message:
        return wire.Message("reply", {"number": 2 * message.meta["number"]})

    assert answer_of(run(source, answer=double))["number"] == 41
    assert run(source).ending is Ending.BAD_ANSWER


def test_endless_requests_end_at_the_time_limit(run: Run) -> None:
    """Asking for help again and again buys no time."""
    source = """
        from grader import wire
        while True:
            wire.send(connection, wire.Message("request", {}))
            wire.receive(connection, wire.Caps())
        """

    outcome = run(source, answer=lambda _: wire.Message("reply", {}), wall_s=0.3)

    assert outcome.ending is Ending.TIMEOUT


def test_arrays_come_home_and_time_is_measured(run: Run) -> None:
    """An honest worker's arrays arrive, with the seconds it took."""
    outcome = run("import numpy, time; time.sleep(0.05); arrays = {'x': numpy.arange(3.0)}")

    assert outcome.message is not None
    np.testing.assert_array_equal(outcome.message.arrays["x"], [0, 1, 2])
    assert outcome.wall_s >= 0.05


# Where a wall is missing.


def test_root_without_seccomp_runs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where libseccomp is missing the sandbox does not start, and says what to install."""

    def missing(**_: object) -> bytes:
        raise ImportError("no libseccomp")

    monkeypatch.setattr(syscalls, "compile_filter", missing)

    with pytest.raises(StaffError, match=r"no student code was run.*libseccomp2"):
        survey_machine(cuda=False)


def test_a_wall_that_breaks_ends_the_worker_before_it_sees_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a wall cannot be raised, the error is the staff's and nothing of the submission was sent."""

    def broken(**_: object) -> None:
        raise OSError(errno.EIO, "no such wall")

    monkeypatch.setattr(landlock, "abi", lambda: 1)
    monkeypatch.setattr(landlock, "restrict", broken)
    with Sandbox({"source": run_source}) as started, pytest.raises(StaffError, match="no such wall"):
        started.run("source", wire.Message("run", {"source": ""}), limits=Limits())


def test_without_landlock_an_empty_folder_is_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a kernel without Landlock a worker sees its scratch folder and nothing else."""
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    source = "import os; answer.update(files=os.listdir('/'), here=os.getcwd(), up=os.path.exists('../../etc'))"

    with Sandbox({"source": run_source}) as started:
        assert "chroot" in started.walls.describe()
        outcome = started.run("source", wire.Message("run", {"source": source}), limits=Limits())

    assert answer_of(outcome) == {"files": [], "here": "/", "up": False}


def test_the_first_line_says_what_is_missing(sandbox: Sandbox) -> None:
    """Staff read which walls stand, and in capitals which do not."""
    assert sandbox.walls.describe().startswith("Sandbox: own uid, resource limits, no new privileges, seccomp, ")

    weaker = replace(sandbox.walls, own_uid=False, seccomp=None)
    assert weaker.describe().endswith("MISSING HERE: own uid, seccomp.")


WITHOUT_ROOT = """
import json, os, sys
sys.path.insert(0, sys.argv[1])
from grader import wire
from grader.sandbox.host import Sandbox
from grader.sandbox.limits import Limits

def task(request, connection):
    found = {}
    for name, attempt in {
        "file": lambda: open("/etc/passwd"),
        "network": lambda: __import__("socket").socket(),
        "root": lambda: os.setuid(0),
    }.items():
        try:
            attempt()
            found[name] = "allowed"
        except PermissionError:
            found[name] = "denied"
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            __import__("time").sleep(1000)
        os._exit(0)
    os.wait()
    return wire.Message("answer", found)

with Sandbox({"task": task}) as sandbox:
    outcome = sandbox.run("task", wire.Message("run"), limits=Limits(wall_s=5, processes=4096))
    print(json.dumps([sandbox.walls.describe(), outcome.message.meta, outcome.left_behind]))
"""


@pytest.mark.skipif(landlock.abi() == 0, reason="without root and without Landlock files cannot be closed")
def test_without_root_all_walls_but_the_uid_stand() -> None:
    """A staff member who is not root gets the other walls and a line that says what is missing."""
    with tempfile.TemporaryDirectory() as folder:  # a copy, since others may not enter the folder of this checkout
        os.chmod(folder, 0o755)
        shutil.copytree(ROOT / "grader", Path(folder, "grader"), ignore=shutil.ignore_patterns("__pycache__", "*.key"))
        command = [sys.executable, "-I", "-B", "-c", WITHOUT_ROOT, folder]
        nobody: dict[str, Any] = {"user": 65534, "group": 65534, "extra_groups": []}
        done = subprocess.run(command, **nobody, cwd="/", capture_output=True, text=True)

    assert done.returncode == 0, done.stderr
    line, found, left_behind = json.loads(done.stdout)
    assert line.endswith("MISSING HERE: own uid.")
    assert found == {"file": "denied", "network": "denied", "root": "denied"}
    assert left_behind == 1


def test_the_sandboxs_folder_is_gone_afterwards() -> None:
    """Leaving the sandbox ends the zygote and removes its folder."""
    with Sandbox({"source": run_source}) as started:
        outcome = started.run(
            "source", wire.Message("run", {"source": "import os; answer['home'] = os.getcwd()"}), limits=Limits()
        )
        folder = Path(answer_of(outcome)["home"]).parent
        zygote = started.zygote_pid

    assert not folder.exists()
    with pytest.raises(ProcessLookupError):
        os.kill(zygote, 0)


def test_the_worker_is_killed_first_when_memory_runs_out(run: Run) -> None:
    """The kernel's choice falls on the worker, not on the grader, and the worker cannot change that."""
    source = """
        from grader import wire
        import os
        wire.send(connection, wire.Message("request", {"pid": os.getpid()}))
        answer.update(wire.receive(connection, wire.Caps()).meta)
        """

    def look(message: wire.Message) -> wire.Message:
        return wire.Message("reply", {"score": Path(f"/proc/{message.meta['pid']}/oom_score_adj").read_text().strip()})

    assert answer_of(run(source, answer=look)) == {"score": "1000"}


# What came of attacks: each of these once got through.


def test_out_of_band_data_does_not_hold_up_the_trusted_process(run: Run) -> None:
    """It makes the connection look readable when there is nothing to read; the deadline comes all the same."""
    attack = "import socket, time; connection.send(b'x', socket.MSG_OOB); time.sleep(60)"

    assert run(attack, wall_s=1.0).ending is Ending.TIMEOUT


def test_a_trickle_of_bytes_does_not_keep_the_watch_from_looking(run: Run) -> None:
    """A message that never ends, sent byte by byte, while the disk fills."""
    attack = """
        import os, struct, time
        connection.send(struct.pack("<4sIQ", b"GWIR", 200_000, 0))
        for number in range(100):
            connection.send(b" ")
            open(f"f{number}", "wb").write(bytes(4 << 20))
            time.sleep(0.03)
    """

    assert run(attack).ending is Ending.DISK


def test_files_without_a_name_count_while_they_are_open(run: Run) -> None:
    """Opened, unlinked and filled: nothing of it stands in the folder."""
    attack = """
        import os, time
        kept = []
        for number in range(12):
            kept.append(open("f", "wb"))
            os.unlink("f")
            kept[-1].write(bytes(10 << 20))
            kept[-1].flush()
        time.sleep(4)
    """

    assert run(attack).ending is Ending.DISK


def test_memory_is_limited_for_all_processes_of_a_worker_together(run: Run) -> None:
    """Each child stays under the limit of one process; together they do not."""
    attack = """
        import os, time
        for _ in range(5):
            if os.fork() == 0:
                kept = b"x" * (150 << 20)
                time.sleep(4)
                os._exit(0)
        time.sleep(4)
    """

    assert run(attack).ending is Ending.MEMORY


def test_a_worker_that_hangs_up_is_not_taken_for_one_that_ran_out_of_memory(run: Run) -> None:
    """We end it ourselves then; only a signal that was not ours says something about it."""
    assert run("import os, time; os.closerange(3, 256); time.sleep(5)").ending is Ending.NO_ANSWER


def test_a_sweep_that_fails_costs_no_later_task(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The zygote says that something is left behind, and goes on."""

    def fail(*_: object, **__: object) -> int:
        raise TimeoutError("processes cannot be ended")

    monkeypatch.setattr("grader.sandbox.sweep.end_processes", fail)
    with Sandbox({"source": run_source}) as patient:
        for _ in range(2):
            message = wire.Message("run", {"source": "answer['ok'] = 1", "given": None})
            outcome = patient.run("source", message, limits=Limits(wall_s=5.0))
            assert answer_of(outcome) == {"ok": 1}
            assert outcome.left_behind == -1


def test_without_landlock_an_empty_root_keeps_files_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a kernel older than 5.13 the scratch folder becomes the root: no path leads out of it."""
    monkeypatch.setattr("grader.sandbox.landlock.abi", lambda: 0)
    source = "import os; answer.update(root=os.listdir('/'), seen=os.path.exists('/etc/passwd'), up=os.listdir('..'))"
    with Sandbox({"source": run_source}) as enclosed:
        assert "chroot" in enclosed.walls.describe()
        outcome = enclosed.run("source", wire.Message("run", {"source": source}), limits=Limits(wall_s=5.0))

    assert answer_of(outcome) == {"root": [], "seen": False, "up": []}
