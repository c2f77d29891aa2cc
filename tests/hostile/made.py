"""
Submissions that are made of files: each function writes one kind of malformed file into a submission's folder.

A function gets the folder, which holds a perfect submission or nothing, the variant, and the perfect files.
"""

from __future__ import annotations

import io
import json
import os
import py_compile
import stat
import struct
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

Files = Mapping[str, bytes]

_WRONG = "def unpatchify(patches, patch_size=4):\n    return patches\n"


def zip_bytes(members: Mapping[str | zipfile.ZipInfo, bytes]) -> bytes:
    """Return a zip of these members."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


def notebook_of(*sources: object) -> bytes:
    """Return a notebook of format 4 with these code cells, whatever they are."""
    cells = [
        {"cell_type": "code", "execution_count": 1, "metadata": {}, "outputs": [], "source": source}
        for source in sources
    ]
    return json.dumps({"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}).encode()


def saved(content: object, **options: Any) -> bytes:
    """Return what torch saves."""
    buffer = io.BytesIO()
    torch.save(content, buffer, **options)
    return buffer.getvalue()


class Payload:
    """An object whose unpickling would make a folder that everybody could see."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        """Say how to unpickle it."""
        return os.mkdir, ("/tmp/grader-payload-ran",)


# Saved files.


def payload_in_outputs(folder: Path, variant: str, _: Files) -> None:
    """E01, E03."""
    data = saved({"output": {"vit_acc": Payload()}}, _use_new_zipfile_serialization=variant != "legacy")
    (folder / "autograder.pt").write_bytes(data)


def payload_in_model(folder: Path, variant: str, _: Files) -> None:
    """E02."""
    if variant == "payload":
        (folder / "mae_pretrained.pt").write_bytes(saved({"encoder": Payload()}))
        return
    with (folder / "mae_pretrained.pt").open("wb") as file:
        file.truncate(300 * 2**20)


def odd_outputs(folder: Path, variant: str, _: Files) -> None:
    """E05."""
    nested: Any = torch.zeros(1)
    for _level in range(200):
        nested = [nested]
    content: Any = {
        "nan": {"output": {"vit_acc": float("nan"), "patchify": torch.full((2, 3), torch.nan)}},
        "shapes": {"output": {"vit_acc": torch.zeros(3, 4), "patchify": torch.zeros(0)}},
        "keys": {"output": {str(i): torch.zeros(1) for i in range(2000)} | {7: 1, (1,): 2}},
        "list": [torch.zeros(1)] * 3,
        "expanded": {"output": {"vit_acc": torch.zeros(1).expand(100_000_000_000), "patchify": torch.zeros(1)}},
        "nested": {"output": {"vit_acc": nested}},
        "sparse": {"output": {"vit_acc": torch.sparse_coo_tensor([[0]], [1.0], (2**40,), check_invariants=False)}},
    }[variant]
    (folder / "autograder.pt").write_bytes(saved(content))


def no_tensor_file(folder: Path, variant: str, files: Files) -> None:
    """E06."""
    data = {
        "empty": b"",
        "truncated": files["autograder.pt"][:1000],
        "html": b"<!DOCTYPE html><html><body>Sign in</body></html>",
        "notebook": notebook_of("x = 1"),
        "pointer": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n",
        "text": "accuracy: 1.0 \N{GRINNING FACE}".encode(),
    }[variant]
    (folder / "autograder.pt").write_bytes(data)


def claimed_metrics(folder: Path, _: str, __: Files) -> None:
    """E07."""
    claims = dict.fromkeys(("vit_acc", "mae_linear_acc", "mae_finetune_acc"), 1.0)
    (folder / "autograder.pt").write_bytes(saved({"output": claims}))


def copied_outputs(folder: Path, _: str, __: Files) -> None:
    """E08."""
    generator = torch.Generator().manual_seed(5)
    outputs = {"patchify": torch.rand(2, 64, 48, generator=generator), "vit_acc": 0.7}
    (folder / "autograder.pt").write_bytes(saved({"output": outputs}))


# Zips.


def zip_slip(folder: Path, _: str, __: Files) -> None:
    """E09."""
    names = ("../../planted.py", "/tmp/planted.ipynb", "..\\planted.py", "C:/planted.py", "a/../../planted.py")
    (folder / "hw.zip").write_bytes(zip_bytes({name: _WRONG.encode() for name in names}))


def links_in_zip(folder: Path, _: str, __: Files) -> None:
    """E11."""
    members: dict[str | zipfile.ZipInfo, bytes] = {}
    kinds = {"link.py": stat.S_IFLNK | 0o777, "pipe.py": stat.S_IFIFO | 0o666, "device.ipynb": stat.S_IFCHR | 0o666}
    for name, mode in {**kinds, "root.sh": stat.S_IFREG | 0o4755}.items():
        info = zipfile.ZipInfo(name)
        info.external_attr = mode << 16
        members[info] = b"/etc/shadow"
    (folder / "hw.zip").write_bytes(zip_bytes(members))


def links_in_folder(folder: Path, _: str, __: Files) -> None:
    """E11, where the platform has unpacked them."""
    (folder / "link.ipynb").symlink_to("/etc/shadow")
    (folder / "endless.py").symlink_to("/dev/zero")
    (folder / "more").symlink_to("/usr/lib")
    (folder / "round").symlink_to(folder)
    os.mkfifo(folder / "pipe.ipynb")


def zip_bomb(folder: Path, variant: str, _: Files) -> None:
    """E12."""
    data = bytearray(zip_bytes({f"{number}.ipynb": b"\0" * (80 << 20) for number in range(3)}))
    if variant == "overlapping":
        data = bytearray(zip_bytes({"a.py": b"x = 1\n" * 1000, "b.py": b"y = 2\n"}))
        second = data.rindex(b"PK\x01\x02")
        data[second + 42 : second + 46] = struct.pack("<I", 0)
    elif variant == "lying":
        for place in range(len(data) - 4):
            if data[place : place + 4] == b"PK\x01\x02":
                data[place + 24 : place + 28] = struct.pack("<I", 10)
    (folder / "hw.zip").write_bytes(data)


def nested_zips(folder: Path, variant: str, _: Files) -> None:
    """E13."""
    data = zip_bytes({"deep.py": _WRONG.encode()})
    if variant == "deep":
        for level in range(30):
            data = zip_bytes({f"{level}.zip": data})
    else:
        bomb = zip_bytes({"b.ipynb": b"\0" * (60 << 20)})
        data = zip_bytes({f"{number}.zip": bomb for number in range(60)})
    (folder / "hw.zip").write_bytes(data)


def encrypted_zip(folder: Path, _: str, __: Files) -> None:
    """E16: the flag that says that a member is encrypted, in both of its headers."""
    data = bytearray(zip_bytes({"MAE_student.ipynb": notebook_of(_WRONG)}))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    (folder / "hw.zip").write_bytes(data)


def odd_names(folder: Path, variant: str, _: Files) -> None:
    """E18."""
    names = ["\u202eypni.py", "x" * 150 + ".py", "a.py", "\N{GRINNING FACE}.ipynb", "`<b>`.ipynb", "ä\x01\n.py"]
    if variant == "zip":
        members: dict[str | zipfile.ZipInfo, bytes] = dict.fromkeys(names, b"y = 1")
        members |= {"a.py/b.py": b"y = 1", "n\x00m.py": b"y = 1", "x" * 3000 + ".py": b"y = 1"}
        (folder / "hw.zip").write_bytes(zip_bytes(members))
        return
    for name in names:
        (folder / name).write_bytes(b"y = 1")
    with open(os.fsencode(folder) + b"/\xff\xfe.py", "wb") as file:
        file.write(b"y = 1")
    (folder / "b.py").mkdir()


def many_entries(folder: Path, variant: str, _: Files) -> None:
    """E19."""
    if variant == "zip":
        (folder / "hw.zip").write_bytes(zip_bytes({f"d/{number}.py": b"" for number in range(100_000)}))
    elif variant == "deep":
        place = folder
        for _level in range(60):
            place /= "d" * 20
        place.mkdir(parents=True)
        (place / "deep.ipynb").write_bytes(notebook_of(_WRONG))
    else:
        (folder / "zzz").mkdir()
        for number in range(25_000):
            (folder / "zzz" / f"{number}.txt").touch()


def no_zip(folder: Path, variant: str, _: Files) -> None:
    """E20."""
    whole = zip_bytes({"x.py": b"y = 1\n" * 500})
    data = {
        "text": b"this is not a zip",
        "truncated": whole[: len(whole) // 2],
        "polyglot": b"#!/bin/sh\necho planted\n" + b"%PDF-1.4\n" * 20 + whole + b"trailing",
        "empty": b"",
    }[variant]
    (folder / "hw.zip").write_bytes(data)


def other_layout(folder: Path, variant: str, files: Files) -> None:
    """E21."""
    data = files["MAE_student.ipynb"]
    (folder / "MAE_student.ipynb").unlink(missing_ok=True)
    if variant == "nested":
        inner = zip_bytes({"CS182/hw9 final/MAE_student (1).ipynb": data})
        (folder / "upload.zip").write_bytes(zip_bytes({"downloads/hw4_submission.zip": inner}))
        return
    (folder / "hw9").mkdir()
    (folder / "hw9" / "hw9_mae.ipynb").write_bytes(data)
    for junk in ("__MACOSX/hw9/._hw9_mae.ipynb", "hw9/.ipynb_checkpoints/hw9_mae-checkpoint.ipynb", ".git/x.py"):
        (folder / junk).parent.mkdir(parents=True, exist_ok=True)
        (folder / junk).write_bytes(b"\0\5\x16\7" if "MACOSX" in junk else notebook_of(_WRONG))


def wrong_homework(folder: Path, _: str, __: Files) -> None:
    """E21: nothing in it is asked for."""
    (folder / "hw3.zip").write_bytes(
        zip_bytes({"hw3/rnn.ipynb": notebook_of("class RNN:\n    pass"), "hw3/data.csv": b"1,2"})
    )


def two_notebooks(folder: Path, _: str, __: Files) -> None:
    """E22: the other one has a wrong function and another name."""
    (folder / "scratch.ipynb").write_bytes(notebook_of("import torch", _WRONG))


def forged_bytecode(folder: Path, _: str, __: Files) -> None:
    """E25."""
    cache = folder / "__pycache__"
    cache.mkdir()
    source = folder / "evil_source.txt"
    source.write_text("open('planted', 'w').close()\n" + _WRONG)
    for name in ("utils", "torch", "utils_classification", "MAE_student"):
        py_compile.compile(str(source), str(cache / f"{name}.cpython-311.pyc"), doraise=True)
        py_compile.compile(str(source), str(folder / f"{name}.pyc"), doraise=True)
    source.unlink()


def native_code(folder: Path, _: str, __: Files) -> None:
    """E26."""
    for name in ("torch.so", "utils.cpython-311-x86_64-linux-gnu.so", "numpy.so", "libc.so.6", "helpers.dll"):
        (folder / name).write_bytes(b"\x7fELF" + bytes(100))


# Notebooks.


def no_json(folder: Path, variant: str, files: Files) -> None:
    """F01, in the notebook of another part than the vision half."""
    whole = files["metalearning-part1.ipynb"]
    data = {"empty": b"", "text": b"# my homework\nprint(1)", "truncated": whole[: len(whole) // 3]}[variant]
    (folder / "metalearning-part1.ipynb").write_bytes(data)


def encodings(folder: Path, variant: str, files: Files) -> None:
    """F01: the vision notebook in another encoding."""
    text = files["MAE_student.ipynb"].decode()
    data = {
        "bom": b"\xef\xbb\xbf" + text.encode(),
        "utf16": text.encode("utf-16"),
        "utf16be": text.encode("utf-16-be"),
    }[variant]
    (folder / "MAE_student.ipynb").write_bytes(data)


_ODD_SOURCES: Sequence[object] = (7, None, ["x = 1\n", 3, None], {"a": 1}, True, [[]])


def odd_json(folder: Path, variant: str, _: Files) -> None:
    """F02."""
    content: Any = {
        "list": [1, 2, {"cells": 3}],
        "number": 17,
        "null_cells": {"cells": None, "worksheets": [None, {"cells": 1}]},
        "no_cells": {"metadata": {}},
        "odd_cells": {"cells": [None, 1, "x", [], {}, {"cell_type": "code"}, {"cell_type": ["code"], "source": "x"}]},
        "odd_sources": json.loads(notebook_of(*_ODD_SOURCES)),
    }[variant]
    (folder / "notes.ipynb").write_text(json.dumps(content))


def no_code(folder: Path, _: str, __: Files) -> None:
    """F04."""
    cells = [{"cell_type": "markdown", "metadata": {}, "source": "def unpatchify(p, patch_size=4): return p"}]
    outputs = [{"output_type": "stream", "name": "stdout", "text": ["Score: 100/100"]}]
    cells.append({"cell_type": "code", "metadata": {}, "source": "", "outputs": outputs})  # type: ignore[dict-item]
    (folder / "words.ipynb").write_text(json.dumps({"cells": cells, "nbformat": 4, "nbformat_minor": 5}))


def parser_bombs(folder: Path, variant: str, _: Files) -> None:
    """F06."""
    deep = "(" * 5000 + "1" + ")" * 5000
    data = {
        "depth": b'{"cells": ' + b"[" * 200_000 + b"]" * 200_000 + b"}",
        "digits": b'{"cells": [], "n": ' + b"9" * 5000 + b"}",
        "nan": b'{"cells": [], "n": NaN, "m": -Infinity, "k": 1e999}',
        "twice": b'{"cells": [], "cells": null, "cells": 3}',
        "nested_code": notebook_of(f"x = {deep}", "y = " + "-" * 100_000 + "1", "\n".join(["if 1:"] * 200)),
        "many_cells": notebook_of(*["x = 1"] * 20_000),
    }[variant]
    (folder / "notes.ipynb").write_bytes(data)


def code_elsewhere(folder: Path, _: str, __: Files) -> None:
    """F15: wrong definitions everywhere but in the source of code cells."""
    outputs = [{"output_type": "stream", "name": "stdout", "text": _WRONG}]
    cells = [
        {"cell_type": "markdown", "source": _WRONG, "attachments": {"a.py": {"text/plain": _WRONG}}, "metadata": {}},
        {"cell_type": "raw", "source": _WRONG, "metadata": {"format": "text/x-python"}},
        {"cell_type": "code", "source": "x = 1", "metadata": {"code": _WRONG, "tags": [_WRONG]}, "outputs": outputs},
    ]
    metadata = {"preprocessors": [_WRONG], "kernelspec": {"argv": ["sh", "-c", "touch planted"]}, "source": _WRONG}
    content = {"cells": cells, "metadata": metadata, "nbformat": 4, "nbformat_minor": 5, "source": _WRONG}
    (folder / "MAE_student_2.ipynb").write_text(json.dumps(content))


def odd_characters(folder: Path, _: str, __: Files) -> None:
    """F16: letters that look like others, a line that never ends, half an emoji, a zero byte."""
    lookalike = "def unp\N{CYRILLIC SMALL LETTER A}tchify(patches, patch_size=4):\n    return patches"
    half = 'x = "\ud83d"'
    (folder / "notes.ipynb").write_bytes(notebook_of(lookalike, half, "y = '" + "a" * 200_000 + "'", "z = 1\x00"))
