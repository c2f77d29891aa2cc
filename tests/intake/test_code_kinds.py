"""Whole hand-ins, of the kinds that public reports of other graders name: read, run as a worker does, and told."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from grader.intake.report import Code, Intake, read_survey
from grader.intake.survey import survey
from grader.probes.ages import names_of_other_ages
from grader.probes.student import Cell, Student, load
from grader.probes.student import Code as Request


@pytest.fixture(autouse=True)
def _clean_imports() -> Iterator[None]:
    """Take out of the process what a test's student code put into the import system."""
    finders, modules = list(sys.meta_path), dict(sys.modules)
    yield
    sys.meta_path[:] = finders
    for name in [name for name in sys.modules if name not in modules]:
        del sys.modules[name]


def notebook_of(*cells: str | tuple[str, str]) -> bytes:
    """Return a notebook of code cells, and of cells of other types: (type, source)."""
    typed = [("code", cell) if isinstance(cell, str) else cell for cell in cells]
    content = [{"cell_type": kind, "metadata": {}, "source": source} for kind, source in typed]
    return json.dumps({"cells": content, "metadata": {}, "nbformat": 4}).encode()


def read(files: dict[str, bytes | str], *wanted: str) -> Intake:
    """Read a hand-in."""
    contents = {name: data.encode() if isinstance(data, str) else data for name, data in files.items()}
    return read_survey(survey(contents, {"vision": list(wanted)}))


def run(intake: Intake, *wanted: str) -> Student:
    """Run what the wanted names need, as a worker does."""
    request: Any = intake.parts["vision"].as_request(wanted, intake.modules)
    cells = [Cell(*cell) for cell in request["cells"]]
    with names_of_other_ages():
        return load(Request(cells, [(cell, step) for cell, step in request["statements"]], request["modules"]), {})


def code_of(intake: Intake) -> Code:
    """Return what was read for the one part."""
    return intake.parts["vision"]


@dataclass(frozen=True)
class HandIn:
    """A kind, what is special, the cells of `nb.ipynb`, an expression that must hold, and further files."""

    id: str
    cells: tuple[str, ...]
    holds: str
    wanted: str = "f"
    files: dict[str, bytes | str] = field(default_factory=dict)


FUTURE = "from __future__ import annotations"
NET = "class Net:\n    size = 3\n    def forward(self): raise NotImplementedError"
ADD = "def add_to_class(cls):\n    def put(g):\n        setattr(cls, g.__name__, g)\n        return g\n    return put"

