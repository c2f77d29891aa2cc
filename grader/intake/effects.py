"""What a top-level statement does besides binding names, and whether the grader may run it for that (worker side)."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)
_DEFINITIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)

# Functions of libraries that change what they are given.
_CHANGES_ITS_ARGUMENTS = frozenset(
    {
        "at",
        "copyto",
        "delattr",
        "fill_diagonal",
        "heapify",
        "heappop",
        "heappush",
        "insort",
        "place",
        "put",
        "put_along_axis",
        "putmask",
        "setattr",
        "shuffle",
    }
)
# Methods that change their object; any other may, too, where its result is thrown away.
_CHANGES_ITS_OBJECT = frozenset(
    {
        "add",
        "append",
        "clear",
        "discard",
        "extend",
        "fill",
        "insert",
        "pop",
        "popitem",
        "remove",
        "reverse",
        "setdefault",
        "sort",
        "update",
    }
)
# Settings of a library that change what code computes; seeds are not among them, the grader sets its own.
_SETTINGS = frozenset({"set_default_dtype", "set_default_tensor_type"})

# What the grader never runs for an effect: training, data sets, the network, files, the screen, and what ends or waits.
_NEVER_CALLED = frozenset(
    {
        *("backward", "step", "zero_grad", "fit", "train", "train_on_batch", "partial_fit", "eval", "cuda"),
        *("DataLoader", "ImageFolder", "load_dataset", "CIFAR10", "CIFAR100", "MNIST", "FashionMNIST", "SVHN"),
        *("urlopen", "urlretrieve", "download", "download_url", "gdown", "snapshot_download", "hf_hub_download"),
        *("open", "load", "save", "savez", "savetxt", "loadtxt", "genfromtxt", "imread", "imsave", "savefig", "unlink"),
        *("read_csv", "to_csv", "read_text", "read_bytes", "write_text", "write_bytes", "mkdir", "makedirs", "rmtree"),
        *("display", "show", "imshow", "plot", "interact", "summary", "system", "popen", "Popen", "run_line_magic"),
        *("input", "exit", "quit", "_exit", "sleep", "main"),
    }
)
_NEVER_USED = frozenset({"subprocess", "requests", "urllib", "shutil", "wandb", "plt", "gdown", "wget"})
_NEVER_BEGINS = ("train", "pretrain", "finetune", "fine_tune", "evaluate", "download")
_DATA = ("loader", "dataset", "trainset", "testset", "_batches", "train_set", "test_set")


@dataclass(frozen=True)
class Effects:
    """
    What a statement changes while it runs, as far as its text shows.

    Args:
        changes: names of objects whose attributes or items it sets for certain.
        may_change: names of objects of which it calls a method for its effect, or which a decorator is given.
        passes: (function, name) pairs: what it gives to functions that may change it.
    """

    changes: frozenset[str]
    may_change: frozenset[str]
    passes: frozenset[tuple[str, str]]


def effects_of(node: ast.stmt) -> Effects:
    """Return what a top-level statement changes while it runs."""
    changes: set[str] = set()
    may_change: set[str] = set()
    passes: set[tuple[str, str]] = set()
    is_call = isinstance(node, ast.Expr)
    for part in running(node):
        changes |= _set_by(part)
        if isinstance(part, ast.Expr) and isinstance(part.value, ast.Call):
            may_change |= _object_of(part.value)
            is_call = True
        if isinstance(part, ast.Attribute) and is_call and _is_changing_method(part.attr):
            may_change |= _root(part.value)
        if isinstance(part, ast.Call):
            function = _last_name(part.func)
            given = [root for value in _arguments(part) for root in _root(value)]
            if function in _CHANGES_ITS_ARGUMENTS or (function.endswith("_") and not function.endswith("__")):
                changes.update(given)
            elif function in _SETTINGS:
                changes |= _root(part.func)
            elif isinstance(part.func, ast.Name):
                passes.update((function, name) for name in given)
            changes.update(root for keyword in part.keywords if keyword.arg == "out" for root in _root(keyword.value))
    if isinstance(node, _DEFINITIONS):
        may_change |= _given_to_decorators(node)
    return Effects(frozenset(changes), frozenset(may_change), frozenset(passes))


def changed_when_called(node: ast.stmt) -> tuple[frozenset[str], bool]:
    """
    Return what calling the functions in a statement may change: module-level names, and whether their arguments.

    Names are those that a function declares `global`, and objects of others whose attributes or items it sets.
    """
    names: set[str] = set()
    changes_arguments = False
    for function in ast.walk(node):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        parameters = {argument.arg for argument in _parameters(function.args)} - {"self"}
        parts = list(ast.walk(function))
        stored = {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store)}
        own = parameters | stored
        declared = {name for part in parts if isinstance(part, ast.Global) for name in part.names}
        names |= declared
        for part in parts:
            changed = _set_by(part)
            if isinstance(part, ast.Attribute) and _is_changing_method(part.attr):
                changed |= _root(part.value)
            names |= changed - (own - declared) - {"self"}
            changes_arguments = changes_arguments or bool(changed & parameters)
    return frozenset(names), changes_arguments


def first_harm(node: ast.AST) -> int | None:
    """
    Return the line of the first thing for which a statement is never run for an effect, None if there is none.

    That is where it trains, loads data, speaks to the network, uses files, shows something, waits or ends, or where
    functions in it do.
    """
    for part in ast.walk(node):
        if isinstance(part, ast.Call):
            name = _last_name(part.func)
            if name in _NEVER_CALLED or name.startswith(_NEVER_BEGINS) or name.endswith("loader"):
                return part.lineno
        elif isinstance(part, ast.Name) and (part.id in _NEVER_USED or part.id.lower().endswith(_DATA)):
            return part.lineno
    return None


def running(node: ast.stmt) -> Iterator[ast.AST]:
    """Yield what of a statement runs when it does: everything but the bodies of functions."""
    pending: list[ast.AST] = [node]
    while pending:
        part = pending.pop()
        yield part
        if not isinstance(part, _FUNCTIONS):
            pending += reversed(list(ast.iter_child_nodes(part)))


def _parameters(arguments: ast.arguments) -> list[ast.arg]:
    starred = [argument for argument in (arguments.vararg, arguments.kwarg) if argument is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *starred]


def _set_by(part: ast.AST) -> set[str]:
    """Return `thing` for `thing.a.b = ...`, `thing[0] = ...`, `thing.a += ...`, `del thing[0]` and setattr."""
    targets: list[ast.expr] = []
    if isinstance(part, ast.Assign | ast.Delete):
        targets = [inner for target in part.targets for inner in _flat(target)]
    elif isinstance(part, ast.AugAssign | ast.AnnAssign | ast.For):
        targets = list(_flat(part.target))
    elif isinstance(part, ast.Call) and _last_name(part.func) in ("setattr", "delattr") and part.args:
        return _root(part.args[0])
    elements = [target for target in targets if isinstance(target, ast.Attribute | ast.Subscript)]
    return {root for target in elements for root in _root(target)}


def _flat(target: ast.expr) -> Iterator[ast.expr]:
    if isinstance(target, ast.Tuple | ast.List):
        for element in target.elts:
            yield from _flat(element)
    else:
        yield target


def _root(node: ast.expr) -> set[str]:
    """Return the name at the beginning of `name.a[0].b(…).c`, if it begins with one."""
    while True:
        if isinstance(node, ast.Attribute | ast.Subscript | ast.Starred):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            return {node.id} if isinstance(node, ast.Name) else set()


def _object_of(call: ast.Call) -> set[str]:
    return _root(call.func.value) if isinstance(call.func, ast.Attribute) else set()


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _arguments(call: ast.Call) -> list[ast.expr]:
    return [*call.args, *(keyword.value for keyword in call.keywords)]


def _is_changing_method(name: str) -> bool:
    return name in _CHANGES_ITS_OBJECT or (name.endswith("_") and not name.startswith("_"))


def _given_to_decorators(node: ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) -> set[str]:
    """
    Return what decorators may register the definition with: `Net` for `@add_to_class(Net)`, `table` for `@table.add`.

    fastcore's `@patch` reads it from the hint of the first argument.
    """
    found: set[str] = set()
    for decorator in node.decorator_list:
        if isinstance(decorator, ast.Call):
            found |= {root for value in _arguments(decorator) for root in _root(value)}
        whole = decorator.func if isinstance(decorator, ast.Call) else decorator
        if isinstance(whole, ast.Attribute):
            found |= _root(whole)
        if _last_name(whole).startswith("patch") and not isinstance(node, ast.ClassDef) and node.args.args:
            hint = node.args.args[0].annotation
            found |= _root(hint) if hint is not None else set()
    return found
