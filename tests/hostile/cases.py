"""
The rows of hostile and malformed submissions: what each tries, and what must come of it.

tests/submissions/hostile/<row>_<name>.yaml is an attack by code, tests/submissions/malformed/<row>_<name>.yaml one by
files. A row is named by its id in the list of threats. Its fields:

    about: one sentence on what is tried
    attack: |                  # code that runs when the attacked function is called; `attempt(name, action)` notes
        ...                    # what succeeds, and where anything did, the function raises instead of answering
    at_import: true            # the code runs where the function's cell is run, not where it is called
    then: right                # right, wrong or nothing: what the attacked function, unpatchify, returns afterwards
    bodies, cells_before, cells_after, files: as in tests/test_submissions.py, in place of `attack`
    made_by: zip_slip          # a function of tests/hostile/made.py that writes the files; rows G, which are honest
                               # and packed in ways of their own, have theirs in tests/hostile/honest.py
    variants: [empty, html]    # it is called once for each
    same_as: [failed/patched_libraries]   # cases of homework/submissions that are this row
    expect: {unpatchify: PASSED}          # function or check -> verdict; all that is not named must be PASSED.
                               # LOST stands for any verdict that says that the student did not answer right.
    alone: {...}               # the same where the attack is all that was handed in; by default as `expect`, and
                               # whatever is not named there is MISSING
    also_asked: [ClassificationViT.forward.generality]    # further checks
    says: text that the report must hold; not_shown: [texts that it must not hold]
    time_limit_s: 2; hidden: true (the attacked questions are hidden); env: {variables of the grader}
    quick: true                # is run in the ordinary suite, too

In code and files, @OUT@ is the folder of the results, @ROOT@ the grader's, @WORK@ one that everybody may read and
write, with another student's submission in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import yaml

from homework.homework import HOMEWORK

SUBMISSIONS = Path(__file__).parents[1] / "submissions"
FOLDERS = ("hostile", "malformed")
LOST = "LOST"
# The verdicts that say that an answer was asked for and was not right.
LOST_VERDICTS = frozenset({"FAILED", "ERROR", "TIMEOUT", "MEMORY", "CRASHED", "MISSING"})

ASKED = (
    "patchify.output",
    "unpatchify.output",
    "unpatchify.generality",
    "random_masking.output",
    "restore_masked.output",
    "restore_masked.generality",
    "MaskedAutoEncoder.forward_decoder.generality",
    "aliased_coefficients.output",
    "test_zero_classification.output",
)

RIGHT = """
n = int(patches.shape[1] ** 0.5)
c = patches.shape[2] // patch_size**2
x = patches.reshape(-1, n, n, c, patch_size, patch_size)
return x.permute(0, 3, 1, 4, 2, 5).reshape(-1, c, n * patch_size, n * patch_size)
"""
WRONG = """
n = int(patches.shape[1] ** 0.5)
return torch.zeros(patches.shape[0], patches.shape[2] // patch_size**2, n * patch_size, n * patch_size)
"""
_RETURNS = {"right": RIGHT, "wrong": WRONG, "nothing": ""}
_ATTEMPT = """
won = []
def attempt(name, action):
    try:
        action()
    except Exception:
        return
    won.append(name)
"""
_NOTHING_WON = "\nassert not won, f'WON: {won}'\n"


@dataclass(frozen=True)
class Row:
    """One file; the fields are those above."""

    name: str
    folder: str
    about: str
    attack: str = ""
    at_import: bool = False
    then: str = "nothing"
    bodies: Mapping[str, str] = field(default_factory=dict)
    cells_before: Sequence[str] = ()
    cells_after: Sequence[str] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    made_by: str = ""
    variants: Sequence[str] = ("",)
    same_as: Sequence[str] = ()
    expect: Mapping[str, str] = field(default_factory=dict)
    alone: Mapping[str, str] | None = None
    also_asked: Sequence[str] = ()
    says: str = ""
    not_shown: Sequence[str] = ()
    time_limit_s: float | None = None
    hidden: bool = False
    env: Mapping[str, str] = field(default_factory=dict)
    quick: bool = False

    @property
    def id(self) -> str:
        """The row's id in the list of threats."""
        return self.name.partition("_")[0]

    def notebook_edits(self) -> tuple[dict[str, str], list[str], list[str]]:
        """Return new bodies of functions, cells for the top and cells for the end of the vision notebook."""
        bodies, before = dict(self.bodies), list(self.cells_before)
        if self.attack:
            code = (_ATTEMPT if "attempt(" in self.attack else "") + self.attack
            code += _NOTHING_WON if "attempt(" in self.attack else ""
            if self.at_import:
                indented = "".join(f"    {line}\n" for line in code.splitlines())
                before.append(f"import torch\ndef made_at_import():\n{indented}    return 1\nMADE = made_at_import()")
                code = "MADE\n"
            bodies["unpatchify"] = code + _RETURNS[self.then]
        return bodies, before, list(self.cells_after)


def read_row(path: Path) -> Row:
    """Read a row; an unknown field is an error."""
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert content.keys() <= {each.name for each in fields(Row)} - {"name", "folder"}, path
    return Row(path.stem, path.parent.name, **content)


def all_rows() -> list[Row]:
    """Return every row, by folder and id."""
    paths = [path for folder in FOLDERS for path in (SUBMISSIONS / folder).glob("*.yaml")]
    return [read_row(path) for path in sorted(paths, key=lambda path: path.name)]


def place_of_case(name: str) -> Path:
    """Return the file of a case that a row points at."""
    return HOMEWORK.folder / "submissions" / f"{name}.yaml"
