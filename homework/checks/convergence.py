"""
Training as a question: some steps of the student's own modules on small real images, judged by the weights.

A worker runs the steps (`grader/probes/training.py`) and sends the trained parameters home. Here the reference, with
those parameters in it, meets images that the worker never saw. What the student's code says of its loss or accuracy is
not asked for. Weights that come from elsewhere earn nothing: they have to be within reach of the steps, and at some of
these the gradients have to be such as the reference's (`training_steps`), which code that computes something else does
not know. That they only point the same way, and need not be equal, is for code with a slip that trains all the same:
the slip is paid for where values and gradients are asked for.

The images are scikit-learn's handwritten digits, enlarged to 32 × 32. The autoencoder gets them dark on light and light
on dark by chance, so that no image can be painted without looking at its visible patches: what a mean of the training
images explains is nothing. The states that training begins with are drawn here, and so that a right architecture learns
within dozens of steps: positions are waves, and queries equal keys, so that attention is to neighbours from the start.

Limits stand in convergence_bands.json, with what was measured on both sides of each.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import nn

from grader.checks.compare import compare_form
from grader.checks.exam import Allowance, Case, CaseAnswer, Check, Exam
from grader.checks.tensors import to_arrays, to_tensors
from grader.checks.training_steps import adam_bound, out_of_reach, points_the_same_way
from grader.verdicts import Evidence, Verdict, failed, passed
from grader.wire import Arrays
from homework.checks.reference import A_BAND, CALIBRATION, REFERENCE
from homework.contract import AUTOENCODER, CLASSIFIER, CONTRACT, VIT
from reference.vision.images import digits, normalise
from reference.vision.patches import patchify
from reference.vision.start import CLASSIFYING_START, PRETRAINING_START, begin
from reference.vision.training import random_permutations, reconstruction_loss

BANDS_FILE = Path(__file__).parents[1] / "convergence_bands.json"

Settings = Mapping[str, Any]

_MAE: Settings = {
    "encoder": {"embedding_dim": 48, "n_heads": 2, "n_layers": 1, "feedforward_dim": 96},
    "decoder": {"embedding_dim": 32, "n_heads": 2, "n_layers": 1, "feedforward_dim": 96},
    "encoder_embedding_dim": 48,
    "decoder_embedding_dim": 32,
    "patch_size": 4,
    "num_patches": 8,
    "mask_ratio": 0.75,
}
_DIGITS = (0, 1, 7)
_MAE_TO_CLASSIFY: Settings = {
    **_MAE,
    "encoder": {"embedding_dim": 48, "n_heads": 4, "n_layers": 2, "feedforward_dim": 96},
    "decoder": {"embedding_dim": 16, "n_heads": 2, "n_layers": 1, "feedforward_dim": 16},
    "decoder_embedding_dim": 16,
}
# The depth and the feed-forward width of the homework's ViT are the handed-out Transformer's; only D is smaller.
_VIT: Settings = {"n_classes": len(_DIGITS), "embedding_dim": 32, "patch_size": 4, "num_patches": 8}
_BETAS = (0.9, 0.95)
# The step size of a matrix is divided by its number of inputs over this one: the same numbers then suit a layer of
# 32 inputs and the feed-forward layers of 1024, whose outputs would jump at once with the plain step.
_INPUTS_OF_A_PLAIN_STEP = 32
_DECAY_FROM = 0.4  # after this share of the steps, they shrink evenly to nothing: the end depends less on chance
_SLICE = 16  # images that the reference classifies at once
_MANY = 3  # names listed in one sentence before it is cut
_LOOK_FOR = (
    "Look for `.detach()`, `.data`, `torch.no_grad()`, a detour through numpy, `requires_grad = False`, or a parameter "
    "that your forward pass never uses."
)
_FOLLOW_THE_LOSS = (
    "The loss counts the patches whose `mask` is 1. Look whether `forward_decoder` really gets what `forward_encoder` "
    "returned, in the order that `ids_restore` says, and whether positions are added in both."
)

_ONLY_BY_GRADIENTS = (
    "Let the optimizer alone change the parameters: nothing in the constructor's modules or in `forward` may set them."
)
_VALUES_FIRST = "Mend the questions about this function's values and gradients first; training follows from them."

Tensors = dict[str, torch.Tensor]


@dataclass(frozen=True)
class _Course:
    """
    How one module is trained.

    Args:
        steps: optimiser steps.
        batch_size: images in a step.
        training_images: how many there are to draw from.
        unseen_images: how many are kept to try the weights on.
        head, rest: step sizes of AdamW, for the output head and for all else.
    """

    steps: int
    batch_size: int
    training_images: int
    unseen_images: int
    head: float
    rest: float

    def step_sizes(self, state: Arrays) -> dict[str, float]:
        """Return the size of a full step for each parameter."""
        plain = {name: self.head if name.startswith("output_head.") else self.rest for name in state}
        return {
            name: size * _INPUTS_OF_A_PLAIN_STEP / state[name].shape[1] if state[name].ndim == 2 else size
            for name, size in plain.items()
        }

    @property
    def shares(self) -> list[float]:
        """The share of the full step that each step takes."""
        return [min(1.0, (self.steps - step) / (self.steps * (1 - _DECAY_FROM))) for step in range(self.steps)]

    def looked_at(self, generator: torch.Generator) -> list[int]:
        """Draw a step near the beginning and one past the middle."""
        third = self.steps // 3
        return [first + int(torch.randint(third, (), generator=generator)) for first in (1, self.steps - third)]

    def batches(self, generator: torch.Generator) -> torch.Tensor:
        """(steps, batch_size) int64, the images of each step."""
        return torch.randint(self.training_images, (self.steps, self.batch_size), generator=generator)

    @property
    def allowance(self) -> Allowance:
        """Room for lent helpers: two trainings, whose steps some students take image by image."""
        pixels = 3 * 32 * 32
        return Allowance(
            calls=self.steps * self.batch_size * 2,
            elements=60_000_000,
            image_elements=4 * self.steps * self.batch_size * pixels,
            images=self.batch_size,
            graphs=8,
        )


_PRETRAINING = _Course(60, 24, 256, 96, head=1e-2, rest=1e-2)
_VIT_TRAINING = _Course(60, 8, 320, 192, head=5e-2, rest=2e-3)
_CLASSIFIER_TRAINING = _Course(80, 24, 320, 192, head=1e-1, rest=2e-3)


@functools.cache
def limits() -> dict[str, float]:
    """Return the limit of each measure, from the table of measurements."""
    table = json.loads(BANDS_FILE.read_text(encoding="utf-8"))
    return {name: float(entry["limit"]) for name, entry in table["measures"].items()}


@functools.cache
def typical() -> dict[str, float]:
    """Return what the reference reaches on the average, for the words."""
    table = json.loads(BANDS_FILE.read_text(encoding="utf-8"))
    return {name: float(entry["reference_mean"]) for name, entry in table["measures"].items()}


# Drawing: images, batches and the states that training begins with.


def _prepare_autoencoder(generator: torch.Generator) -> Exam:
    course = _PRETRAINING
    images, _ = digits()
    order = torch.randperm(len(images), generator=generator)[: course.training_images + course.unseen_images]
    signs = 1 - 2 * torch.randint(2, (len(order), 1, 1, 1), generator=generator).float()
    drawn = signs * (images[order] - 0.3) / 0.4  # mean about 0, deviation about 1, whatever the sign
    seen, unseen = drawn[: course.training_images], drawn[course.training_images :]
    module = REFERENCE.construct(AUTOENCODER, _MAE)
    begin(module, generator, PRETRAINING_START)
    inputs = {"images": seen, "patches": patchify(seen, 4), "batches": course.batches(generator)}
    ids_shuffle = random_permutations(len(unseen), 64, generator=generator)
    held_back = {"images": unseen, "ids_shuffle": ids_shuffle}
    return _exam({"mae": _MAE}, module, inputs, held_back, course, generator)


def _prepare_vit(generator: torch.Generator) -> Exam:
    module = REFERENCE.construct(VIT, _VIT)
    inputs, held_back = _labelled(_VIT_TRAINING, generator)
    begin(module, generator, CLASSIFYING_START)
    return _exam({"vit": _VIT, "n_classes": len(_DIGITS)}, module, inputs, held_back, _VIT_TRAINING, generator)


def _prepare_classifiers(generator: torch.Generator) -> Exam:
    course = _CLASSIFIER_TRAINING
    classifier = {"n_classes": len(_DIGITS), "embedding_dim": _MAE_TO_CLASSIFY["encoder_embedding_dim"]}
    settings = {"mae": _MAE_TO_CLASSIFY, "classifier": classifier, "n_classes": len(_DIGITS)}
    module = build("tuned", settings)
    inputs, held_back = _labelled(course, generator)
    begin(module, generator, CLASSIFYING_START)
    return _exam(settings, module, inputs, held_back, course, generator)


def _exam(
    settings: Settings,
    module: nn.Module,
    inputs: Tensors,
    held_back: Tensors,
    course: _Course,
    generator: torch.Generator,
) -> Exam:
    seed = int(torch.randint(2**31, (), generator=generator))
    case = Case(to_arrays(inputs), {}, seed=seed, held_back=to_arrays(held_back))
    state = to_arrays(dict(module.named_parameters()))
    looked_at = course.looked_at(generator)
    steps = {"step_sizes": course.step_sizes(state), "shares": course.shares, "betas": _BETAS, "looked_at": looked_at}
    # Two classifiers are trained from one start; of each step that is looked at, weights and gradients come home.
    models = 2 if "classifier" in settings else 1
    coming_home = models * (1 + 2 * len(looked_at)) * sum(array.size for array in state.values())
    return Exam({**settings, **steps}, state, [case], course.allowance, coming_home)


def _labelled(course: _Course, generator: torch.Generator) -> tuple[Tensors, Tensors]:
    """Draw digits of the chosen classes, to train on and to keep back."""
    images, labels = digits()
    chosen = torch.isin(labels, torch.tensor(_DIGITS)).nonzero()[:, 0]
    order = chosen[torch.randperm(len(chosen), generator=generator)]
    seen, unseen = order.split([course.training_images, len(order) - course.training_images])
    classes = torch.searchsorted(torch.tensor(_DIGITS), labels)
    inputs = {"images": normalise(images[seen]), "labels": classes[seen], "batches": course.batches(generator)}
    unseen = unseen[: course.unseen_images]
    return inputs, {"images": normalise(images[unseen]), "labels": classes[unseen]}


# Judging: the reference with the trained weights in it, on images that the worker never saw.


def reconstruction_share(exam: Exam, weights: Arrays) -> float:
    """Return the error on masked patches of unseen images as a share of that of painting the mean."""
    model = REFERENCE.construct(AUTOENCODER, exam.settings["mae"])
    _fill(model, weights)
    held_back = to_tensors(exam.cases[0].held_back)
    patches = patchify(held_back["images"], model.patch_size)
    mean = patchify(to_tensors(exam.cases[0].inputs)["images"], model.patch_size).mean(dim=(0, 1))
    with torch.no_grad():
        embeddings, mask, ids_restore = model.forward_encoder(held_back["images"], held_back["ids_shuffle"])
        mine = reconstruction_loss(model.forward_decoder(embeddings, ids_restore), patches, mask)
        blind = reconstruction_loss(mean.expand_as(patches), patches, mask)
    return float(mine / blind)


def accuracy_of(module: nn.Module, exam: Exam, weights: Arrays) -> float:
    """Return the share of unseen images that the reference, with these weights, classifies right."""
    _fill(module, weights)
    held_back = to_tensors(exam.cases[0].held_back)
    with torch.no_grad():  # in slices that stay within the processor's cache
        logits = torch.cat([module(images) for images in held_back["images"].split(_SLICE)])
    return float((logits.argmax(dim=1) == held_back["labels"]).float().mean())


def _judge_autoencoder(_: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    """The error on unseen images is within the band of right implementations, and every parameter has moved."""
    weights = trained_weights(exam, answers[0], "autoencoder")
    if isinstance(weights, Evidence):
        return weights
    if far := _too_far(exam, weights):
        return failed(*far, try_next=_ONLY_BY_GRADIENTS)
    share, limit = reconstruction_share(exam, weights), limits()["autoencoder"]
    findings = _unmoved(exam.state, weights)
    if not share <= limit:  # NaN, of weights that are finite but huge, is over the limit too
        findings.append(
            f"After {_PRETRAINING.steps} steps on small images, your autoencoder's error on the masked patches of "
            f"unseen images is {_number(share)} times that of painting every patch with the mean. The reference "
            f"reaches {typical()['autoencoder']:.2f}, and up to {limit:.2f} is accepted."
        )
    if not findings:
        other = _other_steps(exam, answers[0], "autoencoder", weights)
        return failed(*other, try_next=_VALUES_FIRST) if other else passed()
    hint = _LOOK_FOR if _unmoved(exam.state, weights) else _FOLLOW_THE_LOSS
    return failed(*findings, try_next=hint)


def _judge_vit(_: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    """The accuracy on unseen images is within the band of right implementations, and every parameter has moved."""
    weights = trained_weights(exam, answers[0], "vit")
    if isinstance(weights, Evidence):
        return weights
    if far := _too_far(exam, weights):
        return failed(*far, try_next=_ONLY_BY_GRADIENTS)
    findings = _unmoved(exam.state, weights)
    accuracy = accuracy_of(build("vit", exam.settings), exam, weights)
    findings += _too_low("vit", accuracy, "your ViT", _VIT_TRAINING)
    if findings:
        return failed(*findings, try_next=_LOOK_FOR)
    other = _other_steps(exam, answers[0], "vit", weights)
    return failed(*other, try_next=_VALUES_FIRST) if other else passed()


def _judge_classifiers(_: Check, exam: Exam, answers: Sequence[CaseAnswer]) -> Evidence:
    """
    As a linear probe the head learns and nothing else changes; fine-tuning changes all that the logits depend on.

    The linear probe has a third of the points, fine-tuning two: each is judged by itself.
    """
    linear, tuned = (trained_weights(exam, answers[0], name) for name in ("linear", "tuned"))
    if isinstance(linear, Evidence):
        return linear
    if isinstance(tuned, Evidence):
        return tuned
    if far := _too_far(exam, linear) or _too_far(exam, tuned):
        return failed(*far, try_next=_ONLY_BY_GRADIENTS)
    module = build("linear", exam.settings)
    probing = _judge_linear(exam, linear, accuracy_of(module, exam, linear))
    tuning = _unmoved(_encoder_and_head(exam.state), tuned, "By fine-tuning, ")
    tuning += _too_low("tuned", accuracy_of(module, exam, tuned), "your fine-tuned model", _CLASSIFIER_TRAINING)
    hint = (
        "With `detach=True` cut the graph between the representation and `output_head`, and with `detach=False` leave "
        "it whole; in both cases the head reads the class token."
    )
    if not probing and (probing := _other_steps(exam, answers[0], "linear", linear)):
        hint = _VALUES_FIRST
    if not tuning and (tuning := _other_steps(exam, answers[0], "tuned", tuned)):
        hint = _VALUES_FIRST
    if not probing and not tuning:
        return passed()
    fraction = (not probing) / 3 + 2 * (not tuning) / 3
    return Evidence(Verdict.FAILED, (*probing, *tuning), hint, fraction=fraction)


def _judge_linear(exam: Exam, weights: Arrays, accuracy: float) -> list[str]:
    changed = [
        name for name, array in exam.state.items() if name.startswith("mae.") and not _same(weights[name], array)
    ]
    findings = []
    if changed:
        findings.append(
            f"Training the linear probe changed {len(changed)} parameters of the autoencoder, among them "
            f"`{changed[0]}`; only `output_head` should learn."
        )
    head = {name: array for name, array in exam.state.items() if name.startswith("output_head.")}
    findings += _unmoved(head, weights, "Of the linear probe, ")
    return findings + _too_low("linear", accuracy, "your linear probe", _CLASSIFIER_TRAINING)


# Whether these steps led to the weights.


def _too_far(
    exam: Exam, after: Arrays, *, start: Arrays | None = None, first: int = 0, last: int | None = None
) -> list[str]:
    """Name a parameter that the steps from `first` to before `last`, by default all, cannot have moved so far."""
    settings = exam.settings
    shares = settings["shares"][first:last]
    before = exam.state if start is None else start
    bound = adam_bound(len(settings["shares"]), settings["betas"])
    names = out_of_reach(before, after, settings["step_sizes"], shares, bound)
    if not names:
        return []
    return [f"`{names[0]}` is further from where it was than {len(shares)} steps of the optimizer can bring it."]


def _other_steps(exam: Exam, answer: CaseAnswer, model: str, trained: Arrays) -> list[str]:
    """
    Return what shows, at the steps that are looked at, that the weights did not come from steps of such a model.

    Gradients have to agree at one of them: code with a slip agrees near the start, and may be elsewhere at the end.
    """
    before, first, agrees = exam.state, 0, False
    for step in exam.settings["looked_at"]:
        weights = trained_weights(exam, answer, f"{model}/{step}/weights")
        if isinstance(weights, Evidence):
            return list(weights.findings)
        if far := _too_far(exam, weights, start=before, first=first, last=step):
            return far
        if not agrees:
            right = _reference_gradients(exam, weights, model, step, answer.get(f"{model}/{step}/mask"))
            mine = {name: answer.get(f"{model}/{step}/gradient/{name}") for name in right}
            agrees = points_the_same_way(mine, right)
        before, first = weights, step
    if far := _too_far(exam, trained, start=before, first=first):
        return far
    if agrees:
        return []
    steps = " and ".join(str(step + 1) for step in exam.settings["looked_at"])
    return [
        f"In steps {steps} of the training, the gradients that your code gave are not those of the model that is "
        "asked for, with the same weights and images."
    ]


def _reference_gradients(
    exam: Exam, weights: Arrays, model: str, step: int, mask: np.ndarray[Any, Any] | None
) -> Arrays:
    """Return the gradients of the loss that the reference has with these weights on the batch of a step."""
    inputs = to_tensors(exam.cases[0].inputs)
    ids = inputs["batches"][step]
    images = inputs["images"][ids]
    if model == "autoencoder":
        autoencoder = REFERENCE.construct(AUTOENCODER, exam.settings["mae"])
        _fill(autoencoder, weights)
        embeddings, right_mask, ids_restore = autoencoder.forward_encoder(
            images, _order_of(mask, inputs["patches"][ids])
        )
        painted = autoencoder.forward_decoder(embeddings, ids_restore)
        return _gradients(autoencoder, reconstruction_loss(painted, inputs["patches"][ids], right_mask))
    module = build(model, exam.settings)
    _fill(module, weights)
    return _gradients(module, nn.functional.cross_entropy(module(images), inputs["labels"][ids]))


def _order_of(mask: np.ndarray[Any, Any] | None, patches: torch.Tensor) -> torch.Tensor:
    """Return an order of the patches in which those come first that a mask keeps; any, where there is no such mask."""
    if mask is None or mask.shape != tuple(patches.shape[:2]):
        mask = np.zeros(tuple(patches.shape[:2]))
    return torch.from_numpy(np.argsort(mask, axis=1, kind="stable"))


def _gradients(module: nn.Module, loss: torch.Tensor) -> Arrays:
    loss.backward()
    found = {name: parameter.grad for name, parameter in module.named_parameters()}
    return to_arrays({name: gradient for name, gradient in found.items() if gradient is not None})


def _encoder_and_head(state: Arrays) -> Arrays:
    """Return the parameters that logits depend on: all but those of the decoder."""
    return {name: array for name, array in state.items() if "decoder" not in name and name != "mae.masked_tokens"}


def _too_low(measure: str, accuracy: float, whose: str, course: _Course) -> list[str]:
    limit = limits()[measure]
    if accuracy >= limit:
        return []
    return [
        f"After {course.steps} steps, {whose} classifies {accuracy:.0%} of unseen digits right (there are "
        f"{len(_DIGITS)} classes). The reference reaches {typical()[measure]:.0%}, and {limit:.0%} is enough."
    ]


def _unmoved(before: Arrays, after: Arrays, where: str = "") -> list[str]:
    """Name the parameters that training has left exactly as they were."""
    still = [name for name, array in before.items() if _same(after[name], array)]
    if not still:
        return []
    if len(still) == len(before):
        sentence = "no parameter changed during training: no gradient reaches any of them."
    else:
        named = ", ".join(f"`{name}`" for name in still[:_MANY])
        more = f" and {len(still) - _MANY} more" if len(still) > _MANY else ""
        sentence = (
            f"{named}{more} never changed during training: no gradient reaches {'it' if len(still) == 1 else 'them'}."
        )
    whole = where + sentence
    return [whole[:1].upper() + whole[1:]]


def trained_weights(exam: Exam, answer: CaseAnswer, model: str) -> Arrays | Evidence:
    """Return the trained parameters, every one with the right shape and finite; otherwise what is wrong."""
    weights = {}
    for name, before in exam.state.items():
        array = answer.get(f"{model}/{name}")
        if array is None or array.shape != before.shape:
            return failed(compare_form(array, before, name=name))
        if not np.all(np.isfinite(array)):
            return failed(
                f"After training, `{name}` is NaN or infinite.",
                try_next="Print the loss of a few steps, and look for a division by zero, a logarithm or a root of "
                "something that becomes zero, and for values that grow from layer to layer.",
            )
        with np.errstate(over="ignore"):  # what float32 cannot hold is judged as the infinity that it is
            weights[name] = array.astype(np.float32)
    return weights


def _same(after: np.ndarray[Any, Any], before: np.ndarray[Any, Any]) -> bool:
    return bool(np.array_equal(after, before))


def _fill(module: nn.Module, weights: Arrays) -> None:
    module.load_state_dict(to_tensors(weights))


def _number(share: float) -> str:
    return f"{share:.2f}" if share < 100 else "over a hundred times"


def build(measure: str, settings: Settings) -> nn.Module:
    """Return the reference's classifier whose accuracy a measure is: "vit", "linear" or "tuned"."""
    if measure == "vit":
        return cast(nn.Module, REFERENCE.construct(VIT, settings["vit"]))
    classifier = {**settings["classifier"], "mae": settings["mae"], "detach": measure == "linear"}
    return cast(nn.Module, REFERENCE.construct(CLASSIFIER, classifier))


def _check(
    function: str,
    prepare: Callable[[torch.Generator], Exam],
    judge: Callable[[Check, Exam, Sequence[CaseAnswer]], Evidence],
    *,
    rests_on: tuple[str, ...],
) -> Check:
    return Check(
        CONTRACT[function],
        "convergence",
        prepare,
        judge,
        CALIBRATION,
        asked_by=f"{CONTRACT[function].root}.training",
        needs=CONTRACT.lent_to(function),
        rests_on=rests_on,
        exempt=A_BAND,
        trains=True,
    )


_AUTOENCODER = CONTRACT["MaskedAutoEncoder.forward"]
CONVERGENCE_CHECKS = (
    _check("ClassificationViT.forward", _prepare_vit, _judge_vit, rests_on=("ClassificationViT.forward",)),
    _check(_AUTOENCODER.name, _prepare_autoencoder, _judge_autoencoder, rests_on=_AUTOENCODER.builds_on),
    _check(
        "ClassificationMAE.forward", _prepare_classifiers, _judge_classifiers, rests_on=("ClassificationMAE.forward",)
    ),
)
