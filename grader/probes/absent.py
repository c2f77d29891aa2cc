"""
Stand-ins for libraries that a notebook imports and the grader does not have.

Naming them costs nothing, whatever Python does with them while definitions are made: hints, decorators, base classes,
class keywords, context managers, calls whose result nobody computes with. What would really compute with them raises,
with the library's name.
"""

from __future__ import annotations

import ast
import sys
import types
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

import torch
from torch import nn

# Libraries that look at values and never change them: what they decorate stays what it is, when it is called too.
_CHECKERS = frozenset({"beartype", "jaxtyping", "torchtyping", "typeguard", "nptyping"})
# Decorators that make another function of a function: to leave them out would be to compute something else.
_TRANSFORMS = frozenset({"grad", "hessian", "jacfwd", "jacrev", "jvp", "pmap", "value_and_grad", "vjp", "vmap"})
_defining = False


@contextmanager
def defining() -> Iterator[None]:
    """Let stand-ins be called and computed with meanwhile: nothing is graded while definitions are made."""
    global _defining
    before, _defining = _defining, True
    try:
        yield
    finally:
        _defining = before


class AbsentBase:
    """Stands for a base class out of an absent library: takes whatever keywords and arguments that one would."""

    def __init_subclass__(cls, **_keywords: object) -> None:
        super().__init_subclass__()

    def __init__(self, *args: object, **kwargs: object) -> None:
        following = type(self).__mro__[type(self).__mro__.index(AbsentBase) + 1]
        if following is not object:
            super().__init__(*args, **kwargs)


class AbsentModule(AbsentBase, nn.Module):
    """Stands for a base class that is a `torch.nn.Module` with bookkeeping, as `LightningModule` is."""

    def __init__(self, *_args: object, **_kwargs: object) -> None:
        nn.Module.__init__(self)

    def save_hyperparameters(self, *_names: object, **_options: object) -> None:
        """Keep the arguments of the constructor that calls this, in `hparams`."""
        kept = {name: value for name, value in sys._getframe(1).f_locals.items() if name not in ("self", "__class__")}
        object.__setattr__(self, "hparams", types.SimpleNamespace(**kept))

    def log(self, *_args: object, **_kwargs: object) -> None:
        """Do nothing: nobody reads it."""

    log_dict = log

    @property
    def device(self) -> torch.device:
        """Where the parameters are."""
        return next((parameter.device for parameter in self.parameters()), torch.device("cpu"))


class Absent(types.ModuleType):
    """A library that is not here, or something in it, or what calling that gave."""

    def __getattr__(self, name: str) -> Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self.__name__}.{name}")

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """
        Return a stand-in for the result; of a decorator, what it decorates.

        A metaclass is called with a class's name, bases and namespace.
        """
        names = self.__name__.split(".")
        if _is_class_statement(args):
            return type(args[0], args[1], args[2])
        if names[-1].removesuffix("()") in _REGISTRARS:
            return _REGISTRARS[names[-1].removesuffix("()")](*args)
        is_decorator = len(args) == 1 and not kwargs and _is_definition(args[0])
        if is_decorator and (names[0] in _CHECKERS or (_defining and names[-1].removesuffix("()") not in _TRANSFORMS)):
            return args[0]
        return Absent(f"{self.__name__.removesuffix('()')}()")

    def __mro_entries__(self, _bases: tuple[object, ...]) -> tuple[type, ...]:
        name = self.__name__.rpartition(".")[2]
        is_module = name.endswith(("Module", "Metric", "PreTrainedModel")) and "Data" not in name
        return (AbsentModule if is_module else AbsentBase,)

    def __instancecheck__(self, _instance: object) -> bool:
        """Let `isinstance(x, Float[Tensor, "b n"])` hold, and nothing be an image of a library that is not here."""
        return self.__name__.partition(".")[0] in _CHECKERS

    def __getitem__(self, _key: object) -> Absent:
        return Absent(self.__name__)

    def __or__(self, _other: object) -> Absent:
        return self

    __ror__ = __or__

    def __enter__(self) -> Absent:
        return self

    def __exit__(self, *_error: object) -> None:
        return None

    def __setitem__(self, _key: object, _value: object) -> None:
        """Do nothing: nobody reads it."""

    def __deepcopy__(self, _memo: object) -> Absent:
        return self

    def __iter__(self) -> Iterator[Any]:
        if _defining:
            return iter(())
        raise self._missing()

    def __bool__(self) -> bool:
        return True

    def _missing(self) -> ModuleNotFoundError:
        name = self.__name__.removesuffix("()")
        return ModuleNotFoundError(f"{name} is not available to the grader", name=name)


def require_present(value: object) -> None:
    """
    Make sure that a result does not come out of an absent library.

    Raises:
        ModuleNotFoundError: it does.
    """
    if isinstance(value, Absent):
        raise value._missing()


def _refuses(self: Absent, *_args: object, **_kwargs: object) -> Any:
    if _defining:
        return Absent(self.__name__)
    raise self._missing()


def _raises(self: Absent, *_args: object, **_kwargs: object) -> NoReturn:
    raise self._missing()


# Computing: at the top level of a notebook a result may go unused, in a graded function it would not.
for _operation in (
    "add",
    "sub",
    "mul",
    "truediv",
    "floordiv",
    "mod",
    "pow",
    "matmul",
    "and",
    "xor",
    "lshift",
    "rshift",
):
    setattr(Absent, f"__{_operation}__", _refuses)
    setattr(Absent, f"__r{_operation}__", _refuses)
