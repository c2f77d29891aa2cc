"""
Hand-ins of people who did the work and packed it in a way of their own: each function makes one kind of them.

As in `made`, a function gets the folder, which holds a perfect submission, the variant, and the perfect files.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import struct
import tarfile
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from homework.release.saved_model import saved_model_bytes
from tests.hostile.made import Files, notebook_of, saved, zip_bytes

_NOTEBOOK = "MAE_student.ipynb"
_SHORTCUT = "mae_pretrained"
_STUB_OF_DRIVE = b'{"doc_id": "1aBcD", "resource_key": "", "email": "student@example.com"}'


def wrong_copy(files: Files) -> bytes:
    """Return the vision notebook as it was last week: complete, with a wrong function at its end."""
    content = json.loads(files[_NOTEBOOK])
    for cell in content["cells"]:
        source = "".join(cell["source"])
        if cell["cell_type"] == "code" and "def unpatchify" in source:
            cell["source"] = source + "\ndef unpatchify(patches, patch_size=4):\n    return patches\n"
    return json.dumps(content).encode()


def _start_over(folder: Path, files: Files) -> None:
    """Empty the folder, so that the variant alone decides how the perfect files lie in it."""
    for name in files:
        (folder / name).unlink(missing_ok=True)


def _write(folder: Path, files: Mapping[str, bytes]) -> None:
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def _below(prefix: str, files: Files) -> dict[str, bytes]:
    return {prefix + name: data for name, data in files.items()}


def two_for_one_place(folder: Path, variant: str, files: Files) -> None:
    """G01: another complete vision notebook, wrong, which neither the alphabet nor its size may prefer."""
    wrong = wrong_copy(files)
    old = {**files, _NOTEBOOK: wrong}
    if variant == "last weeks zip":
        _write(folder, {"archive of week 8/hw4_submission (1).zip": zip_bytes({f"HW9/{n}": d for n, d in old.items()})})
    elif variant == "copies":
        names = ("MAE_student-Copy1.ipynb", "Copy of MAE_student.ipynb", "MAE_student (2).ipynb", "MAE_student 2.ipynb")
        _write(folder, dict.fromkeys(names, wrong))
    elif variant == "alone in a folder":
        _start_over(folder, files)
        _write(folder, {"a/MAE_student.ipynb": wrong, **_below("work/final version/", files)})
    elif variant == "backup final old":
        _start_over(folder, files)
        work = {name: data for name, data in files.items() if name != "autograder.pt"}
        aside = {**work, _NOTEBOOK: wrong}
        packed = {**_below("backup/", aside), **_below("final/", files), **_below("old/", aside)}
        _write(folder, {"hw.zip": zip_bytes(dict(packed))})
    elif variant == "old modules":
        broken = {name: data + b"\nraise SystemExit\n" for name, data in files.items() if name.endswith(".py")}
        _write(folder, _below("0_old_versions/", broken))
    else:
        _write(folder, {".ipynb_checkpoints/MAE_student-checkpoint.ipynb": wrong})


def own_ways_of_packing(folder: Path, variant: str, files: Files) -> None:
    """G02: what Finder, Windows and people's folders make of paths."""
    _start_over(folder, files)
    prefixes = {
        "colons": "CS 182: week 9/part 1:2/",
        "colons in a folder": "CS 182: week 9/part 1:2/",
        "backslashes": "CS182\\hw9\\",
        "backslashes in a folder": "CS182\\hw9\\",
        "deep": "/".join(f"level {number}" for number in range(14)) + "/",
        "deep in a folder": "/".join(f"level {number}" for number in range(14)) + "/",
        "spaces": "my homework /final /",
    }
    named = _below(prefixes[variant], files)
    if variant == "spaces":
        named = {name + " ": data for name, data in named.items()}
    if variant.endswith("in a folder"):
        _write(folder, named)
    else:
        _write(folder, {"hw.zip": zip_bytes(dict(named))})


def large_and_honest(folder: Path, variant: str, files: Files) -> None:
    """G03: files that a cap for bombs, or one that is spent on others first, would refuse."""
    _start_over(folder, files)
    members: dict[str | zipfile.ZipInfo, bytes] = {}
    if variant == "flooded":
        content = json.loads(files[_NOTEBOOK])
        line = "/usr/lib/python3/dist-packages/torch/nn/functional.py:1: UserWarning: lazily initialized\n"
        flood = {"output_type": "stream", "name": "stderr", "text": [line] * 200_000}
        content["cells"][1]["outputs"] = [flood] if content["cells"][1]["cell_type"] == "code" else []
        content["cells"].append(json.loads(notebook_of("x = 1"))["cells"][0] | {"outputs": [flood]})
        members = {**files, _NOTEBOOK: json.dumps(content).encode()}
    elif variant == "checkpoints first":
        epochs = {f"checkpoints/mae_epoch_{number}.pt": bytes(16 << 20) for number in range(1, 10)}
        members = {**epochs, **files, "mae_pretrained.pt": saved_model_bytes()}
    elif variant == "images":
        members = {f"data/train/{number % 10}/{number}.png": b"" for number in range(30_000)} | dict(files)
    else:
        library = "\n".join(f"def helper_{number}(x):\n    return x + {number}" for number in range(20_000)).encode()
        members = {f"a_library/part{number}.py": library + b"# %d" % number for number in range(60)} | dict(files)
    _write(folder, {"hw.zip": zip_bytes(members)})


