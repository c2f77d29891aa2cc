"""What a misconception is, and the catalogue that a homework keeps of them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from grader.checks.exam import CaseAnswer, Check, Exam

AnyFunction = TypeVar("AnyFunction", bound=Callable[..., Any])
Recognise = Callable[[Check, Exam, Sequence[CaseAnswer]], bool]
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
        function_with_it: the contract's function with the mistake in it; a method takes the reference's module. None
            where no function can show the mistake, and `recognise` does.
        aspects: the aspects of the question on whose inputs the mistake shows.
        recognise: says of a question's answers whether they are this mistake's, where there is no function.
        before: the mistake as a change of the arguments of a function that is right in itself, so that it can be put
            before another mistake; None where it is none.
        after: the same as a change of what is returned.
        mixes_images: whether what it gives for an image depends on the other images of the batch.
        recipe: the steps of the function, of which the mistake is one choice; mistakes of one recipe go together.
        choices: that choice.
        clues: names that a line of the student's function holds where the mistake may stand, the most telling first;
            those in the words for students where none are given.
        place: the contract's name of the function that such a line stands in, if it is another one.
    """

    id: str
    about: str
    happened: str
    right: str
    function_with_it: Callable[..., Any] | None
    aspects: tuple[str, ...] = _BY_VALUE
    recognise: Recognise | None = None
    before: Callable[..., tuple[Any, ...]] | None = None
    after: Callable[[Any], Any] | None = None
    mixes_images: bool = False
    recipe: Callable[..., Any] | None = None
    choices: Mapping[str, Any] = field(default_factory=dict)
    clues: tuple[str, ...] = ()
    place: str = ""

    @property
    def function(self) -> str:
        """The contract's name of the function."""
        return self.id.rpartition(".")[0]

    @property
    def hint(self) -> str:
        """What a teaching assistant would say: what happened, and what is right."""
        return f"{self.happened} {self.right}"


def composed(one: Misconception, other: Misconception) -> Callable[..., Any] | None:
    """Return the contract's function with both mistakes in it; None where it is not clear what that would be."""
    if one.recipe is not None and one.recipe is other.recipe:
        if one.choices.keys() & other.choices.keys():
            return None
        return functools.partial(one.recipe, **one.choices, **other.choices)
    for first, second in ((one, other), (other, one)):
        inner = first.function_with_it
        if inner is not None and second.before is not None:
            return functools.partial(_after_a_change, inner, second.before)
        if inner is not None and second.after is not None:
            return functools.partial(_before_a_change, inner, second.after)
    return None


def _after_a_change(function: Callable[..., Any], change: Callable[..., tuple[Any, ...]], *arguments: Any) -> Any:
    return function(*change(*arguments))


def _before_a_change(function: Callable[..., Any], change: Callable[[Any], Any], *arguments: Any) -> Any:
    return change(function(*arguments))


class Catalogue:
    """The misconceptions of a homework, by id, in the order in which they were added."""

    def __init__(self) -> None:
        self._entries: dict[str, Misconception] = {}

    @property
    def entries(self) -> tuple[Misconception, ...]:
        """What was added so far."""
        return tuple(self._entries.values())

    def _add(self, entry: Misconception) -> None:
        if entry.id in self._entries:
            raise ValueError(f"There is already a misconception {entry.id!r}; choose another name.")
        self._entries[entry.id] = entry

    def misconception(
        self,
        name: str,
        *,
        happened: str,
        right: str,
        aspects: tuple[str, ...] = _BY_VALUE,
        before: Callable[..., tuple[Any, ...]] | None = None,
        after: Callable[[Any], Any] | None = None,
        mixes_images: bool = False,
        clues: tuple[str, ...] = (),
    ) -> Callable[[AnyFunction], AnyFunction]:
        """
        Add the decorated function to the catalogue; the first line of its docstring is the line for staff.

        Arguments are those of `Misconception`, `name` being its id.

        Raises:
            ValueError: the id is taken.
        """

        def register(function: AnyFunction) -> AnyFunction:
            about = (function.__doc__ or "").strip().partition("\n")[0]
            self._add(
                Misconception(
                    name,
                    about,
                    happened,
                    right,
                    function,
                    aspects,
                    before=before,
                    after=after,
                    mixes_images=mixes_images,
                    clues=clues,
                )
            )
            return function

        return register

    def choice(
        self,
        recipe: Callable[..., Any],
        name: str,
        *,
        about: str,
        happened: str,
        right: str,
        aspects: tuple[str, ...] = _BY_VALUE,
        clues: tuple[str, ...] = (),
        place: str = "",
        **choices: Any,
    ) -> None:
        """
        Add a mistake that is a choice in a recipe; other arguments are those of `Misconception`, `name` being its id.

        Raises:
            ValueError: the id is taken.
        """
        function = functools.partial(recipe, **choices)
        self._add(
            Misconception(
                name,
                about,
                happened,
                right,
                function,
                aspects,
                recipe=recipe,
                choices=choices,
                clues=clues,
                place=place,
            )
        )

    def recognised(
        self, name: str, *, happened: str, right: str, aspects: tuple[str, ...], clues: tuple[str, ...] = ()
    ) -> Callable[[Recognise], Recognise]:
        """
        Add a mistake that is told by a look at the answers; arguments are those of `misconception`.

        Raises:
            ValueError: the id is taken.
        """

        def register(recognise: Recognise) -> Recognise:
            about = (recognise.__doc__ or "").strip().partition("\n")[0]
            self._add(Misconception(name, about, happened, right, None, aspects, recognise=recognise, clues=clues))
            return recognise

        return register
