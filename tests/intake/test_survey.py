"""The survey as a whole: what was handed in, however it was packed, becomes plans."""

from __future__ import annotations

import io
import json
import socket
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

from grader.intake.report import SURVEY_CAPS, Intake, fingerprint, read_survey
from grader.intake.survey import answer, ask, survey
from grader.trust.cases import FIGURE_PNG
from grader.wire import receive, send
from homework.homework import HOMEWORK

Zipped = Callable[[Mapping[str, bytes]], bytes]
Notebook = Callable[..., bytes]

WANTED = {"vision": ["patchify", "unpatchify", "MaskedAutoEncoder", "MaskedAutoEncoder.forward_encoder"]}
CELLS = (
    "import math\nSIZE = 4",
    "def patchify(x): return helper(x) + SIZE\ndef helper(x): return x",
    "def unpatchify(x): return x - SIZE",
    "class MaskedAutoEncoder:\n    def forward_encoder(self, x): return patchify(x)",
    "for epoch in range(10):\n    train()",
)


def take(files: Mapping[str, bytes], wanted: Mapping[str, Any] = WANTED) -> Intake:
    """Return the validated survey of some files."""
    return read_survey(survey(files, wanted, HOMEWORK.files))


def kinds(intake: Intake) -> set[str]:
    """Return the kinds of notes of a survey."""
    return {note.kind for note in intake.notes}


def test_a_plain_notebook_has_a_plan_for_every_name(notebook: Notebook) -> None:
    """
    Each wanted name gets a plan, in cells labelled by file and number, with nothing missing and no note.
    """
    intake = take({"MAE_student.ipynb": notebook(*CELLS)})
    code = intake.parts["vision"]

    assert set(code.plans) == set(WANTED["vision"])
    assert not code.missing
    assert intake.notes == ()
    assert intake.used == (("vision", "MAE_student.ipynb"),)
    assert code.cells[code.plans["unpatchify"][-1][0]].label == "MAE_student.ipynb, code cell 3"
    assert len(code.plans["unpatchify"]) == 2


def test_packing_does_not_matter(notebook: Notebook, zipped: Zipped) -> None:
    """Loose, zipped, nested, zipped twice, renamed: the plans and the fingerprint are the same."""
    content = {"MAE_student.ipynb": notebook(*CELLS), "tools.py": b"def tool(): return 1\n"}
    renamed = {"CS182_SP22_HW4 (1).ipynb": content["MAE_student.ipynb"], "tools.py": content["tools.py"]}
    nested = {f"hw/deep/{name}": data for name, data in content.items()}
    junk = {
        "__MACOSX/._MAE_student.ipynb": b"\0\1",
        "hw/.ipynb_checkpoints/MAE_student-checkpoint.ipynb": b"{}",
    }
    packings: list[Mapping[str, bytes]] = [
        content,
        renamed,
        nested,
        {"hw4_submission.zip": zipped(content)},
        {"hw4_submission.zip": zipped({**nested, **junk})},
        {"upload.zip": zipped({"hw/hw4_submission.zip": zipped(content)})},
        {**content, "hw4_submission.zip": zipped(content)},
    ]

    intakes = [take(files) for files in packings]

    assert len({fingerprint(intake) for intake in intakes}) == 1
    assert len({str(dict(intake.parts["vision"].plans)) for intake in intakes}) == 1
    assert all("tools" in intake.modules for intake in intakes)


def test_fingerprint_follows_the_code(notebook: Notebook) -> None:
    """Another body gives another fingerprint; another training loop does not."""
    first = take({"a.ipynb": notebook(*CELLS)})
    other_loop = take({"a.ipynb": notebook(*CELLS[:-1], "while True: pass")})
    other_body = take({"a.ipynb": notebook(*CELLS, "def unpatchify(x): return x")})

    assert fingerprint(first) == fingerprint(other_loop)
    assert fingerprint(first) != fingerprint(other_body)


