"""What students read: plain words for every failure, nothing that student code could slip in, and valid results."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from rich.console import Console

from grader.feedback import results as results_module
from grader.feedback.explain import (
    WORDS,
    does_not_compile,
    ended_early,
    explain_failure,
    not_a_code_cell,
    not_found,
    nothing_found,
    with_hint,
)
from grader.feedback.results import build_results, write_results
from grader.feedback.terminal import print_report
from grader.feedback.text import code, plain
from grader.feedback.words import Judgement, question_output, summary
from grader.probes.values import Problem
from grader.rubric import Question
from grader.sandbox.outcome import Ending
from grader.verdicts import Evidence, Verdict, failed, passed

WHERE = [{"label": "nb.ipynb, code cell 4", "line": 7, "function": "forward"}]


def explain(**facts: Any) -> Evidence:
    """Explain a failure of ClassificationViT.forward."""
    failure = {"kind": "exception", "type": "RuntimeError", "message": "", "where": WHERE, **facts}
    return explain_failure(failure, function="ClassificationViT.forward", not_run={"device": "nb.ipynb, code cell 9"})


# Messages as torch 2.13 and Python give them.
MESSAGES: dict[str, tuple[str, str, str]] = {
    "cuda": ("AssertionError", "Torch not compiled with CUDA enabled", "`device=x.device`, not `.cuda()`"),
    "devices": ("RuntimeError", "Expected all tensors to be on the same device, but found at least two", "x.device"),
    "truth": ("RuntimeError", "Boolean value of Tensor with more than one value is ambiguous", "ids_shuffle is None"),
    "cat": (
        "RuntimeError",
        "Sizes of tensors must match except in dimension 1. Expected size 3 but got size 1 for tensor number 1",
        "`dim=1` joins along the patches",
    ),
    "token": ("RuntimeError", "Tensors must have same number of dimensions: got 3 and 2", "expanded to (B, 1, D)"),
    "none": ("AttributeError", "'NoneType' object has no attribute 'shape'", "ends without `return` gives None"),
    "linear": ("RuntimeError", "mat1 and mat2 shapes cannot be multiplied (12x3 and 48x256)", "the last dimension"),
    "reshape": ("RuntimeError", "shape '[3, 64, 48]' is invalid for input of size 12", "shape after each step"),
    "broadcast": (
        "RuntimeError",
        "The size of tensor a (64) must match the size of tensor b (65) at non-singleton dimension 1",
        "Print both shapes",
    ),
    "index": ("RuntimeError", "index 64 is out of bounds for dimension 1 with size 16", "`ids_restore`"),
    "tuple": ("AttributeError", "'tuple' object has no attribute 'shape'", "`forward_encoder_representation`"),
    "numpy": ("RuntimeError", "Can't call numpy() on Tensor that requires grad.", "cuts the gradient"),
    "leaf": ("RuntimeError", "a leaf Variable that requires grad is being used in an in-place operation.", "in place"),
    "signature": ("TypeError", "f() missing 1 required positional argument: 'x'", "signature differs"),
    "name": ("NameError", "name 'foo' is not defined", "Restart the kernel"),
    "module": ("ModuleNotFoundError", "torchvision is not available to the grader", "only torch and numpy"),
    "recursion": ("RecursionError", "maximum recursion depth exceeded", "calls itself without end"),
    "exit": ("SystemExit", "", "`exit()`"),
    "other": ("ValueError", "something else", "in a fresh kernel"),
}


@pytest.mark.parametrize(("kind", "message", "hint"), MESSAGES.values(), ids=MESSAGES.keys())
def test_an_exception_is_shown_with_its_place_and_a_next_step(kind: str, message: str, hint: str) -> None:
    """The student reads what was raised, where, and what usually causes it."""
    evidence = explain(type=kind, message=message)
    said = f"{kind}: {message}" if message else kind

    assert evidence.verdict is Verdict.ERROR
    assert evidence.findings == (f"Your code raised `{said}`, in `nb.ipynb, code cell 4`, line 7 (`forward`).",)
    assert hint in evidence.try_next


@pytest.mark.parametrize(
    ("facts", "finding"),
    [
        ({"where": [{"label": "a", "line": 10**4199}]}, "Your code raised `RuntimeError`, in `a`."),
        ({"where": [{"label": "a", "line": -1}]}, "Your code raised `RuntimeError`, in `a`."),
        ({"where": [{"label": "a", "line": True}]}, "Your code raised `RuntimeError`, in `a`."),
        ({"where": [{"label": "\u200b", "line": 7}]}, "Your code raised `RuntimeError`, line 7."),
        ({"where": [{"label": "a", "function": "\u202e"}]}, "Your code raised `RuntimeError`, in `a`."),
        ({"where": [], "type": "\u200b"}, "Your code raised an exception."),
        ({"where": [], "type": "", "message": "x"}, "Your code raised `: x`."),
    ],
)
def test_a_forged_place_or_kind_leaves_no_empty_span_and_no_endless_number(facts: dict[str, Any], finding: str) -> None:
    """A worker may say anything of an exception: what is no line, name or place is left out."""
    assert explain(**facts).findings == (finding,)


def test_a_global_from_code_that_is_not_run_is_explained_by_its_cell() -> None:
    """A NameError about it says where it is made and that such code is not run."""
    evidence = explain(type="NameError", message="name 'device' is not defined", name="device")

    assert "`device` is made in `nb.ipynb, code cell 9`, in code that the grader does not run" in evidence.try_next


def test_a_missing_name_is_told_by_its_reason() -> None:
    """Nowhere, only in code that is not run, or in a cell that stopped: three sentences, two verdicts."""
    nowhere = explain(kind="missing", name="f")
    hidden = explain(kind="missing", name="device")
    stopped = explain(kind="missing", name="f", cause={"type": "ZeroDivisionError", "message": "division by zero"})

    assert (nowhere.verdict, nowhere.findings) == (Verdict.MISSING, ("`f` was not found in any notebook or module.",))
    assert hidden.verdict is Verdict.MISSING
    assert hidden.findings[0].startswith("`device` is made only in `nb.ipynb, code cell 9`")
    assert stopped.verdict is Verdict.ERROR
    assert stopped.findings == (
        "The cell that defines `f` stopped with an error.",
        "Your code raised `ZeroDivisionError: division by zero`.",
    )


@pytest.mark.parametrize(
    ("where", "finding"),
    [
        (WHERE, "`ClassificationViT.forward` is not implemented yet."),
        ([], "`ClassificationViT.forward` is not implemented yet."),
        ([{"function": "patchify"}], "is not implemented yet."),
    ],
)
def test_a_stub_is_not_an_error(where: object, finding: str) -> None:
    """What is left to write is missing, not wrong."""
    evidence = explain(kind="not-implemented", where=where)

    assert evidence.verdict is Verdict.MISSING
    assert evidence.findings[0].endswith(finding)


def test_a_stub_that_is_called_by_another_function_is_named() -> None:
    """unpatchify may call a helper that is not written yet."""
    failure = {"kind": "not-implemented", "where": [{"function": "index_sequence"}]}
    evidence = explain_failure(failure, function="random_masking", not_run={})

    assert evidence.findings == ("`index_sequence`, which `random_masking` calls, is not implemented yet.",)


PATH = [
    {"label": "nb.ipynb, code cell 9", "line": 4, "function": "forward"},
    {"label": "nb.ipynb, code cell 2", "line": 3, "function": "patchify"},
]


def test_an_error_inside_a_right_helper_is_its_callers() -> None:
    """The line that calls it is named, and what to look at there."""
    failure = {"kind": "exception", "type": "RuntimeError", "message": "shape is invalid", "where": PATH}
    evidence = explain_failure(failure, function="ClassificationViT.forward", not_run={}, right={"patchify"})

    assert evidence.verdict is Verdict.ERROR
    assert evidence.findings == (
        "`patchify` is right, but raised `RuntimeError: shape is invalid` when it was called, in "
        "`nb.ipynb, code cell 9`, line 4 (`forward`).",
    )
    assert "is an argument missing" in evidence.try_next


@pytest.mark.parametrize(("right", "where"), [(set(), PATH), ({"patchify"}, PATH[:1]), ({"patchify"}, PATH[1:])])
def test_an_error_anywhere_else_is_where_it_happened(right: set[str], where: list[dict[str, Any]]) -> None:
    """In a helper of which nothing is known, in the function itself, or with nobody who called."""
    failure = {"kind": "exception", "type": "RuntimeError", "message": "m", "where": where}
    evidence = explain_failure(failure, function="ClassificationViT.forward", not_run={}, right=right)

    assert evidence.findings[0].startswith("Your code raised `RuntimeError: m`, in ")
    assert f"(`{where[-1]['function']}`)" in evidence.findings[0]


def test_values_of_the_wrong_kind_are_told() -> None:
    """None means that nothing is there yet; another type or number of values is wrong."""
    nothing = explain(kind="value", name="f", problem="nothing-returned", facts={"type": "NoneType"})
    wrong = explain(kind="value", name="f", problem="other-count", facts={"expected": 3, "got": 2})

    assert nothing.verdict is Verdict.MISSING
    assert nothing.findings[0].startswith("`f` returned nothing that could be graded: it is not implemented yet")
    assert wrong.verdict is Verdict.FAILED
    assert wrong.findings == ("`f`: 3 values expected, but got 2 values.",)


def test_a_headline_of_its_own_takes_the_place_of_the_verdicts() -> None:
    """Students read it in the report, staff below the table; without one, the verdict's own words stand there."""
    own = Judgement(replace(QUESTION, points=0), replace(passed(), headline="Reported; not checkable here."))
    console = Console(file=io.StringIO(), width=200)
    print_report([own, Judgement(QUESTION, passed())], console)
    printed = " ".join(console.file.getvalue().split())  # type: ignore[attr-defined] # a StringIO

    assert "**Reported; not checkable here.**" in question_output(own)
    assert "Right." not in question_output(own)
    assert "**Right.**" in question_output(Judgement(QUESTION, passed()))
    assert printed.endswith("1.1 patchify: values: Reported; not checkable here.")


