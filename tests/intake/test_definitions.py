"""Which statements a name needs: a table of things that real notebooks do."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from grader.intake.definitions import Block, Namespace, Plan, class_members, read_block
from grader.intake.magics import plain


@dataclass(frozen=True)
class Case:
    """Cells, the name that is wanted, an expression that must then hold, and text that must not have run."""

    id: str
    cells: tuple[str, ...]
    name: str
    holds: str
    not_run: tuple[str, ...] = ()


LOOP = "for step in range(3):\n    raise SystemExit('training')\n"

CASES = [
    Case("one function", ("def f(x):\n    return x + 1",), "f", "f(1) == 2"),
    Case("helper in another cell", ("def h(x): return 2 * x", "def f(x): return h(x)"), "f", "f(2) == 4"),
    Case("helper in a later cell", ("def f(x): return h(x)", "def h(x): return 2 * x"), "f", "f(2) == 4"),
    Case(
        "helper of a helper",
        ("def a(): return b()", "def b(): return c()", "def c(): return 3"),
        "a",
        "a() == 3",
    ),
    Case("redefined later", ("def f(): return 1", "f()", "def f(): return 2"), "f", "f() == 2"),
    Case(
        "helper redefined later",
        ("def h(): return 1", "def f(): return h()", "def h(): return 2"),
        "f",
        "f() == 2",
    ),
    Case("global constant", ("SIZE = 4", "def f(): return SIZE"), "f", "f() == 4"),
    Case("default reads a global", ("SIZE = 4", "def f(p=SIZE): return p", "SIZE = 8"), "f", "f() == 4"),
    Case("default read from a later cell", ("def f(p=SIZE): return p", "SIZE = 8"), "f", "f() == 8"),
    Case(
        "device in an if",
        ("if True:\n    device = 'cpu'\nelse:\n    device = 'gpu'", "def f(): return device"),
        "f",
        "f() == 'cpu'",
    ),
    Case("conditional expression", ("device = 'a' if 1 else 'b'", "def f(): return device"), "f", "f() == 'a'"),
    Case(
        "import in try",
        ("try:\n    import einops_missing as e\nexcept ImportError:\n    e = None", "def f(): return e"),
        "f",
        "f() is None",
    ),
    Case("import with dots", ("import os.path", "def f(): return os.path.join('a', 'b')"), "f", "f() == 'a/b'"),
    Case("import as", ("import math as m", "def f(): return m.floor(1.5)"), "f", "f() == 1"),
    Case("from import", ("from math import floor, ceil", "def f(): return ceil(1.5)"), "f", "f() == 2"),
    Case("star import", ("from math import *", "def f(): return floor(1.5)"), "f", "f() == 1"),
    Case("class with base", ("class A:\n    k = 3", "class B(A):\n    pass"), "B", "B.k == 3"),
    Case(
        "class uses helper",
        ("def h(): return 5", "class B:\n    def go(self): return h()"),
        "B",
        "B().go() == 5",
    ),
    Case(
        "class grows by subclassing itself",
        ("class A:\n    def f(self): return 1", "class A(A):\n    def g(self): return 2"),
        "A",
        "A().f() + A().g() == 3",
    ),
    Case(
        "method set later",
        ("class A:\n    def f(self): return 1", "def mine(self): return 2", "A.f = mine"),
        "A",
        "A().f() == 2",
    ),
    Case(
        "method set by setattr",
        ("class A:\n    pass", "def mine(self): return 2", "setattr(A, 'f', mine)"),
        "A",
        "A().f() == 2",
    ),
    Case("item set later", ("C = {'p': 2}", "C['p'] = 4", "def f(): return C['p']"), "f", "f() == 4"),
    Case(
        "decorator",
        ("def twice(g):\n    return lambda x: 2 * g(x)", "@twice\ndef f(x): return x"),
        "f",
        "f(3) == 6",
    ),
    Case(
        "decorator that needs a helper",
        (
            "import functools",
            "def deco(g):\n    return functools.wraps(g)(lambda x: scale * g(x))",
            "scale = 5",
            "@deco\ndef f(x): return x",
        ),
        "f",
        "f(3) == 15",
    ),
    Case(
        "rebound from itself",
        ("def f(x): return x", "f = (lambda g: lambda x: g(x) + 1)(f)"),
        "f",
        "f(1) == 2",
    ),
    Case(
        "kept under another name",
        ("def f(x): return x", "old = f", "def f(x): return old(x) + 1"),
        "f",
        "f(1) == 2",
    ),
    Case("alias", ("def mine(x): return x", "f = mine"), "f", "f(7) == 7"),
    Case(
        "partial",
        ("from functools import partial", "def g(a, b): return a - b", "f = partial(g, 10)"),
        "f",
        "f(3) == 7",
    ),
    Case("lambda", ("k = 3", "f = lambda x: x * k"), "f", "f(2) == 6"),
    Case(
        "dataclass",
        ("from dataclasses import dataclass", "@dataclass\nclass P:\n    size: int = 4"),
        "P",
        "P().size == 4",
    ),
    Case(
        "table made by a call",
        ("def make(): return [scale] * 2", "table = make()", "scale = 3", "def f(): return table"),
        "f",
        "f() == [3, 3]",
    ),
    Case(
        "comprehension at the top",
        ("n = 3", "squares = [i * n for i in range(n)]", "def f(): return squares"),
        "f",
        "f() == [0, 3, 6]",
    ),
    Case(
        "class body comprehension",
        ("n = 2", "class A:\n    rows = [n for _ in range(2)]"),
        "A",
        "A.rows == [2, 2]",
    ),
    Case("walrus", ("(n := 3)", "m = (k := 4)", "def f(): return k"), "f", "f() == 4"),
    Case("tuple assignment", ("a, (b, *c) = 1, (2, 3)", "def f(): return a + b + c[0]"), "f", "f() == 6"),
    Case("augmented", ("n = 1", "n += 2", "def f(): return n"), "f", "f() == 3"),
    Case(
        "global counter",
        ("count = 0", "def f():\n    global count\n    count += 1\n    return count"),
        "f",
        "f() == 1",
    ),
    Case(
        "local shadows global",
        ("x = SystemExit", "raise_it = x()", "def f(x): return x"),
        "f",
        "f(1) == 1",
        ("raise_it",),
    ),
    Case(
        "training loop beside",
        ("def f(): return 1", LOOP, "model = f()\nmodel.train()"),
        "f",
        "f() == 1",
        ("model",),
    ),
    Case("loop in the same cell", ("def f(): return 1\n" + LOOP,), "f", "f() == 1"),
    Case("test cell rebinds x", ("x = 2", "def f(): return x", "for x in range(9): pass"), "f", "f() == 2"),
    Case("main guard", ("x = 1", "if __name__ == '__main__':\n    x = 2", "def f(): return x"), "f", "f() == 2"),
    Case(
        "with block",
        ("import contextlib", "with contextlib.nullcontext(3) as k:\n    z = k", "def f(): return z"),
        "f",
        "f() == 3",
    ),
    Case(
        "training in with",
        (
            "z = 1",
            "import contextlib",
            "with contextlib.nullcontext():\n    z = 2\n    for i in range(3): i.backward()",
            "def f(): return z",
        ),
        "f",
        "f() == 1",
    ),
    Case(
        "other name's endless helper",
        ("def f(): return 1", "bad = [0 for _ in iter(int, 1)]", "def g(): return bad"),
        "f",
        "f() == 1",
        ("bad",),
    ),
    Case(
        "broken cell beside",
        ("def f(): return 1", "class Broken:\ndef forward(self):\n    pass"),
        "f",
        "f() == 1",
    ),
    Case(
        "broken piece in the same cell",
        (
            "def f(): return 1\n\nclass Broken:\n    def go(self):\n\n    def back(self): return 1\n\n"
            "def g(): return f() + 1",
        ),
        "g",
        "g() == 2",
    ),
    Case(
        "conditional definition",
        ("if True:\n    def f(): return 1\nelse:\n    def f(): return 2",),
        "f",
        "f() == 1",
    ),
    Case("timed cell", ("%%time\ndef f(): return 1",), "f", "f() == 1"),
    Case("magics around", ("!pip install x\n%matplotlib inline\ndef f():\n    return 1",), "f", "f() == 1"),
    Case("timed assignment", ("%time k = 3", "def f(): return k"), "f", "f() == 3"),
    Case("recursion", ("def f(n): return 1 if n == 0 else n * f(n - 1)",), "f", "f(3) == 6"),
    Case(
        "mutual recursion",
        ("def f(n): return n == 0 or g(n - 1)", "def g(n): return n != 0 and f(n - 1)"),
        "f",
        "f(4)",
    ),
    Case(
        "annotation",
        ("from typing import List", "def f(x: List[int]) -> List[int]: return x"),
        "f",
        "f([1]) == [1]",
    ),
    Case("indented cell", ("    def f():\n        return 1",), "f", "f() == 1"),
    Case(
        "library patched",
        ("import types", "types.answer = 41", "def f(): return types.answer + 1"),
        "f",
        "f() == 42",
    ),
]


def blocks_of(*cells: str) -> list[Block]:
    """Return the cells of a notebook as they are read."""
    blocks: list[Block] = []
    for number, source in enumerate(cells):
        blocks.append(read_block(f"cell {number}", plain(source).source, blocks))
    return blocks


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_plan_makes_the_name_work(case: Case, run_plan: Callable[..., dict[str, Any]]) -> None:
    """The plan of a name, run in an empty namespace, gives what the notebook's author saw."""
    blocks = blocks_of(*case.cells)
    steps = Namespace([blocks]).plan(case.name).steps

    space = run_plan([(b.label, b.source) for b in blocks], [(s.block, s.statement) for s in steps])

    assert eval(case.holds, space)
    assert not set(case.not_run) & set(space)


