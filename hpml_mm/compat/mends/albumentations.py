# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Make the stock wrappers of albumentations work with its version 2.

Besides its new arguments, version 2 draws from a generator of its own, which follows
neither MMEngine's seed nor the worker: every forked worker draws the same. MMPose's
wrapper, moreover, looks for a module that is gone, and fails.
"""

import inspect
import warnings
from functools import wraps
from types import ModuleType
from typing import Any


def mend(module: ModuleType) -> None:
    """Wrap the stock class of a module of transforms that calls albumentations."""
    # The libraries import albumentations if they can.
    if vars(module).get('albumentations') is None:
        return
    for name in ('Albumentation', 'Albu', 'Albumentations'):
        kind = vars(module).get(name)
        if kind is None or hasattr(kind.albu_builder, '__wrapped__'):
            continue
        kind.albu_builder = _build_translated(kind.albu_builder, name)
        if hasattr(module.albumentations.Compose, 'set_random_state'):
            kind.transform = _seed_each_call(kind.transform)


def _build_translated(original: Any, place: str) -> Any:
    from albumentations.core.composition import BaseCompose
    from albumentations.core.transforms_interface import BasicTransform

    from hpml_mm.compat.albumentation_arguments import (
        check_arguments,
        find_kind,
        may_move_points,
        translate_arguments,
    )

    @wraps(original)
    def albu_builder(self: Any, cfg: dict) -> Any:
        kind = cfg.get('type')
        if isinstance(kind, str):
            kind = find_kind(kind, place)
        if not (
            inspect.isclass(kind) and issubclass(kind, BasicTransform | BaseCompose)
        ):
            return original(self, cfg)
        arguments = {key: value for key, value in cfg.items() if key != 'type'}
        arguments = translate_arguments(kind, arguments)
        check_arguments(kind, arguments, place)
        if place == 'Albumentation' and may_move_points(kind):
            warnings.warn(
                f'{kind.__name__} moves the image away from its keypoints, which '
                "MMPose's Albumentation leaves where they are",
                stacklevel=2,
            )
        # By its class: MMPose looks names up in a module that version 2 lacks.
        return original(self, {'type': kind, **arguments})

    return albu_builder


def _seed_each_call(original: Any) -> Any:
    from hpml_mm.compat.albumentation_arguments import seed_from_numpy

    @wraps(original)
    def transform(self: Any, results: dict) -> Any:
        # One seed for the run, where the config asks for it, stays.
        if self.aug.seed is None:
            seed_from_numpy(self.aug)
        return original(self, results)

    return transform
