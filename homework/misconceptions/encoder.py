"""
Mistakes with `MaskedAutoEncoder.forward_encoder`.

Shapes: B images, N patches of which K are kept, D features of the encoder.
"""

from __future__ import annotations

import torch
from torch import Tensor

from homework.misconceptions.catalogue import misconception
from homework.misconceptions.twins import with_swapped_axes, with_zero, without
from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.masking import random_masking
from reference.vision.patches import patchify

_FUNCTION = "MaskedAutoEncoder.forward_encoder"
Encoded = tuple[Tensor, Tensor, Tensor]  # embeddings, mask, ids_restore


def _projected(model: MaskedAutoEncoder, images: Tensor) -> Tensor:
    """(B, N, D): projected patches, without positions."""
    patches: Tensor = model.encoder_input_projection(patchify(images, model.patch_size))
    return patches


def _with_positions(model: MaskedAutoEncoder, images: Tensor) -> Tensor:
    """(B, N, D): projected patches with their positions."""
    return _projected(model, images) + model.encoder_position_encoding


def _masked(model: MaskedAutoEncoder, images: Tensor, ids_shuffle: Tensor) -> Encoded:
    """Return (B, K, D) kept patches with their positions, mask and ids_restore."""
    return random_masking(_with_positions(model, images), model.keep_length, ids_shuffle)


def _with_class_token(model: MaskedAutoEncoder, patches: Tensor) -> Tensor:
    """Put the class token before patches (B, L, D)."""
    return torch.cat([model.cls_token.expand(len(patches), -1, -1), patches], dim=1)


@misconception(
    f"{_FUNCTION}.no-positions",
    before=with_zero("encoder_position_encoding"),
    happened="The encoder's position encoding is not used, so the encoder cannot know where a kept patch comes from.",
    right="`encoder_position_encoding` should be added to all projected patches before they are masked.",
    clues=(
        "encoder_position_encoding",
        "random_masking",
    ),
)
def no_positions(model: MaskedAutoEncoder, images: Tensor, ids_shuffle: Tensor) -> Encoded:
    """No positions are added."""
    kept, mask, ids_restore = random_masking(_projected(model, images), model.keep_length, ids_shuffle)
    return model.encoder(_with_class_token(model, kept)), mask, ids_restore


@misconception(
    f"{_FUNCTION}.positions-after-masking",
    happened="You add positions after masking: the kept patches, in shuffled order, get the first rows of the encoding "
    "instead of their own.",
    right="`encoder_position_encoding` should be added while all patches are in the image's order, before masking.",
)
def positions_after_masking(model: MaskedAutoEncoder, images: Tensor, ids_shuffle: Tensor) -> Encoded:
    """The first K positions are added to the kept patches."""
    kept, mask, ids_restore = random_masking(_projected(model, images), model.keep_length, ids_shuffle)
    kept = kept + model.encoder_position_encoding[:, : model.keep_length]
    return model.encoder(_with_class_token(model, kept)), mask, ids_restore


@misconception(
    f"{_FUNCTION}.positions-after-class-token",
    happened="You add positions at the very end, to the class token and the shuffled kept patches, so no patch gets "
    "its own.",
    right="`encoder_position_encoding` should be added to all patches before masking; the class token has no position "
    "here.",
)
def positions_after_class_token(model: MaskedAutoEncoder, images: Tensor, ids_shuffle: Tensor) -> Encoded:
    """The first K + 1 positions are added to the class token and the kept patches."""
    kept, mask, ids_restore = random_masking(_projected(model, images), model.keep_length, ids_shuffle)
    tokens = _with_class_token(model, kept)
    return model.encoder(tokens + model.encoder_position_encoding[:, : tokens.shape[1]]), mask, ids_restore


@misconception(
    f"{_FUNCTION}.positions-after-encoder",
    happened="You add positions to what comes out of the encoder, where attention can no longer see them.",
    right="`encoder_position_encoding` should be added to all projected patches before they are masked and encoded.",
)
def positions_after_encoder(model: MaskedAutoEncoder, images: Tensor, ids_shuffle: Tensor) -> Encoded:
    """The kept patches' own positions are added to the encoder's output."""
    kept, mask, ids_restore = random_masking(_projected(model, images), model.keep_length, ids_shuffle)
    positions = model.encoder_position_encoding.expand(len(images), -1, -1)
    kept_positions, _, _ = random_masking(positions, model.keep_length, ids_shuffle)
    encoded = model.encoder(_with_class_token(model, kept))
    return torch.cat([encoded[:, :1], encoded[:, 1:] + kept_positions], dim=1), mask, ids_restore


@misconception(
    f"{_FUNCTION}.class-token-last",
    happened="You put the class token after the kept patches.",
    right="The class token should come first: the decoder and the classifier look for it at index 0.",
    clues=(
        "cat",
        "hstack",
    ),
)
def class_token_last(model: MaskedAutoEncoder, images: Tensor, ids_shuffle: Tensor) -> Encoded:
    """The class token is appended."""
    kept, mask, ids_restore = _masked(model, images, ids_shuffle)
    cls_token = model.cls_token.expand(len(images), -1, -1)
    return model.encoder(torch.cat([kept, cls_token], dim=1)), mask, ids_restore


