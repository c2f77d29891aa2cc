"""Grade one submission from beginning to end; results.json is valid after every step."""

from __future__ import annotations

import contextlib
import functools
import itertools
import logging
import os
import socket
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from grader.errors import StaffError, SubmissionError
from grader.feedback.results import build_results, build_test, write_results
from grader.feedback.text import plain
from grader.feedback.words import Judgement
from grader.intake.collect import Bytes, collect
from grader.intake.report import SURVEY_CAPS, Intake, fingerprint, read_survey
from grader.intake.survey import answer as answer_survey
from grader.intake.survey import ask as ask_survey
from grader.pipeline.budget import LEAST_S, Budget
from grader.pipeline.forgotten_notebooks import note_on_forgotten_notebooks
from grader.pipeline.handed_out import given_modules, given_request
from grader.pipeline.homework import Answers, Homework
from grader.pipeline.profile import Profile
from grader.pipeline.rivals import settled
from grader.rubric import Question, Rubric, load_rubric
from grader.sandbox.host import Sandbox
from grader.sandbox.limits import Limits
from grader.sandbox.outcome import Outcome
from grader.verdicts import Evidence, Verdict
from grader.wire import Message

if TYPE_CHECKING:
    # At run time these come in only after the zygote was forked off: see `_grade_in`.
    from grader.pipeline.ask import Asker
    from grader.pipeline.questions import Questions

logger = logging.getLogger(__name__)

Wanted = Mapping[str, tuple[str, ...]]

SECRET_FILE = Path(__file__).parents[1] / "secret.key"
STAFF_TESTS = Path(__file__).parents[1] / "staff_questions.py"
_CUT_SHORT = (
    "Grading was ended from outside before it was through. What it did not come to says so; "
    "nothing of that is your fault."
)
_SURVEY_LIMITS = Limits(wall_s=60.0, memory_mib=1024)


class CutShort(BaseException):
    """
    The platform wants the run to end now. Whoever handles SIGTERM raises it; it must pass every `except Exception`.
    """


def usual_staff_tests() -> Path | None:
    """Return the file of staff questions at its usual place, which goes into the platform's zip; None without one."""
    return STAFF_TESTS if STAFF_TESTS.exists() else None


@dataclass(frozen=True)
class Settings:
    """
    How to grade.

    Args:
        homework: what is graded.
        rubric: the questions, or the file that they stand in, which is read only after the zygote was forked.
        out: folder for results.json.
        device: "cpu" or "cuda".
        secret_file: bytes from which hidden inputs are drawn; read only after the zygote was forked.
        memory_mib: address space for each worker on top of the libraries.
        staff_tests: a Python file or folder with questions in the idiom of gradescope-utils, or None.
        on_step: called with a few words when something begins.
        on_intake: called with what was read of the submission, before the first question.
        profile: collects time and memory.
        data_set: the folder with the homework's data set, or None.
    """

    homework: Homework
    rubric: Rubric | Path
    out: Path
    device: str = "cpu"
    secret_file: Path = SECRET_FILE
    memory_mib: int = 1024
    staff_tests: Path | None = None
    on_step: Callable[[str], None] = lambda _: None
    on_intake: Callable[[Intake], None] = lambda _: None
    profile: Profile = field(default_factory=Profile)
    data_set: Path | None = None


@dataclass
class Report:
    """What came of a run: judgements in the order of the rubric, and how the submission was read."""

    judgements: list[Judgement]
    used: Sequence[tuple[str, str]] = ()
    notes: Sequence[str] = ()
    extra_data: dict[str, Any] = field(default_factory=dict)

    def verdict_of(self, number: str) -> Verdict:
        """Return the verdict of a question by its number."""
        return next(item for item in self.judgements if item.question.number == number).evidence.verdict

    @property
    def score(self) -> float:
        """Points earned in all."""
        return round(sum(judgement.score for judgement in self.judgements), 4)


def grade_submission(path: Path, settings: Settings) -> Report:
    """
    Grade a submission and write results.json.

    The zygote is forked first, while this process knows nothing that a worker should not.

    Args:
        path: a zip, a notebook or a folder.
        settings: how to grade.

    Raises:
        StaffError: nothing could be graded; results.json says so, and that it is not the student's fault.
    """
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        try:
            with settings.profile.phase("sandbox"):
                sandbox = stack.enter_context(open_sandbox(settings.homework, settings.device))
        except Exception:  # a wall that is missing, a full disk, no memory: no student code is run
            _Run(settings, began).give_up()
            raise
        return grade_inside(sandbox, path, settings, began=began)


def open_sandbox(homework: Homework, device: str) -> Sandbox:
    """Return a sandbox, not entered yet, whose workers do what grading needs; errors are those of entering it."""
    return Sandbox(worker_tasks(homework), cuda=device == "cuda")


