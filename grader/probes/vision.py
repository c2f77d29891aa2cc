"""
The vision probes: how each function of the vision notebook is called.

A probe takes the student's namespace and one case, calls the function and names what it returned. Shapes:
B images, N patches, K kept ones, D features; the settings' names are those of the constructors.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from grader.probes.case import Case, Result
from grader.probes.lending import lent_representation
from grader.probes.parameters import load_parameters
from grader.probes.values import split


def patchify(case: Case) -> Result:
    """Call patchify(images), with the patch size only where the case has one."""
    return _function(case, "patchify", ["images"], ["patch_size"], ("patches",))


def unpatchify(case: Case) -> Result:
    """Call unpatchify(patches), with the patch size only where the case has one."""
    return _function(case, "unpatchify", ["patches"], ["patch_size"], ("images",))


def random_masking(case: Case) -> Result:
    """Call random_masking(x, keep_length, ids_shuffle)."""
    value = case.student.get("random_masking")(
        case.inputs["x"], case.settings["keep_length"], case.inputs["ids_shuffle"]
    )
    return Result(split(value, ("kept", "mask", "ids_restore"), where="random_masking"), {})


def restore_masked(case: Case) -> Result:
    """Call restore_masked(kept_x, masked_x, ids_restore)."""
    return _function(case, "restore_masked", ["kept_x", "masked_x", "ids_restore"], [], ("x",))


def vit_forward(case: Case) -> Result:
    """Build a ClassificationViT, give it the case's parameters, call it on images."""
    model, parameters = _module(case, lambda: case.student.get("ClassificationViT")(**case.settings))
    return Result(split(model(case.inputs["images"]), ("logits",), where="ClassificationViT.forward"), parameters)


def forward_encoder(case: Case) -> Result:
    """Call forward_encoder(images, ids_shuffle); without ids_shuffle where the case has none."""
    model, parameters = _autoencoder(case)
    arguments = [case.inputs[name] for name in ("images", "ids_shuffle") if name in case.inputs]
    names = ("embeddings", "mask", "ids_restore")
    where = "MaskedAutoEncoder.forward_encoder"
    return Result(split(model.forward_encoder(*arguments), names, where=where), parameters)


def forward_decoder(case: Case) -> Result:
    """Call forward_decoder(encoder_embeddings, ids_restore)."""
    model, parameters = _autoencoder(case)
    value = model.forward_decoder(case.inputs["encoder_embeddings"], case.inputs["ids_restore"])
    return Result(split(value, ("patches",), where="MaskedAutoEncoder.forward_decoder"), parameters)


def forward_encoder_representation(case: Case) -> Result:
    """Call forward_encoder_representation(images)."""
    model, parameters = _autoencoder(case)
    value = model.forward_encoder_representation(case.inputs["images"])
    where = "MaskedAutoEncoder.forward_encoder_representation"
    return Result(split(value, ("embeddings",), where=where), parameters)


def classification_mae_forward(case: Case) -> Result:
    """Build a ClassificationMAE on a MaskedAutoEncoder, call it on images."""
    settings = dict(case.settings)

    def build() -> Any:
        mae = build_autoencoder(case, settings.pop("mae"))
        return case.student.get("ClassificationMAE")(settings.pop("n_classes"), mae, **settings)

    model, parameters = _module(case, build)
    return Result(split(model(case.inputs["images"]), ("logits",), where="ClassificationMAE.forward"), parameters)


def _function(case: Case, name: str, inputs: list[str], settings: list[str], outputs: tuple[str, ...]) -> Result:
    arguments = [case.inputs[key] for key in inputs]
    arguments += [case.settings[key] for key in settings if key in case.settings]
    return Result(split(case.student.get(name)(*arguments), outputs, where=name), {})


def _autoencoder(case: Case) -> tuple[Any, dict[str, nn.Parameter]]:
    return _module(case, lambda: build_autoencoder(case, case.settings))


def _module(case: Case, build: Callable[[], Any]) -> tuple[Any, dict[str, nn.Parameter]]:
    """
    Return a module with the case's parameters, and these; all cases of a question use the one of the first.

    As in training, one module is called again and again: one that a call damages is found out.
    """
    if not case.built:
        model = build().to(case.lender.device)
        case.built.append((model, load_parameters(model, case.state)))
    return case.built[0]


def build_autoencoder(case: Case, settings: dict[str, Any]) -> Any:
    """Build the student's MaskedAutoEncoder; the handed-out one around a lent method, where one is lent."""
    arguments = dict(settings)
    transformer = case.student.get("Transformer")
    arguments["encoder"] = transformer(**arguments["encoder"])
    arguments["decoder"] = transformer(**arguments["decoder"])
    if "MaskedAutoEncoder.forward_encoder_representation" not in case.lent:
        return case.student.get("MaskedAutoEncoder")(**arguments)
    # The handed-out class, so that nothing of the student's own autoencoder can be in the way.
    methods = {"forward_encoder_representation": lent_representation(case.lender, settings)}
    return type("MaskedAutoEncoder", (case.given["MaskedAutoEncoder"],), methods)(**arguments)


PROBES = {
    "patchify": patchify,
    "unpatchify": unpatchify,
    "random_masking": random_masking,
    "restore_masked": restore_masked,
    "ClassificationViT.forward": vit_forward,
    "MaskedAutoEncoder.forward_encoder": forward_encoder,
    "MaskedAutoEncoder.forward_decoder": forward_decoder,
    "MaskedAutoEncoder.forward_encoder_representation": forward_encoder_representation,
    "ClassificationMAE.forward": classification_mae_forward,
}
