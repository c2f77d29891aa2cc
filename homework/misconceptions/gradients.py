"""
Mistakes of the vision half that leave the values right: where the gradient is cut or not, what changes in place.

Shapes: B images, N patches of which K are kept, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
from torch import Tensor, nn

from grader.checks.exam import CaseAnswer, Check, Exam
from grader.checks.judges import changed_inputs
from grader.wire import Array
from homework.misconceptions.catalogue import misconception, recognised
from homework.misconceptions.twins import twin
from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.classifier import ClassificationMAE
from reference.vision.masking import random_masking, restore_masked
from reference.vision.vit import ClassificationViT

_GRADIENT, _BEHAVIOUR = ("gradient",), ("behaviour",)
_CUTS = ("detach", "data", "no_grad", "numpy", "item")
_VIT, _CLASSIFIER = "ClassificationViT.forward", "ClassificationMAE.forward"
_ENCODER, _DECODER = "MaskedAutoEncoder.forward_encoder", "MaskedAutoEncoder.forward_decoder"
_REPRESENTATION = "MaskedAutoEncoder.forward_encoder_representation"
AnyModule = TypeVar("AnyModule", bound=nn.Module)


def _constant(module: AnyModule, *names: str) -> AnyModule:
    """Return a twin of a module in which some parameters are constants."""
    return twin(module, **{name: getattr(module, name).detach() for name in names})


@misconception(
    f"{_VIT}.positions-detached",
    happened="The scores are right, but no gradient reaches `position_encoding`, so positions are never learned.",
    right="`position_encoding` should be added as the parameter that it is, not as a copy of its values.",
    aspects=_GRADIENT,
    clues=("position_encoding",),
)
def vit_positions_detached(model: ClassificationViT, images: Tensor) -> Tensor:
    """Positions are added as constants."""
    logits: Tensor = _constant(model, "position_encoding")(images)
    return logits


@misconception(
    f"{_VIT}.class-token-detached",
    happened="The scores are right, but no gradient reaches `cls_token`, so it is never learned.",
    right="`cls_token` should be expanded and joined as the parameter that it is, not as a copy of its values.",
    aspects=_GRADIENT,
    clues=("cls_token",),
)
def vit_class_token_detached(model: ClassificationViT, images: Tensor) -> Tensor:
    """The class token is a constant."""
    logits: Tensor = _constant(model, "cls_token")(images)
    return logits


@misconception(
    f"{_VIT}.head-alone-learns",
    happened="The scores are right, but the gradient ends at the head: nothing before it is learned.",
    right="The token that the head reads should keep its graph; only the linear probe of a later part cuts it.",
    aspects=_GRADIENT,
    clues=_CUTS,
)
def vit_head_alone_learns(model: ClassificationViT, images: Tensor) -> Tensor:
    """What the transformer gives is detached."""
    head = model.output_head
    tokens = twin(model, output_head=nn.Identity())(images)
    logits: Tensor = head(tokens.detach())
    return logits


@misconception(
    f"{_VIT}.no-gradient",
    happened="The scores are right, but they have no gradient at all.",
    right="Everything from the images to the scores should be computed with gradients, or nothing is learned.",
    aspects=_GRADIENT,
    clues=_CUTS,
)
def vit_no_gradient(model: ClassificationViT, images: Tensor) -> Tensor:
    """The forward pass runs without gradients."""
    logits: Tensor = model(images)
    return logits.detach()


@misconception(
    "random_masking.kept-detached",
    happened="The values are right, but no gradient goes from `kept` back to `x`.",
    right="`kept` should be picked from `x` itself, so that what is learned reaches the projection before it.",
    aspects=_GRADIENT,
    clues=_CUTS,
)
def kept_detached(x: Tensor, keep_length: int, ids_shuffle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Kept patches are cut off from x."""
    kept, mask, ids_restore = random_masking(x, keep_length, ids_shuffle)
    return kept.detach(), mask, ids_restore


@misconception(
    "restore_masked.detached",
    happened="The values are right, but no gradient goes back to `kept_x` and `masked_x`.",
    right="The result should be made of `kept_x` and `masked_x` themselves, not of copies of their values.",
    aspects=_GRADIENT,
    clues=(*_CUTS, "tensor", "zeros", "empty"),
)
def restored_detached(kept_x: Tensor, masked_x: Tensor, ids_restore: Tensor) -> Tensor:
    """The restored sequence is cut off from both parts."""
    return restore_masked(kept_x, masked_x, ids_restore).detach()


