"""
Mistakes with `ClassificationViT.forward`.

Shapes: B images, N patches, D features.
"""

from __future__ import annotations

import torch
from torch import Tensor

from homework.misconceptions.catalogue import misconception
from homework.misconceptions.twins import with_swapped_axes, with_zero, without, without_norm
from reference.vision.patches import patchify
from reference.vision.vit import ClassificationViT

_FUNCTION = "ClassificationViT.forward"


def _patches(model: ClassificationViT, images: Tensor) -> Tensor:
    """(B, N, D): projected patches, without positions."""
    patches: Tensor = model.patch_projection(patchify(images, model.patch_size))
    return patches


def _transform(model: ClassificationViT, tokens: Tensor) -> Tensor:
    """(B, L, D) → (B, L, D), by the transformer."""
    result: Tensor = model.transformer(tokens)
    return result


def _head(model: ClassificationViT, tokens: Tensor) -> Tensor:
    """(…, D) → (…, classes), by the whole head."""
    result: Tensor = model.output_head(tokens)
    return result


def _class_tokens(model: ClassificationViT, images: Tensor) -> Tensor:
    """(B, 1, D): the class token for each image."""
    return model.cls_token.expand(len(images), -1, -1)


def _tokens(model: ClassificationViT, images: Tensor) -> Tensor:
    """(B, N + 1, D): what the transformer should read."""
    return torch.cat([_class_tokens(model, images), _patches(model, images)], dim=1) + model.position_encoding


def _encoded(model: ClassificationViT, images: Tensor) -> Tensor:
    """(B, N + 1, D): what the transformer should give."""
    return _transform(model, _tokens(model, images))


def _classified(model: ClassificationViT, tokens: Tensor, *, place: int = 0) -> Tensor:
    """Transform tokens and apply the head to the one in a place."""
    return _head(model, _transform(model, tokens)[:, place])


@misconception(
    f"{_FUNCTION}.no-positions",
    before=with_zero("position_encoding"),
    happened="The position encoding is not used: your model gives the same scores for any order of the patches.",
    right="`position_encoding` should be added to the tokens before they enter the transformer.",
    clues=(
        "position_encoding",
        "cat",
    ),
)
def no_positions(model: ClassificationViT, images: Tensor) -> Tensor:
    """No positions are added."""
    return _classified(model, torch.cat([_class_tokens(model, images), _patches(model, images)], dim=1))


@misconception(
    f"{_FUNCTION}.class-token-without-position",
    happened="The class token gets no position: you add positions to the patches alone.",
    right="`position_encoding` has a row for every token, and its first one should be added to the class token.",
    clues=("position_encoding",),
)
def class_token_without_position(model: ClassificationViT, images: Tensor) -> Tensor:
    """Positions 1 to N are added to the patches, and none to the class token."""
    patches = _patches(model, images) + model.position_encoding[:, 1:]
    return _classified(model, torch.cat([_class_tokens(model, images), patches], dim=1))


@misconception(
    f"{_FUNCTION}.positions-before-class-token",
    happened="You add the first rows of `position_encoding` to the patches before the class token is there, so each "
    "patch has the row meant for the one before it.",
    right="The class token should come first, and then each token gets its own row: the class token the first one, "
    "the first patch the second.",
    clues=("position_encoding",),
)
def positions_before_class_token(model: ClassificationViT, images: Tensor) -> Tensor:
    """Positions 0 to N - 1 are added to the patches, and none to the class token."""
    patches = _patches(model, images) + model.position_encoding[:, :-1]
    return _classified(model, torch.cat([_class_tokens(model, images), patches], dim=1))


@misconception(
    f"{_FUNCTION}.positions-after-transformer",
    happened="You add positions to what comes out of the transformer, where attention can no longer see them.",
    right="`position_encoding` should be added to the tokens before they enter the transformer.",
    clues=("position_encoding",),
)
def positions_after_transformer(model: ClassificationViT, images: Tensor) -> Tensor:
    """Positions are added to the transformer's output."""
    tokens = torch.cat([_class_tokens(model, images), _patches(model, images)], dim=1)
    return _head(model, (_transform(model, tokens) + model.position_encoding)[:, 0])


@misconception(
    f"{_FUNCTION}.class-token-last",
    happened="You put the class token after the patches, so every token gets the position of another one.",
    right="The class token should come first in the sequence; the first row of `position_encoding` is meant for it.",
    clues=("cat",),
)
def class_token_last(model: ClassificationViT, images: Tensor) -> Tensor:
    """The class token is appended and read at the end."""
    tokens = torch.cat([_patches(model, images), _class_tokens(model, images)], dim=1) + model.position_encoding
    return _classified(model, tokens, place=-1)


@misconception(
    f"{_FUNCTION}.class-token-last-patch-read",
    happened="You put the class token after the patches, but the head reads the first token, which is then a patch.",
    right="The class token should come first in the sequence, and the head reads it there.",
    clues=("cat",),
)
def class_token_last_patch_read(model: ClassificationViT, images: Tensor) -> Tensor:
    """The class token is appended, and the first patch is read."""
    tokens = torch.cat([_patches(model, images), _class_tokens(model, images)], dim=1) + model.position_encoding
    return _classified(model, tokens)


