"""What students receive: every notebook and module without its solutions, and the public vectors."""

from __future__ import annotations

from pathlib import Path

from grader.release.modules import template_modules
from grader.release.notebooks import notebook_bytes, notebook_sources, template_notebook
from grader.release.workshop import Workshop, tensor_bytes


def write_templates(workshop: Workshop, destination: Path) -> list[Path]:
    """
    Write the student templates of all sources; the same sources give the same bytes.

    Args:
        workshop: of the homework.
        destination: the folder, made if it is missing; files of the same names are overwritten.

    Returns:
        The files written.

    Raises:
        StaffError: a marker or an include in a source is wrong.
    """
    destination.mkdir(parents=True, exist_ok=True)
    written = []
    for source in notebook_sources(workshop.sources):
        path = destination / f"{source.stem}.ipynb"
        path.write_bytes(notebook_bytes(template_notebook(workshop.sources, source.stem)))
        written.append(path)
    for name, text in template_modules(workshop.sources).items():
        path = destination / name
        path.write_text(text, encoding="utf-8")
        written.append(path)
    for name, content in workshop.vectors.items():
        path = destination / name
        path.write_bytes(tensor_bytes(content()))
        written.append(path)
    return written
