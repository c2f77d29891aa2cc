"""
The same code written differently: renamed, re-ordered, in other idioms, formatted anew.

A diagnosis goes by values, so it must not depend on how code looks. What is rewritten here computes what it computed
before, up to the order of a sum's two operands; comments and docstrings of functions are gone.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping

# Calls that must stay in their order: they draw random numbers, or change something.
_RANDOM = {"rand", "randn", "randperm", "random", "uniform", "normal_", "choice", "seed", "manual_seed", "draw"}
_DRAWS = {"generate_x", "generate_k_val", "add_label_noise"}
_CHANGES = {"append", "zero_grad", "step", "backward", "copy_", "scatter_", "print"}
_IN_ORDER = _RANDOM | _DRAWS | _CHANGES
_METHODS_OF_TORCH = frozenset({"sum", "mean", "softmax", "detach", "sigmoid", "exp"})


def rewritten_files(files: Mapping[str, bytes]) -> dict[str, bytes]:
    """Return notebooks and modules in which every function is written differently."""
    return {name: _notebook(data) if name.endswith(".ipynb") else _module(data) for name, data in files.items()}


def rewritten(source: str) -> str:
    """Return code in which every function is written differently; code that does not parse stays as it is."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef):
            _without_docstring(node)
    tree = _Idioms().visit(tree)
    for node in list(ast.walk(tree)):
        if isinstance(node, ast.FunctionDef):
            node.body = _reordered(_with_named_results(node.body))
            _rename_locals(node)
    return ast.unparse(ast.fix_missing_locations(tree))


def _notebook(data: bytes) -> bytes:
    content = json.loads(data)
    for cell in content["cells"]:
        if cell["cell_type"] == "code":
            cell["source"] = rewritten("".join(cell["source"]))
    return json.dumps(content).encode()


def _module(data: bytes) -> bytes:
    return rewritten(data.decode()).encode()


def _without_docstring(node: ast.FunctionDef) -> None:
    if ast.get_docstring(node) is not None:
        node.body = node.body[1:] or [ast.Pass()]


class _Idioms(ast.NodeTransformer):
    """Writes calls and operators in another way."""

    def visit_BinOp(self, node: ast.BinOp) -> ast.AST:
        """Swap the operands of + and * where they are not sequences, and write @ as a call."""
        self.generic_visit(node)
        sequences = (ast.List, ast.ListComp, ast.Tuple, ast.JoinedStr)
        plain = not any(isinstance(side, sequences) or _is_text(side) for side in (node.left, node.right))
        if isinstance(node.op, (ast.Add, ast.Mult)) and plain:
            return ast.BinOp(node.right, node.op, node.left)
        return node

    def visit_Call(self, node: ast.Call) -> ast.AST:
        """Write torch.sum(x) as x.sum(), torch.cat as torch.concat, x.reshape as x.contiguous().view."""
        self.generic_visit(node)
        function = node.func
        if not isinstance(function, ast.Attribute):
            return node
        if isinstance(function.value, ast.Name) and function.value.id == "torch":
            if function.attr == "cat":
                function.attr = "concat"
            elif function.attr in _METHODS_OF_TORCH and node.args and not isinstance(node.args[0], ast.Starred):
                return ast.Call(ast.Attribute(node.args[0], function.attr, ast.Load()), node.args[1:], node.keywords)
        elif function.attr == "transpose" and len(node.args) == 2 and not node.keywords:
            function.attr = "swapaxes"
        return node

    def visit_Compare(self, node: ast.Compare) -> ast.AST:
        """Turn a < b around."""
        self.generic_visit(node)
        turned = {ast.Lt: ast.Gt, ast.Gt: ast.Lt, ast.LtE: ast.GtE, ast.GtE: ast.LtE, ast.NotEq: ast.NotEq}
        kind = turned.get(type(node.ops[0]))
        if kind is None or len(node.ops) != 1:
            return node
        return ast.Compare(node.comparators[0], [kind()], [node.left])


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, (str, bytes))


def _with_named_results(body: list[ast.stmt]) -> list[ast.stmt]:
    """Give what is returned a name first, and take the arguments of its outermost call out of it."""
    result: list[ast.stmt] = []
    for statement in body:
        for field in ("body", "orelse", "finalbody"):
            if isinstance(inner := getattr(statement, field, None), list) and inner and isinstance(inner[0], ast.stmt):
                setattr(statement, field, _with_named_results(inner))
        if isinstance(statement, ast.Return) and not isinstance(statement.value, (ast.Name, ast.Constant, type(None))):
            result.append(ast.Assign([ast.Name("outcome", ast.Store())], statement.value, lineno=0))
            statement = ast.Return(ast.Name("outcome", ast.Load()))
        result.append(statement)
    return result


def _reordered(body: list[ast.stmt]) -> list[ast.stmt]:
    """Swap neighbouring assignments that do not depend on each other."""
    body, place = list(body), 0
    while place + 1 < len(body):
        if _may_swap(body[place], body[place + 1]):
            body[place], body[place + 1] = body[place + 1], body[place]
            place += 1
        place += 1
    return body


def _may_swap(one: ast.stmt, other: ast.stmt) -> bool:
    if not all(isinstance(each, ast.Assign) and all(map(_is_name, each.targets)) for each in (one, other)):
        return False
    (sets, reads), (other_sets, other_reads) = _names(one), _names(other)
    if (sets & (other_sets | other_reads)) or (other_sets & reads):
        return False
    called = {
        node.attr if isinstance(node, ast.Attribute) else node.id
        for statement in (one, other)
        for node in ast.walk(statement)
        if isinstance(node, (ast.Attribute, ast.Name))
    }
    return not called & _IN_ORDER


def _is_name(target: ast.expr) -> bool:
    return isinstance(target, ast.Name) or (isinstance(target, ast.Tuple) and all(map(_is_name, target.elts)))


def _names(statement: ast.stmt) -> tuple[set[str], set[str]]:
    names = [node for node in ast.walk(statement) if isinstance(node, ast.Name)]
    sets = {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return sets, {node.id for node in names if isinstance(node.ctx, ast.Load)}


def _rename_locals(function: ast.FunctionDef) -> None:
    """Give the names that a function assigns other ones; its arguments keep theirs, for callers may use them."""
    arguments = {
        argument.arg for node in ast.walk(function) if isinstance(node, ast.arguments) for argument in _all(node)
    }
    shared = {
        name for node in ast.walk(function) if isinstance(node, (ast.Global, ast.Nonlocal)) for name in node.names
    }
    names = [node for node in ast.walk(function) if isinstance(node, ast.Name)]
    stored = {node.id for node in names if isinstance(node.ctx, ast.Store)} - arguments - shared
    for node in names:
        if node.id in stored and not node.id.startswith("my_"):
            node.id = f"my_{node.id}"


def _all(arguments: ast.arguments) -> list[ast.arg]:
    several = [each for each in (arguments.vararg, arguments.kwarg) if each is not None]
    return [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs, *several]
