"""The public vectors: small inputs with their right answers, against which students check themselves."""

from __future__ import annotations

import io
import math
import sys
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import nn

from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.classifier import ClassificationMAE
from reference.vision.masking import random_masking, restore_masked
from reference.vision.patches import patchify, unpatchify
from reference.vision.training import random_permutations
from reference.vision.vit import ClassificationViT, Transformer

SEED = 182
_Module = TypeVar("_Module", bound=nn.Module)
_BATCH = 2
_SIDE = 32
_MAE: dict[str, Any] = {
    "encoder": {"embedding_dim": 32, "n_heads": 4, "n_layers": 1, "feedforward_dim": 64},
    "decoder": {"embedding_dim": 16, "n_heads": 4, "n_layers": 1, "feedforward_dim": 64},
    "encoder_embedding_dim": 32,
    "decoder_embedding_dim": 16,
    "patch_size": 4,
    "num_patches": 8,
    "mask_ratio": 0.75,
}
# Its transformer has the homework's four layers and feed-forward width: width 16 keeps the file small.
_VIT: dict[str, Any] = {"n_classes": 10, "embedding_dim": 16, "patch_size": 4, "num_patches": 8}


def build_autoencoder(settings: dict[str, Any]) -> MaskedAutoEncoder:
    """Build a MaskedAutoEncoder from the settings of a public vector."""
    settings = dict(settings)
    encoder, decoder = Transformer(**settings.pop("encoder")), Transformer(**settings.pop("decoder"))
    return MaskedAutoEncoder(encoder, decoder, **settings)


def public_vectors() -> dict[str, dict[str, Any]]:
    """
    Draw inputs and compute the right answers.

    Returns:
        One entry for each function, under its key of autograder.pt: `inputs`, `settings` and `expected` by
        name, and for modules `state`, the state dict to load. All tensors are float32 or int64 on the CPU.
    """
    generator = torch.Generator().manual_seed(SEED)
    images = _uniform(_BATCH, 3, _SIDE, _SIDE, generator=generator)
    n_patches = _MAE["num_patches"] ** 2
    ids_shuffle = random_permutations(_BATCH, n_patches, generator=generator)
    vectors = _function_vectors(images, ids_shuffle, generator) | _module_vectors(images, ids_shuffle, generator)
    converted: dict[str, dict[str, Any]] = for_file(vectors, {})
    return converted


def write_vectors(path: Path) -> Path:
    """Write the public vectors as a plain tensor file, the same bytes each time, and return its path."""
    path.write_bytes(vector_bytes())
    return path


def vector_bytes() -> bytes:
    """Return the public vectors as the bytes of their file."""
    buffer = io.BytesIO()  # a path would put the file's name into the bytes
    torch.save(public_vectors(), buffer)
    return buffer.getvalue()


def _function_vectors(
    images: torch.Tensor, ids_shuffle: torch.Tensor, generator: torch.Generator
) -> dict[str, dict[str, Any]]:
    """Return the entries of the functions that are no modules."""
    x = _uniform(_BATCH, ids_shuffle.shape[1], 8, generator=generator)
    patches = _uniform(_BATCH, ids_shuffle.shape[1], 48, generator=generator)
    kept, mask, ids_restore = random_masking(x, 16, ids_shuffle)
    masked = _uniform(_BATCH, ids_shuffle.shape[1] - 16, 8, generator=generator)
    size = {"patch_size": 4}
    return {
        "patchify": {
            "inputs": {"images": images},
            "settings": size,
            "expected": {"patches": patchify(images, **size)},
        },
        "unpatchify": {
            "inputs": {"patches": patches},
            "settings": size,
            "expected": {"images": unpatchify(patches, **size)},
        },
        "random_masking": {
            "inputs": {"x": x, "ids_shuffle": ids_shuffle},
            "settings": {"keep_length": 16},
            "expected": {"kept": kept, "mask": mask, "ids_restore": ids_restore},
        },
        "restore_masked": {
            "inputs": {"kept_x": kept, "masked_x": masked, "ids_restore": ids_restore},
            "settings": {},
            "expected": {"x": restore_masked(kept, masked, ids_restore)},
        },
    }


