"""Functions that nobody has written yet, as the editions of this homework hand them out (worker side)."""

from __future__ import annotations

import ast
from collections.abc import Iterator

Function = ast.FunctionDef | ast.AsyncFunctionDef


def is_stub(node: ast.AST) -> bool:
    """
    Return whether a function's body does nothing yet: pass, ..., raise, None, or names that were set to None.
    """
    if not isinstance(node, Function):
        return False
    empty: set[str] = set()
    return all(_is_idle(statement, empty) for statement in node.body)


def methods(cls: ast.ClassDef) -> Iterator[Function]:
    """Yield the functions in a class's body, inside an `if` or `try` too."""
    pending: list[ast.AST] = list(reversed(cls.body))
    while pending:
        node = pending.pop()
        if isinstance(node, Function):
            yield node
        elif not isinstance(node, ast.ClassDef):
            pending += reversed([child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)])


def is_placeholder(node: ast.AST) -> bool:
    """
    Return whether a function still holds what was handed out in place of an answer, beside lines that were given.

    That is a stub; a name that is used though all that was ever done is to set it to None; or a returned name that the
    function nowhere gives a value. Such a function may be one of a student who forgot something: it explains why
    a run failed, and decides nothing.
    """
    if not isinstance(node, Function):
        return False
    if is_stub(node):
        return True
    parts = list(_own_parts(node))
    stored = _stored(node, parts)
    empty = {name for name, values in stored.items() if values and all(_is_empty(value, set()) for value in values)}
    compared = {
        id(part.left)
        for part in parts
        if isinstance(part, ast.Compare) and isinstance(part.ops[0], ast.Is | ast.IsNot | ast.Eq)
    }
    used = {part.id for part in parts if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Load)}
    asked = {part.id for part in parts if isinstance(part, ast.Name) and id(part) in compared}
    if empty & used and not (empty & used) <= asked:
        return True
    return any(_returns_nothing_known(part, set(stored)) for part in parts if isinstance(part, ast.Return))


def _own_parts(function: Function) -> Iterator[ast.AST]:
    """Yield what is in a function's body, but for the bodies of functions in it."""
    pending: list[ast.AST] = list(function.body)
    while pending:
        part = pending.pop()
        yield part
        if not isinstance(part, Function | ast.Lambda | ast.ClassDef):
            pending += ast.iter_child_nodes(part)


def _stored(function: Function, parts: list[ast.AST]) -> dict[str, list[ast.expr]]:
    """Return the names that a function binds -> the values of plain assignments; an argument has a value of its own."""
    stored: dict[str, list[ast.expr]] = {}
    arguments = function.args
    every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, arguments.vararg, arguments.kwarg]
    for argument in every:
        if argument is not None:
            stored[argument.arg] = [ast.Name(argument.arg)]
    plain: set[int] = set()
    for part in parts:
        if isinstance(part, ast.Assign):
            for target in part.targets:
                if isinstance(target, ast.Name):
                    stored.setdefault(target.id, []).append(part.value)
                    plain.add(id(target))
    for part in parts:
        if isinstance(part, ast.Name) and isinstance(part.ctx, ast.Store) and id(part) not in plain:
            stored.setdefault(part.id, []).append(ast.Name(part.id))
        elif isinstance(part, Function | ast.ClassDef):
            stored.setdefault(part.name, []).append(ast.Name(part.name))
        elif isinstance(part, ast.Import | ast.ImportFrom):
            for alias in part.names:
                stored.setdefault(alias.asname or alias.name.partition(".")[0], []).append(ast.Name(alias.name))
    return stored


def _returns_nothing_known(node: ast.Return, known: set[str]) -> bool:
    elements: list[ast.expr | None] = [*node.value.elts] if isinstance(node.value, ast.Tuple) else [node.value]
    return any(isinstance(element, ast.Name) and element.id not in known for element in elements)


def _is_idle(statement: ast.stmt, empty: set[str]) -> bool:
    if isinstance(statement, ast.Assign):
        targets = [name for target in statement.targets for name in ast.walk(target)]
        empty.update(name.id for name in targets if isinstance(name, ast.Name))
        return _is_empty(statement.value, set())
    if isinstance(statement, ast.Raise):
        raised = [part.id for part in ast.walk(statement) if isinstance(part, ast.Name)]
        return "NotImplementedError" in raised
    if isinstance(statement, ast.Return):
        return statement.value is None or _is_empty(statement.value, empty)
    if isinstance(statement, ast.Expr):
        return isinstance(statement.value, ast.Constant)  # a docstring, or the three dots
    return isinstance(statement, ast.Pass)


def _is_empty(value: ast.expr, empty: set[str]) -> bool:
    """Return whether this is None, the three dots, a name that stands for them, or a tuple of these."""
    if isinstance(value, ast.Tuple):
        return all(_is_empty(element, empty) for element in value.elts)
    if isinstance(value, ast.Name):
        return value.id in empty
    return isinstance(value, ast.Constant) and value.value in (None, Ellipsis)