def other_names(folder: Path, variant: str, files: Files) -> None:
    """G04: files whose names do not end as they were handed out."""
    notebook = files[_NOTEBOOK]
    (folder / _NOTEBOOK).unlink()
    renamed = {
        "another language": "Kopie von MAE_student.ipynb の コピー",
        "text": "MAE_student.ipynb.txt",
        "json": "MAE_student.json",
        "bare": "MAE_student",
        "space": "MAE_student.ipynb ",
        "download": "MAE_student.ipynb.download",
    }
    if variant in renamed:
        _write(folder, {renamed[variant]: notebook})
    elif variant == "gzip":
        _write(folder, {"MAE_student.ipynb.gz": gzip.compress(notebook)})
    elif variant == "modules as text":
        _write(folder, {_NOTEBOOK: notebook})
        for name in [name for name in files if name.endswith(".py")]:
            (folder / name).rename(folder / f"{name}.txt")
    elif variant == "zip without a suffix":
        _write(folder, {"hw4_submission": zip_bytes({_NOTEBOOK: notebook})})
    else:
        _start_over(folder, files)
        buffer = io.BytesIO()
        with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
            for name, data in files.items():
                info = tarfile.TarInfo(f"./hw9/{name}")
                info.size = len(data)
                archive.addfile(info, io.BytesIO(data))
        _write(folder, {"hw.zip": zip_bytes({"hw9.tar.gz": buffer.getvalue()})})


def something_else_instead(folder: Path, variant: str, _: Files) -> None:
    """G13: what people hand in where they mean the notebook."""
    (folder / _NOTEBOOK).unlink(missing_ok=True)
    _write(
        folder,
        {
            "pdf": {"MAE_student.pdf": b"%PDF-1.7\n" + bytes(5000)},
            "page": {"MAE_student.html": b"<!DOCTYPE html><html><body>def patchify</body></html>"},
            "page as a notebook": {_NOTEBOOK: b"\n<!doctype html><html><title>Sign in</title></html>"},
            "link": {"MAE_student.url": b"[InternetShortcut]\nURL=https://colab.research.google.com/drive/1\n"},
            "drive": {"MAE_student.gdoc": _STUB_OF_DRIVE},
            "drive as a notebook": {_NOTEBOOK: _STUB_OF_DRIVE},
            "document": {"MAE_student.docx": zip_bytes({"[Content_Types].xml": b"<Types/>", "word/document.xml": b""})},
            "rar": {"homework.rar": b"Rar!\x1a\x07\x01\0" + bytes(100)},
        }[variant],
    )


def _safetensors(state: Mapping[str, torch.Tensor]) -> bytes:
    header, body = {}, b""
    for name, value in state.items():
        data = value.numpy().tobytes()
        header[name] = {"dtype": "F32", "shape": list(value.shape), "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    return struct.pack("<Q", len(text)) + text + body


def saved_in_company(folder: Path, variant: str, _: Files) -> None:
    """G14: a trained model, saved as people save it."""
    state = torch.load(io.BytesIO(saved_model_bytes()), weights_only=True)
    ways: Mapping[str, Callable[[], Any]] = {
        "loss": lambda: {"model": state, "epoch": np.int64(20), "loss": np.float64(0.5)},
        "net": lambda: {"net": state, "args": argparse.Namespace(lr=1e-3), "rng": random.getstate()},
        "lightning": lambda: {"state_dict": {f"model.{name}": value for name, value in state.items()}, "loops": {}},
        "compiled": lambda: {f"_orig_mod.module.{name}": value for name, value in state.items()},
        "ema": lambda: {"ema": {"module": state}, "generator": np.random.default_rng(1)},
        "numpy": lambda: {name: value.numpy() for name, value in state.items()},
    }
    if variant == "safetensors":
        _write(folder, {f"{_SHORTCUT}.safetensors": _safetensors(state)})
    elif variant == "old format":
        _write(folder, {f"{_SHORTCUT}.pth": saved(state, _use_new_zipfile_serialization=False)})
    else:
        name = f"{_SHORTCUT}.ckpt" if variant in ("lightning", "numpy") else f"{_SHORTCUT}.pt"
        _write(folder, {name: saved(ways[variant]())})


def outputs_of_numpy(folder: Path, _: str, files: Files) -> None:
    """G15: autograder.pt with arrays of numpy, and a configuration beside them."""
    outputs = torch.load(io.BytesIO(files["autograder.pt"]), weights_only=False)["output"]
    plain = {key: _plain(value) for key, value in outputs.items()}
    _write(folder, {"autograder.pt": saved({"output": plain, "config": argparse.Namespace(seed=0)})})


def _plain(value: Any) -> Any:
    if isinstance(value, tuple):
        return tuple(_plain(each) for each in value)
    return value.numpy() if isinstance(value, torch.Tensor) else np.float64(value)
