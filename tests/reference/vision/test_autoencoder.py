"""The masked autoencoder against loops over images and patches that follow the paper's steps."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.vit import Transformer

# Measured: the loops below and the module differ by less than 1e-15 in float64.
ATOL = 1e-12
SIZES = [(4, 8, 0.75), (2, 3, 0.5), (8, 2, 0.25)]  # (patch size, patches along a side, mask ratio)


def build(patch_size: int = 2, num_patches: int = 4, mask_ratio: float = 0.75) -> MaskedAutoEncoder:
    """Return a narrow autoencoder in float64 whose tokens and positions are as large as the patches."""
    torch.manual_seed(0)
    encoder, decoder = Transformer(8, 2, 1, 12), Transformer(4, 2, 1, 6)
    mae = MaskedAutoEncoder(encoder, decoder, 8, 4, patch_size, num_patches, mask_ratio).double()
    with torch.no_grad():
        for token in (
            mae.cls_token,
            mae.masked_tokens,
            mae.encoder_position_encoding,
            mae.decoder_position_encoding,
        ):
            token.normal_()
    return mae


def draw(mae: MaskedAutoEncoder, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    """Return images that fit an autoencoder, and a permutation of the patches for each."""
    side = mae.patch_size * mae.num_patches
    images = torch.randn(batch, 3, side, side, dtype=torch.float64)
    return images, torch.stack([torch.randperm(mae.num_patches**2) for _ in range(batch)])


@pytest.mark.parametrize(("patch_size", "num_patches", "mask_ratio"), SIZES)
def test_encoder_by_loops(patch_size: int, num_patches: int, mask_ratio: float) -> None:
    """The encoder reads the class token, then the kept patches with the positions they had in the image."""
    mae = build(patch_size, num_patches, mask_ratio)
    images, ids_shuffle = draw(mae)

    embeddings, mask, ids_restore = mae.forward_encoder(images, ids_shuffle)

    patches = functional.unfold(images, patch_size, stride=patch_size).transpose(1, 2)
    for row in range(2):
        kept = ids_shuffle[row, : mae.keep_length].tolist()
        tokens = [mae.cls_token[0, 0]]
        for patch in kept:
            projected = mae.encoder_input_projection(patches[row, patch])
            tokens.append(projected + mae.encoder_position_encoding[0, patch])
        expected = mae.encoder(torch.stack(tokens).unsqueeze(0))[0]
        torch.testing.assert_close(embeddings[row], expected, atol=ATOL, rtol=0)
        assert {i for i, masked in enumerate(mask[row].tolist()) if masked == 0} == set(kept)
        assert torch.equal(ids_shuffle[row][ids_restore[row]], torch.arange(num_patches**2))


@pytest.mark.parametrize(("patch_size", "num_patches", "mask_ratio"), SIZES)
def test_decoder_by_loops(patch_size: int, num_patches: int, mask_ratio: float) -> None:
    """The decoder reads the class token without a position, then every patch or its mask token with one."""
    mae = build(patch_size, num_patches, mask_ratio)
    _, ids_shuffle = draw(mae)
    encoded = torch.randn(2, mae.keep_length + 1, 8, dtype=torch.float64)

    predicted = mae.forward_decoder(encoded, ids_shuffle.argsort(dim=1))

    for row in range(2):
        tokens = [mae.decoder_input_projection(encoded[row, 0])]
        for patch in range(num_patches**2):
            place = ids_shuffle[row].tolist().index(patch)
            seen = place < mae.keep_length
            content = mae.decoder_input_projection(encoded[row, place + 1]) if seen else mae.masked_tokens[0, 0]
            tokens.append(content + mae.decoder_position_encoding[0, patch])
        decoded = mae.decoder(torch.stack(tokens).unsqueeze(0))[0, 1:]
        expected = mae.decoder_output_projection(decoded)
        torch.testing.assert_close(predicted[row], expected, atol=ATOL, rtol=0)


def test_representation_is_the_encoder_with_nothing_masked() -> None:
    """With a mask ratio of 0 and no shuffling, forward_encoder gives the same embeddings."""
    mae = build(mask_ratio=0.0)
    images, _ = draw(mae)
    in_order = torch.arange(16).expand(2, -1)

    embeddings, mask, _ = mae.forward_encoder(images, in_order)

    assert mask.sum() == 0
    torch.testing.assert_close(mae.forward_encoder_representation(images), embeddings, atol=ATOL, rtol=0)


def test_a_permutation_is_drawn_for_each_image() -> None:
    """Without ids_shuffle each image gets its own random mask of the right size, new at each call."""
    mae = build()
    images, _ = draw(mae, batch=16)

    masks = [mae.forward_encoder(images)[1] for _ in range(2)]

    assert (masks[0].sum(dim=1) == mae.masked_length).all()
    assert len({tuple(row) for row in masks[0].tolist()}) > 1
    assert not torch.equal(masks[0], masks[1])


def test_forward_returns_reconstruction_and_mask() -> None:
    """Calling the autoencoder encodes and decodes, and its mask is the one that was applied."""
    mae = build()
    images, _ = draw(mae)

    torch.manual_seed(3)
    predicted, mask = mae(images)
    torch.manual_seed(3)
    embeddings, expected_mask, ids_restore = mae.forward_encoder(images)

    assert torch.equal(mask, expected_mask)
    assert torch.equal(predicted, mae.forward_decoder(embeddings, ids_restore))


def test_masked_pixels_are_not_seen() -> None:
    """Changing what is masked does not change the reconstruction; changing what is kept does."""
    mae = build()
    images, ids_shuffle = draw(mae)
    images.requires_grad_()

    embeddings, mask, ids_restore = mae.forward_encoder(images, ids_shuffle)
    mae.forward_decoder(embeddings, ids_restore).square().sum().backward()

    assert images.grad is not None
    gradient = functional.unfold(images.grad, 2, stride=2).transpose(1, 2)
    assert (gradient[mask == 1] == 0).all()
    assert (gradient[mask == 0] != 0).all()


def test_every_parameter_learns() -> None:
    """A gradient reaches every parameter of encoder, decoder, tokens and positions."""
    mae = build()
    images, ids_shuffle = draw(mae)
    embeddings, _, ids_restore = mae.forward_encoder(images, ids_shuffle)

    mae.forward_decoder(embeddings, ids_restore).square().sum().backward()

    for name, parameter in mae.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(("ratio", "masked", "kept"), [(0.75, 48, 16), (0.5, 32, 32), (0.33, 21, 43)])
def test_lengths_and_names_of_the_homework(ratio: float, masked: int, kept: int) -> None:
    """The lengths round as the homework says, and parameters have the names submissions rely on."""
    mae = MaskedAutoEncoder(Transformer(), Transformer(128, n_layers=2), mask_ratio=ratio)
    shapes = {name: tuple(value.shape) for name, value in mae.state_dict().items()}

    assert (mae.masked_length, mae.keep_length) == (masked, kept)
    assert {name: shape for name, shape in shapes.items() if ".transformer." not in name} == {
        "cls_token": (1, 1, 256),
        "encoder_position_encoding": (1, 64, 256),
        "decoder_position_encoding": (1, 64, 128),
        "masked_tokens": (1, 1, 128),
        "encoder_input_projection.weight": (256, 48),
        "encoder_input_projection.bias": (256,),
        "decoder_input_projection.weight": (128, 256),
        "decoder_input_projection.bias": (128,),
        "decoder_output_projection.weight": (48, 128),
        "decoder_output_projection.bias": (48,),
    }
