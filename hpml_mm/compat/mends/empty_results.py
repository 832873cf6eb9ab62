# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Let MMDetection evaluate a detector that finds nothing: its precision is 0."""

from functools import wraps
from types import ModuleType
from typing import Any


def mend(module: ModuleType) -> None:
    """Have ``COCO.loadRes`` take an empty list, at whose first entry it looks."""
    original = module.COCO.loadRes
    if hasattr(original, '__wrapped__'):
        return

    @wraps(original)
    def load_results(self: Any, results: Any) -> Any:
        if not isinstance(results, list) or results:
            return original(self, results)
        found = type(self)()
        found.dataset = {
            'images': list(self.dataset['images']),
            'categories': list(self.dataset['categories']),
            'annotations': [],
        }
        found.createIndex()
        return found

    module.COCO.loadRes = load_results