for _operation in ("lt", "le", "gt", "ge", "neg", "pos", "abs", "invert"):
    setattr(Absent, f"__{_operation}__", _refuses)
for _operation in ("__len__", "__int__", "__float__", "__index__", "__array__"):
    setattr(Absent, _operation, _raises)
# Operations of torch that are given a stand-in among tensors.
Absent.__torch_function__ = classmethod(  # type: ignore[attr-defined]  # torch looks for it on any class
    lambda cls, function, kinds, args=(), kwargs=None: _refuse_operation(args, kwargs or {})
)


def _refuse_operation(args: Any, kwargs: dict[str, Any]) -> Any:
    pending = [*args, *kwargs.values()]
    while pending:
        value = pending.pop()
        if isinstance(value, Absent):
            return _refuses(value)
        if isinstance(value, (list, tuple)):
            pending += value
    raise ModuleNotFoundError("a library is not available to the grader")


def _is_class_statement(args: tuple[Any, ...]) -> bool:
    kinds = (str, tuple, dict)
    return len(args) == 3 and all(isinstance(value, kind) for value, kind in zip(args, kinds, strict=True))


def _is_definition(value: object) -> bool:
    return isinstance(value, (types.FunctionType, types.MethodType, type, staticmethod, classmethod, property))


def _attach(*kinds: Any) -> Callable[[Any], Any]:
    """Register a function as a method of a class: `add_to_class` of d2l, `patch_to` of fastcore."""

    def register(function: Any) -> Any:
        for kind in kinds[0] if isinstance(kinds[0], (list, tuple)) else kinds[:1]:
            setattr(kind, function.__name__, function)
        return function

    return register


def _attach_by_hint(function: Any) -> Any:
    """Register a function as a method of the class that its first argument is hinted with: `patch` of fastcore."""
    hint = next(iter(getattr(function, "__annotations__", {}).values()), None)
    if isinstance(hint, str):
        hint = getattr(sys.modules.get(function.__module__), hint, None)
    return _attach(hint)(function) if isinstance(hint, type) else function


_REGISTRARS: dict[str, Callable[..., Any]] = {
    "add_to_class": _attach,
    "patch_to": _attach,
    "patch": _attach_by_hint,
}


def bind_absent(statement: ast.Import | ast.ImportFrom, namespace: dict[str, object]) -> None:
    """Bind the names of an import statement that failed to stand-ins."""
    for alias in statement.names:
        if isinstance(statement, ast.ImportFrom):
            if alias.name != "*":
                namespace[alias.asname or alias.name] = Absent(f"{statement.module}.{alias.name}")
        else:
            bound = alias.name if alias.asname else alias.name.partition(".")[0]
            # Of `import torch.absent`, the library itself is there.
            there = None if alias.asname else sys.modules.get(bound)
            namespace.setdefault(alias.asname or bound, there or Absent(bound))


def with_stand_ins(statement: ast.stmt) -> ast.stmt:
    """
    Return a statement in which imports inside functions and blocks bind stand-ins where they fail.

    Those that the student guards with `try` and `except`, or with `suppress`, keep their own way out. The name
    STAND_IN has to be `Absent` where the statement runs.
    """
    if not any(isinstance(node, (ast.Import, ast.ImportFrom)) for node in ast.walk(statement)):
        return statement
    changed: ast.stmt = _TolerantImports().visit(statement)
    return ast.fix_missing_locations(changed)


STAND_IN = "__absent__"


class _TolerantImports(ast.NodeTransformer):
    def visit_Try(self, node: ast.Try) -> ast.Try:  # the name that ast looks for
        if not node.handlers:
            node.body = [self._visited(part) for part in node.body]
        node.handlers = [self.visit(part) for part in node.handlers]
        node.orelse = [self._visited(part) for part in node.orelse]
        node.finalbody = [self._visited(part) for part in node.finalbody]
        return node

    def visit_With(self, node: ast.With) -> ast.With:
        if any("suppress" in ast.dump(item) for item in node.items):
            return node
        self.generic_visit(node)
        return node

    def visit_Import(self, node: ast.Import) -> ast.stmt:
        return _block(node, [_tolerant(ast.Import([alias]), _bound(alias), alias.name) for alias in node.names])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.stmt:
        if node.module == "__future__" or node.names[0].name == "*":
            return node
        parts = []
        for alias in node.names:
            part = ast.ImportFrom(node.module, [alias], node.level)
            parts.append(_tolerant(part, alias.asname or alias.name, f"{node.module}.{alias.name}"))
        return _block(node, parts)

    def _visited(self, part: ast.stmt) -> ast.stmt:
        changed: ast.stmt = self.visit(part)
        return changed


def _bound(alias: ast.alias) -> str:
    return alias.asname or alias.name.partition(".")[0]


def _tolerant(statement: ast.stmt, bound: str, library: str) -> ast.stmt:
    made = ast.Call(ast.Name(STAND_IN, ast.Load()), [ast.Constant(library)], [])
    otherwise = ast.Assign([ast.Name(bound, ast.Store())], made)
    return ast.Try([statement], [ast.ExceptHandler(ast.Name("ImportError", ast.Load()), None, [otherwise])], [], [])


def _block(node: ast.stmt, parts: list[ast.stmt]) -> ast.stmt:
    """Return statements as one, in the place of another."""
    whole = parts[0] if len(parts) == 1 else ast.If(ast.Constant(True), parts, [])
    for part in ast.walk(whole):
        if isinstance(part, (ast.stmt, ast.expr, ast.excepthandler, ast.alias)):
            ast.copy_location(part, node)
    return whole