HAND_INS = [
    # Compiler state.
    HandIn("flags-a-name-for-checkers", (FUTURE, "def f(x: Nowhere[3]) -> Nowhere: return x"), "f(2) == 2"),
    HandIn(
        "flags-a-dataclass",
        (f"import dataclasses\n{FUTURE}", "@dataclasses.dataclass\nclass f:\n    next: f | None = None"),
        "f().next is None and f.__annotations__ == {'next': 'f | None'}",
    ),
    HandIn(
        "flags-of-a-module",
        ("from tools import twice\ndef f(x): return twice(x)",),
        "f(2) == 4",
        files={"tools.py": f"{FUTURE}\nBAG = []\ndef twice(x: Absent) -> Absent: return 2 * x"},
    ),
    HandIn("flags-only-from-that-cell-on", ("def f(x: int): return x", FUTURE), "f.__annotations__ == {'x': int}"),
    # What is done by effect.
    HandIn("effect-update", ("T = {1: 1}", "T.update({2: 4}, **{})", "def f(x): return T[x]"), "f(2) == 4"),
    HandIn("effect-append", ("T = []", "for i in range(3):\n    T.append(i)", "def f(): return T"), "f() == [0, 1, 2]"),
    HandIn("effect-fill", ("import numpy as np\nT = np.zeros(2)", "T.fill(3)", "def f(): return T.sum()"), "f() == 6"),
    HandIn(
        "effect-library-function",
        ("import numpy as np\nT = np.zeros((2, 2))\nnp.fill_diagonal(T, 1)\ndef f(): return T.sum()",),
        "f() == 2",
    ),
    HandIn(
        "effect-own-function",
        ("T = {}", "def build(n):\n    for i in range(n):\n        T[i] = i * i", "build(4)", "def f(x): return T[x]"),
        "f(3) == 9",
    ),
    HandIn(
        "effect-own-function-with-an-argument",
        ("T = [0] * 3", "def fill(t):\n    t[1] = 5", "fill(T)", "def f(): return T"),
        "f() == [0, 5, 0]",
    ),
    HandIn("effect-sum-in-a-loop", ("n = 0", "for i in range(4):\n    n += i", "def f(): return n"), "f() == 6"),
    HandIn("effect-made-in-a-loop", ("for i in range(3):\n    last = i * 2", "def f(): return last"), "f() == 4"),
    HandIn(
        "effect-global", ("def setup():\n    global K\n    K = 7\nK = 0", "setup()", "def f(): return K"), "f() == 7"
    ),
    HandIn(
        "effect-of-a-comprehension", ("T = set()", "[T.add(i) for i in range(3)]\ndef f(): return T"), "len(f()) == 3"
    ),
    HandIn(
        "effect-in-a-module",
        ("from tools import T\ndef f(x): return T[x]",),
        "f(5) == 25",
        files={"tools.py": "T = {}\nfor i in range(9):\n    T[i] = i * i\nprint('ready')"},
    ),
    HandIn(
        "effect-module-answers-itself",
        ("print(1)",),
        "f(5) == 25",
        files={"tools.py": "T = {}\nfor i in range(9):\n    T[i] = i * i\ndef f(x): return T[x]"},
    ),
    HandIn(
        "effect-main-guard",
        ("if __name__ == '__main__':\n    # words\n    K = 4\n    text = '''a\n    b'''", "def f(): return K, text"),
        "f() == (4, 'a\\n    b')",
    ),
    HandIn("effect-main-guard-on-a-line", ('if "__main__" == __name__: K = 4', "def f(): return K"), "f() == 4"),
    HandIn(
        "effect-main-guard-with-training",
        ("if __name__ == '__main__':\n    K = 4\n    model.fit(K)\n    raise SystemExit", "def f(): return K"),
        "f() == 4",
    ),
    HandIn(
        "effect-not-of-training",
        ("losses = []", "for _ in range(3):\n    optimizer.step()\n    losses.append(1)", "def f(): return losses"),
        "f() == []",
    ),
    HandIn(
        "effect-not-of-training-inside",
        ("T = []", "def go():\n    loss.backward()\n    T.append(1)", "go()", "def f(): return T"),
        "f() == []",
    ),
    HandIn("effect-not-of-files", ("T = []", "T.append(open('x').read())", "def f(): return T"), "f() == []"),
    HandIn("effect-not-without-end", ("T = []", "while True:\n    T.append(1)", "def f(): return T"), "f() == []"),
    HandIn("effect-of-no-check", ("T = [1]", "def f(x): return x", "for x in T:\n    assert f(x) == 2"), "f(1) == 1"),
    # Methods attached later.
    HandIn(
        "attached-decorator",
        (ADD, NET, "@add_to_class(Net)\ndef forward(self): return self.size"),
        "Net().forward() == 3",
        "Net.forward",
    ),
    HandIn(
        "attached-decorator-without-brackets",
        (NET, "def method(g):\n    setattr(Net, g.__name__, g)\n    return g", "@method\ndef forward(self): return 4"),
        "Net().forward() == 4",
        "Net.forward",
    ),
    HandIn(
        "attached-loop",
        (NET, "def go(self): return 5", "for name, g in {'forward': go}.items():\n    setattr(Net, name, g)"),
        "Net().forward() == 5",
        "Net.forward",
    ),
    HandIn(
        "attached-new-name",
        ("class Net: pass", "def forward(self): return 6", "for g in [forward]: setattr(Net, g.__name__, g)"),
        "Net().forward() == 6",
        "Net.forward",
    ),
    HandIn("attached-assignment", (NET, "Net.forward = lambda self: 7"), "Net().forward() == 7", "Net.forward"),
    HandIn(
        "attached-magic",
        ("%load_ext jdc", NET, "%%add_to Net\ndef forward(self):\n    return 8"),
        "Net().forward() == 8",
        "Net.forward",
    ),
    HandIn(
        "attached-by-an-absent-library",
        ("from d2l import torch as d2l", NET, "@d2l.add_to_class(Net)\ndef forward(self): return 9"),
        "Net().forward() == 9",
        "Net.forward",
    ),
    HandIn(
        "attached-by-a-hint",
        ("from fastcore.basics import patch", NET, "@patch\ndef forward(self: Net): return 10"),
        "Net().forward() == 10",
        "Net.forward",
    ),
    HandIn(
        "attached-by-a-function",
        (
            NET,
            "def go(self): return 11",
            "def attach(kind, name, g):\n    setattr(kind, name, g)",
            "attach(Net, 'forward', go)",
        ),
        "Net().forward() == 11",
        "Net.forward",
    ),
    # A notebook imported as a module.
    HandIn(
        "notebook-as-module",
        ("import import_ipynb", "from my_tools import twice as double\ndef f(x): return double(x)"),
        "f(2) == 4",
        files={"my_tools.ipynb": notebook_of("K = 2", "def twice(x): return K * x", "model.fit()\nraise SystemExit")},
    ),
    HandIn(
        "notebook-as-module-attribute",
        ("import nbimporter\nimport my_tools as t\ndef f(x): return t.twice(x)",),
        "f(3) == 6",
        files={"my tools.ipynb": notebook_of("def twice(x): return 2 * x")},
    ),
    HandIn(
        "notebook-as-module-star",
        ("from ipynb.fs.full.my_tools import *\ndef f(x): return twice(x)",),
        "f(4) == 8",
        files={"my_tools.ipynb": notebook_of("T = []\nT.append(2)", "def twice(x): return T[0] * x")},
    ),
    HandIn(
        "notebook-as-module-with-context",
        ("from importnb import Notebook\nwith Notebook():\n    import my_tools\ndef f(x): return my_tools.twice(x)",),
        "f(5) == 10",
        files={"my_tools.ipynb": notebook_of("def twice(x): return 2 * x")},
    ),
    # Names as at the end, but no stub before code.
    HandIn(
        "stub-below", ("def f(): return 1", "def f():\n    '''Words.'''\n    raise NotImplementedError"), "f() == 1"
    ),
    HandIn(
        "stub-below-of-a-class",
        ("class f:\n    def go(self): return 1", "class f:\n    def go(self):\n        x = None\n        return x"),
        "f().go() == 1",
        "f.go",
    ),
    HandIn("stub-below-a-helper", ("def h(): return 1", "def h(): pass", "def f(): return h()"), "f() == 1"),
    HandIn("code-below-code", ("def f(): return 1", "def f(): return 2"), "f() == 2"),
    # Python of another age.
    HandIn("age-quotes", ('def f(d): return f"{d["k"]!r:>{d["n"]}}"',), "f({'k': 'v', 'n': 5}) == \"  'v'\""),
    HandIn("age-generics", ("def f[T](x: T) -> list[T]: return [x]", "class Box[T]: pass"), "f(1) == [1]"),
    HandIn("age-type", ("type Pair = tuple[int, int]\ndef f(x: Pair): return x",), "f(1) == 1"),
    HandIn(
        "age-override",
        ("from typing import override\nclass f:\n    @override\n    def go(self): return 1",),
        "f().go() == 1",
    ),
    HandIn(
        "age-batched",
        ("import itertools\ndef f(x): return list(itertools.batched(x, 2))",),
        "f('abc') == [('a', 'b'), ('c',)]",
    ),
    HandIn(
        "age-numpy", ("import numpy as np\ndef f(): return np.product([2, 3]), np.Inf",), "f() == (6, float('inf'))"
    ),
    HandIn(
        "age-penalty",
        ("from sklearn.linear_model import LogisticRegression\ndef f(): return LogisticRegression(penalty='none')",),
        "f().penalty is None and f().fit([[0.0], [1.0], [2.0]], [0, 1, 0]) is not None",
    ),
    # Cells in other clothes.
    HandIn("magic-wandb", ("%%wandb -h 300\ndef f(): return 1",), "f() == 1"),
    HandIn("magic-timeit", ("%%timeit -n 1 -r 1\ndef f(): return 1",), "f() == 1"),
    HandIn("magic-heat", ("# words\n%%heat\n%matplotlib inline\ndef f(): return 1",), "f() == 1"),
    HandIn("automagic-pip", ("pip install einops \\\n  tqdm\ncd /content\ndef f(): return 1",), "f() == 1"),
    HandIn(
        "marimo",
        ("print(1)",),
        "f(2) == 6",
        files={
            "answers.py": "import marimo\n\napp = marimo.App(width='medium')\n\n@app.cell\ndef _():\n    import math\n"
            "    K = 3\n    return K, math\n\n@app.cell(hide_code=True)\ndef _(K, math):\n    def f(x):\n"
            "        return K * math.floor(x)\n    return (f,)\n\nif __name__ == '__main__':\n    app.run()\n"
        },
    ),
    HandIn(
        "marimo-functions",
        ("print(1)",),
        "f(2) == 6",
        files={
            "answers.py": "import marimo\napp = marimo.App()\nwith app.setup:\n    import math\n    K = 3\n\n"
            "@app.function\ndef f(x):\n    return K * math.floor(x)\n\n"
            "@app.cell\ndef _(mo):\n    mo.md('text')\n    return\n"
        },
    ),
    HandIn(
        "percent-format",
        ("print(1)",),
        "f() == 8",
        files={
            "answers.py": "# %% [markdown]\n# # Homework\n# %%\nif __name__ == '__main__':\n    K = 8\n# %%\n"
            "!pip install x\n%matplotlib inline\ndef f(): return K\n"
        },
    ),
    HandIn(
        "nbconvert",
        ("print(1)",),
        "f() == 8",
        files={
            "answers.py": "#!/usr/bin/env python\n# coding: utf-8\n\n# In[1]:\n\n"
            "get_ipython().system('pip install x')\n"
            f"K = 8\n\n# In[ ]:\n\n{FUTURE}\n\n\ndef f(x: Nowhere = 0): return K\n"
        },
    ),
]


