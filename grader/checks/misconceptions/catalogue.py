"""What a misconception is, and how one joins the catalogue."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
_BY_VALUE = ("output", "generality")


@dataclass(frozen=True)
class Misconception:
    """
    A mistake that is known by the values it gives.

    Args:
        id: "<function>.<name of the mistake>", with the contract's name of the function.
        about: one line for staff.
        happened: what the student's function does, in a sentence or two for the student.
        right: what it should do instead, without code.
        function_with_it: the contract's function with the mistake in it; a method takes the reference's module.
        aspects: the aspects of the question on whose inputs the mistake shows.
    """

    id: str
    about: str
    happened: str
    right: str
    function_with_it: Callable[..., Any]
    aspects: tuple[str, ...] = _BY_VALUE

    @property
    def function(self) -> str:
        """The contract's name of the function."""
        return self.id.rpartition(".")[0]

    @property
    def hint(self) -> str:
        """What a teaching assistant would say: what happened, and what is right."""
        return f"{self.happened} {self.right}"


_REGISTERED: dict[str, Misconception] = {}


def misconception(
    name: str, *, happened: str, right: str, aspects: tuple[str, ...] = _BY_VALUE
) -> Callable[[AnyFunction], AnyFunction]:
    """
    Add the decorated function to the catalogue; the first line of its docstring is the line for staff.

    Arguments are those of `Misconception`, `name` being its id.

    Raises:
        ValueError: the id is taken.
    """

    def register(function: AnyFunction) -> AnyFunction:
        if name in _REGISTERED:
            raise ValueError(f"There is already a misconception {name!r}; choose another name.")
        about = (function.__doc__ or "").strip().partition("\n")[0]
        _REGISTERED[name] = Misconception(name, about, happened, right, function, aspects)
        return function

    return register


def registered() -> tuple[Misconception, ...]:
    """Return what was registered so far."""
    return tuple(_REGISTERED.values())
