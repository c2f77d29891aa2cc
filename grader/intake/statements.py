"""
Each top-level statement of a cell: what it binds, what it reads and when, whether it may be run (worker
side).
"""

from __future__ import annotations
import __future__

import ast
import dis
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from types import CodeType

from grader.intake.effects import Effects, changed_when_called, effects_of, first_harm
from grader.intake.newer import for_this_python, version_needed

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef

_COMPILE_ERRORS = (SyntaxError, ValueError, RecursionError, MemoryError, OverflowError, SystemError)
_MAX_BROKEN_PIECES = 12
_MAX_STATEMENTS = 4_000
_MAX_WORDS = 200  # Python's messages quote identifiers, which may be of any length
_COMPREHENSIONS = frozenset({"<listcomp>", "<setcomp>", "<dictcomp>", "<genexpr>"})
_CO_NEWLOCALS = 0x2
POSTPONED_HINTS = __future__.annotations.compiler_flag
_OPENED_ON = re.compile(r" on line (\d+)")
_DEFINES = re.compile(r"^[ \t]*(?:async[ \t]+)?(?:def|class)[ \t]+(\w+)", re.MULTILINE)


@dataclass(frozen=True)
class Breakage:
    """
    Code that does not compile.

    Args:
        line: line in the cell, from 1; 0 where Python names none.
        message: Python's words for it.
        names: functions and classes whose definitions were in the part that had to be left out.
        is_misplaced: it may well compile, but stands in a cell that is no code cell.
    """

    line: int
    message: str
    names: tuple[str, ...]
    is_misplaced: bool = False


@dataclass(frozen=True)
class Statement:
    """
    A top-level statement as the closure needs to know it.

    Args:
        node: its syntax tree.
        binds: names that it gives a value at module level.
        effects: what it changes while it runs.
        reads_now: module-level names that it reads while it runs.
        calls_now: those of `reads_now` that may be called meanwhile.
        reads_later: module-level names that functions in it read when they are called.
        star: dotted module of a `from module import *`, else None.
        is_runnable: whether the grader would run it if a needed name came from it.
        is_import: whether it binds by importing.
        changes_later: module-level names that functions in it change when they are called.
        changes_arguments: whether functions in it change what they are given.
        harm: the line of what makes it a statement that is never run for an effect, None if there is none.
    """

    node: ast.stmt
    binds: frozenset[str]
    effects: Effects
    reads_now: frozenset[str]
    calls_now: frozenset[str]
    reads_later: frozenset[str]
    star: str | None
    is_runnable: bool
    is_import: bool
    changes_later: frozenset[str] = frozenset()
    changes_arguments: bool = False
    harm: int | None = None


def parse_cell(source: str, flags: int = 0) -> tuple[str, list[Statement], list[Breakage]]:
    """
    Return the source to compile, its statements in order, and what of it does not compile.

    A top-level piece that does not compile is blanked out line by line, so that the rest keeps its line
    numbers and its own definitions survive. What is only too new for this Python is rewritten first.

    Args:
        source: of a cell or a module.
        flags: of the compiler, that a cell above has set by `from __future__ import ...`.
    """
    broken: list[Breakage] = []
    rewritten = False
    while True:
        try:
            tree = _parse(source)
            break
        except _COMPILE_ERRORS as error:
            if not rewritten and isinstance(error, SyntaxError):
                rewritten, source = True, for_this_python(source)
                continue
            source, breakage = _without_broken_piece(source, error, give_up=len(broken) >= _MAX_BROKEN_PIECES)
            broken.append(breakage)
    flags |= future_flags(tree.body)
    statements = []
    lines = source.split("\n")  # ast.get_source_segment is quadratic in the length of a line
    for node in tree.body[:_MAX_STATEMENTS]:
        try:
            statements.append(_statement(node, flags))
        except _COMPILE_ERRORS as error:  # `return` outside a function parses and does not compile
            piece = "\n".join(lines[node.lineno - 1 : node.end_lineno])
            broken.append(Breakage(node.lineno, _words(error), names_in(piece)))
            statements.append(_inert(node))
    return source, statements, broken


