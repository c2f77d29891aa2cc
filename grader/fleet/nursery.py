"""
The nursery: a process with the libraries imported, from which a grader is forked for each submission.

It is started with a clean environment, knows no name, no secret and no answer, and learns paths only. A grader
forks its sandbox first, from memory that is the nursery's, and only then reads the secret and imports the
reference. A grader that dies costs its own submission and nothing else.
"""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import json
import logging
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import NoReturn

from grader import wire
from grader.errors import StaffError
from grader.feedback.text import plain
from grader.fleet.fingerprint import fingerprints, sources_of, template_grams
from grader.fleet.record import GRADED, INFRASTRUCTURE, Record, write_whole
from grader.intake.report import Intake
from grader.pipeline.homework import Homework, load_homework
from grader.pipeline.run import Settings, grade_submission, usual_staff_tests, worker_tasks
from grader.sandbox.heap import LARGE_PAGES, gather_in_large_pages
from grader.sandbox.sweep import become_subreaper

logger = logging.getLogger(__name__)

ROOT = Path(__file__).parents[2]
_KEPT_VARIABLES = ("PATH", "HOME", "LANG", "CUDA_VISIBLE_DEVICES")
_PROGRAM = (
    "import sys; sys.path.insert(0, sys.argv[1]); from grader.fleet.nursery import main; "
    "main(int(sys.argv[2]), sys.argv[3])"
)
_START_S = 300.0  # torch on a cold disk under load
_PR_SET_PDEATHSIG = 1
_MIB_IN_KIB = 1024


@dataclass(frozen=True)
class Job:
    """
    One submission to grade.

    Args:
        key: the record's key.
        content: digest of the submission's files.
        submission: its folder.
        record: where the record goes.
        work: a folder for results.json while it grows; made and removed by the grader.
        rubric: the rubric's file.
        secret_file: read by the grader only, after its workers' parent was forked off.
        device: "cpu" or "cuda".
        limit_s: seconds after which a grader hangs and is ended.
        attempt: counts from 1.
    """

    key: str
    content: str
    submission: str
    record: str
    work: str
    rubric: str
    secret_file: str
    device: str = "cpu"
    limit_s: float = 900.0
    attempt: int = 1

    @property
    def again(self) -> Job:
        """The same job for the next attempt."""
        return replace(self, attempt=self.attempt + 1)


class NurseryDied(Exception):
    """The nursery is gone, and its graders with it."""


class Nursery:
    """
    The nursery, as the scheduler sees it. Use it as a context manager.

    Args:
        log: file that receives what graders have to say to staff.
        homework: the package of what is graded.
    """

    def __init__(self, log: Path, homework: str) -> None:
        self._socket, theirs = socket.socketpair()
        environment = {name: os.environ[name] for name in _KEPT_VARIABLES if name in os.environ}
        # A second thread before a fork would be one too many: OpenBLAS starts its own at import.
        environment |= {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        environment |= LARGE_PAGES
        with theirs, os.fdopen(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600), "a") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-B", "-c", _PROGRAM, str(ROOT), str(theirs.fileno()), homework],
                pass_fds=[theirs.fileno()],
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=errors,
                stderr=errors,
                cwd="/",
            )
        self.pids: dict[str, int] = {}  # of the graders at work, by their record's key
        self._await_ready(log)

    def _await_ready(self, log: Path) -> None:
        try:
            wire.receive(self._socket, wire.Caps(), deadline=time.monotonic() + _START_S)
        except (EOFError, OSError, TimeoutError) as error:  # TimeoutError is an OSError; both are named for the reader
            self.__exit__()
            raise StaffError(happened="The grading process did not start.", try_next=f"Look into {log}.") from error

    def __enter__(self) -> Nursery:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()
        self._process.wait()

    @property
    def pid(self) -> int:
        """The nursery's process id."""
        return self._process.pid

    def start(self, job: Job) -> None:
        """
        Have a grader forked for a job.

        Raises:
            NurseryDied: there is no nursery any more.
        """
        self._send(wire.Message("grade", asdict(job)))
        self.pids[job.key] = 0

    def wait(self) -> tuple[str, str]:
        """
        Wait until a grader ends; return its job's key and, if it did not end by itself, what happened to it.

        Raises:
            NurseryDied: there is no nursery any more.
        """
        while True:
            message = self._receive()
            key = message.meta["key"]
            if message.kind == "started":
                self.pids[key] = message.meta["pid"]
                continue
            del self.pids[key]
            return key, message.meta["fault"]

    def _send(self, message: wire.Message) -> None:
        try:
            wire.send(self._socket, message)
        except OSError as error:
            raise NurseryDied from error

    def _receive(self) -> wire.Message:
        try:
            return wire.receive(self._socket, wire.Caps())
        except (EOFError, OSError) as error:
            raise NurseryDied from error


