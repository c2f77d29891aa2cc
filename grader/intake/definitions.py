"""
Which statements a name needs, and in what order (worker side).

A notebook is never run from top to bottom. Of all its statements in order, a wanted name takes the last one
that binds it and, again and again, those that bind what that one reads:

- read while the statement runs (a base class, a default, a decorator): the last binding before it; the first
  one after it if there is none, because cells are run out of order;
- read later, when a function is called: the last binding of all, as at the end of the notebook;
- read later by something that the statement calls: the last binding before it, as well;
- what sets attributes or items of a needed object: included.

Loops, test calls and other expressions are never run (see `statements`).
"""

from __future__ import annotations

import ast
import builtins
import textwrap
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from grader.intake.statements import Breakage, Definition, Statement, is_stub, parse_cell

_BUILTINS = frozenset(dir(builtins)) | {
    "__name__",
    "__file__",
    "__doc__",
    "get_ipython",
    "display",
    "In",
    "Out",
}


@dataclass(frozen=True)
class Block:
    """
    A parsed cell or module: label for people, source to compile, statements in order, what does not compile.
    """

    label: str
    source: str
    statements: tuple[Statement, ...]
    broken: tuple[Breakage, ...]


def read_block(label: str, source: str) -> Block:
    """Parse a cell or a module; dedent it first if that is all that is wrong with it."""
    parsed = parse_cell(source)
    if parsed[2] and source[:1] in (" ", "\t"):
        dedented = parse_cell(textwrap.dedent(source))
        parsed = dedented if len(dedented[2]) < len(parsed[2]) else parsed
    return Block(label, parsed[0], tuple(parsed[1]), tuple(parsed[2]))


@dataclass(frozen=True)
class Step:
    """A statement's place: index of the block, index in the block."""

    block: int
    statement: int


class Namespace:
    """
    The blocks of one or more files, in order, seen as one namespace, with an index of who binds what.

    A statement finds a name in its own file first; else in the others, where the last file that has it wins.
    """

    def __init__(self, files: Sequence[Sequence[Block]], *, stars: Mapping[str, frozenset[str]] | None = None) -> None:
        self.blocks = tuple(block for file in files for block in file)
        owner = [number for number, file in enumerate(files) for _ in file]
        self.steps = [
            (Step(b, s), statement)
            for b, block in enumerate(self.blocks)
            for s, statement in enumerate(block.statements)
        ]
        self._file = [owner[step.block] for step, _ in self.steps]
        self._bound_at: dict[str, list[int]] = defaultdict(list)
        self._blocked: dict[str, int] = {}
        self._changed_at: dict[str, list[int]] = defaultdict(list)
        self._unknown_stars: list[int] = []
        for index, (_, statement) in enumerate(self.steps):
            self._register(index, statement, stars or {})

    def _register(self, index: int, statement: Statement, stars: Mapping[str, frozenset[str]]) -> None:
        binds = statement.binds
        if statement.star is not None:
            module = statement.star.rsplit(".", 1)[-1]
            if module not in stars:
                self._unknown_stars.append(index)
            binds = stars.get(module, frozenset())
        for name in binds:
            if statement.is_runnable:
                self._bound_at[name].append(index)
            else:
                self._blocked[name] = index
        if statement.is_runnable:
            for name in statement.changes:
                self._changed_at[name].append(index)

    def bound_names(self) -> frozenset[str]:
        """Return every name that a statement which may be run binds."""
        return frozenset(self._bound_at)

    def last_binding(self, name: str) -> Statement | None:
        """Return the last statement that binds a name and may be run."""
        places = self._bound_at.get(name)
        return self.steps[places[-1]][1] if places else None

    def blocked_in(self, name: str) -> str | None:
        """Return the label of the cell that makes a name, where only code that is not run does."""
        if name in self._bound_at or name not in self._blocked:
            return None
        return self.blocks[self.steps[self._blocked[name]][0].block].label

    def plan(self, name: str) -> tuple[tuple[Step, ...], frozenset[str]]:
        """
        Return the steps that make a name, in the order to run them, and the names that nothing makes.

        The steps are empty if nothing that may be run binds the name.
        """
        if name not in self._bound_at:
            return (), frozenset({name})
        search = _Search(self)
        search.need(name, self._bound_at[name][-1])
        return tuple(self.steps[index][0] for index in search.order()), frozenset(search.unresolved)

    def before(self, name: str, index: int) -> int | None:
        """Return the last place before `index` where a name is bound, else the first after it, else None."""
        places = self._near(name, index)
        cut = bisect_left(places, index)
        if cut:
            return places[cut - 1]
        return next((place for place in places if place != index), None)

    def last(self, name: str, index: int) -> int | None:
        """Return the last place of all where a name is bound, as the statement at `index` sees it."""
        places = self._near(name, index)
        return places[-1] if places else None

    def _near(self, name: str, index: int) -> list[int]:
        places = self._bound_at.get(name, [])
        return self._beside(places, index) or places

    def _beside(self, places: Iterable[int], index: int) -> list[int]:
        return [place for place in places if self._file[place] == self._file[index]]

    def changes_of(self, name: str, bound: int) -> list[int]:
        """
        Return the places, in the file that binds a name, where the object's attributes or items are set.
        """
        return self._beside(self._changed_at.get(name, []), bound)

    def unknown_stars(self, index: int) -> list[int]:
        """Return the star imports in the same file from modules that were not handed in."""
        return self._beside(self._unknown_stars, index)

    def is_beside(self, place: int, index: int) -> bool:
        """Return whether two places are in the same file."""
        return self._file[place] == self._file[index]


