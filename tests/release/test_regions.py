"""Solution regions: what is taken out, what stays, and that a wrong marker is an error with a place."""

from __future__ import annotations

import pytest

from grader.errors import StaffError
from grader.release.regions import (
    ANSWER_PLACEHOLDER,
    find_regions,
    mark_body,
    with_answers,
    without_answers,
    without_markers,
    without_solutions,
)

MODULE = '''\
class Thing:
    """A thing."""

    def double(self, x):
        """Return twice x."""
        # BEGIN SOLUTION
        y = x + x
        return y
        # END SOLUTION

# BEGIN SOLUTION
answer = 42
# END SOLUTION
'''


def test_template_says_what_is_missing() -> None:
    """Each region becomes a comment and an error that names the function around it."""
    template = without_solutions(MODULE, origin="notebook.py")

    assert 'raise NotImplementedError("Thing.double is not implemented yet")' in template
    assert 'raise NotImplementedError("this cell is not implemented yet")' in template
    assert "        # Your solution: replace the line below.\n" in template
    assert "x + x" not in template
    assert "42" not in template
    assert "SOLUTION" not in template
    compile(template, "template", "exec")


def test_solved_text_only_loses_its_markers() -> None:
    """The solved text is the source without the marker lines."""
    expected = [line for line in MODULE.splitlines() if "SOLUTION" not in line]

    assert without_markers(MODULE, origin="notebook.py").splitlines() == expected


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("a\n# BEGIN SOLUTION\n# BEGIN SOLUTION\n# END SOLUTION", "n.py:3", "inside the region of line 2"),
        ("a\n# END SOLUTION", "n.py:2", "closes no region"),
        ("# BEGIN SOLUTION\na", "n.py:1", "has no '# END SOLUTION'"),
        ("# %%\n# BEGIN SOLUTION\na\n# %%\n# END SOLUTION", "n.py:2", "in its cell"),
        ("#BEGIN SOLUTION\na\n# END SOLUTION", "n.py:1", "is not exactly"),
        ("# begin solution\na\n# END SOLUTION", "n.py:1", "is not exactly"),
        ("# BEGIN SOLUTION\na  # END SOLUTION", "n.py:2", "is not exactly"),
    ],
    ids=["nested", "stray", "unclosed", "across cells", "no space", "lower case", "behind code"],
)
def test_wrong_markers_name_their_line(text: str, place: str, words: str) -> None:
    """A marker in the wrong place is a StaffError that names file and line and says what is wrong."""
    with pytest.raises(StaffError) as caught:
        find_regions(text.splitlines(), origin="n.py")

    assert caught.value.happened.startswith(place + ":")
    assert words in caught.value.happened
    assert "each alone on its line" in caught.value.try_next


def test_mark_body_keeps_signature_and_docstring() -> None:
    """The body after the docstring becomes a region, of one method and no other."""
    source = 'class A:\n    def f(self):\n        """Say."""\n        return 1\n\n'
    source += "    def g(self):\n        return 2\n"

    marked = mark_body(source, "A.f", origin="n.py")
    template = without_solutions(marked, origin="n.py")

    assert without_markers(marked, origin="n.py") == source.rstrip("\n")
    assert '        """Say."""\n        # Your solution' in template
    assert "return 1" not in template
    assert "return 2" in template


def test_mark_body_takes_comments_on_the_first_statement_along() -> None:
    """What a comment says about the solution does not stay in the template."""
    source = 'def f():\n    """Say."""\n    # it is one\n    # exactly\n    return 1\n'

    template = without_solutions(mark_body(source, "f", origin="n.py"), origin="n.py")

    assert "one" not in template
    assert "exactly" not in template
    assert '    """Say."""\n    # Your solution' in template


def test_written_answers_become_a_place_for_the_students_own() -> None:
    """A region of a markdown cell stays without its markers, or becomes a placeholder; headings and blanks stay."""
    text = "# Why?\n\nBEGIN SOLUTION\n# Because\n\nof it.\nEND SOLUTION\n\nNext."

    assert with_answers(text, origin="n.py") == "# Why?\n\n# Because\n\nof it.\n\nNext."
    assert without_answers(text, origin="n.py") == f"# Why?\n\n{ANSWER_PLACEHOLDER}\n\nNext."


@pytest.mark.parametrize("name", ["A.missing", "missing", "A", "A.only_words"])
def test_mark_body_refuses_what_has_no_body(name: str) -> None:
    """A name in `write` that is no function with a body is a StaffError with the name."""
    source = 'class A:\n    def only_words(self):\n        """Say."""\n'

    with pytest.raises(StaffError, match=f"n.py: '{name}' is in `write`"):
        mark_body(source, name, origin="n.py")


def test_a_region_needs_a_cell_that_compiles() -> None:
    """A shell line beside a region is a StaffError, not a template with a wrong name."""
    with pytest.raises(StaffError, match="does not compile"):
        without_solutions("!ls\n# BEGIN SOLUTION\na\n# END SOLUTION", origin="n.py")
