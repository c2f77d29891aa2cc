"""Bring a student's definitions to life: run the statements that one question needs, and nothing else."""

from __future__ import annotations
import __future__

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import re
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from grader.probes.absent import STAND_IN, Absent, bind_absent, defining, with_stand_ins
from grader.probes.lines import budget_of_lines

NOTEBOOK_MODULE = "student_notebook"
POSTPONED_HINTS = __future__.annotations.compiler_flag
_CELL_MARK = re.compile(r"^# %% (.+, code cell \d+)\n", re.MULTILINE)


class MissingName(Exception):
    """A name that the question needs is not defined, or its definition failed."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True)
class Cell:
    """A cell, or a whole module: label for people, source, and the compiler's flags that are in force there."""

    label: str
    source: str
    flags: int = 0


@dataclass(frozen=True)
class Code:
    """
    Source to run: cells with a label each, and which of their top-level statements to run, in order.

    Args:
        cells: of notebooks and modules.
        statements: (cell, statement) index pairs.
        modules: source of the student's own importable modules, by dotted name.
    """

    cells: Sequence[Cell]
    statements: Sequence[tuple[int, int]]
    modules: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Student:
    """
    A student's namespace after the needed statements ran.

    Args:
        module: the module that stands for the notebook.
        failures: names whose definition, or what changes them, raised -> the exception.
        modules: names of the student's own modules.
        labels: file names that tracebacks show for the student's code.
    """

    module: types.ModuleType
    failures: dict[str, BaseException] = field(default_factory=dict)
    modules: frozenset[str] = frozenset()
    labels: frozenset[str] = frozenset()

    def get(self, name: str) -> Any:
        """
        Return what a name is bound to.

        Raises:
            MissingName: nothing. Where its definition raised, that exception is the cause.
        """
        try:
            return vars(self.module)[name]
        except KeyError:
            raise MissingName(name) from self.failures.get(name)

    def replace(self, name: str, value: object) -> None:
        """Bind a name anew wherever the student's code may look it up, even where it is lost."""
        for space in self.namespaces():
            space[name] = value

    def wrap(self, name: str, wrapper: Callable[[Any], object]) -> None:
        """Bind a name, wherever it is bound already, to what the wrapper makes of the value there."""
        for space in self.namespaces():
            if name in space:
                space[name] = wrapper(space[name])

    def namespaces(self) -> list[dict[str, Any]]:
        """Return the namespaces of the notebook and of those own modules that are imported by now."""
        return [vars(self.module), *(vars(sys.modules[name]) for name in sorted(self.modules) if name in sys.modules)]

    def module_named(self, name: str) -> dict[str, Any]:
        """Return the namespace of an own module, empty if it is not imported by now."""
        return vars(sys.modules[name]) if name in self.modules and name in sys.modules else {}


def load(code: Code, given: Mapping[str, object], *, failures: dict[str, BaseException] | None = None) -> Student:
    """
    Run the statements in a fresh module and return the namespace.

    A statement that raises costs only the names it would have bound. Imports of absent libraries succeed with
    stand-ins. A definition that lacks a name is tried again at the end: cells may be run out of order.

    Args:
        code: the student's statements.
        given: handed-out names, there for a student whose own copy of them is lost; own definitions win.
        failures: where to keep what statements raised, for whoever explains why a name is not there.
    """
    module = types.ModuleType(NOTEBOOK_MODULE)
    sys.modules[NOTEBOOK_MODULE] = module
    namespace = vars(module)
    namespace.update(given)
    namespace.update(_notebook_builtins())
    kept: dict[str, BaseException] = {} if failures is None else failures
    _offer_modules(code.modules, kept)
    student = Student(module, kept, frozenset(code.modules), frozenset(cell.label for cell in code.cells))
    trees = {cell: _parse(code.cells[cell]) for cell in sorted({cell for cell, _ in code.statements})}
    later = []
    with defining():
        for cell, index in code.statements:
            statement = trees[cell].body[index]
            if isinstance(_run(statement, code.cells[cell], namespace, kept), NameError):
                later.append((statement, code.cells[cell]))
        for statement, place in later:
            _run(statement, place, namespace, kept)
    return student


def _parse(cell: Cell) -> ast.Module:
    linecache.cache[cell.label] = (len(cell.source), None, cell.source.splitlines(keepends=True), cell.label)
    return ast.parse(cell.source)


def _run(
    statement: ast.stmt, cell: Cell, namespace: dict[str, Any], failures: dict[str, BaseException]
) -> BaseException | None:
    """Run a statement; return what it raised."""
    raised = None
    for part in _parts(statement):
        try:
            _execute(part, cell, namespace)
        except MemoryError:
            raise
        except BaseException as error:  # student code may raise anything, SystemExit too; it costs its own names
            if isinstance(part, (ast.Import, ast.ImportFrom)):
                bind_absent(part, namespace)
            else:
                raised = error
                failures.update((name, error) for name in _changed_names(part) if name not in failures)
        else:
            for name in _bound_names(part):
                failures.pop(name, None)
    return raised