@pytest.mark.parametrize(
    ("points", "visibility", "verdict", "status"),
    [
        (0, "visible", Verdict.MISSING, "passed"),
        (0, "visible", Verdict.FAILED, "failed"),
        (0, "hidden", Verdict.MISSING, "failed"),
        (2, "visible", Verdict.MISSING, "failed"),
    ],
)
def test_nothing_handed_in_where_nothing_is_to_be_earned_is_not_shown_as_a_failure(
    points: float, visibility: str, verdict: Verdict, status: str
) -> None:
    """What was handed in and is wrong is, points or not; a hidden question says only passed or not."""
    judgement = Judgement(replace(QUESTION, points=points, visibility=visibility), Evidence(verdict))
    results = build_results([judgement], used=(), notes=(), execution_time_s=1, extra_data={})

    assert results["tests"][0]["status"] == status
    assert results["tests"][0]["extra_data"]["verdict"] == verdict.value


@pytest.mark.parametrize(
    ("problem", "facts", "sentence"),
    [
        ("other-shape", {"expected": [8, 3], "got": [3, 8]}, "shape (8, 3) expected, but got shape (3, 8)"),
        ("other-shape", {"expected": [], "got": [1]}, "shape () expected, but got shape (1,)"),
        (
            "no-parameter",
            {"parameter": "head.0.weight", "expected": [2]},
            "a parameter `head.0.weight` of shape (2,) expected, but got none",
        ),
        ("other-parameters", {}, "the template's parameters expected, but got others"),
        ("no-tensor", {"type": "MyTensor"}, "a tensor expected, but got `MyTensor`"),
        ("no-tuple", {"expected": 2, "type": "Tensor"}, "2 values expected, but got one `Tensor`"),
        ("no-numbers", {"dtype": "complex64"}, "expected, but got an array of `complex64`"),
        ("not-real", {"dtype": "int4"}, "expected, but got dtype `int4`"),
        ("**You passed.**", {"type": "<b>"}, "another value expected"),
        ("no-tensor", {"type": "`, **b**"}, "a tensor expected, but got `ˋ, **b**`"),
        ("no-tensor", ["forged"], "a tensor expected, but got ?"),
        ("other-count", {"expected": "many", "got": [2, "<b>"]}, "`many` values expected, but got `"),
    ],
)
def test_only_code_stands_in_code_quotes(problem: str, facts: Any, sentence: str) -> None:
    """Kinds have words, numbers and shapes are numbers; names, and whatever a worker made up, are shown as code."""
    assert sentence in explain(kind="value", name="f", problem=problem, facts=facts).findings[0]


