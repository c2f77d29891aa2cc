"""
What a student's `autograder.pt` says, held against what their code does.

Nothing in the file is proof of anything: the student wrote it. Agreement is shown, disagreement is a remark, and
neither has points. Accuracies are measured again where the site has CIFAR-10 and the student handed in the models.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from grader.checks.compare import compare
from grader.checks.exam import Case, Check, Exam
from grader.checks.tensors import to_arrays
from grader.feedback.text import code
from grader.pipeline.ask import Asker
from grader.probes import task
from grader.sandbox.limits import Limits
from grader.sandbox.outcome import Ending
from grader.verdicts import Evidence, Verdict, passed
from grader.wire import Array, Arrays, Message
from homework.checks.vision import VISION_CHECKS
from homework.inspections.accuracies import (
    IMAGES_ON_CPU,
    Measured,
    NotMeasured,
    State,
    build_model,
    describe,
    draw_sample,
    measure,
    possible_claims,
    to_state,
)
from homework.inspections.saved_model import listed_names

PUBLIC_VECTORS = Path(__file__).parents[2] / "student_templates" / "public_vectors.pt"
FILE_NAME = "autograder.pt"
OUTPUTS_CLAIM = "autograder.pt.claim"
ACCURACIES_CLAIM = "accuracies.claim"
# What the handout asks for on CIFAR-10.
_THRESHOLDS = {"vit_acc": 0.65, "mae_linear_acc": 0.30, "mae_finetune_acc": 0.70}
_UNKNOWN_KIND = "without `mae_pretrained.pt` a linear probe and a fine-tuned model cannot be told apart"
_NOT_MEASURED = "These are your own figures; the grader has no CIFAR-10 here, so the grader has not measured them."
_TRAIN = "The training cells keep these figures in `output`, and a later cell saves them: run the notebook to its end."
_MEASURED = (
    "These are your own figures. Where you handed in the classifier that belongs to one (its `state_dict()` in a `.pt` "
    "file), the grader has measured it again on test images of CIFAR-10."
)
_ABSURD = 1000.0  # a larger figure is shown in short
# In every public edition the handed-out cell stores random_masking's tuple under this key as well.
_ALSO_ACCEPTED = {"restore_masked": "random_masking"}


class Claims:
    """The content of one submission's autograder.pt, read in a worker when it is first needed."""

    def __init__(self, asker: Asker, cifar10: Path | None = None) -> None:
        self._asker = asker
        self._cifar10 = cifar10
        self._saved: Arrays | Evidence | None = None

    def agreeing(self, time_limit_s: float) -> list[str]:
        """Return the functions whose saved outputs are what the student's own code gives."""
        saved = self._read(time_limit_s)
        return [] if isinstance(saved, Evidence) else self._compared(saved, time_limit_s)[0]

    def judge_outputs(self, time_limit_s: float) -> Evidence:
        """Compare each saved output with what the student's own code gives on the public inputs."""
        saved = self._read(time_limit_s)
        return saved if isinstance(saved, Evidence) else _outputs_evidence(*self._compared(saved, time_limit_s))

    def _compared(self, saved: Arrays, time_limit_s: float) -> tuple[list[str], list[str], list[str], list[str]]:
        """Return the functions that agree, that differ, that could not be compared, and that are not in the file."""
        vectors: dict[str, Any] = torch.load(PUBLIC_VECTORS, weights_only=True)
        deadline = time.monotonic() + time_limit_s  # for all functions together
        agree, differ, unchecked = [], [], []
        for function in vectors:
            parts = _parts(saved, function)
            if not parts:
                continue
            own = self._own_output(function, vectors, deadline - time.monotonic())
            if own is None:
                unchecked.append(function)
            elif _equal(parts, own) or self._is_another(function, parts, vectors, deadline):
                agree.append(function)
            else:
                differ.append(function)
        absent = [function for function in vectors if not _parts(saved, function)]
        return agree, differ, unchecked, absent

    def _is_another(self, function: str, parts: Sequence[Array], vectors: Mapping[str, Any], deadline: float) -> bool:
        """Return whether what was saved under a function's key is what the template's cell stored there instead."""
        other = _ALSO_ACCEPTED.get(function)
        if other is None:
            return False
        own = self._own_output(other, vectors, deadline - time.monotonic())
        return own is not None and _equal(parts, own)

    def judge_accuracies(self, time_limit_s: float) -> Evidence:
        """List the claimed accuracies beside what the handout asks for, and what measuring says of them."""
        deadline = time.monotonic() + time_limit_s
        saved = self._read(time_limit_s)
        if isinstance(saved, Evidence):
            return saved
        measured = self._measure(deadline)
        claims = [
            _Claim(key, bool(_parts(saved, key)), _number(saved.get(f"{key}/0")), measured.get(key))
            for key in _THRESHOLDS
        ]
        lines = "\n".join(claim.line(checking=self._cifar10 is not None) for claim in claims)
        if not any(claim.is_reported for claim in claims):
            return Evidence(Verdict.MISSING, (lines,), _TRAIN, headline="No accuracy is reported.")
        complaint = _complaint(claims)
        verdict = Verdict.FAILED if complaint else Verdict.PASSED
        remark = _MEASURED if self._cifar10 else _NOT_MEASURED
        headline = complaint or _how_far_checked(claims)
        return Evidence(verdict, (lines, remark), fraction=float(not complaint), headline=headline)

    def _measure(self, deadline: float) -> dict[str, list[Measured] | str]:
        """Return, for each claim with a model to it, what the models get, or why they could not be measured."""
        found: dict[str, list[Measured] | str] = {}
        if self._cifar10 is None:
            return found
        files = {role: file for role, file in self._asker.intake.tensors.items() if role != "autograder"}
        states = {role: self._load_state(file, deadline) for role, file in files.items()}
        models = [(state, model) for state in states.values() if (model := build_model(state)) is not None]
        most = None if self._asker.device == "cuda" else IMAGES_ON_CPU
        try:
            sample = draw_sample(self._cifar10, generator=self._asker.generator(ACCURACIES_CLAIM), most=most)
        except NotMeasured as reason:
            return dict.fromkeys(_THRESHOLDS, str(reason))
        for state, model in models:
            keys = possible_claims(model, state, states.get("saved_model", {}))
            try:
                if len(keys) > 1:
                    raise NotMeasured(_UNKNOWN_KIND)
                measured = measure(model, sample, device=self._asker.device, deadline=deadline)
                earlier = found.get(keys[0])
                found[keys[0]] = [*(earlier if isinstance(earlier, list) else []), measured]
            except NotMeasured as reason:
                found.update({key: str(reason) for key in keys if key not in found})
        return found

    def _load_state(self, file: Array, deadline: float) -> State:
        limits = Limits(wall_s=max(deadline - time.monotonic(), 1.0), memory_mib=self._asker.memory_mib)
        outcome = self._asker.sandbox.run("load_checkpoint", Message("load", {}, {"file": file}), limits=limits)
        message = outcome.message
        return to_state(message.arrays) if message is not None and message.kind == task.ANSWER else {}

    def _read(self, time_limit_s: float) -> Arrays | Evidence:
        if self._saved is None:
            self._saved = self._load(time_limit_s)
        return self._saved

    def _load(self, time_limit_s: float) -> Arrays | Evidence:
        file = self._asker.intake.tensors.get("autograder")
        if file is None:
            return Evidence(
                Verdict.MISSING,
                (self._asker.intake.why_not_found(FILE_NAME),),
                "Run the notebook's last cell; it writes the file and puts it into the zip.",
            )
        outcome = self._asker.sandbox.run(
            "load_outputs",
            Message("load", {}, {"file": file}),
            limits=Limits(wall_s=time_limit_s, memory_mib=self._asker.memory_mib),
        )
        message = outcome.message
        if outcome.ending is not Ending.ANSWERED or message is None or message.kind != task.ANSWER:
            return Evidence(
                Verdict.FAILED,
                (_why_unusable(message),),
                'Write it with `torch.save({"output": outputs}, "autograder.pt")` from the notebook\'s last cell.',
            )
        return message.arrays

    def _own_output(self, function: str, vectors: Mapping[str, Any], time_limit_s: float) -> Sequence[Array] | None:
        if time_limit_s <= 0:
            return None
        check = _OUTPUT_CHECKS[function]
        vector = vectors[function]
        case = Case(to_arrays(vector["inputs"]), to_arrays(vector["expected"]))
        exam = Exam(vector["settings"], to_arrays(vector.get("state", {})), [case])
        answers = self._asker.fetch(check, exam, time_limit_s)
        if answers is None:
            return None
        outputs = [answers[0].get(name) for name in case.expected]
        return [output for output in outputs if output is not None]


