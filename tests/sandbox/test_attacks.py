"""Attacks made with fresh eyes; each closes a mechanism that the promises of `grader.sandbox` rest on."""

from __future__ import annotations

import errno
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from grader import wire
from grader.errors import StaffError
from grader.sandbox import sweep, walls
from grader.sandbox.accounting import held_by
from grader.sandbox.host import Sandbox
from grader.sandbox.limits import Limits
from grader.sandbox.outcome import Ending
from grader.sandbox.uids import UidBlock
from grader.sandbox.walls import missing_around, survey_machine
from tests.sandbox.hostile_code import Run, answer_of, gains, living_uids, needs_root, run_source

pytestmark = needs_root
ROOT = Path(__file__).parents[2]


# What is held but stands nowhere.


def test_removed_files_count_while_they_are_mapped(run: Run) -> None:
    """Filled, mapped, removed and closed: no folder and no descriptor shows them, the map does."""
    attack = """
        import mmap, os, time
        kept = []
        for number in range(12):
            with open("f", "w+b") as file:
                file.write(bytes(10 << 20))
                file.flush()
                kept.append(mmap.mmap(file.fileno(), 0))
            os.unlink("f")
        time.sleep(4)
    """
    outcome = run(attack)

    assert (outcome.ending, outcome.detail) == (Ending.DISK, "more than 64 MiB of files")


def test_buffers_of_sockets_count_as_memory(run: Run) -> None:
    """What lies unread in sockets is nobody's resident memory."""
    attack = """
        import os, socket, time
        for _ in range(20):
            if os.fork() == 0:
                pairs = [socket.socketpair() for _ in range(100)]
                for pair in pairs:
                    for end in pair:
                        end.setblocking(False)
                        try:
                            while True:
                                end.send(bytes(65536))
                        except BlockingIOError:
                            pass
                time.sleep(4)
                os._exit(0)
        time.sleep(4)
    """

    assert run(attack).ending is Ending.MEMORY


def test_a_process_cannot_hide_what_it_holds(run: Run) -> None:
    """prctl, which would close /proc to us in a container, is denied for that; so are programs that cannot be read."""
    source = """
        import ctypes, os, shutil
        libc = ctypes.CDLL(None, use_errno=True)
        answer["hides"] = [libc.prctl(4, 0, 0, 0, 0), ctypes.get_errno()]
        answer["visible"] = libc.prctl(3, 0, 0, 0, 0)
        """
    assert answer_of(run(source)) == {"hides": [-1, errno.EPERM], "visible": 1}

    unreadable = """
        import os, shutil, time
        shutil.copy("/usr/bin/sleep", "hidden")
        os.chmod("hidden", 0o111)
        if os.fork() == 0:
            os.execv("hidden", ["hidden", "9"])
        time.sleep(4)
    """
    outcome = run(unreadable)
    # Root with CAP_SYS_PTRACE sees it all the same; in a container it is ended for hiding.
    assert (outcome.ending, outcome.detail) in [
        (Ending.ANSWERED, ""),
        (Ending.DISK, "a process that hides which files it holds"),
    ]


def test_looking_takes_no_privilege(run: Run) -> None:
    """With the worker's own identity for files, its descriptors are seen; ours comes back afterwards."""
    source = """
        from grader import wire
        import os
        kept = open("f", "wb"); os.unlink("f"); kept.write(bytes(1 << 20)); kept.flush()
        wire.send(connection, wire.Message("request", {"pid": os.getpid(), "uid": os.getuid()}))
        wire.receive(connection, wire.Caps())
        """
    seen = []

    def look(message: wire.Message) -> wire.Message:
        seen.append(held_by([message.meta["pid"]], message.meta["uid"]))
        return wire.Message("reply")

    answer_of(run(source, answer=look))
    (held,) = seen

    assert sum(held.nameless.values()) == 1 << 20
    assert not held.hidden
    assert Path("/proc/self/status").read_text().partition("Uid:")[2].split()[:4] == ["0"] * 4


