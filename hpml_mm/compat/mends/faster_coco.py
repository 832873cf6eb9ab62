# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Have MMDetection warn of a missing ``faster_coco_eval`` where it is used.

It warns whenever anything of ``mmdet.evaluation`` is imported.
"""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import wraps
from types import ModuleType
from typing import Any

_WARNING = 'faster_coco_eval is not installed'


@contextmanager
def around(module: ModuleType) -> Iterator[None]:
    """Import without the warning."""
    with warnings.catch_warnings():
        warnings.filterwarnings('ignore', _WARNING)
        yield


def mend(module: ModuleType) -> None:
    """Warn when the metric is built."""
    metric = module.FasterCocoMetric
    original = metric.__init__
    if module.COCO is not None or hasattr(original, '__wrapped__'):
        return

    @wraps(original)
    def init(self: Any, *args: Any, **kwargs: Any) -> None:
        warnings.warn(f'{_WARNING}: FasterCocoMetric computes nothing', stacklevel=2)
        original(self, *args, **kwargs)

    metric.__init__ = init
