"""Hand-ins as people make them: what is taken, and the words in which the student reads what was not."""

from __future__ import annotations

import json
import os
import zipfile
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from grader.intake import documents as documents_module
from grader.intake.caps import DEFAULT_CAPS
from grader.intake.collect import collect
from grader.intake.holdings import Places, bare_stem, is_marked_copy, is_put_aside, module_path
from grader.intake.kinds import Kind, kind_of
from grader.intake.report import Intake, fingerprint, read_survey
from grader.intake.survey import answer, ask, contents_of, survey
from homework.homework import HOMEWORK

Zipped = Callable[[Mapping[str, bytes]], bytes]
Notebook = Callable[..., bytes]

WANTED = {"vision": ["patchify", "unpatchify"], "metalearning": ["learn"]}
NEW = ("def patchify(x): return 'new'", "def unpatchify(x): return 1")
OLD = ("def patchify(x): return 'old'", "def unpatchify(x): return 2", "# longer than the new one, and first of all")
OTHERS = {
    f"metalearning-part{number}.ipynb": b'{"cells": [{"cell_type": "code", "source": ""}]}' for number in range(3)
}


def take(files: Mapping[str, bytes]) -> Intake:
    """Return the validated survey of some files."""
    return read_survey(survey(files, WANTED, HOMEWORK.files))


def taken(intake: Intake, name: str = "patchify") -> str:
    """Return the source of the cell that answers a name."""
    code = intake.parts["vision"]
    return code.cells[code.plans[name][-1][0]].source


def words(intake: Intake) -> str:
    """Return all notes in one text."""
    return "\n".join(note.text for note in intake.notes)


# Two files for one place.


@pytest.mark.parametrize(
    ("new", "old"),
    [
        ("MAE_student.ipynb", "MAE_student-Copy1.ipynb"),
        ("MAE_student.ipynb", "Copy of MAE_student.ipynb"),
        ("MAE_student.ipynb", "MAE_student (1).ipynb"),
        ("MAE_student.ipynb", "A/MAE_student.ipynb"),
        ("z/MAE_student.ipynb", "old/MAE_student.ipynb"),
        ("z/MAE_student.ipynb", "a_backup_of_monday/MAE_student.ipynb"),
        ("z/MAE_student.ipynb", "Previous Versions/MAE_student.ipynb"),
        ("z/MAE_student.ipynb", "MAE_student_old/MAE_student.ipynb"),
    ],
)
def test_the_copy_loses_and_is_named(new: str, old: str, notebook: Notebook) -> None:
    """The handed-out name beats a copy's, a folder that is used beats one put aside; one line names both."""
    company = {f"{new.rpartition('/')[0]}/{name}".lstrip("/"): data for name, data in OTHERS.items()}

    intake = take({old: notebook(*OLD), new: notebook(*NEW), **company})

    assert taken(intake) == NEW[0]
    assert words(intake) == f"Of several copies, `{new}` was graded. Not used was: `{old}`."


def test_every_copy_that_was_not_used_is_named(notebook: Notebook) -> None:
    """Copies with the same bytes as one another, too, but not those with the bytes of the one that was graded."""
    files = {"MAE_student.ipynb": notebook(*NEW), "old/MAE_student.ipynb": notebook(*OLD)}

    intake = take({**files, "backup/MAE_student.ipynb": notebook(*OLD), "a copy/MAE_student.ipynb": notebook(*NEW)})

    assert "Not used were: `backup/MAE_student.ipynb`, `old/MAE_student.ipynb`." in words(intake)


@pytest.mark.parametrize(("mine", "other"), [("a", "b"), ("b", "a")])
def test_company_decides_between_folders_and_not_the_alphabet(mine: str, other: str, notebook: Notebook) -> None:
    """The folder with the other notebooks, the model and autograder.pt is the one that was worked in."""
    files = {f"{other}/MAE_student.ipynb": notebook(*OLD), f"{mine}/MAE_student.ipynb": notebook(*NEW)}
    files |= {f"{mine}/autograder.pt": b"new", f"{mine}/mae_pretrained.pt": b"new"}
    files |= {f"{other}/metalearning-part0.ipynb": OTHERS["metalearning-part0.ipynb"]}

    assert taken(take(files)) == NEW[0]


