"""
How a homework describes what it asks for: its classes, its functions, what each takes, returns and builds on.

A description holds no answer, so workers may have it. Whatever needs to know a function derives it from there: how a
probe calls it, what must be equal exactly, what may be lent, what is mutated, which notebook holds it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

Kind = Literal["values", "mask", "index"]
MASK: Final = "mask"
INDEX: Final = "index"


@dataclass(frozen=True)
class Output:
    """
    One of the values that a function returns.

    Args:
        name: what the contract calls it.
        kind: "values" have rounding; a "mask" is exactly 0 and 1, an "index" holds exactly the right whole numbers.
        shown: what a sentence about it begins with, where that is not its name.
    """

    name: str
    kind: Kind = "values"
    shown: str = ""


@dataclass(frozen=True)
class Class:
    """
    A class that a function's object is of.

    Args:
        name: of the class.
        parts: constructor arguments that are objects themselves -> their classes.
        leading: constructor arguments that are passed by position, first; all others go by name.
    """

    name: str
    parts: Mapping[str, Class] = field(default_factory=dict)
    leading: tuple[str, ...] = ()

    def names(self) -> Iterator[str]:
        """Yield the names of this class and of those that it is built from, the innermost first, each once."""
        inner = dict.fromkeys(name for part in self.parts.values() for name in part.names())
        yield from inner
        yield self.name


def construct(kind: Class, settings: Mapping[str, Any], lookup: Callable[[str], Callable[..., Any]]) -> Any:
    """
    Build an object from the sizes in nested settings.

    Args:
        kind: its class.
        settings: constructor arguments by name; for an argument in `kind.parts` the settings of that object.
        lookup: returns the class, or whatever builds its objects, for a name.
    """
    arguments = {
        name: construct(kind.parts[name], value, lookup) if name in kind.parts else value
        for name, value in settings.items()
    }
    leading = [arguments.pop(name) for name in kind.leading]
    return lookup(kind.name)(*leading, **arguments)


@dataclass(frozen=True)
class Function:
    """
    A function, or a method, of the homework.

    Args:
        name: dotted for a method.
        part: the part of the homework whose code it is looked for in.
        notebook: the handed-out notebook that holds it, or that runs what a module beside it holds.
        takes: its arguments in order; each is an input array or a setting, and one that is neither is left out.
        sizes: those arguments that are whole numbers -> their defaults, None where there is none.
        returns: its outputs in order.
        built_as: the class of the object that it is a method of; None for a plain function.
        builds_on: functions whose reference version can be lent to it.
        aliases: other names under which it may be handed in.
        arrays: what it computes with.
        lendable: whether it can be lent to what builds on it.
        written: whether the student writes it; otherwise it is handed out.
        in_module: whether a handed-out module holds it.
        copy: what tells it from the other function of its name, where there are two.
        entry: whether its notebook runs it, and no other notebook does.
    """

    name: str
    part: str
    notebook: str
    takes: tuple[str, ...] = ()
    sizes: Mapping[str, int | None] = field(default_factory=dict)
    returns: tuple[Output, ...] = ()
    built_as: Class | None = None
    builds_on: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    arrays: Literal["torch", "numpy"] = "torch"
    lendable: bool = False
    written: bool = True
    in_module: bool = False
    entry: bool = False
    copy: str = ""

    @property
    def label(self) -> str:
        """Its name, with what tells it from another function of that name."""
        return f"({self.copy}) {self.name}" if self.copy else self.name

    @property
    def root(self) -> str:
        """The name that a notebook defines: the function's, or that of its class."""
        return self.name.partition(".")[0]

    @property
    def method(self) -> str:
        """The name of the method; empty for a plain function."""
        return self.name.partition(".")[2]

    @property
    def wanted(self) -> tuple[str, ...]:
        """Names whose definitions a worker needs to call it."""
        names = tuple(self.built_as.names()) if self.built_as is not None else (self.root,)
        return (*names, *self.aliases)

    @property
    def marks_notebook(self) -> bool:
        """Whether a notebook that defines or calls it is the one that it stands in."""
        return self.entry or not self.in_module

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of its outputs."""
        return tuple(output.name for output in self.returns)

    def kind_of(self, output: str) -> Kind:
        """Return the kind of an output by its name; "values" for what is none of its outputs, such as a gradient."""
        return next((each.kind for each in self.returns if each.name == output), "values")


@dataclass(frozen=True)
class Contract:
    """All functions of a homework, in the order in which it asks for them."""

    functions: tuple[Function, ...]

    def __getitem__(self, name: str) -> Function:
        """
        Return the first function with a name.

        Raises:
            KeyError: there is none.
        """
        for function in self.functions:
            if function.name == name:
                return function
        raise KeyError(name)

    def of(self, part: str, name: str) -> Function:
        """
        Return the function of a part with a name.

        Raises:
            KeyError: there is none.
        """
        return Contract(tuple(each for each in self.functions if each.part == part))[name]

    def __contains__(self, name: object) -> bool:
        return any(function.name == name for function in self.functions)

    def __iter__(self) -> Iterator[Function]:
        return iter(self.functions)

    def lent_to(self, name: str) -> tuple[str, ...]:
        """Return the nearest functions that can be lent to one: what it builds on, or what that builds on in turn."""
        found: dict[str, None] = {}
        for need in self[name].builds_on:
            found.update(dict.fromkeys([need] if self[need].lendable else self.lent_to(need)))
        return tuple(found)

    def closure(self, name: str) -> frozenset[str]:
        """Return a function's name and those of all that it builds on, directly or not."""
        return frozenset({name}).union(*(self.closure(need) for need in self[name].builds_on if need in self))
