"""A class that is really graded: everybody gets a record, whatever they handed in and whatever dies."""

from __future__ import annotations

import json
import os
import re
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import ClassVar

import pytest

from benchmarks.demo_class import NOTEBOOK, THIEF, make_export_of_kinds, with_bodies
from grader.errors import StaffError
from grader.fleet.nursery import Job, Nursery, NurseryDied
from grader.fleet.pool import Ended, grade_locally
from grader.fleet.record import GRADED, INFRASTRUCTURE, NOT_HANDED_IN, Record, Records, write_whole
from grader.fleet.schedule import ClassSettings, GradedClass, grade_class, load_class
from grader.pipeline.run import Settings, grade_submission
from grader.release.notebooks import notebook_bytes
from homework.homework import HOMEWORK
from homework.release.sources import solved_notebook
from tests.fleet.paper import a_report, a_test, write_rubric

ROOT = Path(__file__).parents[2]
Real = tuple[ClassSettings, GradedClass]


def scores(graded_class: GradedClass) -> dict[str, tuple[str, float, tuple[str, ...]]]:
    """Return what must be the same in every grading: status, score and verdicts of each submission."""
    return {
        item.entry.id: (
            item.record.status,
            item.record.results["score"],
            tuple(test["extra_data"]["verdict"] for test in item.record.results["tests"]),
        )
        for item in graded_class.graded
    }


def test_everybody_has_a_record(real_class: Real) -> None:
    """Right, wrong, copied, hostile, broken or not there: each gets what is theirs, and the others do not notice."""
    _, graded_class = real_class

    assert [(status, verdicts) for status, _, verdicts in scores(graded_class).values()] == [
        (GRADED, ("PASSED", "PASSED")),
        (GRADED, ("PASSED", "PASSED")),
        (GRADED, ("FAILED", "PASSED")),
        (GRADED, ("PASSED", "PASSED")),  # looked for the files of others, would have failed had it found one
        (GRADED, ("CRASHED", "PASSED")),
        (GRADED, ("ERROR", "PASSED")),  # may not signal its parent
        (GRADED, ("MISSING", "MISSING")),
        (GRADED, ("MISSING", "MISSING")),
        (NOT_HANDED_IN, ("MISSING", "MISSING")),
    ]
    outputs = [
        item.record.results["tests"][0]["output"] + item.record.results["output"] for item in graded_class.graded
    ]
    assert "is not a complete archive" in outputs[6]
    assert "Nothing was handed in" in outputs[8]


def test_the_roster_and_the_export_are_one_class(real_class: Real) -> None:
    """The roster's entry replaces the export's where the id is the same, and partners are both there."""
    _, graded_class = real_class

    assert graded_class.graded[0].entry.students[0].email == "other@example.edu"
    assert len(graded_class.graded[7].entry.students) == 2
    assert [student.name for student in graded_class.graded[8].entry.students] == ["Nina Nothing"]


def test_equal_submissions_are_graded_once(real_class: Real) -> None:
    """A copy has the record of its original."""
    settings, graded_class = real_class

    assert graded_class.graded[0].record == graded_class.graded[1].record
    assert len(list((settings.out / "records").iterdir())) == 8


def test_nothing_of_a_class_is_open_to_other_users(real_class: Real) -> None:
    """Export and output are closed, so that no wall of the sandbox stands alone before another student's files."""
    settings, _ = real_class

    for path in (settings.export, settings.out, settings.out / "records"):
        assert stat.S_IMODE(path.stat().st_mode) == 0o700
    assert all(stat.S_IMODE(path.stat().st_mode) & 0o077 == 0 for path in (settings.out / "records").iterdir())
    assert not (settings.out / "work").exists()


def test_the_hostile_submission_would_have_told(tmp_path: Path) -> None:
    """Where a file of another student can be read, code that looks for one fails: the silence is no chance."""
    (tmp_path / "neighbour").write_text("answers")
    body = THIEF.format(where=str(tmp_path))
    code = "def look():\n" + "".join(f"    {line}\n" for line in body.splitlines() if "index_sequence" not in line)
    program = f"{code}\nlook()\n"

    ended = subprocess.run([sys.executable, "-I", "-c", program], capture_output=True, text=True, check=False)

    assert "AssertionError" in ended.stderr
    assert "neighbour" in ended.stderr


