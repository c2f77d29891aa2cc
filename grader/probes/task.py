"""
The task of a probing worker: build the student's namespace, run one probe on every case, send arrays home.

Request: meta has probe, code, given, lent, settings, device, memory_mib and cases (a seed each); arrays are named
"state/<parameter>", "<case>/<input>" and "<case>/cotangent/<output>". Answer: arrays named "<case>/<output>",
"<case>/after/<input>" and "<case>/gradient/<input or parameter>"; a gradient that does not exist is not sent.
Failure: meta as `failures.describe` gives it.
"""

from __future__ import annotations

import json
import random
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch.autograd import grad  # as it is before student code could replace it

from grader import wire
from grader.contract import Contract
from grader.probes import ages, failures
from grader.probes.call import call
from grader.probes.case import Case, Result
from grader.probes.device import prepare, seed_torch
from grader.probes.lending import Lender, lent_function
from grader.probes.student import Cell, Code, Student, cells_of_module, load
from grader.probes.values import to_array

ANSWER = "answer"
FAILURE = "failure"
# An output that is there where an argument was accepted that today's libraries refuse.
OLDER_LIBRARIES = "older-libraries"
_GIVEN: dict[str, dict[str, Any]] = {}
# Stand-ins by the name of their function, for a worker's lender, the student's code, and the question's settings.
Lent = Callable[[Lender, Student, Mapping[str, Any]], Mapping[str, Callable[..., Any]]]


@dataclass(frozen=True)
class Probes:
    """
    What a homework's workers know: no answers.

    Args:
        contract: its functions, which are called with their arguments unless a probe of their own stands in `own`.
        own: probes by name.
        lent: returns stand-ins for what is lent in a way of its own, by the function's name.
    """

    contract: Contract
    own: Mapping[str, Callable[[Case], Result]]
    lent: Lent = lambda _lender, _student, _settings: {}

    def run(self, name: str, case: Case) -> Result:
        """Run a probe by name."""
        return self.own[name](case) if name in self.own else call(self.contract[name], case)

    def lend(self, names: Sequence[str], lender: Lender, student: Student, settings: Mapping[str, Any]) -> None:
        """Put stand-ins for right functions in the place of the student's own; a lent method goes into its object."""
        own = self.lent(lender, student, settings)
        for name in names:
            function = self.contract[name]
            if not function.method:
                student.replace(name, own[name] if name in own else lent_function(lender, function))


def probe(probes: Probes, request: wire.Message, connection: socket.socket) -> wire.Message:
    """Run the probe that a request names; whatever student code raises becomes a FAILURE message."""
    failed: dict[str, BaseException] = {}
    try:
        return _probe(probes, request, connection, failed)
    except MemoryError:
        raise
    except BaseException as error:  # whatever student code raises is the answer, SystemExit too
        facts = failures.describe(error, _labels(request.meta), failed)
        if "can't allocate memory" in facts["message"]:  # torch raises RuntimeError for it
            raise MemoryError from None
        return wire.Message(FAILURE, facts)


def _labels(meta: dict[str, Any]) -> frozenset[str]:
    """Return the file names of the student's code, as tracebacks have them."""
    cells = [cell for code in ("code", "given") for cell in _code(meta[code]).cells]
    cells += [cell for name, source in meta["code"]["modules"].items() for cell in cells_of_module(name, source)]
    return frozenset(cell.label for cell in cells)


def _probe(
    probes: Probes, request: wire.Message, connection: socket.socket, failed: dict[str, BaseException]
) -> wire.Message:
    meta = request.meta
    lender = Lender(connection, prepare(meta["device"], memory_mib=meta["memory_mib"]))
    given = load_given(meta["given"])
    handed_out = {name: given[name] for name in meta["given_names"] if name in given}
    with ages.names_of_other_ages():
        student = load(_code(meta["code"]), handed_out, failures=failed)
    probes.lend(meta["lent"], lender, student, meta["settings"])
    arrays: wire.Arrays = {}
    state = _tensors(request.arrays, "state/", lender.device)
    built: list[tuple[Any, dict[str, torch.nn.Parameter]]] = []
    for index, seed in enumerate(meta["cases"]):
        case = Case(
            probes.contract,
            student,
            given,
            meta["settings"],
            _tensors(request.arrays, f"{index}/", lender.device),
            state,
            lender,
            frozenset(meta["lent"]),
            built,
        )
        _seed_everything(seed, lender.device)
        arrays.update({f"{index}/{name}": array for name, array in _run_case(probes, meta["probe"], case).items()})
    if ages.accepted:
        arrays[f"0/{OLDER_LIBRARIES}"] = np.ones(())
    return wire.Message(ANSWER, {}, arrays)


def load_given(code: dict[str, Any]) -> dict[str, Any]:
    """Return the names that handed-out code defines; loaded before workers are forked, all of them have it."""
    key = json.dumps(code, sort_keys=True)
    if key not in _GIVEN:
        _GIVEN[key] = vars(load(_code(code), {}).module) if code["cells"] else {}
    return _GIVEN[key]


def _run_case(probes: Probes, name: str, case: Case) -> wire.Arrays:
    cotangents = {
        name.removeprefix("cotangent/"): case.inputs.pop(name)
        for name in list(case.inputs)
        if name.startswith("cotangent/")
    }
    if cotangents:
        for tensor in case.inputs.values():
            tensor.requires_grad_(tensor.is_floating_point())
    arguments = dict(case.inputs)
    result = probes.run(name, case)
    arrays = {name: to_array(name, value) for name, value in result.outputs.items()}
    arrays.update({f"after/{name}": to_array(name, tensor) for name, tensor in arguments.items()})
    if cotangents:
        # A student may freeze parameters: they have no gradient, which is for the check to judge.
        targets = {name: x for name, x in {**arguments, **result.parameters}.items() if x.requires_grad}
        gradients = _gradients(result, cotangents, targets)
        arrays.update({f"gradient/{name}": to_array(name, gradient) for name, gradient in gradients.items()})
    return arrays


def _gradients(
    result: Result, cotangents: dict[str, torch.Tensor], targets: dict[str, torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Gradients of sum(outputs · cotangents) with respect to inputs and parameters, where there is a path."""
    total = torch.zeros((), device=next(iter(cotangents.values())).device)
    for name, cotangent in cotangents.items():
        output = result.outputs[name]
        # An output of another shape has no gradient to compare; its shape is judged with the values.
        if isinstance(output, torch.Tensor) and output.shape == cotangent.shape and output.requires_grad:
            total = total + (output * cotangent).sum()
    if not total.requires_grad:
        return {}
    found = grad(total, list(targets.values()), allow_unused=True)
    return {name: gradient for name, gradient in zip(targets, found, strict=True) if gradient is not None}


def _seed_everything(seed: int, device: torch.device) -> None:
    random.seed(seed)
    np.random.seed(seed)
    seed_torch(seed, device)


def _code(meta: dict[str, Any]) -> Code:
    return Code(
        [Cell(*cell) for cell in meta["cells"]],
        [(cell, statement) for cell, statement in meta["statements"]],
        meta["modules"],
    )


def _tensors(arrays: wire.Arrays, prefix: str, device: torch.device) -> dict[str, torch.Tensor]:
    """Return arrays as tensors: in float64 where the student's code made that the default, as it is for their own."""
    tensors = {
        name.removeprefix(prefix): torch.from_numpy(array).clone().to(device)
        for name, array in arrays.items()
        if name.startswith(prefix)
    }
    if torch.get_default_dtype() != torch.float64:
        return tensors
    return {name: x.double() if x.dtype == torch.float32 else x for name, x in tensors.items()}