def test_every_problem_of_a_value_has_words() -> None:
    """And no words are there for what no probe says; that nothing was returned is told apart."""
    assert {*WORDS, Problem.NOTHING_RETURNED.value} == {problem.value for problem in Problem}


def test_names_that_are_nearly_right_are_suggested() -> None:
    """A near name is shown; without one, the advice is to keep the template's."""
    assert (
        not_found("patchify", "patch_ify").try_next
        == "You have `patch_ify`: if that is it, rename it. Keep the names of the template."
    )
    assert (
        not_found("patchify", None).try_next
        == "Keep the names of the template: if you wrote it under another name, rename it to `patchify`."
    )
    assert "does not compile: `line 3" in does_not_compile("f", "line 3: unexpected indent").findings[0]


@pytest.mark.parametrize(
    ("ending", "verdict"),
    [
        ("TIMEOUT", Verdict.TIMEOUT),
        ("MEMORY", Verdict.MEMORY),
        ("DISK", Verdict.CRASHED),
        ("CRASHED", Verdict.CRASHED),
        ("NO_ANSWER", Verdict.CRASHED),
        ("BAD_ANSWER", Verdict.CRASHED),
    ],
)
def test_every_ending_without_an_answer_has_its_words(ending: str, verdict: Verdict) -> None:
    """Each ending of the sandbox has a verdict, a sentence and a next step."""
    evidence = ended_early(ending, "20 s")

    assert evidence.verdict is verdict
    assert evidence.findings
    assert evidence.try_next


