"""A classifier on top of a pretrained masked autoencoder."""

import torch
from torch import nn

from reference.vision.autoencoder import MaskedAutoEncoder


class ClassificationMAE(nn.Module):
    """
    A linear classifier that reads the class token of a masked autoencoder's unmasked representation.

    Args:
        n_classes: number of classes.
        mae: the pretrained autoencoder, whose encoder has width embedding_dim.
        embedding_dim: D, the width of the class token.
        detach: True trains the output head alone (linear probe); False trains the encoder too (fine-tuning).

    Source: He et al. 2022, Masked Autoencoders Are Scalable Vision Learners, section 4.
    """

    # The quotes let this class be defined where the autoencoder is not, as in a notebook with a broken cell.
    def __init__(
        self, n_classes: int, mae: "MaskedAutoEncoder", embedding_dim: int = 256, detach: bool = False
    ) -> None:
        super().__init__()
        self.embedding_dim = embedding_dim
        self.mae = mae
        self.output_head = nn.Sequential(nn.LayerNorm(embedding_dim), nn.Linear(embedding_dim, n_classes))
        self.detach = detach

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """
        Return the class scores of images.

        Args:
            images: (B, 3, H, H).

        Returns:
            (B, n_classes) logits. With detach, no gradient flows from them into the autoencoder.
        """
        cls_token = self.mae.forward_encoder_representation(images)[:, 0]  # (B, D)
        if self.detach:
            cls_token = cls_token.detach()
        logits: torch.Tensor = self.output_head(cls_token)
        return logits
