"""
Which statements a name needs, and in what order (worker side).

A notebook is never run from top to bottom. Of all its statements in order, a wanted name takes the last one
that binds it and, again and again, those that bind what that one reads:

- read while the statement runs (a base class, a default, a decorator): the last binding before it; the first
  one after it if there is none, because cells are run out of order;
- read later, when a function is called: the last binding of all, as at the end of the notebook;
- read later by something that the statement calls: the last binding before it, as well;
- what changes a needed object: included, be it an assignment to an item, a loop that fills a table, a call of a method,
  or a decorator that registers a method with a class.

Loops and calls are run for such an effect only, and never where they train, load data, use files or the network (see
`effects`). A stub never stands in the way of code that is written elsewhere in the same file.
"""

from __future__ import annotations

import ast
import builtins
import textwrap
from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from grader.intake.effects import running
from grader.intake.margin import without_main_guards
from grader.intake.placeholders import is_stub, methods
from grader.intake.statements import (
    Breakage,
    Definition,
    Statement,
    asks_for_main,
    future_flags,
    is_setattr,
    names_in,
    parse_cell,
)

_BUILTINS = frozenset(dir(builtins)) | {
    "__name__",
    "__file__",
    "__doc__",
    "get_ipython",
    "display",
    "In",
    "Out",
}

_MAX_CHAIN = 500  # functions that call each other, looked through to learn what calling one of them changes


@dataclass(frozen=True)
class Block:
    """
    A parsed cell or module: label for people, source to compile, statements in order, what does not compile.

    `flags` are those of the compiler that are in force there (see `statements.future_flags`).
    """

    label: str
    source: str
    statements: tuple[Statement, ...]
    broken: tuple[Breakage, ...]
    flags: int = 0


def read_block(label: str, source: str, above: Sequence[Block] | None = None) -> Block:
    """
    Parse a cell or a module; dedent it first if that is all that is wrong with it.

    Args:
        label: see `Block`.
        source: Python.
        above: the notebook's cells above this one; None for a module. In a notebook `__name__` is "__main__".
    """
    if above is not None:
        source = without_main_guards(source)
    flags = above[-1].flags if above else 0
    parsed = parse_cell(source, flags)
    if parsed[2] and source[:1] in (" ", "\t"):
        dedented = parse_cell(textwrap.dedent(source), flags)
        parsed = dedented if len(dedented[2]) < len(parsed[2]) else parsed
    text, statements, broken = parsed
    flags |= future_flags(statement.node for statement in statements)
    return Block(label, text, tuple(statements), tuple(broken), flags)


def misplaced_block(label: str, source: str) -> Block:
    """Return what to know of a cell that is no code cell: nothing of it is run, and what it would define is known."""
    return Block(label, "", (), (Breakage(0, "it is no code cell", names_in(source), is_misplaced=True),))


@dataclass(frozen=True)
class Step:
    """A statement's place: index of the block, index in the block."""

    block: int
    statement: int


