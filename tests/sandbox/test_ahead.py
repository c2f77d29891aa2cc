"""The worker that is forked ahead, and a task that is begun before somebody waits for it."""

from __future__ import annotations

import os
import signal
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from grader import wire
from grader.errors import StaffError
from grader.sandbox.host import Running, Sandbox
from grader.sandbox.limits import Limits
from grader.sandbox.outcome import Ending
from tests.sandbox.hostile_code import answer_of, living_uids, needs_root, run_source

pytestmark = needs_root


@pytest.fixture
def fresh() -> Iterator[Sandbox]:
    """Return a sandbox whose workers nobody else counts."""
    with Sandbox({"source": run_source}) as started:
        yield started


def begin(sandbox: Sandbox, source: str, *, wall_s: float = 5.0, given: object = None) -> Running:
    """Have a worker begin to run some source."""
    request = wire.Message("run", {"source": textwrap.dedent(source), "given": given})
    return sandbox.begin("source", request, limits=Limits(wall_s=wall_s, memory_mib=256))


def waiting(sandbox: Sandbox) -> int:
    """Return the pid of the worker that waits for a task, once its walls can be expected to stand."""
    idle = sandbox._idle
    assert idle is not None
    sandbox._control.reply_to(idle.started)
    deadline = time.monotonic() + 5.0
    while "Seccomp:\t2" not in Path(f"/proc/{idle.pid}/status").read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    return idle.pid


def test_two_tasks_at_once_come_home_in_any_order(fresh: Sandbox) -> None:
    """Each has its own worker and its own uid."""
    source = "import os; answer.update(name=given, uid=os.getuid())"
    first, second = begin(fresh, source, given="first"), begin(fresh, source, given="second")
    answers = [answer_of(second.outcome()), answer_of(first.outcome())]

    assert [answer["name"] for answer in answers] == ["second", "first"]
    assert answers[0]["uid"] != answers[1]["uid"]


def test_whoever_waits_for_a_task_is_shut_in_already(fresh: Sandbox) -> None:
    """The next worker stands behind its walls while the code of the last one runs, with a uid that nobody else has."""
    running = begin(fresh, "import os; answer['uid'] = os.getuid()")
    status = Path(f"/proc/{waiting(fresh)}/status").read_text()
    uid = int(status.partition("Uid:")[2].split()[0])

    assert "NoNewPrivs:\t1" in status
    assert "Seccomp:\t2" in status
    assert uid not in (0, answer_of(running.outcome())["uid"])


def test_student_code_does_not_reach_the_worker_that_waits(fresh: Sandbox) -> None:
    """It can neither signal it nor see into it, and the next question is answered."""
    source = """
        import os, signal
        from grader import wire
        wire.send(connection, wire.Message("request"))
        pid = wire.receive(connection, wire.Caps()).meta["pid"]
        for attempt in (lambda: os.kill(pid, signal.SIGKILL), lambda: open(f"/proc/{pid}/mem")):
            try:
                attempt()
            except OSError as error:
                answer.setdefault("denied", []).append(type(error).__name__)
        """
    outcome = fresh.run(
        "source",
        wire.Message("run", {"source": textwrap.dedent(source)}),
        limits=Limits(wall_s=5.0),
        answer=lambda _: wire.Message("reply", {"pid": waiting(fresh)}),
    )

    assert answer_of(outcome) == {"denied": ["PermissionError", "PermissionError"]}
    assert answer_of(fresh.run("source", wire.Message("run", {"source": "answer['ok'] = 1"}), limits=Limits()))


def test_what_is_imported_early_is_there_in_the_next_worker(fresh: Sandbox) -> None:
    """One that was forked before the import is not given a task."""
    look = "import sys; answer['there'] = 'tabnanny' in sys.modules"
    assert answer_of(begin(fresh, look).outcome()) == {"there": False}
    fresh.import_early(["tabnanny"])

    assert answer_of(begin(fresh, look).outcome()) == {"there": True}


def test_a_waiting_worker_that_is_gone_costs_nothing(fresh: Sandbox) -> None:
    """The kernel may choose it when memory is short: another one is forked."""
    begin(fresh, "").outcome()
    os.kill(waiting(fresh), signal.SIGKILL)

    assert answer_of(begin(fresh, "answer['ok'] = 1").outcome()) == {"ok": 1}


def test_time_runs_from_the_beginning(fresh: Sandbox) -> None:
    """An answer that came in time is one, however late it is fetched; one that did not come in time is none."""
    quick, slow = begin(fresh, "answer['ok'] = 1", wall_s=1.0), begin(fresh, "import time; time.sleep(60)", wall_s=1.0)
    time.sleep(1.5)

    assert slow.outcome().ending is Ending.TIMEOUT
    assert answer_of(quick.outcome()) == {"ok": 1}


def test_nobody_is_left_when_a_run_ends_early(fresh: Sandbox) -> None:
    """A task that nobody waited for, and the worker that waits, end with the sandbox."""
    with Sandbox({"source": run_source}) as left:
        begin(left, "import time; time.sleep(60)", wall_s=60.0)
        pids = {waiting(left), left.zygote_pid}
        uids = {worker.uid for worker in left._workers}

    assert not [pid for pid in pids if Path(f"/proc/{pid}").exists()]
    assert not uids & living_uids()


def test_a_killed_zygote_is_met_by_whoever_waits(fresh: Sandbox) -> None:
    """The error is the staff's, at the task that was begun and at the next."""
    running = begin(fresh, "import time; time.sleep(60)")
    os.kill(fresh.zygote_pid, signal.SIGKILL)

    with pytest.raises(StaffError, match="zygote does not answer"):
        running.outcome()
    with pytest.raises(StaffError, match="zygote does not answer"):
        begin(fresh, "")


def test_a_next_worker_that_cannot_be_forked_costs_the_next_task_only(
    fresh: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk, say: the task that was handed over goes on, and whoever needs a worker then hears of it."""
    begin(fresh, "").outcome()

    def no_room(_: Sandbox) -> None:
        raise OSError("No space left on device")

    monkeypatch.setattr(Sandbox, "_fork", no_room)

    assert answer_of(begin(fresh, "answer['ok'] = 1").outcome()) == {"ok": 1}
    with pytest.raises(OSError, match="No space"):
        begin(fresh, "")


def test_two_living_workers_never_share_a_uid(fresh: Sandbox) -> None:
    """Also where one uid was given up, and the next in line is taken."""
    first = begin(fresh, "import time; time.sleep(60)", wall_s=60.0)
    for uid in range(fresh._uids.worker(0), fresh._uids.sweeper):
        if uid not in {worker.uid for worker in fresh._workers} | {fresh._uids.sweeper - 1}:
            fresh._uids.give_up(uid)
    second = begin(fresh, "")

    assert len({worker.uid for worker in fresh._workers}) == len(fresh._workers)
    for running in (first, second):
        running.give_up()


def test_what_nobody_waits_for_is_ended(fresh: Sandbox) -> None:
    """A task that is given up does not run on beside those after it."""
    running = begin(fresh, "import time; time.sleep(60)", wall_s=60.0)
    running.give_up()
    fresh.run("source", wire.Message("run", {"source": ""}), limits=Limits(wall_s=5.0))

    assert running.worker.uid not in living_uids()
