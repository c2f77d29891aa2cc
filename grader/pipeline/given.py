"""What the homework hands out, there for a student whose own copy is lost; nothing in it knows an answer."""

from __future__ import annotations

import functools
import json
import re
from pathlib import Path

from grader.intake.report import Code, read_survey
from grader.intake.survey import survey

TEMPLATES = Path(__file__).parents[2] / "student_templates"
# Names that the vision template hands out, used where the student's code does not define them.
GIVEN_NAMES = ("index_sequence", "Transformer")
_NOTEBOOK = "MAE_student.ipynb"
_LENT_AROUND = "MaskedAutoEncoder"  # the handed-out class is what a lent method is put into


@functools.cache
def given_code() -> Code:
    """Return the vision template's own definitions. It is ours, so it is read in this process."""
    wanted = {"vision": (*GIVEN_NAMES, _LENT_AROUND)}
    return read_survey(survey({_NOTEBOOK: (TEMPLATES / _NOTEBOOK).read_bytes()}, wanted)).parts["vision"]


@functools.cache
def given_request(part: str) -> dict[str, object]:
    """Return what a worker needs to define the names that are handed out with a part of the homework, as JSON."""
    code = given_code() if part == "vision" else Code((), {}, {}, {}, {})
    return code.as_request(code.plans, {})


@functools.cache
def handed_out_names() -> frozenset[str]:
    """Return the functions and classes that notebooks and modules are handed out with, filled in or to be filled in."""
    sources = [path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.glob("*.py"))]
    for path in sorted(TEMPLATES.glob("*.ipynb")):
        cells = json.loads(path.read_bytes())["cells"]
        sources += ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]
    return frozenset(name for source in sources for name in re.findall(r"^(?:def|class) (\w+)", source, re.MULTILINE))


def given_modules() -> dict[str, str]:
    """Return the source of the modules that are handed out, by name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(TEMPLATES.glob("*.py"))}