def test_run_again_grades_nothing(real_class: Real) -> None:
    """With every record there, no grader is even started, and the result is the same."""
    settings, graded_class = real_class
    said: list[tuple[int, int, str]] = []

    def nobody(jobs: Iterable[Job]) -> Iterator[Ended]:
        raise AssertionError(f"there is nothing to grade: {list(jobs)}")

    again = grade_class(replace(settings, on_progress=lambda *what: said.append(what)), nobody)

    assert again == graded_class
    assert said == [(8, 8, "8 were graded before")]


@pytest.mark.parametrize("change", ["secret", "rubric", "content", "record"])
def test_what_a_grade_depends_on_has_it_graded_again(
    real_class: Real, tmp_path: Path, small_rubric: Path, change: str
) -> None:
    """Another secret, rubric or file, or a damaged record, and exactly what it touches is to be graded."""
    settings, graded_class = real_class
    out = tmp_path / "out"
    subprocess.run(["cp", "-a", str(settings.out), str(out)], check=True)
    changed = replace(settings, out=out)
    expected = 7
    if change == "secret":
        (tmp_path / "secret").write_bytes(b"another")
        changed = replace(changed, secret_file=tmp_path / "secret")
    elif change == "rubric":
        changed = replace(changed, rubric=write_rubric(tmp_path / "rubric.yaml", points=7))
    else:
        expected = 1
        if change == "record":
            Records(out / "records").path(graded_class.graded[2].record.key).write_bytes(b"{")
        else:
            export = tmp_path / "export"
            subprocess.run(["cp", "-a", str(settings.export), str(export)], check=True)
            (export / "submission_10002" / "more.py").write_text("x = 1")
            changed = replace(changed, export=export)
    asked: list[Job] = []

    def on_paper(jobs: Iterable[Job]) -> Iterator[Ended]:
        for job in jobs:
            asked.append(job)
            yield Ended(job, "nobody graded it")

    grade_class(changed, on_paper)

    assert len(asked) == expected


def graded_with(score: float) -> Callable[[Iterable[Job]], Iterator[Ended]]:
    """Return a pool that grades nothing and gives everybody the same points."""

    def pool(jobs: Iterable[Job]) -> Iterator[Ended]:
        for job in jobs:
            results = {**a_report(a_test("1", "PASSED")), "score": score}
            write_whole(Path(job.record), Record(job.key, job.content, GRADED, results).to_bytes())
            yield Ended(job, "")

    return pool


def failing(jobs: Iterable[Job]) -> Iterator[Ended]:
    """Grade nobody."""
    yield from (Ended(job, "the machine went away") for job in jobs)


def class_of_three(folder: Path, small_rubric: Path) -> ClassSettings:
    """Return settings for a class of three students with different files."""
    for name in ("ada", "bo", "cy"):
        (folder / "class" / name).mkdir(parents=True)
        (folder / "class" / name / "a.py").write_text(f"# {name}")
    return ClassSettings(HOMEWORK, folder / "class", folder / "out", 1, small_rubric)


def points_of(graded_class: GradedClass) -> dict[str, float]:
    """Return submission -> points."""
    return {item.entry.id: item.record.results["score"] for item in graded_class.graded}


def test_one_student_alone_is_graded_again(tmp_path: Path, small_rubric: Path) -> None:
    """Everybody else keeps their points, also those that an earlier grader gave; all stay in the class."""
    settings = class_of_three(tmp_path, small_rubric)
    grade_class(replace(settings, due_at="2022-11-21 23:59 Z"), graded_with(1.0))

    same_grader = grade_class(replace(settings, only=("Bo",)), graded_with(2.0))
    (tmp_path / "secret").write_bytes(b"another")
    other_inputs = replace(settings, only=("cy",), secret_file=tmp_path / "secret")

    assert same_grader.due_at == "2022-11-21 23:59 Z"
    assert points_of(same_grader) == {"ada": 1.0, "bo": 2.0, "cy": 1.0}
    assert points_of(grade_class(other_inputs, graded_with(3.0))) == {"ada": 1.0, "bo": 2.0, "cy": 3.0}
    with pytest.raises(StaffError, match="nobody"):
        grade_class(replace(settings, only=("dan",)), graded_with(3.0))


