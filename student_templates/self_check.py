"""
The self-checks of the notebooks: run your code on small public inputs, and say in the grader's words what differs.

You need not change anything here, and nothing here is graded. First kind and shape are compared, then whether all
numbers are finite, then the size of the difference relative to the size of the answer.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

Array = np.ndarray


@dataclass(frozen=True)
class Tolerance:
    """
    How far a student's array may be from the reference's.

    Args:
        relative: largest norm of the difference, as a share of the reference's norm.
        floor: the reference's norm counts as at least this times the square root of the number of elements, so
            that an array of zeros can be met.
        kind: "float" takes any real dtype that holds the values; "mask" takes bool, integers and floats of
            exactly 0 and 1; "index" takes integers, and floats that are whole.
    """

    relative: float
    floor: float = 1e-7
    kind: str = "float"


_TOO_FAR = 10.0  # times what is right: a larger percentage says nothing more


@np.errstate(over="ignore", invalid="ignore")
def compare(student: Array | None, reference: Array, tolerance: Tolerance, *, name: str, is_code: bool = True) -> str:
    """
    Return what is wrong with a student's array as one or two sentences, or an empty string.

    Args:
        student: the array that the student's code gave; None if it gave none.
        reference: what is right.
        tolerance: how far they may be apart.
        name: how the student knows the array.
        is_code: whether that is a name in their code; otherwise words that a sentence can begin with.
    """
    if sentence := compare_form(student, reference, name=name, is_code=is_code):
        return sentence
    assert student is not None
    called = _called(name, is_code=is_code)
    if student.size == 0:
        return ""
    mine = student.astype(np.float64)
    right = reference.astype(np.float64)
    if tolerance.kind == "float":
        return _compare_values(mine, right, tolerance, called)
    if tolerance.kind == "mask" and not np.all((mine == 0) | (mine == 1)):
        return f"{called} should hold only 0 and 1; it holds {_some_values(mine)}."
    if tolerance.kind == "index" and not np.all(mine == np.round(mine)):
        return f"{called} should hold whole numbers; it holds {_some_values(mine)}."
    return _describe(mine, right, mine != right, called)


def compare_form(student: Array | None, reference: Array, *, name: str, is_code: bool = True) -> str:
    """Return what is wrong with an array before its values are looked at: not there, of another shape, not finite."""
    called = _called(name, is_code=is_code)
    if student is None:
        return f"{called} did not come back."
    if student.shape != reference.shape:
        return f"{called} has shape {_shape(student)}; it should be {_shape(reference)}."
    not_finite = int(np.sum(~np.isfinite(student.astype(np.float64))))
    return f"{called} has {_count(not_finite, student.size)} that are NaN or infinite." if not_finite else ""


def right_already(outputs: tuple[str, ...]) -> tuple[str, ...]:
    """
    Return a sentence that says which of several outputs are right beside wrong ones; none where none are.

    Args:
        outputs: names in code spans, or words such as "The mean error".
    """
    if not outputs:
        return ()
    *others, last = (output[:1].lower() + output[1:] for output in outputs)
    return (f"Right already: {', '.join(others)}{' and ' if others else ''}{last}.",)


def off_by(share: float, *, of: str = "") -> str:
    """Return how far something is off, as a share of what is right: a percentage, or words where it is huge."""
    if share > _TOO_FAR:
        return f"more than ten times {of or 'its right size'}"
    percent = f"{100 * share:,.0f} %" if share >= 0.1 else f"{100 * share:.2g} %"
    return f"{percent} of {of}" if of else percent


def relative_error(student: Array, reference: Array, floor: float) -> float:
    """Return ‖student − reference‖ / max(‖reference‖, floor · √n), in float64."""
    scale = max(float(np.linalg.norm(reference)), floor * float(np.sqrt(reference.size)))
    return float(np.linalg.norm(student - reference)) / scale


def _compare_values(mine: Array, right: Array, tolerance: Tolerance, called: str) -> str:
    error = relative_error(mine, right, tolerance.floor)
    if error <= tolerance.relative:
        return ""
    typical = max(float(np.sqrt(np.mean(right**2))), tolerance.floor)
    wrong = np.abs(mine - right) > tolerance.relative * typical
    return _describe(mine, right, wrong, called, relative=error)


def _describe(mine: Array, right: Array, wrong: Array, called: str, *, relative: float | None = None) -> str:
    count = int(np.sum(wrong))
    if count == 0 and relative is None:
        return ""
    if mine.ndim == 0:
        return f"{called} is {_number(float(mine))}; {_number(float(right))} is right."
    worst = np.unravel_index(int(np.argmax(np.abs(mine - right))), mine.shape)
    place = ", ".join(str(int(index)) for index in worst)
    at = f"at [{place}] " if place else ""
    apart = "" if relative is None else f" As a whole it is off by {off_by(relative)}."
    return (
        f"{called} has the right shape {_shape(mine)}, but {_count(count, mine.size)} differ. "
        f"The worst is {at}where yours is {_number(mine[worst])} and {_number(right[worst])} is right.{apart}"
    )


def _called(name: str, *, is_code: bool) -> str:
    return f"`{name}`" if is_code else name


def _count(count: int, total: int) -> str:
    return f"all {total:,} elements" if count == total else f"{count:,} of {total:,} elements"


def _shape(array: Array) -> str:
    return str(tuple(array.shape))


def _number(value: float) -> str:
    return f"{value:.4g}"


def _some_values(array: Array) -> str:
    values = np.unique(array)
    listed = ", ".join(_number(value) for value in values[:3])
    return listed + (", …" if len(values) > 3 else "")


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