@misconception(
    f"{_FUNCTION}.class-token-zero",
    before=with_zero("cls_token"),
    happened="There are zeros where the class token should stand.",
    right="The learned parameter `cls_token` should come first in each image's sequence.",
    clues=(
        "zeros",
        "zeros_like",
    ),
)
def class_token_zero(model: ClassificationViT, images: Tensor) -> Tensor:
    """A vector of zeros stands for the class token."""
    cls_token = torch.zeros_like(_class_tokens(model, images))
    return _classified(model, torch.cat([cls_token, _patches(model, images)], dim=1) + model.position_encoding)


@misconception(
    f"{_FUNCTION}.batch-as-sequence",
    mixes_images=True,
    before=with_swapped_axes("transformer"),
    happened="You swap batch and sequence before the transformer, so the images of a batch attend to each other "
    "instead of the tokens of an image.",
    right="The transformer is batch first: it should get tokens as they are, with the batch as the first axis.",
    clues=(
        "permute",
        "transpose",
        "swapaxes",
    ),
)
def batch_as_sequence(model: ClassificationViT, images: Tensor) -> Tensor:
    """Tokens are permuted for a transformer that expects the sequence first."""
    encoded = _transform(model, _tokens(model, images).transpose(0, 1)).transpose(0, 1)
    return _head(model, encoded[:, 0])


@misconception(
    f"{_FUNCTION}.transformer-left-out",
    before=without("transformer"),
    happened="The head reads tokens that never went through the transformer.",
    right="The tokens should go through `transformer` first; without it the class token knows nothing of the image.",
    clues=("output_head",),
)
def transformer_left_out(model: ClassificationViT, images: Tensor) -> Tensor:
    """The transformer is not called."""
    return _head(model, _tokens(model, images)[:, 0])


@misconception(
    f"{_FUNCTION}.mean-of-tokens",
    happened="The head reads the mean of all tokens.",
    right="The head should read the class token alone, which stands first.",
    clues=(
        "mean",
        "sum",
    ),
)
def mean_of_tokens(model: ClassificationViT, images: Tensor) -> Tensor:
    """The head reads the mean over all N + 1 tokens."""
    return _head(model, _encoded(model, images).mean(dim=1))


@misconception(
    f"{_FUNCTION}.mean-of-patches",
    happened="The head reads the mean of the patches, without the class token.",
    right="The head should read the class token alone, which stands first.",
    clues=(
        "mean",
        "sum",
    ),
)
def mean_of_patches(model: ClassificationViT, images: Tensor) -> Tensor:
    """The head reads the mean over the N patches."""
    return _head(model, _encoded(model, images)[:, 1:].mean(dim=1))


@misconception(
    f"{_FUNCTION}.max-of-tokens",
    happened="The head reads the maximum over all tokens.",
    right="The head should read the class token alone, which stands first.",
    clues=(
        "max",
        "amax",
    ),
)
def max_of_tokens(model: ClassificationViT, images: Tensor) -> Tensor:
    """The head reads the maximum over all tokens, feature by feature."""
    return _head(model, _encoded(model, images).amax(dim=1))


@misconception(
    f"{_FUNCTION}.last-token-read",
    happened="The head reads the last token, which is a patch.",
    right="The head should read the class token, which stands first.",
    clues=(
        "-1]",
        "output_head",
    ),
)
def last_token_read(model: ClassificationViT, images: Tensor) -> Tensor:
    """The class token is first, and the last patch is read."""
    return _classified(model, _tokens(model, images), place=-1)


@misconception(
    f"{_FUNCTION}.first-patch-read",
    happened="The head reads the second token, which is the first patch.",
    right="The head should read the class token, which stands at index 0.",
    clues=(
        "1]",
        "output_head",
    ),
)
def first_patch_read(model: ClassificationViT, images: Tensor) -> Tensor:
    """The class token is first, and the first patch is read."""
    return _classified(model, _tokens(model, images), place=1)


@misconception(
    f"{_FUNCTION}.head-on-every-token",
    happened="The head is applied to every token, so there are scores for each of them.",
    right="There should be one row of scores for each image: the head reads the class token alone.",
    clues=("output_head",),
)
def head_on_every_token(model: ClassificationViT, images: Tensor) -> Tensor:
    """Logits come for each token."""
    return _head(model, _encoded(model, images))


@misconception(
    f"{_FUNCTION}.mean-of-scores",
    happened="The head is applied to every token, and the scores are averaged.",
    right="The head should read the class token alone, which stands first.",
    clues=(
        "mean",
        "sum",
    ),
)
def mean_of_scores(model: ClassificationViT, images: Tensor) -> Tensor:
    """Logits of all tokens are averaged."""
    return _head(model, _encoded(model, images)).mean(dim=1)


@misconception(
    f"{_FUNCTION}.head-without-norm",
    before=without_norm,
    happened="The head's linear layer is applied without the LayerNorm before it.",
    right="All of `output_head` should be applied: first its LayerNorm, then its linear layer.",
    clues=("output_head",),
)
def head_without_norm(model: ClassificationViT, images: Tensor) -> Tensor:
    """Only the second half of the head is applied."""
    logits: Tensor = model.output_head[1](_encoded(model, images)[:, 0])
    return logits


@misconception(
    f"{_FUNCTION}.softmax-applied",
    after=lambda logits: logits.softmax(dim=-1),
    happened="You return probabilities: a softmax was applied to the scores.",
    right="The scores should come back as they leave the head, because cross-entropy applies the softmax itself.",
    clues=(
        "softmax",
        "exp",
    ),
)
def softmax_applied(model: ClassificationViT, images: Tensor) -> Tensor:
    """Probabilities come instead of logits."""
    probabilities: Tensor = model(images).softmax(dim=-1)
    return probabilities