def _execute(part: ast.stmt, cell: Cell, namespace: dict[str, Any]) -> None:
    """
    Run one statement: a definition again without looking up its hints where it fails with them.

    What is run for an effect only, a loop or a call, has a budget of lines of its own.
    """
    if isinstance(part, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        try:
            exec(_compiled(part, cell, cell.flags), namespace)
        except (NameError, TypeError, AttributeError, ModuleNotFoundError):
            exec(_compiled(part, cell, cell.flags | POSTPONED_HINTS), namespace)
    elif isinstance(part, (ast.Assign, ast.AugAssign, ast.AnnAssign, ast.Import, ast.ImportFrom)):
        exec(_compiled(part, cell, cell.flags), namespace)
    else:
        with budget_of_lines(_is_students):
            exec(_compiled(part, cell, cell.flags), namespace)


def _is_students(file: str) -> bool:
    """Return whether code of that file name was parsed here; what is on disk has a time beside it."""
    known = linecache.cache.get(file)
    return known is not None and len(known) == 4 and known[1] is None


def _compiled(part: ast.stmt, cell: Cell, flags: int) -> types.CodeType:
    made: types.CodeType = compile(ast.Module([part], []), cell.label, "exec", flags, dont_inherit=True)
    return made


def _parts(statement: ast.stmt) -> list[ast.stmt]:
    """Take an import of several names apart: in `import torchvision, torch`, an absent first costs the second."""
    if isinstance(statement, ast.Import):
        return [ast.copy_location(ast.Import([alias]), statement) for alias in statement.names]
    if isinstance(statement, ast.ImportFrom):
        module, level = statement.module, statement.level
        return [ast.copy_location(ast.ImportFrom(module, [alias], level), statement) for alias in statement.names]
    return [with_stand_ins(statement)]


def _changed_names(statement: ast.stmt) -> set[str]:
    """Return the names that a statement binds, or whose objects it may change: by items, attributes, methods, calls."""
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Assign, ast.AnnAssign)):
        return _bound_names(statement)
    names = _bound_names(statement)
    for node in ast.walk(statement):
        if isinstance(node, (ast.Attribute, ast.Subscript)) and isinstance(node.value, ast.Name):
            names.add(node.value.id)
        elif isinstance(node, ast.Call):
            names.update(value.id for value in node.args if isinstance(value, ast.Name))
    return names


def _bound_names(statement: ast.stmt) -> set[str]:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


class _StudentModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the student's own modules, after everything installed: torch.py beside the notebook never wins."""

    def __init__(self, sources: Mapping[str, str], failures: dict[str, BaseException]) -> None:
        self._sources = sources
        self._failures = failures

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self._sources:
            return None
        is_package = any(other.startswith(f"{name}.") for other in self._sources)
        return importlib.util.spec_from_loader(name, self, is_package=is_package)

    def exec_module(self, module: types.ModuleType) -> None:
        """Run a module as Python does, each statement on its own, what is no definition under a budget of lines."""
        namespace = vars(module)
        namespace.setdefault("__file__", f"{module.__name__.replace('.', '/')}.py")
        namespace.update((name, value) for name, value in _notebook_builtins().items() if name not in namespace)
        with defining():
            for cell in cells_of_module(module.__name__, self._sources[module.__name__]):
                tree = _parse(cell)
                postponed = replace(cell, flags=future_flags(tree))
                for statement in tree.body:
                    _run(statement, postponed, namespace, self._failures)


def cells_of_module(name: str, source: str) -> list[Cell]:
    """
    Return a module as one cell; as the cells of a notebook, where intake made the module of one.

    Such cells stand below lines of the form `# %% my_patches.ipynb, code cell 3`.
    """
    parts = _CELL_MARK.split(source)
    if parts[0].strip() or len(parts) == 1:
        return [Cell(f"{name.replace('.', '/')}.py", source)]
    return [Cell(label, text) for label, text in zip(parts[1::2], parts[2::2], strict=True)]


def future_flags(tree: ast.Module) -> int:
    """Return the compiler flags that `from __future__ import annotations` sets in a module."""
    imports = [node for node in tree.body if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
    postpones = any(alias.name == "annotations" for node in imports for alias in node.names)
    return POSTPONED_HINTS if postpones else 0


def _offer_modules(sources: Mapping[str, str], failures: dict[str, BaseException]) -> None:
    sys.meta_path.append(_StudentModules(sources, failures))


def _notebook_builtins() -> dict[str, object]:
    """Names that Jupyter puts into every notebook, here without effect."""
    shell = types.SimpleNamespace(
        run_line_magic=lambda *_: None,
        run_cell_magic=lambda *_: None,
        system=lambda *_: None,
        getoutput=lambda *_, **__: [],
    )
    return {"get_ipython": lambda: shell, "display": lambda *_, **__: None, STAND_IN: Absent}