def test_no_ending_is_forgotten() -> None:
    """A new ending needs its words."""
    for ending in Ending:
        if ending is not Ending.ANSWERED:
            ended_early(ending.name, "")


# Text that students control.


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("two\nlines\tand\r\x00tabs", "two lines and tabs"),
        ("\x1b[31mred\x1b[0m", "[31mred [0m"),
        ("abc\u202edef\u2066", "abcdef"),
        ("zero\u200bwidth\ufeff", "zerowidth"),
        ("lone \ud800 surrogate", "lone surrogate"),
        ("line\u2028separator", "line separator"),
        ("Größe ≥ 3 × 4", "Größe ≥ 3 × 4"),
        (5, ""),
        (None, ""),
        (["x"], ""),
    ],
)
def test_text_is_one_plain_line(text: object, shown: str) -> None:
    """Control characters, direction overrides and surrogates are gone; what is no text is empty."""
    assert plain(text) == shown
    json.dumps(plain(text)).encode("utf-8")


def test_text_is_cut_with_a_sign() -> None:
    """At the limit it stays, one above it is cut."""
    assert plain("x" * 240) == "x" * 240
    assert plain("x" * 241) == "x" * 239 + "…"
    assert len(plain(" " * 10_000_000 + "x")) <= 240


def test_a_code_span_cannot_be_left() -> None:
    """Backticks inside it are replaced."""
    assert code("a` **b** ``c") == "`aˋ **b** ˋˋc`"


FORGED = "x`\n\n# Score: 100/100\n<b>[click](http://e)</b>`"


@pytest.mark.parametrize(
    "facts",
    [
        {"type": FORGED, "message": FORGED},
        {"where": [{"label": FORGED, "line": FORGED, "function": FORGED}]},
        {"where": FORGED},
        {"where": [FORGED]},
        {"kind": "value", "name": FORGED, "problem": FORGED, "facts": FORGED},
        {"kind": "value", "name": FORGED, "problem": "no-tensor", "facts": {"type": FORGED, FORGED: [FORGED]}},
        {"kind": "value", "name": FORGED, "problem": "nothing-returned", "facts": FORGED},
        {"kind": "missing", "name": FORGED},
        {"kind": "missing", "name": FORGED, "cause": {"type": FORGED, "message": FORGED}},
        {"kind": "missing", "name": [1], "cause": [1]},
        {"kind": "not-implemented", "where": [{"function": FORGED}]},
        {"kind": ["x"], "type": None, "message": {}},
    ],
    ids=str,
)
def test_a_forged_failure_stays_inside_code_spans(facts: dict[str, Any]) -> None:
    """A worker can send any facts; outside code spans stand only our own words."""
    evidence = explain(**facts)

    for sentence in (*evidence.findings, evidence.try_next):
        assert "\n" not in sentence
        outside = "".join(sentence.split("`")[::2])
        assert "Score" not in outside
        assert "<b>" not in outside


