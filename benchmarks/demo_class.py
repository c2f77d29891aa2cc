"""
A class of students who do not exist, as Gradescope would export it: for tests, demonstrations and measurements.

`python -m benchmarks.demo_class --students 200 --out DIR` writes `DIR/export` (a folder) and `DIR/export.zip`. The
same seed gives the same class. Solutions and mistakes are those of `homework/submissions`.
"""

from __future__ import annotations

import argparse
import ast
import io
import random
import re
import textwrap
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from grader.release.notebooks import NotebookNode, edit_notebook, notebook_bytes
from homework.contract import CONTRACT, VISION
from homework.homework import HOMEWORK
from homework.release.sources import solved_notebook

CASES = HOMEWORK.folder / "submissions"
NOTEBOOK = "MAE_student.ipynb"
# Functions that nothing hidden in the constructor needs, so that bodies of different students fit together.
_FUNCTIONS = tuple(each.name for each in CONTRACT if each.part == VISION and each.written)
_WRONG = ("failed", "error", "missing")
_FIRST = ("Ada", "Bao", "Chidi", "Dana", "Elif", "Femi", "Goro", "Hana", "Ines", "Jamal", "Kaya", "Lior", "Mei", "Noor")
_LAST = ("Abara", "Berg", "Castro", "Dube", "Ekman", "Farouk", "Gupta", "Haddad", "Ito", "Jansen", "Kim", "Lopez")

# Tries to read what belongs to others, and says so by failing; {where} is any path above the class.
THIEF = """
import os
seen = []
for top in ({where!r}, "/tmp", "/work", "/root", "/home", "/autograder", "/dev/shm"):
    for folder, _, names in os.walk(top):
        if folder.startswith(os.environ.get("HOME", "?")):
            continue
        if seen:
            break
        for name in names:
            try:
                with open(os.path.join(folder, name), "rb") as file:
                    seen.append(file.name)
            except OSError:
                pass
assert not seen, seen
return index_sequence(torch.cat([kept_x, masked_x], dim=1), ids_restore)
"""
# Rows and columns inside a patch are exchanged.
_TRANSPOSED = """
side = round(patches.shape[1] ** 0.5)
x = patches.reshape(len(patches), side, side, -1, patch_size, patch_size).permute(0, 3, 1, 5, 2, 4)
return x.reshape(len(patches), -1, side * patch_size, side * patch_size)
"""
_HOSTILE: Mapping[str, Mapping[str, str]] = {
    "exits": {"unpatchify": "import os\nos._exit(0)"},
    "kills": {"unpatchify": "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)\nos.kill(-1, signal.SIGKILL)"},
    "crashes": {"unpatchify": "import ctypes\nctypes.string_at(0)"},
}


@dataclass(frozen=True)
class Made:
    """
    One submission of the class.

    Args:
        files: name -> bytes, as the platform unpacks them.
        kind: what it is about: ordinary, copy, near-copy, broken or hostile.
        of: index of the submission that was copied.
    """

    files: Mapping[str, bytes]
    kind: str = "ordinary"
    of: int | None = None


@dataclass
class Bodies:
    """Function bodies by function: right ones in other words, and wrong ones."""

    right: dict[str, list[str]] = field(default_factory=dict)
    wrong: dict[str, list[str]] = field(default_factory=dict)


def read_bodies() -> Bodies:
    """Return the bodies of the cases that consist of one body alone."""
    bodies = Bodies()
    for folder in ("passed", *_WRONG):
        for path in sorted((CASES / folder).glob("*.yaml")):
            case: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
            own = case.get("bodies", {})
            # What hangs, needs more, or is right at some sizes only.
            is_special = case.keys() & {"time_limit_s", "cells_before", "cells_after", "files", "edits", "right"}
            if len(own) != 1 or is_special or not own.keys() <= set(_FUNCTIONS):
                continue
            ((function, body),) = own.items()
            (bodies.right if folder == "passed" else bodies.wrong).setdefault(function, []).append(body)
    return bodies


def make_class(students: int, *, seed: int = 182, where: str = "/tmp") -> list[Made]:
    """
    Return the submissions of a class, ordinary ones first.

    Of every twelve, one is an exact copy, one a near copy, one broken and one hostile, if there are twelve.

    Args:
        students: how many submissions.
        seed: chooses everything.
        where: a folder that a hostile submission looks into.
    """
    random_numbers = random.Random(seed)
    solved, bodies = solved_notebook("MAE_student"), read_bodies()
    share = students // 12
    ordinary = [_ordinary(random_numbers, solved, bodies) for _ in range(students - 4 * share)]
    made = [_made(solved, chosen) for chosen in ordinary]
    for kind in ("copy", "near-copy", "broken", "hostile"):
        for number in range(share):
            of = random_numbers.randrange(len(ordinary))
            if kind == "copy":
                made.append(Made(made[of].files, kind, of))
            elif kind == "near-copy":
                made.append(_near_copy(solved, ordinary[of], of))
            elif kind == "broken":
                made.append(Made(_broken(made[of].files[NOTEBOOK], number), kind))
            else:
                made.append(_hostile(solved, number, where))
    return made


def _ordinary(random_numbers: random.Random, solved: NotebookNode, bodies: Bodies) -> dict[str, str]:
    """Return the bodies that one student wrote: the better the student, the fewer are wrong."""
    skill = random_numbers.betavariate(4, 1.2)
    chosen = {}
    for function in _FUNCTIONS:
        pool = bodies.wrong if random_numbers.random() > skill else bodies.right
        if function in pool and (pool is bodies.wrong or random_numbers.random() < 0.7):
            chosen[function] = random_numbers.choice(pool[function])
    return chosen