def grade_inside(sandbox: Sandbox, path: Path, settings: Settings, *, began: float | None = None) -> Report:
    """
    Grade in a sandbox that stands already: what is the same for every submission is then not done again.

    Other arguments, the result and errors are those of `grade_submission`; `settings.device` is the sandbox's.

    Args:
        began: `time.monotonic()` from which the run's time counts; now, where it is None.
    """
    # This reads the rubric: workers could see what was read before the fork.
    run = _Run(settings, time.monotonic() if began is None else began)
    run.write()
    run.report.extra_data["sandbox"] = sandbox.walls.describe()
    settings.on_step(sandbox.walls.describe())
    settings.profile.workers_cpu_s = lambda: sandbox.workers_cpu_s
    try:
        with settings.profile.watching(sandbox.zygote_pid):
            _grade_in(sandbox, path, run)
    except CutShort:
        run.report.notes = [*run.report.notes, _CUT_SHORT]
    except Exception:  # whatever broke is ours: no question may look as if the student had failed it
        run.give_up()
        raise
    if not run.write():
        raise StaffError(
            happened=f"{settings.out / 'results.json'} could not be written at the end of the run.",
            try_next="Make room on its disk and grade again: what stands there is not the whole report.",
        )
    return run.report


class _Run:
    """The growing report of one run."""

    def __init__(self, settings: Settings, began: float) -> None:
        self.settings = settings
        rubric = settings.rubric
        parts = settings.homework.part_names
        self.rubric = load_rubric(rubric, known_parts=parts) if isinstance(rubric, Path) else rubric
        self.budget = Budget(self.rubric.time_limit_s, began)
        self.report = Report([Judgement(question, Evidence(Verdict.NOT_RUN)) for question in self.rubric.questions])
        self.report.extra_data["device"] = settings.device
        self._tests: list[tuple[Judgement, dict[str, Any]]] = []  # what was built of each judgement
        self._written: Sequence[dict[str, Any]] = ()  # tests as they stand in results.json

    def write(self) -> bool:
        """
        Write results.json; where the disk is full or gone, the one before stays, and grading goes on.

        Returns:
            Whether it was written.
        """
        self._tests = [
            known if known is not None and known[0] is judgement else (judgement, build_test(judgement))
            for judgement, known in itertools.zip_longest(self.report.judgements, self._tests)
        ]
        results = build_results(
            self.report.judgements,
            used=self.report.used,
            notes=self.report.notes,
            execution_time_s=self.budget.spent_s,
            extra_data=self.report.extra_data,
            tests=[test for _, test in self._tests],
        )
        path = self.settings.out / "results.json"
        try:
            write_results(results, path, before=self._written)
            self._written = results["tests"]
        except OSError as error:
            logger.error("results.json could not be written (%s); the one before it stays", error)
            return False
        return True

    @contextlib.contextmanager
    def announcing(self, question: Question) -> Iterator[None]:
        """Say that a question's turn begins, and measure it."""
        self.settings.on_step(f"{question.number} {question.title}")
        with self.settings.profile.phase(f"question {question.number}"):
            yield

    def give_up(self) -> None:
        """Say of every question that is not graded yet that the grader failed, not the student."""
        self.fill(Verdict.INFRASTRUCTURE)
        self.write()

    def fill(self, verdict: Verdict, *findings: str, try_next: str = "") -> None:
        """Give every question that has no verdict yet this one."""
        self.report.judgements = [
            item
            if item.evidence.verdict is not Verdict.NOT_RUN
            else Judgement(item.question, Evidence(verdict, findings, try_next))
            for item in self.report.judgements
        ]


def worker_tasks(homework: Homework) -> dict[str, Any]:
    """Import what workers do, and do once what each would do anew; nothing in it knows an answer."""
    import numpy.random  # noqa: F401  # numpy itself imports it only when it is used
    import torch

    from grader.probes.compiler import put_compiler_to_sleep
    from grader.probes.saved import load_checkpoint, load_model, load_outputs
    from grader.probes.task import load_given, probe

    os.environ.setdefault("MPLBACKEND", "Agg")  # read at import; workers have nothing to show figures on
    put_compiler_to_sleep()
    # One thread: nothing has to be started after the fork, and results do not depend on the number of cores.
    torch.set_num_threads(1)
    # The first conversion to half precision asks what the processor can do, in files that workers may not read.
    torch.ones(1).half()
    for group in homework.groups:
        load_given(given_request(homework, group.name))
    return {
        "survey": _survey_task,
        "probe": functools.partial(probe, homework.probes()),
        "load_outputs": load_outputs,
        "load_model": load_model,
        "load_checkpoint": load_checkpoint,
    }


def _survey_task(request: Message, _: socket.socket) -> Message:
    return answer_survey(request)


