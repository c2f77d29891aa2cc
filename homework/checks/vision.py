"""
The vision checks: inputs drawn for each function, answered by the reference.

B images, N patches, K kept ones, D features. "Output" and "gradient" ask at the homework's sizes, "generality" at
another patch size, grid and width, "behaviour" what only calls in a certain way show.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import nn

from grader.checks.compare import MASK, compare, compare_form
from grader.checks.exam import Case, CaseAnswer, Check, Errors, Exam, Judge
from grader.checks.judges import gradient_errors, judge_gradients, judge_outputs, judge_unchanged, output_errors
from grader.checks.reference import gradients_of, outputs_of
from grader.checks.tensors import to_arrays
from grader.contract import Function
from grader.verdicts import Evidence, failed, passed
from grader.wire import Arrays
from homework.checks.pictures import look_at_mask, with_pictures
from homework.checks.reference import CALIBRATION, REFERENCE
from homework.contract import CONTRACT
from reference.vision.autoencoder import MaskedAutoEncoder

Tensors = dict[str, torch.Tensor]
Settings = Mapping[str, Any]  # constructor arguments, sizes and flags, as the contract names them

_VIT: Settings = {"n_classes": 10, "embedding_dim": 256, "patch_size": 4, "num_patches": 8}
_VIT_SMALL: Settings = {"n_classes": 7, "embedding_dim": 32, "patch_size": 6, "num_patches": 5}
# The homework's sizes but for the depth and inner width of the Transformer, which is handed out: one layer has every
# path that values and gradients can take, at a quarter of the parameters.
_MAE: Settings = {
    "encoder": {"embedding_dim": 256, "n_heads": 4, "n_layers": 1, "feedforward_dim": 256},
    "decoder": {"embedding_dim": 128, "n_heads": 4, "n_layers": 1, "feedforward_dim": 256},
    "encoder_embedding_dim": 256,
    "decoder_embedding_dim": 128,
    "patch_size": 4,
    "num_patches": 8,
    "mask_ratio": 0.75,
}
_MAE_SMALL: Settings = {
    "encoder": {"embedding_dim": 24, "n_heads": 2, "n_layers": 1, "feedforward_dim": 40},
    "decoder": {"embedding_dim": 16, "n_heads": 2, "n_layers": 1, "feedforward_dim": 40},
    "encoder_embedding_dim": 24,
    "decoder_embedding_dim": 16,
    "patch_size": 6,
    "num_patches": 5,
    "mask_ratio": 0.6,
}
_CLASSIFIER: Settings = {"n_classes": 10, "embedding_dim": 256, "detach": False, "mae": _MAE}
_CLASSIFIER_SMALL: Settings = {"n_classes": 7, "embedding_dim": 24, "detach": False, "mae": _MAE_SMALL}
_PROBE: Settings = {**_CLASSIFIER, "detach": True}
_NO_SETTINGS: Settings = {}
_BATCH = 3


def _normal(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator)


def _images(generator: torch.Generator, settings: Settings) -> torch.Tensor:
    side = settings["patch_size"] * settings["num_patches"]
    return _normal(generator, _BATCH, 3, side, side)


def _permutations(generator: torch.Generator, n: int) -> torch.Tensor:
    """(B, n) int64, a permutation in each row."""
    return torch.argsort(torch.rand(_BATCH, n, generator=generator), dim=1)


def _randomise(module: nn.Module, generator: torch.Generator) -> None:
    """Give every parameter a value that shows when it is left out; weights keep activations of order one."""
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = _normal(generator, *parameter.shape)
            if parameter.dim() == 2:
                parameter.copy_(noise / parameter.shape[1] ** 0.5)
            elif "norm" in name and name.endswith("weight"):
                parameter.copy_(1 + 0.1 * noise)
            elif parameter.dim() == 1:
                parameter.copy_(0.1 * noise)
            else:
                parameter.copy_(0.5 * noise)


_MODULES: dict[tuple[str, str], nn.Module | None] = {}


def _randomised(subject: Function, settings: Settings, generator: torch.Generator) -> nn.Module | None:
    """
    Return the one module of this kind and size, with all of its parameters drawn anew; None for a plain function.

    Building it takes longer than what it is asked, and nothing of it outlives the exam that it answers.
    """
    key = (subject.root, repr(settings))
    if key not in _MODULES:
        _MODULES[key] = REFERENCE.build(subject, settings)
    module = _MODULES[key]
    if module is not None:
        _randomise(module, generator)
    return module


def _state(module: nn.Module) -> Arrays:
    """Return a copy of a module's parameters."""
    return {name: array.copy() for name, array in to_arrays(dict(module.named_parameters())).items()}