def test_files_of_an_inner_zip_lose_against_outer_ones(notebook: Notebook, zipped: Zipped) -> None:
    """Last week's zip in the folder: neither its notebook, its module nor its saved files are used, and it is said."""
    old = {"MAE_student.ipynb": notebook(*OLD), "utils_reg.py": b"def learn(): return 'old'", "autograder.pt": b"old"}
    new = {"MAE_student.ipynb": notebook(*NEW), "utils_reg.py": b"def learn(): return 'new'", "autograder.pt": b"new"}

    for files in ({**new, "hw4_submission.zip": zipped(old)}, {"up.zip": zipped({**new, "a.zip": zipped(old)})}):
        intake = take(files)

        assert taken(intake) == NEW[0]
        assert "'new'" in intake.modules["utils_reg"]
        assert intake.tensors["autograder"].tobytes() == b"new"
        assert "Of several copies, `MAE_student.ipynb`, `utils_reg.py` were graded. Not used were:" in words(intake)
        assert "Of several copies, `autograder.pt` was used. Not used was: `" in words(intake)
        assert set(intake.tensors) == {"autograder"}


@pytest.mark.parametrize("other", ["old/mae_pretrained.pt", "mae_pretrained (1).pt", "A/mae_pretrained.ckpt"])
def test_one_of_several_saved_models_is_used_and_the_others_are_named(other: str) -> None:
    """An old model is no classifier; a copy with the same bytes is nothing to speak of."""
    company = dict.fromkeys(OTHERS, b"{}")

    intake = take({**company, other: b"old", "mae_pretrained.pt": b"new"})

    assert {role: data.tobytes() for role, data in intake.tensors.items()} == {"saved_model": b"new"}
    assert f"Of several copies, `mae_pretrained.pt` was used. Not used was: `{other}`." in words(intake)
    assert "several" not in words(take({**company, other: b"new", "mae_pretrained.pt": b"new"}))


def test_an_untouched_template_does_not_beat_a_solved_copy(notebook: Notebook, zipped: Zipped) -> None:
    """The zip that was made before the folder was cleaned holds the work."""
    stubs = notebook("def patchify(x): raise NotImplementedError", "def unpatchify(x):\n    pass")

    intake = take({"MAE_student.ipynb": stubs, "hw4_submission.zip": zipped({"MAE_student.ipynb": notebook(*NEW)})})

    assert taken(intake) == NEW[0]


def test_where_nothing_else_differs_the_fuller_file_is_taken(notebook: Notebook) -> None:
    """Two folders of the same company: the names of the folders play no part."""
    short, long = notebook(*NEW), notebook(*NEW, "x = 1\n" * 50)
    for first, second in (("a", "b"), ("b", "a")):
        intake = take({f"{first}/MAE_student.ipynb": short, f"{second}/MAE_student.ipynb": long})

        assert f"`{second}/MAE_student.ipynb` was graded" in words(intake)


@pytest.mark.parametrize(
    ("path", "stem"),
    [
        ("“MAE_student.ipynb”的副本", "maestudent"),
        ("Kopie von MAE_student.ipynb", "maestudent"),
        ("Cópia de MAE_student.ipynb", "maestudent"),
        ("Copy_of_MAE_student.ipynb", "maestudent"),
        ("MAE_student - Copy (2).ipynb", "maestudent"),
        ("MAE_student copy 3.ipynb", "maestudent"),
        ("MAE_student.ipynb의 사본", "maestudent"),
        ("utils_classification_copypaste.py", "utilsclassificationcopypaste"),
        ("my_copy_of_mine.py", "mycopyofmine"),
        ("hw/MAE_student.ipynb.txt", "maestudent"),
        ("MAE_student.ipynb ", "maestudent"),
        ("MAE_student (2).ipynb", "maestudent"),
        ("MAE_student 2.ipynb", "maestudent"),
        ("MAE_student-checkpoint.ipynb", "maestudent"),
        ("metalearning-part1.ipynb", "metalearningpart1"),
        ("utils.python.py", "utilspython"),
    ],
)
def test_names_without_what_copying_adds(path: str, stem: str) -> None:
    """In other languages, too, and without what belongs to the name."""
    assert bare_stem(path) == stem