def test_disk_is_watched_while_a_worker_does_not_read(run: Run) -> None:
    """It asks for help and lets the answer wait in the socket, while it fills its folder."""
    attack = """
        from grader import wire
        import itertools, time
        wire.send(connection, wire.Message("request", {}))
        for number in itertools.count():
            open(f"f{number}", "wb").write(bytes(10 << 20))
            time.sleep(0.05)
    """
    import numpy as np

    big = {"x": np.zeros(4 << 20)}

    assert run(attack, answer=lambda _: wire.Message("reply", {}, big), wall_s=9).ending is Ending.DISK


# System calls past the list.


def test_calls_that_nobody_has_looked_at_are_not_there(run: Run) -> None:
    """New ones by number, and those of x86-64's second table, answer ENOSYS."""
    source = """
        import ctypes
        libc = ctypes.CDLL(None, use_errno=True)
        for number in (457, 458, 470, 999, 0x40000000 + 41, 0x40000000 + 39):
            ctypes.set_errno(0)
            answer[str(number)] = [libc.syscall(number, 0, 0, 0, 0, 0, 0), ctypes.get_errno()]
        """

    assert set(map(tuple, answer_of(run(source)).values())) == {(-1, errno.ENOSYS)}


@pytest.mark.skipif(os.uname().machine != "x86_64", reason="int 0x80 is an instruction of x86")
def test_the_32_bit_entry_to_the_kernel_is_closed(run: Run) -> None:
    """int 0x80, whose numbers mean other calls, ends the process; the filter cannot be walked around through it."""
    source = """
        import ctypes, mmap
        # mov eax, 359 (socket); mov ebx, 2; mov ecx, 1; xor edx, edx; int 0x80; ret
        code = bytes.fromhex("b867010000bb02000000b90100000031d2cd80c3")
        page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
        page.write(code)
        call = ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))
        answer["socket"] = call()
        """
    outcome = run(source)

    assert outcome.ending is Ending.CRASHED
    assert outcome.detail == "signal 31, SIGSYS"


@pytest.mark.parametrize(
    "attempt",
    [
        "os.setpriority(os.PRIO_PROCESS, 0, -5)",
        "os.setpriority(os.PRIO_PROCESS, {parent}, 5)",
        "os.sched_setaffinity({parent}, [0])",
        "os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))",
        "os.getxattr('/proc/{parent}/exe', 'user.x')",
        "open('/proc/self/mem', 'r+b').read(1)",
        "os.open('/dev/shm/x', os.O_CREAT | os.O_RDWR)",
        "os.open('/dev/tty', os.O_RDWR)",
        "os.link('/etc/passwd', 'mine')",
        "os.mkfifo('/tmp/pipe')",
        "os.getpgid({parent}) and os.setpgid(0, os.getpgid({parent}))",
        "__import__('fcntl').flock(os.open('/opt', os.O_RDONLY), 2)",
    ],
)
def test_nothing_of_the_graders_can_be_touched(run: Run, attempt: str) -> None:
    """Priorities, affinity, locks, links, terminals, process groups: each is refused."""
    assert "error" in answer_of(run(gains(attempt.format(parent=os.getpid()))))


def test_signals_by_other_ways_do_not_arrive(run: Run) -> None:
    """A file's owner for SIGIO, and a pidfd, are held to the same rights as kill."""
    source = """
        import fcntl, os, signal, socket
        ours, other = socket.socketpair()
        fcntl.fcntl(ours, fcntl.F_SETOWN, given)
        fcntl.fcntl(ours, 10, signal.SIGKILL)  # F_SETSIG
        fcntl.fcntl(ours, fcntl.F_SETFL, os.O_ASYNC | os.O_NONBLOCK)
        other.send(b"x")
        try:
            signal.pidfd_send_signal(os.pidfd_open(given), signal.SIGKILL)
        except OSError as error:
            answer["pidfd"] = type(error).__name__
        """

    assert answer_of(run(source, given=os.getpid())) == {"pidfd": "PermissionError"}


