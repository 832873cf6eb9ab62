# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Arguments, names and seeds of albumentations, whose version 2 changed them.

It renamed many arguments, only warns about those that it does not know, and goes on
with its defaults, so a config written for version 1 silently becomes another
augmentation.
"""

import difflib
import inspect
import random
from collections.abc import Iterable, Mapping
from typing import Any

import albumentations as A
import numpy as np
from albumentations.augmentations.dropout.transforms import BaseDropout

# They change masks beside the image, which makes them "dual", but move no point.
STILL = (A.Morphological, A.NoOp, A.OverlayElements, A.PixelDropout, BaseDropout)

# Transforms that are gone -> the same of version 2.
FORMER_KINDS = {'JpegCompression': 'ImageCompression'}
# Arguments of version 2 <- those of version 1 with the same meaning.
RENAMED = {
    'fill': ('fill_value', 'value', 'cval', 'pad_cval', 'pad_val', 'image_fill_value'),
    'fill_mask': (
        *('mask_fill_value', 'mask_value', 'cval_mask', 'pad_cval_mask'),
        'mask_pad_val',
    ),
    'border_mode': ('mode', 'pad_mode'),
}
# A pair of version 2 <- its two parts in version 1, and their defaults there. Parts
# without a default are both needed; ``None`` as the lower one means the upper one.
JOINED: dict[str, tuple[tuple[str, str], tuple | None]] = {
    'num_holes_range': (('min_holes', 'max_holes'), (None, 8)),
    'hole_height_range': (('min_height', 'max_height'), (None, 8)),
    'hole_width_range': (('min_width', 'max_width'), (None, 8)),
    'unit_size_range': (('unit_size_min', 'unit_size_max'), None),
    'holes_number_xy': (('holes_number_x', 'holes_number_y'), None),
    'shift_xy': (('shift_x', 'shift_y'), (0, 0)),
    'size': (('height', 'width'), None),
    'quality_range': (('quality_lower', 'quality_upper'), (99, 100)),
    'scale_range': (('scale_min', 'scale_max'), (0.25, 0.25)),
    'num_shadows_limit': (('num_shadows_lower', 'num_shadows_upper'), (1, 2)),
    'fog_coef_range': (('fog_coef_lower', 'fog_coef_upper'), (0.3, 1)),
    'snow_point_range': (('snow_point_lower', 'snow_point_upper'), (0.1, 0.3)),
    'slant_range': (('slant_lower', 'slant_upper'), (-10, 10)),
    'angle_range': (('angle_lower', 'angle_upper'), (0, 1)),
    'num_flare_circles_range': (
        ('num_flare_circles_lower', 'num_flare_circles_upper'),
        (6, 10),
    ),
}
# Transforms in which naming one pair in the old way gives the others their old
# defaults too: holes of 8 pixels, not of a tenth to a fifth of the image.
TOGETHER = ('num_holes_range', 'hole_height_range', 'hole_width_range')


def find_kind(name: str, place: str) -> type:
    """Find what a config means by a name of albumentations.

    Raises:
        ValueError: There is none; with the place and the names that are close to it.
    """
    found = getattr(A, name, None) or getattr(A, FORMER_KINDS.get(name, ''), None)
    if found is None:
        kinds = [other for other, kind in vars(A).items() if inspect.isclass(kind)]
        raise ValueError(
            f'{place}: albumentations {A.__version__} has no {name!r}'
            f'{did_you_mean(name, kinds)}'
        )
    return found


def translate_arguments(kind: type, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Give arguments of albumentations 1 the names of the installed version.

    Only what keeps its meaning is translated, and only names that ``kind`` does not
    know. A transform that is named without arguments takes the defaults of the
    installed version.

    Args:
        kind: Transform or composition of albumentations.
        arguments: Its arguments by name.
    """
    known = inspect.signature(kind).parameters
    old = {name: value for name, value in arguments.items() if name not in known}
    new = {name: value for name, value in arguments.items() if name in known}
    if 'always_apply' in old and old.pop('always_apply'):
        new['p'] = 1.0
    for name, before in RENAMED.items():
        for former in before:
            if former in old and name in known and name not in new:
                new[name] = old.pop(former)
    joined = [name for name in JOINED if name in known and name not in new]
    given = [name for name in joined if any(part in old for part in JOINED[name][0])]
    for name in joined:
        if name in given or (name in TOGETHER and set(given) & set(TOGETHER)):
            pair = _join(old, *JOINED[name])
            if pair is not None:
                new[name] = pair
    return new | old


def _join(old: dict, parts: tuple[str, str], defaults: tuple | None) -> tuple | None:
    """Take both parts out of the old arguments, unless one of them is not known."""
    if defaults is None and not all(part in old for part in parts):
        return None
    first, second = (
        old.pop(part, default)
        for part, default in zip(parts, defaults or (None, None), strict=True)
    )
    return (second if first is None else first), second


def check_arguments(kind: type, arguments: Mapping[str, Any], place: str) -> None:
    """Refuse arguments that albumentations would only warn about.

    Raises:
        ValueError: An argument is unknown; with the place, its value and the names
            that there are.
    """
    known = list(inspect.signature(kind).parameters)
    for name, value in arguments.items():
        if name not in known:
            raise ValueError(
                f'{place}: {kind.__name__} of albumentations {A.__version__} has no '
                f'argument {name!r} (value {value!r}){did_you_mean(name, known)} '
                f'It takes {", ".join(known)}'
            )


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """End a sentence about an unknown name with those that are close to it."""
    by_lower = {other.lower(): other for other in known}
    close = difflib.get_close_matches(name.lower(), by_lower, n=3, cutoff=0.45)
    return (
        f': did you mean {" or ".join(by_lower[c] for c in close)}?' if close else '.'
    )


def may_move_points(kind: type) -> bool:
    """Return whether a transform may move keypoints and boxes."""
    return issubclass(kind, A.DualTransform) and not issubclass(kind, STILL)


def seed_from_numpy(compose: A.Compose, seed: int | None = None) -> None:
    """Seed a composition from NumPy's global state, which follows MMEngine's seed.

    Args:
        compose: Composition to seed.
        seed: Seed that was drawn before; None to draw one.
    """
    if seed is None:
        seed = int(np.random.randint(2**32, dtype=np.uint32))
    # One generator for all. ``set_random_seed`` would give each transform one of its
    # own with the same seed: two flips of p=.5 would come together always.
    compose.set_random_state(np.random.default_rng(seed), random.Random(seed))
