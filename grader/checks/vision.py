"""
The vision checks: inputs drawn for each function, answered by the reference.

B images, N patches, K kept ones, D features. "Output" and "gradient" ask at the homework's sizes, "generality" at
another patch size, grid and width, "behaviour" what only calls in a certain way show.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
import torch
from torch import nn

from grader.checks.compare import INDEX, MASK, compare, compare_form
from grader.checks.exam import Case, CaseAnswer, Check, Errors, Exam, Judge
from grader.checks.judges import gradient_errors, judge_gradients, judge_outputs, judge_unchanged, output_errors
from grader.checks.pictures import look_at_mask, with_pictures
from grader.checks.tensors import to_arrays
from grader.verdicts import Evidence, failed, passed
from grader.wire import Arrays
from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.classifier import ClassificationMAE
from reference.vision.masking import random_masking, restore_masked
from reference.vision.patches import patchify, unpatchify
from reference.vision.vit import ClassificationViT, Transformer

Tensors = dict[str, torch.Tensor]
# Computes a function's named outputs from a module (None for plain functions) and named inputs.
Compute = Callable[[Any, Tensors], Tensors]
Module = TypeVar("Module", bound=nn.Module)

_VIT: dict[str, Any] = {"n_classes": 10, "embedding_dim": 256, "patch_size": 4, "num_patches": 8}
_VIT_SMALL: dict[str, Any] = {"n_classes": 7, "embedding_dim": 32, "patch_size": 6, "num_patches": 5}
# The homework's sizes but for the depth and inner width of the Transformer, which is handed out: one layer has every
# path that values and gradients can take, at a quarter of the parameters.
_MAE: dict[str, Any] = {
    "encoder": {"embedding_dim": 256, "n_heads": 4, "n_layers": 1, "feedforward_dim": 256},
    "decoder": {"embedding_dim": 128, "n_heads": 4, "n_layers": 1, "feedforward_dim": 256},
    "encoder_embedding_dim": 256,
    "decoder_embedding_dim": 128,
    "patch_size": 4,
    "num_patches": 8,
    "mask_ratio": 0.75,
}
_MAE_SMALL: dict[str, Any] = {
    "encoder": {"embedding_dim": 24, "n_heads": 2, "n_layers": 1, "feedforward_dim": 40},
    "decoder": {"embedding_dim": 16, "n_heads": 2, "n_layers": 1, "feedforward_dim": 40},
    "encoder_embedding_dim": 24,
    "decoder_embedding_dim": 16,
    "patch_size": 6,
    "num_patches": 5,
    "mask_ratio": 0.6,
}
_BATCH = 3


def _normal(generator: torch.Generator, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=generator)


def _images(generator: torch.Generator, settings: dict[str, Any]) -> torch.Tensor:
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


def _build_vit(settings: dict[str, Any]) -> ClassificationViT:
    return ClassificationViT(**settings)


def _build_mae(settings: dict[str, Any]) -> MaskedAutoEncoder:
    sizes = {key: value for key, value in settings.items() if key not in ("encoder", "decoder")}
    return MaskedAutoEncoder(Transformer(**settings["encoder"]), Transformer(**settings["decoder"]), **sizes)


def _build_classifier(settings: dict[str, Any]) -> ClassificationMAE:
    sizes = {key: value for key, value in settings.items() if key != "mae"}
    return ClassificationMAE(mae=_build_mae(settings["mae"]), **sizes)


_MODULES: dict[tuple[Any, str], Any] = {}


def _randomised(
    build: Callable[[dict[str, Any]], Module], settings: dict[str, Any], generator: torch.Generator
) -> Module:
    """
    Return the one module of this kind and size, with all of its parameters drawn anew.

    Building it takes longer than what it is asked, and nothing of it outlives the exam that it answers.
    """
    key = (build, repr(settings))
    if key not in _MODULES:
        _MODULES[key] = build(settings)
    module: Module = _MODULES[key]
    _randomise(module, generator)
    return module


def _state(module: nn.Module) -> Arrays:
    """Return a copy of a module's parameters."""
    return {name: array.copy() for name, array in to_arrays(dict(module.named_parameters())).items()}


