"""The vision transformer against torch's own pieces, put together in plain sight."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from reference.vision.vit import ClassificationViT, Transformer

# Measured: the slow composition below and the module differ by less than 1e-15 in float64.
ATOL = 1e-12


def slow_block(x: torch.Tensor, layer: nn.TransformerEncoderLayer) -> torch.Tensor:
    """Apply one post-norm encoder block from its equations, head by head."""
    attention = layer.self_attn
    query, key, value = functional.linear(x, attention.in_proj_weight, attention.in_proj_bias).chunk(3, dim=-1)
    heads = []
    for q, k, v in zip(*(part.chunk(attention.num_heads, dim=-1) for part in (query, key, value)), strict=True):
        heads.append(torch.softmax(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, dim=-1) @ v)
    x = layer.norm1(x + attention.out_proj(torch.cat(heads, dim=-1)))
    return layer.norm2(x + layer.linear2(functional.gelu(layer.linear1(x))))


def test_transformer_follows_the_equations() -> None:
    """The given transformer is post-norm, GELU, batch first and has no dropout, in training mode too."""
    torch.manual_seed(0)
    transformer = Transformer(8, n_heads=2, n_layers=3, feedforward_dim=12).double().train()
    x = torch.randn(2, 5, 8, dtype=torch.float64)

    expected = x
    for layer in transformer.transformer.layers:
        expected = slow_block(expected, layer)

    torch.testing.assert_close(transformer(x), expected, atol=ATOL, rtol=0)


def test_homework_sizes_are_the_defaults() -> None:
    """Without arguments the transformer has 4 layers, 4 heads, width 256 and feed-forward width 1024."""
    layers = Transformer().transformer.layers

    assert len(layers) == 4
    assert layers[0].self_attn.num_heads == 4
    assert layers[0].linear1.weight.shape == (1024, 256)


@pytest.mark.parametrize(("patch_size", "num_patches", "width"), [(4, 8, 8), (2, 3, 4), (8, 4, 12)])
def test_vit_by_hand(patch_size: int, num_patches: int, width: int) -> None:
    """Class token first, positions on all tokens, head on the class token: for any patch size and grid."""
    torch.manual_seed(0)
    vit = ClassificationViT(5, width, patch_size, num_patches).double()
    images = torch.randn(2, 3, patch_size * num_patches, patch_size * num_patches, dtype=torch.float64)

    patches = functional.unfold(images, patch_size, stride=patch_size).transpose(1, 2)
    tokens = torch.stack([torch.cat([vit.cls_token[0], vit.patch_projection(image)]) for image in patches])
    expected = vit.output_head(vit.transformer(tokens + vit.position_encoding)[:, 0])

    torch.testing.assert_close(vit(images), expected, atol=ATOL, rtol=0)


def test_vit_keeps_the_names_of_the_homework() -> None:
    """The parameters outside the transformer have the names and shapes that submissions rely on."""
    shapes = {name: tuple(value.shape) for name, value in ClassificationViT(10).state_dict().items()}

    assert {name: shape for name, shape in shapes.items() if not name.startswith("transformer.")} == {
        "cls_token": (1, 1, 256),
        "position_encoding": (1, 65, 256),
        "patch_projection.weight": (256, 48),
        "patch_projection.bias": (256,),
        "output_head.0.weight": (256,),
        "output_head.0.bias": (256,),
        "output_head.1.weight": (10, 256),
        "output_head.1.bias": (10,),
    }
    assert "transformer.transformer.layers.3.norm2.bias" in shapes


def test_every_parameter_learns() -> None:
    """A gradient reaches every parameter and every pixel."""
    torch.manual_seed(0)
    vit = ClassificationViT(3, 8, 2, 2)
    images = torch.randn(2, 3, 4, 4, requires_grad=True)

    functional.cross_entropy(vit(images), torch.tensor([0, 2])).backward()

    for name, parameter in vit.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name
    assert images.grad is not None
    assert (images.grad != 0).all()


def test_images_do_not_influence_each_other() -> None:
    """An image's logits do not depend on its batch."""
    torch.manual_seed(0)
    vit = ClassificationViT(3, 8, 2, 2).double()
    images = torch.randn(4, 3, 4, 4, dtype=torch.float64)

    alone = torch.cat([vit(image.unsqueeze(0)) for image in images])

    torch.testing.assert_close(vit(images), alone, atol=ATOL, rtol=0)
