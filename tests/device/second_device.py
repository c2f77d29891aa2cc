"""
A second device on a machine that has none: tensors that say they are elsewhere, and will not mix with others.

Run as a program of its own, because torch takes one such device for a process: reads JSON from standard input with
the submission's files and the checks to ask, asks each of them with `second` for the device, prints for each the
verdict, the findings, and the values that were brought home from the wrong device.

A tensor of the second device holds an ordinary one and computes with it. As with CUDA, an operation on tensors of both
devices raises, unless the other one is a number (no dimension); only copies lead from one to the other; and a tensor
that is made without a device is not on it.
"""

from __future__ import annotations

import contextlib
import json
import sys
import warnings
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from torch.utils._python_dispatch import TorchDispatchMode, _disable_current_modes
from torch.utils._pytree import tree_map
from torch.utils.backend_registration import _setup_privateuseone_for_python_backend

from grader.intake.report import read_survey
from grader.intake.survey import survey
from grader.pipeline.ask import Asker
from grader.pipeline.questions import wanted_names
from grader.probes import task
from grader.probes.lending import Lender
from grader.probes.values import to_array
from grader.sandbox.outcome import Ending, Outcome
from grader.wire import Message
from homework.answers import ANSWERS
from homework.homework import HOMEWORK
from tests.known import CHECKS

NAME = "second"
aten = torch.ops.aten
_CROSSING = {aten._to_copy.default, aten.copy_.default, aten._local_scalar_dense.default}


class Second(torch.Tensor):
    """A tensor of the second device."""

    inner: torch.Tensor

    @staticmethod
    def __new__(cls, inner: torch.Tensor) -> Second:
        """Make a tensor that has an ordinary one inside."""
        made = torch.Tensor._make_wrapper_subclass(
            cls,
            inner.size(),
            strides=inner.stride(),
            storage_offset=inner.storage_offset(),
            dtype=inner.dtype,
            device=torch.device(NAME, 0),
        )
        made.inner = inner
        return made

    @classmethod
    def __torch_dispatch__(cls, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatch(function, args, kwargs or {})


class Both(TorchDispatchMode):
    """While it is entered there are two devices."""

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return dispatch(function, args, kwargs or {})


def dispatch(function: Any, args: Any, kwargs: Any) -> Any:
    """Compute where the tensors are, or raise as CUDA does where they are on two devices."""
    tensors: list[torch.Tensor] = []
    tree_map(lambda value: tensors.append(value) if isinstance(value, torch.Tensor) else None, (args, kwargs))
    ours = [tensor for tensor in tensors if isinstance(tensor, Second)]
    foreign = [tensor for tensor in tensors if not isinstance(tensor, Second) and tensor.dim() > 0]
    if ours and foreign and function not in _CROSSING:
        raise RuntimeError(
            f"Expected all tensors to be on the same device, but found at least two devices, {NAME}:0 and cpu! "
            f"({function})"
        )
    inner_args, inner_kwargs = tree_map(_inner, (args, kwargs))
    result = function(*inner_args, **inner_kwargs)
    if function is aten.copy_.default:
        return args[0]
    target = kwargs.get("device")
    if function is aten._local_scalar_dense.default or not (target.type == NAME if target is not None else ours):
        return result
    known = {id(tensor.inner): tensor for tensor in ours}  # an operation in place returns its argument
    return tree_map(lambda value: _outer(value, known), result)


def _inner(value: Any) -> Any:
    if isinstance(value, Second):
        return value.inner
    return torch.device("cpu") if isinstance(value, torch.device) and value.type == NAME else value


def _outer(value: Any, known: dict[int, Second]) -> Any:
    if not isinstance(value, torch.Tensor):
        return value
    return known[id(value)] if id(value) in known else Second(value)


@dataclass
class InThisProcess:
    """
    Stands for the sandbox: the task runs here, with two devices. For code that is our own.

    Args:
        probes: what workers know.
        strays: names of values that were not on the second device when they were brought home.
    """

    probes: task.Probes
    strays: list[str] = field(default_factory=list)

    def run(self, name: str, request: Message, *, answer: Any = None, **_: Any) -> Outcome:
        """Run the probe and return its answer."""
        assert name == "probe"

        def exchange(lender: Lender, meta: dict[str, Any], tensors: dict[str, torch.Tensor]) -> Message:
            arrays = {key: to_array(key, tensor) for key, tensor in tensors.items()}
            # A real one is another process: neither the second device nor the caller's no_grad reaches it.
            with _disable_current_modes(), torch.enable_grad():
                return answer(Message("request", meta, arrays))  # type: ignore[no-any-return] # it is one

        def brought_home(name: str, value: Any) -> Any:
            if isinstance(value, torch.Tensor) and not isinstance(value, Second):
                self.strays.append(name)
            return to_array(name, value)

        Lender.exchange = exchange  # type: ignore[method-assign] # there is no other end of a wire here
        task.to_array = brought_home  # type: ignore[assignment] # only task brings values home
        with Both():
            found = task.probe(self.probes, request, None)  # type: ignore[arg-type] # not used
            return Outcome(Ending.ANSWERED, found)


def ask_all(files: dict[str, str], keys: list[str], probes: task.Probes) -> dict[str, dict[str, Any]]:
    """Return what came of each check; one of gradients or other sizes is asked again with every helper lent."""
    given = {name: text.encode() for name, text in files.items()}
    intake = read_survey(survey(given, wanted_names(ANSWERS), HOMEWORK.files))
    sandbox = InThisProcess(probes)
    asker = Asker(HOMEWORK, sandbox, intake, b"", NAME, 0, answers=ANSWERS)  # type: ignore[arg-type] # stands for one
    found = {}
    for key in keys:
        check = CHECKS[key]
        exam = asker.prepare(check)
        lendable = tuple(check.needs) if check.part == "vision" and check.aspect != "output" else ()
        for name, lent in {key: (), f"{key} lent": lendable}.items():
            if name == key or lent:
                sandbox.strays.clear()
                evidence = asker.examine(check, exam, 60.0, lent=lent)
                findings = list(evidence.findings)
                found[name] = {"verdict": evidence.verdict.name, "findings": findings, "strays": list(sandbox.strays)}
    return found


def forgetting(probes: task.Probes, probe_name: str) -> task.Probes:
    """Let a probe move its inputs to the CPU, as one would that was written without a second device in mind."""

    def forgetful(case: Any) -> Any:
        return probes.run(probe_name, replace(case, inputs={name: value.cpu() for name, value in case.inputs.items()}))

    return replace(probes, own={**probes.own, probe_name: forgetful})


def main() -> None:
    """Answer one request."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    _setup_privateuseone_for_python_backend(NAME)
    request = json.load(sys.stdin)
    probes = HOMEWORK.probes()
    for probe_name in request["forgetful"]:
        probes = forgetting(probes, probe_name)
    with contextlib.redirect_stdout(sys.stderr):
        found = ask_all(request["files"], request["checks"], probes)
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    main()