def _why_unusable(message: Message | None) -> str:
    """Return why autograder.pt could not be used, in the words of its loader's finding."""
    meta = {} if message is None else message.meta
    reason = "it is damaged, cut off, too large, or something else"
    if meta.get("problem") == "content":
        reason = "it holds no dictionary of outputs"
    elif meta.get("problem") in ("pickle", "module"):
        reason = f"it holds more than tensors and numbers{listed_names(meta.get('names'))}, and was not opened"
    return f"`{FILE_NAME}` is not a plain tensor file: {reason}."


@dataclass(frozen=True)
class _Claim:
    """
    An accuracy that a student may have reported.

    Args:
        key: in the file.
        is_reported: whether anything is there under that key.
        value: the figure; None where there is none, or it is no finite number.
        found: what the models that belong to it get, why they could not be measured, or None without any.
    """

    key: str
    is_reported: bool
    value: float | None
    found: list[Measured] | str | None

    @property
    def is_refuted(self) -> bool:
        """Whether every model that belongs to it is worse than chance and rounding explain."""
        if self.value is None or not isinstance(self.found, list):
            return False
        return all(measured.refutes(self.value) for measured in self.found)

    @property
    def is_confirmed(self) -> bool:
        """Whether some model that belongs to it is as good."""
        return self.value is not None and isinstance(self.found, list) and not self.is_refuted

    def line(self, *, checking: bool) -> str:
        """Return the figure beside what is asked, and what measuring says of it where that can be done at all."""
        line = f"- `{self.key}`: {self._said()} (asked: at least {_THRESHOLDS[self.key]:.2f})"
        return f"{line}; {self._checked(self.value)}" if checking and self.value is not None else line

    def _said(self) -> str:
        if self.value is None:
            return "no number" if self.is_reported else "not in the file"
        return f"{self.value:.3f}" if abs(self.value) < _ABSURD else f"{self.value:.3g}"

    def _checked(self, value: float) -> str:
        if self.found is None:
            return "not checkable: no saved classifier of the homework's shape was handed in for it"
        return f"not checkable: {self.found}" if isinstance(self.found, str) else describe(value, self.found)