def _grade_in(sandbox: Sandbox, path: Path, run: _Run) -> None:
    settings = run.settings
    with settings.profile.phase("reference"):
        from grader.pipeline.questions import Questions, check_rubric
        from grader.pipeline.turns import judged_in_turn

        answers = settings.homework.answers()
        check_rubric(run.rubric, answers)
    settings.on_step(f"Reading {plain(path.name)}")
    with settings.profile.phase("intake"):
        try:
            intake = _survey_and_settle(sandbox, path, settings, answers)
        except SubmissionError as error:
            run.fill(Verdict.MISSING, error.happened, try_next=error.try_next)
            return
    settings.on_intake(intake)
    for part in (settings.homework.part(name) for name in dict.fromkeys(each.part for each in run.rubric.questions)):
        if part.libraries:
            with settings.profile.phase("sandbox"):
                sandbox.import_early(part.libraries)
    titles = settings.homework.titles
    run.report.used = [(titles.get(what, what), file) for what, file in intake.used]
    forgotten = note_on_forgotten_notebooks(settings.homework, intake, run.rubric.questions)
    run.report.notes = [*forgotten, *(note.text for note in intake.notes)]
    questions = Questions(_asker(sandbox, intake, settings, answers), answers, data_set=settings.data_set)
    with contextlib.closing(
        judged_in_turn(run.rubric.questions, questions, run.budget, around=run.announcing)
    ) as judgements:
        for index, judgement in judgements:
            run.report.judgements[index] = judgement
            run.write()
    if settings.staff_tests is not None and run.budget.left_s >= LEAST_S:
        run.report.judgements += _judge_staff_tests(questions, settings.staff_tests)


def _survey_and_settle(sandbox: Sandbox, path: Path, settings: Settings, answers: Answers) -> Intake:
    """Read a submission; where two notebooks may be the one that was worked in, saved outputs say which."""
    from grader.pipeline.questions import wanted_names

    def read(prefer: str = "") -> Intake:
        return survey(sandbox, path, settings.homework, wanted_names(answers), prefer=prefer)

    def agreement(intake: Intake) -> int:
        return answers.agreement(_asker(sandbox, intake, replace(settings, device="cpu"), answers))

    return settled(read(), read, agreement)


def _asker(sandbox: Sandbox, intake: Intake, settings: Settings, answers: Answers) -> Asker:
    from grader.pipeline.ask import Asker

    # The same code in another packing gets the same inputs, so the same submission gets the same result.
    secret = _read_secret(settings.secret_file) + fingerprint(intake)
    given = given_modules(settings.homework)
    return Asker(settings.homework, sandbox, intake, secret, settings.device, settings.memory_mib, given, answers)


def _read_secret(path: Path) -> bytes:
    return path.read_bytes() if path.exists() else b"no secret was set"


def _judge_staff_tests(questions: Questions, path: Path) -> list[Judgement]:
    try:
        return questions.judge_staff_tests(path)
    except StaffError as error:
        logger.error("%s", error)
        question = Question("staff", "S", f"{path.name}.staff", 0, "Questions of the staff", "Questions of the staff.")
        return [Judgement(question, Evidence(Verdict.INFRASTRUCTURE))]


def survey(sandbox: Sandbox, path: Path, homework: Homework, wanted: Wanted, *, prefer: str = "") -> Intake:
    """
    Find what was handed in.

    Args:
        sandbox: where files are unpacked and parsed.
        path: a zip, a notebook or a folder.
        homework: whose files it may hold.
        wanted: for each group of its code, the names to look for.
        prefer: the notebook to take before its rivals.

    Raises:
        SubmissionError: it cannot be read.
        StaffError: nor can what is handed out, so the fault is the grader's.
    """
    collected = collect(path)
    outcome = _survey_files(sandbox, collected.files, homework, wanted, prefer)
    if outcome.message is None:
        _require_sound_workers(sandbox, homework)
        raise SubmissionError(
            happened=f"The submission could not be read: {outcome.ending.value}.",
            try_next="Download your notebook again, check that it opens in Jupyter, and upload the zip anew.",
        )
    return read_survey(outcome.message, notes=collected.notes)


def _survey_files(
    sandbox: Sandbox, files: Mapping[str, Bytes], homework: Homework, wanted: Wanted, prefer: str = ""
) -> Outcome:
    question = ask_survey(files, wanted, homework.files, prefer=prefer)
    return sandbox.run("survey", question, limits=_SURVEY_LIMITS, caps=SURVEY_CAPS)


def _require_sound_workers(sandbox: Sandbox, homework: Homework) -> None:
    """Have a worker read the homework's own template: where it cannot, no submission is to blame."""
    template = collect(homework.templates / homework.parts[0].notebooks[0])
    if _survey_files(sandbox, template.files, homework, {}).message is None:
        raise StaffError(
            happened="Workers cannot even read the homework's own template, so the submission was not judged.",
            try_next="Look whether everybody may enter the folders that the grader's environment lies in, the one that "
            "is named by `./setup.sh --path` and those above it, and run setup.sh again.",
        )
