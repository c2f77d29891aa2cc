"""
Which questions a change of the solved homework can reach: the others need not be asked again.

A definition reaches all whose names it mentions, a method each method of that name. That is more than it uses, never
less, for code without tricks such as `setattr` or `exec`; it is meant for changes of our own.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Iterator, Mapping
from functools import cache

from grader.pipeline.homework import Part
from grader.rubric import Question
from grader.trust.cases import Changes, questions_of
from homework.homework import HOMEWORK
from tests.known import CHECKS

_COPY = "utils_classification_copypaste.py"
_COPY_CHECK = "meta_learning_classification.output"
Definitions = Mapping[str, frozenset[str]]


def affected_checks(changes: Changes, part: Part) -> frozenset[str]:
    """Return the checks of a part whose functions, or anything that they reach, the changes touch."""
    before, after = _solved_files(part), _files(changes, part)
    touched = frozenset(
        question.check
        for question in questions_of(HOMEWORK, part)
        if _reached(before, question) != _reached(after, question)
    )
    return touched | {helper for check in touched for helper in helpers_to_ask(check)}


def helpers_to_ask(key: str) -> frozenset[str]:
    """
    Return the checks that have to be asked before another one, so that no right helper is lent to it.

    Where a helper may be lent in several ways, one of them can hide that the student's own and its caller disagree.
    """
    check = CHECKS.get(key)
    several = check is not None and len(check.lent_ways) > 1
    return frozenset(f"{need}.output" for need in check.needs) if check is not None and several else frozenset()


@cache
def _solved_files(part: Part) -> Mapping[str, Definitions]:
    return _files(Changes(), part)


def _files(changes: Changes, part: Part) -> Mapping[str, Definitions]:
    """Return the definitions of each file by name; a method is called Class.method."""
    files = changes.files_of(part)
    texts = {
        name: "\n".join(_code_cells(data)) if name.endswith(".ipynb") else data.decode() for name, data in files.items()
    }
    return {name: _definitions(text) for name, text in texts.items()}


def _code_cells(data: bytes) -> Iterator[str]:
    for cell in json.loads(data)["cells"]:
        if cell["cell_type"] == "code":
            yield "".join(cell["source"])


@cache
def _definitions(text: str) -> Definitions:
    found: dict[str, set[str]] = {}
    for node in ast.parse(text).body:
        for name, source in _named(node):
            found.setdefault(name, set()).add(source)
    return {name: frozenset(sources) for name, sources in found.items()}


def _named(node: ast.stmt) -> Iterator[tuple[str, str]]:
    """Yield what a statement defines: a function, or a class without its methods and its methods."""
    if isinstance(node, ast.ClassDef):
        methods = [part for part in node.body if isinstance(part, ast.FunctionDef) and part.name != "__init__"]
        rest = ast.ClassDef(node.name, node.bases, node.keywords, [], node.decorator_list)
        rest.body = [part for part in node.body if part not in methods] or [ast.Pass()]
        yield node.name, ast.unparse(ast.fix_missing_locations(rest))
        for method in methods:
            yield f"{node.name}.{method.name}", ast.unparse(method)
    elif isinstance(node, ast.FunctionDef):
        yield node.name, ast.unparse(node)


def _reached(files: Mapping[str, Definitions], question: Question) -> frozenset[str]:
    """Return all definitions that the function of a question reaches."""
    copied = question.check == _COPY_CHECK
    # Of a name that parts (g) and (h) both have, each uses its own.
    files = {name: definitions for name, definitions in files.items() if copied or name != _COPY}
    if copied:
        own = files[_COPY].keys()
        rest = {name: {n: s for n, s in each.items() if n not in own} for name, each in files.items() if name != _COPY}
        files = {_COPY: files[_COPY], **rest}
    by_name: dict[str, set[str]] = {}
    for definitions in files.values():
        for known, texts in definitions.items():
            for name in {known, known.rpartition(".")[2]}:
                by_name.setdefault(name, set()).update(texts)
    open_names, seen, sources = [question.function, question.function.partition(".")[0]], set(), set()
    while open_names:
        name = open_names.pop()
        if name not in seen:
            seen.add(name)
            for text in by_name.get(name, ()):
                sources.add(text)
                # A model that is mentioned is called, which nothing else says.
                open_names += [each for name in _mentions(text) for each in (name, f"{name}.forward")]
    return frozenset(sources)


@cache
def _mentions(text: str) -> frozenset[str]:
    """Return the names that a definition reads, with and without an object before them."""
    nodes = list(ast.walk(ast.parse(text)))
    names = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return frozenset(names | {node.attr for node in nodes if isinstance(node, ast.Attribute)} - {"forward"})