def test_devices_that_lead_nowhere_may_be_written(run: Run) -> None:
    """Honest code opens os.devnull to be silent."""
    assert answer_of(run(gains("open(os.devnull, 'w').write('x')"))) == {"got": "1"}


def test_descriptors_sent_along_are_dropped(run: Run) -> None:
    """What rides on a message never becomes a descriptor of the trusted process."""
    before = len(os.listdir("/proc/self/fd"))
    source = """
        import array, os, socket, struct
        kept = [os.open("/dev/zero", os.O_RDONLY) for _ in range(100)]
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", kept))]
        connection.sendmsg([struct.pack("<4sIQ", b"GWIR", 2, 0)], rights)
        connection.sendall(b"{}")
        """

    assert run(source).ending is Ending.BAD_ANSWER
    assert len(os.listdir("/proc/self/fd")) <= before


# Walls are looked at from outside, too.


def test_a_worker_that_only_says_that_its_walls_stand_is_not_believed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where a wall was silently not raised, the kernel says so, and nothing of the submission is sent."""
    monkeypatch.setattr("grader.sandbox.syscalls.install_filter", lambda _: None)
    with Sandbox({"source": run_source}) as started, pytest.raises(StaffError, match=r"Seccomp.*no student code"):
        started.run("source", wire.Message("run", {"source": ""}), limits=Limits())


def test_the_look_from_outside_names_what_is_missing() -> None:
    """A process of root's without any wall misses every one of them."""
    missing = missing_around(survey_machine(cuda=False), os.getpid(), 20_000)

    assert {"NoNewPrivs", "Uid", "Gid", "CapEff", "Seccomp"} <= set(missing)


