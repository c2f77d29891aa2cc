"""One part of the homework: who answers it, and the plan for every name that it asks for (worker side)."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from grader.intake.choose import closeness, nearest
from grader.intake.definitions import Block, Namespace, Plan, base_names, class_members
from grader.intake.documents import Document
from grader.intake.names import display_name, quoted
from grader.intake.placeholders import is_placeholder, is_stub, methods
from grader.intake.report import (
    MAX_CELLS,
    MAX_LABEL_CHARACTERS,
    MAX_NAME_CHARACTERS,
    MAX_NAMES,
    MAX_NOTE_CHARACTERS,
    MAX_PLAN_STEPS,
    Note,
)

# How good a file's answer to a wanted name is. What is only imported counts less than what is written there
# (the module may hold the definition itself) and more than a stub.
_REAL, _IMPORTED, _STUB, _IMPORTED_STUB = 3.0, 1.5, 1.0, 0.5

# A stub in the module that was handed out for the part says that the student did not write it: without this, part
# (h)'s functions, which a notebook imports, were taken for those of part (g).
_HANDED_OUT_STUB = 2.0

# A file that still has the name it was handed out under is preferred to a slightly fuller copy: without this, an
# old version beside it wins by having one more function.
_TEMPLATE_NAME_BONUS = 1.25


@dataclass(frozen=True, eq=False)
class _Candidate:
    """A document, how good its answers are by name (classes for dotted names), and where it ranks."""

    document: Document
    space: Namespace
    quality: Mapping[str, float]
    rank: tuple[float, float, int]


def survey_part(
    part: str,
    wanted: Sequence[str],
    documents: Sequence[Document],
    templates: Sequence[str],
    notes: list[Note],
    *,
    characters: int,
) -> tuple[dict[str, Any], list[list[str]]]:
    """
    Return a part's code as it goes into the survey, and the (part, file) pairs of the files it came from.

    Each name is taken from the file that answers it best; where several answer equally, from the one that
    ranks first by all that the part asks for. What the name needs comes from the same file, and only what
    that lacks from others. All cells together hold `characters` at most; what needs more counts as missing.
    """
    roots = list(dict.fromkeys(name.split(".")[0] for name in wanted))
    members = {root: [name.split(".")[1] for name in wanted if name.startswith(root + ".")] for root in roots}
    stars = {display_stem(document): _public_names(document) for document in documents if document.is_module}
    ranked = _ranked(documents, members, templates, stars)
    table = _Table(characters)
    homes = _plan_all(wanted, roots, ranked, stars, table)
    table.put_in_order([candidate.document.blocks for candidate in ranked])
    missing = _missing(wanted, homes, ranked, table)
    primary = [candidate for candidate in ranked if candidate in homes.values()]
    _say_what_was_chosen(part, primary, ranked, templates, notes)
    broken = _broken(_concerned(primary, ranked, roots), table, notes)
    not_run = _not_run(roots, homes, ranked, table)
    _say_what_is_not_run({name: label for name, label in not_run.items() if name in roots}, notes)
    hints = {**_misplaced(ranked, roots, table, notes), **{root: " ".join(table.hints[root]) for root in table.hints}}
    code = {
        "cells": table.cells,
        "plans": table.plans,
        "missing": missing,
        "not_run": dict(list(not_run.items())[:MAX_NAMES]),
        "broken": dict(list(broken.items())[:MAX_NAMES]),
        "unwritten": _unwritten(wanted, homes),
        "hints": {name: text[:MAX_NOTE_CHARACTERS] for name, text in hints.items() if text},
    }
    return code, [[part, display_name(candidate.document.name)] for candidate in primary]


def display_stem(document: Document) -> str:
    """Return a module's own name, as the last piece of an import has it."""
    return document.name.rsplit(".", 1)[0]


