"""
Mutants of a solved function: its text with one small change each, of the kinds that slip from a tired hand.

Only the body after the docstring is changed, which is what students write. A mutant is known by its function and by
the lines it changes, so that a list of mutants stays valid while other lines move.
"""

from __future__ import annotations

import ast
import copy
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_LIBRARIES = {"torch", "np", "math", "nn"}
_OTHER_OPERATORS: Mapping[type[ast.operator], Sequence[type[ast.operator]]] = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult,),
    ast.FloorDiv: (ast.Mult,),
    ast.Pow: (ast.Mult,),
    ast.Mod: (ast.FloorDiv,),
}
_OTHER_COMPARISONS: Mapping[type[ast.cmpop], Sequence[type[ast.cmpop]]] = {
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Lt: (ast.LtE, ast.Gt),
    ast.LtE: (ast.Lt, ast.GtE),
    ast.Gt: (ast.GtE, ast.Lt),
    ast.GtE: (ast.Gt, ast.LtE),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
    ast.In: (ast.NotIn,),
}
_DIMENSIONS = (0, 1, 2, -1)
# Names that are easily taken for each other: of library functions, of attributes of the module, and of words.
_OTHER_CALLS = {
    "ones": ("zeros",),
    "zeros": ("ones",),
    "zeros_like": ("ones_like",),
    "mean": ("sum",),
    "sum": ("mean",),
    "detach": ("clone",),
    "rand": ("ones",),
}
_OTHER_ATTRIBUTES = {
    "encoder": "decoder",
    "encoder_input_projection": "decoder_input_projection",
    "encoder_position_encoding": "decoder_position_encoding",
    "cls_token": "masked_tokens",
    "keep_length": "masked_length",
    "patch_size": "num_patches",
}
_OTHER_ATTRIBUTES |= {other: name for name, other in _OTHER_ATTRIBUTES.items()}
_OTHER_WORDS = {"uniform_random": "grid"}


@dataclass(frozen=True)
class Mutant:
    """
    A function with one change.

    Args:
        function: its name; a method's with its class.
        operator: the kind of the change.
        before: the changed lines as they were, stripped, joined by " ⏎ ".
        after: the same lines with the change.
        source: the whole text with the change.
        occurrence: 2 for the second mutant of a function whose lines read the same, and so on.
    """

    function: str
    operator: str
    before: str
    after: str
    source: str
    occurrence: int = 1

    @property
    def diff(self) -> str:
        """The change in one line."""
        return f"{self.before} → {self.after}" + (f" (no. {self.occurrence})" if self.occurrence > 1 else "")


@dataclass(frozen=True)
class _Change:
    """Text to put in the place of a node."""

    node: ast.expr | ast.stmt | ast.keyword | ast.Slice
    text: str
    operator: str


def find_function(source: str, name: str) -> ast.FunctionDef | None:
    """Return the node of a function, or of a method by `Class.method`; None where the text has no such function."""
    nodes: Sequence[ast.stmt] = ast.parse(source).body
    found: ast.stmt | None = None
    for part in name.split("."):
        found = next((node for node in nodes if getattr(node, "name", None) == part), None)
        nodes = getattr(found, "body", [])
    return found if isinstance(found, ast.FunctionDef) else None


def mutants_of(source: str, name: str) -> list[Mutant]:
    """
    Return every mutant of one function in a text, in the order of its lines.

    Args:
        source: a cell or a module.
        name: the function; a method with its class.

    Raises:
        LookupError: the text has no such function.
    """
    function = find_function(source, name)
    if function is None:
        raise LookupError(f"there is no function {name} in the text")
    seen = {ast.dump(ast.parse(source))}
    mutants: list[Mutant] = []
    counts: Counter[tuple[str, str]] = Counter()
    for change in _changes(function):
        changed = _with_change(source, change)
        try:
            dumped = ast.dump(ast.parse(changed))
        except SyntaxError:
            continue  # a keyword argument moved before a positional one and the like: no text anybody could run
        if dumped not in seen:
            seen.add(dumped)
            before, after = _changed_lines(change, source, changed)
            counts[before, after] += 1
            mutants.append(Mutant(name, change.operator, before, after, changed, counts[before, after]))
    return mutants


def _with_change(source: str, change: _Change) -> str:
    """Put the change's text in the place of its node; columns of a syntax tree count bytes."""
    lines = [line.encode() for line in source.splitlines(keepends=True)]
    node = change.node
    assert node.end_lineno is not None
    assert node.end_col_offset is not None
    first, last = node.lineno - 1, node.end_lineno - 1
    before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
    if change.text == "" and isinstance(node, ast.keyword):  # the comma before it goes, too
        before = before.rstrip().removesuffix(b",") if before.strip() else before
    return b"".join([*lines[:first], before + change.text.encode() + after, *lines[last + 1 :]]).decode()


