"""Libraries that are not here: naming them costs nothing, computing with them names them."""

from __future__ import annotations

import ast
import copy
import sys
from collections.abc import Iterator

import pytest
import torch

from grader.probes.absent import Absent
from grader.probes.student import Cell, Code, Student, load
from grader.probes.values import split, to_array

LIBRARIES = {
    "jaxtyping": "from jaxtyping import Float as name",
    "beartype": "from beartype import beartype as name",
    "seaborn": "import seaborn as name",
    "torchvision": "import torchvision.transforms as name",
    "torchmetrics": "from torchmetrics import Accuracy as name",
    "wandb": "import wandb as name",
    "lightning": "import lightning as name",
    "torch.utils.tensorboard": "from torch.utils.tensorboard import SummaryWriter as name",
    "google.colab": "from google.colab import drive as name",
    "ipywidgets": "import ipywidgets as name",
}


@pytest.fixture(autouse=True)
def _clean_imports() -> Iterator[None]:
    """Take out of the process what a test's student code put into the import system."""
    finders, modules = list(sys.meta_path), dict(sys.modules)
    yield
    sys.meta_path[:] = finders
    for name in [name for name in sys.modules if name not in modules]:
        del sys.modules[name]


@pytest.fixture(autouse=True)
def _really_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make sure that none of these libraries is here, whatever the machine has."""
    for library in LIBRARIES:
        monkeypatch.setitem(sys.modules, library, None)


def student_of(*sources: str) -> Student:
    """Run every statement of some cells."""
    cells = [Cell(f"nb.ipynb, code cell {number}", source) for number, source in enumerate(sources, start=1)]
    steps = [(index, step) for index, cell in enumerate(cells) for step in range(len(ast.parse(cell.source).body))]
    return load(Code(cells, steps), {})


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "definition",
    [
        pytest.param("def f(x: name[int, 'b n'] | None = None) -> 'name': return 1", id="hint"),
        pytest.param("@name\ndef f(): return 1", id="decorator"),
        pytest.param("@name.part(typechecker=name)\n@name.other\ndef f(): return 1", id="decorator-with-arguments"),
        pytest.param("@name.part\nclass A: pass\ndef f(): return A() and 1", id="decorator-of-a-class"),
        pytest.param("WIDTH = name.config.width or 4\ndef f(): return name and 1", id="attribute"),
        pytest.param("kept = name.make(3).go([1])\nname.log({'a': 1})\ndef f(): return 1", id="call"),
        pytest.param("class A(name.Base): pass\ndef f(): return A(3, x=4) and 1", id="base-class"),
        pytest.param(
            "class A(name.Mixin, dict, kind=name.kind): pass\ndef f(): return len(A()) + 1", id="class-keyword"
        ),
        pytest.param("with name.init(project='x') as run:\n    n = 1\ndef f(): return n", id="context-manager"),
        pytest.param("def f():\n    name.log({'loss': 1})\n    return 1", id="call-whose-result-nobody-reads"),
        pytest.param("def f():\n    with name.record('f'):\n        return 1", id="context-manager-inside"),
        pytest.param("total = name.make(3) * 2 + 1\ndef f(): return 1", id="computed-with-at-the-top-level"),
    ],
)
def test_naming_a_library_that_is_not_here_costs_nothing(library: str, definition: str) -> None:
    """Hint, decorator, attribute, call, base class, class keyword, context manager."""
    student = student_of(LIBRARIES[library], definition)

    assert isinstance(vars(student.module)["name"], Absent)
    assert student.get("f")() == 1


@pytest.mark.parametrize("library", LIBRARIES)
@pytest.mark.parametrize(
    "body",
    [
        "name.make(x) + 1",
        "x * name.scale",
        "torch.relu(name.make(x))",
        "x @ name.weight",
        "[y for y in name.make(x)]",
        "len(name.make(x))",
        "float(name.make(x))",
        "torch.cat([x, name.make(x)])",
    ],
)
def test_computing_with_it_raises_with_its_name(library: str, body: str) -> None:
    """What is made of it is not the answer."""
    student = student_of("import torch", LIBRARIES[library], f"def f(x): return {body}")

    with pytest.raises(ModuleNotFoundError, match=rf"{library}\S* is not available to the grader"):
        student.get("f")(torch.ones(2))


def test_returning_something_of_it_raises_with_its_name() -> None:
    """A result that comes out of an absent library is told as that, not as a value of a wrong type."""
    result = student_of("from timm_absent import crop", "def f(x): return crop(x, 3)").get("f")(1)

    with pytest.raises(ModuleNotFoundError, match="timm_absent"):
        to_array("patches", result)
    with pytest.raises(ModuleNotFoundError, match="timm_absent"):
        split(result, ("kept", "mask"), where="random_masking")


def test_a_decorator_that_makes_another_function_is_no_decoration() -> None:
    """Without `vmap` the function would compute something else: the library is named."""
    student = student_of("import jax_absent", "@jax_absent.vmap\ndef f(x): return x")

    with pytest.raises(ModuleNotFoundError, match="jax_absent"):
        to_array("f", student.get("f")(1))


def test_what_checks_values_holds_inside_functions_too() -> None:
    """jaxtyping's `isinstance`, and beartype around a function that is made when another runs."""
    student = student_of(
        "from jaxtyping import Float\nfrom beartype import beartype\nfrom PIL_absent import Image",
        "def f(x):\n    assert isinstance(x, Float[list, 'n']) and not isinstance(x, Image.Image)\n"
        "    @beartype\n    def inner(y): return y + 1\n    return inner(x)",
    )

    assert student.get("f")(1) == 2


