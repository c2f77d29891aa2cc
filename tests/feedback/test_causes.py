"""Words about exceptions: each pattern is met by an exception that torch, NumPy or Python really raise."""

from __future__ import annotations

import io
import re
from typing import Any

import einops
import numpy as np
import pytest
import torch
from sklearn import linear_model
from torch import nn

from grader.feedback.causes import CAUSES, likely_cause
from grader.feedback.explain import explain_failure
from grader.verdicts import Verdict


class Model(nn.Module):
    """A model with a method of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.project = nn.Linear(4, 3)

    def embed(self, x: torch.Tensor) -> torch.Tensor:
        """Map (…, 4) to (…, 3)."""
        result: torch.Tensor = self.project(x)
        return result


def pickled() -> bytes:
    """Return a saved file that holds more than tensors."""
    buffer = io.BytesIO()
    torch.save({"model": Model}, buffer)
    return buffer.getvalue()


SPACE: dict[str, Any] = {
    "torch": torch,
    "np": np,
    "einops": einops,
    "nn": nn,
    "model": Model(),
    "Model": Model,
    "x": torch.ones(2, 5, 4),
    "y": torch.ones(2, 5, 3),
    "w": torch.ones(4, requires_grad=True),
    "double": torch.ones(4, dtype=torch.float64),
    "mask": torch.ones(2, 5, dtype=torch.bool),
    "array": np.ones((2, 5)),
    "nothing": None,
    "linear": linear_model,
    "io": io,
    "pickled": pickled(),
}
# Code that a student may have written, and a piece of what is said about it.
SLIPS: dict[str, tuple[str, str]] = {
    "truth": ("if x: pass", "`if ids_shuffle is None`"),
    "truth-of-an-array": ("if array: pass", "`np.where`"),
    "cat": ("torch.cat([x, y], dim=1)", "differ in more than the dimension it joins"),
    "cat-ranks": ("torch.cat([x, torch.ones(2, 4)], dim=1)", "expanded to (B, 1, D)"),
    "stack": ("torch.stack([x[0], x[0, :2]])", "expanded to (B, 1, D)"),
    "cat-two-arguments": ("torch.cat(x, y)", "one list of tensors"),
    "cat-with-none": ("torch.cat([x, nothing])", "is None"),
    "none-attribute": ("nothing.shape", "ends without `return`"),
    "none-index": ("nothing[0]", "ends without `return`"),
    "none-sum": ("x + nothing", "ends without `return`"),
    "none-unpacked": ("a, b = nothing", "ends without `return`"),
    "linear": ("model.embed(y)", "the features belong in the last dimension"),
    "vector-product": ("x[0] @ torch.ones(5)", "product with `@`"),
    "numpy-product": ("array @ array", "product with `@`"),
    "numpy-dot": ("np.dot(array, array)", "product with `@`"),
    "batched-product": ("torch.bmm(x, y)", "(B, n, k) goes with (B, k, m)"),
    "attention-width": ("nn.MultiheadAttention(8, 2)(x, x, x)", "another width"),
    "einops": ("einops.rearrange(x, 'b n d -> b n')", "left side of the pattern"),
    "nan": ("np.linalg.svd(np.full((2, 2), np.nan))", "NaN or infinite values before"),
    "einsum": ("torch.einsum('bij,bjk->bik', x, y)", "`einsum`"),
    "view": ("x.permute(2, 0, 1).view(-1)", "`reshape`"),
    "reshape": ("x.reshape(3, 7)", "do not multiply to the number of elements"),
    "numpy-reshape": ("array.reshape(3, 7)", "do not multiply to the number of elements"),
    "permute": ("x.permute(0, 1)", "name every axis once"),
    "numpy-transpose": ("array.transpose(0, 1, 2)", "name every axis once"),
    "permute-twice": ("x.permute(0, 1, 1)", "names an axis twice"),
    "expand": ("torch.ones(1, 2, 4).expand(3, 5, 4)", "`token.expand(B, -1, -1)`"),
    "expand-too-few": ("x.expand(3, 5)", "`token.expand(B, -1, -1)`"),
    "broadcast": ("x + torch.ones(2, 6, 4)", "Print both shapes"),
    "numpy-broadcast": ("array + np.ones(3)", "Print both shapes"),
    "numpy-assignment": ("array[0] = np.ones(3)", "Print both shapes"),
    "dimension": ("x.sum(dim=3)", "counting begins at 0"),
    "numpy-axis": ("np.sum(array, axis=2)", "counting begins at 0"),
    "float-index": ("x[torch.ones(2)]", "type int64"),
    "gather-dtype": ("torch.gather(x, 1, x)", "type int64"),
    "take-dtype": ("torch.take_along_dim(x, x, dim=1)", "type int64"),
    "numpy-float-index": ("array[0.5]", "type int64"),
    "tensor-as-size": ("range(torch.ones(2))", "One number is needed"),
    "array-as-number": ("float(array)", "One number is needed"),
    "item": ("x.item()", "One number is needed"),
    "index": ("x[:, 9]", "larger than the dimension"),
    "gather-shape": (
        "torch.gather(x, 1, torch.zeros(2, 5, dtype=torch.long))",
        "another shape than what it picks from",
    ),
    "list-index": ("[1, 2][3]", "larger than the dimension"),
    "too-many-indices": ("mask[0, 0, 0]", "More dimensions are indexed"),
    "float-and-double": ("model.embed(x.double())", "`to_tensor`"),
    "double-vector": ("x[0] @ double", "`to_tensor`"),
    "mean-of-bool": ("mask.mean()", "real ones are needed"),
    "softmax-of-long": ("torch.softmax(mask.long(), 1)", "real ones are needed"),
    "bool-minus": ("1 - mask", "`~mask`"),
    "bool-negated": ("-(array > 0)", "`~mask`"),
    "from-numpy-of-list": ("torch.from_numpy([1])", "`torch.as_tensor`"),
    "softplus-of-array": ("nn.functional.softplus(array)", "`torch.as_tensor`"),
    "array-as-tensor": ("array.unsqueeze(0)", "An array or a list stands"),
    "list-as-tensor": ("[x].shape", "An array or a list stands"),
    "tensor-as-array": ("x.astype(float)", "`.to(dtype)`"),
    "tuple": ("(x, y).shape", "`forward_encoder_representation`"),
    "tuple-index": ("(x, y)[:, 0]", "`forward_encoder_representation`"),
    "unpack-few": ("a, b, c = x", "`random_masking` and `forward_encoder` return three"),
    "unpack-many": ("a, b = x.shape", "a shape of four numbers"),
    "numpy-of-graph": ("w.numpy()", "cuts the gradient"),
    "leaf": ("w[0] = 1", "written to in place"),
    "leaf-plus": ("w += 1", "written to in place"),
    "no-graph": ("x.sum().backward()", "somewhere the graph is cut"),
    "unused": ("torch.autograd.grad((w * 1).sum(), torch.ones(2, requires_grad=True))", "that very tensor"),
    "second-time": ("l = (w * w).sum()\nl.backward()\nl.backward()", "`create_graph=True`"),
    "backward-of-vector": ("(w * w).backward()", "a single number"),
    "state-dict": ("model.load_state_dict(nn.Linear(2, 2).state_dict())", "other sizes or names"),
    "module-attribute": ("torch.concatt", "typing mistake"),
    "own-attribute": ("model.projection", "check that `__init__` sets it"),
    "method": ("model.forward_encoder(x)", "inside the class"),
    "self-forgotten": ("class A:\n def f(x): pass\nA().f(1)", "`self`"),
    "argument-left-out": ("Model.embed(x)", "not on its class"),
    "keyword": ("model.embed(z=x)", "signature differs"),
    "call-of-a-tensor": ("x(1)", "no function is called"),
    "index-of-a-function": ("len[0]", "is indexed with"),
    "singular": ("np.linalg.inv(np.zeros((2, 2)))", "the pseudo-inverse gives it"),
    "singular-tensor": ("torch.linalg.inv(torch.zeros(2, 2))", "the pseudo-inverse gives it"),
    "before-init": ("class B(nn.Module):\n def __init__(self): self.a = nn.Linear(1, 1)\nB()", "the first line"),
    "file": ("open('nowhere.pt')", "the grader gives your code no files"),
    "mps": ("x.to('mps')", "not `.cuda()` or `'mps'`"),
    "mps-new": ("torch.zeros(2, device='mps')", "not `.cuda()` or `'mps'`"),
    "numpy-removed": ("np.string_(3)", "removed from NumPy 2"),
    "numpy-never": ("np.asscalar(array[0, :1])", "removed from NumPy 2"),
    "torch-removed": ("torch.lstsq(x, y)", "`torch.linalg` has its successors"),
    "sklearn-argument": ("linear.LinearRegression(normalize=True)", "scikit-learn is 1.7"),
    "sklearn-value": ("linear.LogisticRegression(penalty='l3').fit([[0], [1]], [0, 1])", "scikit-learn is 1.7"),
    "weights-only": ("torch.load(io.BytesIO(pickled))", "reads tensors only unless"),
    "unbound": ("def f():\n if x is None: a = 1\n return a\nf()", "read before it has a value"),
    "key": ("{'train': 1}['tests']", "`params_dict` has the keys"),
    "division": ("1 / 0", "divided by zero"),
    "assertion": ("assert x.shape == (1,)", "`assert` of yours"),
    "import": ("from math import featurize", "not in the module"),
}
# Patterns whose exceptions need what is not here: a GPU, a terminal, a network, scikit-learn.
NOT_RAISED = ("CUDA", "same device", "cuda", "EOF", "Operation not permitted", "2 classes")


def raised(source: str) -> tuple[str, str]:
    """Run code that fails and return the name and the words of its exception."""
    try:
        exec(source, dict(SPACE))
    except Exception as error:
        return type(error).__name__, str(error)
    raise AssertionError(f"{source!r} raises nothing")


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", SLIPS)
def test_a_real_exception_gets_its_words(name: str) -> None:
    """What a slip raises is explained by its likely cause, not by the advice that fits everything."""
    source, piece = SLIPS[name]
    kind, message = raised(source)

    assert piece in likely_cause(kind, message[:240]), (kind, message)


@pytest.mark.filterwarnings("ignore")
def test_every_pattern_is_the_first_for_some_exception() -> None:
    """No cause stands behind another one that takes all its messages, or fits no message any more."""
    said = {likely_cause(*raised(source)) for source, _ in SLIPS.values()}
    unused = [pattern for pattern, cause in CAUSES if cause not in said]

    assert [pattern for pattern in unused if not any(word in pattern for word in NOT_RAISED)] == []


@pytest.mark.parametrize(("pattern", "cause"), CAUSES, ids=[pattern[:30] for pattern, _ in CAUSES])
def test_causes_are_sentences_with_something_to_try(pattern: str, cause: str) -> None:
    """Full sentences, code in code spans, nothing that quotes the message."""
    re.compile(pattern)
    assert re.match(r"[A-Z`]", cause)
    assert cause.endswith(".")
    assert cause.count("`") % 2 == 0
    assert len(cause) <= 340


@pytest.mark.parametrize(
    ("message", "piece"),
    [
        ("name 'self' is not defined", "inside methods"),
        ("name 'patch_size' is not defined", "write `self.patch_size`"),
        ("name 'foo' is not defined", "Restart the kernel"),
    ],
)
def test_a_name_that_is_an_attribute_is_told_so(message: str, piece: str) -> None:
    """What belongs to the model has to be taken from self."""
    failure = {"kind": "exception", "type": "NameError", "message": message, "where": [], "name": "x"}
    evidence = explain_failure(failure, function="ClassificationViT.forward", not_run={})

    assert evidence.verdict is Verdict.ERROR
    assert piece in evidence.try_next