@misconception(
    "restore_masked.masked-ones-detached",
    happened="The values are right, but no gradient goes back to `masked_x`, so the mask tokens are never learned.",
    right="`masked_x` should be joined as it is, with its graph.",
    aspects=_GRADIENT,
    clues=("masked_x", *_CUTS),
)
def masked_ones_detached(kept_x: Tensor, masked_x: Tensor, ids_restore: Tensor) -> Tensor:
    """Masked patches are constants."""
    return restore_masked(kept_x, masked_x.detach(), ids_restore)


@misconception(
    f"{_ENCODER}.no-gradient",
    happened="The values are right, but the embeddings have no gradient at all.",
    right="Everything from the images on should be computed with gradients, or the encoder never learns.",
    aspects=_GRADIENT,
    clues=_CUTS,
)
def encoder_no_gradient(model: MaskedAutoEncoder, images: Tensor, ids_shuffle: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The encoder runs without gradients."""
    embeddings, mask, ids_restore = model.forward_encoder(images, ids_shuffle)
    return embeddings.detach(), mask, ids_restore


@misconception(
    f"{_ENCODER}.positions-detached",
    happened="The values are right, but no gradient reaches `encoder_position_encoding`.",
    right="`encoder_position_encoding` should be added as the parameter that it is, not as a copy of its values.",
    aspects=_GRADIENT,
    clues=("encoder_position_encoding",),
)
def encoder_positions_detached(
    model: MaskedAutoEncoder, images: Tensor, ids_shuffle: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Positions are added as constants."""
    return _constant(model, "encoder_position_encoding").forward_encoder(images, ids_shuffle)


@misconception(
    f"{_ENCODER}.class-token-detached",
    happened="The values are right, but no gradient reaches `cls_token`.",
    right="`cls_token` should be expanded and joined as the parameter that it is, not as a copy of its values.",
    aspects=_GRADIENT,
    clues=("cls_token",),
)
def encoder_class_token_detached(
    model: MaskedAutoEncoder, images: Tensor, ids_shuffle: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """The class token is a constant."""
    return _constant(model, "cls_token").forward_encoder(images, ids_shuffle)


@misconception(
    f"{_DECODER}.mask-tokens-detached",
    happened="The values are right, but no gradient reaches `masked_tokens`, so they stay as they were drawn.",
    right="`masked_tokens` should be expanded as the parameter that it is, not as a copy of its values.",
    aspects=_GRADIENT,
    clues=("masked_tokens",),
)
def mask_tokens_detached(model: MaskedAutoEncoder, encoder_embeddings: Tensor, ids_restore: Tensor) -> Tensor:
    """Mask tokens are constants."""
    return _constant(model, "masked_tokens").forward_decoder(encoder_embeddings, ids_restore)


@misconception(
    f"{_DECODER}.positions-detached",
    happened="The values are right, but no gradient reaches `decoder_position_encoding`.",
    right="`decoder_position_encoding` should be added as the parameter that it is, not as a copy of its values.",
    aspects=_GRADIENT,
    clues=("decoder_position_encoding",),
)
def decoder_positions_detached(model: MaskedAutoEncoder, encoder_embeddings: Tensor, ids_restore: Tensor) -> Tensor:
    """Positions are added as constants."""
    return _constant(model, "decoder_position_encoding").forward_decoder(encoder_embeddings, ids_restore)


@misconception(
    f"{_DECODER}.embeddings-detached",
    happened="The values are right, but no gradient goes back to the embeddings, so the encoder would learn nothing.",
    right="The decoder should work on the embeddings as they are: encoder and decoder are trained together.",
    aspects=_GRADIENT,
    clues=("encoder_embeddings", *_CUTS),
)
def embeddings_detached(model: MaskedAutoEncoder, encoder_embeddings: Tensor, ids_restore: Tensor) -> Tensor:
    """The embeddings are constants."""
    return model.forward_decoder(encoder_embeddings.detach(), ids_restore)


@misconception(
    f"{_REPRESENTATION}.no-gradient",
    happened="The values are right, but the representation has no gradient at all, so nothing could be fine-tuned.",
    right="The representation should be computed with gradients; the linear probe cuts them by itself.",
    aspects=_GRADIENT,
    clues=_CUTS,
)
def representation_no_gradient(model: MaskedAutoEncoder, images: Tensor) -> Tensor:
    """The encoder runs without gradients."""
    return model.forward_encoder_representation(images).detach()


@misconception(
    f"{_CLASSIFIER}.always-detached",
    happened="Without `detach`, no gradient reaches the autoencoder, so nothing is fine-tuned.",
    right="The graph should be cut only where `detach` is true.",
    aspects=_GRADIENT,
    clues=("detach", "no_grad", "data"),
)
def always_detached(model: ClassificationMAE, images: Tensor) -> Tensor:
    """The representation is cut off whatever `detach` says."""
    logits: Tensor = model.output_head(model.mae.forward_encoder_representation(images)[:, 0].detach())
    return logits


@misconception(
    f"{_CLASSIFIER}.head-detached",
    happened="The scores are right, but they have no gradient at all.",
    right="The head should learn in any case; only the path to the autoencoder may be cut.",
    aspects=("gradient", "behaviour"),
    clues=_CUTS,
)
def head_detached(model: ClassificationMAE, images: Tensor) -> Tensor:
    """The logits are detached, the head's part included."""
    logits: Tensor = model(images)
    return logits.detach()


@misconception(
    f"{_CLASSIFIER}.detach-ignored",
    happened="With `detach`, the whole autoencoder gets its gradient, as in fine-tuning.",
    right="A linear probe trains the head alone: where `detach` is true, the graph should be cut before the head.",
    aspects=_BEHAVIOUR,
    clues=("detach", "forward_encoder_representation"),
)
def detach_ignored(model: ClassificationMAE, images: Tensor) -> Tensor:
    """The linear probe fine-tunes."""
    logits: Tensor = model.output_head(model.mae.forward_encoder_representation(images)[:, 0])
    return logits


@recognised(
    "random_masking.changes-x",
    happened="Your function writes into its argument `x`.",
    right="`x` should be after the call what it was before: new tensors hold what is new.",
    aspects=_BEHAVIOUR,
    clues=("x[", "x.data", "x.", "_("),
)
def changes_x(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> bool:
    """The argument x is written to."""
    return changed_inputs(exam, answers) == ["x"]


@recognised(
    "random_masking.changes-ids-shuffle",
    happened="Your function writes into its argument `ids_shuffle`.",
    right="`ids_shuffle` should be after the call what it was before; its inverse belongs in a tensor of its own.",
    aspects=_BEHAVIOUR,
    clues=("ids_shuffle.", "ids_shuffle[", "ids_shuffle"),
)
def changes_ids_shuffle(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> bool:
    """The argument ids_shuffle is written to."""
    return changed_inputs(exam, answers) == ["ids_shuffle"]


def _restores(answers: Sequence[CaseAnswer]) -> Array | None:
    """(calls, B, N): ids_restore of every call without ids_shuffle; None where one is not there."""
    found = [answer.get("ids_restore") for answer in answers]
    if (
        any(each is None or each.ndim != 2 for each in found)
        or len({each.shape for each in found if each is not None}) > 1
    ):
        return None
    return np.stack([each for each in found if each is not None])


@recognised(
    f"{_ENCODER}.fixed-order",
    happened="Without `ids_shuffle`, your patches are not shuffled: always the first ones of the image are kept.",
    right="A new random permutation should be drawn for each image in each call.",
    aspects=_BEHAVIOUR,
    clues=("ids_shuffle",),
)
def fixed_order(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> bool:
    """Without ids_shuffle, the patches stay in order."""
    restores = _restores(answers)
    return restores is not None and bool(np.all(restores == np.arange(restores.shape[-1])))


@recognised(
    f"{_ENCODER}.one-order-for-all-images",
    happened="Without `ids_shuffle`, all images of a batch are masked in the same way.",
    right="Each image of the batch should get a permutation of its own.",
    aspects=_BEHAVIOUR,
    clues=("randperm", "rand", "expand", "repeat"),
)
def one_order_for_all_images(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> bool:
    """Without ids_shuffle, one random permutation serves the whole batch."""
    restores = _restores(answers)
    if restores is None or fixed_order(check, exam, answers):
        return False
    return bool(np.all(restores == restores[:, :1])) and len(np.unique(restores[:, 0], axis=0)) == len(restores)


@recognised(
    f"{_ENCODER}.seeded",
    happened="Without `ids_shuffle`, every call masks in the same way: something sets the seed again, or the "
    "permutation is drawn once and kept.",
    right="A new permutation should be drawn in every call, without setting a seed.",
    aspects=_BEHAVIOUR,
    clues=("seed", "Generator", "rand"),
)
def seeded(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> bool:
    """Without ids_shuffle, each image has its own permutation, the same in every call."""
    restores = _restores(answers)
    if restores is None:
        return False
    return bool(np.all(restores == restores[:1])) and len(np.unique(restores[0], axis=0)) == restores.shape[1]