def main(descriptor: int, package: str) -> NoReturn:
    """Be the nursery of a homework; the descriptor is its end of the socket."""
    os.setsid()  # Ctrl-C is the scheduler's business
    logging.basicConfig(format="%(asctime)s %(message)s")
    become_subreaper()
    homework = load_homework(package)
    worker_tasks(homework)
    for part in homework.parts:
        for library in part.libraries:
            importlib.import_module(library)
    control = socket.socket(fileno=descriptor)
    control.set_inheritable(False)
    templates = template_grams(homework.templates)
    gather_in_large_pages()
    wire.send(control, wire.Message("ready"))
    _serve(control, homework, templates)
    os._exit(0)


@dataclass(frozen=True)
class _Grader:
    """A grader at work."""

    key: str
    pid: int
    handle: int
    deadline: float


def _serve(control: socket.socket, homework: Homework, templates: frozenset[int]) -> None:
    """Fork graders and report their ends until the scheduler closes the socket; then end them all."""
    selector = selectors.DefaultSelector()
    selector.register(control, selectors.EVENT_READ)
    graders: dict[int, _Grader] = {}
    try:
        while True:
            for ready, _ in selector.select(timeout=1.0):
                if ready.fileobj is control:
                    grader = _fork(Job(**wire.receive(control, wire.Caps()).meta), control, homework, templates)
                    graders[grader.handle] = grader
                    selector.register(grader.handle, selectors.EVENT_READ)
                    wire.send(control, wire.Message("started", {"key": grader.key, "pid": grader.pid}))
                else:
                    grader = graders.pop(ready.fd)
                    selector.unregister(grader.handle)
                    wire.send(control, wire.Message("ended", {"key": grader.key, "fault": _fault(grader)}))
            _end_overdue(graders.values())
            _reap_orphans({grader.pid for grader in graders.values()})
    except (EOFError, OSError):
        for grader in graders.values():
            os.kill(grader.pid, signal.SIGKILL)  # its sandbox ends its workers when it notices


def _fork(job: Job, control: socket.socket, homework: Homework, templates: frozenset[int]) -> _Grader:
    nursery = os.getpid()
    pid = os.fork()
    if pid == 0:
        control.close()
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        code = 1
        try:
            if os.getppid() == nursery:  # it might have died before we asked to be told
                grade(job, homework, templates)
                code = 0
        except BaseException:
            logger.exception("a grader failed outside grading")
        finally:
            os._exit(code)
    return _Grader(job.key, pid, os.pidfd_open(pid), time.monotonic() + job.limit_s)


def _fault(grader: _Grader) -> str:
    _, status = os.waitpid(grader.pid, 0)
    os.close(grader.handle)
    if os.WIFSIGNALED(status):
        return f"the grader was ended by signal {os.WTERMSIG(status)}"
    return "" if os.WEXITSTATUS(status) == 0 else "the grader could not write its record"


def _end_overdue(graders: Iterable[_Grader]) -> None:
    for grader in graders:
        if time.monotonic() > grader.deadline:
            os.kill(grader.pid, signal.SIGKILL)


def _reap_orphans(living: set[int]) -> None:
    """Collect what ended graders left to us, their sandboxes, but no grader: its end is reported."""
    with contextlib.suppress(ChildProcessError):
        while (found := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT)) is not None:
            if found.si_pid in living:
                return
            os.waitpid(found.si_pid, 0)


def grade(job: Job, homework: Homework, templates: frozenset[int]) -> None:
    """Grade one submission and write its record; called in a process of its own."""
    began = time.monotonic()
    prints: list[int] = []

    def take_prints(intake: Intake) -> None:
        prints.extend(fingerprints(sources_of(intake), templates))

    work = Path(job.work)
    work.mkdir(mode=0o700, parents=True, exist_ok=True)
    settings = Settings(
        homework=homework,
        rubric=Path(job.rubric),
        out=work,
        device=job.device,
        secret_file=Path(job.secret_file),
        staff_tests=usual_staff_tests(),
        on_intake=take_prints,
    )
    status, reason = GRADED, ""
    try:
        grade_submission(Path(job.submission), settings)
    except Exception as error:  # whatever it was, the report says that it is not the student's fault
        logger.exception("a submission could not be graded")
        status, reason = INFRASTRUCTURE, plain(f"{type(error).__name__}: {error}", limit=500)
    results_file = work / "results.json"
    own, children = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    record = Record(
        key=job.key,
        content=job.content,
        status=status,
        results=json.loads(results_file.read_text(encoding="utf-8")),
        reason=reason,
        attempts=job.attempt,
        cpu_s=round(own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime, 3),
        wall_s=round(time.monotonic() - began, 3),
        peak_mib=round(max(own.ru_maxrss, children.ru_maxrss) / _MIB_IN_KIB, 1),
        fingerprints=tuple(prints),
    )
    write_whole(Path(job.record), record.to_bytes())
    results_file.unlink()
    work.rmdir()
