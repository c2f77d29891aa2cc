"""The rubric: which questions there are, what each is worth and how it is worded. Staff edit the file beside."""

from __future__ import annotations

import contextlib
import difflib
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jsonschema
import yaml

from grader.errors import StaffError, why_unreadable

_SCHEMA = Path(__file__).with_name("schemas") / "rubric.schema.json"
_DEFAULT_TIME_LIMIT_S = 20.0
_NEAR = 0.6  # how alike two names are, from 0 to 1, for one to be taken for the other misspelled


@dataclass(frozen=True)
class Question:
    """One line of the report, as staff describe it; `check` is "<function>.<aspect>"."""

    part: str
    number: str
    check: str
    points: float
    title: str
    asked: str
    visibility: str = "visible"
    time_limit_s: float = _DEFAULT_TIME_LIMIT_S
    tags: tuple[str, ...] = ()

    @property
    def function(self) -> str:
        """The contract's name of what is judged."""
        return self.check.rpartition(".")[0]

    @property
    def aspect(self) -> str:
        """What about it is judged: output, gradient, behaviour, generality, claim."""
        return self.check.rpartition(".")[2]

    @property
    def hidden(self) -> bool:
        """Whether students may not see it now: it then says only passed or not, and no other question tells of it."""
        return self.visibility != "visible"


@dataclass(frozen=True)
class Rubric:
    """An assignment's enabled questions, in order, and the seconds that a whole run may take."""

    assignment: str
    time_limit_s: float
    questions: tuple[Question, ...]


def load_rubric(
    path: Path, *, known_checks: Iterable[str] | None = None, known_parts: Iterable[str] | None = None
) -> Rubric:
    """
    Read and check a rubric file.

    Args:
        path: a YAML file that follows schemas/rubric.schema.json.
        known_checks: names that `check` may have; None leaves them unchecked.
        known_parts: the parts of the homework; None leaves them unchecked.

    Raises:
        StaffError: the file is missing or wrong; it names the line.
    """
    text = _read(path)
    content = _parse(text, path)
    if content is None:
        raise StaffError(
            happened=f"The rubric {path} is empty.", try_next="Copy the homework's own rubric.yaml, and change that."
        )
    _validate(content, text, path)
    entries = [
        (part, ["parts", part, index], entry)
        for part, listed in content["parts"].items()
        for index, entry in enumerate(listed)
    ]
    if known_parts is not None:
        _reject_unknown_parts(content["parts"], list(known_parts), text, path)
    _reject_endless(entries, text, path)
    for key in ("number", "check"):
        _reject_repeats([(where, entry[key]) for _, where, entry in entries], key, text, path)
    if known_checks is not None:
        _reject_unknown_checks(entries, set(known_checks), text, path)
    questions = tuple(
        Question(part=part, **{key: value for key, value in entry.items() if key != "enabled"})
        for part, _, entry in entries
        if entry.get("enabled", True)
    )
    return Rubric(content["assignment"], float(content["time_limit_s"]), questions)


def _read(path: Path) -> str:
    try:
        data = path.read_bytes()
    except OSError as error:
        raise StaffError(
            happened=f"The rubric {path} cannot be read: {why_unreadable(error)}.",
            try_next="Name a rubric: the usual one is the homework's own rubric.yaml.",
        ) from None
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise StaffError(
            happened=f"The rubric {path.name} is not saved as UTF-8: the first letter that is not is in line {line}.",
            try_next="Save the file as UTF-8; most editors have that under Save As, as the encoding.",
        ) from None


def _parse(text: str, path: Path) -> Any:
    with contextlib.suppress(yaml.YAMLError):
        return yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
    try:
        return yaml.safe_load(text)  # slower than the one in C, and better at saying what is wrong
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = mark.line + 1 if mark is not None else 1
        problem = getattr(error, "problem", None) or "it is not YAML"
        raise _wrong(path, line, str(problem)) from None


