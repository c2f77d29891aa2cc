"""This homework's notebooks and modules, from their one source."""

from functools import partial
from pathlib import Path

from grader.release import modules, notebooks
from reference.metalearning.answers import fill, load_numbers

REPOSITORY = Path(__file__).parents[2]
SOURCES = REPOSITORY / "reference" / "notebooks"
notebook_sources = partial(notebooks.notebook_sources, SOURCES)
solved_notebook = partial(notebooks.solved_notebook, SOURCES, fill=lambda text: fill(text, load_numbers()))
template_notebook = partial(notebooks.template_notebook, SOURCES)
module_sources = partial(modules.module_sources, SOURCES)
solved_modules = partial(modules.solved_modules, SOURCES)
template_modules = partial(modules.template_modules, SOURCES)