def test_a_grader_among_the_libraries_is_kept_out_of_reach(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the checkout lies below a folder that Landlock would open, the empty root takes over."""
    monkeypatch.setattr(walls, "_GRADER", Path("/usr/local/src/grader"))
    found = survey_machine(cuda=False)

    assert (found.landlock, found.chroot) == (False, True)


# The grader's own processes end.


def processes_with(uid: int) -> bool:
    """Whether a uid is alive."""
    return uid in living_uids()


LINGER = """
import os, time
from grader import wire
if os.fork() == 0:
    os.setsid()
    time.sleep(1000)
wire.send(connection, wire.Message("request", {"uid": os.getuid(), "pid": os.getpid()}))
time.sleep(1000)
"""


def test_a_killed_zygote_is_the_staffs_error_and_leaves_nobody_alive() -> None:
    """Its workers end with it or are ended by the trusted process; nothing hangs, and nothing passes for an answer."""
    with Sandbox({"source": run_source}) as started:
        uids = []

        def kill_zygote(message: wire.Message) -> wire.Message:
            uids.append(message.meta["uid"])
            os.kill(started.zygote_pid, signal.SIGKILL)
            return wire.Message("reply")

        request = wire.Message("run", {"source": LINGER})
        with pytest.raises(StaffError, match="zygote does not answer"):
            started.run("source", request, limits=Limits(wall_s=5.0), answer=kill_zygote)
        assert not processes_with(uids[0])
        with pytest.raises(StaffError, match="zygote does not answer"):
            started.run("source", request, limits=Limits())


KILLED_GRADER = """
import os, sys, time
sys.path.insert(0, sys.argv[1])
from grader import wire
from grader.sandbox.host import Sandbox
from grader.sandbox.limits import Limits
from tests.sandbox.hostile_code import run_source

def say(message):
    print(message.meta["uid"], sandbox.zygote_pid, sandbox._folder, flush=True)
    return wire.Message("reply")

with Sandbox({"source": run_source}) as sandbox:
    sandbox.run("source", wire.Message("run", {"source": sys.argv[2]}), limits=Limits(), answer=say)
"""


@pytest.fixture
def grader_at_work() -> Iterator[tuple[subprocess.Popen[str], int, int, Path]]:
    """Return a grader whose worker lingers with a daemon, the worker's uid, the zygote and the sandbox's folder."""
    command = [sys.executable, "-c", KILLED_GRADER, str(ROOT), LINGER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        uid, zygote_pid, folder = process.stdout.readline().split()
        yield process, int(uid), int(zygote_pid), Path(folder)
        process.kill()
    shutil.rmtree(folder, ignore_errors=True)


def gone_soon(uid: int) -> bool:
    """Wait some seconds for the last process of a uid."""
    deadline = time.monotonic() + 20
    while processes_with(uid) and time.monotonic() < deadline:
        time.sleep(0.02)
    return not processes_with(uid)


def test_nothing_outlives_a_killed_grader(grader_at_work: tuple[subprocess.Popen[str], int, int, Path]) -> None:
    """kill -9 of the trusted process: the zygote ends its worker, the worker's daemon and the folder."""
    process, uid, _, folder = grader_at_work
    process.kill()
    process.wait()

    assert gone_soon(uid)
    deadline = time.monotonic() + 20
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not folder.exists()


def test_the_next_run_ends_what_a_killed_one_left(
    grader_at_work: tuple[subprocess.Popen[str], int, int, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Trusted process and zygote killed together: the worker ends with its parent, its daemon before the next run."""
    process, uid, zygote_pid, _ = grader_at_work
    os.kill(zygote_pid, signal.SIGSTOP)
    process.kill()
    os.kill(zygote_pid, signal.SIGKILL)
    process.wait()
    assert processes_with(uid)
    monkeypatch.setattr("grader.sandbox.uids._FIRST", uid - uid % 100)
    monkeypatch.setattr("grader.sandbox.uids._BLOCKS", 1)

    with UidBlock() as block:
        assert block.worker(0) == uid - uid % 100

    assert gone_soon(uid)


def test_a_uid_that_cannot_be_cleared_is_used_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """The next tasks get others; where none is left, nothing is run."""
    with UidBlock() as block:
        first = block.worker(1)
        block.give_up(first)
        assert block.worker(1) == first + 1
        for uid in range(first - 1, block.sweeper):
            block.give_up(uid)
        with pytest.raises(StaffError, match="No uid is free"):
            block.worker(1)


def test_a_machine_without_processes_costs_one_task(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the zygote cannot fork it says so, and goes on; a sweep that cannot fork kills one by one first."""
    real, failures = os.fork, iter([True])

    def fork() -> int:
        if os.getpid() == zygote[0] and next(failures, False):
            raise BlockingIOError(errno.EAGAIN, "no more processes")
        return real()

    zygote = [0]
    monkeypatch.setattr(os, "fork", fork)
    with Sandbox({"source": run_source}) as started:
        zygote[0] = os.getpid()  # the zygote's copy still has 0: it forks as ever
        assert answer_of(run("answer['ok'] = 1"))["ok"] == 1
        with pytest.raises(BlockingIOError):
            os.fork()
        outcome = started.run("source", wire.Message("run", {"source": "answer['ok'] = 1"}), limits=Limits())
        assert answer_of(outcome) == {"ok": 1}


def test_a_sweep_without_a_process_to_spare_kills_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A bomb that has every process of the machine is ended all the same."""
    refusals = iter([True, True])
    real = sweep._signal_all_of

    def signal_all_of(uid: int, sweeper_uid: int) -> None:
        if next(refusals, False):
            raise BlockingIOError(errno.EAGAIN, "no more processes")
        real(uid, sweeper_uid)

    monkeypatch.setattr(sweep, "_signal_all_of", signal_all_of)
    source = "import os, time\nfor _ in range(5):\n    if os.fork() == 0: time.sleep(1000)\nanswer['uid'] = os.getuid()"
    with Sandbox({"source": run_source}) as started:
        outcome = started.run("source", wire.Message("run", {"source": source}), limits=Limits(wall_s=5.0))

    assert answer_of(outcome)["uid"] not in living_uids()
    assert outcome.left_behind == 5


def test_weaker_walls_are_told_one_by_one() -> None:
    """Staff read each layer that does not stand."""
    found = replace(survey_machine(cuda=True), landlock=False, chroot=False)

    assert found.describe().endswith("MISSING HERE: Landlock, address space limit.")