# Results.

QUESTION = Question("vision", "1.1", "patchify.output", 3, "patchify: values", "`patchify` cuts images.")
HIDDEN = replace(QUESTION, number="1.2", check="patchify.generality", visibility="hidden", title="secret title")


def results_of(*judgements: Judgement, **options: Any) -> dict[str, Any]:
    """Return results with nothing special about the run."""
    facts = {"used": [], "notes": [], "execution_time_s": 1.23, "extra_data": {}, **options}
    return build_results(judgements, **facts)


def test_seconds_are_told_only_where_nothing_is_hidden() -> None:
    """A hidden question's code could sleep for as many seconds as its inputs say; the results are valid without."""
    shown, hidden = (Judgement(question, passed()) for question in (QUESTION, HIDDEN))

    assert results_of(shown)["execution_time"] == 1
    assert "execution_time" not in results_of(shown, hidden)
    jsonschema.validate(results_of(shown, hidden), json.loads(results_module.SCHEMA.read_text()))


@pytest.mark.parametrize("verdict", Verdict)
def test_every_verdict_makes_valid_results(verdict: Verdict) -> None:
    """The schema holds for each verdict, and only a pass is "passed"."""
    results = results_of(Judgement(QUESTION, Evidence(verdict, ("finding",), "try", float(verdict is Verdict.PASSED))))
    jsonschema.validate(results, json.loads(results_module.SCHEMA.read_text()))

    (test,) = results["tests"]
    assert test["extra_data"]["verdict"] == verdict.value
    assert test["status"] == ("passed" if verdict is Verdict.PASSED else "failed")
    assert results["score"] == test["score"] == (3 if verdict is Verdict.PASSED else 0)


def test_a_visible_question_says_all_that_helps() -> None:
    """What was asked, the verdict, the findings, a next step, lent helpers, remarks."""
    evidence = replace(failed("Finding.", try_next="Next."), notes=("Remark.",))
    text = question_output(Judgement(QUESTION, evidence, ("random_masking",)))

    assert text.split("\n\n") == [
        "**Asked:** `patchify` cuts images.",
        "**Not right yet.**",
        "Finding.",
        "**Try:** Next.",
        "With our `random_masking` in place of yours, it is not right yet either: there is a mistake here, too.",
        "*Note:* Remark.",
    ]


def test_a_pass_with_help_says_so() -> None:
    """The student learns that points were kept in spite of a wrong helper."""
    text = question_output(Judgement(QUESTION, passed(), ("patchify", "random_masking")))

    assert "Judged with our `patchify` and `random_masking`, because yours, or a function behind it, cannot" in text


@pytest.mark.parametrize("verdict", Verdict)
def test_a_hidden_question_says_only_passed_or_not(verdict: Verdict) -> None:
    """Neither findings, title of the check, lent helpers nor diagnosis are there."""
    evidence = Evidence(verdict, ("telling",), "telling", diagnosis=("telling",), notes=("telling",))
    (test,) = results_of(Judgement(HIDDEN, evidence, ("patchify",)))["tests"]

    assert test["output"] == ("Passed." if verdict is Verdict.PASSED else "Not passed.")
    assert "lent" not in test["extra_data"]
    assert "diagnosis" not in test["extra_data"]
    assert "findings" not in test["extra_data"]
    assert "telling" not in json.dumps(test)


