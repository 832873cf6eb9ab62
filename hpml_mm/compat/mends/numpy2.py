# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Mend what MMPose expects of NumPy 1: arrays of one element that pass for numbers."""

from functools import wraps
from types import ModuleType
from typing import Any

import numpy as np


def mend(module: ModuleType) -> None:
    """Mend the one class of a module that NumPy 2 broke, where NumPy is that new."""
    kinds = vars(module)
    if 'OpencvBackendVisualizer' in kinds and not passes_for_a_number():
        kind = kinds['OpencvBackendVisualizer']
        kind.draw_circles = _with_plain_radius(kind.draw_circles)
    if 'UBody3dDataset' in kinds and not passes_for_a_number():
        kinds['np'] = OneElementIsANumber()
    if 'BaseCocoStyleDataset' in kinds and not isinstance(np.count_nonzero([]), int):
        kind = kinds['BaseCocoStyleDataset']
        kind.load_data_list = _with_plain_counts(kind.load_data_list)


def passes_for_a_number() -> bool:
    """Return whether an array of one element can be converted and assigned."""
    try:
        int(np.ones(1))
    except TypeError:
        return False
    return True


class OneElementIsANumber:
    """NumPy in which ``array([x], dtype)`` may be assigned to one element.

    UBody3D's annotations give each box its score so. Without a data type, as for the
    list of images, the array keeps its one dimension.
    """

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    def array(self, values: Any, dtype: Any = None) -> np.ndarray:
        """Make an array, of no dimension where it has one element and a data type."""
        made = np.array(values, dtype)
        return made.reshape(()) if dtype is not None and made.shape == (1,) else made


def _with_plain_radius(original: Any) -> Any:
    @wraps(original)
    def draw_circles(self: Any, center: Any, radius: Any, *args, **kwargs) -> Any:
        # matplotlib, the other backend, wants the array.
        if self.backend == 'opencv' and isinstance(radius, np.ndarray):
            radius = radius.item()
        return original(self, center, radius, *args, **kwargs)

    return draw_circles


def _with_plain_counts(original: Any) -> Any:
    @wraps(original)
    def load_data_list(self: Any) -> list[dict]:
        infos = original(self)
        for info in infos:
            # One for the person of a crop, a list for those of a whole image.
            count = info.get('num_keypoints')
            if isinstance(count, np.integer):
                info['num_keypoints'] = int(count)
            elif isinstance(count, list):
                info['num_keypoints'] = [int(number) for number in count]
        return infos

    return load_data_list
