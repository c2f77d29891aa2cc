"""
What the site takes from the code: commands, questions, schemas and words, so that none of it can go stale.

A page asks for a piece by a line such as `<!-- generated: commands -->`; a piece that nobody knows fails the build.
"""

from __future__ import annotations

import ast
import itertools
import json
import re
import sys
import textwrap
from collections.abc import Callable, Iterator, Mapping
from html import escape
from pathlib import Path
from typing import Any

import click
import yaml
from mkdocs.exceptions import PluginError

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from grader.__main__ import main  # noqa: E402 - the checkout has to be on the path first
from grader.feedback.words import Judgement, question_output  # noqa: E402
from grader.rubric import Question, Rubric, load_rubric  # noqa: E402
from grader.verdicts import Evidence, Verdict  # noqa: E402
from homework.homework import HOMEWORK  # noqa: E402

_MARK = re.compile(r"^<!-- generated: ([a-z-]+) -->$", re.MULTILINE)
_WIDTH = 80


def on_page_markdown(markdown: str, **_: object) -> str:
    """Put the generated pieces into a page."""
    return _MARK.sub(lambda match: _piece(match.group(1)), markdown)


def _piece(name: str) -> str:
    if name not in _PIECES:
        raise PluginError(f"No piece is called {name!r}; there are {', '.join(sorted(_PIECES))}.")
    return _PIECES[name]()


def commands() -> Iterator[tuple[str, click.Command, click.Context]]:
    """Yield every command of `python -m grader` that does something itself, with its whole name."""
    yield from _below(main, click.Context(main, info_name="python -m grader"))


def _below(command: click.Command, context: click.Context) -> Iterator[tuple[str, click.Command, click.Context]]:
    if not isinstance(command, click.Group):
        yield context.command_path, command, context
        return
    if command.invoke_without_command:
        yield context.command_path, command, context
    for name, inner in sorted(command.commands.items()):
        yield from _below(inner, click.Context(inner, parent=context, info_name=name, max_content_width=_WIDTH))


def _show_commands() -> str:
    shown = []
    for name, command, context in commands():
        context.terminal_width = _WIDTH
        shown.append(f"## {name.removeprefix('python -m grader ')}\n\n```text\n{command.get_help(context)}\n```")
    return "\n\n".join(shown)


def _show_scripts() -> str:
    """Show the comments at the head of the scripts."""
    return "\n\n".join(_show_script(name) for name in ("setup.sh", "run_autograder", "run_tests"))


def _show_script(name: str) -> str:
    """Return the first paragraph as text and what follows, if anything, as it stands there."""
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()[1:]
    comment = [line.removeprefix("#")[1:] for line in itertools.takewhile(lambda line: line.startswith("#"), lines)]
    text, _, usage = "\n".join(comment).partition("\n\n")
    text = re.sub(r"\./\S+ [^,\n]+|/autograder/\w+", r"`\g<0>`", text)
    return f"## ./{name}\n\n{text}" + (f"\n\n```text\n{textwrap.dedent(usage)}\n```" if usage else "")


def _show_questions() -> str:
    """Show what students may know of the rubric: the questions that they see."""
    rubric = load_rubric(HOMEWORK.rubric)
    return "\n\n".join(_show_part(rubric, part.name, part.title) for part in HOMEWORK.parts)


def _show_part(rubric: Rubric, part: str, title: str) -> str:
    asked = [question for question in rubric.questions if question.part == part and not question.hidden]
    lines = [f"## {title}: {sum(question.points for question in asked):g} points", ""]
    lines += ["| No. | Points | Question |", "|---|--:|---|"]
    lines += [f"| {each.number} | {each.points:g} | **{each.title}**<br>{each.asked} |" for each in asked]
    return "\n".join(lines)


def _show_rubric() -> str:
    schema = _schema("rubric")
    question = schema["$defs"]["questions"]["items"]
    return f"## At the top\n\n{_fields(schema)}\n\n## Of each question\n\n{_fields(question)}"


def _show_results() -> str:
    schema = _schema("results")
    test = schema["$defs"]["test"]
    tables = {
        "At the top": schema,
        "Of each test": test,
        "extra_data of a test": test["properties"]["extra_data"],
        "A picture": schema["$defs"]["picture"],
        "An array of a picture": schema["$defs"]["array"],
    }
    return "\n\n".join(f"## {title}\n\n{_fields(part)}" for title, part in tables.items())


def _schema(name: str) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((ROOT / "grader" / "schemas" / f"{name}.schema.json").read_text("utf-8"))
    return content


