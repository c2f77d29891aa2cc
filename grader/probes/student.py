"""Bring a student's definitions to life: run the statements that one question needs, and nothing else."""

from __future__ import annotations

import ast
import importlib.abc
import importlib.machinery
import importlib.util
import linecache
import sys
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from grader.probes.absent import bind_absent

NOTEBOOK_MODULE = "student_notebook"


class MissingName(Exception):
    """A name that the question needs is not defined, or its definition failed."""

    def __init__(self, name: str) -> None:
        super().__init__(name)
        self.name = name


@dataclass(frozen=True)
class Code:
    """
    Source to run: cells with a label each, and which of their top-level statements to run, in order.

    Args:
        cells: (label, source) pairs.
        statements: (cell, statement) index pairs.
        modules: source of the student's own importable modules, by dotted name.
    """

    cells: Sequence[tuple[str, str]]
    statements: Sequence[tuple[int, int]]
    modules: Mapping[str, str] = field(default_factory=dict)


@dataclass
class Student:
    """
    A student's namespace after the needed statements ran.

    Args:
        module: the module that stands for the notebook.
        failures: names whose definition raised -> the exception.
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


def load(code: Code, given: Mapping[str, object]) -> Student:
    """
    Run the statements in a fresh module and return the namespace.

    A statement that raises costs only the names it would have bound. Imports of absent libraries succeed with
    stand-ins.

    Args:
        code: the student's statements.
        given: handed-out names, there for a student whose own copy of them is lost; own definitions win.
    """
    module = types.ModuleType(NOTEBOOK_MODULE)
    sys.modules[NOTEBOOK_MODULE] = module
    namespace = vars(module)
    namespace.update(given)
    namespace.update(_notebook_builtins())
    _offer_modules(code.modules)
    student = Student(module, modules=frozenset(code.modules), labels=frozenset(label for label, _ in code.cells))
    trees = {cell: _parse(*code.cells[cell]) for cell in sorted({cell for cell, _ in code.statements})}
    for cell, index in code.statements:
        _run(trees[cell].body[index], code.cells[cell][0], namespace, student.failures)
    return student


def _parse(label: str, source: str) -> ast.Module:
    linecache.cache[label] = (len(source), None, source.splitlines(keepends=True), label)
    return ast.parse(source)


def _run(statement: ast.stmt, label: str, namespace: dict[str, Any], failures: dict[str, BaseException]) -> None:
    for part in _parts(statement):
        try:
            exec(compile(ast.Module([part], []), label, "exec", dont_inherit=True), namespace)
        except MemoryError:
            raise
        except BaseException as error:  # student code may raise anything, SystemExit too; it costs its own names
            if isinstance(part, (ast.Import, ast.ImportFrom)):
                bind_absent(part, namespace)
            else:
                failures.update((name, error) for name in _bound_names(part))


def _parts(statement: ast.stmt) -> list[ast.stmt]:
    """Take an import of several names apart: in `import torchvision, torch`, an absent first costs the second."""
    if isinstance(statement, ast.Import):
        return [ast.copy_location(ast.Import([alias]), statement) for alias in statement.names]
    if isinstance(statement, ast.ImportFrom):
        module, level = statement.module, statement.level
        return [ast.copy_location(ast.ImportFrom(module, [alias], level), statement) for alias in statement.names]
    return [statement]


def _bound_names(statement: ast.stmt) -> set[str]:
    if isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return {statement.name}
    return {node.id for node in ast.walk(statement) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}


class _StudentModules(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds the student's own modules, after everything installed: torch.py beside the notebook never wins."""

    def __init__(self, sources: Mapping[str, str]) -> None:
        self._sources = sources

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: types.ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if name not in self._sources:
            return None
        is_package = any(other.startswith(f"{name}.") for other in self._sources)
        return importlib.util.spec_from_loader(name, self, is_package=is_package)

    def exec_module(self, module: types.ModuleType) -> None:
        label = f"{module.__name__.replace('.', '/')}.py"
        tree = _parse(label, self._sources[module.__name__])
        for statement in tree.body:
            _run(statement, label, vars(module), {})


def _offer_modules(sources: Mapping[str, str]) -> None:
    sys.meta_path.append(_StudentModules(sources))


def _notebook_builtins() -> dict[str, object]:
    """Names that Jupyter puts into every notebook, here without effect."""
    shell = types.SimpleNamespace(
        run_line_magic=lambda *_: None,
        run_cell_magic=lambda *_: None,
        system=lambda *_: None,
        getoutput=lambda *_, **__: [],
    )
    return {"get_ipython": lambda: shell, "display": lambda *_, **__: None}