# Each "compute" calls the reference and names its outputs.


def _patchify(settings: dict[str, Any]) -> Compute:
    return lambda _, inputs: {"patches": patchify(inputs["images"], settings.get("patch_size", 4))}


def _unpatchify(settings: dict[str, Any]) -> Compute:
    return lambda _, inputs: {"images": unpatchify(inputs["patches"], settings.get("patch_size", 4))}


def _masking(settings: dict[str, Any]) -> Compute:
    def compute(_: Any, inputs: Tensors) -> Tensors:
        kept, mask, ids_restore = random_masking(inputs["x"], settings["keep_length"], inputs["ids_shuffle"])
        return {"kept": kept, "mask": mask, "ids_restore": ids_restore}

    return compute


def _restore(_: Any, inputs: Tensors) -> Tensors:
    return {"x": restore_masked(inputs["kept_x"], inputs["masked_x"], inputs["ids_restore"])}


def _logits(model: nn.Module, inputs: Tensors) -> Tensors:
    return {"logits": model(inputs["images"])}


def _encode(model: MaskedAutoEncoder, inputs: Tensors) -> Tensors:
    embeddings, mask, ids_restore = model.forward_encoder(inputs["images"], inputs["ids_shuffle"])
    return {"embeddings": embeddings, "mask": mask, "ids_restore": ids_restore}


def _decode(model: MaskedAutoEncoder, inputs: Tensors) -> Tensors:
    return {"patches": model.forward_decoder(inputs["encoder_embeddings"], inputs["ids_restore"])}


def _represent(model: MaskedAutoEncoder, inputs: Tensors) -> Tensors:
    return {"embeddings": model.forward_encoder_representation(inputs["images"])}


# Each "draw" makes the inputs of one case.

Draw = Callable[[torch.Generator], Tensors]


def _draw_images(settings: dict[str, Any]) -> Draw:
    return lambda generator: {"images": _images(generator, settings)}


def _draw_masking(batch_shape: tuple[int, int]) -> Draw:
    length, width = batch_shape
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


def _draw_encoding(settings: dict[str, Any]) -> Draw:
    return lambda generator: {
        "images": _images(generator, settings),
        "ids_shuffle": _permutations(generator, settings["num_patches"] ** 2),
    }


def _draw_decoding(settings: dict[str, Any]) -> Draw:
    n_patches = settings["num_patches"] ** 2
    kept = n_patches - int(n_patches * settings["mask_ratio"])
    return lambda generator: {
        "encoder_embeddings": _normal(generator, _BATCH, kept + 1, settings["encoder_embedding_dim"]),
        "ids_restore": _permutations(generator, n_patches),
    }


def _exam(
    settings: dict[str, Any],
    draw: Draw,
    compute: Compute,
    *,
    build: Callable[[dict[str, Any]], nn.Module] | None = None,
    cases: int = 2,
    gradients: bool = False,
) -> Callable[[torch.Generator], Exam]:
    """Return a `prepare` that draws a module's parameters and the cases, and lets the reference answer."""

    def prepare(generator: torch.Generator) -> Exam:
        module = _randomised(build, settings, generator) if build is not None else None
        answer = _with_gradients if gradients else _values_only
        answered = [answer(module, draw(generator), compute, generator) for _ in range(cases)]
        return Exam(settings, _state(module) if module is not None else {}, answered)

    return prepare


def _values_only(module: Any, inputs: Tensors, compute: Compute, _: torch.Generator) -> Case:
    with torch.no_grad():
        return Case(to_arrays(inputs), to_arrays(compute(module, inputs)))