@misconception(
    f"{_FUNCTION}.class-token-missing",
    happened="There is no class token in what the encoder reads.",
    right="`cls_token` should be put before the kept patches, so that one token more comes back than patches are kept.",
    clues=("encoder",),
)
def class_token_missing(model: MaskedAutoEncoder, images: Tensor, ids_shuffle: Tensor) -> Encoded:
    """The encoder reads kept patches alone."""
    kept, mask, ids_restore = _masked(model, images, ids_shuffle)
    return model.encoder(kept), mask, ids_restore


@misconception(
    f"{_FUNCTION}.class-token-dropped",
    happened="You drop the class token from what the encoder gives.",
    right="The embeddings should come back with the class token first: the decoder reads it, too.",
    clues=(
        "1:",
        "return",
    ),
)
def class_token_dropped(model: MaskedAutoEncoder, images: Tensor, ids_shuffle: Tensor) -> Encoded:
    """The class token is encoded and then left out."""
    embeddings, mask, ids_restore = model.forward_encoder(images, ids_shuffle)
    return embeddings[:, 1:], mask, ids_restore


@misconception(
    f"{_FUNCTION}.nothing-masked",
    happened="The encoder reads all patches, the removed ones as well.",
    right="The encoder should read the kept patches alone, after the class token.",
    clues=(
        "encoder",
        "cat",
    ),
)
def nothing_masked(model: MaskedAutoEncoder, images: Tensor, ids_shuffle: Tensor) -> Encoded:
    """What random_masking kept is not used."""
    _, mask, ids_restore = _masked(model, images, ids_shuffle)
    return model.forward_encoder_representation(images), mask, ids_restore


@misconception(
    f"{_FUNCTION}.mask-inverted",
    happened="The `mask` that comes back is inverted: it is 1 where a patch was kept.",
    right="`mask` should be 1 exactly where a patch was removed, and 0 where it was kept.",
    clues=(
        "1 -",
        "return",
        "mask",
    ),
)
def mask_inverted(model: MaskedAutoEncoder, images: Tensor, ids_shuffle: Tensor) -> Encoded:
    """The mask is 1 for the patches that are kept."""
    embeddings, mask, ids_restore = model.forward_encoder(images, ids_shuffle)
    return embeddings, 1 - mask, ids_restore


@misconception(
    f"{_FUNCTION}.mask-shuffled",
    happened="The `mask` that comes back is in shuffled order: its zeros all stand first.",
    right="`mask` should be in the original order of the patches, which `ids_restore` brings back.",
    clues=("mask",),
)
def mask_shuffled(model: MaskedAutoEncoder, images: Tensor, ids_shuffle: Tensor) -> Encoded:
    """The mask is never brought back to the order of the patches."""
    embeddings, mask, ids_restore = model.forward_encoder(images, ids_shuffle)
    return embeddings, mask.sort(dim=1).values, ids_restore


@misconception(
    f"{_FUNCTION}.returns-ids-shuffle",
    happened="`ids_shuffle` comes back in the place of `ids_restore`.",
    right="`ids_restore` should be the inverse permutation of `ids_shuffle`, as `random_masking` returns it.",
    clues=("return",),
)
def returns_ids_shuffle(model: MaskedAutoEncoder, images: Tensor, ids_shuffle: Tensor) -> Encoded:
    """The third output is the permutation itself."""
    embeddings, mask, _ = model.forward_encoder(images, ids_shuffle)
    return embeddings, mask, ids_shuffle


@misconception(
    f"{_FUNCTION}.batch-as-sequence",
    mixes_images=True,
    before=with_swapped_axes("encoder"),
    happened="You swap batch and sequence before the encoder, so the images of a batch attend to each other instead of "
    "the tokens of an image.",
    right="The encoder is batch first: it should get tokens as they are, with the batch as the first axis.",
    clues=(
        "permute",
        "transpose",
        "swapaxes",
    ),
)
def batch_as_sequence(model: MaskedAutoEncoder, images: Tensor, ids_shuffle: Tensor) -> Encoded:
    """Tokens are permuted for an encoder that expects the sequence first."""
    kept, mask, ids_restore = _masked(model, images, ids_shuffle)
    tokens = _with_class_token(model, kept)
    return model.encoder(tokens.transpose(0, 1)).transpose(0, 1), mask, ids_restore


@misconception(
    f"{_FUNCTION}.encoder-left-out",
    before=without("encoder"),
    happened="The tokens come back without having gone through the encoder.",
    right="Class token and kept patches should go through `encoder`, and its output comes back.",
    clues=(
        "cat",
        "return",
    ),
)
def encoder_left_out(model: MaskedAutoEncoder, images: Tensor, ids_shuffle: Tensor) -> Encoded:
    """The encoder is not called."""
    kept, mask, ids_restore = _masked(model, images, ids_shuffle)
    return _with_class_token(model, kept), mask, ids_restore