# Each "draw" makes the inputs of one case.

Draw = Callable[[torch.Generator], Tensors]


def _draw_images(settings: Settings) -> Draw:
    return lambda generator: {"images": _images(generator, settings)}


def _draw_masking(length: int, width: int) -> Draw:
    return lambda generator: {
        "x": _normal(generator, _BATCH, length, width),
        "ids_shuffle": _permutations(generator, length),
    }


def _draw_restoring(length: int, kept: int, width: int) -> Draw:
    return lambda generator: {
        "kept_x": _normal(generator, _BATCH, kept, width),
        "masked_x": _normal(generator, _BATCH, length - kept, width),
        "ids_restore": _permutations(generator, length),
    }


def _draw_encoding(settings: Settings) -> Draw:
    return lambda generator: {
        "images": _images(generator, settings),
        "ids_shuffle": _permutations(generator, settings["num_patches"] ** 2),
    }


def _draw_decoding(settings: Settings) -> Draw:
    n_patches = settings["num_patches"] ** 2
    kept = n_patches - int(n_patches * settings["mask_ratio"])
    return lambda generator: {
        "encoder_embeddings": _normal(generator, _BATCH, kept + 1, settings["encoder_embedding_dim"]),
        "ids_restore": _permutations(generator, n_patches),
    }


def _exam(
    function: str, settings: Settings, draw: Draw, *, cases: int = 2, gradients: bool = False
) -> Callable[[torch.Generator], Exam]:
    """Return a `prepare` that draws a module's parameters and the cases, and lets the reference answer."""
    subject = CONTRACT[function]

    def prepare(generator: torch.Generator) -> Exam:
        module = _randomised(subject, settings, generator)
        answer = _with_gradients if gradients else _values_only
        answered = [answer(subject, module, draw(generator), settings, generator) for _ in range(cases)]
        return Exam(settings, _state(module) if module is not None else {}, answered)

    return prepare


def _answer(subject: Function, module: nn.Module | None, inputs: Tensors, settings: Settings) -> Tensors:
    return outputs_of(subject, REFERENCE.functions[subject.name], module, inputs, settings)


def _values_only(
    subject: Function, module: nn.Module | None, inputs: Tensors, settings: Settings, _: torch.Generator
) -> Case:
    with torch.no_grad():
        return Case(to_arrays(inputs), to_arrays(_answer(subject, module, inputs, settings)))


def _with_gradients(
    subject: Function, module: nn.Module | None, inputs: Tensors, settings: Settings, generator: torch.Generator
) -> Case:
    """Answer with the outputs and the gradients of sum(outputs · cotangents)."""
    for tensor in inputs.values():
        tensor.requires_grad_(tensor.is_floating_point())
    answer = _answer(subject, module, inputs, settings)
    outputs = {name: output for name, output in answer.items() if output.requires_grad}
    cotangents = {name: _normal(generator, *output.shape) for name, output in outputs.items()}
    parameters = {} if module is None else dict(module.named_parameters())
    gradients = gradients_of(outputs, cotangents, {**inputs, **parameters})
    asked = {**inputs, **{f"cotangent/{name}": cotangent for name, cotangent in cotangents.items()}}
    return Case(to_arrays(asked), to_arrays({**outputs, **gradients}))


# Judges outputs among which is a mask; a wrong one is shown beside the right one.
judge_masked = with_pictures(judge_outputs, look_at_mask, when_passed=False)

_CHECKS: list[Check] = []
_ERRORS: dict[Judge, Errors] = {
    judge_outputs: output_errors,
    judge_masked: output_errors,
    judge_gradients: gradient_errors,
}


_EXEMPT = {
    "random_masking": "Arguments before and after the call are compared exactly.",
    "MaskedAutoEncoder.forward_encoder": "Permutations and the masks that belong to them are exact.",
    "ClassificationMAE.forward": "A gradient is there or not, and zero or not.",
}


def _add(function: str, aspect: str, prepare: Callable[[torch.Generator], Exam], judge: Judge) -> None:
    exempt = _EXEMPT.get(function, "") if aspect == "behaviour" else ""
    _CHECKS.append(
        Check(
            CONTRACT[function],
            aspect,
            prepare,
            judge,
            CALIBRATION,
            _ERRORS.get(judge),
            needs=CONTRACT.lent_to(function),
            only_with="output" if aspect == "behaviour" else "",
            exempt=exempt,
        )
    )