class _Search:
    """One closure: which places are needed, and which must come before which."""

    def __init__(self, space: Namespace) -> None:
        self._space = space
        self._needed: set[int] = set()
        self._pending: list[int] = []
        self._hard: dict[int, list[int]] = defaultdict(list)
        self._soft: dict[int, list[int]] = defaultdict(list)
        self.unresolved: set[str] = set()

    def need(self, name: str, index: int) -> None:
        """Add the place that binds a name and, until nothing is missing, all that it depends on."""
        self._add(index)
        self._touch(name, index)
        while self._pending:
            self._expand(self._pending.pop())

    def _add(self, index: int) -> None:
        if index not in self._needed:
            self._needed.add(index)
            self._pending.append(index)

    def _touch(self, name: str, bound: int) -> None:
        for index in self._space.changes_of(name, bound):
            self._add(index)

    def _expand(self, index: int) -> None:
        statement = self._space.steps[index][1]
        for name in sorted(statement.reads_now):
            place = self._resolve(name, self._space.before(name, index), index)
            if place is not None:
                self._hard[index].append(place)
                if name in statement.calls_now:
                    self._soft[index] += self._called(place, index)
        for name in sorted(statement.reads_later):
            self._resolve(name, self._space.last(name, index), index)

    def _resolve(self, name: str, place: int | None, index: int) -> int | None:
        if place is not None:
            self._add(place)
            self._touch(name, place)
        elif name not in _BUILTINS:
            self.unresolved.add(name)
        if name not in _BUILTINS and (place is None or not self._space.is_beside(place, index)):
            for star in self._space.unknown_stars(index):
                self._add(star)
        return place

    def _called(self, place: int, index: int) -> list[int]:
        """Return what functions made at `place` read, as things stand at `index` where they may be called."""
        found: list[int] = []
        seen, pending = {place}, [place]
        while pending:
            for name in sorted(self._space.steps[pending.pop()][1].reads_later):
                inner = self._space.before(name, index)
                if inner is not None and inner not in seen:
                    seen.add(inner)
                    pending.append(inner)
                    found.append(inner)
                    self._add(inner)
        return found

    def order(self) -> list[int]:
        """Return the needed places in the notebook's order, but none before what it cannot run without."""
        done: dict[int, None] = {}
        for index in sorted(self._needed):
            self._emit(index, done)
        return list(done)

    def _emit(self, root: int, done: dict[int, None]) -> None:
        open_places: set[int] = set()
        stack = [(root, False)]
        while stack:
            index, is_ready = stack.pop()
            if index in done:
                continue
            if is_ready:
                done[index] = None
                continue
            if index in open_places:
                continue
            open_places.add(index)
            stack.append((index, True))
            first = [place for place in self._hard[index] if place not in done]
            # A called function's own needs come first too, unless they wait for this very statement.
            first += [p for p in self._soft[index] if p not in done and index not in self._requires(p)]
            stack += [(place, False) for place in sorted(set(first), reverse=True)]

    def _requires(self, index: int) -> set[int]:
        seen: set[int] = set()
        pending = [index]
        while pending:
            for place in self._hard[pending.pop()]:
                if place not in seen:
                    seen.add(place)
                    pending.append(place)
        return seen


