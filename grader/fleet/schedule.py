"""Grade a class: who is to be graded, what is graded already, who does it, and what came of everybody."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from grader.errors import StaffError, why_unreadable
from grader.fleet.digests import combined, content_digest, grader_digest, rubric_digest, secret_digest
from grader.fleet.export import Entry, read_export, roster_in
from grader.fleet.find import find_entry
from grader.fleet.nursery import Job
from grader.fleet.overrides import OVERRIDES_FILE, overridden, read_overrides, require_people
from grader.fleet.pool import Ended, grade_locally
from grader.fleet.record import FORMAT, GRADED, INFRASTRUCTURE, NOT_HANDED_IN, Record, Records, ungraded, write_whole
from grader.fleet.roster import ROSTER_FILE, Student
from grader.fleet.unpack import unpacker
from grader.pipeline.homework import Homework
from grader.pipeline.run import SECRET_FILE
from grader.rubric import Rubric, load_rubric

INDEX = "class.json"
_AGAIN = "Run `python -m grader class` again with the same export and --out: it grades what is lost and nothing else."
_SLACK_S = 300.0  # what a grader takes besides the rubric's time limit: reading, and waiting for a loaded machine

# Grades jobs and yields each as it ends.
Pool = Callable[[Iterable[Job]], Iterator[Ended]]


@dataclass(frozen=True)
class ClassSettings:
    """
    How to grade a class.

    Args:
        homework: what is graded.
        export: Gradescope's export, or a folder with one submission for each student.
        out: folder for records, grades and the report; closed to other users.
        workers: submissions graded at once.
        rubric: the questions; the homework's own where None.
        device: "cpu" or "cuda".
        secret_file: bytes from which hidden inputs are drawn.
        roster: CSV of the class, or None.
        only: whom to grade again, each as `find_entry` takes it; everybody else keeps what they have. Empty for all
            who are not graded yet.
        due_at: when it was due, as `lateness.time_of` reads it; "" for what an earlier run was told. No points
            depend on it.
        on_progress: called with how many submissions are done, how many there are, and a few words.
    """

    homework: Homework
    export: Path
    out: Path
    workers: int
    rubric: Path | None = None
    device: str = "cpu"
    secret_file: Path = SECRET_FILE
    roster: Path | None = None
    only: tuple[str, ...] = ()
    due_at: str = ""
    on_progress: Callable[[int, int, str], None] = lambda done, total, words: None

    @property
    def rubric_file(self) -> Path:
        """The file that the questions stand in."""
        return self.rubric or self.homework.rubric


@dataclass(frozen=True)
class Graded:
    """An entry and the record of what came of it."""

    entry: Entry
    record: Record


@dataclass(frozen=True)
class GradedClass:
    """
    What came of everybody.

    Args:
        assignment: the rubric's title.
        grader: digest of the sources that graded.
        rubric: digest of the rubric.
        device: where student code computed.
        graded: one for each submission, and for each student without one.
        due_at: when it was due, or "".
    """

    assignment: str
    grader: str
    rubric: str
    device: str
    graded: tuple[Graded, ...]
    due_at: str = ""


def grade_class(settings: ClassSettings, pool: Pool | None = None) -> GradedClass:
    """
    Grade everybody who is not graded yet, and write the class's index.

    Run again after a crash, it goes on where it was: a record is found by the content of the submission, the
    grader's sources, the rubric, the secret and the device.

    Args:
        settings: how to grade.
        pool: who grades; None grades on this machine.

    Raises:
        StaffError: the export cannot be read, or grading cannot begin. Of a submission that cannot be graded, the
            record says so instead.
    """
    with _alone_in(settings.out):
        decided = read_overrides(settings.out / OVERRIDES_FILE)
        with unpacker() as unpack:
            entries = read_export(settings.export, settings.out / "unpacked", unpack, roster=settings.roster)
        require_people(decided, entries)
        _keep_roster(settings)
        _close_to_others(settings.export)
        plan = _Plan(settings, load_rubric(settings.rubric_file))
        chosen = {find_entry(entries, who).id for who in settings.only}
        todo = plan.again([entry for entry in entries if entry.id in chosen]) if chosen else plan.jobs(entries)
        done = len(plan.keys) - len(todo)
        settings.on_progress(done, len(plan.keys), f"{done} were graded before" if done else "")
        log, package = settings.out / "grader.log", settings.homework.package
        run = pool or (lambda jobs: grade_locally(jobs, homework=package, workers=settings.workers, log=log))
        with plan.kept():
            for ended in run(todo) if todo else ():
                words = plan.give_up(ended) if ended.fault else ""
                done += 1
                settings.on_progress(done, len(plan.keys), words)
        shutil.rmtree(settings.out / "work", ignore_errors=True)
        plan.write_index(entries)
    return load_class(settings.out)


@dataclass
class _Plan:
    """Which submission has which key."""

    settings: ClassSettings
    rubric: Rubric
    records: Records = field(init=False)
    keys: dict[str, str] = field(default_factory=dict)  # key -> digest of the submission's files
    of_entry: dict[str, str] = field(default_factory=dict)  # entry -> key
    before: dict[str, Record] = field(default_factory=dict)  # key -> record of what is graded again

    def __post_init__(self) -> None:
        self.records = Records(self.settings.out / "records")
        self._grader, self._rubric = grader_digest(self.settings.homework), rubric_digest(self.rubric)
        secret = secret_digest(self.settings.secret_file)
        self._common = (str(FORMAT), self._grader, self._rubric, secret, self.settings.device)

    def jobs(self, entries: Iterable[Entry]) -> list[Job]:
        """Return what is to be graded, equal submissions once, and write the records of what cannot be."""
        todo = []
        for entry in entries:
            content, problem = _digest_of(entry)
            key = self._key(content, problem)
            self.of_entry[entry.id] = key
            if key in self.keys:
                continue
            self.keys[key] = content
            known = self.records.read(key)
            if known is not None and known.status != INFRASTRUCTURE:
                continue
            self.records.path(key).unlink(missing_ok=True)
            if content and entry.folder is not None:
                todo.append(self._job(key, content, entry.folder))
            else:
                status = INFRASTRUCTURE if problem else NOT_HANDED_IN
                record = ungraded(self.rubric, key=key, content="", status=status, reason=problem)
                self.records.write(record)
        return todo

    def again(self, entries: Sequence[Entry]) -> list[Job]:
        """Return what is to be graded although it is; a grade counts until there is another one."""
        for entry in entries:
            content, problem = _digest_of(entry)
            key = self._key(content, problem)
            known = self.records.read(key)
            if known is not None and known.status == GRADED:
                self.before[key] = known
                self.records.path(key).unlink()
        return self.jobs(entries)

    def _key(self, content: str, problem: str) -> str:
        return combined(*self._common, content or f"no files: {problem}")

    def _job(self, key: str, content: str, folder: Path) -> Job:
        out = self.settings.out.resolve()
        # A path may say whose it is, and whoever grades must not know: they get a link with another name.
        link = out / "work" / "submissions" / key[:32]
        link.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        link.symlink_to(folder.resolve(), target_is_directory=True)
        return Job(
            key=key,
            content=content,
            submission=str(link),
            record=str(self.records.path(key).resolve()),
            work=str(out / "work" / key[:32]),
            rubric=str(self.settings.rubric_file.resolve()),
            secret_file=str(self.settings.secret_file.resolve()),
            device=self.settings.device,
            limit_s=self.rubric.time_limit_s + _SLACK_S,
        )

    @contextlib.contextmanager
    def kept(self) -> Iterator[None]:
        """Put back, in the end, what was to be graded again and was not."""
        try:
            yield
        finally:
            for key, record in self.before.items():
                if not self.records.path(key).exists():
                    self.records.write(record)

    def give_up(self, ended: Ended) -> str:
        """Record that the grader failed, not the student, and return what is to be said; an earlier grade stays."""
        job = ended.job
        if job.key in self.before:
            return f"Not graded again, because {ended.fault}; the grade that there was is kept."
        record = ungraded(
            self.rubric,
            key=job.key,
            content=job.content,
            status=INFRASTRUCTURE,
            reason=ended.fault,
            attempts=job.attempt,
        )
        self.records.write(record)
        return ""

    def write_index(self, entries: Iterable[Entry]) -> None:
        """Write who is in the class and which record is whose; who was not asked for has what they had."""
        old = _index_in(self.settings.out)
        earlier = {str(line["id"]): line for line in old.get("entries", ())} if self.settings.only else {}
        lines = [
            _index_line(entry, self.of_entry[entry.id]) if entry.id in self.of_entry else earlier[entry.id]
            for entry in entries
            if entry.id in self.of_entry or entry.id in earlier
        ]
        index = {
            "format": FORMAT,
            "assignment": self.rubric.assignment,
            "grader": self._grader,
            "rubric": self._rubric,
            "device": self.settings.device,
            "due_at": self.settings.due_at or str(old.get("due_at", "")),
            "entries": lines,
        }
        write_whole(self.settings.out / INDEX, json.dumps(index, indent=1).encode())


def _index_in(out: Path) -> dict[str, Any]:
    """Return the index that an earlier run wrote, and nothing if there is none."""
    try:
        index = json.loads((out / INDEX).read_bytes())
        [str(line["id"]) for line in index["entries"]]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return dict(index)


def _index_line(entry: Entry, key: str) -> dict[str, Any]:
    return {
        "id": entry.id,
        "key": key,
        "students": [asdict(student) for student in entry.students],
        "folder": None if entry.folder is None else str(entry.folder),
        "created_at": entry.created_at,
        "notes": list(entry.notes),
        "problem": entry.problem,
    }


def _digest_of(entry: Entry) -> tuple[str, str]:
    """Return the digest of an entry's files, and why there is none."""
    if entry.folder is None:
        return "", entry.problem
    try:
        return content_digest(entry.folder), ""
    except StaffError as error:
        return "", error.happened