def _fields(schema: Mapping[str, Any]) -> str:
    """Return a table of an object's fields."""
    lines = ["| Field | What it is | Type | Needed |", "|---|---|---|---|"]
    for name, field in schema["properties"].items():
        if "description" not in field:
            raise PluginError(f"The schema does not describe {name!r}.")
        needed = "yes" if name in schema["required"] else ""
        lines.append(f"| `{name}` | {escape(field['description'], quote=False)} | {_type(field)} | {needed} |")
    return "\n".join(lines)


def _type(field: Mapping[str, Any]) -> str:
    if "enum" in field:
        return " ".join(f"`{value}`" for value in field["enum"])
    if "$ref" in field:
        return str(field["$ref"].rpartition("/")[2])
    if field["type"] == "array":
        return f"list of {_type(field['items'])}"
    return str(field["type"])


def _show_verdicts() -> str:
    """Show each verdict with the sentence that a student reads."""
    question = Question("vision", "1", "patchify.output", 1, "", "")
    lines = ["| Verdict | What the student reads |", "|---|---|"]
    for verdict in Verdict:
        said = question_output(Judgement(question, Evidence(verdict))).split("\n\n")[1]
        lines.append(f"| `{verdict.value}` | {said.strip('*')} |")
    return "\n".join(lines)


def _show_sandbox() -> str:
    """Show the promises at the head of the sandbox."""
    tree = ast.parse((ROOT / "grader" / "sandbox" / "__init__.py").read_text(encoding="utf-8"))
    said = str(ast.get_docstring(tree)).replace(":\n- ", ":\n\n- ")
    return said.partition("\n")[2].strip()


def _written() -> dict[str, Any]:
    """Return how the written part is graded."""
    content: dict[str, Any] = yaml.safe_load((ROOT / "reference" / "written_rubric.yaml").read_text("utf-8"))
    return content


def _show_scale() -> str:
    lines = ["| Points | When |", "|--:|---|"]
    return "\n".join([*lines, *(f"| {points} | {when} |" for points, when in _written()["scale"].items())])


def _show_written_rubric() -> str:
    """Show for each part what full, half and no credit need, and usual mistakes."""
    pieces = [_show_scale()]
    for part in _written()["parts"]:
        pieces += [f"## {part['part']}", part["asks"]]
        needs = (("Full", "full"), ("Half", "half"), ("None", "none"))
        pieces.append(
            "\n".join(["| Credit | Needs |", "|---|---|", *(f"| {word} | {part[key]} |" for word, key in needs)])
        )
        pieces.append("\n".join(["Usual mistakes:", "", *(f"- {each['what']}" for each in part["mistakes"])]))
    return "\n\n".join(pieces)


def gradescope_items() -> dict[str, list[tuple[int, str]]]:
    """Return the rubric items of each part: an adjustment of points (negative scoring, of 10) and its description."""
    items = {}
    for part in _written()["parts"]:
        costs = [(-each["cost"], each["what"]) for each in part["mistakes"]]
        whole = [(0, f"Complete: {part['full']}"), (-5, f"Half: {part['half']}"), (-10, f"No credit: {part['none']}")]
        items[part["part"]] = [*whole, *costs, (-8, "An attempt that does not lead to the answer.")]
    return items


def _show_gradescope_items() -> str:
    pieces = []
    for part, items in gradescope_items().items():
        lines = "\n".join(f"{points or '-0'}  {what}" for points, what in items)
        pieces.append(f"### Items of {part}\n\n```text\n{lines}\n```")
    return "\n\n".join(pieces)


def _show_self_grade() -> str:
    """Show the form, and above it the scale."""
    lines = ["| Part | Full credit needs | Half credit | Your points | Why |", "|---|---|---|---|---|"]
    lines += [f"| {part['part']} | {part['full']} | {part['half']} | | |" for part in _written()["parts"]]
    return _show_scale() + "\n\n" + "\n".join(lines)


def _include(path: str) -> Callable[[], str]:
    """Return a piece that is a whole file; links to files of the repository become the names that they show."""

    def include() -> str:
        text = (ROOT / path).read_text(encoding="utf-8")
        return re.sub(r"\[([^\]]+)\]\((?!https?:|#)[^)]*\)", r"\1", text)

    return include


_PIECES: dict[str, Callable[[], str]] = {
    "commands": _show_commands,
    "scripts": _show_scripts,
    "questions": _show_questions,
    "rubric-fields": _show_rubric,
    "results-fields": _show_results,
    "verdicts": _show_verdicts,
    "written-rubric": _show_written_rubric,
    "gradescope-items": _show_gradescope_items,
    "self-grade": _show_self_grade,
    "sandbox": _show_sandbox,
    "contributing": _include("CONTRIBUTING.md"),
    "changelog": _include("CHANGELOG.md"),
}
