"""A submission that computes nothing earns nothing for absences, properties, public numbers and figures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from grader.rubric import Question
from grader.trust.cases import FIGURE_PNG, Changes
from grader.trust.harness import Bench
from homework.homework import HOMEWORK
from tests.known import usual_rubric

PROPERTIES = frozenset(
    {
        "random_masking.behaviour",
        "MaskedAutoEncoder.forward_encoder.behaviour",
        "ClassificationMAE.forward.behaviour",
        "descend_feature_weights.convergence",
        "descend_feature_weights.completion",
        "meta_learning_reg_closed_form.completion",
        "meta_learning_reg_closed_form.behaviour",
        "meta_learning_reg_sgd.behaviour",
        "meta_learning_classification.completion",
    }
)
VALUES = frozenset(
    {
        "random_masking.output",
        "MaskedAutoEncoder.forward_encoder.output",
        "ClassificationMAE.forward.output",
        "descend_feature_weights.output",
    }
)
# `fill(*shape)` makes what is returned; the head's gradient is there in all of them, and the orders differ.
VISION = """
import torch
from torch import nn
{fill}
def random_masking(x, keep_length, ids_shuffle):
    b, n, d = x.shape
    return fill(b, keep_length, d), fill(b, n), fill(b, n).long()
class Transformer(nn.Module):
    def __init__(self, embedding_dim=256, n_layers=4, n_heads=4, feedforward_dim=1024):
        super().__init__()
        gelu = nn.functional.gelu
        layer = nn.TransformerEncoderLayer(embedding_dim, n_heads, feedforward_dim, 0.0, gelu, batch_first=True)
        self.transformer = nn.TransformerEncoder(layer, n_layers)
class MaskedAutoEncoder(nn.Module):
    def __init__(self, encoder, decoder, encoder_embedding_dim=256, decoder_embedding_dim=128, patch_size=4,
                 num_patches=8, mask_ratio=0.75):
        super().__init__()
        self.encoder, self.decoder, self.n = encoder, decoder, num_patches**2
        self.keep = self.n - int(self.n * mask_ratio)
        self.masked_tokens = nn.Parameter(torch.zeros(1, 1, decoder_embedding_dim))
        self.cls_token = nn.Parameter(torch.zeros(1, 1, encoder_embedding_dim))
        self.encoder_input_projection = nn.Linear(3 * patch_size**2, encoder_embedding_dim)
        self.decoder_input_projection = nn.Linear(encoder_embedding_dim, decoder_embedding_dim)
        self.decoder_output_projection = nn.Linear(decoder_embedding_dim, 3 * patch_size**2)
        self.encoder_position_encoding = nn.Parameter(torch.zeros(1, self.n, encoder_embedding_dim))
        self.decoder_position_encoding = nn.Parameter(torch.zeros(1, self.n, decoder_embedding_dim))
        self.width = encoder_embedding_dim
    def forward_encoder(self, images, ids_shuffle=None):
        b = len(images)
        ids = torch.argsort(torch.rand(b, self.n), dim=1)
        return fill(b, self.keep + 1, self.width), (ids >= self.keep).float(), ids
class ClassificationMAE(nn.Module):
    def __init__(self, n_classes, mae, embedding_dim=256, detach=False):
        super().__init__()
        self.mae, self.embedding_dim, self.detach = mae, embedding_dim, detach
        self.output_head = nn.Sequential(nn.LayerNorm(embedding_dim), nn.Linear(embedding_dim, n_classes))
    def forward(self, images):
        return self.output_head(fill(len(images), self.embedding_dim) + torch.rand(len(images), 1) * 0)
"""
PART_0 = """
import numpy as np
def descend_feature_weights(c_init, step_size, n_iterations):
    return np.linspace(c_init, np.array([np.linalg.norm(c_init), 0.0]), n_iterations + 1)
"""
FILLS = {
    "zeros": "def fill(*shape): return torch.zeros(*shape)",
    "constants": "def fill(*shape): return torch.arange(float(torch.Size(shape).numel())).reshape(shape) / 1000",
    "noise": "def fill(*shape): return torch.randn(*shape)",
}
FIGURES = {"eight-bytes": "iVBORw0KGgo=", "below-no-call": FIGURE_PNG}


def notebook(source: str, figure: str) -> bytes:
    """Return a notebook of one cell that shows a figure, as its file says."""
    shown = [{"output_type": "display_data", "metadata": {}, "data": {"image/png": figure}}]
    cell = {"cell_type": "code", "metadata": {}, "source": source, "execution_count": 1, "outputs": shown}
    return json.dumps({"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 4}).encode()


def mention(name: str, figure: str) -> bytes:
    """Return the notebook of a part of which nothing was done: it names what it is about."""
    return notebook(f"from utils_reg import {name}\nr = {name}" if "reg" in name else f"r = {name}", figure)


def empty_work(folder: Path, fill: str, figure: str) -> Path:
    """Write a submission that computes nothing."""
    folder.mkdir()
    (folder / "MAE_student.ipynb").write_bytes(notebook(VISION.format(fill=fill), figure))
    eight = FIGURES["eight-bytes"]  # this one calls something, as it must to be defined
    (folder / "metalearning-part0.ipynb").write_bytes(notebook(PART_0, eight))
    (folder / "metalearning-part1.ipynb").write_bytes(mention("meta_learning_reg_closed_form", figure))
    (folder / "metalearning-part2.ipynb").write_bytes(mention("meta_learning_classification", figure))
    return folder


def asked(checks: frozenset[str]) -> list[Question]:
    """Return some of the rubric's questions."""
    return [question for question in usual_rubric().questions if question.check in checks]


@pytest.fixture(scope="module")
def bench() -> Any:
    """Return a sandbox for all submissions."""
    with Bench(HOMEWORK) as opened:
        yield opened


@pytest.mark.parametrize(("fill", "figure"), [*((fill, "eight-bytes") for fill in FILLS), ("zeros", "below-no-call")])
def test_what_computes_nothing_earns_nothing(bench: Bench, tmp_path: Path, fill: str, figure: str) -> None:
    """Notebooks of constants, of zeros and of noise, with figures that are none."""
    path = empty_work(tmp_path / "submission", FILLS[fill], FIGURES[figure])
    found = bench.grade_folder(path, asked(PROPERTIES | VALUES))

    assert {check for check, outcome in found.items() if outcome.fraction} == set()


HONEST = {
    "one slip in the classifier": (
        "ClassificationMAE.forward",
        "return 2 * self.output_head(self.mae.forward_encoder_representation(images)[:, -1].detach())",
        "ClassificationMAE.forward.behaviour",
    ),
}


@pytest.mark.parametrize("name", HONEST)
def test_a_slip_in_the_values_leaves_a_property_its_points(bench: Bench, name: str) -> None:
    """The values are wrong, and move with the images."""
    function, body, check = HONEST[name]
    found = bench.grade(Changes(bodies={function: body}), keep=lambda question: question.function == function)

    assert not found[f"{function}.output"].passed
    assert found[check].passed