def test_the_fuller_notebook_is_used(notebook: Notebook) -> None:
    """
    Of two notebooks the one with code wins over the one with stubs, whatever their names, and a note says so.
    """
    stubs = "def patchify(x): raise NotImplementedError\ndef unpatchify(x):\n    pass"
    intake = take({"MAE_student.ipynb": notebook(stubs), "final.ipynb": notebook(*CELLS)})

    assert intake.used == (("vision", "final.ipynb"),)


def test_of_equal_notebooks_the_template_name_wins(notebook: Notebook) -> None:
    """
    Two notebooks that answer equally: the name nearest to the one handed out decides, and a note says so.
    """
    other = (*CELLS[:1], *CELLS[1:])
    intake = take({"draft.ipynb": notebook(*other, "x = 1"), "MAE_student (1).ipynb": notebook(*CELLS)})

    assert intake.used == (("vision", "MAE_student (1).ipynb"),)
    assert "`draft.ipynb` could have answered it too" in intake.notes[0].text


def test_names_the_best_file_lacks_come_from_the_next(notebook: Notebook) -> None:
    """A name in a second notebook and a helper in a third are found, and all are told."""
    intake = take(
        {
            "one.ipynb": notebook(CELLS[0], CELLS[2], CELLS[3], "def patchify(x): return outside(x)"),
            "two.ipynb": notebook("def outside(x): return x"),
            "three.py": b"def more(): return 1",
        },
        {"vision": [*WANTED["vision"], "more"]},
    )
    code = intake.parts["vision"]

    assert not code.missing
    labels = [code.cells[cell].label for cell, _ in code.plans["patchify"]]
    assert labels == ["two.ipynb, code cell 1", "one.ipynb, code cell 4"]
    assert code.cells[code.plans["more"][0][0]].label == "three.py"


def test_names_imported_from_a_module_are_taken_from_the_module(notebook: Notebook) -> None:
    """`from mine import *` and `from mine import f` lead to the definitions in mine.py."""
    intake = take(
        {"MAE_student.ipynb": notebook("from mine import *"), "mine.py": b"def patchify(x): return x"},
        {"vision": ["patchify"]},
    )
    code = intake.parts["vision"]

    assert [code.cells[cell].label for cell, _ in code.plans["patchify"]] == ["mine.py"]
    assert intake.modules["mine"] == "def patchify(x): return x"


def test_a_file_written_by_a_cell_is_a_module(notebook: Notebook) -> None:
    """`%%writefile` makes an importable module, and `-a` extends it."""
    intake = take(
        {"n.ipynb": notebook("%%writefile /content/lib.py\na = 1", "%%writefile -a lib.py\nb = 2", "%%bash\nls")}
    )

    assert intake.modules == {"lib": "a = 1\nb = 2\n"}
    assert "skipped-cell" in kinds(intake)


def test_packages_have_their_parents() -> None:
    """A module in a folder can be imported through the folder, and by its own name."""
    intake = take({"hw/nb.ipynb": b"", "hw/tools/deep/a.py": b"x = 1", "hw/tools/__init__.py": b"y = 1"})

    assert set(intake.modules) == {"tools", "tools.deep", "tools.deep.a", "a"}
    assert intake.modules["tools"] == "y = 1"
    assert intake.modules["tools.deep"] == ""


@pytest.mark.parametrize("name", ["random", "json", "numpy", "grader"])
def test_shadowing_modules_never_win(name: str) -> None:
    """A file named like an installed module is not importable, and the student is told."""
    intake = take({f"{name}.py": b"x = 1", "fine_helper.py": b"x = 1"})

    assert set(intake.modules) == {"fine_helper"}
    assert kinds(intake) == {"shadowed"}
    assert f"`{name}.py`" in intake.notes[0].text


def test_missing_names_have_hints(notebook: Notebook) -> None:
    """A name that is nowhere is reported with what it may be called."""
    source = "def patch_ify(x): return x\ndef Unpatchify(x): return x\nclass MAE:\n    pass"
    code = take({"n.ipynb": notebook(source)}).parts["vision"]

    assert code.missing["patchify"] == "patch_ify"
    assert code.missing["unpatchify"] == "Unpatchify"
    assert code.missing["MaskedAutoEncoder"] == "MAE"