@dataclass(frozen=True)
class Plan:
    """
    How a name is made.

    Args:
        steps: in the order to run them.
        unresolved: names that it needs and nothing makes.
        left_out: needed names -> the place where code that is never run would change what they stand for.
        rebound: names that a needed function reads when it is called -> the place of that function, and where the name
            was given another meaning after it.
    """

    steps: tuple[Step, ...]
    unresolved: frozenset[str]
    left_out: Mapping[str, int]
    rebound: Mapping[str, tuple[int, int]]


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
        self._stars = stars or {}
        self._bound_at: dict[str, list[int]] = defaultdict(list)
        self._hidden: dict[str, list[int]] = {}
        self._blocked: dict[str, int] = {}
        self._changed_at: dict[str, list[int]] = defaultdict(list)
        self._not_changed_at: dict[str, list[int]] = defaultdict(list)
        self._unknown_stars: list[int] = []
        for index, (_, statement) in enumerate(self.steps):
            self._register(index, statement)
        self._take_from_loops()
        self._hide_stubs()
        self._changing: dict[str, tuple[frozenset[str], bool]] = {}
        for index, (_, statement) in enumerate(self.steps):
            self._register_changes(index, statement)

    def _register(self, index: int, statement: Statement) -> None:
        binds = statement.binds
        if statement.star is not None:
            module = statement.star.rsplit(".", 1)[-1]
            if module not in self._stars:
                self._unknown_stars.append(index)
            binds = self._stars.get(module, frozenset())
        for name in binds:
            if statement.is_runnable:
                self._bound_at[name].append(index)
            else:
                self._blocked[name] = index

    def _take_from_loops(self) -> None:
        """Bind what only a loop makes to the last loop that does, where it may be run."""
        for name, index in self._blocked.items():
            if name not in self._bound_at and self._is_harmless(self.steps[index][1]):
                self._bound_at[name].append(index)

    def _hide_stubs(self) -> None:
        """Forget definitions that say nothing where the same file has one under that name that does."""
        for name, places in self._bound_at.items():
            written = [place for place in places if not is_stub(self.steps[place][1].node)]
            kept = [p for p in places if p in written or not self._beside(written, p)] if len(places) > 1 else places
            if len(kept) > 1:
                kept = [place for place in kept if not self._is_older_form(name, place, kept)]
            if len(kept) < len(places):
                self._hidden[name] = [place for place in places if place not in kept]
                self._bound_at[name] = kept

    def _is_older_form(self, name: str, place: int, places: Sequence[int]) -> bool:
        """Return whether a class has methods left as stubs that another class of its name and file has written."""
        statement = self.steps[place][1]
        if not isinstance(statement.node, ast.ClassDef) or name in statement.reads_now:
            return False
        stubs, written = _forms(statement.node)
        for other in self._beside(places, place):
            node = self.steps[other][1].node
            if (
                other != place
                and stubs
                and isinstance(node, ast.ClassDef)
                and name not in self.steps[other][1].reads_now
            ):
                theirs = _forms(node)[1]
                if stubs <= theirs and len(theirs) > len(written):
                    return True
        return False

    def _changed_by_calling(self, name: str) -> tuple[frozenset[str], bool]:
        """Return what a call of an own function may change: module-level names, and whether its arguments."""
        if name in self._changing:
            return self._changing[name]
        changed: set[str] = set()
        seen, pending = {name}, [name]
        while pending and len(seen) <= _MAX_CHAIN:
            for index in self._bound_at.get(pending.pop(), ()):
                statement = self.steps[index][1]
                changed |= statement.changes_later
                more = statement.reads_later - seen if isinstance(statement.node, Definition) else frozenset()
                seen |= more
                pending += sorted(more & self._bound_at.keys())
        changes_arguments = any(self.steps[index][1].changes_arguments for index in self._bound_at.get(name, ()))
        self._changing[name] = frozenset(changed), changes_arguments
        return self._changing[name]

    def _register_changes(self, index: int, statement: Statement) -> None:
        """Note which objects a statement changes, and of those that it may change, which ones for the grader too."""
        effects = statement.effects
        certain = set(effects.changes)
        possible = {name for name in effects.may_change if not self._is_library(name)}
        possible |= {
            name
            for function, name in effects.passes
            if self._changed_by_calling(function)[1] and not self._is_plain_function(name)
        }
        called = statement.calls_now & self._bound_at.keys()
        possible |= {name for function in called for name in self._changed_by_calling(function)[0] if name != function}
        if not statement.is_runnable:
            # `total += 1` in a loop.
            possible |= {name for name in statement.binds & statement.reads_now if name in self._bound_at}
        if not certain | possible:
            return
        is_plain = isinstance(statement.node, ast.Assign | ast.AugAssign | ast.AnnAssign) or is_setattr(statement.node)
        may_run = isinstance(statement.node, Definition) or self._is_harmless(statement)
        for name in certain | possible:
            if may_run or (is_plain and name in certain):
                self._changed_at[name].append(index)
            else:
                self._not_changed_at[name].append(index)

    def _is_library(self, name: str) -> bool:
        """Return whether a name stands for an imported library, or something out of one."""
        places = self._bound_at.get(name, ())
        return bool(places) and all(self._is_foreign_import(self.steps[place][1].node) for place in places)

    def _is_foreign_import(self, node: ast.stmt) -> bool:
        if isinstance(node, ast.ImportFrom):
            return (node.module or "").rpartition(".")[2] not in self._stars
        return isinstance(node, ast.Import)

    def _is_plain_function(self, name: str) -> bool:
        places = self._bound_at.get(name, [])
        return bool(places) and isinstance(self.steps[places[-1]][1].node, ast.FunctionDef | ast.AsyncFunctionDef)

    def _is_harmless(self, statement: Statement) -> bool:
        """Return whether a statement, with the own functions that it calls, may be run for its effect."""
        if isinstance(statement.node, ast.If) and asks_for_main(statement.node.test):
            return False
        if statement.harm is not None or _is_endless(statement.node):
            return False
        seen: set[str] = set()
        pending = sorted(statement.calls_now)
        while pending:
            name = pending.pop()
            if name in seen:
                continue
            seen.add(name)
            if len(seen) > _MAX_CHAIN:
                return False
            for index in self._bound_at.get(name, ()):
                inner = self.steps[index][1]
                if isinstance(inner.node, ast.FunctionDef | ast.AsyncFunctionDef):
                    if inner.harm is not None:
                        return False
                    pending += sorted(inner.reads_later)
        return True

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

    def plan(self, name: str) -> Plan:
        """Return the steps that make a name; there are none if nothing that may be run binds it."""
        if name not in self._bound_at:
            return Plan((), frozenset({name}), {}, {})
        search = _Search(self)
        search.need(name, self._bound_at[name][-1])
        steps = tuple(self.steps[index][0] for index in search.order())
        return Plan(steps, frozenset(search.unresolved), search.left_out, search.rebound)

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
        """Return the places, in the file that binds a name, where the object is changed by what may be run."""
        return self._beside(self._changed_at.get(name, []), bound)

    def all_changes(self, name: str) -> frozenset[int]:
        """Return the places in all files where an object of that name is changed by what may be run."""
        return frozenset(self._changed_at.get(name, ()))

    def changes_left_out(self, name: str, bound: int) -> list[int]:
        """Return the places, in the file that binds a name, where the object is changed by what is never run."""
        return self._beside(self._not_changed_at.get(name, []), bound)

    def bindings(self, name: str, index: int) -> list[int]:
        """Return every place where a name is bound, as the statement at `index` sees it."""
        return list(self._near(name, index))

    def has_other_meaning(self, name: str, place: int, index: int) -> bool:
        """
        Return whether a name that is bound at `place` meant something else where `index` stands, above it.

        That is a builtin, or what an earlier statement made of it in other words; imports always mean the same.
        """
        node = self.steps[place][1].node
        if not self.is_beside(place, index) or isinstance(node, Definition | ast.Import | ast.ImportFrom):
            return False
        earlier = [other for other in self._near(name, index) if other < index]
        if not earlier:
            return hasattr(builtins, name)
        return ast.dump(self.steps[earlier[-1]][1].node) != ast.dump(node)

    def is_hidden(self, name: str, index: int) -> bool:
        """Return whether a definition is a stub that gives way to code of the same name."""
        return index in self._hidden.get(name, ())

    def place_of(self, index: int) -> str:
        """Return a statement's cell and line, in words."""
        step, statement = self.steps[index]
        return f"{self.blocks[step.block].label}, line {statement.harm or statement.node.lineno}"

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
        self.left_out: dict[str, int] = {}
        self.rebound: dict[str, tuple[int, int]] = {}

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
        for index in self._space.changes_left_out(name, bound)[-1:]:
            self.left_out[name] = index

    def _expand(self, index: int) -> None:
        statement = self._space.steps[index][1]
        for name in sorted(statement.reads_now):
            place = self._resolve(name, self._space.before(name, index), index)
            if place is not None:
                self._hard[index].append(place)
                if name in statement.calls_now:
                    self._soft[index] += self._called(place, index)
        for name in sorted(statement.reads_later):
            place = self._resolve(name, self._space.last(name, index), index)
            if place is not None and place > index and self._space.has_other_meaning(name, place, index):
                self.rebound[name] = (index, place)

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
    assignments, decorators and calls that may register them.
    """
    members: dict[str, bool] = {}
    is_class = _add_members(space, name, members, seen=set())
    return members if is_class else None


def _add_members(space: Namespace, name: str, members: dict[str, bool], seen: set[str]) -> bool:
    if name in seen:
        return False
    seen.add(name)
    is_class = False
    changes = space.all_changes(name)
    for index, (_, statement) in enumerate(space.steps):
        node = statement.node
        for cls in _classes_in(node, name) if not space.is_hidden(name, index) else ():
            is_class = True
            for base in sorted(base_names(cls)):
                _add_members(space, base, members, seen)
            members.update(_body_members(cls))
        if isinstance(node, ast.Assign):
            is_class |= _add_assigned(space, node, name, members, seen)
        elif index in changes:
            members.update(_registered(node))
    return is_class


def _registered(node: ast.stmt) -> dict[str, bool]:
    """Return the attributes that a statement may give to a class: a decorated function, or whatever it names."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
        return {node.name: is_stub(node)}
    if is_setattr(node):
        return {str(node.value.args[1].value): False}  # type: ignore[attr-defined]  # is_setattr has looked
    found: dict[str, bool] = {}
    for part in running(node):
        if isinstance(part, ast.Constant) and isinstance(part.value, str) and part.value.isidentifier():
            found[part.value] = False
        elif isinstance(part, ast.Name | ast.Attribute):
            found[part.id if isinstance(part, ast.Name) else part.attr] = False
    return found


def _add_assigned(space: Namespace, node: ast.Assign, name: str, members: dict[str, bool], seen: set[str]) -> bool:
    is_class = False
    for target in node.targets:
        if isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name) and target.value.id == name:
            members[target.attr] = False
        elif isinstance(target, ast.Name) and target.id == name and isinstance(node.value, ast.Name):
            is_class |= _add_members(space, node.value.id, members, seen)
    return is_class


def _forms(cls: ast.ClassDef) -> tuple[frozenset[str], frozenset[str]]:
    """Return the methods of a class that are stubs, and those that are written."""
    stubs = {function.name: is_stub(function) for function in methods(cls)}
    return frozenset(name for name in stubs if stubs[name]), frozenset(name for name in stubs if not stubs[name])


def _is_endless(node: ast.AST) -> bool:
    """Return whether a statement holds a loop that nothing ends, which is none that fills a table."""
    return any(
        isinstance(part, ast.While)
        and isinstance(part.test, ast.Constant)
        and not any(isinstance(inner, ast.Break | ast.Raise | ast.Return) for inner in ast.walk(part))
        for part in ast.walk(node)
    )


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
