"""
A cell as it is to be executed: fewer rounds of training, our data folder, no second process (worker side).

Only numbers and paths are replaced, each on its own line, so that every line of a traceback is the student's.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass

from grader.intake.magics import plain

_EPOCHS = re.compile(r"(?:^|_)(?:n|num|max|total)?_?epochs$|(?:^|_)(?:n|num|max|total)_?epoch$", re.IGNORECASE)
_EPOCH_LOOP = re.compile(r"epoch", re.IGNORECASE)
_ITERATIONS = "num_iterations"
_DATA_PATHS = frozenset({"data_path", "data_dir", "data_root"})
_ITERATIONS_FOR_ONE_EPOCH = 10

FEWER_ROUNDS = "fewer rounds"
DATA_FOLDER = "data folder"
ONE_PROCESS = "one process"
NOT_RUN = "not run"


@dataclass(frozen=True)
class Rules:
    """
    What is changed in cells before they are executed.

    Args:
        epochs: the most rounds of training, or None for as many as the notebook says. `num_iterations` may be ten
            times that, which is what a quick look at the meta-learning notebooks takes.
        data: the folder of the data set, or "".
    """

    epochs: int | None
    data: str


@dataclass(frozen=True)
class Change:
    """A line of a cell that is not executed as it stands there; `why` is one of this module's words."""

    line: int
    before: str
    after: str
    why: str


@dataclass(frozen=True)
class Prepared:
    """
    A cell made ready.

    Args:
        source: what is executed.
        changes: what differs from what the student wrote.
    """

    source: str
    changes: tuple[Change, ...] = ()


@dataclass(frozen=True)
class _Replacement:
    node: ast.Constant
    text: str
    why: str


def prepare(source: str, rules: Rules) -> Prepared:
    """Return a cell without shell commands and with smaller numbers."""
    bare = plain(source)
    if bare.module is not None:
        mode = "a" if bare.is_append else "w"
        name = bare.module.rsplit("/", 1)[-1]
        return Prepared(f"with open({name!r}, {mode!r}) as _file:\n    _file.write({bare.source + chr(10)!r})")
    if bare.skipped is not None:
        return Prepared("", (Change(1, source.strip().split("\n")[0], "", NOT_RUN),))
    changes = [
        Change(number, before.strip(), "", NOT_RUN)
        for number, (before, after) in enumerate(
            zip(source.split("\n"), bare.source.split("\n"), strict=False), start=1
        )
        if before != after and before.strip() and not before.lstrip().startswith(("%matplotlib", "%time", "%%time"))
    ]
    try:
        tree = ast.parse(bare.source)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return Prepared(bare.source, tuple(changes))
    text, made = _replace(bare.source, list(_replacements(tree, rules)))
    return Prepared(text, (*changes, *made))


def _replacements(tree: ast.AST, rules: Rules) -> Iterator[_Replacement]:
    for name, value in _named_values(tree):
        if not isinstance(value, ast.Constant):
            continue
        if type(value.value) is int and rules.epochs is not None:
            most = rules.epochs if _EPOCHS.search(name) else None
            most = rules.epochs * _ITERATIONS_FOR_ONE_EPOCH if name == _ITERATIONS else most
            if most is not None and value.value > most:
                yield _Replacement(value, str(most), FEWER_ROUNDS)
        if name == "num_workers" and type(value.value) is int and value.value > 0:
            yield _Replacement(value, "0", ONE_PROCESS)
        if name == "persistent_workers" and value.value is True:
            yield _Replacement(value, "False", ONE_PROCESS)
        if name == "prefetch_factor" and type(value.value) is int:
            yield _Replacement(value, "None", ONE_PROCESS)
        if name in _DATA_PATHS and isinstance(value.value, str) and rules.data:
            yield _Replacement(value, repr(rules.data), DATA_FOLDER)


def _named_values(tree: ast.AST) -> Iterator[tuple[str, ast.expr]]:
    """Yield what a value is called where it stands: by assignment, keyword, key of a dictionary, default, loop."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            for target in node.targets:
                yield from _assigned(target, node.value)
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            yield from _assigned(node.target, node.value)
        elif isinstance(node, ast.keyword) and node.arg:
            yield node.arg, node.value
        elif isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                if isinstance(key, ast.Constant) and isinstance(key.value, str):
                    yield key.value, value
        elif isinstance(node, ast.arguments):
            named = [*node.posonlyargs, *node.args]
            if node.defaults:
                yield from zip((each.arg for each in named[-len(node.defaults) :]), node.defaults, strict=True)
            yield from (
                (each.arg, value) for each, value in zip(node.kwonlyargs, node.kw_defaults, strict=True) if value
            )
        elif isinstance(node, ast.For) and isinstance(node.target, ast.Name) and _EPOCH_LOOP.search(node.target.id):
            yield from (("epochs", value) for value in _range_end(node.iter))


def _assigned(target: ast.expr, value: ast.expr) -> Iterator[tuple[str, ast.expr]]:
    if isinstance(target, ast.Name):
        yield target.id, value
    elif isinstance(target, ast.Attribute):
        yield target.attr, value
    elif isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
        yield str(target.slice.value), value
    elif isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for one, its in zip(target.elts, value.elts, strict=True):
            yield from _assigned(one, its)


def _range_end(iterated: ast.expr) -> list[ast.expr]:
    """Return the end of every range in what a loop walks over, through `tqdm(range(20))` and the like."""
    calls = [node for node in ast.walk(iterated) if isinstance(node, ast.Call)]
    ranges = [call for call in calls if isinstance(call.func, ast.Name) and call.func.id in ("range", "trange")]
    return [call.args[0 if len(call.args) == 1 else 1] for call in ranges if call.args]


def _replace(source: str, replacements: list[_Replacement]) -> tuple[str, tuple[Change, ...]]:
    """Put the new texts in place, from the end of the source so that positions stay right."""
    lines = [line.encode() for line in source.split("\n")]  # ast counts columns in bytes
    before = [line.decode() for line in lines]
    whys: dict[int, str] = {}
    for each in sorted(replacements, key=lambda each: (each.node.lineno, each.node.col_offset), reverse=True):
        node, row = each.node, each.node.lineno - 1
        if node.end_lineno != node.lineno or node.end_col_offset is None:
            continue
        lines[row] = lines[row][: node.col_offset] + each.text.encode() + lines[row][node.end_col_offset :]
        whys[row] = each.why if whys.get(row) != FEWER_ROUNDS else FEWER_ROUNDS
    after = [line.decode() for line in lines]
    changes = [Change(row + 1, before[row].strip(), after[row].strip(), whys[row]) for row in sorted(whys)]
    return "\n".join(after), tuple(changes)
