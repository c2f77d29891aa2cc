"""
The training probes: a few steps of the student's own modules on small real images.

The loop, the optimiser and the loss are ours; from the student comes the forward pass. What comes home is the trained
parameters and nothing else: how well they do is found out where no student code runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import nn

from grader.probes.case import Case, Result
from grader.probes.parameters import load_parameters
from grader.probes.values import UnusableValue, split, to_array
from homework.contract import AUTOENCODER, CLASSIFIER, VIT

# The step size of a matrix is divided by its number of inputs over this one: the same numbers then suit a layer of
# 32 inputs and the feed-forward layers of 1024, whose outputs would jump at once with the plain step.
_INPUTS_OF_A_PLAIN_STEP = 32
_DECAY_FROM = 0.4  # after this share of the steps, they shrink evenly to nothing: the end depends less on chance

Loss = Callable[[torch.Tensor], torch.Tensor]


def train_autoencoder(case: Case) -> Result:
    """Train a MaskedAutoEncoder to reconstruct masked patches; the student's `forward` draws the masks."""
    model = case.construct(AUTOENCODER, case.settings["mae"]).to(case.lender.device)
    parameters = load_parameters(model, case.state)

    def loss(ids: torch.Tensor) -> torch.Tensor:
        patches = case.inputs["patches"][ids]
        where = "MaskedAutoEncoder.forward"
        parts = split(model(case.inputs["images"][ids]), ("reconstruction", "mask"), where=where)
        # A mask may be of any kind that holds 0 and 1, a numpy array too.
        mask = torch.from_numpy(to_array("mask", parts["mask"])).to(patches.device, torch.float32)
        predicted = _tensor_of("reconstruction", parts["reconstruction"], patches.shape)
        _tensor_of("mask", mask, patches.shape[:2])
        error = (predicted - patches).square().mean(dim=-1)  # (B, N)
        return (error * mask).sum() / mask.sum()

    _train(model, parameters, loss, case)
    return Result(_trained("autoencoder", parameters))


def train_vit(case: Case) -> Result:
    """Train a ClassificationViT."""
    model = case.construct(VIT, case.settings["vit"]).to(case.lender.device)
    parameters = load_parameters(model, case.state)
    _train(model, parameters, _cross_entropy(model, case, "ClassificationViT.forward"), case)
    return Result(_trained("vit", parameters))


def train_classifiers(case: Case) -> Result:
    """Train a ClassificationMAE twice from the same start: as a linear probe, then by fine-tuning."""
    outputs: dict[str, Any] = {}
    for name, detach in (("linear", True), ("tuned", False)):
        settings = {**case.settings["classifier"], "mae": case.settings["mae"], "detach": detach}
        model = case.construct(CLASSIFIER, settings)
        parameters = load_parameters(model.to(case.lender.device), case.state)
        _train(model, parameters, _cross_entropy(model, case, "ClassificationMAE.forward"), case)
        outputs.update(_trained(name, parameters))
    return Result(outputs)


def _cross_entropy(model: nn.Module, case: Case, where: str) -> Loss:
    def loss(ids: torch.Tensor) -> torch.Tensor:
        labels = case.inputs["labels"][ids]
        logits = split(model(case.inputs["images"][ids]), ("logits",), where=where)["logits"]
        classes = int(case.settings["n_classes"])
        return nn.functional.cross_entropy(_tensor_of("logits", logits, (len(ids), classes)), labels)

    return loss


def _train(model: nn.Module, parameters: Mapping[str, nn.Parameter], loss: Loss, case: Case) -> None:
    """
    Take one AdamW step for each row of the case's `batches`.

    Without a path from the loss to any parameter nothing is done: that nothing has changed is for the check to say.
    """
    model.train()
    step_sizes: Mapping[str, float] = case.settings["step_sizes"]
    groups = [
        {"params": [parameter], "lr": _step_size(name, parameter, step_sizes)}
        for name, parameter in parameters.items()
        if parameter.requires_grad
    ]
    if not groups:
        return
    optimizer = torch.optim.AdamW(groups, betas=(0.9, 0.95), weight_decay=0.0)
    full = [float(group["lr"]) for group in optimizer.param_groups]
    for ids, share in _steps(case.inputs["batches"]):
        for group, step_size in zip(optimizer.param_groups, full, strict=True):
            group["lr"] = share * step_size
        value = loss(ids)
        optimizer.zero_grad()
        if value.requires_grad:
            value.backward()
        optimizer.step()


def _steps(batches: torch.Tensor) -> Iterator[tuple[torch.Tensor, float]]:
    """Yield the indices of each batch and the share of the full step to take."""
    steps = len(batches)
    for step, ids in enumerate(batches):
        yield ids, min(1.0, (steps - step) / (steps * (1 - _DECAY_FROM)))


def _step_size(name: str, parameter: nn.Parameter, step_sizes: Mapping[str, float]) -> float:
    step_size = step_sizes["head" if name.startswith("output_head.") else "rest"]
    return step_size * _INPUTS_OF_A_PLAIN_STEP / parameter.shape[1] if parameter.dim() == 2 else step_size


def _tensor_of(name: str, value: Any, shape: tuple[int, ...]) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        raise UnusableValue(name, "a tensor expected", type(value).__name__)
    if tuple(value.shape) != tuple(shape):
        raise UnusableValue(name, f"shape {tuple(shape)} expected", f"shape {tuple(value.shape)}")
    return value


def _trained(model: str, parameters: Mapping[str, nn.Parameter]) -> dict[str, Any]:
    return {f"{model}/{name}": parameter for name, parameter in parameters.items()}


PROBES = {
    "MaskedAutoEncoder.training": train_autoencoder,
    "ClassificationViT.training": train_vit,
    "ClassificationMAE.training": train_classifiers,
}