@torch.no_grad()
def _module_vectors(
    images: torch.Tensor, ids_shuffle: torch.Tensor, generator: torch.Generator
) -> dict[str, dict[str, Any]]:
    """Return the entries of the modules' methods, computed in the precision of the images."""
    vit = _randomised(ClassificationViT(**_VIT), generator)
    mae = _randomised(build_autoencoder(_MAE), generator)
    classifier = ClassificationMAE(10, mae, embedding_dim=32, detach=False)
    _randomise(classifier.output_head, generator)
    embeddings, mask, ids_restore = mae.forward_encoder(images, ids_shuffle)
    tokens = _uniform(*embeddings.shape, generator=generator)
    representation = mae.forward_encoder_representation(images)
    classifier_settings = {"n_classes": 10, "embedding_dim": 32, "detach": False, "mae": _MAE}
    autoencoder = {"settings": _MAE, "state": mae.state_dict()}
    return {
        "ClassificationViT.forward": {
            "inputs": {"images": images},
            "settings": _VIT,
            "state": vit.state_dict(),
            "expected": {"logits": vit(images)},
        },
        "MaskedAutoEncoder.forward_encoder": {
            "inputs": {"images": images, "ids_shuffle": ids_shuffle},
            **autoencoder,
            "expected": {"embeddings": embeddings, "mask": mask, "ids_restore": ids_restore},
        },
        "MaskedAutoEncoder.forward_decoder": {
            "inputs": {"encoder_embeddings": tokens, "ids_restore": ids_restore},
            **autoencoder,
            "expected": {"patches": mae.forward_decoder(tokens, ids_restore)},
        },
        "MaskedAutoEncoder.forward_encoder_representation": {
            "inputs": {"images": images},
            **autoencoder,
            "expected": {"embeddings": representation},
        },
        "ClassificationMAE.forward": {
            "inputs": {"images": images},
            "settings": classifier_settings,
            "state": classifier.state_dict(),
            "expected": {"logits": classifier(images)},
        },
    }


def _uniform(*shape: int, generator: torch.Generator) -> torch.Tensor:
    """
    Draw from [-1, 1), in float64 with values that float32 holds exactly.

    Uniform numbers are the same bits on every machine, normal ones are not; answers computed in float64 and
    then rounded are as good as that. So the file can be compared byte for byte.
    """
    return torch.rand(*shape, generator=generator).double() * 2 - 1


def _randomised(module: _Module, generator: torch.Generator) -> _Module:
    """Return a module in float64 with all parameters drawn anew."""
    module.double()
    _randomise(module, generator)
    return module


@torch.no_grad()
def _randomise(module: nn.Module, generator: torch.Generator) -> None:
    """
    Draw every parameter: weights with variance 1 / fan-in, LayerNorm scales around 1, small biases.

    Tokens and positions are as large as what they meet, so that leaving one out shows.
    """
    module.double()
    for layer in module.modules():
        for name, parameter in layer.named_parameters(recurse=False):
            values = _uniform(*parameter.shape, generator=generator)
            if parameter.dim() == 2:
                values = values * math.sqrt(3 / parameter.shape[1])
            elif parameter.dim() == 1:
                values = 0.2 * values + float(name == "weight")  # of the one-dimensional ones, LayerNorm's scale
            parameter.copy_(values.float())


def for_file(value: Any, written: dict[tuple[int, torch.Size], torch.Tensor]) -> Any:
    """
    Return nested dicts with each floating tensor in float32, each tensor once, and each text interned.

    A state that several entries share is written once, which keeps the file small. Pickle writes a text
    again unless it is the same object: interning makes the bytes independent of where Python shares texts.
    """
    if isinstance(value, dict):
        return {sys.intern(key): for_file(item, written) for key, item in value.items()}
    if isinstance(value, torch.Tensor):
        as_float32 = value.detach().float() if value.is_floating_point() else value
        return written.setdefault((value.data_ptr(), value.shape), as_float32)
    return value
