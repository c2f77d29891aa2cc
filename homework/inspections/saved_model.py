"""The saved autoencoder of a submission: read in a worker, judged here by what its weights paint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from grader.feedback.text import code
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
        "`{file}` holds a whole pickled module{names}, which runs code when it is opened; it was not opened.",
        "Save the parameters alone: {save}.",
    ),
    "pickle": (
        "`{file}` holds more than tensors{names}, and opening it would run code; it was not opened.",
        "Save the parameters alone: {save}.",
    ),
    "damaged": (
        "`{file}` cannot be read as a saved tensor file: it is damaged, cut off, or something else.",
        "Save it again with {save}, and look at its size: about 16 MB.",
    ),
    "content": (
        "`{file}` holds no state dict of this homework's size: named tensors of about four million numbers "
        "in all are expected.",
        "Save it again with {save}.",
    ),
}


def judge_saved_model(asker: Asker, time_limit_s: float) -> Evidence:
    """Open the saved model in a worker and judge its weights."""
    file = asker.intake.tensors.get("saved_model")
    if file is None:
        return Evidence(
            Verdict.MISSING,
            (asker.intake.why_not_found(FILE_NAME),),
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
        return _problem({})
    if message.kind != task.ANSWER:
        return _problem(message.meta)
    return judge_model(message.arrays, asker.generator(SAVED_MODEL))


def _problem(meta: Mapping[str, Any]) -> Evidence:
    """Return the evidence on a file that its loader could not use; the worker's words are not believed."""
    finding, try_next = _PROBLEMS.get(str(meta.get("problem")), _PROBLEMS["damaged"])
    names = {"file": FILE_NAME, "save": _SAVE, "names": listed_names(meta.get("names"))}
    return failed(finding.format(**names), try_next=try_next.format(**names))


def listed_names(names: object) -> str:
    """Return the classes and functions that a saved file names, as they may stand in a sentence: " (`a.b`, `c`)"."""
    shown: Sequence[str] = [each for each in names if type(each) is str][:3] if isinstance(names, list | tuple) else []
    return f" ({', '.join(map(code, shown))})" if shown else ""