def test_a_grade_counts_until_there_is_another(tmp_path: Path, small_rubric: Path) -> None:
    """Where grading again fails, what there was stays."""
    settings = class_of_three(tmp_path, small_rubric)
    grade_class(settings, graded_with(1.0))

    def interrupted(jobs: Iterable[Job]) -> Iterator[Ended]:
        raise KeyboardInterrupt

    assert points_of(grade_class(replace(settings, only=("bo",)), failing)) == {"ada": 1.0, "bo": 1.0, "cy": 1.0}
    with pytest.raises(KeyboardInterrupt):
        grade_class(replace(settings, only=("bo",)), interrupted)
    assert points_of(load_class(settings.out)) == {"ada": 1.0, "bo": 1.0, "cy": 1.0}


def test_the_first_of_a_class_may_be_graded_alone(tmp_path: Path, small_rubric: Path) -> None:
    """The others join when they are graded."""
    settings = class_of_three(tmp_path, small_rubric)

    assert points_of(grade_class(replace(settings, only=("bo",)), graded_with(1.0))) == {"bo": 1.0}
    assert points_of(grade_class(settings, graded_with(2.0))) == {"ada": 2.0, "bo": 1.0, "cy": 2.0}


@pytest.fixture(scope="module")
def nursery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nursery]:
    """Start a nursery for the tests that look into one."""
    with Nursery(tmp_path_factory.mktemp("nursery") / "log", HOMEWORK.package) as started:
        yield started


def test_who_grades_learns_no_name_and_no_secret(tmp_path: Path, small_rubric: Path, nursery: Nursery) -> None:
    """In the whole memory that workers are forked from there is no roster, no secret and no name of a file's owner."""
    secret = tmp_path / "secret"
    secret.write_bytes(b"verysecretbytes-" * 2)
    folder = tmp_path / "class" / "ximena_quetzal"
    folder.mkdir(parents=True)
    (folder / NOTEBOOK).write_bytes(notebook_bytes(solved_notebook("MAE_student")))
    (tmp_path / "class" / "roster.csv").write_text("name,sid\nXimena Quetzal,77889900\n")
    settings = ClassSettings(HOMEWORK, tmp_path / "class", tmp_path / "out", 1, small_rubric, secret_file=secret)
    found: dict[bytes, bool] = {}

    def looking(jobs: Iterable[Job]) -> Iterator[Ended]:
        for job in jobs:
            nursery.start(job)
            _, fault = nursery.wait()
            memory = memory_of(nursery.pid)
            words = (b"verysecretbytes", b"uetzal", b"77889900", job.key.encode())
            found.update({word: word in memory for word in words})
            for answers in ("reference/vision/masking.py", "homework/checks/vision.py"):
                found[answers.encode()] = answers.encode() in memory
            yield Ended(job, fault)

    graded_class = grade_class(settings, looking)

    assert graded_class.graded[0].record.status == GRADED
    assert graded_class.graded[0].entry.students[0].sid == "77889900"
    assert found.pop(graded_class.graded[0].record.key.encode())  # the search finds what is there
    assert not any(found.values()), found


def memory_of(pid: int) -> bytes:
    """Return all memory of a process that is no file's."""
    content = bytearray()
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            match = re.match(r"([0-9a-f]+)-([0-9a-f]+) rw\S* \S+ \S+ (\d+)", line)
            if match and match[3] == "0" and "[v" not in line:
                memory.seek(int(match[1], 16))
                content += memory.read(int(match[2], 16) - int(match[1], 16))
    return bytes(content)


