"""Who handed in what."""

from __future__ import annotations

from pathlib import Path

import pytest

from grader.errors import StaffError
from grader.fleet.roster import Student, completed, find_by_file, read_metadata, read_roster

GRADESCOPE = """\
submission_7:
  :submitters:
  - :name: "Bao Lê"
    :email: bao@example.edu
    :sid: '3034'
  - :name: Ada
    :email: ada@example.edu
    :sid:
  :created_at: 2022-11-22 20:00:00.000000000 Z
  :score: 3.0
  :status: processed
  :results: !ruby/hash:ActiveSupport::HashWithIndifferentAccess
    tests: [1, 2]
submission_8:
  :submitters: []
  :created_at: !ruby/object:Whatever {a: 1}
"""


def write(path: Path, text: str) -> Path:
    """Write a text file."""
    path.write_text(text, encoding="utf-8")
    return path


def test_the_export_says_who_handed_in_what(tmp_path: Path) -> None:
    """Names, emails and ids come out of the platform's list, partners together; Ruby's own tags do not matter."""
    listed = read_metadata(write(tmp_path / "m.yml", GRADESCOPE))

    assert listed["submission_7"].students == (
        Student(name="Bao Lê", email="bao@example.edu", sid="3034"),
        Student(name="Ada", email="ada@example.edu"),
    )
    assert listed["submission_7"].created_at.startswith("2022-11-22 20:00:00")
    assert listed["submission_8"].students == ()


@pytest.mark.parametrize("text", ["- a list", "{", "just words", "b: !!python/object/apply:os.getcwd []"])
def test_what_is_no_list_of_submissions_is_refused(tmp_path: Path, text: str) -> None:
    """A file that is not the platform's list is an error for the staff, and makes nothing happen."""
    with pytest.raises(StaffError, match="Export the submissions"):
        read_metadata(write(tmp_path / "m.yml", text))


def test_a_roster_may_be_gradescopes_or_canvas_or_ones_own(tmp_path: Path) -> None:
    """Columns are found by any of their usual names, and the line of possible points is nobody."""
    canvas = (
        "\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,HW 9\n    Points Possible,,,,,100\nAda,17,3034,ada,L1,\n"
    )
    gradescope = "First Name,Name,SID,Email,Role\nA,Ada,3034,ada@example.edu,Student\n\n"

    assert read_roster(write(tmp_path / "c.csv", canvas)) == [
        Student(name="Ada", sid="3034", canvas_id="17", login="ada", section="L1")
    ]
    assert read_roster(write(tmp_path / "g.csv", gradescope)) == [
        Student(name="Ada", sid="3034", email="ada@example.edu")
    ]


@pytest.mark.parametrize("text", ["", "colour\nred\n"])
def test_a_roster_without_people_is_refused(tmp_path: Path, text: str) -> None:
    """A table with no column for names, emails or ids is an error that says which are needed."""
    with pytest.raises(StaffError, match="name, email or sid"):
        read_roster(write(tmp_path / "r.csv", text))


def test_a_file_is_found_by_any_name_of_its_student() -> None:
    """Files are called after names, ids, or the part of an address before the @; else the file's name must do."""
    roster = [Student(name="Ada Abara", email="ada.a@example.edu", sid="3034"), Student(name="Bo", file="b.zip")]

    for stem in ("ada_abara", "Ada Abara", "ADA.A", "3034"):
        assert find_by_file(stem, roster) is roster[0]
    assert find_by_file("b", roster) is roster[1]
    assert find_by_file("nobody", roster) == Student(name="nobody")


def test_the_roster_knows_more_than_the_export() -> None:
    """A student of the export becomes the one of the roster with the same id or address; empty ones match nobody."""
    known = Student(name="Ada", sid="1", canvas_id="17")

    assert completed(Student(name="Ada A.", sid="1"), [Student(name="No id"), known]) is known
    assert completed(Student(name="Ada A."), [Student(name="No id"), known]) == Student(name="Ada A.")