def test_statement_indexes_refer_to_the_source_as_sent() -> None:
    """After a broken piece is blanked out, the other statements keep their lines."""
    block = read_block("cell", "x = 1\ndef broken(:\n    pass\ny = 2\n")

    assert [statement.node.lineno for statement in block.statements] == [1, 4]
    assert block.source.count("\n") == 4
    assert block.broken[0].line == 2
    assert block.broken[0].names == ("broken",)


def test_a_name_made_in_a_loop_only_is_blocked() -> None:
    """A name that only a loop binds has no plan, and its cell can be named."""
    space = Namespace([[read_block("cell 1", "for model in range(3):\n    model.backward()")]])

    assert space.plan("model") == Plan((), frozenset({"model"}), {}, {})
    assert space.blocked_in("model") == "cell 1"


def test_what_nothing_binds_is_reported() -> None:
    """A plan says which names nothing makes, builtins aside."""
    plan = Namespace([[read_block("cell 1", "def f(): return len(nothing)")]]).plan("f")

    assert plan.unresolved == {"nothing"}


def test_own_file_goes_before_others() -> None:
    """
    A helper comes from the file of the function that uses it, and from another file only if it lacks there.
    """
    other = [read_block("other", "def h(): return 'other'\ndef only(): return 'only'")]
    home = [read_block("home", "def f(): return h(), only()\ndef h(): return 'home'")]

    plan = Namespace([other, home]).plan("f")

    assert [(step.block, step.statement) for step in plan.steps] == [(0, 1), (1, 0), (1, 1)]
    assert not plan.unresolved


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("class A:\n    def f(self): return 1", {"f": False}),
        ("class A:\n    def f(self): raise NotImplementedError", {"f": True}),
        ("class A:\n    def f(self):\n        '''Doc.'''\n        ...", {"f": True}),
        ("class A:\n    def f(self):\n        a, b = None, None\n        return a, b", {"f": True}),
        ("class A:\n    def f(self):\n        a = None\n        return a", {"f": True}),
        ("class B:\n    def f(self): return 1\nclass A(B):\n    g = 2", {"f": False, "g": False}),
        ("class B:\n    def f(self): return 1\nA = B", {"f": False}),
        ("class A: pass\nA.f = print\nsetattr(A, 'g', 1)", {"f": False, "g": False}),
        ("class A:\n    if True:\n        def f(self): return 1", {"f": False}),
        ("A = make()", None),
    ],
)
def test_members_of_a_class(source: str, expected: dict[str, bool] | None) -> None:
    """
    Members come from the body, from bases, from aliases and from later assignments; stubs are told apart.
    """
    assert class_members(Namespace([[read_block("cell", source)]]), "A") == expected


def test_code_that_parses_but_does_not_compile_costs_itself_only() -> None:
    """A `return` outside a function is reported with its line, and what stands beside it survives."""
    block = read_block("cell", "return 3\ndef f(): return 1")

    assert block.broken[0].line == 1
    assert len(Namespace([[block]]).plan("f").steps) == 1


def test_deep_nesting_is_a_broken_cell() -> None:
    """A cell that exhausts the parser's stack is reported, not raised."""
    block = read_block("cell", "x = " + "(" * 5000 + ")" * 5000)

    assert block.broken
    assert not block.statements


def test_null_bytes_are_a_broken_cell() -> None:
    """A NUL in a cell is reported, not raised."""
    assert read_block("cell", "x = 1\0").broken
