"""
The same work on a Ray cluster: bytes of a submission go out, the bytes of its record come back.

Each Ray process holds a nursery and grades one submission at a time. Every node has the same checkout and secret at the
same path (a node with others refuses), so neither travels. A lost node's submissions are graded elsewhere. Ray is
imported here only, without its dashboard and its usage statistics.
"""

from __future__ import annotations

import atexit
import logging
import os
import socket
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from grader.archives import normal_path
from grader.errors import StaffError
from grader.fleet.digests import grader_digest, secret_digest
from grader.fleet.nursery import ROOT, Job, Nursery, NurseryDied
from grader.fleet.pool import ATTEMPTS, Ended
from grader.fleet.record import record_of, write_whole
from grader.pipeline.homework import load_homework

_CONNECT_S = 5.0
_NODE_RETRIES = 5
_IN_FLIGHT_FOR_EACH_CPU = 2  # the next submission is there when one ends, and no more wait in memory than that
_LOOK_EVERY_S = 5.0


@dataclass(frozen=True)
class RaySettings:
    """
    Where and how to grade on Ray.

    Args:
        homework: its package.
        address: of the cluster's head, "host:port"; "local" starts Ray on this machine.
        workers: processors to use if "local".
        cpus: of a node, for one submission.
        gpus: of a node, for one submission; a fraction lets several share one.
        most_in_flight: submissions sent out at once; None takes two for each processor of the cluster.
    """

    homework: str
    address: str
    workers: int
    cpus: float = 1.0
    gpus: float = 0.0
    most_in_flight: int | None = None


def start_ray(settings: RaySettings) -> Any:
    """
    Connect to the cluster, or start one here, and return the module `ray`.

    Raises:
        StaffError: there is no cluster, or Ray is not installed.
    """
    require_listener(settings.address)
    os.environ.update(
        RAY_USAGE_STATS_ENABLED="0", RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO="0", RAY_BACKEND_LOG_LEVEL="fatal"
    )
    try:
        import ray
    except ImportError as error:
        raise StaffError(happened="Ray is not installed.", try_next="Run ./setup.sh --dev once.") from error
    if ray.is_initialized():
        return ray
    # When a node dies, Ray would print the end of its log into the progress bar.
    logging.getLogger("ray").setLevel(logging.CRITICAL)
    local = {"num_cpus": settings.workers, "include_dashboard": False, "_node_ip_address": "127.0.0.1"}
    where: dict[str, Any] = local if settings.address == "local" else {"address": settings.address}
    if settings.address.startswith("127."):  # where Ray would look for this machine's outer address
        where["_node_ip_address"] = settings.address.partition(":")[0]
    try:
        ray.init(**where, log_to_driver=False, configure_logging=False)
    except (ConnectionError, ValueError, RuntimeError) as error:
        raise StaffError(
            happened=f"There is no Ray cluster at {settings.address} ({error}).",
            try_next="Start one with `ray start --head --include-dashboard=false` and name its address.",
        ) from error
    return ray


def require_listener(address: str) -> None:
    """
    Make sure that something answers at the address of a cluster.

    Ray tries for minutes to reach one that is not there, and prints lines of its own meanwhile.

    Raises:
        StaffError: nothing does.
    """
    host, _, port = address.rpartition(":")
    if not host or not port.isdigit():
        return  # "local", "auto" and ray:// addresses are Ray's own to find
    try:
        socket.create_connection((host, int(port)), timeout=_CONNECT_S).close()
    except OSError as error:
        raise StaffError(
            happened=f"Nothing answers at {address} ({error.strerror or error}).",
            try_next="Start a cluster with `ray start --head --include-dashboard=false` and name its address, or leave "
            "out --ray.",
        ) from error


