"""
Modules that students get beside the notebooks, solved or as handed out.

A line `# include="grader.checks.compare:compare" closure=true` stands for the source of what it names, as in notebooks.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from grader.release.notebooks import included_source, require_once
from grader.release.regions import without_markers, without_solutions

_INCLUDE = re.compile(r'^# include="(?P<include>[^"]+)"(?P<closure> closure=true)?$', re.MULTILINE)


def module_sources(folder: Path) -> list[Path]:
    """Return the sources of all modules beside the notebooks of a folder, in the order of their names."""
    return sorted((folder / "modules").glob("*.py"))


def solved_modules(folder: Path) -> dict[str, str]:
    """
    Return the text of every module with its solutions, by file name.

    Raises:
        StaffError: a marker in a source is wrong.
    """
    return {path.name: without_markers(_text(path), origin=path.name) + "\n" for path in module_sources(folder)}


def template_modules(folder: Path) -> dict[str, str]:
    """Return the text of every module as students get it; errors are those of `solved_modules`."""
    return {path.name: without_solutions(_text(path), origin=path.name) + "\n" for path in module_sources(folder)}


def edit_modules(modules: Mapping[str, str], edits: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """
    Return modules with pieces of their text replaced.

    Args:
        modules: text by file name.
        edits: for some file names, old text to new text; each old text stands exactly once in that module.

    Raises:
        StaffError: an old text is missing or stands there more than once.
    """
    edited = dict(modules)
    for name, replacements in edits.items():
        for old, new in replacements.items():
            require_once(old, count=edited.get(name, "").count(old), where=name)
            edited[name] = edited[name].replace(old, new)
    return edited


def _text(path: Path) -> str:
    def included(line: re.Match[str]) -> str:
        return included_source(line["include"], closure=line["closure"] is not None, origin=path.name)

    return _INCLUDE.sub(included, path.read_text(encoding="utf-8"))
