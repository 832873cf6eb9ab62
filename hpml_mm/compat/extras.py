# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Packages that only some parts of the project need."""

import importlib
from importlib.util import find_spec
from types import ModuleType


def has_mmpose() -> bool:
    """Whether MMPose is installed: a project of faces needs none."""
    return find_spec('mmpose') is not None


def require(module: str, extra: str | None = None) -> ModuleType:
    """Import a module that only some parts of the project need.

    Args:
        module: Dotted name of the module.
        extra: Name of the extra in ``pyproject.toml`` that installs it; None for what
            ``requirements.txt`` lists.

    Raises:
        ImportError: The module is not installed; the message says what installs it. A
            module that is there and fails on its own keeps its own error.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        # Something missing *inside* an installed module is not cured by the extra.
        if error.name is None or not f'{module}.'.startswith(f'{error.name}.'):
            raise
        remedy = (
            f"it comes with the optional extra {extra!r}: pip install -e '.[{extra}]'"
            if extra
            else 'requirements.txt lists it: pip install -e .'
        )
        raise ImportError(f'{module} is not installed; {remedy}') from error
