"""Magics are taken out and every line keeps its number."""

from __future__ import annotations

import ast

import pytest

from grader.intake.magics import plain


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("x = 1", 1),
        ("\n\n\nx = 1", 4),
        ("!pip install a b\nx = 1", 2),
        ("%matplotlib inline\n\nx = 1", 3),
        ("\n\n%cd /content\nx = 1", 4),
        ("!pip install \\\n  a \\\n  b\nx = 1", 4),
        ("names = !ls \\\n  -l\nx = 1", 3),
        ("help?\nx = 1", 2),
        ("?help\n!ls\nx = 1", 3),
        ("%%time\nx = 1", 2),
        ("\n%%capture out\n%%time\n!ls\nx = 1", 5),
        ("# words first\n%%timeit -n 1\nx = 1", 3),
        ("%time y = 2\nx = 1", 2),
        ("if True:\n    !ls \\\n  a\n    %time y = 2\nx = 1", 5),
        ("    !ls\n    x = 1", 2),
        (">>> y = 1\n>>> x = 1", 2),
        ('"""\n%%bash\n!ls\n"""\nx = 1', 5),
    ],
)
def test_lines_keep_their_numbers(source: str, line: int) -> None:
    """After the magics are gone the cell parses, and `x = 1` stands where the student sees it."""
    tree = ast.parse(plain(source).source)

    found = [node.lineno for node in tree.body if isinstance(node, ast.Assign) and ast.unparse(node) == "x = 1"]
    assert found == [line]


def test_python_is_left_alone() -> None:
    """A cell that parses comes back as it is, percent signs and exclamation marks included."""
    source = "x = 7 % 3\nif x != 1:\n    print('%time ! ?')"

    assert plain(source).source == source


@pytest.mark.parametrize("magic", ["bash", "html", "javascript", "latex", "script", "ruby"])
def test_other_languages_are_skipped(magic: str) -> None:
    """A cell in another language is empty and says which."""
    cell = plain(f"%%{magic}\nrm -rf /")

    assert (cell.source, cell.skipped) == ("", magic)


@pytest.mark.parametrize(
    ("first", "module", "is_append"),
    [
        ("%%writefile a.py", "a.py", False),
        ("%%writefile -a a.py", "a.py", True),
        ("%%file 'b c.py'", "c.py", False),
        ("%%writefile", "", False),
    ],
)
def test_a_cell_may_write_a_file(first: str, module: str, is_append: bool) -> None:
    """`%%writefile` gives the file's name and its body."""
    cell = plain(f"{first}\nx = 1\n")

    assert (cell.module, cell.is_append, cell.source) == (module, is_append, "x = 1\n")


def test_a_broken_cell_comes_back() -> None:
    """What neither Python nor IPython understands is returned for the parser to report."""
    assert plain("def f(:\n  !x\n  'open").source.count("\n") >= 2


@pytest.mark.parametrize("magic", ["wandb -h 500", "timeit -n 1", "heat", "debug", "black", "px --local", "memit -r 1"])
def test_a_magic_around_python_hides_nothing(magic: str) -> None:
    """Its body is Python of the notebook, line magics in it and all."""
    cell = plain(f"%%{magic}\n%matplotlib inline\ndef f():\n    return 1")

    assert cell.skipped is None
    assert [type(node).__name__ for node in ast.parse(cell.source).body] == ["Expr", "FunctionDef"]


@pytest.mark.parametrize("source", ["%%R\nx <- 3", "%%skip\ndef f(): pass", "%%script false\nx = 1", "%%own\nno code"])
def test_a_body_that_is_not_to_be_run_here_is_skipped(source: str) -> None:
    """Another language that happens to parse, a cell that its author switches off, and what is no Python."""
    assert plain(source).skipped is not None


def test_add_to_makes_methods_of_functions() -> None:
    """`%%add_to Net` of jdc: the functions of the cell become attributes of the class, each line where it was."""
    source = plain("%%add_to Net\ndef forward(self):\n    return 1\n\ndef back(self): return 2").source

    assert source.split("\n")[1] == "def forward(self):"
    assert source.endswith("\nNet.forward = forward\nNet.back = back")


@pytest.mark.parametrize(
    "line", ["pip install einops", "conda install -y x", "cd drive/MyDrive", "ls /content/*.pt", "load_ext autoreload"]
)
def test_magics_without_a_percent_sign_are_magics(line: str) -> None:
    """IPython takes a line that begins with a magic's name for the magic, and the rest of the cell stays."""
    tree = ast.parse(plain(f"{line} \\\n  more\nx = 1\nif x:\n    {line}").source)

    assert [(type(node).__name__, node.lineno) for node in tree.body] == [("Expr", 1), ("Assign", 3), ("If", 4)]


@pytest.mark.parametrize("source", ["pip = 3\nrun (1)\ncd.x = 2\nx = !y", "env[0] = ls == 1\n!x"])
def test_variables_with_the_names_of_magics_are_variables(source: str) -> None:
    """A name before `=`, a bracket or a dot is a name."""
    assert plain(source).source.split("\n")[0] == source.split("\n")[0]