def _changed_lines(change: _Change, source: str, changed: str) -> tuple[str, str]:
    """Return the lines of the node as they were and as they are, each as one line of text."""
    assert change.node.end_lineno is not None
    old, new = source.splitlines(), changed.splitlines()
    first, last = change.node.lineno - 1, change.node.end_lineno
    before, after = old[first:last], new[first : last + len(new) - len(old)]
    return " ⏎ ".join(map(_without_comment, before)), " ⏎ ".join(map(_without_comment, after))


def _without_comment(line: str) -> str:
    return line.partition("  #")[0].strip()


def _changes(function: ast.FunctionDef) -> Iterator[_Change]:
    """Yield every change of a function's body; nested functions count as part of it."""
    body = function.body[1:] if ast.get_docstring(function) is not None else function.body
    arguments = [argument.arg for argument in function.args.args]
    bound = [argument for argument in arguments if argument != "self"]
    for statement in body:
        yield from _changes_of_statement(statement, bound)


def _changes_of_statement(statement: ast.stmt, bound: list[str]) -> Iterator[_Change]:
    """Yield the changes of a statement and of what stands in it, and note the names that it binds."""
    yield from _dropped(statement, bound)
    if isinstance(statement, ast.If):
        for test in ("True", "False"):
            yield _Change(statement.test, test, "condition")
    bodies = [getattr(statement, name, []) for name in ("body", "orelse")]
    inner = {id(child) for body in bodies for child in body}
    for node in _expressions(statement, inner):
        yield from _changes_of_expression(node, bound)
    bound += [name for name in _targets(statement) if name not in bound]
    for body in bodies:
        for child in body:
            yield from _changes_of_statement(child, bound)


def _expressions(statement: ast.stmt, apart_from: set[int]) -> Iterator[ast.AST]:
    """Yield the nodes of a statement, outer ones first, without those of the statements inside it."""
    waiting: list[ast.AST] = [child for child in ast.iter_child_nodes(statement) if id(child) not in apart_from]
    while waiting:
        node = waiting.pop(0)
        yield node
        waiting = [*ast.iter_child_nodes(node), *waiting]


def _targets(statement: ast.stmt) -> list[str]:
    targets: list[ast.expr] = []
    if isinstance(statement, ast.Assign):
        targets = statement.targets
    elif isinstance(statement, (ast.AugAssign, ast.AnnAssign, ast.For)):
        targets = [statement.target]
    return [node.id for target in targets for node in ast.walk(target) if isinstance(node, ast.Name) and node.id != "_"]


def _dropped(statement: ast.stmt, bound: Sequence[str]) -> Iterator[_Change]:
    """Drop a statement, unless a name would be without a value: nobody hands that in."""
    names = _targets(statement)
    rebinds = isinstance(statement, ast.Assign) and all(name in bound for name in names)
    if isinstance(statement, (ast.Expr, ast.AugAssign)) or rebinds:
        yield _Change(statement, "pass", "dropped statement")


def _changes_of_expression(node: ast.AST, bound: Sequence[str]) -> Iterator[_Change]:
    if isinstance(node, ast.BinOp):
        yield from _binary(node)
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, (ast.USub, ast.Not)):
        yield _Change(node, _wrapped(node.operand), "dropped sign")
    elif isinstance(node, ast.Compare):
        yield from _comparison(node)
    elif isinstance(node, ast.Constant):
        yield from _constant(node)
    elif isinstance(node, ast.Call):
        yield from _call(node)
    elif isinstance(node, (ast.List, ast.Tuple)) and isinstance(node.ctx, ast.Load):
        yield from _sequence(node)
    elif isinstance(node, ast.Slice):
        yield from _slice(node)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in bound:
        place = list(bound).index(node.id)
        for other in {*bound[max(0, place - 1) : place], *bound[place + 1 : place + 2]}:
            yield _Change(node, other, "swapped name")
    elif isinstance(node, ast.Attribute) and node.attr in _OTHER_ATTRIBUTES and _is_name(node.value, "self"):
        yield _Change(node, f"self.{_OTHER_ATTRIBUTES[node.attr]}", "swapped attribute")


def _binary(node: ast.BinOp) -> Iterator[_Change]:
    for other in _OTHER_OPERATORS.get(type(node.op), ()):
        changed = copy.deepcopy(node)
        changed.op = other()
        yield _Change(node, _wrapped(changed), "operator")
    if isinstance(node.op, (ast.Add, ast.Sub, ast.Mult, ast.Div)):
        yield _Change(node, _wrapped(node.left), "dropped operand")
        yield _Change(node, _wrapped(node.right), "dropped operand")
    if isinstance(node.op, (ast.Sub, ast.Div, ast.MatMult)):
        swapped = ast.BinOp(node.right, node.op, node.left)
        yield _Change(node, _wrapped(swapped), "swapped operands")


