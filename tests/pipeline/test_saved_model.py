"""The saved model through the whole pipeline: opened in a worker only, and every bad file told in a sentence."""

from __future__ import annotations

import argparse
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from grader.pipeline.run import Settings, grade_submission
from grader.rubric import Question, Rubric
from grader.verdicts import Evidence, Verdict
from homework.homework import HOMEWORK
from homework.release.saved_model import saved_model_bytes

QUESTION = Question("vision", "6.3", "mae_pretrained.pt.saved-model", 4, "Saved model", "Asked.", time_limit_s=20)


def judged(folder: Path, content: bytes | None) -> Evidence:
    """Grade a folder with such a saved model."""
    submission = folder / "submission"
    submission.mkdir()
    cells = [{"cell_type": "code", "metadata": {}, "source": "x = 1"}]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    (submission / "MAE_student.ipynb").write_text(json.dumps(notebook), encoding="utf-8")
    if content is not None:
        (submission / "mae_pretrained.pt").write_bytes(content)
    report = grade_submission(submission, Settings(HOMEWORK, Rubric("HW", 60, (QUESTION,)), folder / "out"))
    (judgement,) = report.judgements
    return judgement.evidence


def saved(content: object) -> bytes:
    """Return the bytes of a file as torch saves it."""
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


class Payload:
    """An object whose unpickling would make a folder."""

    def __reduce__(self) -> Any:
        """Say how to unpickle it."""
        return os.mkdir, ("/tmp/grader-model-payload-ran",)


def test_a_trained_model_has_its_points(tmp_path: Path) -> None:
    """Also where the state dict lies in a dictionary beside other things."""
    state = torch.load(io.BytesIO(saved_model_bytes()), weights_only=True)
    evidence = judged(tmp_path, saved({"epoch": 20, "model": state}))

    assert evidence.passed, evidence.findings
    assert evidence.pictures[0].kind == "reconstruction"


def test_harmless_company_costs_nothing(tmp_path: Path) -> None:
    """A number of numpy, arguments, a random state, the key `net` and a prefix beside good weights: all points."""
    state = torch.load(io.BytesIO(saved_model_bytes()), weights_only=True)
    content = {
        "net": {f"module.{name}": value for name, value in state.items()},
        "loss": np.float64(0.5),
        "args": argparse.Namespace(lr=0.1),
        "rng": np.random.default_rng(0),
    }

    assert judged(tmp_path, saved(content)).passed


def test_a_missing_file_says_what_to_upload(tmp_path: Path) -> None:
    """The file's name, the cell that makes it and the cell that packs it."""
    evidence = judged(tmp_path, None)

    assert evidence.verdict is Verdict.MISSING
    assert "no `mae_pretrained.pt`" in evidence.findings[0]
    assert "into the zip that you upload" in evidence.try_next


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (saved(Payload()), "opening it would run code"),
        (saved({"model": {"x": Payload()}}), "(`posix.mkdir`), and opening it would run code"),
        (saved(nn.Linear(2, 2)), "holds a whole pickled module"),
        (b"<html>", "damaged, cut off, or something else"),
        (b"", "damaged, cut off, or something else"),
        (saved({"x": torch.zeros(100)})[:-200], "damaged, cut off, or something else"),
        (saved([1, 2]), "holds no state dict"),
        (saved({"x": 1}), "holds no state dict"),
        (saved({"x": torch.zeros(1).expand(10**11)}), "holds no state dict"),
        (saved({"x": torch.zeros(3)}), "`cls_token`, one of 82 parameters, is not in the file"),
    ],
    ids=["payload", "nested", "module", "html", "empty", "cut", "list", "no tensors", "huge", "foreign"],
)
def test_a_file_that_is_no_model_is_told_without_running_it(tmp_path: Path, content: bytes, said: str) -> None:
    """Each kind of bad file has its sentence, and nothing in it was run."""
    evidence = judged(tmp_path, content)

    assert evidence.verdict is Verdict.FAILED
    assert said in evidence.findings[0], evidence.findings
    assert "torch.save(mae.state_dict()" in evidence.try_next
    assert not Path("/tmp/grader-model-payload-ran").exists()