class _Table:
    """The cells that plans refer to, each once, and the plans."""

    def __init__(self, characters: int) -> None:
        self._characters_left = characters
        self.cells: list[list[Any]] = []
        self.plans: dict[str, list[list[int]]] = {}
        self.unresolved: dict[str, Namespace] = {}
        self.left_out: dict[str, str] = {}
        self.hints: dict[str, list[str]] = {}
        self._index: dict[int, int] = {}

    def add(self, root: str, wanted: Sequence[str], space: Namespace) -> None:
        """Plan a name, and the dotted names below it, in a namespace."""
        found = space.plan(root)
        steps = found.steps
        blocks = {id(space.blocks[step.block]): space.blocks[step.block] for step in steps}
        new = [block for key, block in blocks.items() if key not in self._index]
        size = sum(len(block.source) for block in new)
        if not steps or len(steps) > MAX_PLAN_STEPS or len(self.cells) + len(new) > MAX_CELLS:
            return
        if size > self._characters_left:
            return
        self._characters_left -= size
        plan = [[self._cell(space.blocks[step.block]), step.statement] for step in steps]
        for name in wanted:
            if name == root or name.startswith(root + "."):
                self.plans[name] = plan
        for name in found.unresolved:
            self.unresolved.setdefault(name, space)
        for name, place in found.left_out.items():
            self.left_out.setdefault(name, space.place_of(place))
        self.hints[root] = [*_said_of_left_out(found, space), *_said_of_rebound(found, space)]

    def put_in_order(self, documents: Sequence[Sequence[Block]]) -> None:
        """
        Number the cells anew, those of one document in its own order.

        Plans of several names are run together, sorted by these numbers. Without this, a cell near the end that
        redefines what is wanted first was run first, and a class of that cell which derives from an older one of
        the same name was lost.
        """
        place = {
            id(block): (document, row) for document, blocks in enumerate(documents) for row, block in enumerate(blocks)
        }
        first_use: dict[int, int] = {}
        for key, index in self._index.items():
            document, _ = place[key]
            first_use[document] = min(index, first_use.get(document, index))
        ordered = sorted(self._index, key=lambda key: (first_use[place[key][0]], place[key][1]))
        number = {self._index[key]: new for new, key in enumerate(ordered)}
        self.cells = [self.cells[self._index[key]] for key in ordered]
        self.plans = {name: [[number[cell], step] for cell, step in plan] for name, plan in self.plans.items()}
        self._index = {key: number[index] for key, index in self._index.items()}

    def _cell(self, block: Block) -> int:
        if id(block) not in self._index:
            self._index[id(block)] = len(self.cells)
            self.cells.append([block.label, block.source, block.flags])
        return self._index[id(block)]


def _plan_all(
    wanted: Sequence[str],
    roots: Sequence[str],
    ranked: Sequence[_Candidate],
    stars: Mapping[str, frozenset[str]],
    table: _Table,
) -> dict[str, _Candidate]:
    """Plan every name in the namespace of its best file, and return these files."""
    homes: dict[str, _Candidate] = {}
    spaces: dict[_Candidate, Namespace] = {}
    for root in roots:
        home = max(ranked, key=lambda candidate: candidate.quality[root], default=None)
        if home is None or home.quality[root] == 0:
            continue
        homes[root] = home
        if home not in spaces:
            others = [other.document.blocks for other in reversed(ranked) if other is not home]
            spaces[home] = Namespace([*others, home.document.blocks], stars=stars)
        table.add(root, wanted, spaces[home])
    return homes


def _said_of_left_out(plan: Plan, space: Namespace) -> list[str]:
    """Say which objects that a name needs are changed by code that is not run."""
    return [
        f"`{name}` is changed in {quoted(space.place_of(place))}, by code that is not run for grading (training, data, "
        "files, network, display)."
        for name, place in sorted(plan.left_out.items())
    ]


def _said_of_rebound(plan: Plan, space: Namespace) -> list[str]:
    """Say which names mean something else when a function is called than where it stands, with both cells."""
    found = []
    for name, (function, place) in sorted(plan.rebound.items()):
        made = space.steps[function][1]
        user = next(iter(sorted(made.binds)), "the code")
        found.append(
            f"`{name}` has a new meaning since {quoted(space.place_of(place))}, and `{user}` in "
            f"{quoted(space.place_of(function))} uses it. As at the end of your notebook, the last one counts."
        )
    return found


def _say_what_is_not_run(labels: Mapping[str, str], notes: list[Note]) -> None:
    for name, label in labels.items():
        text = f"`{name}` is only made in {quoted(label)}, in a loop or a call that the grader does not run."
        notes.append(Note("not-run", text + " Move its definition to the top level of a cell."))


def _public_names(document: Document) -> frozenset[str]:
    names = Namespace([document.blocks]).bound_names()
    return frozenset(name for name in names if not name.startswith("_"))


