"""Ten mistakes, and what students read about each: the text of docs/feedback_examples.md."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grader.feedback.words import Judgement, question_output
from grader.rubric import load_rubric
from grader.trust.cases import Changes
from grader.trust.harness import Bench, Outcome, of
from grader.trust.wrong import wrong_changes
from grader.verdicts import Evidence
from homework.homework import HOMEWORK

DOCUMENT = Path(__file__).parents[2] / "docs" / "feedback_examples.md"
_HEAD = """# What students read: ten examples

Written by `python -m grader examples`, from ten solved submissions with a mistake in each. Above each feedback stands
what the student wrote; below it the text as it appears at the question on Gradescope.

A mistake is named only where the student's numbers are exactly those that it gives on the hidden inputs, so the grader
never guesses. Where no known mistake fits, it says what differs and where to begin.
"""
_TENSOR = "        if ids_shuffle is None:\n"
_TOKEN = "        embeddings = self.encoder(torch.cat([cls_token, kept], dim=1))  # (B, K + 1, De)\n"
_LOSS = "    return torch.sum(softplus(-to_tensor(z) * predictions))\n"


@dataclass(frozen=True)
class Example:
    """
    A mistake to show.

    Args:
        title: what it is, for the document.
        wrote: the student's lines, as code.
        changes: how they come into the solved homework.
        check: the question whose feedback is shown.
    """

    title: str
    wrote: str
    changes: Changes
    check: str


def _known(title: str, wrote: str, misconception: str, check: str) -> Example:
    return Example(title, wrote, wrong_changes(HOMEWORK)[misconception][0], check)


def examples() -> tuple[Example, ...]:
    """Return the ten mistakes, in the order of the homework."""
    vit = "ClassificationViT.forward"
    tokens = "        tokens = torch.cat([cls_token, patches], dim=1) + self.position_encoding  # (B, N + 1, D)\n"
    two = Changes(
        edits=[
            {"old": tokens, "new": tokens.replace(" + self.position_encoding", "")},
            {"old": "self.output_head(tokens[:, 0])", "new": "self.output_head(tokens.mean(dim=1))"},
        ]
    )
    truth = Changes(edits=[{"old": _TENSOR, "new": "        if not ids_shuffle:\n"}])
    float32 = Changes(
        modules={
            "utils_classification.py": [
                {
                    "old": "    predictions = (to_tensor(features) * feature_weights_t) @ w_t\n" + _LOSS,
                    "new": "    predictions = (torch.Tensor(features) * feature_weights_t.float()) @ w_t\n" + _LOSS,
                }
            ]
        }
    )
    return (
        _known(
            "Patches by reshape alone",
            "pixels = images.reshape(batch, channels, rows, patch_size, columns, patch_size)\n"
            "return pixels.reshape(batch, rows * columns, channels * patch_size * patch_size)",
            "patchify.reshaped-only",
            "patchify.output",
        ),
        Example(
            "Two mistakes at once",
            "tokens = torch.cat([cls_token, patches], dim=1)\n…\nlogits = self.output_head(tokens.mean(dim=1))",
            two,
            f"{vit}.output",
        ),
        _known(
            "An inverted mask",
            "shuffled_mask = torch.zeros(x.shape[:2])\nshuffled_mask[:, :keep_length] = 1",
            "random_masking.mask-inverted",
            "random_masking.output",
        ),
        _known(
            "Positions after masking",
            "kept, mask, ids_restore = random_masking(patches, self.keep_length, ids_shuffle)\n"
            "kept = kept + self.encoder_position_encoding[:, : self.keep_length]",
            "MaskedAutoEncoder.forward_encoder.positions-after-masking",
            "MaskedAutoEncoder.forward_encoder.output",
        ),
        Example(
            "Asking a tensor whether it is there",
            "if not ids_shuffle:\n    ids_shuffle = torch.argsort(torch.rand(B, N), dim=1)",
            truth,
            "MaskedAutoEncoder.forward_encoder.output",
        ),
        _known(
            "A linear probe that fine-tunes",
            "cls_token = self.mae.forward_encoder_representation(images)[:, 0]\nreturn self.output_head(cls_token)",
            "ClassificationMAE.forward.detach-ignored",
            "ClassificationMAE.forward.behaviour",
        ),
        _known(
            "One half forgotten",
            "beta = aliased_coefficients(c)\nreturn (1 - beta[0] * c[0]) ** 2 + (beta[1] * c[1]) ** 2",
            "expected_test_error.half-forgotten",
            "expected_test_error.output",
        ),
        Example(
            "Two types of numbers",
            "predictions = (torch.Tensor(features) * feature_weights_t.float()) @ w_t",
            float32,
            "meta_update_classification.output",
        ),
        _known(
            "Labels without a sign",
            "z = generate_y(features, k_idx, k_val)",
            "meta_update_classification.real-values-for-labels",
            "meta_update_classification.output",
        ),
        _known(
            "A meta gradient of first order",
            "(slope,) = torch.autograd.grad(inner_loss, w_t, retain_graph=True)",
            "meta_learning_classification.first-order",
            "meta_learning_classification.gradient",
        ),
    )


def document(chosen: Sequence[Example] | None = None) -> str:
    """Return the document for some examples, all ten by default; hidden inputs come of a fixed text, not of a key."""
    chosen = examples() if chosen is None else chosen
    with Bench(HOMEWORK, secret_file=Path("no key")) as bench:
        sections = [_section(bench, number, example) for number, example in enumerate(chosen, start=1)]
    return "\n".join([_HEAD, *sections])


def _section(bench: Bench, number: int, example: Example) -> str:
    outcome = bench.grade(example.changes, keep=of(example.check))[example.check]
    code = "\n".join(["```python", example.wrote, "```"])
    quoted = "\n".join(f"> {line}".rstrip() for line in _feedback(example.check, outcome).split("\n"))
    return f"## {number}. {example.title}\n\n{code}\n\n{quoted}\n"


def _feedback(check: str, outcome: Outcome) -> str:
    question = next(each for each in load_rubric(HOMEWORK.rubric).questions if each.check == check)
    evidence = Evidence(
        outcome.verdict, outcome.findings, outcome.try_next, outcome.fraction, diagnosis=outcome.diagnosis
    )
    return f"**{question.number} {question.title}**\n\n{question_output(Judgement(question, evidence, outcome.lent))}"
