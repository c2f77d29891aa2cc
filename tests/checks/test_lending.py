"""Lent helpers: both sides of the wall agree with torch, and nothing hostile is answered or breaks the grader."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from grader import wire
from grader.checks.exam import Allowance
from grader.checks.lending import Lending
from grader.probes.lending import Lender, LendingRefused, lent_function, lent_method
from grader.wire import Message
from homework.checks.lending import HELPERS
from homework.contract import CONTRACT
from reference.vision.autoencoder import MaskedAutoEncoder
from reference.vision.masking import random_masking, restore_masked
from reference.vision.patches import patchify
from reference.vision.vit import Transformer

ALL = ("patchify", "random_masking", "restore_masked", "MaskedAutoEncoder.forward_encoder_representation")
SIZES = {"embedding_dim": 8, "n_heads": 2, "n_layers": 1, "feedforward_dim": 12}
AUTOENCODER: dict[str, Any] = {
    "encoder": SIZES,
    "decoder": SIZES,
    "encoder_embedding_dim": 8,
    "decoder_embedding_dim": 8,
    "patch_size": 2,
    "num_patches": 2,
    "mask_ratio": 0.5,
}


@pytest.fixture
def lender() -> Iterator[Lender]:
    """Return a worker's lender whose calls a Lending answers from another thread."""
    near, far = socket.socketpair()
    lending = Lending(ALL, HELPERS, {"mae": AUTOENCODER})

    def serve() -> None:
        while True:
            try:
                request = wire.receive(far, wire.Caps())
            except EOFError:
                return
            wire.send(far, lending.answer(request))

    thread = threading.Thread(target=serve)
    thread.start()
    yield Lender(near, torch.device("cpu"))
    near.close()
    thread.join()
    far.close()


def images(batch: int = 3) -> torch.Tensor:
    """Return images that want a gradient."""
    return torch.randn(batch, 3, 4, 4, generator=torch.Generator().manual_seed(0)).requires_grad_()


def gradients(output: torch.Tensor, *inputs: torch.Tensor) -> list[torch.Tensor]:
    """Return the gradients of a weighted sum that tells all elements apart."""
    weights = torch.arange(1.0, output.numel() + 1).reshape(output.shape)
    return list(torch.autograd.grad((output * weights).sum(), inputs))


def test_patchify_is_the_references_forward_and_backward(lender: Lender) -> None:
    """Values and gradients are those of a call without a wall between."""
    x = images()
    lent, own = lent_function(lender, CONTRACT["patchify"])(x, 2), patchify(x, 2)

    torch.testing.assert_close(lent, own, rtol=0, atol=0)
    torch.testing.assert_close(gradients(lent, x), gradients(own, x), rtol=0, atol=0)


def test_random_masking_is_the_references_forward_and_backward(lender: Lender) -> None:
    """All three outputs agree, and the gradient flows back from the kept patches past the mask and the ids."""
    x = torch.randn(3, 6, 5, requires_grad=True)
    ids = torch.argsort(torch.rand(3, 6), dim=1)
    lent, own = lent_function(lender, CONTRACT["random_masking"])(x, 2, ids), random_masking(x, 2, ids)

    torch.testing.assert_close(lent, own, rtol=0, atol=0)
    torch.testing.assert_close(gradients(lent[0], x), gradients(own[0], x), rtol=0, atol=0)


def test_a_mask_that_enters_a_loss_does_not_break_the_backward_pass(lender: Lender) -> None:
    """The mask has no gradient; multiplying by it is what the autoencoder's loss does."""
    x = torch.randn(2, 6, 5, requires_grad=True)
    ids = torch.argsort(torch.rand(2, 6), dim=1)
    kept, mask, _ = lent_function(lender, CONTRACT["random_masking"])(x, 2, ids)
    (found,) = torch.autograd.grad(kept.sum() + (mask * x.mean(dim=2)).sum(), x)
    kept, mask, _ = random_masking(x, 2, ids)
    (right,) = torch.autograd.grad(kept.sum() + (mask * x.mean(dim=2)).sum(), x)

    torch.testing.assert_close(found, right)


def test_restore_masked_is_the_references_forward_and_backward(lender: Lender) -> None:
    """Gradients reach the kept and the masked patches."""
    kept, masked = torch.randn(2, 2, 3, requires_grad=True), torch.randn(2, 4, 3, requires_grad=True)
    ids = torch.argsort(torch.rand(2, 6), dim=1)
    lent = lent_function(lender, CONTRACT["restore_masked"])(kept, masked, ids)
    own = restore_masked(kept, masked, ids)

    torch.testing.assert_close(lent, own, rtol=0, atol=0)
    torch.testing.assert_close(gradients(lent, kept, masked), gradients(own, kept, masked), rtol=0, atol=0)