def class_members(space: Namespace, name: str) -> Mapping[str, bool] | None:
    """
    Return the attributes that a class defines -> whether each is only a stub; None if it is not a class made
    here.

    Attributes come from its body, from bases defined in the same namespace, from an alias, and from later
    assignments.
    """
    members: dict[str, bool] = {}
    is_class = _add_members(space, name, members, seen=set())
    return members if is_class else None


def _add_members(space: Namespace, name: str, members: dict[str, bool], seen: set[str]) -> bool:
    if name in seen:
        return False
    seen.add(name)
    is_class = False
    for _, statement in space.steps:
        node = statement.node
        for cls in _classes_in(node, name):
            is_class = True
            for base in sorted(base_names(cls)):
                _add_members(space, base, members, seen)
            members.update(_body_members(cls))
        if isinstance(node, ast.Assign):
            is_class |= _add_assigned(space, node, name, members, seen)
        elif name in statement.changes and isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
            attribute = node.value.args[1]
            if isinstance(attribute, ast.Constant):
                members[str(attribute.value)] = False
    return is_class


def _add_assigned(space: Namespace, node: ast.Assign, name: str, members: dict[str, bool], seen: set[str]) -> bool:
    is_class = False
    for target in node.targets:
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == name:
            members[target.attr] = False
        elif isinstance(target, ast.Name) and target.id == name and isinstance(node.value, ast.Name):
            is_class |= _add_members(space, node.value.id, members, seen)
    return is_class


def _classes_in(node: ast.stmt, name: str) -> Iterable[ast.ClassDef]:
    """Yield the classes of that name that a statement makes, inside an `if` or `try` too."""
    pending: list[ast.AST] = [node]
    while pending:
        inner = pending.pop()
        if isinstance(inner, ast.ClassDef):
            if inner.name == name:
                yield inner
        elif not isinstance(inner, ast.FunctionDef | ast.AsyncFunctionDef | ast.expr):
            pending += reversed(list(ast.iter_child_nodes(inner)))


def base_names(cls: ast.ClassDef) -> frozenset[str]:
    """Return the last names of a class's bases: `Module` for `nn.Module`."""
    plain = {base.id for base in cls.bases if isinstance(base, ast.Name)}
    return frozenset(plain | {base.attr for base in cls.bases if isinstance(base, ast.Attribute)})


def _body_members(cls: ast.ClassDef) -> dict[str, bool]:
    members: dict[str, bool] = {}
    pending: list[ast.AST] = list(reversed(cls.body))
    while pending:
        node = pending.pop()
        if isinstance(node, Definition):
            members[node.name] = is_stub(node)
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            members.update({target.id: False for target in targets if isinstance(target, ast.Name)})
        elif isinstance(node, ast.stmt):
            pending += reversed([child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)])
    return members