def load_class(out: Path) -> GradedClass:
    """
    Read what `grade_class` left in a folder, with what staff decided in its overrides.yaml.

    Raises:
        StaffError: it is not such a folder, a record is missing, or what staff decided cannot be applied.
    """
    try:
        index = json.loads((out / INDEX).read_bytes())
        entries = [_entry(line) for line in index["entries"]]
        keys = [str(line["key"]) for line in index["entries"]]
        about = {name: str(index[name]) for name in ("assignment", "grader", "rubric", "device")}
    except OSError as error:
        raise StaffError(
            happened=f"{out} holds no graded class: its {INDEX} cannot be read, because {why_unreadable(error)}.",
            try_next="Name the folder that `python -m grader class` was given with --out.",
        ) from None
    except (ValueError, KeyError, TypeError, AttributeError):
        raise StaffError(
            happened=f"{out / INDEX} is damaged: it is not what `python -m grader class` writes.", try_next=_AGAIN
        ) from None
    records = Records(out / "records")
    found = {key: records.read(key) for key in dict.fromkeys(keys)}
    records_of = [
        (entry, record) for entry, key in zip(entries, keys, strict=True) if (record := found[key]) is not None
    ]
    if len(records_of) < len(entries):
        lost = sum(record is None for record in found.values())
        records_are = "1 record is" if lost == 1 else f"{lost} records are"
        raise StaffError(happened=f"{records_are} missing in {out / 'records'} or damaged.", try_next=_AGAIN)
    decided = overridden(records_of, read_overrides(out / OVERRIDES_FILE))
    graded = tuple(Graded(entry, record) for entry, record in decided)
    return GradedClass(graded=graded, due_at=str(index.get("due_at", "")), **about)


