"""
The self-checks of the notebooks: run your code on small public inputs, and say in the grader's words what differs.

You need not change anything here, and nothing here is graded. First kind and shape are compared, then whether all
numbers are finite, then the size of the difference relative to the size of the answer.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

Array = np.ndarray


# include="grader.checks.compare:compare,right_already" closure=true


VECTORS = "public_vectors.pt"
# Right solutions differ by less than 1e-6 (rounding), the mistakes we know by more than 5e-3.
VISION_TOLERANCE = Tolerance(1e-4)
# The expected numbers are exact to about 1e-9; the mistakes we know differ by more than 1e-3.
THEORY_TOLERANCE = Tolerance(1e-6)
EXACT_TOLERANCES = {"mask": Tolerance(0.0, kind="mask"), "ids_restore": Tolerance(0.0, kind="index")}
NOTHING_RETURNED = "it is not implemented yet, or its result is not returned."

# What your code returned on the public inputs: the last cell of the vision notebook saves it in autograder.pt.
output = {}
_vectors = {}


def self_check(key, run):
    """Call run(inputs, settings) with the public inputs of a function, keep the result and print a verdict."""
    if not load_vectors():
        print(f"{key}: not checked. {missing_vectors()}")
        return
    entry = _vectors[key]
    try:
        returned = run(entry["inputs"], entry["settings"])
    except NotImplementedError as error:
        print(f"{key}: not checked. {describe_stub(key, error)}")
        return
    problems = describe_result(key, returned, entry["expected"])
    keep_result(key, returned, len(entry["expected"]))
    print(f"{key}: " + (" ".join(problems) or "correct on the public inputs."))


def public_state(key):
    """Return the public parameters of a module, to be loaded before it is checked."""
    return _vectors[key]["state"]


def missing_results():
    """Return the names of what autograder.pt should hold and `output` does not."""
    load_vectors()
    return [key for key in [*_vectors, "vit_acc", "mae_linear_acc", "mae_finetune_acc"] if key not in output]


def load_vectors():
    """Load the public inputs once, and return whether they are there."""
    import torch

    if not _vectors and Path(VECTORS).is_file():
        try:
            _vectors.update(torch.load(VECTORS, weights_only=True))
        except Exception:  # whatever a file raises that was cut short
            print(f"`{VECTORS}` cannot be read. Upload it again, whole.")
    return bool(_vectors)


def missing_vectors():
    """Return a sentence about the file of public inputs."""
    return f"`{VECTORS}` is not in {Path.cwd()}. Put it there, and run this cell again."


def keep_result(key, returned, n_expected):
    """Keep what a function returned in `output`, if it is made of tensors."""
    import torch

    values = returned if isinstance(returned, (tuple, list)) and n_expected > 1 else (returned,)
    if len(values) == n_expected and all(isinstance(value, torch.Tensor) for value in values):
        saved = tuple(value.detach().cpu() for value in values)
        output[key] = saved if len(saved) > 1 else saved[0]


def describe_result(key, returned, expected):
    """Return sentences about what is wrong with the result of a function; none if it is right."""
    values = returned if isinstance(returned, (tuple, list)) and len(expected) > 1 else (returned,)
    if returned is None:
        return [f"`{key}` returned nothing that could be graded: {NOTHING_RETURNED}"]
    if len(values) != len(expected):
        got = f"{len(values)} values" if isinstance(returned, (tuple, list)) else f"one `{type(returned).__name__}`"
        return [f"`{key}`: {len(expected)} values expected, but got {got}."]
    found = {name: describe_tensor(name, value, expected[name]) for name, value in zip(expected, values, strict=True)}
    problems = [problem for problem in found.values() if problem]
    right = tuple(f"`{name}`" for name, problem in found.items() if not problem)
    return [*problems, *right_already(right)] if problems else []


def describe_tensor(name, student, expected):
    """Return what is wrong with a returned tensor in one or two sentences, or an empty text if it is right."""
    if hasattr(student, "detach"):
        student = student.detach().cpu().numpy()
    if not isinstance(student, (np.ndarray, np.generic, bool, int, float)):
        return f"`{name}`: a tensor expected, but got `{type(student).__name__}`."
    return compare(np.asarray(student), expected.numpy(), EXACT_TOLERANCES.get(name, VISION_TOLERANCE), name=name)


def describe_stub(key, error):
    """Return a sentence about a function that raised NotImplementedError, or called one that did."""
    function, _, ending = str(error).partition(" ")
    if ending != "is not implemented yet":
        return f"Your code raised `NotImplementedError: {error}`."
    inner = function.rpartition(".")[2]
    calls = "" if inner in (key.rpartition(".")[2], "forward") else f"`{inner}`, which "
    return f"{calls}`{key}`{' calls,' if calls else ''} is not implemented yet."


def check_cases(name, cases):
    """Compare results with expectations, a list of (what it is, function of no arguments, expected value)."""
    try:
        results = [(what, run(), expected) for what, run, expected in cases]
    except NotImplementedError as error:
        print(f"{name}: not checked. {describe_stub(name, error)}")
        return
    if any(result is None for _, result, _ in results):
        print(f"{name}: `{name}` returned nothing that could be graded: {NOTHING_RETURNED}")
        return
    problems = [describe_numbers(what, result, expected) for what, result, expected in results]
    print(f"{name}: " + (" ".join(filter(None, problems)) or "correct on the public inputs."))


def describe_numbers(what, student, expected):
    """Return what is wrong with returned numbers in one or two sentences, or an empty text if they are right."""
    try:
        numbers = np.asarray(student, dtype=np.float64)
    except (TypeError, ValueError):
        return f"{what}: a tensor expected, but got `{type(student).__name__}`."
    return compare(numbers, np.asarray(expected, dtype=np.float64), THEORY_TOLERANCE, name=what, is_code=False)


def check_numbers(name, run, expected):
    """Compare the numbers that run() returns, one after the other, with the expected ones and print a verdict."""
    try:
        returned = np.concatenate([np.ravel(np.asarray(value, dtype=np.float64)) for value in run()])
    except NotImplementedError as error:
        print(f"{name}: not checked. {describe_stub(name, error)}")
        return
    problem = compare(returned, np.asarray(expected, dtype=np.float64), THEORY_TOLERANCE, name=name)
    print(f"{name}: " + (problem or "correct on the public inputs."))
