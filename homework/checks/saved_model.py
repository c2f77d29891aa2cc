"""
The saved autoencoder: whether its weights paint masked patches better than what needs no training.

The reference, with the saved weights in it, meets crops of two photographs, shrunk to 32 × 32 and normalised as in the
homework, with masks drawn from the secret. Two predictors need no training: every masked patch in the mean colour of
the visible ones, and a copy of the nearest visible patch. The weights' error has to be below BETTER_BY of the smaller
of the two.

The photographs are normalised by their own statistics, so that they have the means of 0 and deviations of 1 that
CIFAR-10 has under the homework's normalisation.

Measured: weights as they are first drawn have 2.5 to 3.9 times the better predictor's error, in 18 draws. Weights of a
quick training (240 steps of 16 images, 3,840 in all) on four other photographs, of scikit-image, have 0.78 to 0.85 of
it on these, in 12 draws; those of our own solved submission, 960 images of these photographs, 0.63 to 0.71.
Reasoned, since CIFAR-10 is not here: the homework's training shows 20 times 50,000 pictures of many kinds, three
hundred times as many images as that quick training, so an honest model lies well below the bound on photographs that
it has not seen; and what the bound asks is only to do better than copying.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch

from grader.checks.tensors import to_tensors
from grader.verdicts import Evidence, Picture, failed, passed
from grader.wire import Array, Arrays
from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.images import normalised_crops, photograph_statistics
from reference.vision.patches import patchify, unpatchify
from reference.vision.training import random_permutations, reconstruction_loss
from reference.vision.vit import Transformer

BETTER_BY = 0.95
_IMAGES = 48
_SHOWN = 4
_PREFIXES = ("module.", "_orig_mod.", "mae.")  # DataParallel, torch.compile, a classifier around the autoencoder
_UNTRAINED = (
    "The weights look untrained, were trained for too short a time, or belong to an autoencoder that computes "
    "something else than the template's. Mend what is wrong under 1 to 4 first, train anew, and save after training."
)
_SAVE = '`torch.save(mae.state_dict(), "mae_pretrained.pt")`'


def judge_model(saved: Arrays, generator: torch.Generator) -> Evidence:
    """
    Judge saved weights by their error on masked patches.

    Args:
        saved: what lay in the file, by name.
        generator: draws the images and the masks.
    """
    model = _homework_model()
    weights, notes = _fit(saved, {name: tuple(each.shape) for name, each in model.named_parameters()})
    if isinstance(weights, Evidence):
        return weights
    model.load_state_dict(to_tensors(weights), assign=True)
    images = normalised_crops(_IMAGES, generator=generator)
    ids_shuffle = random_permutations(_IMAGES, 64, generator=generator)
    with torch.no_grad():
        embeddings, mask, ids_restore = model.forward_encoder(images, ids_shuffle)
        painted = model.forward_decoder(embeddings, ids_restore)
    patches = patchify(images)
    error = _error(painted, patches, mask)
    mean, nearest = untrained_errors(patches, mask)
    picture = _picture(patches, painted, mask)
    if error <= BETTER_BY * min(mean, nearest):
        return replace(passed(notes=notes), pictures=(picture,))
    finding = (
        f"On masked patches of photographs your model's error is {_number(error)}. Painting all of them in the mean "
        f"colour of the visible patches has {mean:.2f}, and copying the nearest visible patch {nearest:.2f}; at most "
        f"{BETTER_BY * min(mean, nearest):.2f} is asked."
    )
    evidence = failed(finding, try_next=_UNTRAINED)
    return replace(evidence, notes=notes, pictures=(picture,))


def untrained_errors(patches: torch.Tensor, mask: torch.Tensor) -> tuple[float, float]:
    """Return the errors of the visible patches' mean colour and of the nearest visible patch."""
    batch, n_patches, length = patches.shape
    visible = (1 - mask).unsqueeze(-1)  # (B, N, 1)
    colours = patches.reshape(batch, n_patches, 3, -1).mean(dim=3)
    mean = (colours * visible).sum(dim=1, keepdim=True) / visible.sum(dim=1, keepdim=True)  # (B, 1, 3)
    flat = mean.repeat_interleave(length // 3, dim=2).expand_as(patches)
    side = round(n_patches**0.5)
    places = torch.cartesian_prod(torch.arange(side), torch.arange(side)).float()
    distances = torch.cdist(places, places) + 1e6 * mask.unsqueeze(1)  # (B, N, N), masked ones far away
    copied = torch.take_along_dim(patches, distances.argmin(dim=2).unsqueeze(-1), dim=1)
    return float(reconstruction_loss(flat, patches, mask)), float(reconstruction_loss(copied, patches, mask))


def _error(painted: torch.Tensor, patches: torch.Tensor, mask: torch.Tensor) -> float:
    error = float(reconstruction_loss(painted, patches, mask))
    return error if np.isfinite(error) else float("inf")


def _homework_model() -> MaskedAutoEncoder:
    # Not on the meta device, which spares drawing parameters but imports sympy for it: ten times as long.
    return MaskedAutoEncoder(Transformer(256, n_layers=4), Transformer(128, n_layers=2))


def _fit(saved: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Arrays | Evidence, tuple[str, ...]]:
    """Return the weights by the template's names, with remarks on what was passed over; or what does not fit."""
    named, notes = _without_prefixes(saved, shapes)
    if not set(shapes) <= set(named) and [array.shape for array in named.values()] == list(shapes.values()):
        named = dict(zip(shapes, named.values(), strict=True))  # other names for the same parameters
    missing = [name for name in shapes if name not in named]
    if missing:
        return _not_the_homeworks(f"`{missing[0]}`, one of {len(missing)} parameters, is not in the file."), ()
    for name, shape in shapes.items():
        if named[name].shape != shape:
            return _not_the_homeworks(f"`{name}` has shape {named[name].shape}; it should be {shape}."), ()
    bad = [name for name in shapes if not np.all(np.isfinite(named[name]))]
    if bad:
        hint = (
            "The loss must have become NaN: look at the losses of the epochs, and train anew with the given step size."
        )
        return failed(f"`{bad[0]}` in the saved model holds NaN or infinite numbers.", try_next=hint), ()
    extra = len(named) - len(shapes)
    if extra:
        notes += (f"{extra} more tensors in the file were passed over.",)
    with np.errstate(over="ignore"):
        return {name: named[name].astype(np.float32) for name in shapes}, notes


def _without_prefixes(saved: Arrays, shapes: Mapping[str, tuple[int, ...]]) -> tuple[Arrays, tuple[str, ...]]:
    named = dict(saved)
    notes: tuple[str, ...] = ()
    for prefix in (*_PREFIXES, *_PREFIXES):  # in any order
        if not set(shapes) <= set(named) and any(name.startswith(prefix) for name in named):
            named = {name.removeprefix(prefix): array for name, array in named.items()}
            notes = ("The names in the file carry a prefix, which was taken off.",)
    return named, notes


def _not_the_homeworks(finding: str) -> Evidence:
    return failed(
        f"The saved model is not the homework's autoencoder: {finding}",
        try_next="Save what the pretraining cell trained, with the sizes given there (256 and 128 wide, 4 and 2 "
        f"layers): {_SAVE}.",
    )


def _picture(patches: torch.Tensor, painted: torch.Tensor, mask: torch.Tensor) -> Picture:
    hidden = mask[:_SHOWN].bool().unsqueeze(-1)
    whole, mine = patches[:_SHOWN], torch.nan_to_num(painted[:_SHOWN])
    rows = {"image": whole, "seen": whole.masked_fill(hidden, 0.0), "painted": torch.where(hidden, mine, whole)}
    caption = (
        "Photographs, the quarter of the patches that your saved model saw, and what it painted in place of the others."
    )
    return Picture("reconstruction", caption, {name: _pixels(row) for name, row in rows.items()})


def _pixels(patches: torch.Tensor) -> Array:
    """(n, H, W, 3) uint8."""
    mean, std = photograph_statistics()
    colours = (unpatchify(patches) * std + mean).clamp(0, 1).permute(0, 2, 3, 1)
    pixels: Array = (255 * colours).round().to(torch.uint8).contiguous().numpy()
    return pixels


def _number(error: float) -> str:
    return f"{error:.2f}" if error < 100 else "over 100"
