# Copyright (c) hpml_mm contributors. Licensed under the Apache-2.0 licence.
"""Translation of a stock top-down pipeline to this project's faster transforms."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: MMPose's steps that one warp does, in the order of its chain.
_CHAIN = (
    'GetBBoxCenterScale',
    'RandomFlip',
    'RandomHalfBody',
    'RandomBBoxTransform',
    'TopdownAffine',
)
#: Settings that ``FusedTopdownWarp`` takes itself.
_OWN = {'GetBBoxCenterScale': ('padding',), 'TopdownAffine': ('input_size', 'use_udp')}
#: Its arguments that take all settings of a step.
_PARTS = {
    'RandomFlip': 'flip',
    'RandomHalfBody': 'half_body',
    'RandomBBoxTransform': 'bbox_transform',
    'PhotometricDistortion': 'photometric',
}

Steps = list[tuple[str, dict[str, Any]]]


@dataclass(frozen=True)
class FusedPipeline:
    """Pipeline for ``PoseTargetPreprocessor``.

    Attributes:
        steps: Configs of the transforms.
        encoder: Codec of the targets, which the preprocessor makes; None where the
            pipeline made none.
    """

    steps: list[dict[str, Any]]
    encoder: dict[str, Any] | None


def fuse_pipeline(
    steps: Sequence[Mapping[str, Any]], cache_gib: float, cache_dir: str | None = None
) -> FusedPipeline:
    """Rewrite a pipeline of MMPose's transforms; the same random state gives the same.

    Args:
        steps: Configs of ``LoadImage``, ``GetBBoxCenterScale``, then any of
            ``RandomFlip``, ``RandomHalfBody`` and ``RandomBBoxTransform`` in this
            order, ``TopdownAffine``, ``GenerateTarget`` if there are targets, and
            ``PackPoseInputs``. ``PhotometricDistortion`` may stand anywhere before
            the affine; other than as the first it draws other numbers of the same
            distribution.
        cache_gib: See ``LoadCachedImage``.
        cache_dir: See there, too.

    Raises:
        ValueError: For another step, order or setting; it names it.
    """
    rest = []
    for step in steps:
        settings = dict(step.items())
        rest.append((str(settings.pop('type')).removeprefix('mmpose.'), settings))
    _take(rest, 0, 'LoadImage')
    pack = _take(rest, -1, 'PackPoseInputs', 'meta_keys')
    encoder = None
    if rest and rest[-1][0] == 'GenerateTarget':
        encoder = _take(rest, -1, 'GenerateTarget', 'encoder')['encoder']
        if not isinstance(encoder, Mapping):
            raise ValueError('GenerateTarget has several encoders')
        encoder = dict(encoder)
    return FusedPipeline(
        [
            {
                'type': 'hpml_mm.LoadCachedImage',
                'cache_gib': cache_gib,
                'cache_dir': cache_dir,
            },
            _warp(rest),
            {'type': 'hpml_mm.PackKeypoints', **pack},
        ],
        encoder,
    )


def _warp(steps: Steps) -> dict[str, Any]:
    warp: dict[str, Any] = {'type': 'hpml_mm.FusedTopdownWarp'}
    found = [name for name, _ in steps if name != 'PhotometricDistortion']
    strange = [name for name in found if name not in _CHAIN]
    if strange:
        raise ValueError(
            f'{", ".join(strange)} is none of the steps that can be one warp'
        )
    if found != [name for name in _CHAIN if name in found]:
        raise ValueError(f'{", ".join(found)} are not in the order {", ".join(_CHAIN)}')
    if not found or found[0] != _CHAIN[0] or steps[-1][0] != _CHAIN[-1]:
        raise ValueError(f'it does not go from {_CHAIN[0]} to {_CHAIN[-1]}')
    for name, settings in steps:
        if name in _OWN:
            warp |= _allowed(name, settings, _OWN[name])
        elif _PARTS[name] in warp:
            raise ValueError(f'{name} is there twice')
        else:
            warp[_PARTS[name]] = settings
    if 'input_size' not in warp:
        raise ValueError(f'{_CHAIN[-1]} has no input_size')
    return warp


def _take(steps: Steps, at: int, name: str, *allowed: str) -> dict[str, Any]:
    """Take a step off an end; its settings."""
    found = steps[at][0] if steps else '-'
    if found != name:
        end = 'last' if at else 'first'
        raise ValueError(f'its {end} step is {found}, not {name}')
    return _allowed(name, steps.pop(at)[1], allowed)


def _allowed(
    name: str, settings: dict[str, Any], allowed: Sequence[str]
) -> dict[str, Any]:
    other = [key for key in settings if key not in allowed]
    if other:
        raise ValueError(f'{name} has {", ".join(other)}')
    return settings