def test_a_lightning_module_is_a_module() -> None:
    """With parameters, `save_hyperparameters`, `log` and `device`."""
    student = student_of(
        "import torch\nimport lightning as L",
        "class Net(L.LightningModule):\n    def __init__(self, width=3):\n        super().__init__()\n"
        "        self.save_hyperparameters()\n        self.layer = torch.nn.Linear(width, self.hparams.width)\n"
        "    def forward(self, x):\n        self.log('x', 1)\n        return self.layer(x.to(self.device))",
    )
    net = student.get("Net")(width=2)

    assert isinstance(net, torch.nn.Module)
    assert net(torch.ones(1, 2)).shape == (1, 2)
    assert [name for name, _ in net.named_parameters()] == ["layer.weight", "layer.bias"]
    assert set(copy.deepcopy(net).state_dict()) == {"layer.weight", "layer.bias"}


def test_an_import_inside_a_function_costs_nothing() -> None:
    """Nor one in a block; where the student catches the error, their own way out is taken."""
    student = student_of(
        "if True:\n    import absent_one.part, absent_two as two",
        "def f():\n    import absent_three\n    from absent_four import plot as show\n    show(absent_three, two)\n"
        "    return 1",
        "def g():\n    try:\n        import absent_five\n    except ImportError:\n        return 2\n    return 3",
        "import contextlib\ndef h():\n    five = 5\n    with contextlib.suppress(ImportError):\n"
        "        import absent_five as five\n    return five",
    )

    assert [student.get(name)() for name in "fgh"] == [1, 2, 5]


def test_hints_that_cannot_be_looked_up_cost_nothing() -> None:
    """A definition that fails for its hints is made without looking at them; one that fails otherwise stays lost."""
    student = student_of("def f(x: Nowhere[3] = 1) -> Nothing: return x", "def g(x=nowhere): return x")

    assert student.get("f")() == 1
    assert isinstance(student.failures["g"], NameError)


def test_a_definition_that_lacks_a_name_is_tried_again_at_the_end() -> None:
    """Cells may be run out of order."""
    student = student_of("def f(x=SIZE): return x", "SIZE = 8")

    assert student.get("f")() == 8
    assert not student.failures
