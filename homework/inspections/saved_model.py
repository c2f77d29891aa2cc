"""The saved autoencoder of a submission: read in a worker, judged here by what its weights paint."""

from __future__ import annotations

from grader.pipeline.ask import Asker
from grader.probes import task
from grader.sandbox.limits import Limits
from grader.sandbox.outcome import Ending
from grader.verdicts import Evidence, Verdict, failed
from grader.wire import Message
from homework.checks.saved_model import judge_model

FILE_NAME = "mae_pretrained.pt"
SAVED_MODEL = f"{FILE_NAME}.saved-model"
_SAVE = f'`torch.save(mae.state_dict(), "{FILE_NAME}")`'
_PROBLEMS = {
    "module": (
        f"`{FILE_NAME}` holds a whole pickled module, which runs code when it is opened; it was not opened.",
        f"Save the parameters alone: {_SAVE}.",
    ),
    "pickle": (
        f"`{FILE_NAME}` holds more than tensors, and opening it would run code; it was not opened.",
        f"Save the parameters alone: {_SAVE}.",
    ),
    "damaged": (
        f"`{FILE_NAME}` cannot be read as a saved tensor file: it is damaged, cut off, or something else.",
        f"Save it anew with {_SAVE}, and look at its size: about 16 MB.",
    ),
    "content": (
        f"`{FILE_NAME}` holds no state dict of this homework's size: named tensors of about four million numbers "
        "in all are expected.",
        f"Save it anew with {_SAVE}.",
    ),
}


def judge_saved_model(asker: Asker, time_limit_s: float) -> Evidence:
    """Open the saved model in a worker and judge its weights."""
    file = asker.intake.tensors.get("saved_model")
    if file is None:
        return Evidence(
            Verdict.MISSING,
            (f"There is no `{FILE_NAME}` in the submission.",),
            f"Run the pretraining cell; it ends with {_SAVE}. Then run the notebook's last cell, which puts the file "
            "into the zip that you upload.",
        )
    outcome = asker.sandbox.run(
        "load_model",
        Message("load", {}, {"file": file}),
        limits=Limits(wall_s=time_limit_s, memory_mib=asker.memory_mib),
    )
    message = outcome.message
    if outcome.ending is not Ending.ANSWERED or message is None:
        return _problem("damaged")
    if message.kind != task.ANSWER:
        return _problem(str(message.meta.get("problem")))
    return judge_model(message.arrays, asker.generator(SAVED_MODEL))


def _problem(name: str) -> Evidence:
    finding, try_next = _PROBLEMS.get(name, _PROBLEMS["damaged"])
    return failed(finding, try_next=try_next)