def test_a_missing_method_has_a_hint(notebook: Notebook) -> None:
    """A class without the method keeps its plan; the method is missing, with the nearest attribute."""
    source = "class MaskedAutoEncoder:\n    def forwardEncoder(self): return 1"
    code = take({"n.ipynb": notebook(source)}).parts["vision"]

    assert "MaskedAutoEncoder" in code.plans
    assert code.missing["MaskedAutoEncoder.forward_encoder"] == "forwardEncoder"


def test_a_broken_cell_costs_its_own_names(notebook: Notebook) -> None:
    """
    The class that does not compile is broken with cell and line; the functions in other cells have plans.
    """
    broken = "class MaskedAutoEncoder:\n    def forward_encoder(self, x):\n    return x"
    intake = take({"n.ipynb": notebook(*CELLS[:3], broken)})
    code = intake.parts["vision"]

    assert set(code.plans) == {"patchify", "unpatchify"}
    assert code.broken["MaskedAutoEncoder"].startswith("n.ipynb, code cell 4, line 3: expected an indented block")
    assert kinds(intake) == {"broken-cell"}


def test_a_name_from_a_cell_that_is_not_run_is_explained(notebook: Notebook) -> None:
    """A helper that only a training loop makes is listed with its cell."""
    cells = ("for device in ['cpu']:\n    model.fit()", "def patchify(x): return device")
    code = take({"n.ipynb": notebook(*cells)}, {"vision": ["patchify"]}).parts["vision"]

    assert code.not_run == {"device": "n.ipynb, code cell 1"}
    assert "patchify" in code.plans


@pytest.mark.parametrize(
    ("autograder", "model"),
    [
        ("autograder.pt", "mae_pretrained.pt"),
        ("autograder (1).pt", "deep/Copy of mae_pretrained.pth"),
        ("hw/autograder-2.pt", "mae.pt"),
        ("Autograder.pt", "pretrained_model.pt"),
    ],
)
def test_saved_files_are_found_by_name(autograder: str, model: str) -> None:
    """Saved files are told apart by name, renamed and nested ones too; four more are taken along as they are."""
    intake = take({autograder: b"A", model: b"M", "weights.pt": b"?"})

    assert {role: data.tobytes() for role, data in intake.tensors.items()} == {
        "autograder": b"A",
        "saved_model": b"M",
        "classifier-1": b"?",
    }
    assert ("classifier-1", "weights.pt") in intake.used


def test_saved_files_over_the_number_that_is_looked_at_are_named_in_a_note() -> None:
    """Real hand-ins hold a checkpoint for each epoch."""
    intake = take({f"epoch{number}.pt": b"?" for number in range(6)})

    assert set(intake.tensors) == {f"classifier-{number}" for number in range(1, 5)}
    assert "`epoch4.pt`, `epoch5.pt`" in intake.notes[0].text


def test_the_template_name_beats_a_fuller_copy() -> None:
    """An old copy does not win by having one function more."""
    names = ["meta_update_classification", "test_classification", "extra", "fourth", "fifth"]
    full = "\n".join(f"def {name}(): return 'copy'" for name in names).encode()
    part = "\n".join(f"def {name}(): return 'own'" for name in names[:4]).encode()
    intake = take({"utils_classification_old.py": full, "utils_classification.py": part}, {"metalearning": names})
    code = intake.parts["metalearning"]

    assert code.cells[code.plans["test_classification"][0][0]].label == "utils_classification.py"
    assert code.cells[code.plans["fifth"][0][0]].label == "utils_classification_old.py"


def test_nothing_at_all_is_told() -> None:
    """An empty submission is a survey with everything missing and one note."""
    intake = take({})

    assert kinds(intake) == {"empty"}
    assert set(intake.parts["vision"].missing) == set(WANTED["vision"])


def test_a_damaged_zip_does_not_cost_loose_files(notebook: Notebook) -> None:
    """What lies beside a zip that cannot be read is graded."""
    intake = take({"hw.zip": b"PK\x03\x04 and no more", "MAE_student.ipynb": notebook(*CELLS)})

    assert not intake.parts["vision"].missing
    assert kinds(intake) == {"archive"}


