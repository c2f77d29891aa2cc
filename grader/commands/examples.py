"""`examples`: write the document that shows what students read about ten mistakes."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from grader.errors import StaffError
from grader.pipeline.homework import Homework
from grader.release.workshop import workshop_of


def write_examples(homework: Homework, path: Path) -> None:
    """
    Write the document.

    Raises:
        StaffError: the homework has none.
    """
    examples = workshop_of(homework).examples
    if examples is None:
        raise StaffError(happened="This homework has no examples of feedback.", try_next="Give its workshop some.")
    text = examples()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    Console().print(f"Written: {escape(str(path))}", highlight=False)
