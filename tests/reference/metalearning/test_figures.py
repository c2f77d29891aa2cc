"""Figures, tables and the command line."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from reference.metalearning import __main__ as command
from reference.metalearning import plots, summary
from reference.metalearning.settings import PART_E, PART_G, PART_H

SMALL = {
    "d": 31,
    "k_idx": (3, 4, 7),
    "n_train_inner": 12,
    "n_train_post": 12,
    "n_test_post": 60,
    "num_tasks_test": 3,
    "num_iterations": 4,
    "num_stats": 2,
    "num_n_train_post_range": 12,
}


def test_one_command_draws_every_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Three figures for each part, one for (d), a table, and all numbers as JSON."""
    parts = {
        name: ("title", replace(settings, **SMALL)) for name, settings in (("e", PART_E), ("g", PART_G), ("h", PART_H))
    }
    monkeypatch.setattr(command, "PARTS", parts)
    monkeypatch.setattr(summary, "DESCENT_ITERATIONS", 100)
    monkeypatch.setattr(summary, "TABLE_SIZES", (12,))

    command.main(["--out", str(tmp_path / "new" / "folder")])

    figures = sorted(path.name for path in (tmp_path / "new" / "folder").glob("*.png"))
    kinds = ("feature_weights", "fitted_function", "test_error")
    assert figures == ["d_feature_weights.png", *(f"{name}_{kind}.png" for name in "egh" for kind in kinds)]
    written = json.loads((tmp_path / "new" / "folder" / "summary.json").read_text())
    assert set(written) == {"d", "e", "g", "h"}
    assert len(written["g"]["label_errors"]["all_ones"]) == len(written["g"]["label_errors"]["n_train_post"])
    assert "median of the others" in capsys.readouterr().out


def test_the_sinusoid_command_prints_its_table(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A figure, a table with both networks, 5 and 10 shots, 0, 1 and 5 steps, and the numbers."""
    command.main(["sinusoid", "--out", str(tmp_path), "--iterations", "3"])

    networks = json.loads((tmp_path / "summary.json").read_text())["networks"]
    assert {name: len(network["losses"]) for name, network in networks.items()} == {"meta-learned": 6, "pretrained": 6}
    assert (tmp_path / "sinusoid.png").stat().st_size > 0
    assert capsys.readouterr().out.count("±") == 12


def test_the_descents_figure_shows_start_norm_and_end() -> None:
    """Part (d) asks for the start, its norm and the final weights in the plot."""
    figure = plots.plot_descent(np.array([[0.6, 0.8], [0.9, 0.4], [1.0, 0.01]]))

    labels = " ".join(text.get_text() for text in figure.axes[0].get_legend().get_texts())
    assert "start (0.600, 0.800)" in labels
    assert "= 1.0000" in labels
    assert "end (1.0000, 0.0100)" in labels


def test_the_shown_descent_reaches_its_limit() -> None:
    """At full length c₁ is below 0.02 and the norm has grown by less than half a percent."""
    shown = summary.summarise_descent(summary.descent_trajectory())

    assert 0 < shown["end"][1] < 0.02
    assert shown["end_norm"] == pytest.approx(shown["start_norm"], rel=5e-3)
    assert shown["end_beta"][0] == pytest.approx(1 / shown["start_norm"], rel=5e-3)