def _complaint(claims: Sequence[_Claim]) -> str:
    """Return the headline for figures that are not as asked, or an empty string."""
    if any(claim.is_refuted for claim in claims):
        return "Refuted by the models that you handed in."
    if not all(claim.is_reported for claim in claims):
        return "Not all accuracies are reported."
    if any(claim.value is None for claim in claims):
        return "Not all figures are numbers."
    below = any(claim.value is not None and claim.value < _THRESHOLDS[claim.key] for claim in claims)
    return "Lower than asked." if below else ""


def _how_far_checked(claims: Sequence[_Claim]) -> str:
    """Return the headline for figures that are as asked: that a student reports them is no sign that they are true."""
    confirmed = [claim.is_confirmed for claim in claims]
    if all(confirmed):
        return "Confirmed."
    return "Confirmed in part; the rest is not checkable here." if any(confirmed) else "Reported; not checkable here."


_OUTPUT_CHECKS: dict[str, Check] = {check.function: check for check in VISION_CHECKS if check.aspect == "output"}


def _parts(saved: Arrays, key: str) -> list[Array]:
    return [array for name, array in saved.items() if name.rpartition("/")[0] == key]


def _equal(saved: Sequence[Array], own: Sequence[Array]) -> bool:
    if len(saved) != len(own):
        return False
    tolerance = _OUTPUT_CHECKS["patchify"].tolerance("patches")
    return not any(compare(mine, theirs, tolerance, name="saved") for mine, theirs in zip(saved, own, strict=True))


def _number(array: Array | None) -> float | None:
    if array is None or array.size != 1 or not np.isfinite(float(array.reshape(-1)[0])):
        return None
    return float(array.reshape(-1)[0])


def _outputs_evidence(
    agree: Sequence[str], differ: Sequence[str], unchecked: Sequence[str], absent: Sequence[str]
) -> Evidence:
    said = {
        "The same as your code gives now": agree,
        "Not what your code gives now": differ,
        "Could not be compared, because your code gave nothing, or not in time": unchecked,
        "Not in the file": absent,
    }
    findings = tuple(f"{words}: {', '.join(map(code, names))}." for words, names in said.items() if names)
    if not differ and not unchecked and not absent:
        return passed()
    if not differ and not absent:
        return Evidence(Verdict.FAILED, findings, "Mend the questions about these functions first.")
    advice = (
        "Run all cells again from the top before you make the zip, so that the saved outputs are those of the code "
        "you hand in."
    )
    return Evidence(Verdict.FAILED, findings, advice)