def autoencoder() -> MaskedAutoEncoder:
    """Return a small autoencoder."""
    sizes = {name: value for name, value in AUTOENCODER.items() if name not in ("encoder", "decoder")}
    return MaskedAutoEncoder(Transformer(**SIZES), Transformer(**SIZES), **sizes)


def test_a_lent_method_uses_the_students_parameters(lender: Lender) -> None:
    """The representation is computed with the parameters that the worker has, and their gradients come back."""
    model = autoencoder()
    x = images()
    wanted = [parameter for name, parameter in model.named_parameters() if name.startswith("encoder")]
    lent = lent_method(lender, CONTRACT[ALL[3]])(model, x)
    own = model.forward_encoder_representation(x)

    torch.testing.assert_close(lent, own)
    torch.testing.assert_close(gradients(lent, x, *wanted), gradients(own, x, *wanted))


def test_a_lent_call_without_a_gradient_works(lender: Lender) -> None:
    """Under no_grad nothing is asked for backward."""
    with torch.no_grad():
        torch.testing.assert_close(lent_function(lender, CONTRACT["patchify"])(images(), 2), patchify(images(), 2))


def test_what_the_helper_cannot_take_is_refused_in_our_words(lender: Lender) -> None:
    """The worker learns no more than that the arguments do not fit."""
    with pytest.raises(LendingRefused, match=r"^the arguments do not fit the helper$"):
        lent_function(lender, CONTRACT["patchify"])(images(), 3)


def request(name: str = "patchify", settings: object = None, **arrays: Any) -> Message:
    """Return a forward request, as a worker may forge it."""
    meta = {"step": "forward", "name": name, "settings": {"patch_size": 2} if settings is None else settings}
    return Message("request", meta, {key: np.asarray(array) for key, array in arrays.items()})


IMAGES = np.zeros((1, 3, 4, 4), dtype=np.float32)
X = np.zeros((1, 4, 2), dtype=np.float32)
FORGED: dict[str, Message] = {
    "no name": Message("request", {"step": "forward"}),
    "a list for a name": request(name=["patchify"], images=IMAGES),  # type: ignore[arg-type] # forged
    "another helper": request(name="unpatchify", images=IMAGES),
    "no arguments": request(),
    "patch size 0": request(settings={"patch_size": 0}, images=IMAGES),
    "patch size text": request(settings={"patch_size": "x"}, images=IMAGES),
    "patch size huge": request(settings={"patch_size": 10**400}, images=IMAGES),
    "settings a list": request(settings=[], images=IMAGES),
    "images of one dimension": request(images=np.zeros(3, dtype=np.float32)),
    "ids beyond the patches": request("random_masking", {"keep_length": 2}, x=X, ids_shuffle=[[9, 1, 2, 3]]),
    "ids past the end": request("random_masking", {"keep_length": 2}, x=X, ids_shuffle=[[100, 1, 2, 3]]),
    "ids before the beginning": request(
        "restore_masked", {}, kept_x=X, masked_x=X, ids_restore=[[-9, 1, 2, 3, 4, 5, 6, 7]]
    ),
    "ids twice": request("restore_masked", {}, kept_x=X, masked_x=X, ids_restore=[[1, 1, 2, 3, 4, 5, 6, 7]]),
    "ids that multiply the work": request(
        "random_masking", {"keep_length": 2}, x=X, ids_shuffle=np.zeros((1, 4000), dtype=np.int64)
    ),
    "ids of another batch": request("restore_masked", {}, kept_x=X, masked_x=X, ids_restore=np.zeros((5, 8))),
    "keep length of a list": request("random_masking", {"keep_length": []}, x=X, ids_shuffle=[[0, 1, 2, 3]]),
    "no parameters": request(ALL[3], AUTOENCODER, images=IMAGES),
    "too many images": request(images=np.zeros((100_001,), dtype=np.bool_)),
    "too many elements": request(images=np.broadcast_to(np.float32(0), (40_000_001,))),
    "backward without forward": Message("request", {"step": "backward", "call": 0}, {"0": IMAGES}),
    "backward of text": Message("request", {"step": "backward", "call": "x"}, {"0": IMAGES}),
    "neither": Message("request", {}),
}


@pytest.mark.parametrize("forged", FORGED.values(), ids=FORGED.keys())
def test_forged_requests_are_refused(forged: Message) -> None:
    """Whatever a worker sends is answered or refused; it never raises in the trusted process."""
    reply = Lending(ALL, HELPERS, {"mae": AUTOENCODER}).answer(forged)

    assert reply.kind == "reply"
    assert set(reply.meta) == {"refused"}
    assert reply.arrays == {}