def test_what_counts_as_a_copy_and_as_put_aside() -> None:
    """Marks of copies and suffixes in the middle; folders' names in words, and not in parts of words."""
    assert [is_marked_copy(name) for name in ("a (1).py", "a.py.txt", "hw copy/a.py")] == [True, True, True]
    assert [is_marked_copy(name) for name in ("a.py", "a.zip", "hw/a.py")] == [False, False, False]
    assert [is_put_aside(name) for name in ("old/a.py", "hw_old/a.py", "a-backup.py", "golden/a.py", "a.py")] == [
        True,
        True,
        True,
        False,
        False,
    ]
    assert module_path("x/utils_reg.py.txt") == "x/utils_reg.py"
    assert Places([], HOMEWORK.files.names).rank("a.py") < Places([], HOMEWORK.files.names).rank("old/a.py")


# A zip and a folder have the same rules.


@pytest.mark.parametrize(
    "names",
    [
        ["MAE_student.ipynb", "utils_reg.py"],
        ["HW 11:22/MAE_student.ipynb", "HW 11:22/utils_reg.py"],
        ["a/b/c/d/e/f/g/h/i/j/MAE_student.ipynb", "a/b/utils_reg.py"],
        ["“MAE_student.ipynb”的副本", "utils_reg.py.txt"],
        ["hw/MAE_student.ipynb ", "hw /utils_reg.py"],
        ["hw\\MAE_student.ipynb", "hw\\utils_reg.py"],
        ["MAE_student", ".ipynb_checkpoints/utils_reg-checkpoint.py"],
        ["old/MAE_student.ipynb", "backup/utils_reg.py"],
    ],
)
def test_a_zip_and_its_folder_are_read_the_same(
    names: list[str], tmp_path: Path, notebook: Notebook, zipped: Zipped
) -> None:
    """Whether the platform has unpacked it or not: the same code, from files of the same names."""
    members = dict(zip(names, (notebook(*NEW), b"def learn(): return 1"), strict=True))
    (tmp_path / "hw.zip").write_bytes(zipped(members))
    with zipfile.ZipFile(tmp_path / "hw.zip") as archive:
        archive.extractall(tmp_path / "folder")

    read = []
    for path in (tmp_path / "hw.zip", tmp_path / "folder"):
        collected = collect(path, handed_out=HOMEWORK.files)
        read.append(read_survey(answer(ask(collected.files, WANTED, HOMEWORK.files)), notes=collected.notes))

    assert taken(read[0]) == NEW[0]
    assert "learn" in read[0].parts["metalearning"].plans
    assert fingerprint(read[0]) == fingerprint(read[1])
    assert read[0].used == read[1].used
    assert read[0].notes == read[1].notes == ()


# The name says nothing, or too much.

CELLS = b'{"nbformat": 4, "cells": []}'


@pytest.mark.parametrize(
    ("path", "head", "kind"),
    [
        ("a", CELLS, Kind.NOTEBOOK),
        ("a.txt", b"\xef\xbb\xbf\n " + CELLS, Kind.NOTEBOOK),
        ("a.py", CELLS, Kind.NOTEBOOK),
        ("a.ipynb", b"{}", Kind.NOTEBOOK),
        ("a.ipynb", b"%PDF-1.7", Kind.PDF),
        ("a.ipynb", b"\n<!DOCTYPE HTML>", Kind.PAGE),
        ("a.ipynb", b"PK\x03\x04" + bytes(30), Kind.ARCHIVE),
        ("a.gdoc", b'{"url": "x"}', Kind.OTHER_JSON),
        ("a.py", b"{1: 2}", Kind.MODULE),
        ("a.py.txt", b"x = 1", Kind.MODULE),
        ("a.py.bin", b"\0\0", Kind.OTHER),
        ("a.pt", b"<html>", Kind.SAVED),
        ("a.safetensors", b"", Kind.SAVED),
        ("a", b"\x10\0\0\0\0\0\0\0{" + b" " * 20, Kind.SAVED),
        ("a.docx", b"PK\x03\x04" + bytes(22) + b"\x13\0\0\0[Content_Types].xml", Kind.OFFICE),
        ("a.zip", b"Rar!\x1a\x07\0", Kind.FOREIGN),
        ("a.zip", b"text", Kind.ARCHIVE),
        ("a.url", b"", Kind.LINK),
        ("a.html", b"", Kind.PAGE),
        ("a.txt", b"words", Kind.OTHER),
    ],
)
def test_content_comes_before_the_suffix(path: str, head: bytes, kind: Kind) -> None:
    """What begins as a notebook, an archive or a saved file is one, whatever it is called."""
    assert kind_of(path, head) is kind