def _made(solved: NotebookNode, chosen: Mapping[str, str], kind: str = "ordinary") -> Made:
    return Made({NOTEBOOK: notebook_bytes(with_bodies(solved, chosen))}, kind)


def _near_copy(solved: NotebookNode, chosen: Mapping[str, str], of: int) -> Made:
    """Return a copy in which every function has other names and comments."""
    renamed = {function: _in_other_words(body) for function, body in chosen.items()}
    return Made({NOTEBOOK: notebook_bytes(with_bodies(solved, renamed))}, "near-copy", of)


def _in_other_words(body: str) -> str:
    assigned = dict.fromkeys(re.findall(r"^\s*(\w+) = ", body, re.MULTILINE))
    for name in assigned:
        if name not in ("x", "mask", "ids_restore", "tokens"):  # may be arguments
            body = re.sub(rf"(?<![\w.]){name}(?!\w)", f"my_{name}", body)
    return "# I wrote this all by myself\n" + body.replace("\n", "  # see lecture\n", 1)


def _hostile(solved: NotebookNode, number: int, where: str) -> Made:
    attacks = [*_HOSTILE.values(), {"restore_masked": THIEF.format(where=where)}]
    return _made(solved, attacks[-1 - number % len(attacks)], "hostile")


def _broken(notebook: bytes, number: int) -> dict[str, bytes]:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(zipfile.ZipInfo(NOTEBOOK), notebook, zipfile.ZIP_DEFLATED)  # without the time of day
    kinds: Sequence[dict[str, bytes]] = (
        {"hw4_submission.zip": packed.getvalue()[:-40]},
        {NOTEBOOK: b"<!DOCTYPE html><title>Sign in</title>"},
        {NOTEBOOK: b""},
        {"notes.txt": b"I will hand it in later."},
    )
    return kinds[number % len(kinds)]


def with_bodies(notebook: NotebookNode, bodies: Mapping[str, str]) -> NotebookNode:
    """Return a copy of a notebook in which functions have other bodies."""
    for function, body in bodies.items():
        notebook = edit_notebook(notebook, dict([_body_edit(notebook, function, body)]))
    return notebook


def _body_edit(notebook: NotebookNode, function: str, body: str) -> tuple[str, str]:
    """Return the text of a function's body, without its docstring, and the new text for it."""
    for cell in notebook.cells:
        if cell.cell_type != "code" or f"def {function.rpartition('.')[2]}(" not in cell.source:
            continue
        nodes: list[ast.stmt] = ast.parse(cell.source).body
        for name in function.split("."):
            node = next((node for node in nodes if getattr(node, "name", None) == name), None)
            nodes = getattr(node, "body", [])
        if isinstance(node, ast.FunctionDef):
            first = node.body[1].lineno if ast.get_docstring(node) else node.body[0].lineno
            old = "\n".join(cell.source.splitlines()[first - 1 : node.end_lineno])
            return old, textwrap.indent(body.strip("\n"), " " * (node.col_offset + 4))
    raise LookupError(f"the notebook has no function {function}")


def write_export(made: Sequence[Made], folder: Path) -> Path:
    """Write a class as the folder of a Gradescope export; the last two students of a class hand in together."""
    folder.mkdir(parents=True)
    listed = {}
    for number, submission in enumerate(made):
        name = f"submission_{10_000 + number}"
        for file, data in submission.files.items():
            path = folder / name / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        people = [number] if number < len(made) - 1 else [number, number + 1]
        listed[name] = {
            ":submitters": [_person(person) for person in people],
            ":created_at": f"2022-11-22 {10 + number // 60 % 12:02d}:{number % 60:02d}:00 -0800",
            ":score": 0.0,
            ":status": "processed",
        }
    (folder / "submission_metadata.yml").write_text(yaml.safe_dump(listed, sort_keys=False), encoding="utf-8")
    return folder


def make_export_of_kinds(folder: Path, *, where: str) -> Path:
    """Write a class of eight, one of each kind: the smallest in which everything happens."""
    solved = solved_notebook("MAE_student")
    right = _made(solved, {})
    wrong = {"unpatchify": _TRANSPOSED}
    made = [
        right,
        Made(right.files, "copy", 0),
        _made(solved, wrong),
        _made(solved, {"restore_masked": THIEF.format(where=where)}, "hostile"),
        _made(solved, _HOSTILE["exits"], "hostile"),
        _made(solved, _HOSTILE["kills"], "hostile"),
        Made(_broken(right.files[NOTEBOOK], 0), "broken"),
        Made(_broken(right.files[NOTEBOOK], 1), "broken"),
    ]
    return write_export(made, folder)


def _person(number: int) -> dict[str, str]:
    name = f"{_FIRST[number % len(_FIRST)]} {_LAST[number // len(_FIRST) % len(_LAST)]}"
    return {":name": name, ":email": f"student{number}@example.edu", ":sid": f"30340{number:05d}"}


def zip_folder(folder: Path, path: Path) -> Path:
    """Pack a folder, with its own name on top, as the platform does."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder.parent))
    return path


def main() -> None:
    """Write the class that the arguments ask for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--students", type=int, default=200)
    parser.add_argument("--seed", type=int, default=182)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    made = make_class(arguments.students, seed=arguments.seed, where=str(arguments.out))
    folder = write_export(made, arguments.out / "export")
    packed = zip_folder(folder, arguments.out / "export.zip")
    print(f"Written: {folder} and {packed}, {len(made)} submissions")


if __name__ == "__main__":
    main()