def future_flags(statements: Iterable[ast.stmt]) -> int:
    """
    Return the compiler flags that a cell's or a module's `from __future__ import annotations` sets, wherever it stands.

    It alone still changes what code does.
    """
    names = {
        alias.name
        for node in statements
        if isinstance(node, ast.ImportFrom) and node.module == "__future__"
        for alias in node.names
    }
    return POSTPONED_HINTS if "annotations" in names else 0


def _parse(source: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an invalid escape in a student's string is not our concern
        return ast.parse(source)


def _without_broken_piece(source: str, error: BaseException, *, give_up: bool) -> tuple[str, Breakage]:
    """Blank out the top-level piece around an error, or everything where Python does not say where it is."""
    lines = source.split("\n")
    line = (error.lineno or 0) if isinstance(error, SyntaxError) else 0
    message = _words(error)
    if give_up or not 1 <= line <= len(lines) + 1:
        return "", Breakage(line, message, names_in(source))
    line = min(line, len(lines))
    # "expected an indented block after ... on line 3" is reported where the next piece begins.
    opened = _OPENED_ON.search(message)
    place = int(opened.group(1)) if opened and 1 <= int(opened.group(1)) <= line else line
    starts = [index for index, text in enumerate(lines) if _starts_piece(lines, index, text)]
    first = max((start for start in starts if start < place), default=0)
    last = min((start for start in starts if start >= place), default=len(lines))
    if "unterminated triple-quoted" in message:
        last = len(lines)  # all that follows is inside the string
    if not any(text.strip() for text in lines[first:last]):
        return "", Breakage(line, message, names_in(source))
    newer = version_needed(lines[line - 1])
    if newer is not None:
        message = f"{message} ({newer})"[:_MAX_WORDS]
    if _goes_on_inside(lines[first:last]):
        # A line at the margin in the middle of a definition cuts it short: what is above is not the whole of it.
        first = max((start for start in starts if start < first), default=0)
    names = names_in("\n".join(lines[first:last]))
    lines[first:last] = [""] * (last - first)
    return "\n".join(lines), Breakage(line, message, names)


def _goes_on_inside(piece: list[str]) -> bool:
    """Return whether a piece opens no block, and is followed by indented lines: those of the block above it."""
    written = [text for text in piece if text.strip() and not text.lstrip().startswith("#")]
    if len(written) < 2 or written[0][:1] in (" ", "\t") or written[1][:1] not in (" ", "\t"):
        return False
    opens_brackets = sum(written[0].count(bracket) for bracket in "([{") > sum(written[0].count(end) for end in ")]}")
    opens_block = re.match(r"(@|async\b|class\b|def\b|for\b|if\b|match\b|try\b|while\b|with\b)", written[0])
    return not opens_block and not opens_brackets


def _starts_piece(lines: list[str], index: int, text: str) -> bool:
    """
    Return whether a statement may begin on this line: at the margin, and not as the rest of another one.
    """
    if not text.strip() or text[0] in " \t#)]}" or re.match(r"(else|elif|except|finally)\b", text):
        return False
    above = next((lines[i] for i in range(index - 1, -1, -1) if lines[i].strip()), "")
    return not above.startswith("@")


def _words(error: BaseException) -> str:
    if isinstance(error, SyntaxError):
        return (error.msg or "invalid syntax")[:_MAX_WORDS]
    return str(error)[:_MAX_WORDS] if isinstance(error, ValueError) else "it is too deep or too large to compile"


def names_in(text: str) -> tuple[str, ...]:
    """Return the functions and classes that a text seems to define."""
    return tuple(dict.fromkeys(_DEFINES.findall(text)))


def _inert(node: ast.stmt) -> Statement:
    nothing: frozenset[str] = frozenset()
    effects = Effects(nothing, nothing, frozenset())
    return Statement(node, nothing, effects, nothing, nothing, nothing, None, is_runnable=False, is_import=False)


def _statement(node: ast.stmt, flags: int) -> Statement:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = compile(ast.Module([node], []), "<cell>", "exec", flags, dont_inherit=True)
    uses = _Uses(set(), set(), set())
    _walk(code, uses, is_later=False, is_module=True)
    star = None
    if isinstance(node, ast.ImportFrom) and node.names[0].name == "*":
        star = node.module or ""
    changes_later, changes_arguments = changed_when_called(node)
    bases = {name.id for base in getattr(node, "bases", []) for name in ast.walk(base) if isinstance(name, ast.Name)}
    return Statement(
        node=node,
        binds=frozenset(uses.binds),
        effects=effects_of(node),
        reads_now=frozenset(uses.now),
        calls_now=frozenset(uses.now - bases),
        reads_later=frozenset(uses.later),
        star=star,
        is_runnable=_is_runnable(node),
        is_import=isinstance(node, ast.Import | ast.ImportFrom),
        changes_later=changes_later,
        changes_arguments=changes_arguments,
        harm=first_harm(node),
    )


@dataclass(frozen=True)
class _Uses:
    binds: set[str]
    now: set[str]
    later: set[str]


def _walk(code: CodeType, uses: _Uses, *, is_later: bool, is_module: bool) -> None:
    """
    Collect what a code object reads and binds at module level; the compiler has done the scoping.

    Class bodies and comprehensions run when the statement does, functions and lambdas later.
    """
    own: set[str] = set()
    reads = uses.later if is_later else uses.now
    for instruction in dis.get_instructions(code):
        operation, name = instruction.opname, instruction.argval
        if operation == "STORE_GLOBAL" or (operation == "STORE_NAME" and is_module):
            if not is_later:
                uses.binds.add(name)
        elif operation == "STORE_NAME":
            own.add(name)
        elif operation in ("LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS") and name not in own:
            reads.add(name)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            is_function = bool(constant.co_flags & _CO_NEWLOCALS) and constant.co_name not in _COMPREHENSIONS
            _walk(constant, uses, is_later=is_later or is_function, is_module=False)


def is_setattr(node: ast.stmt) -> bool:
    """Return whether a statement is `setattr(Name, "attribute", value)`, a definition by another spelling."""
    call = node.value if isinstance(node, ast.Expr) else None
    return (
        isinstance(call, ast.Call)
        and isinstance(call.func, ast.Name)
        and call.func.id == "setattr"
        and len(call.args) == 3
        and isinstance(call.args[0], ast.Name)
        and isinstance(call.args[1], ast.Constant)
    )


def _is_runnable(node: ast.stmt) -> bool:
    """Definitions, imports and assignments are; blocks only without a loop; other statements never."""
    if isinstance(node, Definition | ast.Import | ast.ImportFrom | ast.Assign | ast.AugAssign | ast.AnnAssign):
        return True
    if is_setattr(node):
        return True
    if isinstance(node, ast.If) and asks_for_main(node.test):
        return False
    # `type X = ...` and `match` and `try ... except*` exist in newer Pythons only, hence by name.
    if type(node).__name__ == "TypeAlias":
        return True
    is_block = isinstance(node, ast.If | ast.Try | ast.With) or type(node).__name__ in ("Match", "TryStar")
    return is_block and not _has_loop(node)


def asks_for_main(test: ast.expr) -> bool:
    """Return whether a test asks how the file is run: `__name__ == "__main__"`."""
    return any(isinstance(part, ast.Name) and part.id == "__name__" for part in ast.walk(test))


def _has_loop(node: ast.AST) -> bool:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.For | ast.While | ast.AsyncFor):
            return True
        if not isinstance(child, Definition | ast.Lambda) and _has_loop(child):
            return True
    return False
