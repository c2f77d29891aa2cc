"""The rubric: what staff may write, and the line that is named when it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from grader.errors import StaffError
from grader.pipeline.questions import KNOWN_CHECKS
from grader.rubric import DEFAULT_RUBRIC, Rubric, load_rubric

GOOD = """\
assignment: "HW"
time_limit_s: 60
parts:
  vision:
    - {number: "1.1", check: patchify.output, points: 3, title: "T", asked: "A"}
    - number: "1.2"
      check: patchify.generality
      points: 1.5
      title: "T"
      asked: "A"
      visibility: hidden
      time_limit_s: 5
"""

Read = Callable[[str], Rubric]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Return a function that reads the text of a rubric."""

    def read_it(text: str) -> Rubric:
        path = tmp_path / "rubric.yaml"
        path.write_text(text, encoding="utf-8")
        return load_rubric(path, known_checks=["patchify.output", "patchify.generality"])

    return read_it


def test_the_committed_rubric_is_right_and_asks_everything() -> None:
    """Every check that there is has its question, once."""
    rubric = load_rubric(DEFAULT_RUBRIC, known_checks=KNOWN_CHECKS)

    assert sorted(question.check for question in rubric.questions) == sorted(KNOWN_CHECKS)
    assert all(question.title and question.asked for question in rubric.questions)
    assert rubric.time_limit_s < 600  # the platform's own limit, past which no test is shown


def test_what_staff_write_is_what_is_read(read: Read) -> None:
    """Points, visibility and time limits, with the defaults of what is left out."""
    first, second = read(GOOD).questions

    assert (first.points, first.visibility, first.time_limit_s, first.hidden) == (3, "visible", 20.0, False)
    assert (second.points, second.visibility, second.time_limit_s, second.hidden) == (1.5, "hidden", 5, True)
    assert (second.part, second.function, second.aspect) == ("vision", "patchify", "generality")


def test_a_disabled_question_is_left_out(read: Read) -> None:
    """It stays in the file for next year."""
    rubric = read(GOOD.replace('"A"}', '"A", enabled: false}'))

    assert [question.number for question in rubric.questions] == ["1.2"]


@pytest.mark.parametrize("visibility", ["hidden", "after_due_date", "after_published"])
def test_what_students_do_not_see_now_is_hidden(read: Read, visibility: str) -> None:
    """After the due date students see the same text as before it, so it has to be safe already."""
    assert read(GOOD.replace("hidden", visibility)).questions[1].hidden


@pytest.mark.parametrize(
    ("old", "new", "line", "problem"),
    [
        ("points: 3", "points: -3", 5, "less than the minimum"),
        ("points: 3", "points: three", 5, "is not of type 'number'"),
        ("points: 3", "points: yes", 5, "is not of type 'number'"),
        ("points: 1.5", "points: .nan", 8, "points is not a finite number"),
        ("points: 1.5", "points: .inf", 8, "points is not a finite number"),
        ("time_limit_s: 5", "time_limit_s: 0", 12, "time_limit_s"),
        ("time_limit_s: 5", "time_limit_s: .inf", 12, "time_limit_s is not a finite number"),
        ('number: "1.2"', "number: 1.2", 6, "is not of type 'string'"),
        ('number: "1.2"', 'number: "one"', 6, "does not match"),
        ('number: "1.2"', 'number: "1.1"', 6, "number '1.1' is there twice"),
        ("patchify.generality", "patchify.output", 7, "check 'patchify.output' is there twice"),
        ("patchify.generality", "patchfy.generality", 7, "there is no check 'patchfy.generality'; known are patchify."),
        ("visibility: hidden", "visibility: secret", 11, "is not one of"),
        ("visibility: hidden", "visible: hidden", 6, "'visible' was unexpected"),
        ('      asked: "A"\n', "", 6, "'asked' is a required property"),
        ('title: "T", ', 'title: "", ', 5, "title"),
        ("  vision:", "  visoin:", 4, "'visoin' was unexpected"),
        ("time_limit_s: 60", "time_limit_s: -1", 2, "minimum"),
        ('assignment: "HW"\n', "", 1, "'assignment' is a required property"),
        ("      points: 1.5", "     points: 1.5", 8, "expected <block end>"),
        ("points: 3", "points: [3", 5, "expected ',' or ']'"),
        ("parts:", "parts: !!python/object/apply:os.getcwd []\nx:", 3, "could not determine a constructor"),
    ],
)
def test_a_mistake_is_named_with_its_line(read: Read, old: str, new: str, line: int, problem: str) -> None:
    """Each kind of mistake raises StaffError with the number of the line it stands in."""
    assert GOOD.count(old) >= 1
    with pytest.raises(StaffError) as caught:
        read(GOOD.replace(old, new, 1))

    assert f"rubric.yaml is wrong in line {line}: " in caught.value.happened
    assert problem in caught.value.happened
    assert caught.value.try_next == "Mend that line."


@pytest.mark.parametrize("text", ["", "[]", "just text", "~"])
def test_a_file_that_is_no_rubric_is_wrong_at_the_top(read: Read, text: str) -> None:
    """An empty file or another kind of YAML has no better line to name."""
    with pytest.raises(StaffError, match="wrong in line 1: at the top"):
        read(text)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file and one of another encoding."""
    (tmp_path / "latin.yaml").write_bytes("assignment: Übung".encode("latin-1"))

    for name in ("missing.yaml", "latin.yaml"):
        with pytest.raises(StaffError, match=rf"The rubric .*{name} cannot be read"):
            load_rubric(tmp_path / name)
