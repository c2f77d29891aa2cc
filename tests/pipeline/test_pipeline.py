"""The pipeline: one submission through to results.json, whatever breaks on the way."""

from __future__ import annotations

import hashlib
import io
import json
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
import torch

from grader.checks.exam import CaseAnswer, Check, Exam
from grader.errors import StaffError
from grader.feedback.words import Judgement
from grader.intake.report import Code, Intake
from grader.intake.survey import answer as answer_survey
from grader.pipeline import run as run_module
from grader.pipeline.ask import Asker, read_answers
from grader.pipeline.questions import Questions
from grader.pipeline.run import Report, Settings, grade_submission
from grader.rubric import Question, Rubric, load_rubric
from grader.sandbox.outcome import Ending, Outcome
from grader.verdicts import Evidence, Verdict, failed, passed
from grader.wire import Message
from homework.answers import ANSWERS
from homework.homework import HOMEWORK
from homework.inspections.claims import PUBLIC_VECTORS
from tests.known import CHECKS

ROOT = Path(__file__).parents[2]

PATCHIFY = """
    def patchify(images, patch_size=4):
        batch, channels, height, width = images.shape
        x = images.reshape(batch, channels, height // patch_size, patch_size, width // patch_size, patch_size)
        return x.permute(0, 2, 4, 1, 3, 5).reshape(batch, -1, channels * patch_size**2)
    """
MASKING = """
    def index_sequence(x, ids):
        return x.gather(1, ids[..., None].expand(-1, -1, x.shape[-1])) if x.dim() == 3 else x.gather(1, ids)
    def random_masking(x, keep_length, ids_shuffle):
        ids_restore = ids_shuffle.argsort(dim=1)
        mask = (ids_restore >= keep_length).to(x.dtype)
        return index_sequence(x, ids_shuffle[:, :keep_length]), mask, ids_restore
    def restore_masked(kept_x, masked_x, ids_restore):
        import torch
        return index_sequence(torch.cat([kept_x, masked_x], dim=1), ids_restore)
    """


