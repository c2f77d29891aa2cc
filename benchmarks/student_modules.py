"""
The modules that students get, with their solutions: the slow and literal side of every comparison.

They import each other by their own names, as they do beside a notebook, so their folder is on the path while they load.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

_FOLDER = Path(__file__).parents[1] / "reference" / "notebooks" / "modules"


def _load(name: str) -> ModuleType:
    sys.path.insert(0, str(_FOLDER))
    try:
        return importlib.import_module(name)
    finally:
        sys.path.remove(str(_FOLDER))


utils = _load("utils")
utils_reg = _load("utils_reg")
utils_classification = _load("utils_classification")
utils_classification_copypaste = _load("utils_classification_copypaste")
