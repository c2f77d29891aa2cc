"""
The reference's answers once more, under conditions that change nothing but rounding: another precision, number of
threads, order of summation, kernel, device. What they differ by is what right students may differ by.
"""

from __future__ import annotations

import contextlib
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from grader.checks.exam import Case, CaseAnswer, Check, Exam
from grader.checks.reference import Reference, gradients_of, split_cotangents
from grader.checks.tensors import to_arrays, to_tensors
from grader.contract import Function
from grader.wire import Arrays


@dataclass(frozen=True)
class Condition:
    """
    A way to compute the same.

    Args:
        name: what is different, for the table.
        dtype: in which the function computes.
        device: where it computes.
        evaluating: the module is in evaluation mode, in which torch may take its fast path for transformers.
        one_at_a_time: each image of a batch by itself.
        around: a context that the computation runs in.
    """

    name: str
    dtype: torch.dtype = torch.float32
    device: str = "cpu"
    evaluating: bool = False
    one_at_a_time: bool = False
    around: Callable[[], AbstractContextManager[Any]] = nullcontext


class _SplitSums(TorchDispatchMode):
    """Sums every matrix product in another order: the second half of the terms, then the first."""

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        aten = torch.ops.aten
        if func is aten.mm.default or func is aten.bmm.default:
            return _in_halves(func, *args)
        if func is aten.addmm.default and not kwargs:
            return args[0] + _in_halves(aten.mm.default, *args[1:])
        return func(*args, **(kwargs or {}))


def _in_halves(product: Any, left: Tensor, right: Tensor) -> Tensor:
    half = left.shape[-1] // 2
    second: Tensor = product(left[..., half:], right[..., half:, :])
    return second + product(left[..., :half], right[..., :half, :]) if half else second


@contextlib.contextmanager
def _split_sums() -> Iterator[None]:
    # The mathematical form of attention shows its products to the mode.
    with sdpa_kernel(SDPBackend.MATH), _SplitSums():  # type: ignore[no-untyped-call]  # torch's own
        yield


@contextlib.contextmanager
def _without_onednn() -> Iterator[None]:
    with warnings.catch_warnings():
        # It warns about TF32 on graphics cards of Intel, which nobody asked for.
        warnings.simplefilter("ignore", UserWarning)
        with torch.backends.mkldnn.flags(enabled=False):
            yield


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextlib.contextmanager
def _fast_path(enabled: bool) -> Iterator[None]:
    before = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(enabled)
    try:
        yield
    finally:
        torch.backends.mha.set_fastpath_enabled(before)


def conditions() -> list[Condition]:
    """Return every condition that this machine can make."""
    found = [
        Condition("float64 inside", dtype=torch.float64),
        Condition("two threads", around=lambda: _threads(2)),
        Condition("sums in another order", around=_split_sums),
        Condition("attention by its formula", around=lambda: sdpa_kernel(SDPBackend.MATH)),
        Condition("without oneDNN", around=_without_onednn),
        Condition("evaluation mode, fast path on", evaluating=True, around=lambda: _fast_path(True)),
        Condition("evaluation mode, fast path off", evaluating=True, around=lambda: _fast_path(False)),
        Condition("one image at a time", one_at_a_time=True),
    ]
    if torch.cuda.is_available():
        found.append(Condition("CUDA", device="cuda"))
    return found


def can_be_recomputed(check: Check, reference: Reference) -> bool:
    """Return whether the reference answers a check by one call of a function of tensors, and nothing else."""
    function = check.subject
    return function.arrays == "torch" and bool(function.takes) and function.name in reference.functions


def recompute(reference: Reference, check: Check, exam: Exam, condition: Condition) -> list[CaseAnswer]:
    """Return what the reference gives for every case of a check under a condition."""
    module = reference.module_of(check.subject, exam)
    if module is not None:
        module.to(device=condition.device, dtype=condition.dtype).train(not condition.evaluating)
    implementation = reference.functions[check.function]
    return [CaseAnswer(_answer(check.subject, implementation, module, case, exam, condition)) for case in exam.cases]


def _answer(
    function: Function,
    implementation: Callable[..., Any],
    module: nn.Module | None,
    case: Case,
    exam: Exam,
    condition: Condition,
) -> Arrays:
    """Compute one case: the outputs and, where its inputs have cotangents, the gradients of Σ outputs · cotangents."""
    tensors, cotangents = (_placed(arrays, condition) for arrays in split_cotangents(case.inputs))
    given = {**exam.settings, **tensors}
    targets = {name: tensor.requires_grad_() for name, tensor in tensors.items() if tensor.is_floating_point()}
    if module is not None:
        targets |= dict(module.named_parameters())
    with condition.around():
        with torch.set_grad_enabled(bool(cotangents)):
            arguments = [given[name] for name in function.takes if name in given]
            returned = _call(implementation, module, arguments, condition)
        outputs = dict(zip(function.outputs, returned, strict=True))
        return to_arrays({**outputs, **gradients_of(outputs, cotangents, targets)})


def _call(
    function: Callable[..., Any], module: nn.Module | None, arguments: Sequence[Any], condition: Condition
) -> tuple[Tensor, ...]:
    before = () if module is None else (module,)
    if not condition.one_at_a_time:
        return _as_tuple(function(*before, *arguments))
    size = next(len(argument) for argument in arguments if isinstance(argument, Tensor))
    rows = [
        _as_tuple(function(*before, *(a[row : row + 1] if isinstance(a, Tensor) else a for a in arguments)))
        for row in range(size)
    ]
    return tuple(torch.cat(parts) for parts in zip(*rows, strict=True))


def _as_tuple(value: Any) -> tuple[Tensor, ...]:
    return value if isinstance(value, tuple) else (value,)


def _placed(arrays: Arrays, condition: Condition) -> dict[str, Tensor]:
    return {
        name: tensor.to(condition.device, condition.dtype if tensor.is_floating_point() else None)
        for name, tensor in to_tensors(arrays).items()
    }
