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


NO_LISTS = [
    "- a list",
    "{",
    "just words",
    "",
    "b: !!python/object/apply:os.getcwd []",
    "a: {}\n---\nb: {}",
    "a: {}\na: {}",
    "a: &x {}",
    "a: {x: &x [1]}\nb: *x",
    "? [a, b]\n: {}",
    "a: {':submitters': text}",
    "a: {':submitters': [text]}",
    "a: {':submitters': [{':name': [A, B]}]}",
    "a: {':submitters': [{':sid': {b: c}}]}",
    "a: {':submitters': [{':email': !ruby/object:X {b: c}}]}",
    "a: \x07",
]


@pytest.mark.parametrize("text", NO_LISTS)
def test_what_is_no_list_of_submissions_is_refused(tmp_path: Path, text: str) -> None:
    """A file that is not the platform's list is an error for the staff, and makes nothing happen."""
    with pytest.raises(StaffError, match="Export the submissions"):
        read_metadata(write(tmp_path / "m.yml", text))


def test_names_are_one_line_without_controls(tmp_path: Path) -> None:
    """Escape sequences, direction overrides and line breaks of a name end here; letters of any script stay."""
    names = '[{":name": "\\e[31mAda\\u202e\\nB\\x9b2J", ":sid": "\\u200b1"}, {":name": "Bao Lê 李"}]'
    path = write(tmp_path / "m.yml", f'submission_1: {{":submitters": {names}, ":created_at": "\\e]0;x\\a2022"}}')
    (listed,) = read_metadata(path).values()
    roster = read_roster(write(tmp_path / "r.csv", "name,sid\n\x1b[31mAda\u202e,1\nBao Lê 李,2\n"))

    assert [student.name for student in listed.students] == ["[31mAda B 2J", "Bao Lê 李"]
    assert listed.students[0].sid == "1"
    assert listed.created_at == "]0;x 2022"
    assert [student.name for student in roster] == ["[31mAda", "Bao Lê 李"]


def test_ids_are_as_they_are_written(tmp_path: Path) -> None:
    """No number, date or truth is made of an id or a name; only null is nothing."""
    text = "submission_1: {':submitters': [{':name': on, ':sid': 0123}, {':name': 'null', ':sid': ~}]}"
    (listed,) = read_metadata(write(tmp_path / "m.yml", text)).values()

    assert listed.students == (Student(name="on", sid="0123"), Student(name="null"))


def test_a_list_is_measured_before_it_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte over the limit is refused, one at it is read."""
    monkeypatch.setattr("grader.fleet.roster.MAX_METADATA_BYTES", 12)

    assert list(read_metadata(write(tmp_path / "m.yml", "submiss1: {}"))) == ["submiss1"]
    with pytest.raises(StaffError, match="larger than"):
        read_metadata(write(tmp_path / "m.yml", "submiss10: {}"))


def test_what_is_not_asked_for_may_be_deep_and_large(tmp_path: Path) -> None:
    """Results of earlier runs are passed over, however deep they are."""
    deep = "[" * 5000 + "]" * 5000
    text = f"submission_1: {{':results': {deep}, ':submitters': [{{':name': Ada}}]}}"

    assert read_metadata(write(tmp_path / "m.yml", text))["submission_1"].students == (Student(name="Ada"),)


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


def test_a_name_wins_nothing_over_an_id() -> None:
    """Who calls themselves as another one's id or login does not get that one's file; nor do names that look alike."""
    mallory, ada = Student(name="3034", sid="1"), Student(name="Ada", sid="3034", login="adal")

    assert find_by_file("3034", [mallory, ada]) is ada
    assert find_by_file("adal", [Student(name="adal"), ada]) is ada
    assert find_by_file("bo\u200b", []) != find_by_file("bo", [])
    assert find_by_file("bo\u200b", []).name == "bo"


def test_an_address_counts_before_an_id() -> None:
    """People type their ids; the address is what they sign in with."""
    ada, bo = Student(name="Ada", sid="1", email="ada@example.edu"), Student(name="Bo", sid="2", email="Bo@example.edu")

    assert completed(Student(name="Bo", sid="1", email="bo@example.edu"), [ada, bo]) is bo
    assert completed(Student(name="Bo", sid="1", email="private@example.com"), [ada, bo]) is ada


def test_the_roster_knows_more_than_the_export() -> None:
    """A student of the export becomes the one of the roster with the same id or address; empty ones match nobody."""
    known = Student(name="Ada", sid="1", canvas_id="17")

    assert completed(Student(name="Ada A.", sid="1"), [Student(name="No id"), known]) is known
    assert completed(Student(name="Ada A."), [Student(name="No id"), known]) == Student(name="Ada A.")