def grade_on_ray(
    jobs: Iterable[Job], settings: RaySettings, *, on_submitted: Callable[[int], None] = lambda _: None
) -> Iterator[Ended]:
    """
    Grade jobs on a cluster and yield each as it ends, its record written.

    Args:
        jobs: read one by one, as there is room.
        settings: the cluster.
        on_submitted: called with the number of submissions in flight, when one is sent out.
    """
    ray = start_ray(settings)

    def grade_there(root: str, *asked: Any) -> tuple[bytes | None, str]:
        # Ray sends a function inside a function as code: the node's own sources come in only here.
        import sys

        if root not in sys.path:
            sys.path.insert(0, root)
        from grader.fleet.ray_pool import grade_here

        return grade_here(*asked)

    task = ray.remote(grade_there).options(
        num_cpus=settings.cpus, num_gpus=settings.gpus, max_retries=_NODE_RETRIES, retry_exceptions=False
    )
    waiting = iter(jobs)
    sources = grader_digest(load_homework(settings.homework))
    running: dict[Any, Job] = {}
    exhausted = False
    while True:
        while not exhausted and len(running) < _room(ray, settings):
            job = next(waiting, None)
            if job is None:
                exhausted = True
                break
            secret = secret_digest(Path(job.secret_file))
            rubric = Path(job.rubric).read_text(encoding="utf-8")
            files = pack(Path(job.submission))
            running[task.remote(str(ROOT), settings.homework, asdict(job), files, rubric, sources, secret)] = job
            on_submitted(len(running))
        if not running:
            return
        done, _ = ray.wait(list(running), num_returns=1, timeout=_LOOK_EVERY_S)
        for reference in done:
            yield _stored(ray, reference, running.pop(reference))


def _room(ray: Any, settings: RaySettings) -> int:
    if settings.most_in_flight is not None:
        return settings.most_in_flight
    slots = ray.cluster_resources().get("CPU", 1.0) / max(settings.cpus, 0.1)
    if settings.gpus:
        slots = min(slots, ray.cluster_resources().get("GPU", 0.0) / settings.gpus)
    return max(1, int(_IN_FLIGHT_FOR_EACH_CPU * slots))


def _stored(ray: Any, reference: Any, job: Job) -> Ended:
    """Fetch a record and write it, or say why there is none."""
    try:
        data, fault = ray.get(reference)
    except Exception as error:  # of Ray's many, none may cost the other submissions
        return Ended(job, f"Ray could not grade it ({type(error).__name__})")
    if data is not None and (record := record_of(data)) is not None and record.key == job.key:
        write_whole(Path(job.record), data)
        return Ended(job, "")
    return Ended(job, fault or "Ray brought back no record")


def pack(folder: Path) -> dict[str, bytes]:
    """Return the regular files below a folder by name; links are not followed."""
    files = {}
    for path in sorted(folder.resolve().rglob("*")):
        if path.is_file() and not path.is_symlink():
            files[path.relative_to(folder.resolve()).as_posix()] = path.read_bytes()
    return files


def unpack(files: dict[str, bytes], folder: Path) -> None:
    """Write what `pack` returned into a private folder."""
    folder.mkdir(mode=0o700)
    for name, data in files.items():
        if normal_path(name) is None:
            continue
        path = folder / name
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        path.write_bytes(data)


class _Nest:
    """The nursery of this Ray process, for the GPUs that it was given."""

    nursery: Nursery | None = None
    gpus: str | None = None

    @classmethod
    def open(cls, folder: Path, homework: str) -> Nursery:
        gpus = os.environ.get("CUDA_VISIBLE_DEVICES")
        if cls.nursery is not None and cls.gpus != gpus:
            cls.close()
        if cls.nursery is None:
            cls.nursery, cls.gpus = Nursery(folder / "grader.log", homework), gpus
            atexit.register(cls.close)
        return cls.nursery

    @classmethod
    def close(cls) -> None:
        if cls.nursery is not None:
            cls.nursery.__exit__()
            cls.nursery = None


def grade_here(
    homework: str, asked: dict[str, Any], files: dict[str, bytes], rubric: str, sources: str, secret: str
) -> tuple[bytes | None, str]:
    """Grade one submission on a node; return its record, or None and why there is none."""
    job = Job(**asked)
    if grader_digest(load_homework(homework)) != sources or secret_digest(Path(job.secret_file)) != secret:
        return None, "a node has other sources or another secret than the machine that sent it"
    log = Path(tempfile.gettempdir(), f"grader-ray-{os.geteuid()}")
    log.mkdir(mode=0o700, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="grader-ray-") as name:
        folder = Path(name)  # of mode 0700
        unpack(files, folder / "submission")
        (folder / "rubric.yaml").write_text(rubric, encoding="utf-8")
        here = replace(
            job,
            submission=str(folder / "submission"),
            record=str(folder / "record.json"),
            work=str(folder / "work"),
            rubric=str(folder / "rubric.yaml"),
        )
        fault = ""
        for attempt in range(1, ATTEMPTS + 1):
            try:
                nursery = _Nest.open(log, homework)
                nursery.start(replace(here, attempt=attempt))
                _, fault = nursery.wait()
            except NurseryDied:
                _Nest.close()
                fault = "the process that graders are forked from died"
            if Path(here.record).exists():
                return Path(here.record).read_bytes(), ""
        return None, fault