def write_submission(folder: Path, *sources: str, **files: bytes) -> Path:
    """Write a folder with a notebook of these cells, and other files (their suffix is .pt)."""
    folder.mkdir(exist_ok=True)
    cells = [{"cell_type": "code", "metadata": {}, "source": textwrap.dedent(source)} for source in sources]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (folder / "MAE_student.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    for name, content in files.items():
        (folder / f"{name}.pt").write_bytes(content)
    return folder


def rubric_of(*checks: str, time_limit_s: float = 60, **changes: Any) -> Rubric:
    """Return a rubric that asks these checks, for two points each."""
    questions = [
        Question("vision", f"1.{index}", check, 2, check, "Asked.", time_limit_s=5, **changes)
        for index, check in enumerate(checks, 1)
    ]
    return Rubric("HW", time_limit_s, tuple(questions))


Grade = Callable[..., Report]


@pytest.fixture
def grade(tmp_path: Path) -> Grade:
    """Return a function that grades some cells by some checks."""

    def grade_it(sources: Sequence[str], *checks: str, files: dict[str, bytes] | None = None, **options: Any) -> Report:
        submission = write_submission(tmp_path / "submission", *sources, **(files or {}))
        rubric = options.pop("rubric", None) or rubric_of(*checks)
        return grade_submission(submission, Settings(HOMEWORK, rubric, tmp_path / "out", **options))

    return grade_it


def written(tmp_path: Path) -> dict[str, Any]:
    """Return results.json."""
    results: dict[str, Any] = json.loads((tmp_path / "out" / "results.json").read_text())
    return results


def verdicts(report: Report) -> list[str]:
    """Return the verdicts in order."""
    return [judgement.evidence.verdict.value for judgement in report.judgements]


def test_right_and_wrong_missing_and_broken_are_told_apart(grade: Grade, tmp_path: Path) -> None:
    """Each question has its own verdict; the file says what the report says."""
    report = grade(
        [PATCHIFY, "def unpatchify(patches, patch_size=4): raise ValueError('mine')", "def restore_masked(:"],
        "patchify.output",
        "patchify.generality",
        "unpatchify.output",
        "random_masking.output",
        "restore_masked.output",
    )

    assert verdicts(report) == ["PASSED", "PASSED", "ERROR", "MISSING", "ERROR"]
    results = written(tmp_path)
    assert results["score"] == report.score == 4
    assert [test["extra_data"]["verdict"] for test in results["tests"]] == verdicts(report)
    assert "`ValueError: mine`" in results["tests"][2]["output"]
    assert "Grading was cut short" not in results["output"]


def test_the_same_submission_has_the_same_results(grade: Grade, tmp_path: Path) -> None:
    """Byte for byte but for the time, with random functions too."""
    cells = [PATCHIFY, "import torch\ndef unpatchify(patches, patch_size=4): return torch.rand(3, 3, 32, 32)"]
    found = []
    for _ in range(2):
        grade(cells, "patchify.output", "unpatchify.output")
        found.append({**written(tmp_path), "execution_time": 0})

    assert found[0] == found[1]


def broken_judge(*_: object) -> Evidence:
    """Be a judge with a fault of ours."""
    raise ZeroDivisionError("details of the fault")


def test_a_fault_of_ours_costs_one_question_and_blames_nobody(
    grade: Grade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a judge raises, that question is not graded; the others are, and the student reads that we failed."""
    broken = replace(CHECKS["patchify.output"], judge=broken_judge)
    checks = tuple(broken if check.key == broken.key else check for check in ANSWERS.checks)
    monkeypatch.setattr("homework.answers.ANSWERS", replace(ANSWERS, checks=checks))
    report = grade([PATCHIFY], "patchify.output", "patchify.generality")

    assert verdicts(report) == ["INFRASTRUCTURE", "PASSED"]
    output = written(tmp_path)["tests"][0]["output"]
    assert "This is not your fault" in output
    assert "details of the fault" not in output


def test_past_the_deadline_nothing_is_begun(grade: Grade, tmp_path: Path) -> None:
    """What was not reached is not run, and says so."""
    report = grade([PATCHIFY], rubric=rubric_of("patchify.output", "patchify.generality", time_limit_s=0.5))

    assert verdicts(report) == ["NOT_RUN", "NOT_RUN"]
    assert "the time for the whole submission was over" in written(tmp_path)["tests"][0]["output"]


@pytest.mark.parametrize("error", [RuntimeError("x"), EOFError(), StaffError(happened="x", try_next="y")], ids=repr)
def test_whatever_breaks_outside_a_question_is_ours(
    grade: Grade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    """results.json says that the grader failed; the error goes on to the staff."""

    def break_down(*_: object, **__: object) -> Intake:
        raise error

    monkeypatch.setattr(run_module, "survey", break_down)

    with pytest.raises(type(error)):
        grade([PATCHIFY], "patchify.output")
    assert written(tmp_path)["tests"][0]["extra_data"]["verdict"] == "INFRASTRUCTURE"


@pytest.mark.parametrize("sound", [True, False])
def test_only_what_sound_workers_cannot_read_is_the_students(
    grade: Grade, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, sound: bool
) -> None:
    """A reader that dies of a submission says so; one that dies of the template, too, is the grader's fault."""

    def die(request: Message, _: object) -> Message:
        if sound and b"deadly" not in request.arrays["0"].tobytes():
            return answer_survey(request)
        raise ZeroDivisionError

    monkeypatch.setattr(run_module, "_survey_task", die)
    if sound:
        assert verdicts(grade(["# deadly"], "patchify.output")) == ["MISSING"]
        return
    with pytest.raises(StaffError, match="cannot even read the homework's own template"):
        grade([PATCHIFY], "patchify.output")
    assert written(tmp_path)["tests"][0]["extra_data"]["verdict"] == "INFRASTRUCTURE"


def test_a_rubric_that_asks_what_there_is_not_is_the_staffs_error(grade: Grade, tmp_path: Path) -> None:
    """No student code runs, and the question is named."""
    with pytest.raises(StaffError, match=r"Question 1.1 .* 'patchfy.output'"):
        grade([PATCHIFY], "patchfy.output")
    assert written(tmp_path)["tests"][0]["extra_data"]["verdict"] == "INFRASTRUCTURE"


def test_an_empty_submission_is_graded_with_words(tmp_path: Path) -> None:
    """Nothing is found, and the report says what to hand in."""
    (tmp_path / "empty").mkdir()
    report = grade_submission(tmp_path / "empty", Settings(HOMEWORK, rubric_of("patchify.output"), tmp_path / "out"))

    assert verdicts(report) == ["MISSING"]
    assert "no notebook" in written(tmp_path)["output"]


def test_a_hidden_question_tells_nothing_through_the_whole_pipeline(grade: Grade, tmp_path: Path) -> None:
    """The student's own exception text, the title of the lent helper, the cause: none of it is shown."""
    source = "def patchify(images, patch_size=4): raise ValueError('inputs: ' + str(images[0, 0, 0, 0].item()))"
    grade([source], rubric=rubric_of("patchify.output", visibility="hidden"))
    (test,) = written(tmp_path)["tests"]

    assert test["output"] == "Not passed."
    assert "inputs" not in json.dumps(written(tmp_path))


# Asking twice.


@dataclass(frozen=True)
class ScriptedAsker(Asker):
    """An asker whose runs end as a test wants."""

    script: dict[bool, Evidence] = field(default_factory=dict)

    def judge(
        self,
        check: Check,
        exam: Exam,
        outcome: Outcome,
        *,
        lent: tuple[str, ...] = (),
        right: frozenset[str] = frozenset(),
    ) -> Evidence:
        """Return what is scripted for a run with or without help."""
        return self.script[bool(lent)]

    def _run(self, check: Check, exam: Exam, time_limit_s: float, lent: tuple[str, ...]) -> Outcome:
        return Outcome(Ending.ANSWERED, None)


QUESTIONS_OF = {question.check: question for question in load_rubric(HOMEWORK.rubric).questions}
DECODER, HELPER = "MaskedAutoEncoder.forward_decoder.output", "restore_masked.output"


def ask(own: Evidence, assisted: Evidence, *, unsound: bool) -> tuple[Evidence, tuple[str, ...]]:
    """Ask about forward_decoder, which may be lent restore_masked, after restore_masked was judged."""
    code = Code((), dict.fromkeys(("MaskedAutoEncoder", "restore_masked"), ()), {}, {}, {})
    script = {False: own, True: assisted}
    asker = ScriptedAsker(HOMEWORK, None, Intake({"vision": code}), b"", "cpu", 64, script=script)  # type: ignore[arg-type]
    questions = Questions(asker, ANSWERS)
    answered, exam = Outcome(Ending.ANSWERED, None), Exam({}, {}, [])
    script[False] = failed("the helper is wrong") if unsound else passed()

    def judge(check: str) -> Judgement:
        deadline = time.monotonic() + 60
        return questions.judge(QUESTIONS_OF[check], exam, answered, time_limit_s=1.0, deadline=deadline)

    judge(HELPER)
    script[False] = own
    judgement = judge(DECODER)
    return judgement.evidence, judgement.lent


OWN = Evidence(Verdict.ERROR, ("own text",), "own advice")


def test_help_is_lent_only_where_a_helper_is_wrong() -> None:
    """A wrong function with right helpers is wrong; one that is right alone needs no help."""
    assert ask(OWN, passed(), unsound=False) == (OWN, ())
    assert ask(passed(), OWN, unsound=True) == (passed(), ())


def test_what_is_right_with_help_keeps_its_points() -> None:
    """The evidence is a clean pass and names the helper."""
    assert ask(OWN, passed(), unsound=True) == (passed(), ("restore_masked",))


@pytest.mark.parametrize("verdict", [verdict for verdict in Verdict if verdict is not Verdict.PASSED])
def test_no_text_of_a_run_with_help_reaches_the_student(verdict: Verdict) -> None:
    """It could carry what the helper answered: only the verdict is taken from it."""
    assisted = Evidence(verdict, ("text of the run with help",), "advice of it", notes=("note of it",))
    evidence, lent = ask(OWN, assisted, unsound=True)

    assert (evidence.verdict, lent) == (verdict, ("restore_masked",))
    assert "of it" not in str(evidence)
    assert "with help" not in str(evidence)
    # Advice for how the student's own run ended fits no other ending.
    assert ("own advice" in evidence.try_next) is (verdict is OWN.verdict)


def test_answers_are_sorted_by_case() -> None:
    """Arrays of other cases, and names that only look like a case, do not mix."""
    arrays = {name: torch.zeros(1).numpy() for name in ("0/x", "1/x", "1/after/y", "10/x", "x")}

    assert [sorted(answer.arrays) for answer in read_answers(Message("answer", {}, arrays), 2)] == [
        ["x"],
        ["after/y", "x"],
    ]
    assert isinstance(read_answers(Message("answer"), 1)[0], CaseAnswer)


def test_hidden_inputs_depend_on_the_secret_and_the_purpose() -> None:
    """The same secret draws the same; another secret or purpose draws something else."""

    def draw(secret: bytes, purpose: str) -> float:
        asker = Asker(HOMEWORK, None, Intake({}), secret, "cpu", 64)  # type: ignore[arg-type] # no worker is run
        return float(torch.rand((), generator=asker.generator(purpose)))

    assert draw(b"a", "x") == draw(b"a", "x")
    assert len({draw(b"a", "x"), draw(b"b", "x"), draw(b"a", "y")}) == 3


# autograder.pt


def saved(content: object) -> bytes:
    """Return the bytes of a file as torch saves it."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def public_outputs() -> dict[str, Any]:
    """Return right values for the public inputs, as a student's notebook stores them."""
    vectors = torch.load(PUBLIC_VECTORS, weights_only=True)
    outputs = {}
    for function in ("patchify", "random_masking", "restore_masked"):
        values = tuple(vectors[function]["expected"].values())
        outputs[function] = values if len(values) > 1 else values[0]
    return outputs


CLAIMS = ("autograder.pt.claim", "accuracies.claim")


def claim(grade: Grade, content: bytes | None) -> tuple[Evidence, Evidence]:
    """Return the evidence on saved outputs and on accuracies."""
    files = {} if content is None else {"autograder": content}
    report = grade([PATCHIFY, MASKING], *CLAIMS, files=files)
    outputs, accuracies = (judgement.evidence for judgement in report.judgements)
    return outputs, accuracies


def test_saved_outputs_are_held_against_the_code(grade: Grade) -> None:
    """What agrees, what does not and what is not there are listed, each by name."""
    outputs = {**public_outputs(), "random_masking": (torch.zeros(1),)}
    evidence, _ = claim(grade, saved({"output": outputs}))

    assert evidence.findings[0] == "The same as your code gives now: `patchify`, `restore_masked`."
    assert evidence.findings[1] == "Not what your code gives now: `random_masking`."
    assert evidence.findings[2].startswith("Not in the file: `unpatchify`, ")


def test_outputs_of_code_that_gives_nothing_now_send_to_the_code(grade: Grade) -> None:
    """Running all cells again would not help where nothing differs but some functions give no result."""
    vectors = torch.load(PUBLIC_VECTORS, weights_only=True)
    outputs = {function: tuple(entry["expected"].values()) for function, entry in vectors.items()}
    evidence, _ = claim(grade, saved({"output": outputs}))

    assert evidence.findings[0].startswith("The same as your code gives now: `patchify`")
    assert evidence.findings[1].startswith("Could not be compared, because your code gave nothing, or not in time")
    assert evidence.try_next == "Mend the questions about these functions first."


def test_the_slip_of_the_handed_out_cell_is_accepted(grade: Grade) -> None:
    """Real files store random_masking's tuple under restore_masked."""
    outputs = public_outputs()
    evidence, _ = claim(grade, saved({"output": {**outputs, "restore_masked": outputs["random_masking"]}}))

    assert "`restore_masked`" in evidence.findings[0]
    assert evidence.findings[0].startswith("The same as your code gives now")


def test_accuracies_are_listed_as_the_students_own_figures(grade: Grade) -> None:
    """All three above what was asked is a pass; a missing, low or impossible figure is not."""
    good = {"vit_acc": 0.65, "mae_linear_acc": torch.tensor(0.30001), "mae_finetune_acc": 0.9}

    assert claim(grade, saved({"output": good}))[1].passed
    for change in ({"vit_acc": 0.6499}, {"vit_acc": float("nan")}, {"vit_acc": None}, {"vit_acc": torch.zeros(2)}):
        evidence = claim(grade, saved({"output": {**good, **change}}))[1]
        assert evidence.verdict is Verdict.FAILED
        assert "the grader has not measured them" in evidence.findings[1]


def test_without_accuracies_the_student_reads_what_writes_them(grade: Grade) -> None:
    """Nothing is called the student's own figure where there is none, and nothing is called wrong."""
    evidence = claim(grade, saved({"output": public_outputs()}))[1]

    assert evidence.verdict is Verdict.MISSING
    assert evidence.headline == "No accuracy is reported."
    assert len(evidence.findings) == 1
    assert "run the notebook to its end" in evidence.try_next


def test_a_missing_file_is_missing(grade: Grade) -> None:
    """The student reads which file, and how it is made."""
    for evidence in claim(grade, None):
        assert evidence.verdict is Verdict.MISSING
        assert "no `autograder.pt`" in evidence.findings[0]


class Payload:
    """An object whose unpickling would write a file."""

    def __reduce__(self) -> Any:
        """Say how to unpickle it: by making a folder that everybody could make."""
        return os.mkdir, ("/tmp/grader-payload-ran",)


def test_a_file_that_is_none_is_told_without_running_it(grade: Grade) -> None:
    """Damaged files and pickle payloads cost the claim only."""
    for content in (b"<html>", saved({"output": Payload()}), saved({"output": public_outputs()})[:-200]):
        for evidence in claim(grade, content):
            assert evidence.verdict is Verdict.FAILED
            assert "is not a plain tensor file" in evidence.findings[0]
    assert not Path("/tmp/grader-payload-ran").exists()


def test_a_tensor_that_claims_to_be_huge_is_left_out(grade: Grade) -> None:
    """The other keys are compared."""
    outputs = {**public_outputs(), "random_masking": torch.zeros(1).expand(100_000_000_000)}
    evidence, _ = claim(grade, saved({"output": outputs}))

    assert "`patchify`" in evidence.findings[0]
    assert "`random_masking`" in evidence.findings[-1]


# The staff's own questions.

STAFF = """
    import unittest
    import numpy as np
    from gradescope_utils.autograder_utils.decorators import hide_errors, number, partial_credit
    from gradescope_utils.autograder_utils.decorators import tags, visibility, weight
    from grader.pipeline.staff import StaffQuestion

    class Values(StaffQuestion):
        check = "patchify.output"

        @weight(2)
        @number("9.1")
        @tags("extra")
        def test_equal(self):
            '''patchify gives the values.'''
            np.testing.assert_array_equal(self.student[0]["patches"], self.reference[0]["patches"])

        @weight(3)
        @visibility("hidden")
        @hide_errors("Look again.")
        def test_wrong(self):
            self.assertEqual(1, 2)

        @partial_credit(4)
        def test_part(self, set_score=None):
            set_score(1)

        @partial_credit(4)
        def test_nonsense(self, set_score=None):
            set_score(float("nan"))

        @weight(1)
        def test_broken(self):
            undefined

        @weight(1)
        def test_parts(self):
            for part in (1, 2):
                with self.subTest(part=part):
                    self.assertEqual(part, 1)

    class Fixture(StaffQuestion):
        check = "patchify.output"

        @classmethod
        def setUpClass(cls):
            raise OSError("no such fixture")

        @weight(5)
        def test_lost(self):
            pass
    """


def test_staff_questions_each_have_a_line_whatever_happens(grade: Grade, tmp_path: Path) -> None:
    """Points, parts of points, failures, faults of the test and of a fixture are all told apart; none is lost."""
    file = tmp_path / "staff.py"
    file.write_text(textwrap.dedent(STAFF))
    report = grade([PATCHIFY], "patchify.output", staff_tests=file)
    found = {judgement.question.title: judgement for judgement in report.judgements[1:]}

    assert {
        title: (each.evidence.verdict.value, each.score, each.question.points) for title, each in found.items()
    } == {
        "patchify gives the values.": ("PASSED", 2, 2),
        "test_wrong": ("FAILED", 0, 3),
        "test_part": ("FAILED", 1, 4),
        "test_nonsense": ("FAILED", 0, 4),
        "test_broken": ("INFRASTRUCTURE", 0, 1),
        "test_parts": ("FAILED", 0, 1),
        "test_lost": ("INFRASTRUCTURE", 0, 5),
    }
    assert found["patchify gives the values."].question.number == "9.1"
    assert found["patchify gives the values."].question.tags == ("extra",)
    assert found["test_wrong"].question.hidden
    assert found["test_wrong"].evidence.findings == ("Look again.",)
    assert len(written(tmp_path)["tests"]) == 8


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("1 / 0", "cannot be imported (ZeroDivisionError"),
        (
            "from grader.pipeline.staff import StaffQuestion\nclass A(StaffQuestion): check = 'x.y'",
            "which there is not",
        ),
        (None, "There are no staff questions at"),
    ],
)
def test_staff_questions_that_cannot_run_are_the_staffs_error(
    grade: Grade, tmp_path: Path, caplog: pytest.LogCaptureFixture, source: str | None, reason: str
) -> None:
    """The log says why, a line of the report says that something was not graded, and all else stays."""
    file = tmp_path / "staff.py"
    if source is not None:
        file.write_text(source)

    assert verdicts(grade([PATCHIFY], "patchify.output", staff_tests=file)) == ["PASSED", "INFRASTRUCTURE"]
    assert reason in caplog.text
    assert written(tmp_path)["score"] == 2


