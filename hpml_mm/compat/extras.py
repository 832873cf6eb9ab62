# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Packages that only some parts of the project need."""

import importlib
from importlib.util import find_spec
from types import ModuleType


def has_mmpose() -> bool:
    """Whether MMPose is installed: a project of faces needs none."""
    return find_spec('mmpose') is not None


def require(module: str, extra: str) -> ModuleType:
    """Import a module that an optional extra brings.

    Args:
        module: Dotted name of the module.
        extra: Name of the extra in ``pyproject.toml`` that installs it.

    Raises:
        ImportError: The module is not installed; the message names the extra. A
            module that is there and fails on its own keeps its own error.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # Something missing *inside* an installed module is not cured by the extra.
        if error.name is None or not f'{module}.'.startswith(f'{error.name}.'):
            raise
        raise ImportError(
            f'{module} is not installed; it comes with the optional extra '
            f"{extra!r}: pip install -e '.[{extra}]'"
        ) from error
