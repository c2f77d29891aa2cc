"""Bringing a student's definitions to life: what fails costs its own names, and nothing of ours is shadowed."""

from __future__ import annotations

import ast
import sys
import textwrap
from collections.abc import Iterator
from typing import Any

import pytest
import torch

from grader.probes.absent import Absent
from grader.probes.student import NOTEBOOK_MODULE, Cell, Code, MissingName, Student, load


@pytest.fixture(autouse=True)
def _clean_imports() -> Iterator[None]:
    """Take out of the process what a test's student code put into the import system."""
    finders, modules = list(sys.meta_path), dict(sys.modules)
    yield
    sys.meta_path[:] = finders
    for name in [name for name in sys.modules if name not in modules]:
        del sys.modules[name]


def student_of(*sources: str, modules: dict[str, str] | None = None, given: dict[str, object] | None = None) -> Student:
    """Run every statement of some cells and return the namespace."""
    cells = [Cell(f"nb.ipynb, code cell {index + 1}", textwrap.dedent(source)) for index, source in enumerate(sources)]
    steps = [(index, step) for index, cell in enumerate(cells) for step in range(len(ast.parse(cell.source).body))]
    return load(Code(cells, steps, modules or {}), given or {})


def test_only_the_asked_statements_run_in_their_order() -> None:
    """A plan may leave statements out and need not follow the notebook."""
    code = Code([Cell("one", "a = 1\nraise SystemExit\nb = a + 1"), Cell("two", "a = 10")], [(1, 0), (0, 2)])

    student = load(code, {})

    assert (student.get("a"), student.get("b")) == (10, 11)


def test_a_failing_statement_costs_only_its_own_names() -> None:
    """What stands before and after it is there, and the exception is kept for whoever asks for the lost name."""
    student = student_of(
        """
        def before(): return 1
        table = 1 / 0
        first, second = [], undefined
        class Broken:
            raise ValueError("in the body")
        def after(): return before() + 1
        """
    )

    assert student.get("after")() == 2
    causes = {}
    for name in ("table", "first", "Broken"):
        with pytest.raises(MissingName) as caught:
            student.get(name)
        causes[name] = type(caught.value.__cause__)
    assert causes == {"table": ZeroDivisionError, "first": NameError, "Broken": ValueError}


@pytest.mark.parametrize("raised", ["SystemExit(0)", "KeyboardInterrupt", "GeneratorExit", "BaseException('x')"])
def test_statements_that_try_to_leave_do_not(raised: str) -> None:
    """exit() in a cell costs nothing that is graded."""
    assert student_of(f"raise {raised}", "x = 1").get("x") == 1


def test_running_out_of_memory_is_not_swallowed() -> None:
    """The sandbox has to hear of it."""
    with pytest.raises(MemoryError):
        student_of("raise MemoryError")


def test_a_name_that_is_nowhere_is_missing_without_a_cause() -> None:
    """That is another message than a definition that failed."""
    with pytest.raises(MissingName) as caught:
        student_of("x = 1").get("y")
    assert caught.value.__cause__ is None


@pytest.mark.parametrize(
    ("statement", "name"),
    [
        ("import torchvision_absent", "torchvision_absent"),
        ("import torchvision_absent.transforms as T", "T"),
        ("from torchvision_absent import datasets as D", "D"),
        ("from torchvision_absent.transforms import ToTensor", "ToTensor"),
        ("from google_absent.colab import drive", "drive"),
    ],
)
def test_an_absent_library_can_be_imported_named_and_inherited_from(statement: str, name: str) -> None:
    """Only computing with it raises, with its name, so that an unused import costs nothing."""
    student = student_of(statement, f"class Data({name}): pass\ndef use(): return {name}.anything('x')")

    assert isinstance(student.get(name), Absent)
    assert isinstance(student.get("Data")(), student.get("Data"))
    with pytest.raises(ModuleNotFoundError, match="is not available to the grader"):
        student.get("use")() + 1


@pytest.mark.parametrize(
    "statement", ["import absent_one, torch", "import torch, absent_one", "import torch.absent_one"]
)
def test_an_absent_name_does_not_cost_the_library_beside_it(statement: str) -> None:
    """Each name of an import is bound on its own."""
    assert student_of(statement).get("torch") is torch


def test_a_name_that_a_library_lacks_does_not_cost_the_others() -> None:
    """from-imports are bound name by name too."""
    student = student_of("from torch import nn, absent_name as other")

    assert student.get("nn") is torch.nn
    assert isinstance(student.get("other"), Absent)


def test_own_modules_and_packages_can_be_imported() -> None:
    """Helpers beside the notebook, in folders too, are found, each run once."""
    modules = {
        "helpers": "from package.inner import value\ncount = 0\ndef twice(x): return 2 * x",
        "package": "",
        "package.inner": "value = 21",
    }
    student = student_of(
        "from helpers import twice, value\nimport helpers\nhelpers.count += 1\nimport helpers as again", modules=modules
    )

    assert student.get("twice")(student.get("value")) == 42
    assert student.get("again").count == 1


def test_a_failing_statement_of_a_module_costs_only_its_own_names() -> None:
    """A module's definitions are there even if a line of it fails."""
    modules = {"helpers": "def f(): return 1\n1 / 0\ndef g(): return 2"}
    student = student_of("from helpers import f, g", modules=modules)

    assert student.get("f")() + student.get("g")() == 3


def test_a_file_named_like_a_library_never_wins() -> None:
    """torch.py or json.py beside the notebook shadows nothing, for the student's code nor for ours."""
    modules = {"torch": "raise RuntimeError", "json": "loads = None", "grader": "", "colorsys": "hls_to_rgb = None"}
    student = student_of("import torch, json, colorsys, grader.wire", modules=modules)

    assert student.get("torch") is torch
    assert student.get("json") is sys.modules["json"]
    assert student.get("json").loads is not None
    assert student.get("colorsys").hls_to_rgb is not None


def test_given_names_are_there_until_the_student_defines_them() -> None:
    """Own definitions win over handed-out ones."""
    given: dict[str, object] = {"Transformer": "given", "index_sequence": "given"}
    student = student_of("Transformer = 'own'", given=given)

    assert (student.get("Transformer"), student.get("index_sequence")) == ("own", "given")


def test_what_jupyter_offers_is_there_without_effect() -> None:
    """get_ipython, display and magics that the notebook was turned into do nothing."""
    student = student_of(
        "get_ipython().run_line_magic('pip', 'install x')\nfiles = get_ipython().getoutput('ls')\ndisplay(files)"
    )

    assert student.get("files") == []


def test_a_replaced_helper_is_replaced_wherever_it_is_looked_up() -> None:
    """In the notebook and in own modules alike, or a lent helper would not reach all callers."""
    modules = {"helpers": "def patchify(x): return 'own'\ndef use(): return patchify(0)"}
    student = student_of("from helpers import patchify, use\ndef here(): return patchify(0)", modules=modules)

    student.replace("patchify", lambda _: "lent")

    assert (student.get("here")(), student.get("use")()) == ("lent", "lent")


def test_classes_know_their_module_and_source() -> None:
    """inspect and dataclasses look a class up in its module; tracebacks show the cell's lines."""
    student = student_of("from dataclasses import dataclass\n@dataclass\nclass Pair:\n    a: 'int' = 1")

    import inspect

    assert student.get("Pair")().a == 1
    assert student.get("Pair").__module__ == NOTEBOOK_MODULE
    assert sys.modules[NOTEBOOK_MODULE] is student.module
    source: Any = inspect.getsource(student_of("def f():\n    return 1").get("f"))
    assert source == "def f():\n    return 1"
