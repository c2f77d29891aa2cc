"""Which room may look into which: the table of CONTRIBUTING.md, held by a look at every import."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]

# Room -> rooms that it may import. A change here needs its reason in CONTRIBUTING.md, in the same table.
BELOW_PIPELINE = {
    "grader.errors",
    "grader.verdicts",
    "grader.archives",
    "grader.contract",
    "grader.checks",
    "grader.feedback",
    "grader.intake",
    "grader.probes",
    "grader.rubric",
    "grader.sandbox",
    "grader.stand_in",
    "grader.wire",
}
ALLOWED: dict[str, set[str]] = {
    "reference": set(),
    "grader.errors": set(),
    "grader.verdicts": set(),
    "grader.wire": set(),
    "grader.contract": set(),
    "grader.archives": set(),
    "grader.stand_in": set(),
    "grader.sandbox": {"grader.wire", "grader.errors"},
    "grader.intake": {"grader.wire", "grader.errors", "grader.archives"},
    "grader.probes": {"grader.wire", "grader.contract"},
    "grader.rubric": {"grader.errors"},
    "grader.checks": {"grader.wire", "grader.verdicts", "grader.contract"},
    "grader.feedback": {"grader.verdicts", "grader.rubric", "grader.errors"},
    "grader.pipeline": BELOW_PIPELINE,
    "grader.release": {"grader.errors", "grader.rubric", "grader.pipeline", "grader.stand_in"},
    "grader.simulate": {"grader.errors", "grader.archives"},
    "grader.preview": {"grader.errors", "grader.verdicts", "grader.feedback"},
    "grader.audit": {
        "grader.errors",
        "grader.wire",
        "grader.sandbox",
        "grader.intake",
        "grader.probes",
        "grader.checks",
        "grader.pipeline",
    },
    "grader.fleet": {
        "grader.archives",
        "grader.errors",
        "grader.feedback",
        "grader.intake",
        "grader.pipeline",
        "grader.rubric",
        "grader.sandbox",
        "grader.verdicts",
        "grader.wire",
    },
    "grader.trust": {*BELOW_PIPELINE, "grader.pipeline", "grader.release"},
    "grader.commands": {
        *BELOW_PIPELINE,
        "grader.pipeline",
        "grader.release",
        "grader.simulate",
        "grader.preview",
        "grader.audit",
        "grader.trust",
        "grader.fleet",
    },
    "grader.__main__": {"grader.commands", "grader.errors", "grader.pipeline"},
    "homework": {*BELOW_PIPELINE, "grader.pipeline", "grader.release", "grader.trust", "reference"},
}
# The zygote is forked off before any of these comes in: the answers are never in the room.
SECRET_ROOMS = {"reference", "grader.checks"}
# Of the homework, what workers may know; all else of it knows answers.
OPEN_MODULES = {"homework", "homework.homework", "homework.contract"}


def modules_of(package: str) -> dict[str, Path]:
    """Return the modules below a top-level package by dotted name; notebook sources are text, not modules."""
    found = {}
    for path in sorted((ROOT / package).rglob("*.py")):
        if "notebooks" in path.relative_to(ROOT).parts:
            continue
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = {**modules_of("grader"), **modules_of("homework"), **modules_of("reference")}


def room_of(module: str) -> str | None:
    """Return the room that a module belongs to; None for `grader` itself, which is empty."""
    first, _, rest = module.partition(".")
    if first in ("reference", "homework"):
        return first
    return f"{first}.{rest.partition('.')[0]}" if rest else None


def imports_of(tree: ast.AST, *, at_run_time_only: bool = False) -> Iterator[str]:
    """
    Yield the dotted names of our own modules that a syntax tree imports.

    Args:
        tree: of a module.
        at_run_time_only: leave out what stands in functions and under `if TYPE_CHECKING`.
    """
    for node in ast.iter_child_nodes(tree):
        if at_run_time_only and _runs_later_or_never(node):
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if _is_ours(alias.name))
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute, so that this test can read them"
            if node.module is not None and _is_ours(node.module):
                for alias in node.names:
                    whole = f"{node.module}.{alias.name}"
                    yield whole if whole in MODULES else node.module
        else:
            yield from imports_of(node, at_run_time_only=at_run_time_only)


def _runs_later_or_never(node: ast.AST) -> bool:
    if isinstance(node, ast.If) and isinstance(node.test, ast.Name):
        return node.test.id == "TYPE_CHECKING"
    return isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)


def _is_ours(name: str) -> bool:
    return name.partition(".")[0] in ("grader", "homework", "reference")


@pytest.mark.parametrize("module", MODULES)
def test_a_module_imports_only_what_its_room_may(module: str) -> None:
    """Every import of our own code, wherever in a module it stands, is in the table."""
    room = room_of(module)
    looked_into = {room_of(name) for name in imports_of(ast.parse(MODULES[module].read_text(encoding="utf-8")))}
    looked_into -= {room, None}

    assert room is None or looked_into <= ALLOWED[room], f"{module} looks into {sorted(map(str, looked_into))}"
    assert room is not None or not looked_into


def test_the_table_has_every_room_and_no_more() -> None:
    """A new room gets its line, an old one loses it."""
    rooms = {room for module in MODULES if (room := room_of(module)) is not None}

    assert set(ALLOWED) == rooms


def test_the_table_is_a_one_way_street() -> None:
    """No two rooms look into each other, by any detour."""

    def reached(room: str) -> set[str]:
        return ALLOWED[room].union(*(reached(other) for other in ALLOWED[room]))

    assert all(room not in reached(room) for room in ALLOWED)


def test_the_guide_for_contributors_shows_the_same_table() -> None:
    """CONTRIBUTING.md has a row for each room: its paths, its purpose, what it may import."""
    shown: dict[str, set[str]] = {}
    for line in (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").splitlines():
        columns = [column.strip() for column in line.strip("|").split("|")]
        if len(columns) == 3 and columns[0].startswith("`"):
            rooms = [
                path.strip(" `").removesuffix(".py").strip("/").replace("/", ".") for path in columns[0].split(",")
            ]
            shown.update({room: _named_rooms(columns[2], set(shown)) for room in rooms})

    assert shown == ALLOWED


def _named_rooms(text: str, above: set[str]) -> set[str]:
    if text == "all of the above":
        return above
    if text.startswith("nothing"):
        return set()
    return {name if name in ("reference", "homework") else f"grader.{name}" for name in text.split(", ")}


def loaded_by(module: str) -> set[str]:
    """Return all of our modules that importing one brings in at once."""
    found: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name in found or name not in MODULES:
            continue
        found.add(name)
        waiting += [".".join(name.split(".")[:depth]) for depth in range(1, len(name.split(".")))]
        waiting += imports_of(ast.parse(MODULES[name].read_text(encoding="utf-8")), at_run_time_only=True)
    return found


@pytest.mark.parametrize("library", ["jinja2", "markupsafe", "markdown_it"])
def test_grading_needs_nothing_that_pages_are_made_with(library: str) -> None:
    """It is installed without: of what grading loads, no room may import it."""
    users = {
        room_of(module)
        for module, path in MODULES.items()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if library in {name.partition(".")[0] for name in [getattr(node, "module", None) or "", *_names(node)]}
    }

    assert "grader.preview" in users  # the search finds what is there
    assert not users & {*BELOW_PIPELINE, "grader.pipeline", "grader.commands", "grader.__main__"}


def _names(node: ast.AST) -> list[str]:
    return [alias.name for alias in node.names] if isinstance(node, ast.Import) else []


@pytest.mark.parametrize(
    "module",
    [
        "grader.__main__",
        "grader.commands.grade",
        "grader.commands.audit",
        "grader.pipeline.run",
        "grader.fleet.nursery",
        # What workers do; `grader.pipeline.run` imports these just before the fork.
        "grader.probes.task",
        "grader.probes.saved",
        "homework.homework",
        "homework.probes",
        "grader.audit.plan",
        "grader.audit.execute",
        "grader.audit.compare",
    ],
)
def test_nothing_that_is_loaded_before_the_fork_knows_an_answer(module: str) -> None:
    """What the zygote has in memory, every worker has: no reference and no check is among it."""
    loaded = loaded_by(module)

    assert not {room_of(name) for name in loaded} & SECRET_ROOMS
    assert all(
        name in OPEN_MODULES or name.startswith("homework.probes") for name in loaded if room_of(name) == "homework"
    )
    assert loaded_by("homework.answers") & set(modules_of("reference"))  # the search finds what is there


def test_the_harness_knows_no_homework() -> None:
    """It is handed one object, and imports nothing of the homework or of the reference."""
    users = {
        module
        for module, path in MODULES.items()
        if module.startswith("grader")
        and {room_of(name) for name in imports_of(ast.parse(path.read_text(encoding="utf-8")))}
        & {"homework", "reference"}
    }

    assert not users


def test_the_self_check_works_without_the_reference() -> None:
    """What `check` imports at once holds no answer, so it can be handed out where the reference is not."""
    assert "reference" not in {room_of(name) for name in loaded_by("grader.commands.check")}