@pytest.mark.parametrize("hand_in", HAND_INS, ids=lambda hand_in: hand_in.id)
def test_an_honest_hand_in_works(hand_in: HandIn) -> None:
    """What its author saw in Jupyter holds in the worker."""
    intake = read({"nb.ipynb": notebook_of(*hand_in.cells), **hand_in.files}, hand_in.wanted)

    student = run(intake, hand_in.wanted)

    assert not code_of(intake).missing
    assert eval(hand_in.holds, vars(student.module))


def test_what_is_left_out_and_missed_is_named_with_its_line() -> None:
    """The question that fails says which line would have changed the object, and why it is not run."""
    cells = ("SIZES = {}", "def f(n): return SIZES[n]", "x = 1\nfor b in loader:\n    SIZES[len(b)] = model.fit(b)")

    hint = code_of(read({"nb.ipynb": notebook_of(*cells)}, "f")).hints["f"]

    assert hint.startswith("`SIZES` is changed in `nb.ipynb, code cell 3, line 2`, by code that is not run for grading")


def test_nothing_is_said_where_nothing_is_missed() -> None:
    """Training beside an answer is no news."""
    cells = (
        "SIZES = {4: 2}",
        "def f(n): return SIZES[n]",
        "model = f(4)\nmodel.fit()\nhistory = []\nhistory.append(1)",
    )

    assert not code_of(read({"nb.ipynb": notebook_of(*cells)}, "f")).hints


