# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Have COCO's tools log what they print: progress, and a table of each evaluation."""

from types import ModuleType
from typing import Any


def mend(module: ModuleType) -> None:
    """Put a function in the place of the module's ``print``."""
    vars(module)['print'] = log_values


def log_values(*values: Any, sep: str = ' ', end: str = '\n') -> None:
    """Log what ``print`` would print, to the logger of the current run."""
    from mmengine.logging import print_log

    print_log(sep.join(map(str, values)), 'current')
