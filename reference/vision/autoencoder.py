"""The masked autoencoder: encode the visible patches, reconstruct the masked ones."""

from __future__ import annotations

import torch
from torch import nn

from reference.vision.masking import random_masking, restore_masked
from reference.vision.patches import patchify


class MaskedAutoEncoder(nn.Module):
    """
    An autoencoder that sees a random quarter of the patches and reconstructs the image from it.

    Shapes: B images of side H with 3 channels, p the patch size, G = H / p patches along a side, N = G²
    patches of which K are kept, De and Dd the widths of the encoder and the decoder.

    Args:
        encoder: maps tokens (B, L, De) to tokens (B, L, De).
        decoder: maps tokens (B, L, Dd) to tokens (B, L, Dd).
        encoder_embedding_dim: De.
        decoder_embedding_dim: Dd.
        patch_size: p.
        num_patches: G, patches along one side of the image.
        mask_ratio: the share of patches to mask; int(N mask_ratio) patches are masked.

    Source: He et al. 2022, Masked Autoencoders Are Scalable Vision Learners, section 3.
    """

    def __init__(
        self,
        encoder: nn.Module,
        decoder: nn.Module,
        encoder_embedding_dim: int = 256,
        decoder_embedding_dim: int = 128,
        patch_size: int = 4,
        num_patches: int = 8,
        mask_ratio: float = 0.75,
    ) -> None:
        super().__init__()
        n_patches, patch_length = num_patches**2, 3 * patch_size**2
        self.patch_size = patch_size
        self.num_patches = num_patches
        self.masked_length = int(n_patches * mask_ratio)
        self.keep_length = n_patches - self.masked_length
        self.encoder = encoder
        self.decoder = decoder
        self.encoder_input_projection = nn.Linear(patch_length, encoder_embedding_dim)
        self.decoder_input_projection = nn.Linear(encoder_embedding_dim, decoder_embedding_dim)
        self.decoder_output_projection = nn.Linear(decoder_embedding_dim, patch_length)
        self.cls_token = nn.Parameter(0.02 * torch.randn(1, 1, encoder_embedding_dim))
        self.encoder_position_encoding = nn.Parameter(0.02 * torch.randn(1, n_patches, encoder_embedding_dim))
        self.decoder_position_encoding = nn.Parameter(0.02 * torch.randn(1, n_patches, decoder_embedding_dim))
        self.masked_tokens = nn.Parameter(0.02 * torch.randn(1, 1, decoder_embedding_dim))

    def forward_encoder(
        self, images: torch.Tensor, ids_shuffle: torch.Tensor | None = None
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """
        Encode the patches that are kept.

        Each patch is projected and gets its position before any patch is masked; the class token, which has
        no position, comes first in what the encoder reads.

        Args:
            images: (B, 3, H, H).
            ids_shuffle: (B, N) int64, a permutation for each image; None draws a random one for each image.

        Returns:
            embeddings: (B, K + 1, De), the class token first, then the kept patches in shuffled order.
            mask: (B, N), 0 where a patch was kept, 1 where it was masked.
            ids_restore: (B, N) int64, the inverse permutation of ids_shuffle.
        """
        patches = self.encoder_input_projection(patchify(images, self.patch_size))  # (B, N, De)
        patches = patches + self.encoder_position_encoding
        if ids_shuffle is None:
            ids_shuffle = torch.argsort(torch.rand(patches.shape[:2], device=patches.device), dim=1)
        kept, mask, ids_restore = random_masking(patches, self.keep_length, ids_shuffle)
        cls_token = self.cls_token.expand(len(images), -1, -1)  # (B, 1, De)
        embeddings = self.encoder(torch.cat([cls_token, kept], dim=1))  # (B, K + 1, De)
        return embeddings, mask, ids_restore

    def forward_decoder(self, encoder_embeddings: torch.Tensor, ids_restore: torch.Tensor) -> torch.Tensor:
        """
        Reconstruct all patches from the encoded ones.

        A learned mask token stands for every patch that the encoder did not see. Positions are added to the
        full sequence of patches, not to the class token, which goes through the decoder first in line and
        is dropped at the end.

        Args:
            encoder_embeddings: (B, K + 1, De), as `forward_encoder` returns them.
            ids_restore: (B, N) int64, the inverse of the permutation that shuffled the patches.

        Returns:
            (B, N, 3 p p), a prediction for every patch, ordered as `patchify` orders them.
        """
        tokens = self.decoder_input_projection(encoder_embeddings)  # (B, K + 1, Dd)
        cls_token, kept = tokens[:, :1], tokens[:, 1:]
        n_masked = ids_restore.shape[1] - kept.shape[1]
        masked = self.masked_tokens.expand(len(kept), n_masked, -1)  # (B, N - K, Dd)
        patches = restore_masked(kept, masked, ids_restore) + self.decoder_position_encoding  # (B, N, Dd)
        decoded = self.decoder(torch.cat([cls_token, patches], dim=1))  # (B, N + 1, Dd)
        predicted: torch.Tensor = self.decoder_output_projection(decoded[:, 1:])
        return predicted

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Mask images (B, 3, H, H) at random; return predicted patches (B, N, 3 p p) and the mask (B, N)."""
        embeddings, mask, ids_restore = self.forward_encoder(images)
        return self.forward_decoder(embeddings, ids_restore), mask

    def forward_encoder_representation(self, images: torch.Tensor) -> torch.Tensor:
        """
        Encode all patches, with nothing masked and nothing shuffled.

        Args:
            images: (B, 3, H, H).

        Returns:
            (B, N + 1, De), the class token first, then the patches in their original order.
        """
        patches = self.encoder_input_projection(patchify(images, self.patch_size))  # (B, N, De)
        patches = patches + self.encoder_position_encoding
        cls_token = self.cls_token.expand(len(images), -1, -1)  # (B, 1, De)
        representation: torch.Tensor = self.encoder(torch.cat([cls_token, patches], dim=1))
        return representation
