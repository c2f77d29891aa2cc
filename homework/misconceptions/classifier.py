"""
Mistakes with `ClassificationMAE.forward`.

Shapes: B images, N patches, D features of the encoder.
"""

from __future__ import annotations

from torch import Tensor

from homework.misconceptions.catalogue import misconception
from homework.misconceptions.twins import without_norm
from reference.vision.classifier import ClassificationMAE

_FUNCTION = "ClassificationMAE.forward"


def _tokens(model: ClassificationMAE, images: Tensor) -> Tensor:
    """(B, N + 1, D): the autoencoder's representation."""
    return model.mae.forward_encoder_representation(images)


def _head(model: ClassificationMAE, tokens: Tensor) -> Tensor:
    """(…, D) → (…, classes), by the whole head."""
    result: Tensor = model.output_head(tokens)
    return result


@misconception(
    f"{_FUNCTION}.mean-of-tokens",
    happened="The head reads the mean of all tokens.",
    right="The head should read the class token alone, at index 0 of the representation.",
    clues=(
        "mean",
        "sum",
    ),
)
def mean_of_tokens(model: ClassificationMAE, images: Tensor) -> Tensor:
    """The head reads the mean over all N + 1 tokens."""
    return _head(model, _tokens(model, images).mean(dim=1))


@misconception(
    f"{_FUNCTION}.mean-of-patches",
    happened="The head reads the mean of the patches, without the class token.",
    right="The head should read the class token alone, at index 0 of the representation.",
    clues=(
        "mean",
        "sum",
    ),
)
def mean_of_patches(model: ClassificationMAE, images: Tensor) -> Tensor:
    """The head reads the mean over the N patches."""
    return _head(model, _tokens(model, images)[:, 1:].mean(dim=1))


@misconception(
    f"{_FUNCTION}.max-of-tokens",
    happened="The head reads the maximum over all tokens.",
    right="The head should read the class token alone, at index 0 of the representation.",
    clues=(
        "max",
        "amax",
    ),
)
def max_of_tokens(model: ClassificationMAE, images: Tensor) -> Tensor:
    """The head reads the maximum over all tokens, feature by feature."""
    return _head(model, _tokens(model, images).amax(dim=1))


@misconception(
    f"{_FUNCTION}.last-token-read",
    happened="The head reads the last token, which is a patch.",
    right="The head should read the class token, at index 0 of the representation.",
    clues=(
        "-1]",
        "forward_encoder_representation",
    ),
)
def last_token_read(model: ClassificationMAE, images: Tensor) -> Tensor:
    """The last patch is read."""
    return _head(model, _tokens(model, images)[:, -1])


@misconception(
    f"{_FUNCTION}.first-patch-read",
    happened="The head reads the second token, which is the first patch.",
    right="The head should read the class token, at index 0 of the representation.",
    clues=(
        "1]",
        "forward_encoder_representation",
    ),
)
def first_patch_read(model: ClassificationMAE, images: Tensor) -> Tensor:
    """The first patch is read."""
    return _head(model, _tokens(model, images)[:, 1])


@misconception(
    f"{_FUNCTION}.head-on-every-token",
    happened="The head is applied to every token, so there are scores for each of them.",
    right="There should be one row of scores for each image: the head reads the class token alone.",
    clues=("output_head",),
)
def head_on_every_token(model: ClassificationMAE, images: Tensor) -> Tensor:
    """Logits come for each token."""
    return _head(model, _tokens(model, images))


@misconception(
    f"{_FUNCTION}.mean-of-scores",
    happened="The head is applied to every token, and the scores are averaged.",
    right="The head should read the class token alone, at index 0 of the representation.",
    clues=(
        "mean",
        "sum",
    ),
)
def mean_of_scores(model: ClassificationMAE, images: Tensor) -> Tensor:
    """Logits of all tokens are averaged."""
    return _head(model, _tokens(model, images)).mean(dim=1)


@misconception(
    f"{_FUNCTION}.head-without-norm",
    before=without_norm,
    happened="The head's linear layer is applied without the LayerNorm before it.",
    right="All of `output_head` should be applied: first its LayerNorm, then its linear layer.",
    clues=("output_head",),
)
def head_without_norm(model: ClassificationMAE, images: Tensor) -> Tensor:
    """Only the second half of the head is applied."""
    logits: Tensor = model.output_head[1](_tokens(model, images)[:, 0])
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
def softmax_applied(model: ClassificationMAE, images: Tensor) -> Tensor:
    """Probabilities come instead of logits."""
    probabilities: Tensor = model(images).softmax(dim=-1)
    return probabilities
