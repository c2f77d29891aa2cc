"""Right and wrong code to train: variants of the solved notebook, as cells of definitions."""

from __future__ import annotations

from functools import cache

from grader.trust.cases import Changes, known_cases
from grader.verdicts import Verdict
from homework.homework import HOMEWORK
from tests.checks.convergence_lab import definitions
from tests.known import vision_notebook

VIT, MAE, CLASSIFIER = "ClassificationViT.forward", "MaskedAutoEncoder.forward", "ClassificationMAE.forward"
Functions = dict[str, list[str]]

# Passed submissions -> the modules in whose training they are another way than the reference's.
_RIGHT = {
    "argsort_twice": (MAE,),
    "bool_mask": (MAE,),
    "convolution": (VIT,),
    "double_precision": (VIT,),
    "einops": (MAE, CLASSIFIER),
    "float64_mask": (MAE,),
    "int64_mask": (MAE,),
    "more_submodules": (VIT,),
    "numpy_mask_array": (MAE,),
    "one_image_at_a_time": (CLASSIFIER,),
    "own_transformer": (VIT, MAE, CLASSIFIER),
    "python_loops": (MAE,),
    "repeat_for_expand": (VIT, MAE),
    "representation_keeps_everything": (CLASSIFIER,),
    "scattered_restore": (MAE,),
    "unfold_and_fold": (MAE, CLASSIFIER),
}

# Wrong function bodies, each alone: name -> what is trained, the function, its body.
WRONG_BODIES = {
    "autoencoder_detached": (
        MAE,
        "MaskedAutoEncoder.forward",
        "x, mask, ids = self.forward_encoder(images)\nreturn self.forward_decoder(x, ids).detach(), mask",
    ),
    "mask_inverted_in_loss": (
        MAE,
        "MaskedAutoEncoder.forward",
        "x, mask, ids = self.forward_encoder(images)\nreturn self.forward_decoder(x, ids), 1 - mask",
    ),
    "decoder_ignores_encoder": (
        MAE,
        "MaskedAutoEncoder.forward_decoder",
        "length = ids_restore.shape[1]\n"
        "x = self.masked_tokens.expand(len(ids_restore), length + 1, -1)\n"
        "positions = torch.cat([torch.zeros_like(x[:1, :1]), self.decoder_position_encoding], dim=1)\n"
        "return self.decoder_output_projection(self.decoder(x + positions))[:, 1:]",
    ),
    "constant_reconstruction": (
        MAE,
        "MaskedAutoEncoder.forward_decoder",
        "bias = self.decoder_output_projection.bias\nreturn bias.expand(len(ids_restore), ids_restore.shape[1], -1)",
    ),
    "vit_detached": (
        VIT,
        "ClassificationViT.forward",
        "patches = self.patch_projection(patchify(images, self.patch_size))\n"
        "x = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], dim=1) + self.position_encoding\n"
        "return self.output_head(self.transformer(x)[:, 0]).detach()",
    ),
    "vit_constant": (
        VIT,
        "ClassificationViT.forward",
        "x = (self.cls_token + self.position_encoding[:, :1]).expand(len(images), -1, -1)\n"
        "return self.output_head(self.transformer(x)[:, 0])",
    ),
    "vit_permutes_the_batch": (
        VIT,
        "ClassificationViT.forward",
        "patches = self.patch_projection(patchify(images, self.patch_size))\n"
        "x = torch.cat([self.cls_token.expand(len(images), -1, -1), patches], dim=1) + self.position_encoding\n"
        "return self.output_head(self.transformer(x)[:, 0])[torch.randperm(len(images))]",
    ),
    "classifier_permutes_the_batch": (
        CLASSIFIER,
        "ClassificationMAE.forward",
        "x = self.mae.forward_encoder_representation(images)[:, 0]\n"
        "return self.output_head(x.detach() if self.detach else x)[torch.randperm(len(images))]",
    ),
    "classifier_constant": (
        CLASSIFIER,
        "ClassificationMAE.forward",
        "x = self.mae.forward_encoder_representation(torch.zeros_like(images))[:, 0]\n"
        "return self.output_head(x.detach() if self.detach else x)",
    ),
    "always_detached": (
        CLASSIFIER,
        "ClassificationMAE.forward",
        "return self.output_head(self.mae.forward_encoder_representation(images)[:, 0].detach())",
    ),
    "never_detached": (
        CLASSIFIER,
        "ClassificationMAE.forward",
        "return self.output_head(self.mae.forward_encoder_representation(images)[:, 0])",
    ),
    "frozen_masked_tokens": (
        MAE,
        "MaskedAutoEncoder.forward",
        "self.masked_tokens.requires_grad_(False)\n"
        "x, mask, ids = self.forward_encoder(images)\n"
        "return self.forward_decoder(x, ids), mask",
    ),
}
# What these get wrong does not show in what the weights do; the limits are for the others.
_AS_GOOD_BY_VALUES = {"always_detached", "never_detached", "frozen_masked_tokens"}


@cache
def solved() -> tuple[str, ...]:
    """Return the definitions of the solved notebook."""
    return tuple(definitions(vision_notebook(Changes())))


def wrong(name: str) -> list[str]:
    """Return the definitions of the solved notebook with one wrong function body."""
    _, function, body = WRONG_BODIES[name]
    return definitions(vision_notebook(Changes(bodies={function: body})))


def right_variants() -> dict[str, Functions]:
    """Return what is trained with which code, for each right variant and the reference."""
    variants = {"reference": {function: list(solved()) for function in (VIT, MAE, CLASSIFIER)}}
    changes = {case.name: case.changes for case in known_cases(HOMEWORK, Verdict.PASSED)}
    for name, functions in _RIGHT.items():
        cells = definitions(vision_notebook(changes[name]))
        variants[name] = dict.fromkeys(functions, cells)
    return variants


def wrong_variants() -> dict[str, Functions]:
    """Return the wrong code whose weights do worse."""
    names = [name for name in WRONG_BODIES if name not in _AS_GOOD_BY_VALUES]
    return {name: {WRONG_BODIES[name][0]: wrong(name)} for name in names}