def _entry(line: dict[str, Any]) -> Entry:
    return Entry(
        id=line["id"],
        students=tuple(Student(**student) for student in line["students"]),
        folder=None if line["folder"] is None else Path(line["folder"]),
        created_at=line["created_at"],
        notes=tuple(line["notes"]),
        problem=line["problem"],
    )


@contextlib.contextmanager
def _alone_in(out: Path) -> Iterator[None]:
    """Close the folder to other users, and make sure that nobody else grades into it."""
    out.mkdir(mode=0o700, parents=True, exist_ok=True)
    out.chmod(0o700)
    with os.fdopen(os.open(out / ".lock", os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC, 0o600), "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StaffError(
                happened=f"A class is being graded into {out} already.",
                try_next="Wait for it, or name another folder with --out.",
            ) from None
        shutil.rmtree(out / "work", ignore_errors=True)
        yield


def _keep_roster(settings: ClassSettings) -> None:
    """Keep a copy of the roster beside the index: grades go home in its columns."""
    roster = settings.roster or roster_in(settings.export)
    kept = settings.out / ROSTER_FILE
    if roster is None:
        kept.unlink(missing_ok=True)
    else:
        write_whole(kept, roster.read_bytes())


def _close_to_others(export: Path) -> None:
    """Take the export from other users: workers are such, should a wall of the sandbox be missing."""
    with contextlib.suppress(PermissionError):  # it belongs to somebody else, who has to do it
        export.chmod(0o700 if export.is_dir() else 0o600)
