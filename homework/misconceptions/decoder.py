"""
Mistakes with `MaskedAutoEncoder.forward_decoder`.

Shapes: B images, N patches of which K are kept, D features of the decoder, p the patch size.
"""

from __future__ import annotations

import torch
from torch import Tensor

from homework.misconceptions.catalogue import misconception
from homework.misconceptions.twins import with_swapped_axes, with_zero, without
from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.masking import index_sequence, restore_masked

_FUNCTION = "MaskedAutoEncoder.forward_decoder"


def _parts(model: MaskedAutoEncoder, embeddings: Tensor, ids_restore: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the class token (B, 1, D), kept patches (B, K, D) and mask tokens (B, N - K, D), projected."""
    tokens = model.decoder_input_projection(embeddings)
    n_masked = ids_restore.shape[1] + 1 - tokens.shape[1]
    return tokens[:, :1], tokens[:, 1:], model.masked_tokens.expand(len(tokens), n_masked, -1)


def _decode(model: MaskedAutoEncoder, tokens: Tensor) -> Tensor:
    """(B, L, D) → (B, L, D), by the decoder."""
    result: Tensor = model.decoder(tokens)
    return result


def _to_pixels(model: MaskedAutoEncoder, tokens: Tensor) -> Tensor:
    """(B, L, D) → (B, L, 3 p p), by the last projection."""
    result: Tensor = model.decoder_output_projection(tokens)
    return result


def _decoded(model: MaskedAutoEncoder, cls_token: Tensor, patches: Tensor) -> Tensor:
    """(B, N, D): what the decoder gives for patches (B, N, D) that have their positions."""
    return _decode(model, torch.cat([cls_token, patches], dim=1))[:, 1:]


def _predicted(model: MaskedAutoEncoder, cls_token: Tensor, patches: Tensor) -> Tensor:
    """(B, N, 3 p p): the prediction for restored patches (B, N, D), which get their positions here."""
    decoded = _decoded(model, cls_token, patches + model.decoder_position_encoding)
    return _to_pixels(model, decoded)


@misconception(
    f"{_FUNCTION}.zeros-for-mask-tokens",
    before=with_zero("masked_tokens"),
    happened="You fill the places of removed patches with zeros.",
    right="The learned parameter `masked_tokens` should stand in each of those places.",
    clues=(
        "zeros",
        "zeros_like",
        "new_zeros",
    ),
)
def zeros_for_mask_tokens(model: MaskedAutoEncoder, encoder_embeddings: Tensor, ids_restore: Tensor) -> Tensor:
    """Zeros stand for removed patches."""
    cls_token, kept, masked = _parts(model, encoder_embeddings, ids_restore)
    return _predicted(model, cls_token, restore_masked(kept, torch.zeros_like(masked), ids_restore))


@misconception(
    f"{_FUNCTION}.no-positions",
    before=with_zero("decoder_position_encoding"),
    happened="The decoder's position encoding is not used, so all removed patches look alike to the decoder.",
    right="`decoder_position_encoding` should be added to the patches once they are back in their original order.",
    clues=(
        "decoder_position_encoding",
        "restore_masked",
    ),
)
def no_positions(model: MaskedAutoEncoder, encoder_embeddings: Tensor, ids_restore: Tensor) -> Tensor:
    """No positions are added."""
    cls_token, kept, masked = _parts(model, encoder_embeddings, ids_restore)
    decoded = _decoded(model, cls_token, restore_masked(kept, masked, ids_restore))
    return _to_pixels(model, decoded)


@misconception(
    f"{_FUNCTION}.positions-before-restoring",
    happened="You add positions while the patches are still in shuffled order, so they get those of other patches.",
    right="The original order should be restored first, and then `decoder_position_encoding` added.",
    clues=("decoder_position_encoding",),
)
def positions_before_restoring(model: MaskedAutoEncoder, encoder_embeddings: Tensor, ids_restore: Tensor) -> Tensor:
    """Positions are added to kept patches and mask tokens before they are re-ordered."""
    cls_token, kept, masked = _parts(model, encoder_embeddings, ids_restore)
    shuffled = torch.cat([kept, masked], dim=1) + model.decoder_position_encoding
    return _to_pixels(model, _decoded(model, cls_token, index_sequence(shuffled, ids_restore)))


@misconception(
    f"{_FUNCTION}.positions-on-kept-only",
    happened="Only the kept patches get positions: the mask tokens enter the decoder without any.",
    right="`decoder_position_encoding` should be added to all patches, because it alone tells the mask tokens apart.",
    clues=("decoder_position_encoding",),
)
def positions_on_kept_only(model: MaskedAutoEncoder, encoder_embeddings: Tensor, ids_restore: Tensor) -> Tensor:
    """Mask tokens get no positions."""
    cls_token, kept, masked = _parts(model, encoder_embeddings, ids_restore)
    was_kept = (ids_restore < kept.shape[1]).unsqueeze(-1)
    patches = restore_masked(kept, masked, ids_restore) + model.decoder_position_encoding * was_kept
    return _to_pixels(model, _decoded(model, cls_token, patches))


@misconception(
    f"{_FUNCTION}.mask-tokens-first",
    happened="You put the mask tokens before the kept patches when you restore the order.",
    right="The kept patches should come first, as they do in shuffled order; `ids_restore` counts on that.",
    clues=(
        "restore_masked",
        "cat",
    ),
)
def mask_tokens_first(model: MaskedAutoEncoder, encoder_embeddings: Tensor, ids_restore: Tensor) -> Tensor:
    """Mask tokens and kept patches are joined the wrong way round."""
    cls_token, kept, masked = _parts(model, encoder_embeddings, ids_restore)
    return _predicted(model, cls_token, restore_masked(masked, kept, ids_restore))


@misconception(
    f"{_FUNCTION}.order-not-restored",
    happened="The patches stay in shuffled order: the mask tokens are only appended to the kept patches.",
    right="The joined sequence should be brought back to the original order before positions are added.",
    clues=("cat",),
)
def order_not_restored(model: MaskedAutoEncoder, encoder_embeddings: Tensor, ids_restore: Tensor) -> Tensor:
    """Kept patches and mask tokens are joined and left in shuffled order."""
    cls_token, kept, masked = _parts(model, encoder_embeddings, ids_restore)
    return _predicted(model, cls_token, torch.cat([kept, masked], dim=1))


@misconception(
    f"{_FUNCTION}.inverse-permutation",
    before=lambda model, tokens, ids: (model, tokens, torch.argsort(ids, dim=1)),
    happened="The patches are re-ordered by the inverse of `ids_restore`, so they end up in wrong places.",
    right="Each place of the restored sequence should hold the element that `ids_restore` names there.",
    clues=("ids_restore",),
)
def inverse_permutation(model: MaskedAutoEncoder, encoder_embeddings: Tensor, ids_restore: Tensor) -> Tensor:
    """The permutation ids_restore is inverted once more."""
    cls_token, kept, masked = _parts(model, encoder_embeddings, ids_restore)
    return _predicted(model, cls_token, restore_masked(kept, masked, torch.argsort(ids_restore, dim=1)))


@misconception(
    f"{_FUNCTION}.class-token-taken-for-a-patch",
    happened="The class token is still in the sequence when you restore the order, so every patch is taken from "
    "one place too early.",
    right="The class token should be set aside first, and put in front again after the order is restored.",
    clues=(
        "restore_masked",
        "ids_restore",
    ),
)
def class_token_taken_for_a_patch(model: MaskedAutoEncoder, encoder_embeddings: Tensor, ids_restore: Tensor) -> Tensor:
    """The class token is re-ordered with the patches, and the last mask token falls off."""
    cls_token, kept, masked = _parts(model, encoder_embeddings, ids_restore)
    patches = index_sequence(torch.cat([cls_token, kept, masked], dim=1), ids_restore)
    decoded = _decode(model, patches + model.decoder_position_encoding)
    return _to_pixels(model, decoded)


@misconception(
    f"{_FUNCTION}.class-token-not-decoded",
    happened="The decoder reads the patches alone: the class token is set aside and never put back.",
    right="The class token should stand first again in what the decoder reads, and be dropped from what it gives.",
    clues=("decoder",),
)
def class_token_not_decoded(model: MaskedAutoEncoder, encoder_embeddings: Tensor, ids_restore: Tensor) -> Tensor:
    """The class token does not enter the decoder."""
    _, kept, masked = _parts(model, encoder_embeddings, ids_restore)
    patches = restore_masked(kept, masked, ids_restore) + model.decoder_position_encoding
    return _to_pixels(model, _decode(model, patches))


@misconception(
    f"{_FUNCTION}.class-token-not-dropped",
    happened="The class token is left in the result, so there is one prediction too many.",
    right="The class token should be dropped after the decoder: there is one prediction for each patch.",
    clues=("decoder_output_projection",),
)
def class_token_not_dropped(model: MaskedAutoEncoder, encoder_embeddings: Tensor, ids_restore: Tensor) -> Tensor:
    """The prediction has N + 1 rows."""
    cls_token, kept, masked = _parts(model, encoder_embeddings, ids_restore)
    patches = restore_masked(kept, masked, ids_restore) + model.decoder_position_encoding
    decoded = _decode(model, torch.cat([cls_token, patches], dim=1))
    return _to_pixels(model, decoded)


@misconception(
    f"{_FUNCTION}.last-token-dropped",
    happened="You drop the last token after the decoder, so the class token stands where the first patch should.",
    right="The class token stands first and should be the one that is dropped.",
    clues=(
        ":-1",
        "decoder_output_projection",
    ),
)
def last_token_dropped(model: MaskedAutoEncoder, encoder_embeddings: Tensor, ids_restore: Tensor) -> Tensor:
    """The last patch is dropped in place of the class token."""
    predicted = class_token_not_dropped(model, encoder_embeddings, ids_restore)
    return predicted[:, :-1]


@misconception(
    f"{_FUNCTION}.class-token-last",
    happened="You put the class token after the patches but drop the first token, which is then a patch.",
    right="The class token should come first in what the decoder reads, and be dropped from there.",
    clues=("cat",),
)
def class_token_last(model: MaskedAutoEncoder, encoder_embeddings: Tensor, ids_restore: Tensor) -> Tensor:
    """The class token is appended, and the first patch is dropped."""
    cls_token, kept, masked = _parts(model, encoder_embeddings, ids_restore)
    patches = restore_masked(kept, masked, ids_restore) + model.decoder_position_encoding
    decoded = _decode(model, torch.cat([patches, cls_token], dim=1))[:, 1:]
    return _to_pixels(model, decoded)


@misconception(
    f"{_FUNCTION}.batch-as-sequence",
    mixes_images=True,
    before=with_swapped_axes("decoder"),
    happened="You swap batch and sequence before the decoder, so the images of a batch attend to each other instead of "
    "the tokens of an image.",
    right="The decoder is batch first: it should get tokens as they are, with the batch as the first axis.",
    clues=(
        "permute",
        "transpose",
        "swapaxes",
    ),
)
def batch_as_sequence(model: MaskedAutoEncoder, encoder_embeddings: Tensor, ids_restore: Tensor) -> Tensor:
    """Tokens are permuted for a decoder that expects the sequence first."""
    cls_token, kept, masked = _parts(model, encoder_embeddings, ids_restore)
    patches = restore_masked(kept, masked, ids_restore) + model.decoder_position_encoding
    tokens = torch.cat([cls_token, patches], dim=1)
    decoded = _decode(model, tokens.transpose(0, 1)).transpose(0, 1)[:, 1:]
    return _to_pixels(model, decoded)


@misconception(
    f"{_FUNCTION}.decoder-left-out",
    before=without("decoder"),
    happened="The patches are projected to pixels without having gone through the decoder.",
    right="Class token and patches should go through `decoder` before `decoder_output_projection`.",
    clues=("decoder_output_projection",),
)
def decoder_left_out(model: MaskedAutoEncoder, encoder_embeddings: Tensor, ids_restore: Tensor) -> Tensor:
    """The decoder is not called."""
    _, kept, masked = _parts(model, encoder_embeddings, ids_restore)
    patches = restore_masked(kept, masked, ids_restore) + model.decoder_position_encoding
    return _to_pixels(model, patches)


@misconception(
    f"{_FUNCTION}.not-projected-to-pixels",
    before=without("decoder_output_projection"),
    happened="What comes back is as wide as the decoder: it was not projected to pixels.",
    right="`decoder_output_projection` should be applied at the end, so that each row holds the pixels of a patch.",
    clues=("return",),
)
def not_projected_to_pixels(model: MaskedAutoEncoder, encoder_embeddings: Tensor, ids_restore: Tensor) -> Tensor:
    """The last projection is left out."""
    cls_token, kept, masked = _parts(model, encoder_embeddings, ids_restore)
    return _decoded(model, cls_token, restore_masked(kept, masked, ids_restore) + model.decoder_position_encoding)