def test_only_the_questions_helpers_are_lent() -> None:
    """A worker gets no answer to a question that it was not lent the answer for."""
    lending = Lending(("restore_masked",), HELPERS)

    assert "refused" in lending.answer(request(images=IMAGES)).meta


def test_cotangents_of_another_shape_are_refused() -> None:
    """A backward request has to fit its forward one."""
    lending = Lending(ALL, HELPERS)
    call = lending.answer(request(images=IMAGES)).meta["call"]

    for arrays in ({"0": np.zeros(3, dtype=np.float32)}, {"7": IMAGES}, {"x": IMAGES}):
        backward = Message("request", {"step": "backward", "call": call}, arrays)
        assert "refused" in lending.answer(backward).meta


def test_a_model_of_the_workers_choice_is_not_built() -> None:
    """The lent method has the question's own sizes, whatever the request says: no depth makes a call endless."""
    state = {f"state/{name}": value.detach().numpy() for name, value in autoencoder().named_parameters()}
    endless = {**AUTOENCODER, "encoder": {**SIZES, "n_layers": 10**9}}
    reply = Lending(ALL, HELPERS, {"mae": AUTOENCODER}).answer(request(ALL[3], endless, images=IMAGES, **state))

    assert reply.arrays["0"].shape == (1, 5, 8)


def test_calls_are_counted() -> None:
    """Their graphs are kept for the backward pass, so there are only so many."""
    lending = Lending(ALL, HELPERS)
    replies = [lending.answer(request(images=IMAGES)) for _ in range(65)]

    assert ["refused" in reply.meta for reply in replies] == [False] * 64 + [True]


def test_elements_are_counted_over_all_calls() -> None:
    """Many calls below the cap are refused like one above it."""
    lending = Lending(ALL, HELPERS)
    large = request(images=np.zeros((3, 3, 64, 64), dtype=np.float32))

    assert ["refused" in lending.answer(large).meta for _ in range(4)] == [False, False, True, True]


def test_refused_calls_are_counted() -> None:
    """A call that does not fit uses up one that would have."""
    lending = Lending(ALL, HELPERS)
    refused = [lending.answer(request(images=np.zeros((1, 3, 0, 4), dtype=np.float32))) for _ in range(64)]

    assert all("refused" in reply.meta for reply in refused)
    assert "refused" in lending.answer(request(images=IMAGES)).meta


def test_requests_of_any_kind_come_to_an_end() -> None:
    """So do backward requests and those that make no sense: three for each call that is allowed."""
    lending = Lending(("patchify",), HELPERS, allowance=Allowance(calls=2))
    call = lending.answer(request(images=IMAGES)).meta["call"]
    backward = Message("request", {"step": "backward", "call": call}, {"0": np.zeros((1, 4, 12), np.float32)})
    replies = [lending.answer(each) for each in (Message("request"), backward, backward, backward, backward, backward)]

    assert ["refused" in reply.meta for reply in replies] == [True, False, False, False, False, True]


def test_an_empty_array_is_counted_by_its_other_sizes() -> None:
    """What has no elements is refused before it is computed with, and counted before that."""
    lending = Lending(ALL, HELPERS, allowance=Allowance(elements=2**20))
    empty = request("random_masking", {"keep_length": 1}, x=np.zeros((0, 2**21, 1)), ids_shuffle=np.zeros((0, 2**21)))

    assert lending.answer(empty).meta == {"refused": "the arguments are too large"}
    assert "refused" in lending.answer(request(images=IMAGES)).meta


@pytest.mark.parametrize(
    ("name", "settings", "arrays"),
    [
        ("patchify", {"patch_size": 4}, {"images": (1, 3, 68, 4)}),
        ("patchify", {"patch_size": 4}, {"images": (0, 3, 4, 4)}),
        ("patchify", {"patch_size": 4}, {"images": (1, 3, 4, 4, 1)}),
        ("patchify", {"patch_size": 4}, {"images": (1, 3, 4, 4), "more": (1,)}),
        ("random_masking", {"keep_length": 1}, {"x": (1, 131, 1), "ids_shuffle": (1, 131)}),
        ("random_masking", {"keep_length": 1}, {"x": (1, 4, 0), "ids_shuffle": (1, 4)}),
        ("restore_masked", {}, {"kept_x": (1, 4, 513), "masked_x": (1, 4, 513), "ids_restore": (1, 8)}),
    ],
)
def test_what_is_larger_than_any_question_is_refused(
    name: str, settings: dict[str, int], arrays: dict[str, tuple[int, ...]]
) -> None:
    """Each helper states the sizes that it serves; other ranks and arguments are none of them."""
    forged = request(name, settings, **{key: np.zeros(shape, np.float32) for key, shape in arrays.items()})

    assert Lending(ALL, HELPERS).answer(forged).meta == {"refused": "the arguments do not fit the helper"}