def _comparison(node: ast.Compare) -> Iterator[_Change]:
    for place, operator in enumerate(node.ops):
        for other in _OTHER_COMPARISONS.get(type(operator), ()):
            changed = copy.deepcopy(node)
            changed.ops[place] = other()
            yield _Change(node, _wrapped(changed), "comparison")


def _constant(node: ast.Constant) -> Iterator[_Change]:
    value = node.value
    if isinstance(value, bool):
        yield _Change(node, repr(not value), "constant")
    elif isinstance(value, (int, float)):
        for other in dict.fromkeys((value + 1, value - 1, type(value)(0), -value)):
            if other != value:
                yield _Change(node, f"({other})" if other < 0 else repr(other), "constant")
    elif isinstance(value, str) and value in _OTHER_WORDS:
        yield _Change(node, repr(_OTHER_WORDS[value]), "constant")


def _call(node: ast.Call) -> Iterator[_Change]:
    for place in range(len(node.args) - 1):
        changed = copy.deepcopy(node)
        changed.args[place : place + 2] = reversed(changed.args[place : place + 2])
        yield _Change(node, ast.unparse(changed), "swapped arguments")
    if len(node.args) > 1:
        changed = copy.deepcopy(node)
        del changed.args[-1]
        yield _Change(node, ast.unparse(changed), "dropped argument")
    for keyword in node.keywords:
        yield _Change(keyword, "", "dropped argument")
        if keyword.arg in ("dim", "axis"):
            for dimension in _DIMENSIONS:
                yield _Change(keyword, f"{keyword.arg}={dimension}", "dimension")
    yield from _other_call(node)
    if (kept := _what_is_called_on(node)) is not None:
        yield _Change(node, _wrapped(kept), "dropped call")


def _other_call(node: ast.Call) -> Iterator[_Change]:
    """Call something else that is easily taken for it."""
    if isinstance(node.func, ast.Attribute):
        for name in _OTHER_CALLS.get(node.func.attr, ()):
            changed = copy.deepcopy(node)
            assert isinstance(changed.func, ast.Attribute)
            changed.func.attr = name
            yield _Change(node, ast.unparse(changed), "other function")
        if node.func.attr == "argsort":
            changed = copy.deepcopy(node)
            changed.keywords.append(ast.keyword("descending", ast.Constant(True)))
            yield _Change(node, ast.unparse(changed), "other function")
    if _is_name(node.func, "range") and len(node.args) == 1:
        for text in ("+ 1", "- 1"):
            yield _Change(node, f"range({ast.unparse(node.args[0])} {text})", "off by one")


def _what_is_called_on(node: ast.Call) -> ast.expr | None:
    """Return the first argument of a function, or the object of a method; None where there is neither."""
    function = node.func
    is_method = isinstance(function, ast.Attribute) and not (
        isinstance(function.value, ast.Name) and function.value.id in {*_LIBRARIES, "self"}
    )
    if is_method:
        assert isinstance(function, ast.Attribute)
        return function.value
    return node.args[0] if node.args and not isinstance(node.args[0], ast.Starred) else None


def _sequence(node: ast.List | ast.Tuple) -> Iterator[_Change]:
    if any(isinstance(child, ast.Slice) for child in node.elts):
        return
    for place in range(len(node.elts) - 1):
        changed = copy.deepcopy(node)
        changed.elts[place : place + 2] = reversed(changed.elts[place : place + 2])
        yield _Change(node, ast.unparse(changed), "swapped elements")


def _slice(node: ast.Slice) -> Iterator[_Change]:
    bound = node.lower or node.upper
    if bound is None or (node.lower is not None and node.upper is not None) or node.step is not None:
        return
    text = ast.unparse(bound)
    yield _Change(node, ":", "slice")
    yield _Change(node, f":{text}" if node.lower is not None else f"{text}:", "slice")
    if not isinstance(bound, ast.Constant):
        for shift in ("+ 1", "- 1"):
            yield _Change(node, f"{text} {shift}:" if node.lower is not None else f":{text} {shift}", "slice")


def _is_name(node: ast.expr, name: str) -> bool:
    return isinstance(node, ast.Name) and node.id == name


def _wrapped(node: ast.expr) -> str:
    """Return an expression's text, in parentheses where its neighbours could pull it apart."""
    text = ast.unparse(node)
    return text if isinstance(node, (ast.Name, ast.Constant, ast.Call, ast.Attribute, ast.Subscript)) else f"({text})"