def test_question_and_answer_cross_the_wire(notebook: Notebook) -> None:
    """What `ask` packs, `answer` surveys, with paths of any kind."""
    data = np.frombuffer(notebook(*CELLS), np.uint8)

    intake = read_survey(answer(ask({"päth/ű.ipynb": data}, WANTED, HOMEWORK.files)))

    assert intake.used == (("vision", "ű.ipynb"),)


def test_the_same_files_give_the_same_survey(notebook: Notebook) -> None:
    """The order in which files are found does not matter."""
    files = {"b.ipynb": notebook(*CELLS), "a.ipynb": notebook(*CELLS[:3]), "c.py": b"x = 1"}
    backwards = dict(reversed(list(files.items())))

    assert survey(files, WANTED, HOMEWORK.files).meta == survey(backwards, WANTED, HOMEWORK.files).meta


def test_a_hostile_name_is_escaped(notebook: Notebook) -> None:
    """Control characters, overrides, markup and length of a file's name do not reach a label or a note."""
    name = "a`<b>\u202e\n" + "x" * 300 + ".ipynb"
    intake = take({name: notebook(*CELLS, "broken(")})
    shown = [cell.label for cell in intake.parts["vision"].cells] + [note.text for note in intake.notes]

    assert all(character not in text for text in shown for character in "<>\u202e\n")
    assert all(len(label) <= 80 for label in shown[: len(intake.parts["vision"].cells)])


def test_surveying_runs_no_student_code(capsys: pytest.CaptureFixture[str]) -> None:
    """Code at the top of a module, a notebook or a decorator is read and never run."""
    before = set(sys.modules)
    source = b"import sys\nprint('ran')\nsys.modules['forged'] = sys\n@print\ndef patchify(x): return x"

    take({"evil.py": source, "evil.ipynb": source}, {"vision": ["patchify"]})

    assert capsys.readouterr().out == ""
    assert "forged" not in set(sys.modules) - before


def test_zip_in_memory_is_not_needed_to_be_named_zip_inside(zipped: Zipped) -> None:
    """A saved model is itself a zip and is not unpacked."""
    content = zipped({"archive/data.pkl": b"x"})
    buffer = io.BytesIO(content)

    intake = take({"mae_pretrained.pt": buffer.getvalue()})

    assert intake.tensors["saved_model"].tobytes() == content


def test_long_identifiers_do_not_cost_the_survey(notebook: Notebook) -> None:
    """Names beyond any cap, in loops, errors and definitions, leave the rest of the submission alone."""
    long = "x" * 100_000
    cells = (
        f"for {long} in (): pass",
        f"def unpatchify(x): return {long}",
        f"def {long}(: pass",
        f"def bad():\n    print({long})\n    global {long}",
        f"def patchify{long}(x): return 1",
    )
    code = take({"n.ipynb": notebook(*cells), f"{long}.py": b"x = 1"}).parts["vision"]

    assert set(code.plans) == {"unpatchify"}


def test_too_much_code_costs_what_needs_it(notebook: Notebook) -> None:
    """A name whose cells exceed the message counts as missing, and the others are graded."""
    filler = "#" * 999_000
    bulk = [f"{filler}\nh{i} = {i}" for i in range(5)]
    uses = "def patchify(x): return h0 + h1 + h2 + h3 + h4"

    code = take({"n.ipynb": notebook(*bulk, uses, "def unpatchify(x): return h0")}).parts["vision"]

    assert set(code.plans) == {"unpatchify"}


def test_an_answer_fits_the_wire(notebook: Notebook) -> None:
    """The survey of a submission passes over a socket under its caps."""
    message = survey({"MAE_student.ipynb": notebook(*CELLS), "autograder.pt": b"tensor"}, WANTED, HOMEWORK.files)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        send(ours, message)
        received = receive(theirs, SURVEY_CAPS)

    assert fingerprint(read_survey(received)) == fingerprint(read_survey(message))
    assert read_survey(received).tensors["autograder"].tobytes() == b"tensor"


