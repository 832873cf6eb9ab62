# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Keep MMEngine from printing past the log where no logger is named.

Importing MMPretrain or MMDetection prints that OneDL's own data sets are not installed,
at level DEBUG, and loading a checkpoint prints its path.
"""

import logging
from functools import wraps
from types import ModuleType
from typing import Any


def mend(module: ModuleType) -> None:
    """Wrap ``print_log``, which prints whatever the level if it has no logger."""
    original = module.print_log
    if hasattr(original, '__wrapped__'):
        return

    @wraps(original)
    def print_log(msg: Any, logger: Any = None, level: int = logging.INFO) -> None:
        if logger is None:
            if level <= logging.DEBUG:
                return
            # The logger of the run, if there is a run.
            logger = 'current' if module.MMLogger._instance_dict else None
        original(msg, logger, level)

    vars(module)['print_log'] = print_log
