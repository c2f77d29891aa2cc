"""Training that survives a disconnect: what was learned is kept after every epoch, and taken up again."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn


class Checkpoint:
    """
    A file that holds a training's state after its last whole epoch.

    It is taken up only by the same code and recipe (step size and the like): it also holds a few images, with the loss
    and the size of the gradient that they gave. Where they give something else today, training begins again.

    Args:
        path: the file; each training has its own.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def resume(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        recipe: str,
    ) -> list[float]:
        """Load model and optimizer if there is a state that fits, and return the losses of the epochs that are done."""
        if not self.path.is_file():
            return []
        before = {name: value.clone() for name, value in model.state_dict().items()}
        device = next(model.parameters()).device
        try:
            kept = torch.load(self.path, weights_only=True, map_location=device)
            model.load_state_dict(kept["model"])
            images, labels = kept["images"], kept["labels"]
            fits = kept["recipe"] == recipe and torch.allclose(
                self.trial(model, loss_of, images, labels), kept["trial"], rtol=1e-2
            )
            optimizer.load_state_dict(kept["optimizer"] if fits else optimizer.state_dict())
        except Exception:  # cut short, or of other code: whatever it raises, it is of no use
            fits = False
        if not fits:
            model.load_state_dict(before)
            print(f"{self.path} is from other code or another recipe: training begins again.")
            return []
        history: list[float] = kept["history"]
        print(f"{self.path}: {len(history)} epochs were done before. Delete it to begin again.")
        return history

    def save(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        recipe: str,
        history: list[float],
        batch: tuple[torch.Tensor, torch.Tensor],
    ) -> None:
        """Keep the state after an epoch; a disconnect while it is written leaves the one before."""
        images, labels = batch[0][:4], batch[1][:4]
        state: dict[str, Any] = {
            "model": model.state_dict(),
            "optimizer": optimizer.state_dict(),
            "recipe": recipe,
            "history": history,
            "images": images,
            "labels": labels,
            "trial": self.trial(model, loss_of, images, labels),
        }
        unfinished = self.path.with_name(self.path.name + ".unfinished")
        torch.save(state, unfinished)
        unfinished.replace(self.path)

    @staticmethod
    def trial(
        model: nn.Module,
        loss_of: Callable[[torch.Tensor, torch.Tensor], torch.Tensor],
        images: torch.Tensor,
        labels: torch.Tensor,
    ) -> torch.Tensor:
        """Return the loss of some images and the norm of its gradient, from fixed random numbers."""
        device = next(model.parameters()).device
        with torch.random.fork_rng():
            torch.manual_seed(0)
            loss = loss_of(images.to(device), labels.to(device))
        learning = [parameter for parameter in model.parameters() if parameter.requires_grad]
        slopes = torch.autograd.grad(loss, learning, allow_unused=True)
        norm = sum(float(slope.square().sum()) for slope in slopes if slope is not None) ** 0.5
        return torch.tensor([float(loss.detach()), norm])
