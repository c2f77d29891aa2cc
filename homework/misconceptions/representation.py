"""
Mistakes with `MaskedAutoEncoder.forward_encoder_representation`.

Shapes: B images, N patches, D features of the encoder.
"""

from __future__ import annotations

import torch
from torch import Tensor

from homework.misconceptions.catalogue import misconception
from homework.misconceptions.twins import with_swapped_axes, with_zero, without
from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.patches import patchify

_FUNCTION = "MaskedAutoEncoder.forward_encoder_representation"


def _projected(model: MaskedAutoEncoder, images: Tensor) -> Tensor:
    """(B, N, D): projected patches, without positions."""
    patches: Tensor = model.encoder_input_projection(patchify(images, model.patch_size))
    return patches


def _encode(model: MaskedAutoEncoder, tokens: Tensor) -> Tensor:
    """(B, L, D) → (B, L, D), by the encoder."""
    result: Tensor = model.encoder(tokens)
    return result


def _class_tokens(model: MaskedAutoEncoder, images: Tensor) -> Tensor:
    """(B, 1, D): the class token for each image."""
    return model.cls_token.expand(len(images), -1, -1)


def _tokens(model: MaskedAutoEncoder, images: Tensor) -> Tensor:
    """(B, N + 1, D): what the encoder should read."""
    patches = _projected(model, images) + model.encoder_position_encoding
    return torch.cat([_class_tokens(model, images), patches], dim=1)


@misconception(
    f"{_FUNCTION}.no-positions",
    before=with_zero("encoder_position_encoding"),
    happened="The encoder's position encoding is not used here.",
    right="`encoder_position_encoding` should be added to the projected patches, as in `forward_encoder`.",
    clues=(
        "encoder_position_encoding",
        "cat",
        "hstack",
    ),
)
def no_positions(model: MaskedAutoEncoder, images: Tensor) -> Tensor:
    """No positions are added."""
    return _encode(model, torch.cat([_class_tokens(model, images), _projected(model, images)], dim=1))


@misconception(
    f"{_FUNCTION}.positions-after-encoder",
    happened="You add positions to what comes out of the encoder, where attention can no longer see them.",
    right="`encoder_position_encoding` should be added to the projected patches before they enter the encoder.",
    clues=("encoder_position_encoding",),
)
def positions_after_encoder(model: MaskedAutoEncoder, images: Tensor) -> Tensor:
    """Positions are added to the encoded patches."""
    encoded = no_positions(model, images)
    return torch.cat([encoded[:, :1], encoded[:, 1:] + model.encoder_position_encoding], dim=1)


@misconception(
    f"{_FUNCTION}.class-token-last",
    happened="You put the class token after the patches.",
    right="The class token should come first: the classifier looks for it at index 0.",
    clues=("cat",),
)
def class_token_last(model: MaskedAutoEncoder, images: Tensor) -> Tensor:
    """The class token is appended."""
    return _encode(model, _tokens(model, images).roll(-1, dims=1))


@misconception(
    f"{_FUNCTION}.class-token-missing",
    happened="There is no class token in what the encoder reads.",
    right="`cls_token` should be put before the patches, so that one token more comes back than there are patches.",
    clues=("encoder",),
)
def class_token_missing(model: MaskedAutoEncoder, images: Tensor) -> Tensor:
    """The encoder reads patches alone."""
    return _encode(model, _tokens(model, images)[:, 1:])


@misconception(
    f"{_FUNCTION}.class-token-dropped",
    after=lambda tokens: tokens[:, 1:],
    happened="You drop the class token from what the encoder gives.",
    right="The representation should come back with the class token first: the classifier reads it.",
    clues=(
        "1:",
        "return",
    ),
)
def class_token_dropped(model: MaskedAutoEncoder, images: Tensor) -> Tensor:
    """The class token is encoded and then left out."""
    return model.forward_encoder_representation(images)[:, 1:]


@misconception(
    f"{_FUNCTION}.class-token-only",
    after=lambda tokens: tokens[:, 0],
    happened="Only the class token comes back.",
    right="All tokens should come back, the class token first; the classifier picks what it needs.",
    clues=(
        "0]",
        "return",
    ),
)
def class_token_only(model: MaskedAutoEncoder, images: Tensor) -> Tensor:
    """The sequence is reduced to its first token."""
    return model.forward_encoder_representation(images)[:, 0]


@misconception(
    f"{_FUNCTION}.mean-of-tokens",
    after=lambda tokens: tokens.mean(dim=1),
    happened="The mean of all tokens comes back.",
    right="All tokens should come back as the encoder gives them, the class token first.",
    clues=(
        "mean",
        "return",
    ),
)
def mean_of_tokens(model: MaskedAutoEncoder, images: Tensor) -> Tensor:
    """The sequence is averaged."""
    return model.forward_encoder_representation(images).mean(dim=1)


@misconception(
    f"{_FUNCTION}.patches-removed",
    happened="The first patches alone are encoded, as many as are kept in training.",
    right="Nothing should be masked here: the encoder reads every patch.",
    clues=(
        "keep_length",
        "random_masking",
    ),
)
def patches_removed(model: MaskedAutoEncoder, images: Tensor) -> Tensor:
    """The encoder reads the first K patches."""
    return _encode(model, _tokens(model, images)[:, : model.keep_length + 1])


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
def batch_as_sequence(model: MaskedAutoEncoder, images: Tensor) -> Tensor:
    """Tokens are permuted for an encoder that expects the sequence first."""
    return _encode(model, _tokens(model, images).transpose(0, 1)).transpose(0, 1)


@misconception(
    f"{_FUNCTION}.encoder-left-out",
    before=without("encoder"),
    happened="The tokens come back without having gone through the encoder.",
    right="Class token and patches should go through `encoder`, and its output comes back.",
    clues=(
        "cat",
        "return",
    ),
)
def encoder_left_out(model: MaskedAutoEncoder, images: Tensor) -> Tensor:
    """The encoder is not called."""
    return _tokens(model, images)
