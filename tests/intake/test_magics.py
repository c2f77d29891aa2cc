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
