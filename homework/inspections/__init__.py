"""Questions about what was handed in as it lies there: saved outputs, accuracies, the saved model, notebooks run."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from pathlib import Path

from grader.pipeline.ask import Asker
from grader.pipeline.homework import Inspection
from grader.verdicts import Evidence
from homework.inspections.claims import ACCURACIES_CLAIM, OUTPUTS_CLAIM, Claims
from homework.inspections.completion import COMPLETIONS, Completion, judge_completion
from homework.inspections.saved_model import SAVED_MODEL, judge_saved_model

_AGREEMENT_S = 20.0

INSPECTED = (OUTPUTS_CLAIM, ACCURACIES_CLAIM, SAVED_MODEL, *COMPLETIONS)


def inspections(asker: Asker, cifar10: Path | None) -> Mapping[str, Inspection]:
    """Return how each of these questions is judged for a submission; CIFAR-10's folder may be missing."""
    claims = Claims(asker, cifar10)
    return {
        OUTPUTS_CLAIM: claims.judge_outputs,
        ACCURACIES_CLAIM: claims.judge_accuracies,
        SAVED_MODEL: partial(judge_saved_model, asker),
        **{key: partial(_judge_run, completion, asker) for key, completion in COMPLETIONS.items()},
    }


def agreement(asker: Asker) -> int:
    """Return how many of the outputs in autograder.pt are those of the student's own code."""
    return len(Claims(asker).agreeing(_AGREEMENT_S))


def _judge_run(completion: Completion, asker: Asker, _: float) -> Evidence:
    return judge_completion(completion, asker.intake.runs)