def _with_gradients(module: Any, inputs: Tensors, compute: Compute, generator: torch.Generator) -> Case:
    """Answer with the outputs and the gradients of sum(outputs · cotangents)."""
    for tensor in inputs.values():
        tensor.requires_grad_(tensor.is_floating_point())
    outputs = {name: output for name, output in compute(module, inputs).items() if output.requires_grad}
    cotangents = {name: _normal(generator, *output.shape) for name, output in outputs.items()}
    total = torch.stack([(outputs[name] * cotangents[name]).sum() for name in outputs]).sum()
    targets = {name: tensor for name, tensor in inputs.items() if tensor.requires_grad}
    if module is not None:
        targets.update(module.named_parameters())
    found = torch.autograd.grad(total, list(targets.values()), allow_unused=True)
    gradients = {
        f"gradient/{name}": gradient
        for name, gradient in zip(targets, found, strict=True)
        if gradient is not None  # the decoder has no part in the encoder's output
    }
    asked = {**inputs, **{f"cotangent/{name}": cotangent for name, cotangent in cotangents.items()}}
    return Case(to_arrays(asked), to_arrays({**outputs, **gradients}))


# Judges outputs among which is a mask; a wrong one is shown beside the right one.
judge_masked = with_pictures(judge_outputs, look_at_mask, when_passed=False)

_CHECKS: list[Check] = []
_WANTED = {
    "patchify": ("patchify",),
    "unpatchify": ("unpatchify",),
    "random_masking": ("random_masking",),
    "restore_masked": ("restore_masked",),
    "ClassificationViT.forward": ("ClassificationViT",),
    "MaskedAutoEncoder.forward_encoder": ("Transformer", "MaskedAutoEncoder"),
    "MaskedAutoEncoder.forward_decoder": ("Transformer", "MaskedAutoEncoder"),
    "MaskedAutoEncoder.forward_encoder_representation": ("Transformer", "MaskedAutoEncoder"),
    "ClassificationMAE.forward": ("Transformer", "MaskedAutoEncoder", "ClassificationMAE"),
}
_NEEDS = {
    "ClassificationViT.forward": ("patchify",),
    "MaskedAutoEncoder.forward_encoder": ("patchify", "random_masking"),
    "MaskedAutoEncoder.forward_decoder": ("restore_masked",),
    "MaskedAutoEncoder.forward_encoder_representation": ("patchify",),
    "ClassificationMAE.forward": ("MaskedAutoEncoder.forward_encoder_representation",),
}
_TOLERANCES = {"mask": MASK, "ids_restore": INDEX}
_ERRORS: dict[Judge, Errors] = {
    judge_outputs: output_errors,
    judge_masked: output_errors,
    judge_gradients: gradient_errors,
}


