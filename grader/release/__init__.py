"""What the course hands out, made from the reference: templates, public vectors, submissions."""

from grader.release.modules import edit_modules, module_sources, solved_modules, template_modules
from grader.release.notebooks import edit_notebook, notebook_sources, solved_notebook, template_notebook
from grader.release.submissions import write_example_submission, write_solved_submission
from grader.release.templates import write_templates
from grader.release.vectors import public_vectors, write_vectors

__all__ = [
    "edit_modules",
    "edit_notebook",
    "module_sources",
    "notebook_sources",
    "public_vectors",
    "solved_modules",
    "solved_notebook",
    "template_modules",
    "template_notebook",
    "write_example_submission",
    "write_solved_submission",
    "write_templates",
    "write_vectors",
]