def test_the_oldest_graphs_give_way() -> None:
    """What is kept for the backward pass is bounded by its size, too; the latest calls keep theirs."""
    lending = Lending(ALL, HELPERS, allowance=Allowance(held_elements=2 * IMAGES.size))
    calls = [lending.answer(request(images=IMAGES)).meta["call"] for _ in range(3)]
    cotangent = {"0": np.zeros((1, 4, 12), np.float32)}
    replies = [lending.answer(Message("request", {"step": "backward", "call": call}, cotangent)) for call in calls]

    assert ["refused" in reply.meta for reply in replies] == [True, False, False]


# The classification helpers: the largest that are served, and what broadcasts, or multiplies, past it.


def classification(tasks: int = 2, n: int = 3, d: int = 4, points: int = 5, **changes: tuple[int, ...]) -> Message:
    """Return a request to test_classification with these sizes, and with other shapes where wanted."""
    shapes = {"feature_weights": (d,), "test_features": (points, d), "test_y": (tasks, points)}
    shapes |= {"train_features": (n, d), "train_y": (tasks, n), **changes}
    names = {"feature_weights": "feature_weights", "test_features": "test/features", "test_y": "test/y"}
    names |= {"train_features": f"train/{n}/features", "train_y": f"train/{n}/y"}
    arrays = {names[key]: np.ones(shape) for key, shape in shapes.items()}
    return Message("request", {"step": "forward", "name": "test_classification", "settings": {"sizes": [n]}}, arrays)


@pytest.mark.parametrize(
    "changes",
    [
        {"tasks": 25_000, "n": 1, "d": 3, "points": 1},
        {"tasks": 10, "n": 1, "d": 60_000, "points": 1},
        {"feature_weights": (1,)},
        {"feature_weights": (0,)},
        {"train_features": (3, 9)},
        {"test_features": (5, 9)},
        {"tasks": 0},
        {"points": 0},
    ],
    ids=str,
)
def test_tests_that_multiply_past_their_sizes_are_refused(changes: dict[str, Any]) -> None:
    """Few features of many tasks and many features of few make large products of small arrays."""
    lending = Lending(("test_classification",), HELPERS)

    assert "refused" not in lending.answer(classification()).meta
    assert "refused" in lending.answer(classification(**changes)).meta


@pytest.mark.parametrize(("k_idx", "served"), [([0, 3], True), ([0] * 6, False), ([0] * 4_000, False)])
def test_true_features_of_a_lent_update_are_no_more_than_features(k_idx: list[int], served: bool) -> None:
    """Thousands of indices into a few features would make a matrix of thousands of columns for each point."""
    lending = Lending(("meta_update_classification",), HELPERS)
    arrays = {"w_t": np.ones(5), "feature_weights_t": np.ones(5), "points": np.zeros(9), "k_val": np.ones(len(k_idx))}
    meta = {"step": "forward", "name": "meta_update_classification", "settings": {"d": 5, "k_idx": k_idx}}

    assert ("refused" in lending.answer(Message("request", meta, arrays)).meta) is not served


def test_the_worker_believes_no_reply_without_its_arrays() -> None:
    """nn.Module stand-ins made by lending are plain functions: nothing of the reference crosses the wall."""
    lent = [lent_function(None, CONTRACT[name]) for name in ALL[:3]]  # type: ignore[arg-type] # not called

    assert all(function.__module__ == "grader.probes.lending" for function in lent)
    assert not any(isinstance(function, nn.Module) for function in lent)


@pytest.mark.parametrize("shape", [(3, 3, 4, 4), (17, 3, 32, 32), (2, 1, 32, 32), (3, 32, 32)])
def test_images_that_do_not_fit_the_lent_autoencoder_are_refused(shape: tuple[int, ...]) -> None:
    """A smaller image would broadcast against the positions and cost gigabytes for a few numbers sent."""
    settings = {**AUTOENCODER, "patch_size": 4, "num_patches": 8}
    model = MaskedAutoEncoder(
        Transformer(**settings["encoder"]),
        Transformer(**settings["decoder"]),
        **{name: value for name, value in settings.items() if name not in ("encoder", "decoder")},
    )
    arrays = {"images": np.zeros(shape, np.float32)}
    arrays |= {f"state/{name}": value.detach().numpy() for name, value in model.named_parameters()}
    name = "MaskedAutoEncoder.forward_encoder_representation"
    reply = Lending((name,), HELPERS, {"mae": settings}).answer(
        Message("request", {"step": "forward", "name": name}, arrays)
    )

    assert reply.meta["refused"] == "the images do not fit the model"
