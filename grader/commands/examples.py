"""`examples`: write the document that shows what students read about ten mistakes."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape


def write_examples(path: Path) -> None:
    """Write the document."""
    from grader.trust.examples import document

    text = document()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    Console().print(f"Written: {escape(str(path))}", highlight=False)
