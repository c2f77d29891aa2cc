"""Give a student's module the parameters that the trusted process chose."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from grader.probes.values import Problem, UnusableValue


def load_parameters(model: nn.Module, state: Mapping[str, torch.Tensor]) -> dict[str, nn.Parameter]:
    """
    Copy parameters into a module, by name, or by order where only the names differ.

    Parameters that a student added stay as they were built.

    Args:
        model: the student's module; changed.
        state: the contract's parameter names -> values.

    Returns:
        The contract's names -> the module's own parameters.

    Raises:
        UnusableValue: a parameter of the template is missing or has another shape.
    """
    own = dict(model.named_parameters())
    pairs = _by_name(own, state) or _by_order(own, state)
    if pairs is None:
        raise _mismatch(type(model).__name__, own, state)
    with torch.no_grad():
        for name, parameter in pairs.items():
            parameter.copy_(state[name])
    return pairs


def _by_name(own: Mapping[str, nn.Parameter], state: Mapping[str, torch.Tensor]) -> dict[str, nn.Parameter] | None:
    if all(name in own and own[name].shape == value.shape for name, value in state.items()):
        return {name: own[name] for name in state}
    return None


def _by_order(own: Mapping[str, nn.Parameter], state: Mapping[str, torch.Tensor]) -> dict[str, nn.Parameter] | None:
    if [value.shape for value in own.values()] == [value.shape for value in state.values()]:
        return dict(zip(state, own.values(), strict=True))
    return None


def _mismatch(model: str, own: Mapping[str, nn.Parameter], state: Mapping[str, torch.Tensor]) -> UnusableValue:
    for name, value in state.items():
        shape = list(value.shape)
        if name not in own:
            return UnusableValue(model, Problem.NO_PARAMETER, parameter=name, expected=shape)
        if own[name].shape != value.shape:
            got = list(own[name].shape)
            return UnusableValue(model, Problem.OTHER_PARAMETER, parameter=name, expected=shape, got=got)
    return UnusableValue(model, Problem.OTHER_PARAMETERS)