def _judge_own_permutation(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    """Without ids, every image of every call has its own permutation, and the outputs agree with it."""
    restores = []
    for answer in answers:
        restore, mask = answer.get("ids_restore"), answer.get("mask")
        expected = exam.cases[0].expected
        for array, name in (
            (restore, "ids_restore"),
            (mask, "mask"),
            (answer.get("embeddings"), "embeddings"),
        ):
            if array is None or array.shape != expected[name].shape:
                return failed(compare_form(array, expected[name], name=name))
        assert restore is not None
        assert mask is not None
        if not np.array_equal(np.sort(restore, axis=1), expected["sorted"]):
            return failed("Without `ids_shuffle`, `ids_restore` is not a permutation of the patches for every image.")
        kept = int(expected["kept"])
        if sentence := compare(mask, (restore >= kept).astype(np.float32), MASK, name="mask"):
            return failed("`mask` does not agree with `ids_restore`.", sentence)
        restores.append(restore)
    rows = np.concatenate(restores)
    distinct = len(np.unique(rows, axis=0))
    if distinct < len(rows):
        # What was seen, not what it means: where it is one of the known mistakes, that is said before this.
        return failed(
            f"{len(restores)} calls with {len(restores[0])} images each gave {distinct} different "
            f"{'order' if distinct == 1 else 'orders'} of the patches; there should be {len(rows)}.",
            try_next=_DRAW_ANEW,
        )
    if pattern := pattern_in(rows):
        return failed(f"The orders of the patches are not random: {pattern}.", try_next=_DRAW_ANEW)
    return passed()


_DRAW_ANEW = (
    "Draw a new permutation for each image in each call, for example by `torch.argsort(torch.rand(B, N), dim=1)`, "
    "without setting a seed."
)
# Of the 63 or 64 differences between neighbors of a row, or between two rows, each value comes up about once, as often
# as Poisson(1) says; 12 times and more has odds of 7e-10. With 9 rows and 36 pairs, and their
# inverses, that is 5e-6 for all of them.
_OFTEN = 12
# The mean place of each patch over the rows, in squares of its own spread, adds up to about 63 ± 11 over all patches.
# A chi-square with 63 degrees of freedom exceeds 150 with odds of 5e-9.
_LOPSIDED = 150.0


def pattern_in(rows: np.ndarray[Any, np.dtype[Any]]) -> str:
    """
    Return what betrays that permutations were not drawn uniformly, or an empty text.

    A false alarm has odds below 1 in 100,000; see the limits above.

    Shapes: R permutations of N patches.

    Args:
        rows: (R, N), whole numbers.
    """
    rows, n = rows.astype(np.int64), rows.shape[1]
    for order in (rows, np.argsort(rows, axis=1)):  # where each patch goes, and which patch comes where
        steps = [np.diff(row) % n for row in order]
        if max(np.bincount(step).max() for step in steps) >= _OFTEN:
            return "within one image, many neighbors are the same distance apart"
        shifts = [(order[j] - order[i]) % n for i in range(len(order)) for j in range(i)]
        if max(np.bincount(shift).max() for shift in shifts) >= _OFTEN:
            return "those of two images differ only by a shift of many patches"
    spread = (n**2 - 1) / 12 / len(rows)
    if np.sum((rows.mean(axis=0) - (n - 1) / 2) ** 2) / spread >= _LOPSIDED:
        return "some patches come early, and others late, in nearly all of them"
    return ""


def _prepare_own_permutation(generator: torch.Generator) -> Exam:
    """
    The same images in three calls of one module without ids_shuffle; what its constructor seeds, it seeds once.

    Two of the nine permutations of 64 patches agree by chance with odds below 1e-87.
    """
    subject = CONTRACT["MaskedAutoEncoder.forward_encoder"]
    model = _randomised(subject, _MAE, generator)
    assert isinstance(model, MaskedAutoEncoder)
    images = {"images": _images(generator, _MAE)}
    n_patches = _MAE["num_patches"] ** 2
    ids = torch.arange(n_patches).expand(_BATCH, -1)
    with torch.no_grad():
        expected = _answer(subject, model, {**images, "ids_shuffle": ids}, _MAE)
    expected.update(sorted=ids, kept=torch.tensor(model.keep_length))
    cases = [Case(to_arrays(images), to_arrays(expected), seed=seed) for seed in (11, 12, 13)]
    return Exam(_MAE, _state(model), cases)


def _judge_detached(check: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    """With detach=True the head has its gradient and nothing of the autoencoder has any."""
    for case, answer in zip(exam.cases, answers, strict=True):
        logits = answer.get("logits")
        if logits is None or logits.shape != case.expected["logits"].shape:
            return failed(compare_form(logits, case.expected["logits"], name="logits"))
        if not np.all(np.isfinite(logits)) or not np.any(logits != logits[:1]):
            return failed("The `logits` are not finite, or the same for every image, so nothing could be learned.")
        gradients = {name: answer.get(f"gradient/{name}") for name in sorted(exam.state)}
        leaked = [
            name
            for name, array in gradients.items()
            if name.startswith("mae.") and array is not None and np.any(array != 0)
        ]
        if leaked:
            return failed(
                f"With `detach=True`, a gradient still reaches {len(leaked)} parameters of `mae`, "
                f"among them `{leaked[0]}`.",
                try_next="A linear probe trains the head alone: cut the graph between the representation and "
                "`output_head`.",
            )
        if any(array is None for name, array in gradients.items() if name.startswith("output_head.")):
            return failed("With `detach=True`, the head itself gets no gradient, so nothing would be learned.")
    return passed()


def _register() -> None:
    masking, masking_small = {"keep_length": 16}, {"keep_length": 7}
    _add_function("patchify", _draw_images(_VIT), _rectangles, small={"patch_size": 8})
    _add_function("unpatchify", _draw_patches(64, 48), _draw_patches(25, 144), small={"patch_size": 6})
    _add_function("random_masking", _draw_masking(64, 256), _draw_masking(30, 5), masking, masking_small, judge_masked)
    _add_gradient("random_masking", masking, _draw_masking(64, 256), cases=2)
    _add("random_masking", "behaviour", _exam("random_masking", masking, _draw_masking(64, 256)), judge_unchanged)
    _add_function("restore_masked", _draw_restoring(64, 16, 128), _draw_restoring(30, 11, 5))
    _add_gradient("restore_masked", {}, _draw_restoring(64, 16, 128), cases=2)
    _add_method("ClassificationViT.forward", _draw_images, _VIT, _VIT_SMALL)
    _add_method("MaskedAutoEncoder.forward_encoder", _draw_encoding, _MAE, _MAE_SMALL, judge_masked)
    _add("MaskedAutoEncoder.forward_encoder", "behaviour", _prepare_own_permutation, _judge_own_permutation)
    _add_method("MaskedAutoEncoder.forward_decoder", _draw_decoding, _MAE, _MAE_SMALL)
    _add_method("MaskedAutoEncoder.forward_encoder_representation", _draw_images, _MAE, _MAE_SMALL)
    _add_method("ClassificationMAE.forward", _draw_for_classifier, _CLASSIFIER, _CLASSIFIER_SMALL)
    probing = _exam("ClassificationMAE.forward", _PROBE, _draw_images(_MAE), cases=1, gradients=True)
    _add("ClassificationMAE.forward", "behaviour", probing, _judge_detached)


def _add_function(
    function: str,
    draw: Draw,
    draw_small: Draw,
    full: Settings = _NO_SETTINGS,
    small: Settings = _NO_SETTINGS,
    judge: Judge = judge_outputs,
) -> None:
    """Add the questions after a plain function's values, at the homework's sizes and at others."""
    _add(function, "output", _exam(function, full, draw), judge)
    _add(function, "generality", _exam(function, small, draw_small), judge_outputs)


def _add_gradient(function: str, settings: Settings, draw: Draw, *, cases: int) -> None:
    _add(function, "gradient", _exam(function, settings, draw, cases=cases, gradients=True), judge_gradients)


def _add_method(
    function: str, draw: Callable[[Settings], Draw], full: Settings, small: Settings, judge: Judge = judge_outputs
) -> None:
    """Add the questions after a method's values, gradients, and values at other sizes."""
    _add(function, "output", _exam(function, full, draw(full)), judge)
    _add_gradient(function, full, draw(full), cases=1)
    _add(function, "generality", _exam(function, small, draw(small)), judge_outputs)


def _draw_for_classifier(settings: Settings) -> Draw:
    return _draw_images(settings["mae"])


def _rectangles(generator: torch.Generator) -> Tensors:
    return {"images": _normal(generator, 2, 4, 24, 40)}  # 2, 4, 3, 5 and 8: none can stand for another


def _draw_patches(n_patches: int, length: int) -> Draw:
    return lambda generator: {"patches": _normal(generator, _BATCH, n_patches, length)}


_register()
VISION_CHECKS: tuple[Check, ...] = tuple(_CHECKS)
