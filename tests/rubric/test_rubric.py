"""The rubric: what staff may write, and the line that is named when it is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner

from grader.__main__ import main
from grader.commands.rubric import describe_totals
from grader.errors import StaffError
from grader.rubric import Rubric, load_rubric
from homework.homework import HOMEWORK
from tests.known import KNOWN_CHECKS

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
        checks = ["patchify.output", "patchify.generality"]
        return load_rubric(path, known_checks=checks, known_parts=HOMEWORK.part_names)

    return read_it


def test_the_committed_rubric_is_right_and_asks_everything() -> None:
    """Every check that there is has its question, once."""
    rubric = load_rubric(HOMEWORK.rubric, known_checks=KNOWN_CHECKS)

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
        (
            "patchify.generality",
            "patchfy.generality",
            7,
            "there is no check 'patchfy.generality'; did you mean 'patchify.generality'?",
        ),
        ("patchify.generality", "volume.size", 7, "there is no check 'volume.size'; known are patchify.generality, "),
        ("visibility: hidden", "visibility: secret", 11, "is not one of"),
        ("visibility: hidden", "visible: hidden", 11, "there is no field 'visible'; did you mean 'visibility'?"),
        ("points: 3", "pionts: 3", 5, "at parts/vision/0: there is no field 'pionts'; did you mean 'points'?"),
        ("points: 1.5", "pionts: 1.5", 8, "at parts/vision/1: there is no field 'pionts'; did you mean 'points'?"),
        ("visibility: hidden", "colour: red", 11, "there is no field 'colour'; there are number, check, points, title"),
        ("visibility: hidden", "7: red", 11, "there is no field '7'; there are"),
        ('      asked: "A"\n', "", 6, "the field 'asked' is missing"),
        ('title: "T", ', 'title: "", ', 5, "title"),
        ("  vision:", "  visoin:", 4, "there is no field 'visoin'; did you mean 'vision'?"),
        ("time_limit_s: 60", "time_limit: 60", 2, "there is no field 'time_limit'; did you mean 'time_limit_s'?"),
        ("time_limit_s: 60", "time_limit_s: -1", 2, "minimum"),
        ('assignment: "HW"\n', "", 1, "the field 'assignment' is missing"),
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


def test_parts_are_free_names_and_those_of_the_homework_are_told(tmp_path: Path) -> None:
    """The schema takes any; which ones a homework has, whoever reads the file for it says."""
    path = tmp_path / "rubric.yaml"
    path.write_text(GOOD.replace("vision", "attention"), encoding="utf-8")

    assert {question.part for question in load_rubric(path).questions} == {"attention"}
    with pytest.raises(StaffError, match="line 4: at parts: there is no field 'attention'; there are vision"):
        load_rubric(path, known_parts=HOMEWORK.part_names)


def test_of_several_mistakes_the_first_line_is_named(read: Read) -> None:
    """In the order of the file, and not in that of the parts' names."""
    more = '  metalearning:\n    - {number: "2", check: patchify.output, pionts: 3, title: "T", asked: "A"}\n'
    with pytest.raises(StaffError, match="wrong in line 5: "):
        read(GOOD.replace("points: 3", "pionts: 3") + more)


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing but this\n", "~"])
def test_an_empty_file_is_called_empty(read: Read, text: str) -> None:
    """There is no line to mend, but a file to begin with."""
    with pytest.raises(StaffError, match=r"rubric\.yaml is empty\. Copy the homework's own rubric\.yaml"):
        read(text)


@pytest.mark.parametrize("text", ["[]", "just text", "{}"])
def test_a_file_that_is_no_rubric_is_wrong_at_the_top(read: Read, text: str) -> None:
    """Another kind of YAML has no better line to name."""
    with pytest.raises(StaffError, match="wrong in line 1: at the top"):
        read(text)


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A missing file and a folder, in words and not with the number of an error."""
    for path, why in ((tmp_path / "missing.yaml", "it is not there"), (tmp_path, "it is a folder")):
        with pytest.raises(StaffError) as caught:
            load_rubric(path)
        assert caught.value.happened == f"The rubric {path} cannot be read: {why}."


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_a_file_of_another_encoding_is_told_how_to_be_saved(tmp_path: Path, encoding: str) -> None:
    """The line with the first strange letter is named, and no words of a decoder are."""
    path = tmp_path / "other.yaml"
    path.write_bytes(GOOD.replace('"HW"', '"HW"\n# für alle').encode(encoding))

    with pytest.raises(StaffError) as caught:
        load_rubric(path)
    line = 2 if encoding == "latin-1" else 1
    assert caught.value.happened.endswith(f"not saved as UTF-8: the first letter that is not is in line {line}.")
    assert caught.value.try_next.startswith("Save the file as UTF-8")
    assert "codec" not in str(caught.value)


def test_a_mark_of_utf_8_at_the_beginning_is_no_mistake(tmp_path: Path) -> None:
    """Some editors write one."""
    path = tmp_path / "marked.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())

    assert len(load_rubric(path).questions) == 2


@pytest.mark.parametrize(
    ("points", "total", "reminder"),
    [
        (98.5, "100 points in all: vision 100.", ""),
        (3, "4.5 points in all: vision 4.5.", "That is 95.5 fewer than 100. "),
        (99, "100.5 points in all: vision 100.5.", "That is 0.5 more than 100. "),
    ],
)
def test_the_total_is_said_and_one_that_is_not_a_hundred_is_pointed_at(
    read: Read, points: float, total: str, reminder: str
) -> None:
    """Points of each part and in all; another total is a reminder and no mistake."""
    first, *more = describe_totals(read(GOOD.replace("points: 3", f"points: {points}")))

    assert first == total
    assert [sentence.startswith(reminder) for sentence in more] == ([True] if reminder else [])


def test_the_command_ends_with_the_totals(tmp_path: Path) -> None:
    """Of the usual rubric there is no more to say; of another one the reminder is the end."""
    path = tmp_path / "rubric.yaml"
    path.write_text(GOOD, encoding="utf-8")
    usual, other = (CliRunner().invoke(main, arguments) for arguments in (["rubric"], ["rubric", str(path)]))

    assert "100 points in all: vision " in usual.output
    assert "than 100" not in usual.output
    assert "fewer than 100" in " ".join(other.output.split())