def test_the_summary_counts_and_names_visible_questions_only() -> None:
    """Nothing about hidden questions can be read from the sums, and the first open one is where to begin."""
    judgements = [Judgement(HIDDEN, failed("x")), Judgement(QUESTION, passed()), Judgement(QUESTION, failed("y"))]
    judgements += [Judgement(QUESTION, Evidence(verdict)) for verdict in (Verdict.NOT_RUN, Verdict.INFRASTRUCTURE)]
    text = summary(judgements, used=[("Masked autoencoders", "a`b.ipynb")], notes=["Note."])

    assert text.startswith("**1 of 2 graded questions are right: 3 of 6 points.**")
    assert "secret title" not in text
    assert "Begin with 1.1 (patchify: values).\n" in text
    assert "- Masked autoencoders: `aˋb.ipynb`" in text
    assert "2 questions are not graded yet, through no fault of yours" in text


def test_points_can_be_earned_in_part() -> None:
    """A fraction of the points, without the dust of binary fractions."""
    assert Judgement(QUESTION, Evidence(Verdict.FAILED, fraction=1 / 3)).score == 1.0
    assert Judgement(replace(QUESTION, points=0.3), passed()).score == 0.3


def test_results_are_written_whole_and_readable(tmp_path: Path) -> None:
    """The folder is made, the file is valid JSON that the platform may read, and nothing else is left there."""
    path = tmp_path / "new" / "results.json"
    write_results(results_of(Judgement(QUESTION, passed())), path)

    assert json.loads(path.read_text(encoding="ascii"))["score"] == 3
    assert path.stat().st_mode & 0o777 == 0o644
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize(
    "broken",
    [{"score": -1}, {"tests": None}, {"more": 1}, {"visibility": "nobody"}, {"execution_time": float("nan")}],
    ids=str,
)
def test_results_that_are_not_valid_leave_the_old_file(tmp_path: Path, broken: dict[str, Any]) -> None:
    """A mistake of ours never replaces a good report by a bad one."""
    path = tmp_path / "results.json"
    path.write_text("old")

    with pytest.raises((jsonschema.ValidationError, ValueError)):
        write_results({**results_of(), **broken}, path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_only_what_was_not_validated_before_is_validated(tmp_path: Path) -> None:
    """A run writes its report after each question; what was right in the one before is not looked at again."""
    results = results_of(Judgement(QUESTION, passed()))
    broken = {**results["tests"][0], "score": -1}
    path = tmp_path / "results.json"

    write_results({**results, "tests": [broken]}, path, before=[broken])
    assert path.exists()
    with pytest.raises(jsonschema.ValidationError):
        write_results({**results, "tests": [broken]}, path, before=results["tests"])


def test_the_table_for_staff_shows_what_is_there() -> None:
    """Titles are text, not markup of the terminal."""
    console = Console(width=100, record=True, file=io.StringIO())
    print_report([Judgement(replace(QUESTION, title="shape [b, n] [/b]"), failed("x"), ("patchify",))], console)
    text = console.export_text()

    assert "shape [b, n] [/b]" in text
    assert "0 / 3" in text
    assert "FAILED" in text


def test_an_empty_text_makes_no_empty_code_span() -> None:
    """Two backticks would open a span that ends at the next two, and take what is between them."""
    assert code("") == code("\u200b") == "` `"
    assert code("`a`") == "`ˋaˋ`"


def beginning(*judgements: Judgement) -> str:
    """Return where the summary says to begin."""
    text = summary(judgements, used=(), notes=())
    return next((line for line in text.split("\n\n") if line.startswith("Begin")), "")


def test_where_to_begin_is_no_consequence() -> None:
    """A question that is judged with ours comes after those that fail by themselves; who builds on it is counted."""
    other = replace(QUESTION, number="1.2", check="unpatchify.output", title="unpatchify: values")
    wrong = failed("x")

    assert beginning(Judgement(other, wrong, ("patchify",)), Judgement(QUESTION, wrong)) == (
        "Begin with 1.1 (patchify: values): what comes later builds on it."
    )
    assert beginning(Judgement(other, wrong), Judgement(QUESTION, wrong)) == "Begin with 1.2 (unpatchify: values)."
    assert beginning(Judgement(other, passed())) == ""


def test_a_part_that_was_not_found_is_said_once() -> None:
    """Its questions ask nobody to rename twenty functions, and are nothing to begin with."""
    lost = nothing_found("patchify")

    assert (lost.verdict, lost.try_next) == (Verdict.MISSING, "")
    assert "The notes at the top say what was read" in lost.findings[0]
    assert beginning(Judgement(QUESTION, lost)).startswith("Begin with the notes below")
    other = replace(QUESTION, number="1.2")
    assert beginning(Judgement(QUESTION, lost), Judgement(other, failed("x"))).startswith("Begin with 1.2")


def test_a_definition_in_a_cell_that_is_no_code_cell_is_to_be_changed_there() -> None:
    """Nobody is asked to rename it, neither where it is asked for nor where another function needs it."""
    where = "`patchify` stands in `nb.ipynb, raw cell below code cell 3`, which is no code cell."
    evidence = not_a_code_cell(where)

    assert evidence.findings == (where,)
    assert evidence.try_next.startswith("Change the cell's type to Code")
    failure = {"kind": "exception", "type": "NameError", "message": "x", "name": "patchify", "where": WHERE}
    assert explain_failure(failure, function="f", not_run={}, misplaced={"patchify": where}).try_next == where


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        ({"type": "NameError", "message": "name 'loss' is not defined", "name": "loss"}, Verdict.MISSING),
        ({"type": "AttributeError", "message": "'NoneType' object has no attribute 'sum'"}, Verdict.MISSING),
        (
            {"kind": "value", "name": "f", "problem": "nothing returned", "got": "NoneType", "where": []},
            Verdict.MISSING,
        ),
        ({"type": "RuntimeError", "message": "shapes"}, Verdict.ERROR),
    ],
)
def test_a_placeholder_that_is_left_is_no_error_of_the_students(facts: dict[str, Any], verdict: Verdict) -> None:
    """What it causes is told as not implemented, other exceptions as what they are."""
    failure = {"kind": "exception", "where": [{"label": "nb", "line": 1, "function": "f"}], **facts}

    evidence = explain_failure(failure, function="f", not_run={"loss": "nb, code cell 28"}, unwritten={"f"})

    assert evidence.verdict is verdict
    assert ("is not implemented yet: a placeholder" in evidence.findings[0]) == (verdict is Verdict.MISSING)
    assert "28" not in " ".join([*evidence.findings, evidence.try_next])


