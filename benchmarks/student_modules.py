"""
The modules that students get, with their solutions: the slow and literal side of every comparison.

They import each other by their own names, as they do beside a notebook, so their folder is on the path while they
load; they do not stay importable.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path
from types import ModuleType

_FOLDER = Path(__file__).parents[1] / "reference" / "notebooks" / "modules"


_NAMES = ("utils", "utils_reg", "utils_visualization", "utils_classification", "utils_classification_copypaste")


def _load() -> dict[str, ModuleType]:
    sys.path.insert(0, str(_FOLDER))
    try:
        return {name: importlib.import_module(name) for name in _NAMES}
    finally:
        sys.path.remove(str(_FOLDER))
        for name in _NAMES:  # names so common must not stay taken for whoever else runs in this process
            sys.modules.pop(name, None)


_MODULES = _load()
utils = _MODULES["utils"]
utils_reg = _MODULES["utils_reg"]
utils_classification = _MODULES["utils_classification"]
utils_classification_copypaste = _MODULES["utils_classification_copypaste"]