def _validate(content: Any, text: str, path: Path) -> None:
    schema = json.loads(_SCHEMA.read_text(encoding="utf-8"))
    problems = [
        # A field that is misspelled is missing as well: what is there to be mended comes first.
        (error.validator != "additionalProperties", *_problem_of(error, text))
        for error in jsonschema.Draft202012Validator(schema).iter_errors(content)
    ]
    if problems:
        _, line, problem = min(problems)
        raise _wrong(path, line, problem)


def _problem_of(error: jsonschema.ValidationError, text: str) -> tuple[int, str]:
    """Return the line of a mistake against the schema, and what it is."""
    where = list(error.absolute_path)
    content: Any = error.instance
    rule: Any = error.validator
    schema: Any = error.schema
    place = f"at {'/'.join(map(str, where)) or 'the top'}"
    if rule == "additionalProperties":
        known = [str(name) for name in schema["properties"]]
        unknown = next(name for name in content if name not in known)
        return _line_of(text, where, key=str(unknown)), f"{place}: {_no_such_field(unknown, known, content)}"
    if rule == "required":
        missing = next(name for name in schema["required"] if name not in content)
        return _line_of(text, where), f"{place}: the field {missing!r} is missing"
    return _line_of(text, where), f"{place}: {error.message}"


def _no_such_field(unknown: Any, known: list[str], content: Iterable[Any]) -> str:
    """Return that there is no such field, with the one that may be meant and is not there yet."""
    there = set(content)
    near = difflib.get_close_matches(str(unknown), [name for name in known if name not in there], 1, _NEAR)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known)}"
    return f"there is no field {str(unknown)!r}; {hint}"


def _reject_unknown_parts(parts: dict[str, Any], known: list[str], text: str, path: Path) -> None:
    for name in parts:
        if name not in known:
            line = _line_of(text, ["parts"], key=name)
            raise _wrong(path, line, f"at parts: {_no_such_field(name, known, parts)}")


def _reject_repeats(values: list[tuple[list[Any], str]], key: str, text: str, path: Path) -> None:
    seen: set[str] = set()
    for where, value in values:
        if value in seen:
            raise _wrong(path, _line_of(text, [*where, key]), f"{key} {value!r} is there twice")
        seen.add(value)


def _reject_endless(entries: list[tuple[str, list[Any], dict[str, Any]]], text: str, path: Path) -> None:
    """YAML knows .inf and .nan, which pass every bound of a schema and fit into no results.json."""
    for _, where, entry in entries:
        for key in ("points", "time_limit_s"):
            if not math.isfinite(entry.get(key, 0)):
                raise _wrong(path, _line_of(text, [*where, key]), f"{key} is not a finite number")


def _reject_unknown_checks(
    entries: list[tuple[str, list[Any], dict[str, Any]]], known: set[str], text: str, path: Path
) -> None:
    for _, where, entry in entries:
        if entry["check"] not in known:
            line = _line_of(text, [*where, "check"])
            near = difflib.get_close_matches(entry["check"], known, 1, _NEAR)
            hint = f"did you mean {near[0]!r}?" if near else f"known are {', '.join(sorted(known))}"
            raise _wrong(path, line, f"there is no check {entry['check']!r}; {hint}")


def _wrong(path: Path, line: int, problem: str) -> StaffError:
    end = "" if problem.endswith("?") else "."
    return StaffError(
        happened=f"The rubric {path.name} is wrong in line {line}: {problem}{end}", try_next="Mend that line."
    )


def _line_of(text: str, where: list[Any], *, key: str = "") -> int:
    """
    Follow a path of keys and indexes through the YAML nodes, as far as it goes, to a line from 1.

    With `key`, that is the line of this key of the mapping at the end of the path.
    """
    node = yaml.compose(text, Loader=yaml.SafeLoader)
    line = 1 if node is None else node.start_mark.line + 1
    for step in where:
        if isinstance(node, yaml.MappingNode):
            entries = {key.value: value for key, value in node.value}
            node = entries.get(str(step))
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int):
            node = node.value[step]
        else:
            break
        if node is None:
            break
        line = node.start_mark.line + 1
    if key and isinstance(node, yaml.MappingNode):
        line = next((name.start_mark.line + 1 for name, _ in node.value if name.value == key), line)
    return line