@pytest.mark.parametrize(
    "name",
    ["MAE_student.ipynb.txt", "“MAE_student.ipynb”的副本", "MAE_student", "MAE_student.json", "notes of mine.txt"],
)
def test_a_notebook_under_another_name_is_graded(name: str, notebook: Notebook, zipped: Zipped) -> None:
    """Loose or in a zip."""
    for files in ({name: notebook(*NEW)}, {"hw.zip": zipped({name: notebook(*NEW)})}):
        assert taken(take(files)) == NEW[0]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-8-sig"])
def test_a_notebook_in_another_encoding_is_one(encoding: str, notebook: Notebook) -> None:
    """Cells are looked for in letters, not in bytes."""
    intake = take({"MAE_student.ipynb": notebook(*NEW).decode().encode(encoding)})

    assert taken(intake) == NEW[0]
    assert intake.notes == ()


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        (
            "MAE_student.ipynb",
            b'{"doc_id": "1"}',
            "`MAE_student.ipynb` is no notebook: JSON without cells, as Google Drive",
        ),
        (
            "MAE_student.pdf",
            b"%PDF-1.7",
            "`MAE_student.pdf` is a PDF and was not used as `MAE_student.ipynb`. Hand in the",
        ),
        ("MAE_student.html", b"<html>", "`MAE_student.html` is a web page and was not used as `MAE_student.ipynb`."),
        ("MAE_student.url", b"[InternetShortcut]", "`MAE_student.url` is a link, not the file itself"),
        ("MAE_student.gdoc", b'{"url": 1}', "`MAE_student.gdoc` is JSON without cells"),
        ("MAE_student.ipynb", b"%PDF-1.7", "`MAE_student.ipynb` is a PDF. Hand in the notebook itself"),
        (
            "hw.rar",
            b"Rar!\x1a\x07\0",
            "`hw.rar` is an archive that the grader cannot unpack. Pack your files as a .zip",
        ),
        ("hw.7z", b"7z\xbc\xaf\x27\x1c", "`hw.7z` is an archive that the grader cannot unpack."),
        ("mae_pretrained.npz", b"PK", "`mae_pretrained.npz` is a file of another kind and was not used as"),
    ],
)
def test_what_was_found_instead_is_named_with_what_to_do(name: str, data: bytes, said: str, tmp_path: Path) -> None:
    """In a folder, through everything that a file passes; nothing is called absent that lies there."""
    for path, content in {**OTHERS, name: data}.items():
        (tmp_path / path).write_bytes(content)
    collected = collect(tmp_path, handed_out=HOMEWORK.files)

    intake = read_survey(answer(ask(collected.files, WANTED, HOMEWORK.files)), notes=collected.notes)

    assert said in words(intake)
    assert len(intake.notes) == 1


def test_the_written_answers_beside_the_notebook_are_nothing_to_speak_of(notebook: Notebook) -> None:
    """A PDF is named only where it stands in place of something."""
    files = {"MAE_student.ipynb": notebook(*NEW), "MAE_student.pdf": b"%PDF-1.7", "hw9_written.pdf": b"%PDF-1.7"}

    assert take(files).notes == ()


@pytest.mark.parametrize("name", ["hw.docx", "answers.pdf", "link.url"])
def test_where_there_is_no_code_everything_is_named(name: str) -> None:
    """An upload of one wrong file says which it is."""
    data = {"hw.docx": b"PK\x03\x04" + bytes(22) + b"\x13\0\0\0[Content_Types].xml", "answers.pdf": b"%PDF-1.7"}

    assert f"`{name}` is " in words(take({name: data.get(name, b"https://colab.research.google.com/drive/1")}))


def test_what_was_left_out_is_not_called_absent(notebook: Notebook) -> None:
    """Three ways to miss a file: it is not there, it is named in a note, or it may lie in what could not be read."""
    plain = take({"MAE_student.ipynb": notebook(*NEW)})
    named = take({"mae_pretrained.npz": b"PK", "MAE_student.ipynb": notebook(*NEW)})
    hidden = take({"hw.zip": b"PK\x03\x04 cut off"})

    assert plain.why_not_found("mae_pretrained.pt") == "There is no `mae_pretrained.pt` in the submission."
    assert "was not read: `mae_pretrained.npz` is a file of another kind" in named.why_not_found("mae_pretrained.pt")
    assert "in what could be read of the submission" in hidden.why_not_found("mae_pretrained.pt")


# Budgets.


