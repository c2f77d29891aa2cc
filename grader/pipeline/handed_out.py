"""What a homework hands out, there for a student whose own copy is lost; nothing in it knows an answer."""

from __future__ import annotations

import functools
import json
import re

from grader.intake.report import Code, read_survey
from grader.intake.survey import survey
from grader.pipeline.homework import Homework


@functools.cache
def _given_code(homework: Homework) -> Code:
    """Return the definitions that are handed out. They are ours, so they are read in this process."""
    part = homework.group_of(homework.given_in).name
    lent_around = [each.root for each in homework.contract if each.lendable and each.method]
    wanted = {part: (*homework.given, *lent_around)}
    file = homework.templates / homework.given_in
    return read_survey(survey({file.name: file.read_bytes()}, wanted, homework.files)).parts[part]


@functools.cache
def given_request(homework: Homework, part: str) -> dict[str, object]:
    """Return what a worker needs to define the names that are handed out with a part of the homework, as JSON."""
    if not homework.given_in or homework.group_of(homework.given_in).name != part:
        return Code((), {}, {}, {}, {}).as_request((), {}, called="template cell")
    code = _given_code(homework)
    return code.as_request(code.plans, {}, called="template cell")


@functools.cache
def handed_out_names(homework: Homework) -> frozenset[str]:
    """Return the functions and classes that notebooks and modules are handed out with, filled in or to be filled in."""
    sources = [path.read_text(encoding="utf-8") for path in sorted(homework.templates.glob("*.py"))]
    for path in sorted(homework.templates.glob("*.ipynb")):
        cells = json.loads(path.read_bytes())["cells"]
        sources += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return frozenset(name for source in sources for name in re.findall(r"^(?:def|class) (\w+)", source, re.MULTILINE))


def given_modules(homework: Homework) -> dict[str, str]:
    """Return the source of the modules that are handed out, by name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(homework.templates.glob("*.py"))}
