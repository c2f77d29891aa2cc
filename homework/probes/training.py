"""
The training probes: a few steps of the student's own modules on small real images.

The loop, the optimiser and the loss are ours; from the student comes the forward pass. What comes home is the trained
parameters and, of a few steps, the parameters and gradients of then: how well they do, and whether they can have come
from these steps, is found out where no student code runs.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import nn

from grader.probes.case import Case, Result
from grader.probes.parameters import load_parameters
from grader.probes.values import Problem, UnusableValue, split, to_array, type_name
from homework.contract import AUTOENCODER, CLASSIFIER, VIT

# The loss of the images with these indices, and what else the trusted side needs to know of how it was computed.
Loss = Callable[[torch.Tensor], tuple[torch.Tensor, dict[str, torch.Tensor]]]


def train_autoencoder(case: Case) -> Result:
    """Train a MaskedAutoEncoder to reconstruct masked patches; the student's `forward` draws the masks."""
    model = case.construct(AUTOENCODER, case.settings["mae"]).to(case.lender.device)
    parameters = load_parameters(model, case.state)

    def loss(ids: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        patches = case.inputs["patches"][ids]
        where = "MaskedAutoEncoder.forward"
        parts = split(model(case.inputs["images"][ids]), ("reconstruction", "mask"), where=where)
        # A mask may be of any kind that holds 0 and 1, a numpy array too.
        mask = torch.from_numpy(to_array("mask", parts["mask"])).to(patches.device, torch.float32)
        predicted = _tensor_of("reconstruction", parts["reconstruction"], patches.shape)
        _tensor_of("mask", mask, patches.shape[:2])
        error = (predicted - patches).square().mean(dim=-1)  # (B, N)
        return (error * mask).sum() / mask.sum(), {"mask": mask}

    return Result(_train("autoencoder", model, parameters, loss, case))


def train_vit(case: Case) -> Result:
    """Train a ClassificationViT."""
    model = case.construct(VIT, case.settings["vit"]).to(case.lender.device)
    parameters = load_parameters(model, case.state)
    return Result(_train("vit", model, parameters, _cross_entropy(model, case, "ClassificationViT.forward"), case))


def train_classifiers(case: Case) -> Result:
    """Train a ClassificationMAE twice from the same start: as a linear probe, then by fine-tuning."""
    outputs: dict[str, Any] = {}
    for name, detach in (("linear", True), ("tuned", False)):
        settings = {**case.settings["classifier"], "mae": case.settings["mae"], "detach": detach}
        model = case.construct(CLASSIFIER, settings)
        parameters = load_parameters(model.to(case.lender.device), case.state)
        outputs |= _train(name, model, parameters, _cross_entropy(model, case, "ClassificationMAE.forward"), case)
    return Result(outputs)


def _cross_entropy(model: nn.Module, case: Case, where: str) -> Loss:
    def loss(ids: torch.Tensor) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        labels = case.inputs["labels"][ids]
        logits = split(model(case.inputs["images"][ids]), ("logits",), where=where)["logits"]
        classes = int(case.settings["n_classes"])
        return nn.functional.cross_entropy(_tensor_of("logits", logits, (len(ids), classes)), labels), {}

    return loss


def _train(
    name: str, model: nn.Module, parameters: Mapping[str, nn.Parameter], loss: Loss, case: Case
) -> dict[str, torch.Tensor]:
    """
    Take one AdamW step for each row of the case's `batches`.

    Without a path from the loss to any parameter nothing is done: that nothing has changed is for the check to say.

    Returns:
        "<name>/<parameter>" as trained, and of each step that is looked at "<name>/<step>/weights/<parameter>" and
        "<name>/<step>/gradient/<parameter>" before it is taken, and what the loss tells.
    """
    model.train()
    settings = case.settings
    groups = [
        {"params": [parameter], "lr": settings["step_sizes"][key]}
        for key, parameter in parameters.items()
        if parameter.requires_grad
    ]
    outputs: dict[str, torch.Tensor] = {}
    if groups:
        optimizer = torch.optim.AdamW(groups, betas=tuple(settings["betas"]), weight_decay=0.0)
        full = [float(group["lr"]) for group in optimizer.param_groups]
        for step, (ids, share) in enumerate(zip(case.inputs["batches"], settings["shares"], strict=True)):
            for group, step_size in zip(optimizer.param_groups, full, strict=True):
                group["lr"] = share * step_size
            value, told = loss(ids)
            optimizer.zero_grad()
            if value.requires_grad:
                value.backward()
            if step in settings["looked_at"]:
                outputs |= {f"{name}/{step}/{key}": tensor.detach() for key, tensor in told.items()}
                outputs |= _as_it_is(f"{name}/{step}", parameters)
            optimizer.step()
    return outputs | {f"{name}/{key}": parameter for key, parameter in parameters.items()}


def _as_it_is(prefix: str, parameters: Mapping[str, nn.Parameter]) -> dict[str, torch.Tensor]:
    """Return copies of the parameters and of those gradients that there are."""
    weights = {f"{prefix}/weights/{key}": each.detach().clone() for key, each in parameters.items()}
    gradients = {
        f"{prefix}/gradient/{key}": each.grad.clone() for key, each in parameters.items() if each.grad is not None
    }
    return weights | gradients


def _tensor_of(name: str, value: Any, shape: tuple[int, ...]) -> torch.Tensor:
    if not isinstance(value, torch.Tensor):
        raise UnusableValue(name, Problem.NO_TENSOR, type=type_name(value))
    if tuple(value.shape) != tuple(shape):
        raise UnusableValue(name, Problem.OTHER_SHAPE, expected=list(shape), got=list(value.shape))
    return value


PROBES = {
    "MaskedAutoEncoder.training": train_autoencoder,
    "ClassificationViT.training": train_vit,
    "ClassificationMAE.training": train_classifiers,
}