def test_a_rebinding_is_named_with_both_cells() -> None:
    """A late `sum = 0.0` reaches what is called after it, as in the notebook, and the question says so."""
    intake = read({"nb.ipynb": notebook_of("x = 1", "def f(a): return sum(a)", "y = 2\nsum = 0.0")}, "f")

    assert vars(run(intake, "f").module)["sum"] == 0.0
    assert (
        code_of(intake)
        .hints["f"]
        .startswith(
            "`sum` has a new meaning since `nb.ipynb, code cell 3, line 2`, "
            "and `f` in `nb.ipynb, code cell 2, line 1` uses it."
        )
    )


@pytest.mark.parametrize("again", ["import math", "SIZE = 4", "def h(): return SIZE"])
def test_a_second_binding_that_says_the_same_is_no_news(again: str) -> None:
    """Imports and constants are repeated all the time; a definition that is written anew is meant."""
    cells = ("import math\nSIZE = 4\ndef h(): return 1", "def f(): return math.floor(SIZE) + h()", again)

    assert not code_of(read({"nb.ipynb": notebook_of(*cells)}, "f")).hints


@pytest.mark.parametrize("kind", ["raw", "markdown"])
def test_a_cell_that_is_no_code_cell_is_named(kind: str) -> None:
    """It is said at the top and in the question, with where it stands; words with code in them are words."""
    words = ("markdown", "Define it as in\n\n    def f(x): ...\n\nand run.")
    data = notebook_of("x = 1", (kind, "def f(x):\n    return x"), words, "y = 2")

    intake = read({"nb.ipynb": data}, "f")

    place = f"`f` stands in `nb.ipynb, {kind} cell below code cell 1`, which is no code cell."
    assert code_of(intake).hints == {"f": place}
    assert [note.text for note in intake.notes] == [
        f"{place} Change the cell's type to Code, run all cells, and hand in again."
    ]