# The command line.

SPY = """
    import gc, hashlib, os, sys
    def patchify(images, patch_size=4):
        known = sorted(name for name in sys.modules if name.startswith(("reference", "grader.checks")))
        raise ValueError(f"modules {known} variables {sorted(os.environ)}")
    def unpatchify(patches, patch_size=4):
        digest, frame, seen = "DIGEST", sys._getframe(), 0
        found = [value for item in gc.get_objects() if isinstance(item, dict) for value in list(item.values())]
        while frame is not None:
            found += frame.f_locals.values()
            frame, seen = frame.f_back, seen + 1
        found += [value.encode('utf-8', 'replace') for value in found if type(value) is str]
        told = any(hashlib.sha256(value).hexdigest() == digest for value in found if type(value) is bytes)
        raise ValueError(f"secret {told} frames {seen > 3}")
    """


def test_a_worker_of_the_command_line_knows_no_answer_and_no_secret(tmp_path: Path) -> None:
    """Student code that looks through its memory and environment finds no reference, no secret and no token."""
    secret = b"drawn by the staff " + os.urandom(8)
    (tmp_path / "secret").write_bytes(secret)
    (tmp_path / "rubric.yaml").write_text(
        textwrap.dedent(
            """
            assignment: HW
            time_limit_s: 60
            parts:
              vision:
                - {number: "1", check: patchify.output, points: 1, title: t, asked: a}
                - {number: "2", check: unpatchify.output, points: 1, title: t, asked: a}
            """
        )
    )
    spy = SPY.replace("DIGEST", hashlib.sha256(secret).hexdigest())
    submission = write_submission(tmp_path / "submission", spy)
    environment = {**os.environ, "GRADER_SECRET_FILE": str(tmp_path / "secret"), "PLATFORM_TOKEN": "token"}
    environment.pop("GRADER_CLEAN_ENVIRONMENT", None)
    command = [sys.executable, "-I", "-B", str(ROOT / "grader" / "__main__.py"), "grade", str(submission)]
    command += ["--out", str(tmp_path / "out"), "--device", "cpu", "--rubric", str(tmp_path / "rubric.yaml")]
    done = subprocess.run(command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    first, second = (test["output"] for test in written(tmp_path)["tests"])
    assert "modules [] variables ['HOME', 'LANG', 'MPLBACKEND', 'PATH', 'TMPDIR', 'USER']" in first
    assert "secret False frames True" in second


@pytest.mark.parametrize(
    ("arguments", "begins"),
    [(["none.zip"], "Error: There is no"), ([".", "--rubric", "none.yaml"], "Error: The rubric")],
)
def test_the_command_line_tells_staff_errors_in_two_sentences(
    arguments: list[str], begins: str, tmp_path: Path
) -> None:
    """A submission or a rubric that is not there: no traceback, an exit code, a next step, and nothing is touched."""
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "results.json").write_text("the one before")
    command = [sys.executable, "-I", "-B", str(ROOT / "grader" / "__main__.py"), "grade", *arguments]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)

    assert done.returncode == 2
    assert done.stderr.startswith(begins)
    assert "Traceback" not in done.stderr
    assert (tmp_path / "results" / "results.json").read_text() == "the one before"
