"""
The reference's answers once more, under conditions that change nothing but rounding: another precision, number of
threads, order of summation, kernel, device. What they differ by is what right students may differ by.
"""

from __future__ import annotations

import contextlib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils._python_dispatch import TorchDispatchMode

from grader.checks.exam import Case, CaseAnswer, Check, Exam
from grader.checks.misconceptions.calls import build_module
from grader.checks.tensors import to_arrays, to_tensors
from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.classifier import ClassificationMAE
from reference.vision.masking import random_masking, restore_masked
from reference.vision.patches import patchify, unpatchify
from reference.vision.vit import ClassificationViT

_MASKED = ("mask", "ids_restore")
# The reference's vision functions, and the names of what they return.
RECOMPUTED: Mapping[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    "patchify": (patchify, ("patches",)),
    "unpatchify": (unpatchify, ("images",)),
    "random_masking": (random_masking, ("kept", *_MASKED)),
    "restore_masked": (restore_masked, ("x",)),
    "ClassificationViT.forward": (ClassificationViT.forward, ("logits",)),
    "MaskedAutoEncoder.forward_encoder": (MaskedAutoEncoder.forward_encoder, ("embeddings", *_MASKED)),
    "MaskedAutoEncoder.forward_decoder": (MaskedAutoEncoder.forward_decoder, ("patches",)),
    "MaskedAutoEncoder.forward_encoder_representation": (
        MaskedAutoEncoder.forward_encoder_representation,
        ("embeddings",),
    ),
    "ClassificationMAE.forward": (ClassificationMAE.forward, ("logits",)),
}


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


def recompute(check: Check, exam: Exam, condition: Condition) -> list[CaseAnswer]:
    """Return what the reference gives for every case of a vision check under a condition."""
    function, outputs = RECOMPUTED[check.function]
    module = build_module(check.function, exam)
    if module is not None:
        module.to(device=condition.device, dtype=condition.dtype).train(not condition.evaluating)
    return [CaseAnswer(_answer(function, outputs, module, case, exam, condition)) for case in exam.cases]


def _answer(
    function: Callable[..., Any],
    names: Sequence[str],
    module: nn.Module | None,
    case: Case,
    exam: Exam,
    condition: Condition,
) -> dict[str, Any]:
    """Compute one case: the outputs and, where its inputs have cotangents, the gradients of Σ outputs · cotangents."""
    tensors = {name: _placed(tensor, condition) for name, tensor in to_tensors(case.inputs).items()}
    cotangents = {name.partition("/")[2]: tensors.pop(name) for name in list(tensors) if name.startswith("cotangent/")}
    given = {**exam.settings, **tensors}
    parameters = [name for name in inspect.signature(function).parameters if name in given]
    targets = {name: tensor.requires_grad_() for name, tensor in tensors.items() if tensor.is_floating_point()}
    if module is not None:
        targets |= dict(module.named_parameters())
    with condition.around():
        with torch.set_grad_enabled(bool(cotangents)):
            returned = _call(function, module, [given[name] for name in parameters], condition)
        outputs = dict(zip(names, returned, strict=True))
        if not cotangents:
            return dict(to_arrays(outputs))
        total = torch.stack([(outputs[name] * cotangents[name]).sum() for name in cotangents]).sum()
        found = torch.autograd.grad(total, list(targets.values()), allow_unused=True)
    gradients = {f"gradient/{name}": slope for name, slope in zip(targets, found, strict=True) if slope is not None}
    return dict(to_arrays({**outputs, **gradients}))


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


def _placed(tensor: Tensor, condition: Condition) -> Tensor:
    return tensor.to(condition.device, condition.dtype if tensor.is_floating_point() else None)