def test_a_code_cell_that_answers_makes_the_copy_in_words_no_news() -> None:
    """Somebody may keep an older version in a raw cell."""
    intake = read({"nb.ipynb": notebook_of(("raw", "def f(): return 1"), "def f(): return 2")}, "f")

    assert not intake.notes
    assert run(intake, "f").get("f")() == 2


@pytest.mark.parametrize(
    ("source", "is_unwritten"),
    [
        ("def f(x):\n    y = 2 * x\n    # your code\n    z = None\n    return y, z", True),
        ("def f(x):\n    loss = None\n    loss.backward()\n    return x", True),
        ("def f(x):\n    y = x + 1\n    return loss", True),
        (
            "def f(x):\n    best = None\n    if best is None or x > best:\n        best = x\n    return best",
            False,
        ),
        ("def f(x, y=None):\n    if y is None:\n        y = x\n    return y", False),
        ("def f(x):\n    unused = None\n    return x", False),
        ("def f(x):\n    global n\n    n = 1\n    return n", False),
    ],
)
def test_placeholders_of_other_editions_are_known(source: str, is_unwritten: bool) -> None:
    """Names that were handed out as None, or that nobody defines, stand for an answer that is not written yet."""
    intake = read({"nb.ipynb": notebook_of(source, "loss = 3")}, "f")

    assert code_of(intake).unwritten == ({"f"} if is_unwritten else set())


def test_a_definition_cut_short_by_a_stray_quote_is_broken() -> None:
    """Half of a method would run, and be told as wrong values."""
    forward = "class Net:\n    def forward(self, x):\n        x = x + 1\n{}\n        return x\n\ndef g():\n    return 1"
    for stray in ("'''", '"""', "oops oops", "print(x)", "    oops oops"):
        code = code_of(
            read({"nb.ipynb": notebook_of("import torch\n\n\n" + forward.format(stray))}, "Net.forward", "g")
        )

        assert "Net" not in code.plans, stray
        assert "code cell 1, line " in code.broken["Net"], stray


def test_a_newer_python_is_called_by_its_version() -> None:
    """Where no rewriting is faithful, the version is named, not a mistake of the student's."""
    source = 'def f(x):\n    return t"{x}"'
    code = code_of(read({"nb.ipynb": notebook_of(source)}, "f"))

    if sys.version_info < (3, 14):
        assert "a template string needs Python 3.14, the grader has 3." in code.broken["f"]


def test_hints_of_names_are_of_the_same_sort() -> None:
    """A class is no misspelling of a function, nor a function of a class."""
    cells = ("class TestClassificationViT: pass", "def patchfy(x): return x", "def Decoder(): pass")

    missing = code_of(
        read({"nb.ipynb": notebook_of(*cells)}, "test_classification_vit", "patchify", "MyDecoder")
    ).missing

    assert missing == {"test_classification_vit": None, "patchify": "patchfy", "MyDecoder": None}