def test_a_placeholder_in_what_is_called_is_named_there() -> None:
    """The function in which it was left is not implemented, not the one that was asked for."""
    failure = {"kind": "exception", "type": "NameError", "where": [{"label": "nb", "line": 1, "function": "g"}]}

    evidence = explain_failure(failure, function="f", not_run={}, unwritten={"A.g"})

    assert evidence.findings[0].startswith("`A.g`, which `f` calls, is not implemented yet")


def test_a_file_that_is_not_there_is_the_cause_of_the_missing_global() -> None:
    """The exception that kept a name from being made is told beside the one that missed it."""
    cause = {"kind": "exception", "type": "FileNotFoundError", "message": "No such file or directory: 'w.pt'"}
    failure = {"kind": "exception", "type": "NameError", "message": "x", "name": "W", "where": WHERE, "cause": cause}

    evidence = explain_failure(failure, function="f", not_run={})

    assert "Making `W` failed before: your code raised `FileNotFoundError: No such file" in evidence.findings[1]
    assert "the grader gives your code no files" in evidence.try_next


def test_a_line_for_a_newer_python_is_not_to_be_run_in_jupyter() -> None:
    """It runs there."""
    reason = "nb.ipynb, code cell 3, line 2: invalid syntax (a template string needs Python 3.14, the grader has 3.11)"

    assert "Jupyter" not in does_not_compile("f", reason).try_next
    assert "Jupyter" in does_not_compile("f", "nb.ipynb, code cell 3, line 2: invalid syntax").try_next


def test_a_hint_is_a_note_and_nothing_slips_in_by_it() -> None:
    """It comes from a worker."""
    evidence = with_hint(failed("x"), "`a` is changed.\n\n# Heading\u202e" + "y" * 900)

    assert evidence.verdict is Verdict.FAILED
    assert len(evidence.notes[0]) <= 500
    assert "\n" not in evidence.notes[0]
    assert "\u202e" not in evidence.notes[0]
