"""The committed templates are those of the sources, and the public vectors are small, plain and right."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from grader.release.templates import write_templates
from homework.release.sources import REPOSITORY, module_sources, notebook_sources
from homework.release.vectors import public_vectors, write_vectors
from homework.workshop import WORKSHOP

COMMITTED = REPOSITORY / "student_templates"
KEYS = {
    "patchify",
    "unpatchify",
    "ClassificationViT.forward",
    "random_masking",
    "restore_masked",
    "MaskedAutoEncoder.forward_encoder",
    "MaskedAutoEncoder.forward_decoder",
    "MaskedAutoEncoder.forward_encoder_representation",
    "ClassificationMAE.forward",
}


def test_committed_templates_are_fresh(tmp_path: Path) -> None:
    """Writing the templates anew gives the bytes of every file under student_templates, and no other is there."""
    written = write_templates(WORKSHOP, tmp_path)
    names = {path.name for path in written}

    assert names == {
        *(f"{source.stem}.ipynb" for source in notebook_sources()),
        *(source.name for source in module_sources()),
        "public_vectors.pt",
        "public_vectors_metalearning.pt",
    }
    assert names == {path.name for path in COMMITTED.iterdir() if path.is_file()}
    for path in written:
        assert path.read_bytes() == (COMMITTED / path.name).read_bytes(), path.name


def test_vectors_are_plain_small_and_repeat(tmp_path: Path) -> None:
    """The file loads without pickle's powers, holds CPU tensors, stays under 1 MB and never changes."""
    first, second = write_vectors(tmp_path / "one.pt"), write_vectors(tmp_path / "two.pt")
    loaded = torch.load(first, weights_only=True)

    assert first.read_bytes() == second.read_bytes()
    assert first.stat().st_size < 1_000_000
    assert set(loaded) == KEYS
    for entry in loaded.values():
        for tensor in [
            *entry["inputs"].values(),
            *entry["expected"].values(),
            *entry.get("state", {}).values(),
        ]:
            assert tensor.device.type == "cpu"
            assert tensor.dtype in (torch.float32, torch.int64)
            assert torch.isfinite(tensor).all()


def test_vectors_know_their_names() -> None:
    """Inputs and expected values have the names that the self-check and the grader read."""
    names = {key: (list(entry["inputs"]), list(entry["expected"])) for key, entry in public_vectors().items()}

    assert names == {
        "patchify": (["images"], ["patches"]),
        "unpatchify": (["patches"], ["images"]),
        "random_masking": (["x", "ids_shuffle"], ["kept", "mask", "ids_restore"]),
        "restore_masked": (["kept_x", "masked_x", "ids_restore"], ["x"]),
        "ClassificationViT.forward": (["images"], ["logits"]),
        "MaskedAutoEncoder.forward_encoder": (
            ["images", "ids_shuffle"],
            ["embeddings", "mask", "ids_restore"],
        ),
        "MaskedAutoEncoder.forward_decoder": (["encoder_embeddings", "ids_restore"], ["patches"]),
        "MaskedAutoEncoder.forward_encoder_representation": (["images"], ["embeddings"]),
        "ClassificationMAE.forward": (["images"], ["logits"]),
    }


@pytest.mark.parametrize("key", sorted(key for key in KEYS if "." in key))
def test_tokens_and_positions_show(key: str) -> None:
    """Tokens and positions of the public modules are far from zero, so leaving one out changes the answer."""
    state = public_vectors()[key]["state"]
    learned = {name: value for name, value in state.items() if "token" in name or "position" in name}

    assert len(learned) >= 2
    for name, value in learned.items():
        assert value.std() > 0.3, name
