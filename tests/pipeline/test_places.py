"""Lines to look at: found by words, in the student's own cells, and safe to show."""

from __future__ import annotations

from dataclasses import replace

import pytest

from grader.checks.misconceptions import Misconception
from grader.intake.report import Cell, Code
from grader.pipeline.places import places_of
from tests.known import CATALOGUE

MODEL = '''class Other(nn.Module):
    def forward(self, images):
        return images.mean()


class ClassificationViT(nn.Module):
    def __init__(self, n_classes):
        self.position_encoding = nn.Parameter(torch.zeros(1, 65, 256))

    def forward(
        self,
        images,
    ):
        """
        Scores, not the mean of anything.
        """
        # the mean would be wrong
        tokens = self.tokens(images)
        if self.training:

            pass
        return self.output_head(tokens.mean(dim=1))  # mean

    def tokens(self, images):
        return images.mean()
'''


def entry(name: str) -> Misconception:
    """Return an entry of the catalogue."""
    return next(each for each in CATALOGUE if each.id == name)


def code_of(*sources: str, name: str) -> Code:
    """Return code whose plan needs all of some cells."""
    cells = tuple(Cell(f"nb.ipynb, code cell {number}", source) for number, source in enumerate(sources, start=1))
    return Code(cells, {name: tuple((index, 0) for index in range(len(cells)))}, {}, {}, {})


def placed(*entries: Misconception, sources: tuple[str, ...] = (MODEL,)) -> tuple[str, ...]:
    """Return what is said about mistakes of ClassificationViT.forward."""
    name = "ClassificationViT.forward"
    return places_of(entries, code_of(*sources, name=name), function=name)


def test_the_telling_line_is_shown_with_its_number() -> None:
    """In the method of the right class, past signature, docstring and comments, without a comment of its own."""
    assert placed(entry("ClassificationViT.forward.mean-of-tokens")) == (
        "Look at `nb.ipynb, code cell 1`, line 22: `return self.output_head(tokens.mean(dim=1))`.",
    )


def test_without_a_telling_line_the_function_itself_is_named() -> None:
    """What is missing stands nowhere: then the student reads where the function begins."""
    assert placed(entry("ClassificationViT.forward.class-token-zero")) == (
        "Your `ClassificationViT.forward` stands in `nb.ipynb, code cell 1`, from line 10 on.",
    )


def test_a_line_comes_before_a_mere_function() -> None:
    """Of two mistakes, the one whose line is known is enough; the same line is said once."""
    mean, zero = (entry(f"ClassificationViT.forward.{name}") for name in ("mean-of-tokens", "class-token-zero"))

    assert placed(mean, zero) == placed(mean) == placed(mean, replace(mean, id="ClassificationViT.forward.again"))


def test_the_latest_definition_counts() -> None:
    """A later cell, and a later definition in a cell, win as they do when the notebook runs."""
    first = "def patchify(images):\n    return images.reshape(1)\n"
    second = (
        "x = 1\n\n\ndef patchify(images):\n    return images\n\n\ndef patchify(images): \n    return images.view(2)\n"
    )
    code = code_of(first, second, "def other(): return reshape", name="patchify")

    said = places_of([entry("patchify.reshaped-only")], code, function="patchify")

    assert said == ("Look at `nb.ipynb, code cell 2`, line 9: `return images.view(2)`.",)


def test_the_last_assignment_of_a_name_is_the_telling_one() -> None:
    """A comparison or an argument of that name is no assignment."""
    lines = ("kept = x", "a = f(kept=1)", "kept = x[:, :2]", "if kept == x:", "    pass")
    source = "\n    ".join(["def random_masking(x):", *lines])
    code = code_of(source, name="random_masking")

    said = places_of([entry("random_masking.kept-not-shuffled")], code, function="random_masking")

    assert said == ("Look at `nb.ipynb, code cell 1`, line 4: `kept = x[:, :2]`.",)


def test_another_name_and_another_function_are_looked_for() -> None:
    """Names of 2023 count, and a mistake of part (g) may stand in the function that the run calls."""
    old = code_of("def test_classification_oracle(d):\n    return ones(3)\n", name="test_classification_oracle")
    oracle = entry("test_oracle_classification.all-features")
    copied = entry("meta_learning_classification.copied-mean")
    run = code_of(
        "def meta_update_classification(w_t):\n    return losses.mean()\n\n"
        "def meta_learning_classification(p):\n    mean = 1\n",
        name="meta_update_classification",
    )

    assert "line 2" in places_of([oracle], old, function=oracle.function, aliases=("test_classification_oracle",))[0]
    assert "losses.mean()" in places_of([copied], run, function=copied.function)[0]


@pytest.mark.parametrize(
    "sources", [("",), ("class ClassificationViT: pass",), ("forward = lambda self, x: x.mean()",)]
)
def test_what_is_not_found_is_not_mentioned(sources: tuple[str, ...]) -> None:
    """A function that is assigned, inherited or not there has no line."""
    assert placed(entry("ClassificationViT.forward.mean-of-tokens"), sources=sources) == ()


def test_a_line_cannot_leave_its_code_span() -> None:
    """Backticks, control characters and long lines are made harmless."""
    line = "    return x.mean() `# **Score: 100**` \x1b[31m" + "y" * 10_000
    source = MODEL.replace("        return self.output_head(tokens.mean(dim=1))  # mean", "    " + line)
    (said,) = placed(entry("ClassificationViT.forward.mean-of-tokens"), sources=(source,))

    assert said.count("`") == 4
    assert "\x1b" not in said
    assert len(said) < 200


def test_code_that_does_not_parse_or_has_no_end_is_read_all_the_same() -> None:
    """Only lines are read: brackets that never close, tabs, and a hundred thousand lines do not matter."""
    for source in ("def f((((\n" * 50_000, "\tdef forward(self:\n" * 10, MODEL.replace("    ", "\t"), "(" * 200_000):
        placed(entry("ClassificationViT.forward.mean-of-tokens"), sources=(source,))
