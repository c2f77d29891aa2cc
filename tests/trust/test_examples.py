"""The document with ten feedbacks says what students read today."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from homework.trust.examples import DOCUMENT, document, examples
from tests.known import CATALOGUE

SMALL = "expected_test_error.output"


def sections(text: str) -> list[str]:
    """Return the text of each example."""
    return re.split(r"^## \d+\. ", text, flags=re.MULTILINE)[1:]


def test_a_small_example_reads_as_the_document_has_it() -> None:
    """Graded now, it gives the very text that is committed."""
    chosen = [example for example in examples() if example.check == SMALL]
    (fresh,) = sections(document(chosen))

    assert fresh.strip() in {section.strip() for section in sections(DOCUMENT.read_text(encoding="utf-8"))}


def test_the_words_of_every_known_mistake_in_it_are_those_of_the_catalogue() -> None:
    """A hint that was changed and not written anew is noticed without grading."""
    text = DOCUMENT.read_text(encoding="utf-8")
    shown = {entry.happened for entry in CATALOGUE if f"> {entry.happened}\n" in text}

    assert len(sections(text)) == len(examples()) == 10
    assert len(shown) >= 8
    for happened in shown:
        assert any(entry.right in text for entry in CATALOGUE if entry.happened == happened), happened


@pytest.mark.slow
def test_the_whole_document_is_fresh() -> None:
    """All ten are graded again."""
    assert document() == Path(DOCUMENT).read_text(encoding="utf-8")