def make_jobs(folder: Path, rubric: Path, count: int) -> list[Job]:
    """Return jobs over submissions that take two seconds each, for a test that kills meanwhile."""
    slow = with_bodies(
        solved_notebook("MAE_student"),
        {"unpatchify": "import time\ntime.sleep(2)\nreturn patches"},
    )
    Records(folder / "records")
    jobs = []
    for number in range(count):
        submission = folder / f"s{number}"
        submission.mkdir()
        (submission / NOTEBOOK).write_bytes(notebook_bytes(slow))
        paths = (submission, folder / "records" / f"key{number}.json", folder / "work" / f"{number}", rubric)
        jobs.append(Job(f"key{number}", "content", *map(str, paths), secret_file=str(folder / "none")))
    return jobs


def test_a_grader_that_dies_costs_its_own_submission_only(tmp_path: Path, small_rubric: Path, nursery: Nursery) -> None:
    """The nursery says who died and of what; the other one is graded."""
    jobs = make_jobs(tmp_path, small_rubric, 2)
    for job in jobs:
        nursery.start(job)
    while not nursery.pids["key0"]:
        message = nursery._receive()
        nursery.pids[message.meta["key"]] = message.meta["pid"]
    time.sleep(0.5)
    os.kill(nursery.pids["key0"], signal.SIGKILL)
    ends = dict(nursery.wait() for _ in jobs)

    assert ends == {"key0": "the grader was ended by signal 9", "key1": ""}
    assert Records(tmp_path / "records").read("key1") is not None
    assert Records(tmp_path / "records").read("key0") is None


class FlakyNursery:
    """Stands in for a nursery whose graders, or which itself, dies as told."""

    plan: ClassVar[dict[str, str]] = {}

    def __init__(self, log: Path, homework: str) -> None:
        self.waiting: list[Job] = []

    def __enter__(self) -> FlakyNursery:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def start(self, job: Job) -> None:
        """Take a job."""
        self.waiting.append(job)

    def wait(self) -> tuple[str, str]:
        """End a job as its plan says."""
        job = self.waiting.pop(0)
        what = self.plan.get(job.key, "")
        if what == f"nursery{job.attempt}":
            self.waiting.insert(0, job)
            raise NurseryDied
        if what == "always" or what == f"once{job.attempt}":
            return job.key, "killed"
        Path(job.record).touch()
        return job.key, ""


@pytest.mark.parametrize(
    ("plan", "faults"),
    [
        ({}, {}),
        ({"key1": "once1"}, {}),
        ({"key1": "always"}, {"key1": "killed"}),
        ({"key0": "nursery1"}, {}),
        ({"key2": "nursery1", "key0": "always"}, {"key0": "killed"}),
    ],
)
def test_each_job_ends_once_whatever_dies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: dict[str, str], faults: dict[str, str]
) -> None:
    """Graders and the nursery die; a job is tried twice, ends exactly once, and no other one is lost."""
    monkeypatch.setattr("grader.fleet.pool.Nursery", FlakyNursery)
    monkeypatch.setattr(FlakyNursery, "plan", plan)
    jobs = [
        Job(f"key{number}", "c", "s", str(tmp_path / f"{number}"), str(tmp_path / "work"), "r", "secret")
        for number in range(5)
    ]

    ended = list(grade_locally(jobs, homework=HOMEWORK.package, workers=2, log=tmp_path / "log"))

    assert sorted(item.job.key for item in ended) == [job.key for job in jobs]
    assert {item.job.key: item.fault for item in ended if item.fault} == faults


