"""The vision transformer: a transformer encoder over patches and one class token."""

from __future__ import annotations

import torch
from torch import nn

from reference.vision.patches import patchify


class Transformer(nn.Module):
    """
    A stack of transformer encoder blocks: attention, then feed-forward with GELU, LayerNorm after each.

    There is no dropout.

    Args:
        embedding_dim: D, the width of a token.
        n_heads: attention heads, a divisor of D.
        n_layers: number of blocks.
        feedforward_dim: width inside the feed-forward part of a block.

    Source: Vaswani et al. 2017, Attention Is All You Need, section 3.1.
    """

    def __init__(
        self, embedding_dim: int = 256, n_heads: int = 4, n_layers: int = 4, feedforward_dim: int = 1024
    ) -> None:
        super().__init__()
        block = nn.TransformerEncoderLayer(
            embedding_dim, n_heads, feedforward_dim, dropout=0.0, activation="gelu", batch_first=True
        )
        self.transformer = nn.TransformerEncoder(block, num_layers=n_layers)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Map tokens (B, L, D) to tokens (B, L, D)."""
        tokens: torch.Tensor = self.transformer(x)
        return tokens


class ClassificationViT(nn.Module):
    """
    A vision transformer that classifies images by what it writes into its class token.

    Shapes: B images of side H with 3 channels, p the patch size, G = H / p patches along a side, N = G²
    patches.

    Args:
        n_classes: number of classes.
        embedding_dim: D, the width of a token.
        patch_size: p.
        num_patches: G, patches along one side of the image.

    Source: Dosovitskiy et al. 2021, An Image is Worth 16x16 Words, section 3.1.
    """

    def __init__(self, n_classes: int, embedding_dim: int = 256, patch_size: int = 4, num_patches: int = 8) -> None:
        super().__init__()
        self.patch_size = patch_size
        self.num_patches = num_patches
        self.embedding_dim = embedding_dim
        self.transformer = Transformer(embedding_dim)
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, embedding_dim))
        self.position_encoding = nn.Parameter(0.02 * torch.randn(1, num_patches**2 + 1, embedding_dim))
        self.patch_projection = nn.Linear(3 * patch_size**2, embedding_dim)
        self.output_head = nn.Sequential(nn.LayerNorm(embedding_dim), nn.Linear(embedding_dim, n_classes))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """
        Return the class scores of images.

        The class token comes first in the sequence, positions are added to every token, the class token
        included, and the output head reads the class token that leaves the transformer.

        Args:
            images: (B, 3, H, H).

        Returns:
            (B, n_classes) logits.
        """
        patches = self.patch_projection(patchify(images, self.patch_size))  # (B, N, D)
        cls_token = self.cls_token.expand(len(images), -1, -1)  # (B, 1, D)
        tokens = torch.cat([cls_token, patches], dim=1) + self.position_encoding  # (B, N + 1, D)
        tokens = self.transformer(tokens)
        logits: torch.Tensor = self.output_head(tokens[:, 0])
        return logits