BOTH_CLASSIFICATIONS = {"metalearning": ["learn", "test"], "metalearning-copypaste": ["learn"]}
STUB = b"def learn(): raise NotImplementedError\ndef test(): raise NotImplementedError"
WRITTEN = b"def learn(): return 1\ndef test(): return 2"


def learner_of(intake: Intake, part: str) -> str | None:
    """Return the label of the cell that a part takes `learn` from."""
    code = intake.parts[part]
    return code.cells[code.plans["learn"][-1][0]].label if "learn" in code.plans else None


@pytest.mark.parametrize(("logistic", "copied"), [(STUB, WRITTEN), (WRITTEN, STUB), (WRITTEN, WRITTEN)])
def test_each_classification_module_answers_for_its_own_part(logistic: bytes, copied: bytes) -> None:
    """The same names stand in both; a module that is not written yet is not replaced by the other one."""
    files = {"utils_classification.py": logistic, "utils_classification_copypaste.py": copied}

    intake = take(files, BOTH_CLASSIFICATIONS)

    assert learner_of(intake, "metalearning") == "utils_classification.py"
    assert learner_of(intake, "metalearning-copypaste") == "utils_classification_copypaste.py"


def test_a_missing_classification_module_is_missing() -> None:
    """The other part's module does not answer for one that was not handed in; copies keep their names' meaning."""
    intake = take({"hw/utils_classification_copypaste (1).py": WRITTEN}, BOTH_CLASSIFICATIONS)

    assert learner_of(intake, "metalearning") is None
    assert learner_of(intake, "metalearning-copypaste") == "utils_classification_copypaste (1).py"


def test_files_with_their_handed_out_names_need_no_remark() -> None:
    """Where a part is made of several files by design, nothing is said about which were chosen."""
    files = {"utils_classification.py": b"def learn(): return 1", "utils_reg.py": b"def test(): return 2"}

    assert kinds(take(files, {"metalearning": ["learn", "test"]})) == set()


def shown(*sources: str, **cell: Any) -> bytes:
    """Return a notebook whose cells all show the same."""
    cells = [{"cell_type": "code", "source": source, **cell} for source in sources]
    return json.dumps({"cells": cells, "nbformat": 4}).encode()


def test_runs_tell_what_a_notebook_is_about_and_what_it_shows() -> None:
    """Definitions and mentions of wanted names are told apart; modules and empty cells are left out."""
    figure = {"execution_count": 1, "outputs": [{"output_type": "display_data", "data": {"image/png": FIGURE_PNG}}]}
    files = {
        "a.ipynb": shown(
            "def patchify(x): return 1", "import tools\ntools.unpatchify(2)", "other = open(3)", "", **figure
        ),
        "b.ipynb": shown("%%bash\necho", "from ipywidgets import interact\ninteract(patchify)"),
        "tools.py": b"def unpatchify(x): return patchify(x)",
    }

    first, second = take(files).runs

    assert (first.file, first.code_cells, first.run_cells, first.figures, first.errors) == ("a.ipynb", 3, 3, 3, 0)
    assert (first.defines, first.mentions) == ({"patchify"}, {"unpatchify"})
    assert (second.code_cells, second.run_cells, second.mentions) == (2, 0, {"patchify"})


def test_cells_are_numbered_in_the_order_of_their_notebook(notebook: Notebook) -> None:
    """
    A late cell that redefines what is wanted first comes last all the same: plans run together are sorted by cell.
    """
    last = (
        "def patchify(x): return 2 * x\n"
        "class MaskedAutoEncoder(MaskedAutoEncoder):\n    def forward_encoder(self, x): return 3 * x"
    )
    code = take({"MAE_student.ipynb": notebook(*CELLS, last)}).parts["vision"]

    assert [cell.label.rpartition(" ")[2] for cell in code.cells] == ["1", "3", "4", "6"]
    assert code.plans["patchify"] == ((3, 0),)
    assert code.plans["MaskedAutoEncoder"] == ((2, 0), (3, 0), (3, 1))
