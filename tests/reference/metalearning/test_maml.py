"""Algorithm 1, on any module, and its proof on sinusoids."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn.functional import mse_loss

from reference.metalearning.maml import Examples, adapt, losses_after_adaptation, meta_train
from reference.metalearning.sinusoid import SinusoidSettings, run_sinusoid


@pytest.fixture(autouse=True)
def _one_torch_thread() -> None:
    torch.set_num_threads(1)


def parameters_of(model: nn.Module) -> dict[str, torch.Tensor]:
    """Copies of a module's parameters by name, ready to be learned."""
    return {name: value.detach().clone().requires_grad_() for name, value in model.named_parameters()}


def tiny_network() -> nn.Module:
    """Two layers of float64, with a submodule."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(2, 5), nn.Tanh(), nn.Sequential(nn.Linear(5, 1))).double()


@pytest.mark.parametrize("n_steps", [0, 1, 4])
def test_adaptation_is_plain_gradient_descent(n_steps: int) -> None:
    """Adapted parameters are those that torch.optim.SGD reaches, and the module itself is left alone."""
    model, other = tiny_network(), tiny_network()
    inputs, targets = torch.randn(6, 2, dtype=torch.float64), torch.randn(6, 1, dtype=torch.float64)
    optimizer = torch.optim.SGD(other.parameters(), lr=0.1)
    for _ in range(n_steps):
        optimizer.zero_grad()
        mse_loss(other(inputs), targets).backward()
        optimizer.step()

    adapted = adapt(model, parameters_of(model), inputs, targets, loss=mse_loss, step_size=0.1, n_steps=n_steps)

    for name, expected in other.named_parameters():
        torch.testing.assert_close(adapted[name], expected, rtol=1e-12, atol=1e-14)
    for one, fresh in zip(model.parameters(), tiny_network().parameters(), strict=True):
        assert torch.equal(one, fresh)


@pytest.mark.parametrize("n_steps", [1, 3])
def test_meta_gradient_goes_through_the_inner_steps(n_steps: int) -> None:
    """The derivative with respect to θ is exact: finite differences agree, as with a first-order one they would not."""
    model = tiny_network()
    support = Examples(torch.randn(3, 6, 2, dtype=torch.float64), torch.randn(3, 6, 1, dtype=torch.float64))
    query = Examples(torch.randn(3, 4, 2, dtype=torch.float64), torch.randn(3, 4, 1, dtype=torch.float64))
    names = list(dict(model.named_parameters()))

    def total(*values: torch.Tensor) -> torch.Tensor:
        at = dict(zip(names, values, strict=True))
        return losses_after_adaptation(model, at, support, query, loss=mse_loss, step_size=0.3, n_steps=n_steps).sum()

    assert torch.autograd.gradcheck(total, tuple(parameters_of(model).values()))


def test_meta_training_moves_the_module_in_place() -> None:
    """One call is Algorithm 1; its parameters are the module's own."""
    model = tiny_network()
    before = parameters_of(model)
    batch = Examples(torch.randn(3, 6, 2, dtype=torch.float64), torch.randn(3, 6, 1, dtype=torch.float64))

    history = meta_train(
        model, lambda _: (batch, batch), loss=mse_loss, step_size=0.1, n_steps=2, meta_step_size=0.01, n_iterations=30
    )

    assert history[-1] < history[0]
    assert all(not torch.equal(before[name], value) for name, value in model.named_parameters())


def test_maml_learns_to_learn_sinusoids_and_pretraining_does_not() -> None:
    """At a fraction of the budget one step on 10 shots halves the meta-learned network's loss, not the other's."""
    result = run_sinusoid(
        SinusoidSettings(n_iterations=600, inner_step_size=0.02, meta_step_size=3e-3, n_test_tasks=200)
    )
    learned, pretrained = (result.adaptation[name].mean for name in ("meta-learned", "pretrained"))

    assert learned[10, 1] < 0.5 * learned[10, 0]
    assert learned[10, 5] < learned[10, 1]
    assert learned[10, 1] < learned[5, 1]
    assert pretrained[10, 1] > 0.75 * pretrained[10, 0]
