# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Build albumentations transforms from dicts and refuse what they would ignore.

Albumentations 2 only warns about an argument that it does not know and goes on with
its default, so a config written for version 1 silently becomes another augmentation.
"""

import inspect
import warnings
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias

import albumentations as A
import numpy as np
from albumentations.augmentations.geometric.distortion import BaseDistortion
from albumentations.core.composition import BaseCompose
from albumentations.core.transforms_interface import BasicTransform, Transform3D
from mmengine.config import ConfigDict

from hpml_mm.compat.albumentation_arguments import (
    check_arguments,
    did_you_mean,
    may_move_points,
)

Transform: TypeAlias = BasicTransform | BaseCompose

# Base classes, what only makes sense outermost (``Compose``), what wants a function
# or makes a tensor. Transforms of volumes are left out by their base class.
_NOT_OFFERED = frozenset(
    (
        *('BaseCompose', 'BasicTransform', 'Compose', 'DualTransform', 'Lambda'),
        *('ImageOnlyTransform', 'ReplayCompose', 'ToTensor3D', 'ToTensorV2'),
    )
)
# Arguments of compositions that hold transforms.
_CHILDREN = ('transforms', 'first', 'second')


def build_transforms(configs: Any, place: str = 'transforms') -> list[Transform]:
    """Build a list of albumentations transforms.

    Args:
        configs: Dicts such as ``dict(type='HorizontalFlip', p=.5)``. ``type`` is a
            name in ``albumentations``; compositions (``OneOf``, ``Sequential``,
            ``SomeOf``, ...) hold such lists in turn.
        place: Where this list stands in the config, for error messages.

    Raises:
        ValueError: If a transform or an argument is unknown or its value is not
            valid, with the place, the value and the nearest right names.
    """
    if not isinstance(configs, Sequence) or isinstance(configs, str) or not configs:
        raise ValueError(
            f'{place} must be a list of one or more dicts with a type, not {configs!r}'
        )
    return [_build(cfg, f'{place}[{index}]') for index, cfg in enumerate(configs)]


def moving_transforms(transforms: Sequence[Transform]) -> list[str]:
    """Names of the transforms, nested ones included, that may move keypoints."""
    return [
        type(leaf).__name__
        for leaf in _leaves(transforms)
        if may_move_points(type(leaf))
    ]


def _leaves(transforms: Sequence[Transform]) -> Iterator[BasicTransform]:
    for transform in transforms:
        if isinstance(transform, BaseCompose):
            yield from _leaves(transform.transforms)
        else:
            yield transform


def _offered() -> dict[str, type]:
    """Image transforms of albumentations that a config may name."""
    return {
        name: kind
        for name, kind in vars(A).items()
        if inspect.isclass(kind)
        and issubclass(kind, BasicTransform | BaseCompose)
        and not issubclass(kind, Transform3D)
        and name not in _NOT_OFFERED
    }


def _build(config: Any, place: str) -> Transform:
    if not isinstance(config, Mapping) or 'type' not in config:
        raise ValueError(
            f"{place} must be a dict with a 'type', such as "
            f"dict(type='HorizontalFlip', p=0.5), not {config!r}"
        )
    plain = config.to_dict() if isinstance(config, ConfigDict) else dict(config)
    name = plain.pop('type')
    offered = _offered()
    if name not in offered:
        raise ValueError(
            f'{place}: albumentations {A.__version__} has no transform {name!r} for '
            f'images{did_you_mean(str(name), offered)}'
        )
    kind = offered[name]
    check_arguments(kind, plain, place)
    if issubclass(kind, BaseCompose):
        for key in _CHILDREN:
            child = plain.get(key)
            if child is not None:
                # ``first`` and ``second`` hold one transform, ``transforms`` a list.
                build = _build if isinstance(child, Mapping) else build_transforms
                plain[key] = build(child, f'{place}.{key}')
    return _construct(kind, plain, place)


def _construct(kind: type, arguments: dict, place: str) -> Transform:
    strict = {'strict': True} if _takes_strict(kind) else {}
    try:
        with warnings.catch_warnings():
            if not strict:
                # Where a value cannot be used, these warn and take another one.
                warnings.simplefilter('error', UserWarning)
            built = kind(**arguments, **strict)
    except (TypeError, ValueError, ArithmeticError, UserWarning) as error:
        shown = ', '.join(
            f'{name}={value!r}'
            for name, value in arguments.items()
            if name not in _CHILDREN
        )
        raise ValueError(f'{place}: {kind.__name__}({shown}): {error}') from error
    if isinstance(built, BaseDistortion):
        # Its own two ways are off by a pixel on average (the top of a dot that is
        # looked for in the distorted image) or take hundreds of milliseconds.
        built._key2func['keypoints'] = remap_points
    return built


def remap_points(
    points: np.ndarray, map_x: np.ndarray, map_y: np.ndarray, **params: Any
) -> np.ndarray:
    """Find points of an image after ``cv2.remap``, with subpixel accuracy.

    ``map_x`` and ``map_y`` (H, W) are where each pixel of the distorted image comes
    from. Of the points (P, 2 or more) x and y change.

    Returns:
        The points that any pixel shows, in their order.
    """
    if map_x is None:  # this time the distortion does nothing
        return points
    moved, shown = points.copy(), []
    for number, (x, y) in enumerate(points[:, :2]):
        away = (map_x - x) ** 2 + (map_y - y) ** 2
        row, column = np.unravel_index(away.argmin(), away.shape)
        if away[row, column] <= 2**2:
            # From one pixel to the next the map is next to a shift.
            moved[number, 0] = column + x - map_x[row, column]
            moved[number, 1] = row + y - map_y[row, column]
            shown.append(number)
    return moved[shown]


def _takes_strict(kind: type) -> bool:
    """Return whether a class checks its arguments by a schema."""
    owner = next(base for base in kind.__mro__ if '__init__' in vars(base))
    return 'InitSchema' in vars(owner)