def test_a_library_beside_the_notebook_costs_only_itself(notebook: Notebook) -> None:
    """The notebook and a small module of one's own are read first; the rest is named."""
    library = "\n".join(f"def helper_{number}(x): return x" for number in range(20_000)).encode()
    files = {f"a_part{number}.py": library + b"# %d" % number for number in range(20)}

    intake = take({**files, "MAE_student.ipynb": notebook(*NEW), "zz_mine.py": b"def learn(): return 1"})

    assert taken(intake) == NEW[0]
    assert "learn" in intake.parts["metalearning"].plans
    assert "there is more code than the grader reads: `a_part" in words(intake)


def test_cells_of_digits_cost_only_themselves(notebook: Notebook) -> None:
    """Eight cells of hexadecimal digits above the work, in the same notebook."""
    digits = ["x = 0x" + "a7" * 450_000 for _ in range(8)]

    intake = take({"MAE_student.ipynb": notebook(*digits, *NEW)})

    assert taken(intake) == NEW[0]
    assert "code cell 6, 7, 8 was left out" in words(intake)


def test_time_is_a_budget_too(notebook: Notebook, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is spent, what was read by then is graded and the rest is named."""
    monkeypatch.setattr(documents_module, "MOST_S", -1.0)

    intake = take({"MAE_student.ipynb": notebook(*NEW)})

    assert "patchify" in intake.parts["vision"].missing
    assert "Not read, because there is more code than the grader reads: `MAE_student.ipynb`" in words(intake)


def test_a_notebook_that_memory_does_not_hold_costs_only_itself(
    notebook: Notebook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A file of brackets may need more than there is; the others are read."""
    read = documents_module.read_cells

    def reading(name: str, data: bytes) -> Any:
        if name == "brackets.ipynb":
            raise MemoryError
        return read(name, data)

    monkeypatch.setattr(documents_module, "read_cells", reading)

    intake = take({"MAE_student.ipynb": notebook(*NEW), "brackets.ipynb": b'{"cells": [[[]]]}'})

    assert taken(intake) == NEW[0]
    assert "`brackets.ipynb` is too large to be read" in words(intake)


# What reading a perfect submission costs.


@pytest.mark.parametrize("is_zip", [True, False])
def test_reading_a_perfect_submission_opens_each_file_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_zip: bool
) -> None:
    """Counted: files opened, members and bytes unpacked, cells parsed. Nothing is looked into that is not read."""
    whole = (HOMEWORK.templates / "MAE_student.ipynb").read_bytes()
    files = {"MAE_student.ipynb": whole, **OTHERS, "utils_reg.py": b"x = 1", "autograder.pt": b"PK"}
    folder = tmp_path / "hw"
    folder.mkdir()
    if is_zip:
        with zipfile.ZipFile(folder / "hw.zip", "w", zipfile.ZIP_DEFLATED) as archive:
            for name, data in files.items():
                archive.writestr(name, data)
    else:
        for name, data in files.items():
            (folder / name).write_bytes(data)
    counts: Counter[str] = Counter()

    def counted(module: Any, name: str, label: str, size: Callable[..., int] = lambda *_: 1) -> None:
        original = getattr(module, name)

        def call(*given: Any, **named: Any) -> Any:
            result = original(*given, **named)
            counts[label] += size(result)
            return result

        monkeypatch.setattr(module, name, call)

    counted(os, "open", "files opened")
    counted(zipfile.ZipFile, "open", "members opened")
    counted(zipfile.ZipExtFile, "read", "bytes unpacked", len)
    counted(documents_module, "read_block", "cells parsed")

    collected = collect(folder, handed_out=HOMEWORK.files)
    notes: list[Any] = []
    contents, unread = contents_of(
        {name: data.data for name, data in collected.files.items()}, HOMEWORK.files, notes, DEFAULT_CAPS
    )
    read = documents_module.read_documents([h for h in contents.values() if h.kind is not Kind.SAVED], notes)

    cells = sum(cell["cell_type"] == "code" for cell in json.loads(whole)["cells"])
    assert len(read) == 3  # three notebooks without code are one
    assert not notes
    assert not unread
    assert counts["files opened"] == (1 if is_zip else len(files))
    assert counts["members opened"] == (len(files) if is_zip else 0)
    assert counts["bytes unpacked"] == (sum(map(len, files.values())) if is_zip else 0)
    assert counts["cells parsed"] <= cells + 2