def test_a_nursery_that_dies_again_and_again_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It ends with two sentences for the staff, not in a loop."""
    monkeypatch.setattr("grader.fleet.pool.Nursery", FlakyNursery)
    monkeypatch.setattr(FlakyNursery, "wait", lambda self: (_ for _ in ()).throw(NurseryDied()))
    jobs = [Job(f"{n}", "c", "s", str(tmp_path / f"{n}"), str(tmp_path / "w"), "r", "x") for n in range(30)]

    with pytest.raises(StaffError, match="the same command goes on"):
        list(grade_locally(jobs, homework=HOMEWORK.package, workers=2, log=tmp_path / "log"))


def test_a_submission_that_nobody_could_grade_is_tried_again_next_time(tmp_path: Path, small_rubric: Path) -> None:
    """It is recorded as our fault with the reason, and the next run grades it."""
    folder = tmp_path / "class" / "ada"
    folder.mkdir(parents=True)
    (folder / "a.py").write_text("x = 1")
    settings = ClassSettings(HOMEWORK, tmp_path / "class", tmp_path / "out", 1, small_rubric)
    tries: list[str] = []

    def counting(jobs: Iterable[Job]) -> Iterator[Ended]:
        for ended in failing(jobs):
            tries.append(ended.job.key)
            yield ended

    for _ in range(2):
        (item,) = grade_class(settings, counting).graded
        assert item.record.status == INFRASTRUCTURE
        assert item.record.reason == "the machine went away"
    assert len(tries) == 2


def test_a_class_is_as_its_submissions_graded_alone(real_class: Real, tmp_path: Path) -> None:
    """The very same results.json as `grade` writes, but for times."""
    settings, graded_class = real_class
    folder = graded_class.graded[2].entry.folder
    assert folder is not None
    alone = Settings(homework=HOMEWORK, rubric=settings.rubric_file, out=tmp_path / "alone")
    grade_submission(folder, alone)

    content = json.loads((tmp_path / "alone" / "results.json").read_text())
    assert {**content, "execution_time": 0} == {**graded_class.graded[2].record.results, "execution_time": 0}


def test_two_do_not_grade_into_one_folder(tmp_path: Path, small_rubric: Path) -> None:
    """A second run into the same folder is refused while the first one is at it."""
    (tmp_path / "class" / "ada").mkdir(parents=True)
    (tmp_path / "class" / "ada" / "a.py").write_text("x = 1")
    settings = ClassSettings(HOMEWORK, tmp_path / "class", tmp_path / "out", 1, small_rubric)

    def twice(jobs: Iterable[Job]) -> Iterator[Ended]:
        with pytest.raises(StaffError, match="is being graded into"):
            grade_class(settings)
        return iter([Ended(job, "not today") for job in jobs])

    grade_class(settings, twice)


def test_a_folder_without_a_class_says_so(tmp_path: Path, real_class: Real) -> None:
    """No index, or an index whose record is gone, is an error with the next step."""
    settings, graded_class = real_class
    with pytest.raises(StaffError, match="holds no graded class"):
        load_class(tmp_path)
    subprocess.run(["cp", "-a", str(settings.out), str(tmp_path / "out")], check=True)
    Records(tmp_path / "out" / "records").path(graded_class.graded[2].record.key).unlink()

    with pytest.raises(StaffError, match="1 record is missing"):
        load_class(tmp_path / "out")


@pytest.mark.slow
def test_a_run_that_is_killed_goes_on_where_it_was(tmp_path: Path, small_rubric: Path) -> None:
    """SIGKILL on the command half-way: its graders end too, what was graded stays, and the end is the same."""
    export = make_export_of_kinds(tmp_path / "export", where=str(tmp_path))
    whole = grade_class(ClassSettings(HOMEWORK, export, tmp_path / "whole", 2, small_rubric))
    command = [sys.executable, "-m", "grader", "class", str(export), "--out", str(tmp_path / "out")]
    records = tmp_path / "out" / "records"
    process = subprocess.Popen([*command, "--workers", "1", "--rubric", str(small_rubric)], cwd=ROOT)
    while len([*records.glob("[!.]*.json")] if records.exists() else []) < 3:
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = {path.name: path.stat().st_mtime_ns for path in records.glob("[!.]*.json")}
    time.sleep(3)
    assert not graders_of(tmp_path / "out")

    subprocess.run([*command, "--workers", "2", "--rubric", str(small_rubric)], cwd=ROOT, check=True)

    assert scores(load_class(tmp_path / "out")) == scores(whole)
    after = {path.name: path.stat().st_mtime_ns for path in records.glob("[!.]*.json")}
    assert {name: after[name] for name in before} == before
    assert (tmp_path / "out" / "report.html").exists()


def graders_of(out: Path) -> list[str]:
    """Return the processes that still have files of a class open."""
    found = []
    for link in Path("/proc").glob("[0-9]*/fd/*"):
        try:
            if os.readlink(link).startswith(str(out)):
                found.append(str(link))
        except OSError:
            continue
    return found