def _ranked(
    documents: Sequence[Document],
    members: Mapping[str, Sequence[str]],
    templates: Sequence[str],
    stars: Mapping[str, frozenset[str]],
) -> list[_Candidate]:
    """Return all documents, those that answer most of the part first."""
    candidates = []
    spaces = [Namespace([document.blocks], stars=stars) for document in documents]
    own = {
        display_stem(document): space for document, space in zip(documents, spaces, strict=True) if document.is_module
    }
    for order, (document, space) in enumerate(zip(documents, spaces, strict=True)):
        quality = {root: _quality(space, root, members[root], own) for root in members}
        near = closeness(document.path, templates)
        if document.is_module and near == 1.0:
            quality = {root: _HANDED_OUT_STUB if value == _STUB else value for root, value in quality.items()}
        total = sum(quality.values()) * (_TEMPLATE_NAME_BONUS if near == 1.0 else 1.0)
        candidates.append(_Candidate(document, space, quality, (-total, -near, order)))
    return sorted(candidates, key=lambda candidate: candidate.rank)


def _quality(space: Namespace, root: str, attributes: Sequence[str], own: Mapping[str, Namespace]) -> float:
    """Return how well a file answers a name; `own` has the student's modules."""
    statement = space.last_binding(root)
    if statement is None:
        return 0.0
    if statement.is_import:
        return _quality_of_import(statement.node, root, own)
    if is_stub(statement.node):
        return _STUB
    found = class_members(space, root) if attributes else None
    if found is None:
        return _REAL
    written = sum(attribute in found and not found[attribute] for attribute in attributes)
    return _STUB + (_REAL - _STUB) * written / len(attributes)


def _quality_of_import(node: ast.stmt, root: str, own: Mapping[str, Namespace]) -> float:
    """An import from an own module is worth no more than what stands there."""
    if not isinstance(node, ast.ImportFrom) or node.module is None:
        return _IMPORTED
    module = own.get(node.module.rpartition(".")[2])
    if module is None:
        return _IMPORTED
    original = next((alias.name for alias in node.names if (alias.asname or alias.name) == root), root)
    found = module.last_binding(original)
    if found is None:
        return 0.0
    return _IMPORTED_STUB if is_stub(found.node) else _IMPORTED


def _missing(
    wanted: Sequence[str], homes: Mapping[str, _Candidate], ranked: Sequence[_Candidate], table: _Table
) -> dict[str, str | None]:
    """Return the names that nothing defines, each with the nearest name that something does."""
    defined = {is_class: _own_names(ranked, is_class=is_class) for is_class in (True, False)}
    missing: dict[str, str | None] = {}
    for name in wanted:
        root, _, attribute = name.partition(".")
        if name not in table.plans:
            near = nearest(root, defined[root[:1].isupper()] - set(wanted))
            missing[name] = None if near is None else near[:MAX_NAME_CHARACTERS]
        elif attribute:
            found = class_members(homes[root].space, root)
            for other in ranked:
                # A base class may be in another file.
                if found is not None and attribute not in found and _inherits_elsewhere(homes[root], root, other):
                    found = {**found, attribute: False}
            if found is not None and attribute not in found:
                near = nearest(attribute, set(found) - {other.partition(".")[2] for other in wanted})
                missing[name] = None if near is None else near[:MAX_NAME_CHARACTERS]
    return missing


def _inherits_elsewhere(home: _Candidate, root: str, other: _Candidate) -> bool:
    """Return whether a class has a base that another document defines as a class."""
    if other is home:
        return False
    bases = {
        base
        for _, statement in home.space.steps
        if isinstance(statement.node, ast.ClassDef) and statement.node.name == root
        for base in base_names(statement.node)
    }
    return any(class_members(other.space, base) is not None for base in bases - {root})


def _own_names(ranked: Sequence[_Candidate], *, is_class: bool) -> set[str]:
    """
    Return the classes, or the functions, that the documents define themselves, and other names that may hold one.
    """
    other = ast.FunctionDef | ast.AsyncFunctionDef if is_class else ast.ClassDef
    names = set()
    for candidate in ranked:
        for name in candidate.space.bound_names():
            statement = candidate.space.last_binding(name)
            if statement is None or statement.is_import or name.startswith("_"):
                continue
            if not isinstance(statement.node, other):
                names.add(name)
    return names


