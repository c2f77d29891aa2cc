"""Under which names the submission's .py files, and notebooks that it imports, can be imported (worker side)."""

from __future__ import annotations

import ast
import importlib.util
import keyword
import os
import sys
from collections.abc import Iterable, Sequence

from grader.intake.definitions import Block
from grader.intake.documents import Document
from grader.intake.names import quoted
from grader.intake.report import MAX_MODULES, MAX_NAME_CHARACTERS, Note

_OURS = frozenset({"grader", "reference"})


def importable(documents: Sequence[Document], notes: list[Note]) -> dict[str, str]:
    """
    Return dotted module name -> source for every .py file, by each name that a notebook could import it by.

    That is the path from the notebook's folder, or from the submission's top folder, or (for those who extend
    `sys.path`) the file's own name; in this order, the first file to claim a name gets it. Every parent
    package of a dotted name is there too. A name that is taken by the standard library or an installed
    package is left out. A notebook has the names under which some code imports it, as `import_ipynb`, `nbimporter` and
    `ipynb.fs.full` allow it.
    """
    modules = [document for document in documents if document.is_module]
    bases = list(dict.fromkeys(document.folder for document in documents if not document.is_module))
    top = os.path.commonprefix([document.folder for document in documents])
    bases.append(top[: top.rfind("/") + 1])
    found: dict[str, str] = {}
    shadows: dict[str, str] = {}
    for base in [*bases, None]:
        for document in modules:
            name = _dotted(document, base)
            if name is None or name in found or len(name) > MAX_NAME_CHARACTERS:
                continue
            if _is_taken(name.split(".")[0]):
                shadows.setdefault(name.split(".")[0], document.path)
            elif len(found) < MAX_MODULES // 2:
                found[name] = document.blocks[0].source
    for name, source in _imported_notebooks(documents).items():
        if name not in found and not _is_taken(name.split(".")[0]) and len(found) < MAX_MODULES // 2:
            found[name] = source
    for name in list(found):
        for parent in _parents(name):
            if len(found) < MAX_MODULES:
                found.setdefault(parent, "")
    for name, path in shadows.items():
        text = f"{quoted(path)} has the name of the installed module {quoted(name)}, which is imported instead."
        notes.append(Note("shadowed", text + " Give your file another name."))
    return found


def _imported_notebooks(documents: Sequence[Document]) -> dict[str, str]:
    """Return the notebooks that some code imports, by the name that it uses."""
    by_stem: dict[str, Document] = {}
    for document in documents:
        if not document.is_module:
            # import_ipynb finds `my patches.ipynb` for `import my_patches`.
            by_stem.setdefault(document.name.rpartition(".ipynb")[0].replace(" ", "_"), document)
    names = {name for document in documents for name in _imports(document) if len(name) <= MAX_NAME_CHARACTERS}
    stems = {name: name.rpartition(".")[2] for name in sorted(names)}
    return {name: _as_module(by_stem[stem]) for name, stem in stems.items() if stem in by_stem}


def _imports(document: Document) -> Iterable[str]:
    """Yield the modules that a document's code imports, inside functions and blocks too."""
    for block in document.blocks:
        if "import" in block.source:
            for statement in block.statements:
                for node in ast.walk(statement.node):
                    if isinstance(node, ast.Import):
                        yield from (alias.name for alias in node.names)
                    elif isinstance(node, ast.ImportFrom) and node.module:
                        yield node.module


def _as_module(notebook: Document) -> str:
    """
    Return the definitions of a notebook as one source, each cell below a line with its label.

    The worker reads these lines (`probes.student.cells_of_module`). What is not run in a notebook is left out here too.
    """
    return "".join(f"# %% {block.label}\n{_definitions(block)}\n" for block in notebook.blocks if block.statements)


def _definitions(block: Block) -> str:
    """Return a cell without its statements that are never run, each line where it was."""
    lines = block.source.split("\n")
    kept: set[int] = set()
    for statement in block.statements:
        if statement.is_runnable or statement.harm is None:
            decorators = getattr(statement.node, "decorator_list", [])
            first = min([statement.node.lineno, *(decorator.lineno for decorator in decorators)])
            kept.update(range(first, (statement.node.end_lineno or first) + 1))
    return "\n".join(line if number in kept else "" for number, line in enumerate(lines, start=1))


def _dotted(document: Document, base: str | None) -> str | None:
    """Return the module name as seen from a folder; None if the file is not below it or is no legal name."""
    if base is None:
        path = document.name
    elif document.path.startswith(base):
        path = document.path[len(base) :]
    else:
        return None
    pieces = path[: -len(".py")].split("/")
    if pieces[-1] == "__init__":
        pieces.pop()
    if not pieces or not all(piece.isidentifier() and not keyword.iskeyword(piece) for piece in pieces):
        return None
    return ".".join(pieces)


def _parents(name: str) -> Iterable[str]:
    pieces = name.split(".")
    return (".".join(pieces[:count]) for count in range(1, len(pieces)))


def _is_taken(name: str) -> bool:
    if name in _OURS or name in sys.stdlib_module_names or name in sys.builtin_module_names:
        return True
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError, OSError):
        return name in sys.modules
    # A folder without code (a namespace package) is no installed module: any folder on the path looks like
    # one.
    return spec is not None and spec.origin is not None