def _add(function: str, aspect: str, prepare: Callable[[torch.Generator], Exam], judge: Judge) -> None:
    _CHECKS.append(
        Check(
            key=f"{function}.{aspect}",
            part="vision",
            function=function,
            aspect=aspect,
            probe=function,
            wanted=_WANTED[function],
            needs=_NEEDS.get(function, ()),
            prepare=prepare,
            judge=judge,
            errors=_ERRORS.get(judge),
            tolerances=_TOLERANCES,
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
    if distinct == len(rows):
        return passed()
    # What was seen, not what it means: where it is one of the known mistakes, that is said before this.
    return failed(
        f"{len(restores)} calls with {len(restores[0])} images each gave {distinct} different "
        f"{'order' if distinct == 1 else 'orders'} of the patches; there should be {len(rows)}.",
        try_next="Draw a new permutation for each image in each call, for example by "
        "`torch.argsort(torch.rand(B, N), dim=1)`, without setting a seed.",
    )


def _prepare_own_permutation(generator: torch.Generator) -> Exam:
    """
    The same images in three calls of one module without ids_shuffle; what its constructor seeds, it seeds once.

    Two of the nine permutations of 64 patches agree by chance with odds below 1e-87.
    """
    model = _randomised(_build_mae, _MAE, generator)
    images = {"images": _images(generator, _MAE)}
    n_patches = _MAE["num_patches"] ** 2
    ids = torch.arange(n_patches).expand(_BATCH, -1)
    with torch.no_grad():
        expected = _encode(model, {**images, "ids_shuffle": ids})
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
    small_patches = {"patch_size": 8}
    masking, masking_small = {"keep_length": 16}, {"keep_length": 7}
    _add("patchify", "output", _exam({}, _draw_images(_VIT), _patchify({})), judge_outputs)
    _add("patchify", "generality", _exam(small_patches, _rectangles, _patchify(small_patches)), judge_outputs)
    _add("unpatchify", "output", _exam({}, _draw_patches(64, 48), _unpatchify({})), judge_outputs)
    _add(
        "unpatchify",
        "generality",
        _exam({"patch_size": 6}, _draw_patches(25, 144), _unpatchify({"patch_size": 6})),
        judge_outputs,
    )
    function = "ClassificationViT.forward"
    _add(function, "output", _exam(_VIT, _draw_images(_VIT), _logits, build=_build_vit), judge_outputs)
    _add(
        function,
        "gradient",
        _exam(_VIT, _draw_images(_VIT), _logits, build=_build_vit, cases=1, gradients=True),
        judge_gradients,
    )
    _add(function, "generality", _exam(_VIT_SMALL, _draw_images(_VIT_SMALL), _logits, build=_build_vit), judge_outputs)
    function = "random_masking"
    _add(function, "output", _exam(masking, _draw_masking((64, 256)), _masking(masking)), judge_masked)
    _add(
        function,
        "gradient",
        _exam(masking, _draw_masking((64, 256)), _masking(masking), gradients=True),
        judge_gradients,
    )
    _add(function, "behaviour", _exam(masking, _draw_masking((64, 256)), _masking(masking)), judge_unchanged)
    _add(
        function,
        "generality",
        _exam(masking_small, _draw_masking((30, 5)), _masking(masking_small)),
        judge_outputs,
    )
    function = "restore_masked"
    _add(function, "output", _exam({}, _draw_restoring(64, 16, 128), _restore), judge_outputs)
    _add(
        function,
        "gradient",
        _exam({}, _draw_restoring(64, 16, 128), _restore, gradients=True),
        judge_gradients,
    )
    _add(function, "generality", _exam({}, _draw_restoring(30, 11, 5), _restore), judge_outputs)
    _register_autoencoder("MaskedAutoEncoder.forward_encoder", _draw_encoding, _encode, judge_masked)
    _add("MaskedAutoEncoder.forward_encoder", "behaviour", _prepare_own_permutation, _judge_own_permutation)
    _register_autoencoder("MaskedAutoEncoder.forward_decoder", _draw_decoding, _decode)
    _register_autoencoder("MaskedAutoEncoder.forward_encoder_representation", _draw_images, _represent)
    _register_classifier()


def _register_autoencoder(
    function: str, draw: Callable[[dict[str, Any]], Draw], compute: Compute, judge: Judge = judge_outputs
) -> None:
    _add(function, "output", _exam(_MAE, draw(_MAE), compute, build=_build_mae), judge)
    with_gradients = _exam(_MAE, draw(_MAE), compute, build=_build_mae, cases=1, gradients=True)
    _add(function, "gradient", with_gradients, judge_gradients)
    _add(function, "generality", _exam(_MAE_SMALL, draw(_MAE_SMALL), compute, build=_build_mae), judge_outputs)


def _register_classifier() -> None:
    function = "ClassificationMAE.forward"
    full = {"n_classes": 10, "embedding_dim": 256, "detach": False, "mae": _MAE}
    probe = {**full, "detach": True}
    small = {"n_classes": 7, "embedding_dim": 24, "detach": False, "mae": _MAE_SMALL}
    build = _build_classifier
    _add(function, "output", _exam(full, _draw_images(_MAE), _logits, build=build), judge_outputs)
    tuning = _exam(full, _draw_images(_MAE), _logits, build=build, cases=1, gradients=True)
    _add(function, "gradient", tuning, judge_gradients)
    probing = _exam(probe, _draw_images(_MAE), _logits, build=build, cases=1, gradients=True)
    _add(function, "behaviour", probing, _judge_detached)
    _add(function, "generality", _exam(small, _draw_images(_MAE_SMALL), _logits, build=build), judge_outputs)


def _rectangles(generator: torch.Generator) -> Tensors:
    return {"images": _normal(generator, 2, 4, 24, 40)}  # 2, 4, 3, 5 and 8: none can stand for another


def _draw_patches(n_patches: int, length: int) -> Draw:
    return lambda generator: {"patches": _normal(generator, _BATCH, n_patches, length)}


_register()
VISION_CHECKS: tuple[Check, ...] = tuple(_CHECKS)
