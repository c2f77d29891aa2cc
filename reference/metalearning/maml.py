"""
Model-agnostic meta-learning: Algorithm 1 of the handout, on any `nn.Module`, with any number of inner steps.

Source: Finn, Abbeel, Levine 2017, Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks, ICML,
algorithms 1 and 2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap

Parameters = dict[str, Tensor]
Loss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Examples:
    """
    Examples of a batch of tasks.

    Shapes: T tasks, K examples.

    Attributes:
        inputs: (T, K, ...) float.
        targets: (T, K, ...) float.
    """

    inputs: Tensor
    targets: Tensor


def adapt(
    model: nn.Module,
    parameters: Mapping[str, Tensor],
    inputs: Tensor,
    targets: Tensor,
    *,
    loss: Loss,
    step_size: float,
    n_steps: int,
) -> Parameters:
    """
    Algorithm 1, lines 5 and 6, n_steps times: gradient descent on one task from shared parameters.

    The result is a differentiable function of `parameters`; torch.func's transforms apply to it.

    Args:
        model: gives the forward pass; its own parameters are not read.
        parameters: where to start, by name.
        inputs: (K, ...) float, one task's examples.
        targets: (K, ...) float.
        loss: predictions, targets -> scalar.
        step_size: α of the algorithm.
        n_steps: number of inner steps; 0 gives the start.

    Returns:
        Adapted parameters by name.
    """

    def task_loss(at: Parameters) -> Tensor:
        return loss(functional_call(model, at, (inputs,)), targets)

    adapted = dict(parameters)
    for _ in range(n_steps):
        slopes = grad(task_loss)(adapted)
        adapted = {name: value - step_size * slopes[name] for name, value in adapted.items()}
    return adapted


def losses_after_adaptation(
    model: nn.Module,
    parameters: Mapping[str, Tensor],
    support: Examples,
    query: Examples,
    *,
    loss: Loss,
    step_size: float,
    n_steps: int,
) -> Tensor:
    """
    Loss of every task on its query examples after adapting to its support examples: (T,) float.

    All tasks adapt in one vectorised call.
    """

    def one_task(support_x: Tensor, support_y: Tensor, query_x: Tensor, query_y: Tensor) -> Tensor:
        adapted = adapt(model, parameters, support_x, support_y, loss=loss, step_size=step_size, n_steps=n_steps)
        return loss(functional_call(model, adapted, (query_x,)), query_y)

    result: Tensor = vmap(one_task)(support.inputs, support.targets, query.inputs, query.targets)
    return result


def meta_train(
    model: nn.Module,
    draw_tasks: Callable[[int], tuple[Examples, Examples]],
    *,
    loss: Loss,
    step_size: float,
    n_steps: int,
    meta_step_size: float,
    n_iterations: int,
) -> list[float]:
    """
    Algorithm 1 with Adam as line 8's optimizer, as the paper has it: the model's parameters become θ.

    Line 8 writes a sum over tasks; the mean is taken here, which Adam, being free of the gradient's scale,
    cannot tell from it.

    Args:
        model: meta-trained in place.
        draw_tasks: iteration -> support and query examples of a batch of tasks.
        loss: predictions, targets -> scalar.
        step_size: α, of the inner steps.
        n_steps: number of inner steps.
        meta_step_size: β, of the meta steps.
        n_iterations: number of meta steps.

    Returns:
        Mean loss after adaptation at each iteration.
    """
    parameters = dict(model.named_parameters())
    optimizer = torch.optim.Adam(parameters.values(), lr=meta_step_size)
    history = []
    for iteration in range(n_iterations):
        support, query = draw_tasks(iteration)
        optimizer.zero_grad()
        after = losses_after_adaptation(
            model, parameters, support, query, loss=loss, step_size=step_size, n_steps=n_steps
        ).mean()
        after.backward()
        optimizer.step()
        history.append(float(after.detach()))
    return history
