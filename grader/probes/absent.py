"""Stand-ins for libraries that a notebook imports and the grader does not have."""

from __future__ import annotations

import ast
import sys
import types
from typing import NoReturn


class Absent(types.ModuleType):
    """
    A library that is not here: it can be imported, named and inherited from, but not called.

    A notebook's `import torchvision` costs nothing this way unless a graded function really uses it.
    """

    def __getattr__(self, name: str) -> Absent:
        if name.startswith("__"):
            raise AttributeError(name)
        return Absent(f"{self.__name__}.{name}")

    def __call__(self, *_args: object, **_kwargs: object) -> NoReturn:
        """Raise: the library is really used."""
        raise ModuleNotFoundError(f"{self.__name__} is not available to the grader", name=self.__name__)

    def __mro_entries__(self, _bases: tuple[object, ...]) -> tuple[type, ...]:
        return (object,)


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