def _say_what_was_chosen(
    part: str,
    primary: Sequence[_Candidate],
    ranked: Sequence[_Candidate],
    templates: Sequence[str],
    notes: list[Note],
) -> None:
    """Say which files answered a part, where it could have been others or they have other names than expected."""
    passed_over = [
        candidate
        for candidate in ranked
        if candidate not in primary and any(value > _IMPORTED for value in candidate.quality.values())
    ]
    as_handed_out = all(closeness(candidate.document.path, templates) == 1.0 for candidate in primary)
    if not primary or ((len(primary) == 1 or as_handed_out) and not passed_over):
        return
    text = f"For the {part} part, code was taken from {_listed(primary)}."
    if passed_over:
        text += f" {_listed(passed_over)} could have answered it too and was not used."
    notes.append(Note("chosen", text))


def _listed(candidates: Sequence[_Candidate]) -> str:
    shown = [quoted(candidate.document.path) for candidate in candidates[:4]]
    more = f" and {len(candidates) - 4} more" if len(candidates) > 4 else ""
    return ", ".join(shown) + more


def _concerned(primary: Sequence[_Candidate], ranked: Sequence[_Candidate], roots: Sequence[str]) -> list[_Candidate]:
    """Return the documents whose breakages matter: those used, modules, and those that lost a wanted name."""
    concerned = []
    for candidate in ranked:
        lost = {name for block in candidate.document.blocks for piece in block.broken for name in piece.names}
        if candidate in primary or candidate.document.is_module or lost & set(roots) or not primary:
            concerned.append(candidate)
    return concerned


def _broken(candidates: Sequence[_Candidate], table: _Table, notes: list[Note]) -> dict[str, str]:
    """Return what does not compile, by the names lost to it, and say so cell by cell."""
    broken: dict[str, str] = {}
    for candidate in candidates:
        for block in candidate.document.blocks:
            for breakage in block.broken:
                if breakage.is_misplaced:
                    continue
                place = f"line {breakage.line}: " if breakage.line else ""
                where = f"{block.label}, {place}{breakage.message}"[:MAX_NOTE_CHARACTERS]
                lost = [name for name in breakage.names if candidate.space.last_binding(name) is None]
                broken.update({name: where for name in lost if len(name) <= MAX_NAME_CHARACTERS})
                names = ", ".join(quoted(name) for name in lost[:5])
                cost = f" It costs {names}." if lost else ""
                text = f"{quoted(block.label)} does not compile ({place}{breakage.message}).{cost}"
                notes.append(Note("broken-cell", text))
    return {name: where for name, where in broken.items() if name not in table.plans}


def _misplaced(ranked: Sequence[_Candidate], roots: Sequence[str], table: _Table, notes: list[Note]) -> dict[str, str]:
    """Return where wanted names stand in cells that are no code cells, and say so cell by cell."""
    found: dict[str, str] = {}
    for candidate in ranked:
        for block in candidate.document.blocks:
            for name in [name for piece in block.broken if piece.is_misplaced for name in piece.names]:
                if name in roots and name not in table.plans:
                    found[name] = f"`{name}` stands in {quoted(block.label)}, which is no code cell."
                    text = f"{found[name]} Change the cell's type to Code, run all cells, and hand in again."
                    notes.append(Note("skipped-cell", text))
    return found


def _unwritten(wanted: Sequence[str], homes: Mapping[str, _Candidate]) -> list[str]:
    """Return the wanted names whose definition still holds what was handed out in place of an answer."""
    found = []
    for name in wanted:
        root, _, attribute = name.partition(".")
        statement = homes[root].space.last_binding(root) if root in homes else None
        node: ast.AST | None = statement.node if statement is not None else None
        if attribute and isinstance(node, ast.ClassDef):
            node = next((method for method in methods(node) if method.name == attribute), None)
            if homes[root].space.all_changes(root):
                continue  # a later statement may have put another method in its place
        if node is not None and is_placeholder(node):
            found.append(name)
    return found


def _not_run(
    roots: Sequence[str], homes: Mapping[str, _Candidate], ranked: Sequence[_Candidate], table: _Table
) -> dict[str, str]:
    """
    Return names that plans or questions need, and that only code which is not run makes -> label of its cell.
    """
    found = {name: label[:MAX_LABEL_CHARACTERS] for name, label in table.left_out.items() if name not in roots}
    spaces = {name: [space] for name, space in table.unresolved.items()}
    spaces.update({root: [candidate.space for candidate in ranked] for root in roots if root not in homes})
    for name in sorted(spaces):
        labels = [label for space in spaces[name] if (label := space.blocked_in(name)) is not None]
        if labels and len(name) <= MAX_NAME_CHARACTERS:
            found[name] = labels[0][:MAX_LABEL_CHARACTERS]
    return found
